package chart

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/Masterminds/semver/v3"
	"oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"
)

// Media types of charts in a registry, as Helm writes them, and the older one
// of the archive.
const (
	typeManifest    = "application/vnd.oci.image.manifest.v1+json"
	typeIndex       = "application/vnd.oci.image.index.v1+json"
	typeConfig      = "application/vnd.cncf.helm.config.v1+json"
	typeArchive     = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
	typeOldArchive  = "application/tar+gzip"
	maxManifest     = 4 << 20
	maxTagPage      = 4 << 20
	tagsPerPage     = 1000
	versionNote     = "org.opencontainers.image.version"
	maxErrorMessage = 64 << 10
)

// remote is a repository in a registry, for one call.
type remote struct {
	*client
	ref  registry.Reference
	base string // …/v2/<repository>
	auth *auth.Client
}

// remote makes one over a client.
func (c *client) remote() *remote {
	t := c.target
	r := &remote{client: c, ref: registry.Reference{Registry: t.host, Repository: strings.TrimPrefix(t.path, "/")}}
	host := registryHost(t.host)
	r.base = t.web(c.creds) + "://" + host + "/v2" + t.path
	r.auth = &auth.Client{
		Client:   c.http,
		Header:   http.Header{"User-Agent": {userAgent}},
		Cache:    auth.NewCache(),
		ClientID: userAgent,
		// The dial guard judges the address of a realm, at the time it counts.
		BlockedRealmPrefixes: []netip.Prefix{},
		Credential: func(_ context.Context, hostport string) (auth.Credential, error) {
			if hostport != host {
				return auth.EmptyCredential, nil
			}
			return c.creds.forHost(t.host, t.path).forRegistry(), nil
		},
	}
	return r
}

// get asks the API of the registry. An answer that is no success is an error:
// a missing name or manifest is one of kind missing. The caller closes the body.
func (r *remote) get(ctx context.Context, address, accept string, missing func(code string) error) (*http.Response, error) {
	ctx = auth.AppendRepositoryScope(ctx, r.ref, auth.ActionPull)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, badURL(r.target.repo(), "the URL cannot be parsed")
	}
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	req.Header.Set("Accept-Encoding", "identity") // what is hashed has to come as it is
	resp, err := r.auth.Do(req)
	if err != nil {
		return nil, r.authTrouble(ctx, err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	defer resp.Body.Close()
	answer := &errcode.ErrorResponse{StatusCode: resp.StatusCode}
	var body struct {
		Errors errcode.Errors `json:"errors"`
	}
	if b, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorMessage)); err == nil && json.Unmarshal(b, &body) == nil {
		answer.Errors = body.Errors
	}
	if resp.StatusCode == http.StatusNotFound {
		code := ""
		if len(answer.Errors) > 0 {
			code = answer.Errors[0].Code
		}
		return nil, missing(code)
	}
	return nil, r.status(resp.StatusCode, answer)
}

// authTrouble tells what the library found wrong with a challenge or a token
// from what went wrong on the network.
func (r *remote) authTrouble(ctx context.Context, err error) error {
	var network *url.Error
	var answer *errcode.ErrorResponse
	if ctx.Err() != nil || errors.As(err, &network) || errors.As(err, &answer) || errors.Is(err, auth.ErrBasicCredentialNotFound) {
		return r.classify(ctx, err)
	}
	return errorf(AuthenticationFailed, r.target.repo(), "check the kind of credentials in the Repository's Secret",
		"abide cannot authenticate itself as the registry asks (%s)", r.said(err))
}

func (r *remote) noRepository() *Error {
	return errorf(RepositoryNotFound, r.target.repo(), "check the URL; a private repository looks like a missing one to credentials that may not read it",
		"the registry has no such repository")
}

// body reads an answer whole.
func (r *remote) body(ctx context.Context, resp *http.Response, most int64, what string) ([]byte, error) {
	var b bytes.Buffer
	err := copyBody(ctx, &b, resp.Body, most)
	switch {
	case errors.Is(err, errTooLong):
		return nil, errorf(RepositoryTooLarge, r.target.repo(), "", "%s has more than %d bytes", what, most)
	case err != nil:
		return nil, r.classify(ctx, err)
	}
	return b.Bytes(), nil
}

