package chart

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// indexMeta is kept on disk beside an index.
type indexMeta struct {
	Repo         string `json:"repo"`
	ETag         string `json:"etag,omitempty"`
	LastModified string `json:"lastModified,omitempty"`
	Digest       string `json:"digest"` // of the index, in hexadecimal
}

func (st *state) metaFile() string { return "index-" + st.id + ".json" }

func (st *state) indexFile(digest string) string { return "index-" + st.id + "-" + digest + ".yaml" }

// resolveHTTP finds a revision in a chart repository.
func (s *Store) resolveHTTP(ctx context.Context, st *state, t target, c Credentials) (Revision, error) {
	idx, offers, err := s.offers(ctx, st, t, c)
	if errors.Is(err, errDamaged) {
		// The cache on disk went, or was hurt. It is asked for as if it was new.
		st.dropIndex()
		s.cache.remove(st.metaFile())
		idx, offers, err = s.offers(ctx, st, t, c)
	}
	if err != nil {
		return Revision{}, err
	}
	o, ok := pick(offers, t.want)
	if !ok {
		return Revision{}, noVersion(t, offers)
	}
	rev := Revision{Repo: t.repo(), Name: t.name, Version: o.version, Digest: "sha256:" + o.digest}
	if rev.URL, err = archiveURL(t, o); err != nil {
		return Revision{}, err
	}
	if o.digest == "" {
		if rev.Digest, err = s.hashOf(ctx, st, idx, t, c, rev.URL); err != nil {
			return Revision{}, err
		}
	}
	if !digestForm.MatchString(rev.Digest) {
		return Revision{}, invalidIndex(t, &indexError{line: o.line, problem: fmt.Sprintf("the digest of %s %s is no SHA-256", t.name, show(o.version))})
	}
	return rev, nil
}

// offers returns the versions of a chart, newest first.
func (s *Store) offers(ctx context.Context, st *state, t target, c Credentials) (*index, []offer, error) {
	value, err := s.ask(ctx, st, "index", s.limits.IndexTime, func(ctx context.Context, round int) (any, error) {
		return s.refresh(ctx, st, t, c, round)
	})
	if err != nil {
		return nil, nil, err
	}
	idx := value.(*index)
	if known, offers, ok := st.chart(t.name); ok && known == idx {
		if offers == nil {
			return nil, nil, noChart(t, idx)
		}
		return idx, offers, nil
	}
	where, ok := idx.spans[t.name]
	if !ok {
		if offers, ok := idx.whole[t.name]; ok {
			return idx, offers, nil
		}
		return nil, nil, noChart(t, idx)
	}
	f, err := s.cache.open(st.indexFile(idx.digest), s.limits.Index)
	if err != nil {
		return nil, nil, errDamaged
	}
	defer f.Close()
	offers, err := readOffers(f, s.limits.Index, t.name, where)
	if err != nil {
		return nil, nil, invalidIndex(t, err)
	}
	if offers == nil {
		offers = []offer{}
	}
	st.setChart(idx, t.name, offers)
	s.states.grew()
	return idx, offers, nil
}

func noChart(t target, idx *index) *Error {
	names := make([]string, 0, len(idx.spans)+len(idx.whole))
	for n := range idx.spans {
		names = append(names, n)
	}
	for n := range idx.whole {
		names = append(names, n)
	}
	e := errorf(ChartNotFound, t.repo(), "", "the repository has no chart %s", t.name)
	switch near := similar(t.name, names); {
	case len(names) == 0:
		e.Hint = "it has no chart at all"
	case len(near) > 0:
		e.Hint = "it has " + strings.Join(near, ", ")
	default:
		e.Hint = fmt.Sprintf("none of its %d charts has a name like that", len(names))
	}
	return e
}

// invalidIndex turns what was found in an index into an [Error].
func invalidIndex(t target, err error) error {
	var bad *indexError
	if errors.Is(err, errIrregular) {
		bad = &indexError{problem: "it is no valid index"}
	} else if errors.Is(err, errDamaged) {
		return err
	} else if !errors.As(err, &bad) {
		return errorf(CacheFailed, t.repo(), "check the disk of abide's cache", "the index on disk cannot be read (%v)", err).because(err)
	}
	kind, hint := IndexInvalid, "helm repo index writes one that is"
	switch {
	case bad.large:
		kind, hint = RepositoryTooLarge, "split the repository, or use a registry (oci://)"
	case bad.problem == webPage:
		hint = "check the URL: it may be that of a page to look at, or of a login"
	}
	return errorf(kind, t.repo(), hint, "index.yaml: %s", bad.Error()).because(bad)
}

// refresh asks for the index, with what is known of the one at hand.
func (s *Store) refresh(ctx context.Context, st *state, t target, c Credentials, round int) (*index, error) {
	meta := s.load(st, t, round)
	cl, err := s.client(t, c)
	if err != nil {
		return nil, err
	}
	defer cl.close()
	st.mu.Lock()
	known := st.index
	st.mu.Unlock()
	header := http.Header{}
	if known != nil {
		if meta.ETag != "" {
			header.Set("If-None-Match", meta.ETag)
		}
		if meta.LastModified != "" {
			header.Set("If-Modified-Since", meta.LastModified)
		}
	}
	resp, err := cl.get(ctx, t.repo()+"/index.yaml", header)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotModified && known != nil:
		return st.setIndex(known, round), nil
	case resp.StatusCode == http.StatusNotFound, resp.StatusCode == http.StatusGone:
		return nil, errorf(RepositoryNotFound, t.repo(), "check the URL: it is that of the folder that has an index.yaml",
			"there is no index.yaml")
	case resp.StatusCode != http.StatusOK:
		return nil, cl.status(resp.StatusCode, nil)
	}
	return s.takeIndex(ctx, cl, st, t, meta, resp, round)
}

