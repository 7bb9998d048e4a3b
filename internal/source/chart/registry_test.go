package chart_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"abide.dev/abide/internal/source/chart"
)

const (
	configType = "application/vnd.cncf.helm.config.v1+json"
	layerType  = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
)

// registry is one repository of an OCI registry, as a handler.
type registry struct {
	mu        sync.Mutex
	name      string
	tags      []string
	manifests map[string][]byte // by tag and digest
	blobs     map[string][]byte // by digest
	page      int               // tags on one, whatever is asked for
	blobsAt   string            // redirects there
	challenge string            // WWW-Authenticate
	check     func(*http.Request) bool
	next      string // the Link of a page, instead of the right one
}

func newRegistry(name string) *registry {
	return &registry{name: name, manifests: map[string][]byte{}, blobs: map[string][]byte{}}
}

// push puts a chart under a tag and returns the digests of layer and manifest.
func (r *registry) push(t testing.TB, tag string, archive []byte) (layer, manifest string) {
	t.Helper()
	layer = "sha256:" + sum(archive)
	return layer, r.pushManifest(t, tag, map[string]any{
		"schemaVersion": 2,
		"config":        map[string]any{"mediaType": configType, "digest": "sha256:" + sum(nil), "size": 0},
		"layers": []any{
			map[string]any{"mediaType": "application/vnd.cncf.helm.chart.provenance.v1.prov", "digest": "sha256:" + sum([]byte("p")), "size": 1},
			map[string]any{"mediaType": layerType, "digest": layer, "size": len(archive)},
		},
		"annotations": map[string]string{"org.opencontainers.image.version": strings.ReplaceAll(tag, "_", "+")},
	}, archive)
}

func (r *registry) pushManifest(t testing.TB, tag string, manifest any, archive []byte) string {
	t.Helper()
	raw, err := json.Marshal(manifest)
	if err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	digest := "sha256:" + sum(raw)
	r.manifests[tag], r.manifests[digest] = raw, raw
	if !slices.Contains(r.tags, tag) {
		r.tags = append(r.tags, tag)
	}
	if archive != nil {
		r.blobs["sha256:"+sum(archive)] = archive
	}
	return digest
}