// tags lists the versions that the tags say, newest first. Tags that are no
// versions are left out.
func (r *remote) tags(ctx context.Context, limits Limits) ([]offer, error) {
	var offers []offer
	count := 0
	next := r.base + "/tags/list?n=" + strconv.Itoa(tagsPerPage)
	for page := 0; next != ""; page++ {
		tags, link, err := r.tagPage(ctx, next)
		if err != nil {
			return nil, err
		}
		count += len(tags)
		if count > limits.Tags || page+1 > limits.TagPages {
			return nil, errorf(RepositoryTooLarge, r.target.repo(), "name the version exactly, or remove old tags",
				"the repository has more than %d tags, or more than %d pages of them", limits.Tags, limits.TagPages)
		}
		for _, tag := range tags {
			if v, err := semver.StrictNewVersion(versionOf(tag)); err == nil && isTag(tag) {
				offers = append(offers, offer{version: versionOf(tag), parsed: v})
			}
		}
		next = link
	}
	sortOffers(offers)
	return offers, nil
}

func (r *remote) tagPage(ctx context.Context, address string) (tags []string, next string, err error) {
	resp, err := r.get(ctx, address, "application/json", func(string) error { return r.noRepository() })
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	b, err := r.body(ctx, resp, maxTagPage, "a page of its tags")
	if err != nil {
		return nil, "", err
	}
	var page struct {
		Tags []string `json:"tags"`
	}
	if err := json.Unmarshal(b, &page); err != nil {
		return nil, "", errorf(UnexpectedAnswer, r.target.repo(), "check that the host is a registry", "the list of tags is no JSON of that form")
	}
	next, err = r.nextPage(address, resp.Header.Get("Link"))
	return page.Tags, next, err
}

// nextPage reads the Link header, which leads to the same host only.
func (r *remote) nextPage(address, link string) (string, error) {
	if link == "" {
		return "", nil
	}
	base, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	after, ok := strings.CutPrefix(strings.TrimSpace(link), "<")
	to, _, closed := strings.Cut(after, ">")
	u, err := base.Parse(to)
	if !ok || !closed || err != nil || originOf(u) != r.origin || u.User != nil {
		return "", errorf(UnexpectedAnswer, r.target.repo(), "", "the registry says that the next page of its tags is elsewhere than on its host")
	}
	return u.String(), nil
}

// manifest is what abide reads of one.
type manifest struct {
	Config      descriptor        `json:"config"`
	Layers      []descriptor      `json:"layers"`
	Manifests   []json.RawMessage `json:"manifests"`
	Annotations map[string]string `json:"annotations"`

	digest string
}

type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
}

// errNoManifest is a tag or digest that is not there; the caller says it
// better.
var errNoManifest = errors.New("no such manifest")

// manifest fetches the manifest of a tag or digest.
func (r *remote) manifest(ctx context.Context, reference string) (manifest, error) {
	resp, err := r.get(ctx, r.base+"/manifests/"+reference, typeManifest+", "+typeIndex, func(code string) error {
		if code == errcode.ErrorCodeNameUnknown {
			return r.noRepository()
		}
		return errNoManifest
	})
	if err != nil {
		return manifest{}, err
	}
	defer resp.Body.Close()
	b, err := r.body(ctx, resp, maxManifest, "the manifest")
	if err != nil {
		return manifest{}, err
	}
	sum := sha256.Sum256(b)
	m := manifest{digest: "sha256:" + hex.EncodeToString(sum[:])}
	if digestForm.MatchString(reference) && m.digest != reference {
		return manifest{}, errorf(DigestMismatch, r.target.repo(), "ask those who run the registry: it gives out something else than it says",
			"the manifest %s has the digest %s", reference, m.digest)
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return manifest{}, errorf(UnexpectedAnswer, r.target.repo(), "check that the host is a registry", "the manifest of %s is no JSON of that form", show(reference))
	}
	return m, nil
}