// load makes the index on disk the one at hand, if there is one and none in
// memory, and returns what is known of it.
func (s *Store) load(st *state, t target, round int) indexMeta {
	var meta indexMeta
	f, err := s.cache.open(st.metaFile(), maxHeader*4)
	if err != nil {
		return indexMeta{}
	}
	err = json.NewDecoder(f).Decode(&meta)
	f.Close()
	st.mu.Lock()
	known := st.index
	st.mu.Unlock()
	if err != nil || meta.Repo != t.repo() || known != nil && known.digest != meta.Digest {
		return indexMeta{}
	}
	if known != nil {
		return meta
	}
	name := st.indexFile(meta.Digest)
	if !s.cache.intact(name, meta.Digest, s.limits.Index) {
		return indexMeta{}
	}
	if f, err = s.cache.open(name, s.limits.Index); err != nil {
		return indexMeta{}
	}
	defer f.Close()
	idx, err := readIndex(f)
	if err != nil {
		return indexMeta{}
	}
	idx.digest = meta.Digest
	if st.setIndex(idx, round) != idx {
		return indexMeta{}
	}
	s.states.grew()
	return meta
}

// takeIndex reads an index that came, and keeps it.
func (s *Store) takeIndex(ctx context.Context, cl *client, st *state, t target, before indexMeta, resp *http.Response, round int) (*index, error) {
	w, err := s.cache.create()
	if err != nil {
		return nil, err
	}
	if err := copyBody(ctx, w, resp.Body, s.limits.Index); err != nil {
		w.discard()
		switch {
		case errors.Is(err, errTooLong):
			return nil, errorf(RepositoryTooLarge, t.repo(), "split the repository, or use a registry (oci://)",
				"index.yaml has more than %d bytes", s.limits.Index)
		case w.err != nil:
			return nil, s.cache.failed(w.err)
		}
		return nil, cl.classify(ctx, err)
	}
	digest := w.digest()
	st.mu.Lock()
	known := st.index
	st.mu.Unlock()
	idx := known
	if known != nil && known.digest == digest {
		w.discard()
		if newer := st.setIndex(known, round); newer != known {
			return newer, nil
		}
	} else {
		if _, err = w.file.Seek(0, io.SeekStart); err == nil {
			idx, err = readIndex(w.file)
		}
		if err != nil {
			w.discard()
			return nil, invalidIndex(t, err)
		}
		idx.digest = digest
		if err := w.keep(st.indexFile(digest)); err != nil {
			return nil, err
		}
		if newer := st.setIndex(idx, round); newer != idx {
			if newer.digest != digest {
				s.cache.remove(st.indexFile(digest))
			}
			return newer, nil
		}
		s.states.grew()
		if known != nil {
			s.cache.remove(st.indexFile(known.digest))
		}
	}
	meta := indexMeta{Repo: t.repo(), ETag: resp.Header.Get("ETag"), LastModified: resp.Header.Get("Last-Modified"), Digest: digest}
	if meta == before {
		return idx, nil
	}
	b, err := json.Marshal(meta)
	if err != nil {
		return nil, err
	}
	return idx, s.cache.put(st.metaFile(), b)
}

// archiveURL is where an index says that an archive is.
func archiveURL(t target, o offer) (string, error) {
	bad := func(problem string) (string, error) {
		return "", invalidIndex(t, &indexError{line: o.line, problem: fmt.Sprintf("%s %s %s", t.name, show(o.version), problem)})
	}
	if o.url == "" {
		return bad("has no URL to fetch it from")
	}
	base, err := url.Parse(t.repo() + "/")
	if err != nil {
		return "", err
	}
	u, err := base.Parse(o.url)
	switch {
	case err != nil || len(o.url) > maxURL || u.Fragment != "":
		return bad("has a URL that abide cannot read")
	case u.User != nil:
		return bad("has a URL with credentials in it")
	case u.Scheme == "http" && t.scheme == "https":
		return bad("is to be fetched over plain http, and abide does not leave https")
	case u.Scheme != "https" && u.Scheme != "http" && u.Scheme != "oci":
		return bad("has a URL that is neither https nor oci")
	case u.Host == "":
		return bad("has a URL without a host")
	}
	if u.Scheme == "oci" {
		if _, _, err := parseLayer(t, u.String()); err != nil {
			return "", err
		}
	}
	return u.String(), nil
}

// hashOf is for an index that does not say the digest of an archive: it fetches
// the archive, once for each index.
func (s *Store) hashOf(ctx context.Context, st *state, idx *index, t target, c Credentials, address string) (string, error) {
	st.mu.Lock()
	digest, ok := st.hashed[address]
	ok = ok && st.index == idx
	st.mu.Unlock()
	if ok {
		return digest, nil
	}
	value, err := s.ask(ctx, st, "digest "+idx.digest+" "+address, s.limits.ChartTime, func(ctx context.Context, _ int) (any, error) {
		return s.download(ctx, t, c, address, "")
	})
	if err != nil {
		return "", err
	}
	digest = value.(string)
	st.mu.Lock()
	if st.index == idx {
		if st.hashed == nil || len(st.hashed) >= maxAnswers {
			st.hashed = map[string]string{}
		}
		st.hashed[address] = digest
	}
	st.mu.Unlock()
	return digest, nil
}
