package chart

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strings"

	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/snapshot/targz"
)

// download fetches an archive into the cache and returns its digest. want is
// the digest it has to have, or "".
func (s *Store) download(ctx context.Context, t target, c Credentials, address, want string) (string, error) {
	body, cl, err := s.openArchive(ctx, t, c, address, want)
	if err != nil {
		return "", err
	}
	defer cl.close()
	defer body.Close()
	w, err := s.cache.create()
	if err != nil {
		return "", err
	}
	if err := copyBody(ctx, w, body, s.limits.Chart); err != nil {
		w.discard()
		switch {
		case errors.Is(err, errTooLong):
			return "", tooLarge(t, s.limits.Chart)
		case w.err != nil:
			return "", s.cache.failed(w.err)
		}
		return "", cl.classify(ctx, err)
	}
	digest := "sha256:" + w.digest()
	if want != "" && digest != want {
		w.discard()
		return "", errorf(DigestMismatch, t.repo(), "if the chart was published anew, its index or manifest is out of date; else somebody changed it",
			"the archive of chart %s should have the digest %s and has %s", t.name, want, digest)
	}
	return digest, w.keep(s.archiveFile(t, digest))
}

// openArchive asks for an archive. The caller closes both.
func (s *Store) openArchive(ctx context.Context, t target, c Credentials, address, want string) (io.ReadCloser, *client, error) {
	if strings.HasPrefix(address, "oci://") {
		return s.openLayer(ctx, t, c, address, want)
	}
	cl, err := s.client(t, c)
	if err != nil {
		return nil, nil, err
	}
	resp, err := cl.get(ctx, address, http.Header{"Accept-Encoding": {"identity"}}) // it is hashed as it comes
	if err != nil {
		cl.close()
		return nil, nil, err
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, cl, nil
	}
	defer cl.close()
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusGone {
		return nil, nil, errorf(ChartNotFound, t.repo(), "publish the chart again, or take it out of the index",
			"the index has chart %s, and its archive is not there (HTTP status %d)", t.name, resp.StatusCode)
	}
	e := cl.status(resp.StatusCode, nil)
	if u, err := url.Parse(address); err == nil && e.Kind == AuthenticationFailed && !cl.mayKnow(u) {
		e.Problem = "the archive of chart " + t.name + " is on another host, " + show(u.Host) + ", which refuses abide"
		e.Hint = "abide sends the credentials there only if it is told to pass them on"
	}
	return nil, nil, e
}

// openLayer asks a registry for an archive, which may be the registry of the
// target or one that the target's index names.
func (s *Store) openLayer(ctx context.Context, t target, c Credentials, address, want string) (io.ReadCloser, *client, error) {
	where, reference, err := parseLayer(t, address)
	if err != nil {
		return nil, nil, err
	}
	own := t.scheme == "oci" || where.origin(c) == t.origin(c)
	creds := c
	if !own {
		creds = Credentials{CABundle: c.CABundle, Proxy: c.Proxy}
		if c.PassCredentials {
			creds.Username, creds.Password, creds.BearerToken, creds.DockerConfig = c.Username, c.Password, c.BearerToken, c.DockerConfig
		}
	}
	cl, err := s.client(where, creds)
	if err != nil {
		return nil, nil, err
	}
	r := cl.remote()
	digest := want
	if digest == "" {
		m, err := r.manifest(ctx, reference)
		if errors.Is(err, errNoManifest) {
			err = errorf(ChartNotFound, t.repo(), "publish the chart again, or take it out of the index",
				"the index has chart %s at %s, and it is not there", t.name, show(address))
		}
		var layer descriptor
		if err == nil {
			layer, err = r.archive(m, s.limits.Chart)
		}
		if err != nil {
			cl.close()
			return nil, nil, err
		}
		digest = layer.Digest
	}
	body, err := r.blob(ctx, digest)
	if err != nil {
		cl.close()
		return nil, nil, err
	}
	return body, cl, nil
}

// parseLayer reads oci://HOST/PATH:TAG or oci://HOST/PATH@DIGEST.
func parseLayer(t target, address string) (target, string, error) {
	bad := invalidIndex(t, &indexError{problem: "chart " + t.name + " has a URL in a registry that abide cannot read"})
	repo, reference, ok := strings.Cut(address, "@")
	if !ok {
		if i := strings.LastIndexByte(address, ':'); i > strings.LastIndexByte(address, '/') {
			repo, reference = address[:i], address[i+1:]
		}
	}
	if !digestForm.MatchString(reference) && !isTag(reference) {
		return target{}, "", bad
	}
	where, err := Ref{Repo: repo, Version: reference}.parse()
	if err != nil {
		return target{}, "", bad
	}
	where.name = t.name
	return where, reference, nil
}

// archiveFile names an archive by the repository it is from, too: a digest
// alone opens nothing that another repository has brought.
func (s *Store) archiveFile(t target, digest string) string {
	return "archive-" + s.scope(t) + "-" + strings.TrimPrefix(digest, "sha256:") + ".tgz"
}

// tree returns an archive of the cache as a tree, or fs.ErrNotExist.
func (s *Store) tree(ctx context.Context, t target, digest string) (snapshot.Tree, error) {
	name := s.archiveFile(t, digest)
	if tree := s.trees.get(name); tree != nil {
		return tree, nil
	}
	select { // what is unpacked is in memory: few at a time
	case s.unpacking <- struct{}{}:
		defer func() { <-s.unpacking }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	packed, err := s.cache.verified(name, strings.TrimPrefix(digest, "sha256:"), s.limits.Chart)
	if err != nil {
		return nil, err
	}
	tree, err := unpack(t, packed, s.limits.Archive)
	if err != nil {
		return nil, err
	}
	s.trees.put(name, tree)
	return tree, nil
}

// unpack reads an archive, which has to be a chart.
func unpack(t target, packed []byte, limits targz.Limits) (*targz.Tree, error) {
	tree, err := targz.Read(bytes.NewReader(packed), limits)
	var bad *targz.Error
	switch {
	case errors.As(err, &bad) && bad.TooLarge:
		return nil, errorf(ChartTooLarge, t.repo(), "leave out what the chart does not need (.helmignore)", "the archive of chart %s: %s", t.name, printable(bad.Error())).because(bad)
	case errors.As(err, &bad):
		return nil, errorf(ChartInvalid, t.repo(), "helm package writes charts as they should be", "the archive of chart %s: %s", t.name, printable(bad.Error())).because(bad)
	case err != nil:
		return nil, err
	}
	e, err := tree.Lookup("Chart.yaml")
	if errors.Is(err, fs.ErrNotExist) || err == nil && e.Kind != snapshot.File && e.Kind != snapshot.Executable {
		return nil, errorf(ChartInvalid, t.repo(), "helm package writes charts as they should be",
			"the archive of chart %s has no %s, so it is no chart", t.name, path.Join(show(tree.Folder()), "Chart.yaml"))
	}
	return tree, err
}