// archive is the one layer of a manifest that is a chart.
func (r *remote) archive(m manifest, limit int64) (descriptor, error) {
	bad := func(format string, args ...any) (descriptor, error) {
		return descriptor{}, errorf(ChartInvalid, r.target.repo(), "helm push writes charts as they should be", format, args...)
	}
	switch {
	case len(m.Manifests) > 0:
		return bad("it is an index of images, and no chart")
	case m.Config.MediaType != typeConfig:
		return bad("it is no Helm chart: its configuration is of type %s", quote(m.Config.MediaType))
	}
	var found []descriptor
	for _, l := range m.Layers {
		if l.MediaType == typeArchive || l.MediaType == typeOldArchive {
			found = append(found, l)
		}
	}
	switch {
	case len(found) != 1:
		return bad("its manifest has %d layers that are charts, and not one", len(found))
	case !digestForm.MatchString(found[0].Digest):
		return bad("the digest of its layer is no SHA-256")
	case found[0].Size > limit:
		return descriptor{}, tooLarge(r.target, limit)
	}
	return found[0], nil
}

// blob asks for the bytes of a layer. The caller closes it.
func (r *remote) blob(ctx context.Context, digest string) (io.ReadCloser, error) {
	resp, err := r.get(ctx, r.base+"/blobs/"+digest, "", func(string) error {
		return errorf(ChartNotFound, r.target.repo(), "push the chart again", "the registry no longer has %s", digest)
	})
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// resolveOCI finds a revision in a registry.
func (s *Store) resolveOCI(ctx context.Context, st *state, t target, c Credentials) (Revision, error) {
	reference, version := t.want.tag+t.want.digest, t.want.text
	if t.want.within != nil {
		offers, err := s.tags(ctx, st, t, c)
		if err != nil {
			return Revision{}, err
		}
		o, ok := pick(offers, t.want)
		if !ok {
			return Revision{}, noVersion(t, offers)
		}
		reference, version = tagOf(o.version), o.version
	}
	value, err := s.ask(ctx, st, "manifest "+reference, s.limits.IndexTime, func(ctx context.Context, _ int) (any, error) {
		return s.revisionOf(ctx, t, c, reference)
	})
	if errors.Is(err, errNoManifest) {
		// Which versions there are is help only: without it, the error is the same.
		offers, lerr := s.tags(ctx, st, t, c)
		if IsKind(lerr, RepositoryNotFound) {
			return Revision{}, lerr
		}
		e := noVersion(t, offers)
		if lerr != nil {
			e.Hint = ""
		}
		return Revision{}, e
	}
	if err != nil {
		return Revision{}, err
	}
	rev := value.(Revision)
	if t.want.digest == "" {
		rev.Version = version
	}
	return rev, nil
}

func (s *Store) tags(ctx context.Context, st *state, t target, c Credentials) ([]offer, error) {
	value, err := s.ask(ctx, st, "tags", s.limits.IndexTime, func(ctx context.Context, _ int) (any, error) {
		cl, err := s.client(t, c)
		if err != nil {
			return nil, err
		}
		defer cl.close()
		return cl.remote().tags(ctx, s.limits)
	})
	offers, _ := value.([]offer)
	return offers, err
}

func (s *Store) revisionOf(ctx context.Context, t target, c Credentials, reference string) (Revision, error) {
	cl, err := s.client(t, c)
	if err != nil {
		return Revision{}, err
	}
	defer cl.close()
	r := cl.remote()
	m, err := r.manifest(ctx, reference)
	if err != nil {
		return Revision{}, err
	}
	layer, err := r.archive(m, s.limits.Chart)
	if err != nil {
		return Revision{}, err
	}
	rev := Revision{Repo: t.repo(), Name: t.name, Digest: layer.Digest, URL: t.repo() + "@" + m.digest}
	if v, err := semver.StrictNewVersion(m.Annotations[versionNote]); err == nil && len(m.Annotations[versionNote]) <= maxVersion {
		rev.Version = v.Original()
	}
	return rev, nil
}

func tooLarge(t target, limit int64) *Error {
	return errorf(ChartTooLarge, t.repo(), "leave out what the chart does not need (.helmignore)", "the archive of chart %s has more than %d bytes", t.name, limit)
}