func (r *registry) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fail := func(status int, code string) {
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"errors":[{"code":%q,"message":"s3cret-of-the-server"}]}`, code)
	}
	if r.check != nil && !r.check(q) {
		w.Header().Set("WWW-Authenticate", r.challenge)
		fail(http.StatusUnauthorized, "UNAUTHORIZED")
		return
	}
	rest, ok := strings.CutPrefix(q.URL.Path, "/v2/"+r.name+"/")
	if !ok {
		fail(http.StatusNotFound, "NAME_UNKNOWN")
		return
	}
	kind, ref, _ := strings.Cut(rest, "/")
	switch kind {
	case "tags":
		r.list(w, q)
	case "manifests":
		if m, ok := r.manifests[ref]; ok {
			w.Write(m)
			return
		}
		fail(http.StatusNotFound, "MANIFEST_UNKNOWN")
	case "blobs":
		b, ok := r.blobs[ref]
		switch {
		case r.blobsAt != "":
			http.Redirect(w, q, r.blobsAt+"/"+ref+"?X-Signature=s1gnature", http.StatusTemporaryRedirect)
		case ok:
			w.Write(b)
		default:
			fail(http.StatusNotFound, "BLOB_UNKNOWN")
		}
	}
}

func (r *registry) list(w http.ResponseWriter, q *http.Request) {
	tags := slices.Sorted(slices.Values(r.tags))
	from := 0
	if last := q.URL.Query().Get("last"); last != "" {
		from, _ = slices.BinarySearch(tags, last)
		from++
	}
	to := len(tags)
	if r.page > 0 && from+r.page < to {
		to = from + r.page
		w.Header().Set("Link", fmt.Sprintf(`</v2/%s/tags/list?last=%s>; rel="next"`, r.name, tags[to-1]))
	}
	if r.next != "" {
		w.Header().Set("Link", r.next)
	}
	json.NewEncoder(w).Encode(map[string]any{"name": r.name, "tags": tags[min(from, to):to]})
}

func ociRef(url, version string) chart.Ref {
	return chart.Ref{Repo: "oci" + strings.TrimPrefix(url, "https") + "/team/charts", Name: "web", Version: version}
}

func TestRegistryVersions(t *testing.T) {
	ca := newAuthority(t)
	r := newRegistry("team/charts/web")
	r.page = 2
	var latest string
	for _, v := range []string{"1.0.0", "1.2.0", "1.10.0", "1.10.0_b2", "2.0.0-rc.1", "1.9.0"} {
		latest, _ = r.push(t, v, pack(t, "web", v, nil))
	}
	_, digest := r.push(t, "latest", pack(t, "web", "1.9.0", nil))
	r.tags = append(r.tags, "v3.0.0", "sha256-abc.sig", "1.2") // none of them a version, as Helm has it
	r.push(t, "v3.0.0", pack(t, "web", "3.0.0", nil))
	url, log := ca.serve(t, r.ServeHTTP)
	s := newStore(t, chart.Options{FreshFor: time.Hour})
	c := chart.Credentials{CABundle: ca.pem}
	for _, tt := range []struct {
		version, want, digest string
		kind                  chart.Kind
		says, why             string
	}{
		{"", "1.10.0+b2", "", "", "", "the newest that is no prerelease"},
		{"1.2.0", "1.2.0", "", "", "", "exact"},
		{"1.10.0+b2", "1.10.0+b2", "", "", "", "a plus is an underscore in a tag"},
		{"~1.9.0", "1.9.0", latest, "", "", "a range"},
		{">=1.0.0-0", "2.0.0-rc.1", "", "", "", "a range with prereleases"},
		{"latest", "latest", latest, "", "", "a tag"},
		{"v3.0.0", "v3.0.0", "", "", "", "a tag that looks like a version"},
		{digest, "", latest, "", "", "a digest of a manifest, whose note is no version"},
		{"^4", "", "", chart.VersionNotFound, "2.0.0-rc.1, 1.10.0+b2", "nothing in the range"},
		{"1.2.9", "", "", chart.VersionNotFound, "no version 1.2.9; the newest it has: 2.0.0-rc.1", "not there"},
		{"nightly", "", "", chart.VersionNotFound, "no tag nightly", "no such tag"},
		{"sha256:" + strings.Repeat("0", 64), "", "", chart.VersionNotFound, "no manifest", "no such digest"},
		{"not a tag", "", "", chart.VersionInvalid, "no version", "neither"},
	} {
		rev, err := s.Resolve(t.Context(), ociRef(url, tt.version), c)
		if tt.kind != "" {
			wantKind(t, err, tt.kind, tt.says)
			continue
		}
		if err != nil || rev.Version != tt.want || tt.digest != "" && rev.Digest != tt.digest {
			t.Errorf("%q: %+v, %v, want %s: %s", tt.version, rev, err, tt.want, tt.why)
			continue
		}
		tree, err := s.Fetch(t.Context(), rev, c)
		if err != nil || !strings.Contains(readFile(t, tree, "Chart.yaml"), "name: web") {
			t.Errorf("%q: %v", tt.version, err)
		}
	}
	if n := log.count("tags/list"); n != 5 {
		t.Errorf("%d pages of tags were asked for, want 5 once", n)
	}
	ref := ociRef(url, "")
	ref.Name = "wob"
	_, err := s.Resolve(t.Context(), ref, c)
	wantKind(t, err, chart.RepositoryNotFound, "no such repository")
	ref.Version = "1.0.0"
	_, err = s.Resolve(t.Context(), ref, c)
	wantKind(t, err, chart.RepositoryNotFound, "no such repository")
	if strings.Contains(err.Error(), "s3cret") {
		t.Errorf("the server's words are in %v", err)
	}
}

// A tag that moves is a new revision.
func TestMovingTag(t *testing.T) {
	ca := newAuthority(t)
	r := newRegistry("team/charts/web")
	r.push(t, "latest", pack(t, "web", "1.0.0", nil))
	url, log := ca.serve(t, r.ServeHTTP)
	s := newStore(t, chart.Options{})
	c := chart.Credentials{CABundle: ca.pem}
	first, _, err := get(t, s, ociRef(url, "latest"), c)
	if err != nil {
		t.Fatal(err)
	}
	if again, _, err := get(t, s, ociRef(url, "latest"), c); err != nil || again != first || log.count("") != 3 {
		t.Errorf("unmoved: %v, %v, %d requests", again, err, log.count(""))
	}
	r.push(t, "latest", pack(t, "web", "1.1.0", nil))
	second, tree, err := get(t, s, ociRef(url, "latest"), c)
	if err != nil || second.Digest == first.Digest || !strings.Contains(readFile(t, tree, "Chart.yaml"), "1.1.0") {
		t.Errorf("moved: %v, %v", second, err)
	}
}

func TestRegistryAuthentication(t *testing.T) {
	ca := newAuthority(t)
	const token = "t0ken-of-the-realm"
	realmAsked := &atomic.Int32{}
	realm, realmLog := ca.serve(t, func(w http.ResponseWriter, q *http.Request) {
		realmAsked.Add(1)
		q.ParseForm()
		u, p, _ := q.BasicAuth()
		switch {
		case u == "ada" && p == "s3cret" || q.Form.Get("refresh_token") == "r3fresh":
			if q.Form.Get("scope") != "repository:team/charts/web:pull" || q.Form.Get("service") != "charts" {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			fmt.Fprintf(w, `{"token":%q,"access_token":%q}`, token, token)
		default:
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprintf(w, `{"errors":[{"code":"DENIED","message":"%s is wrong"}]}`, p)
		}
	})
	byToken, byBasic := newRegistry("team/charts/web"), newRegistry("team/charts/web")
	byToken.challenge = `Bearer realm="` + realm + `/token",service="charts",scope="repository:team/charts/web:pull"`
	byToken.check = func(q *http.Request) bool { return q.Header.Get("Authorization") == "Bearer "+token }
	byBasic.challenge = `Basic realm="charts"`
	byBasic.check = basic("ada", "s3cret")
	byToken.push(t, "1.0.0", pack(t, "web", "1.0.0", nil))
	byBasic.push(t, "1.0.0", pack(t, "web", "1.0.0", nil))
	tokenURL, tokenLog := ca.serve(t, byToken.ServeHTTP)
	basicURL, _ := ca.serve(t, byBasic.ServeHTTP)
	host := func(u string) string { return strings.TrimPrefix(u, "https://") }
	certPEM, keyPEM := ca.issue(t)
	s := newStore(t, chart.Options{})
	for _, tt := range []struct {
		why, url string
		creds    chart.Credentials
		kind     chart.Kind
		says     string
	}{
		{"a password for a token", tokenURL, chart.Credentials{Username: "ada", Password: "s3cret", ClientCert: certPEM, ClientKey: keyPEM}, "", ""},
		{"a wrong password for a token", tokenURL, chart.Credentials{Username: "ada", Password: "wr0ng-word"}, chart.AuthenticationFailed, "refused"},
		{"nothing for a token", tokenURL, chart.Credentials{}, chart.AuthenticationFailed, "asks for credentials"},
		{"a token at hand", tokenURL, chart.Credentials{BearerToken: token}, "", ""},
		{"a docker configuration", tokenURL, chart.Credentials{DockerConfig: fmt.Sprintf(`{"auths":{"https://%s/v2/":{"username":"ada","password":"s3cret"}}}`, host(tokenURL))}, "", ""},
		{"a token to exchange", tokenURL, chart.Credentials{DockerConfig: fmt.Sprintf(`{"auths":{%q:{"identitytoken":"r3fresh"}}}`, host(tokenURL)+"/team")}, "", ""},
		{"a docker configuration for others", tokenURL, chart.Credentials{DockerConfig: `{"auths":{"example.com":{"username":"ada","password":"s3cret"}}}`}, chart.AuthenticationFailed, ""},
		{"basic", basicURL, chart.Credentials{Username: "ada", Password: "s3cret"}, "", ""},
		{"a wrong password, basic", basicURL, chart.Credentials{Username: "ada", Password: "wr0ng-word"}, chart.AuthenticationFailed, "refused"},
		{"nothing, basic", basicURL, chart.Credentials{}, chart.AuthenticationFailed, "asks for credentials"},
		{"a token where a password is asked for", basicURL, chart.Credentials{BearerToken: token}, chart.AuthenticationFailed, "as the registry asks"},
	} {
		c := tt.creds
		c.CABundle = ca.pem
		for _, version := range []string{"1.0.0", "1.x"} {
			_, _, err := get(t, s, ociRef(tt.url, version), c)
			if tt.kind == "" && err != nil {
				t.Errorf("%s: %v", tt.why, err)
			} else if tt.kind != "" {
				wantKind(t, err, tt.kind, tt.says)
			}
			for _, secret := range []string{"s3cret", "wr0ng-word", token, "r3fresh"} {
				if strings.Contains(fmt.Sprint(err), secret) {
					t.Errorf("%s: a secret is in %v", tt.why, err)
				}
			}
		}
	}
	for _, got := range realmLog.secrets() {
		if strings.Contains(got, "certificate") {
			t.Errorf("the client certificate came to the realm: %s", got)
		}
	}
	for _, got := range tokenLog.secrets() {
		if strings.Contains(got, "Basic") {
			t.Errorf("the password came to the registry that asked for a token: %s", got)
		}
	}
}

// Where a challenge leads, and where it does not.
func TestHostileChallenges(t *testing.T) {
	ca := newAuthority(t)
	var plainSecrets atomic.Int32
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		plainSecrets.Add(1)
	}))
	defer plain.Close()
	catcher, caught := ca.serve(t, func(w http.ResponseWriter, q *http.Request) {
		switch {
		case strings.HasPrefix(q.URL.Path, "/redirecting"):
			http.Redirect(w, q, plain.URL, http.StatusTemporaryRedirect)
		case strings.HasPrefix(q.URL.Path, "/v2"): // it asks for what is not its own
			w.Header().Set("WWW-Authenticate", `Basic realm="me too"`)
			w.WriteHeader(http.StatusUnauthorized)
		default:
			io.WriteString(w, `{"token":"x"}`)
		}
	})
	r := newRegistry("team/charts/web")
	r.check = func(*http.Request) bool { return false }
	url, _ := ca.serve(t, r.ServeHTTP)
	s := newStore(t, chart.Options{})
	c := chart.Credentials{CABundle: ca.pem, Username: "ada", Password: "s3cret"}
	for _, tt := range []struct {
		challenge string
		kind      chart.Kind
	}{
		{`Bearer realm="` + plain.URL + `"`, chart.AuthenticationFailed},
		{`Bearer realm="file:///etc/passwd"`, chart.AuthenticationFailed},
		{`Bearer realm="https://169.254.169.254/token"`, chart.AddressBlocked},
		{`Bearer realm="` + strings.Replace(catcher, "127.0.0.1", "127.0.0.2", 1) + `"`, chart.AddressBlocked},
		{`Bearer realm="` + catcher + `/redirecting"`, ""},
		{`Bearer`, ""},
		{`Negotiate`, chart.AuthenticationFailed},
		{"", chart.AuthenticationFailed},
	} {
		r.mu.Lock()
		r.challenge = tt.challenge
		r.mu.Unlock()
		_, _, err := get(t, s, ociRef(url, "1.0.0"), c)
		if err == nil || tt.kind != "" && !chart.IsKind(err, tt.kind) {
			t.Errorf("%s: %v", tt.challenge, err)
		}
		if strings.Contains(fmt.Sprint(err), "s3cret") {
			t.Errorf("a secret is in %v", err)
		}
	}
	if n := plainSecrets.Load(); n != 0 {
		t.Errorf("%d requests over plain http", n)
	}

	// A registry that redirects to a host which asks for credentials.
	before := len(caught.secrets())
	redirecting, _ := ca.serve(t, func(w http.ResponseWriter, q *http.Request) {
		http.Redirect(w, q, catcher+q.URL.Path, http.StatusTemporaryRedirect)
	})
	_, _, err := get(t, s, ociRef(redirecting, "1.0.0"), c)
	wantKind(t, err, chart.AuthenticationFailed, "")
	if got := caught.secrets()[before:]; len(got) > 0 {
		t.Errorf("credentials went where a redirect led: %v", got)
	}
}

func TestBlobRedirect(t *testing.T) {
	ca := newAuthority(t)
	r := newRegistry("team/charts/web")
	archive := pack(t, "web", "1.0.0", nil)
	layer, _ := r.push(t, "1.0.0", archive)
	storage, stored := ca.serve(t, func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Query().Get("X-Signature") == "" || q.Header.Get("Authorization") != "" { // as the storage of clouds does
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.Write(archive)
	})
	broken, _ := ca.serve(t, func(w http.ResponseWriter, q *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, "s3cret of the server")
	})
	r.blobsAt = storage
	r.challenge, r.check = `Basic realm="x"`, basic("ada", "s3cret")
	url, _ := ca.serve(t, r.ServeHTTP)
	certPEM, keyPEM := ca.issue(t)
	s := newStore(t, chart.Options{Limits: chart.Limits{Memory: 1}})
	c := chart.Credentials{CABundle: ca.pem, Username: "ada", Password: "s3cret", ClientCert: certPEM, ClientKey: keyPEM}
	rev, _, err := get(t, s, ociRef(url, "1.0.0"), c)
	if err != nil || rev.Digest != layer {
		t.Fatal(rev, err)
	}
	if got := stored.secrets(); len(got) > 0 || stored.count("") != 1 {
		t.Errorf("%d requests came to the storage, with %v", stored.count(""), got)
	}
	r.blobsAt = broken
	fresh := newStore(t, chart.Options{})
	_, _, err = get(t, fresh, ociRef(url, "1.0.0"), c)
	wantKind(t, err, chart.AuthenticationFailed, "403")
	if strings.Contains(err.Error(), "s1gnature") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("a secret is in %v", err)
	}
}

func TestHostileRegistry(t *testing.T) {
	ca := newAuthority(t)
	archive := pack(t, "web", "1.0.0", nil)
	layer := map[string]any{"mediaType": layerType, "digest": "sha256:" + sum(archive), "size": len(archive)}
	config := map[string]any{"mediaType": configType}
	r := newRegistry("team/charts/web")
	_, digest := r.push(t, "1.0.0", archive)
	r.pushManifest(t, "image", map[string]any{"config": map[string]any{"mediaType": "application/vnd.oci.image.config.v1+json"}}, nil)
	r.pushManifest(t, "index", map[string]any{"manifests": []any{layer}}, nil)
	r.pushManifest(t, "two", map[string]any{"config": config, "layers": []any{layer, layer}}, nil)
	r.pushManifest(t, "none", map[string]any{"config": config}, nil)
	r.pushManifest(t, "huge", map[string]any{"config": config, "layers": []any{map[string]any{"mediaType": layerType, "digest": layer["digest"], "size": 1 << 40}}}, nil)
	r.pushManifest(t, "odd", map[string]any{"config": config, "layers": []any{map[string]any{"mediaType": layerType, "digest": "md5:../../x", "size": 1}}}, nil)
	r.pushManifest(t, "gone", map[string]any{"config": config, "layers": []any{map[string]any{"mediaType": layerType, "digest": "sha256:" + strings.Repeat("1", 64), "size": 1}}}, nil)
	r.manifests["page"] = []byte("<html>")
	r.manifests["endless"] = []byte(strings.Repeat(" ", 5<<20))
	r.pushManifest(t, "swapped", map[string]any{"config": config, "layers": []any{map[string]any{"mediaType": layerType, "digest": "sha256:" + strings.Repeat("2", 64), "size": 1}}}, nil)
	r.blobs["sha256:"+strings.Repeat("2", 64)] = archive
	r.manifests["sha256:"+strings.Repeat("3", 64)] = r.manifests["1.0.0"]
	url, log := ca.serve(t, r.ServeHTTP)
	s := newStore(t, chart.Options{Limits: chart.Limits{Tags: 50, TagPages: 4}})
	c := chart.Credentials{CABundle: ca.pem}
	for _, tt := range []struct {
		version string
		kind    chart.Kind
		says    string
	}{
		{"image", chart.ChartInvalid, "application/vnd.oci.image.config"},
		{"index", chart.ChartInvalid, "index of images"},
		{"two", chart.ChartInvalid, "2 layers"},
		{"none", chart.ChartInvalid, "0 layers"},
		{"huge", chart.ChartTooLarge, "bytes"},
		{"odd", chart.ChartInvalid, "SHA-256"},
		{"gone", chart.ChartNotFound, "no longer has"},
		{"page", chart.UnexpectedAnswer, "JSON"},
		{"endless", chart.RepositoryTooLarge, "manifest"},
		{"swapped", chart.DigestMismatch, sum(archive)},
		{"sha256:" + strings.Repeat("3", 64), chart.DigestMismatch, digest},
	} {
		_, _, err := get(t, s, ociRef(url, tt.version), c)
		wantKind(t, err, tt.kind, tt.says)
	}

	other, otherLog := ca.serve(t, r.ServeHTTP)
	for _, tt := range []struct {
		next string
		kind chart.Kind
	}{
		{"<" + other + `/v2/team/charts/web/tags/list>; rel="next"`, chart.UnexpectedAnswer},
		{"no link", chart.UnexpectedAnswer},
		{`<?last=0>; rel="next"`, chart.RepositoryTooLarge}, // itself, for ever
	} {
		r.mu.Lock()
		r.next = tt.next
		r.mu.Unlock()
		_, _, err := get(t, s, ociRef(url, "1.x"), c)
		wantKind(t, err, tt.kind, "")
	}
	r.mu.Lock()
	r.next = ""
	for i := range 60 {
		r.tags = append(r.tags, fmt.Sprintf("1.0.%d", i))
	}
	r.mu.Unlock()
	_, _, err := get(t, s, ociRef(url, "1.x"), c)
	wantKind(t, err, chart.RepositoryTooLarge, "more than 50 tags")
	if n := otherLog.count(""); n != 0 {
		t.Errorf("%d requests went to another host", n)
	}
	if n := log.count("tags/list"); n > 10 {
		t.Errorf("%d pages were asked for", n)
	}
}

// An index may name archives in a registry, as some public ones do.
func TestIndexThatLeadsToARegistry(t *testing.T) {
	ca := newAuthority(t)
	archive := pack(t, "web", "1.0.0", nil)
	reg := newRegistry("team/charts/web")
	reg.push(t, "1.0.0", archive)
	regURL, regLog := ca.serve(t, reg.ServeHTTP)
	guarded := newRegistry("team/charts/web")
	guarded.push(t, "1.0.0", archive)
	guarded.challenge, guarded.check = `Basic realm="x"`, basic("ada", "s3cret")
	guardedURL, _ := ca.serve(t, guarded.ServeHTTP)
	oci := func(url string) string { return "oci" + strings.TrimPrefix(url, "https") + "/team/charts/web" }
	r := &repo{check: basic("ada", "s3cret")}
	r.add(t, "web", "1.0.0", oci(regURL)+":1.0.0", archive)
	r.add(t, "nodigest", "1.0.0", oci(regURL)+":1.0.0", nil)
	r.index = strings.Replace(r.index, "    digest: "+sum(nil)+"\n", "", 1)
	r.add(t, "gone", "1.0.0", oci(regURL)+":9.9.9", nil)
	r.index = strings.Replace(r.index, "    digest: "+sum(nil)+"\n", "", 1)
	r.add(t, "odd", "1.0.0", "oci://x", archive)
	r.add(t, "guarded", "1.0.0", oci(guardedURL)+":1.0.0", pack(t, "guarded", "1.0.0", nil))
	guarded.push(t, "1.0.0", pack(t, "guarded", "1.0.0", nil))
	url, _ := ca.serve(t, r.ServeHTTP)
	s := newStore(t, chart.Options{})
	c := chart.Credentials{CABundle: ca.pem, Username: "ada", Password: "s3cret"}
	for _, name := range []string{"web", "nodigest"} {
		rev, _, err := get(t, s, chart.Ref{Repo: url, Name: name}, c)
		if err != nil || rev.Digest != "sha256:"+sum(archive) {
			t.Errorf("%s: %v, %v", name, rev, err)
		}
	}
	if got := regLog.secrets(); len(got) > 0 {
		t.Errorf("credentials came to the registry: %v", got)
	}
	_, _, err := get(t, s, chart.Ref{Repo: url, Name: "gone"}, c)
	wantKind(t, err, chart.ChartNotFound, "not there")
	_, _, err = get(t, s, chart.Ref{Repo: url, Name: "odd"}, c)
	wantKind(t, err, chart.IndexInvalid, "registry")
	_, _, err = get(t, s, chart.Ref{Repo: url, Name: "guarded"}, c)
	wantKind(t, err, chart.AuthenticationFailed, "")
	c.PassCredentials = true
	if _, _, err = get(t, s, chart.Ref{Repo: url, Name: "guarded"}, c); err != nil {
		t.Errorf("passed on: %v", err)
	}
}

func TestPlainRegistry(t *testing.T) {
	r := newRegistry("team/charts/web")
	r.push(t, "1.0.0", pack(t, "web", "1.0.0", nil))
	srv := httptest.NewServer(r)
	defer srv.Close()
	s := newStore(t, chart.Options{})
	ref := ociRef("https"+strings.TrimPrefix(srv.URL, "http"), "1.0.0")
	_, _, err := get(t, s, ref, chart.Credentials{})
	wantKind(t, err, chart.HostUnreachable, "TLS")
	if _, _, err := get(t, s, ref, chart.Credentials{PlainHTTP: true}); err != nil {
		t.Error(err)
	}
}

// What comes from elsewhere, or is made up, is refused or verified.
func TestFetchOfAnything(t *testing.T) {
	ca := newAuthority(t)
	r := &repo{}
	archive := pack(t, "web", "1.0.0", nil)
	r.add(t, "web", "1.0.0", "", archive)
	url, _ := ca.serve(t, r.ServeHTTP)
	s := newStore(t, chart.Options{})
	c := chart.Credentials{CABundle: ca.pem}
	good := chart.Revision{Repo: url, Name: "web", Version: "1.0.0", Digest: "sha256:" + sum(archive), URL: url + "/web-1.0.0.tgz"}
	if _, err := s.Fetch(t.Context(), good, c); err != nil {
		t.Errorf("a revision that was kept: %v", err)
	}
	for _, change := range []func(*chart.Revision){
		func(r *chart.Revision) { r.Digest = "" },
		func(r *chart.Revision) { r.Digest = "sha256:../../" + strings.Repeat("a", 58) },
		func(r *chart.Revision) { r.Digest = "sha256:" + strings.Repeat("a", 64) },
		func(r *chart.Revision) {
			r.URL = "http" + strings.TrimPrefix(r.URL, "https")
			r.Digest = "sha256:" + strings.Repeat("b", 64)
		},
		func(r *chart.Revision) { r.URL = "file:///etc/passwd"; r.Digest = "sha256:" + strings.Repeat("c", 64) },
		func(r *chart.Revision) { r.URL = "\x00"; r.Digest = "sha256:" + strings.Repeat("d", 64) },
		func(r *chart.Revision) { r.Repo = "" },
		func(r *chart.Revision) { r.Name = "../x" },
	} {
		rev := good
		change(&rev)
		var e *chart.Error
		if _, err := s.Fetch(t.Context(), rev, c); !errors.As(err, &e) {
			t.Errorf("%+v: %v", rev, err)
		}
	}
}
