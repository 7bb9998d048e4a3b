package chart_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"abide.dev/abide/internal/snapshot/targz"
	"abide.dev/abide/internal/source/chart"
)

var quiet = log.New(io.Discard, "", 0)

func TestAuthentication(t *testing.T) {
	ca := newAuthority(t)
	private := &repo{check: basic("ada", "s3cret/+word")}
	private.add(t, "web", "1.0.0", "", pack(t, "web", "1.0.0", nil))
	url, _ := ca.serve(t, private.ServeHTTP)
	token := &repo{check: func(r *http.Request) bool { return r.Header.Get("Authorization") == "Bearer tok3n-value" }}
	token.add(t, "web", "1.0.0", "", pack(t, "web", "1.0.0", nil))
	tokenURL, _ := ca.serve(t, token.ServeHTTP)
	host := strings.TrimPrefix(url, "https://")
	docker := func(host, password string) string {
		return fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, host, base64.StdEncoding.EncodeToString([]byte("ada:"+password)))
	}
	s := newStore(t, chart.Options{})
	for _, tt := range []struct {
		why, url string
		creds    chart.Credentials
		want     chart.Kind
		says     string
	}{
		{"the right password", url, chart.Credentials{Username: "ada", Password: "s3cret/+word"}, "", ""},
		{"a wrong password", url, chart.Credentials{Username: "ada", Password: "wr0ng-word"}, chart.AuthenticationFailed, "refused the credentials"},
		{"none", url, chart.Credentials{}, chart.AuthenticationFailed, "asks for credentials"},
		{"the right token", tokenURL, chart.Credentials{BearerToken: "tok3n-value"}, "", ""},
		{"a wrong token", tokenURL, chart.Credentials{BearerToken: "wr0ng-token"}, chart.AuthenticationFailed, "refused"},
		{"a docker configuration", url, chart.Credentials{DockerConfig: docker(host, "s3cret/+word")}, "", ""},
		{"one of another host", url, chart.Credentials{DockerConfig: docker("example.com", "s3cret/+word")}, chart.AuthenticationFailed, ""},
		{"one with a wrong password", url, chart.Credentials{DockerConfig: docker(host, "wr0ng-word")}, chart.AuthenticationFailed, ""},
		{"one that is none", url, chart.Credentials{DockerConfig: `s3cret/+word`}, chart.CredentialsInvalid, "docker configuration"},
		{"password and token", url, chart.Credentials{Password: "s3cret/+word", BearerToken: "tok3n-value"}, chart.CredentialsInvalid, "both"},
		{"a line break", url, chart.Credentials{Username: "ada", Password: "s3cret/+word\n"}, chart.CredentialsInvalid, "character"},
		{"a bundle that is none", url, chart.Credentials{CABundle: "nothing"}, chart.CredentialsInvalid, "PEM"},
		{"a certificate without key", url, chart.Credentials{ClientCert: "x"}, chart.CredentialsInvalid, "key"},
		{"a certificate that is none", url, chart.Credentials{ClientCert: "x", ClientKey: "y"}, chart.CredentialsInvalid, "PEM"},
		{"a proxy that is none", url, chart.Credentials{Proxy: "ftp://x"}, chart.CredentialsInvalid, "proxies"},
	} {
		c := tt.creds
		if c.CABundle == "" {
			c.CABundle = ca.pem
		}
		rev, tree, err := get(t, s, chart.Ref{Repo: tt.url + "/charts", Name: "web"}, c)
		if tt.want != "" {
			wantKind(t, err, tt.want, tt.says)
			for _, secret := range []string{"s3cret", "wr0ng", "tok3n"} {
				if strings.Contains(fmt.Sprint(err), secret) {
					t.Errorf("%s: the error has a secret: %v", tt.why, err)
				}
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tt.why, err)
			continue
		}
		if rev.Version != "1.0.0" || !strings.Contains(readFile(t, tree, "Chart.yaml"), "version: 1.0.0") {
			t.Errorf("%s: %v", tt.why, rev)
		}
	}
}

func TestTLS(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	r := &repo{}
	r.add(t, "web", "1.0.0", "", pack(t, "web", "1.0.0", nil))
	url, _ := ca.serve(t, r.ServeHTTP)
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	mutual, _ := ca.serveTLS(t, r.ServeHTTP, &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool})
	certPEM, keyPEM := ca.issue(t)
	s := newStore(t, chart.Options{})
	for _, tt := range []struct {
		why, url string
		creds    chart.Credentials
		want     chart.Kind
	}{
		{"its authority", url, chart.Credentials{CABundle: ca.pem}, ""},
		{"the system's authorities", url, chart.Credentials{}, chart.CertificateInvalid},
		{"another authority", url, chart.Credentials{CABundle: other.pem}, chart.CertificateInvalid},
		{"a client certificate", mutual, chart.Credentials{CABundle: ca.pem, ClientCert: certPEM, ClientKey: keyPEM}, ""},
		{"no client certificate", mutual, chart.Credentials{CABundle: ca.pem}, chart.AuthenticationFailed},
	} {
		_, _, err := get(t, s, chart.Ref{Repo: tt.url, Name: "web"}, tt.creds)
		if tt.want != "" {
			wantKind(t, err, tt.want, "")
		} else if err != nil {
			t.Errorf("%s: %v", tt.why, err)
		}
	}
}

func TestPlainHTTP(t *testing.T) {
	r := &repo{}
	r.add(t, "web", "1.0.0", "", pack(t, "web", "1.0.0", nil))
	srv := httptest.NewServer(r)
	defer srv.Close()
	s := newStore(t, chart.Options{})
	ref := chart.Ref{Repo: srv.URL, Name: "web"}
	_, _, err := get(t, s, ref, chart.Credentials{})
	wantKind(t, err, chart.InsecureTransport, "plain http")
	if _, _, err = get(t, s, ref, chart.Credentials{PlainHTTP: true, Username: "a", Password: "b"}); err != nil {
		t.Errorf("allowed, and on this machine: %v", err)
	}
	_, _, err = get(t, s, chart.Ref{Repo: "http://example.com/charts", Name: "web"}, chart.Credentials{PlainHTTP: true, Password: "s3cret"})
	wantKind(t, err, chart.InsecureTransport, "no credentials")
	_, _, err = get(t, s, chart.Ref{Repo: "oci://example.com/charts/web"}, chart.Credentials{PlainHTTP: true, Password: "s3cret"})
	wantKind(t, err, chart.InsecureTransport, "no credentials")
	_, _, err = get(t, s, chart.Ref{Repo: "https" + strings.TrimPrefix(srv.URL, "http"), Name: "web"}, chart.Credentials{})
	wantKind(t, err, chart.HostUnreachable, "TLS")
}

// An unchanged index costs one small answer, also after a restart.
func TestIndexIsConditional(t *testing.T) {
	ca := newAuthority(t)
	r := &repo{etag: true}
	r.add(t, "web", "1.0.0", "", pack(t, "web", "1.0.0", nil))
	var full, unchanged atomic.Int32
	url, log := ca.serve(t, func(w http.ResponseWriter, q *http.Request) {
		rec := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		r.ServeHTTP(rec, q)
		switch {
		case !strings.HasSuffix(q.URL.Path, "index.yaml"):
		case rec.status == http.StatusNotModified:
			unchanged.Add(1)
		default:
			full.Add(1)
		}
	})
	dir, c, ref := t.TempDir(), chart.Credentials{CABundle: ca.pem}, chart.Ref{Repo: url + "/c", Name: "web"}
	s, err := chart.New(chart.Options{Dir: dir, FreshFor: -1, AllowAddresses: loopback})
	if err != nil {
		t.Fatal(err)
	}
	expect := func(what string, wantFull, wantUnchanged int32) {
		t.Helper()
		if _, _, err := get(t, s, ref, c); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if f, u := full.Load(), unchanged.Load(); f != wantFull || u != wantUnchanged {
			t.Errorf("%s: %d whole answers and %d unchanged, want %d and %d", what, f, u, wantFull, wantUnchanged)
		}
	}
	expect("the first", 1, 0)
	expect("the second", 1, 1)
	s.Close()
	if s, err = chart.New(chart.Options{Dir: dir, FreshFor: -1, AllowAddresses: loopback}); err != nil {
		t.Fatal(err)
	}
	expect("after a restart", 1, 2)
	if n := log.count(".tgz"); n != 1 {
		t.Errorf("the archive was fetched %d times", n)
	}
	r.add(t, "web", "1.1.0", "", pack(t, "web", "1.1.0", nil))
	expect("after a change", 2, 2)
	s.Close()
	// Somebody wrote into the file: it counts as missing, and is asked for whole.
	for _, name := range glob(t, dir, "index-*.yaml") {
		if err := os.WriteFile(name, []byte("apiVersion: v1\nentries: {}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if s, err = chart.New(chart.Options{Dir: dir, FreshFor: -1, AllowAddresses: loopback}); err != nil {
		t.Fatal(err)
	}
	expect("damaged at the start", 3, 2)
	for _, name := range glob(t, dir, "index-*.yaml") {
		if err := os.WriteFile(name, []byte(strings.Repeat("x", 900)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ref.Name = "db" // not read yet
	r.add(t, "db", "1.0.0", "", pack(t, "db", "1.0.0", nil))
	expect("damaged, and changed", 4, 2)
	for _, name := range glob(t, dir, "index-*.yaml") {
		if err := os.WriteFile(name, []byte(strings.Repeat("x", 900)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ref.Name = "web" // in the index, and not read of this one yet
	expect("damaged while it is in use", 5, 3)
	s.Close()
	for _, name := range glob(t, dir, "*") {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", name, info.Mode())
		}
	}
}

func glob(t *testing.T, dir, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: %v", pattern, err)
	}
	return names
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func TestFreshFor(t *testing.T) {
	ca := newAuthority(t)
	r := &repo{}
	r.add(t, "web", "1.0.0", "", pack(t, "web", "1.0.0", nil))
	url, log := ca.serve(t, r.ServeHTTP)
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := newStore(t, chart.Options{FreshFor: time.Minute, Now: func() time.Time { return now }})
	c, ref := chart.Credentials{CABundle: ca.pem}, chart.Ref{Repo: url, Name: "web"}
	ask := func(want int, why string) {
		t.Helper()
		if _, err := s.Resolve(t.Context(), ref, c); err != nil {
			t.Fatal(err)
		}
		if n := log.count("index.yaml"); n != want {
			t.Errorf("%s: asked %d times, want %d", why, n, want)
		}
	}
	ask(1, "the first")
	ask(1, "fresh")
	ref.Name, ref.Version = "web", "1.x"
	ask(1, "another range")
	now = now.Add(time.Minute)
	ask(2, "no longer fresh")
	s.Expire(ref)
	ask(3, "expired")
	bad := chart.Credentials{CABundle: ca.pem, Username: "x", Password: "y"}
	r.mu.Lock()
	r.check = func(*http.Request) bool { return false }
	r.mu.Unlock()
	for range 3 {
		_, err := s.Resolve(t.Context(), ref, bad)
		wantKind(t, err, chart.AuthenticationFailed, "")
	}
	if n := log.count("index.yaml"); n != 4 {
		t.Errorf("a refusal was asked for %d times", n-3)
	}
}

func TestVersions(t *testing.T) {
	ca := newAuthority(t)
	r := &repo{}
	for _, v := range []string{"1.2.0", "1.10.0", "2.0.0-rc.1", "1.9.9", "1.10.0+b1", "1.10.0+b2", "0.9.0"} {
		r.add(t, "web", v, "", pack(t, "web", v, nil))
	}
	r.add(t, "beta", "0.1.0-alpha", "", pack(t, "beta", "0.1.0-alpha", nil))
	r.add(t, "broken", "no-version", "", pack(t, "broken", "0", nil))
	url, _ := ca.serve(t, r.ServeHTTP)
	s := newStore(t, chart.Options{FreshFor: time.Hour})
	for _, tt := range []struct {
		name, version, want string
		kind                chart.Kind
		says, why           string
	}{
		{"web", "", "1.10.0+b2", "", "", "newest that is no prerelease, with the greater build"},
		{"web", "1.10.0", "1.10.0", "", "", "the very text"},
		{"web", "1.10.0+b1", "1.10.0+b1", "", "", "the very text, with a build"},
		{"web", "v1.2.0", "1.2.0", "", "", "with a v"},
		{"web", "1.x", "1.10.0+b2", "", "", "a range"},
		{"web", "~1.2", "1.2.0", "", "", "a range"},
		{"web", ">=1.2.0 <1.10.0", "1.9.9", "", "", "a range of two"},
		{"web", ">=1.2.0-0", "2.0.0-rc.1", "", "", "a range with prereleases"},
		{"web", "2.0.0-rc.1", "2.0.0-rc.1", "", "", "a prerelease by name"},
		{"web", "^3", "", chart.VersionNotFound, "1.10.0+b2", "nothing in the range: says what there is"},
		{"web", "1.2.1", "", chart.VersionNotFound, "no version 1.2.1", "not there"},
		{"beta", "", "", chart.VersionNotFound, "0.1.0-alpha", "prereleases only"},
		{"web", "latest", "", chart.VersionInvalid, "latest", "a tag is for registries"},
		{"web", strings.Repeat("1", 300), "", chart.VersionInvalid, "longer", "long"},
		{"broken", "", "", chart.VersionNotFound, "no version at all", "versions that are none are left out"},
		{"wob", "", "", chart.ChartNotFound, "it has web", "misspelt"},
		{"entirely-other", "", "", chart.ChartNotFound, "none of its 3 charts", "not there"},
		{"", "", "", chart.ChartNotFound, "none is named", "no name"},
		{"../x", "", "", chart.ChartNotFound, "cannot be the name", "no name of a chart"},
	} {
		rev, err := s.Resolve(t.Context(), chart.Ref{Repo: url, Name: tt.name, Version: tt.version}, chart.Credentials{CABundle: ca.pem})
		if tt.kind != "" {
			wantKind(t, err, tt.kind, tt.says)
		} else if err != nil || rev.Version != tt.want {
			t.Errorf("%s %q: %v, %v, want %s: %s", tt.name, tt.version, rev, err, tt.want, tt.why)
		}
	}
}

// The same version with another content is another revision, which is fetched.
func TestChangedContent(t *testing.T) {
	ca := newAuthority(t)
	r := &repo{}
	r.add(t, "web", "1.0.0", "", pack(t, "web", "1.0.0", map[string]string{"values.yaml": "a: 1\n"}))
	url, _ := ca.serve(t, r.ServeHTTP)
	s := newStore(t, chart.Options{})
	c, ref := chart.Credentials{CABundle: ca.pem}, chart.Ref{Repo: url, Name: "web", Version: "1.0.0"}
	first, tree, err := get(t, s, ref, c)
	if err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	r.index = ""
	r.mu.Unlock()
	r.add(t, "web", "1.0.0", "", pack(t, "web", "1.0.0", map[string]string{"values.yaml": "a: 2\n"}))
	second, changed, err := get(t, s, ref, c)
	if err != nil {
		t.Fatal(err)
	}
	if first == second || first.Digest == second.Digest || tree.Hash() == changed.Hash() {
		t.Errorf("%v and %v", first, second)
	}
	if got := readFile(t, changed, "values.yaml"); got != "a: 2\n" {
		t.Errorf("the content is %q", got)
	}
	if again, err := s.Fetch(t.Context(), first, c); err != nil || again.Hash() != tree.Hash() {
		t.Errorf("the first is no longer there: %v", err)
	}
}

// An index that does not say the digest: the archive says it, once per index.
func TestIndexWithoutDigest(t *testing.T) {
	ca := newAuthority(t)
	r := &repo{}
	archive := pack(t, "web", "1.0.0", nil)
	r.add(t, "web", "1.0.0", "", archive)
	r.index = strings.Replace(r.index, "    digest: "+sum(archive)+"\n", "", 1)
	url, log := ca.serve(t, r.ServeHTTP)
	s := newStore(t, chart.Options{})
	c, ref := chart.Credentials{CABundle: ca.pem}, chart.Ref{Repo: url, Name: "web"}
	for range 3 {
		rev, _, err := get(t, s, ref, c)
		if err != nil || rev.Digest != "sha256:"+sum(archive) {
			t.Fatal(rev, err)
		}
	}
	if n := log.count(".tgz"); n != 1 {
		t.Errorf("the archive was fetched %d times", n)
	}
	changed := pack(t, "web", "1.0.0", map[string]string{"x": "y"})
	r.mu.Lock()
	r.index += "generated: now\n"
	r.archives["web-1.0.0.tgz"] = changed
	r.mu.Unlock()
	if rev, _, err := get(t, s, ref, c); err != nil || rev.Digest != "sha256:"+sum(changed) {
		t.Errorf("after a new index: %v, %v", rev, err)
	}
}

func TestArchiveOnAnotherHost(t *testing.T) {
	ca := newAuthority(t)
	archive := pack(t, "web", "1.0.0", nil)
	another := pack(t, "web", "1.0.0", map[string]string{"another": "one"})
	store := &repo{}
	store.add(t, "web", "1.0.0", "", archive)
	storeURL, storeLog := ca.serve(t, store.ServeHTTP)
	guarded := &repo{check: basic("ada", "s3cret")}
	guarded.add(t, "web", "1.0.0", "", another)
	guardedURL, _ := ca.serve(t, guarded.ServeHTTP)
	r := &repo{check: basic("ada", "s3cret")}
	r.add(t, "web", "1.0.0", storeURL+"/files/web-1.0.0.tgz?signature=abc", archive)
	r.add(t, "guarded", "1.0.0", guardedURL+"/web-1.0.0.tgz", another)
	r.add(t, "plain", "1.0.0", "http://127.0.0.1:1/web-1.0.0.tgz", archive)
	r.add(t, "secret", "1.0.0", strings.Replace(storeURL, "://", "://u:hunter2@", 1)+"/web-1.0.0.tgz", archive)
	r.add(t, "file", "1.0.0", "file:///etc/passwd", archive)
	r.add(t, "gone", "1.0.0", storeURL+"/nothing.tgz", pack(t, "gone", "1.0.0", nil))
	url, _ := ca.serve(t, r.ServeHTTP)
	certPEM, keyPEM := ca.issue(t)
	c := chart.Credentials{CABundle: ca.pem, Username: "ada", Password: "s3cret", ClientCert: certPEM, ClientKey: keyPEM}
	s := newStore(t, chart.Options{})
	if _, _, err := get(t, s, chart.Ref{Repo: url, Name: "web"}, c); err != nil {
		t.Fatal(err)
	}
	if got := storeLog.secrets(); len(got) > 0 || storeLog.count(".tgz") != 1 {
		t.Errorf("credentials came to another host: %v", got)
	}
	for _, tt := range []struct {
		name string
		kind chart.Kind
		says string
	}{
		{"guarded", chart.AuthenticationFailed, "another host"},
		{"plain", chart.IndexInvalid, "plain http"},
		{"secret", chart.IndexInvalid, "credentials"},
		{"file", chart.IndexInvalid, "neither https"},
		{"gone", chart.ChartNotFound, "not there"},
	} {
		_, _, err := get(t, s, chart.Ref{Repo: url, Name: tt.name}, c)
		wantKind(t, err, tt.kind, tt.says)
		if strings.Contains(fmt.Sprint(err), "hunter2") {
			t.Errorf("a secret of the index is in %v", err)
		}
	}
	c.PassCredentials = true
	if _, _, err := get(t, s, chart.Ref{Repo: url, Name: "guarded"}, c); err != nil {
		t.Errorf("passed on: %v", err)
	}
	if got := fmt.Sprint(storeLog.secrets()); strings.Contains(got, "certificate") {
		t.Errorf("the client certificate was passed on: %s", got)
	}
}

func TestRedirects(t *testing.T) {
	ca := newAuthority(t)
	r := &repo{}
	archive := pack(t, "web", "1.0.0", nil)
	r.add(t, "web", "1.0.0", "", archive)
	otherURL, otherLog := ca.serve(t, r.ServeHTTP)
	plain := httptest.NewServer(r)
	defer plain.Close()
	var to atomic.Value
	url, log := ca.serve(t, func(w http.ResponseWriter, q *http.Request) {
		if strings.HasPrefix(q.URL.Path, "/moved/") {
			http.Redirect(w, q, to.Load().(string)+q.URL.Path, http.StatusFound)
			return
		}
		r.ServeHTTP(w, q)
	})
	certPEM, keyPEM := ca.issue(t)
	c := chart.Credentials{CABundle: ca.pem, Username: "ada", Password: "s3cret", ClientCert: certPEM, ClientKey: keyPEM}
	s := newStore(t, chart.Options{})
	ref := chart.Ref{Repo: url + "/moved", Name: "web"}

	to.Store(otherURL)
	if _, _, err := get(t, s, ref, c); err != nil {
		t.Fatal(err)
	}
	if got := otherLog.secrets(); len(got) > 0 || otherLog.count("") != 2 {
		t.Errorf("after a redirect to another port: %d requests, %v", otherLog.count(""), got)
	}

	// There and back again: what was dropped stays away.
	back, _ := ca.serve(t, func(w http.ResponseWriter, q *http.Request) {
		http.Redirect(w, q, url+"/back"+q.URL.Path, http.StatusFound)
	})
	to.Store(back)
	if _, _, err := get(t, s, ref, c); err != nil {
		t.Fatal(err)
	}
	log.mu.Lock()
	for _, q := range log.all {
		if strings.HasPrefix(q.URL.Path, "/back/") && q.Header.Get("Authorization") != "" {
			t.Errorf("%s came back with the credentials", q.URL.Path)
		}
	}
	log.mu.Unlock()

	to.Store("/moved/more") // without end
	_, _, err := get(t, s, ref, c)
	wantKind(t, err, chart.RedirectRefused, "more than 5")
	to.Store(plain.URL)
	_, _, err = get(t, s, ref, c)
	wantKind(t, err, chart.RedirectRefused, "leave https")
	to.Store(strings.Replace(otherURL, "://", "://u:hunter2@", 1))
	_, _, err = get(t, s, ref, c)
	wantKind(t, err, chart.RedirectRefused, "credentials")
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a secret of the redirect is in %v", err)
	}
}

func TestBounds(t *testing.T) {
	ca := newAuthority(t)
	archive := pack(t, "web", "1.0.0", nil)
	release := make(chan struct{})
	defer close(release)
	endless := func(w http.ResponseWriter, q *http.Request, head, body string) {
		io.WriteString(w, head)
		for {
			if _, err := io.WriteString(w, body); err != nil {
				return
			}
		}
	}
	url, _ := ca.serve(t, func(w http.ResponseWriter, q *http.Request) {
		switch q.URL.Path {
		case "/endless/index.yaml":
			endless(w, q, "apiVersion: v1\nentries:\n", "# nothing\n")
		case "/silent/index.yaml", "/slow/web.tgz":
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
			select {
			case <-release:
			case <-q.Context().Done():
			}
		case "/large/web.tgz":
			endless(w, q, "", strings.Repeat("x", 1000))
		case "/other/web.tgz":
			w.Write(pack(t, "web", "1.0.0", map[string]string{"evil": "x"}))
		case "/nochart/web.tgz":
			w.Write(notChart(t))
		case "/notar/web.tgz":
			io.WriteString(w, "<html>")
		case "/short/web.tgz":
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, "x")
		case "/many/web.tgz":
			w.Write(manyFiles(t))
		case "/busy/index.yaml":
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/odd/index.yaml":
			w.WriteHeader(http.StatusTeapot)
		case "/gone/index.yaml":
			http.NotFound(w, q)
		default:
			digest := sum(archive)
			switch {
			case strings.HasPrefix(q.URL.Path, "/nochart/"):
				digest = sum(notChart(t))
			case strings.HasPrefix(q.URL.Path, "/notar/"):
				digest = sum([]byte("<html>"))
			case strings.HasPrefix(q.URL.Path, "/many/"):
				digest = sum(manyFiles(t))
			}
			fmt.Fprintf(w, "apiVersion: v1\nentries:\n  web:\n  - version: 1.0.0\n    urls: [web.tgz]\n    digest: %s\n", digest)
		}
	})
	dir := t.TempDir()
	limits := chart.Limits{Index: 100 << 10, Chart: 100 << 10, Archive: targz.Limits{Entries: 20}}
	s := newStore(t, chart.Options{Dir: dir, Limits: limits})
	// These two run into their limit however long it is.
	hasty := map[string]*chart.Store{}
	limits.IndexTime = 100 * time.Millisecond
	hasty["silent"] = newStore(t, chart.Options{Limits: limits})
	limits.IndexTime, limits.ChartTime = 0, 100*time.Millisecond
	hasty["slow"] = newStore(t, chart.Options{Limits: limits})
	for _, tt := range []struct {
		path string
		kind chart.Kind
		says string
	}{
		{"endless", chart.RepositoryTooLarge, "102400 bytes"},
		{"silent", chart.FetchTimeout, "time limit"},
		{"slow", chart.FetchTimeout, "time limit"},
		{"large", chart.ChartTooLarge, "102400 bytes"},
		{"other", chart.DigestMismatch, sum(archive)},
		{"nochart", chart.ChartInvalid, "no web/Chart.yaml"},
		{"notar", chart.ChartInvalid, "gzip"},
		{"short", chart.HostUnreachable, "middle"},
		{"many", chart.ChartTooLarge, "more than 20 files"},
		{"busy", chart.HostUnreachable, "503"},
		{"odd", chart.UnexpectedAnswer, "418"},
		{"gone", chart.RepositoryNotFound, "index.yaml"},
	} {
		store := s
		if h := hasty[tt.path]; h != nil {
			store = h
		}
		_, _, err := get(t, store, chart.Ref{Repo: url + "/" + tt.path, Name: "web"}, chart.Credentials{CABundle: ca.pem})
		wantKind(t, err, tt.kind, tt.says)
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".new-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// Who asks after Expire is not given what was asked for before, and an answer
// that comes late does not undo a newer one.
func TestExpireLeavesRequestsBehind(t *testing.T) {
	ca := newAuthority(t)
	before, after := &repo{}, &repo{}
	before.add(t, "web", "1.0.0", "", pack(t, "web", "1.0.0", nil))
	after.add(t, "web", "1.0.1", "", pack(t, "web", "1.0.1", nil))
	asked, answer := make(chan struct{}), make(chan struct{})
	var indexes atomic.Int32
	url, _ := ca.serve(t, func(w http.ResponseWriter, q *http.Request) {
		switch {
		case !strings.HasSuffix(q.URL.Path, "/index.yaml"):
			after.ServeHTTP(w, q)
		case indexes.Add(1) == 1:
			close(asked)
			<-answer
			before.ServeHTTP(w, q)
		default:
			after.ServeHTTP(w, q)
		}
	})
	s := newStore(t, chart.Options{FreshFor: time.Hour})
	ref, c := chart.Ref{Repo: url, Name: "web"}, chart.Credentials{CABundle: ca.pem}
	first := make(chan chart.Revision, 1)
	go func() {
		rev, err := s.Resolve(t.Context(), ref, c)
		if err != nil {
			t.Errorf("the first: %v", err)
		}
		first <- rev
	}()
	<-asked
	s.Expire(ref)
	if rev, err := s.Resolve(t.Context(), ref, c); err != nil || rev.Version != "1.0.1" {
		t.Errorf("%v, %v, want what is there now", rev, err)
	}
	close(answer)
	if rev := <-first; rev.Version != "1.0.1" {
		t.Errorf("the late answer undid the newer: %v", rev)
	}
	if rev, _, err := get(t, s, ref, c); err != nil || rev.Version != "1.0.1" {
		t.Errorf("%v, %v", rev, err)
	}
	if n := indexes.Load(); n != 2 {
		t.Errorf("the index was asked for %d times, want 2", n)
	}
}

// The same of a registry, whose answers are kept each by itself.
func TestExpireOfARegistry(t *testing.T) {
	ca := newAuthority(t)
	reg := newRegistry("team/charts/web")
	reg.push(t, "latest", pack(t, "web", "1.0.0", nil))
	asked, answer := make(chan struct{}), make(chan struct{})
	var requests atomic.Int32
	url, _ := ca.serve(t, func(w http.ResponseWriter, q *http.Request) {
		if requests.Add(1) > 1 {
			reg.ServeHTTP(w, q)
			return
		}
		late := httptest.NewRecorder()
		reg.ServeHTTP(late, q)
		close(asked)
		<-answer
		w.Write(late.Body.Bytes())
	})
	s := newStore(t, chart.Options{FreshFor: time.Hour})
	ref, c := ociRef(url, "latest"), chart.Credentials{CABundle: ca.pem}
	first := make(chan error, 1)
	go func() {
		_, err := s.Resolve(t.Context(), ref, c)
		first <- err
	}()
	<-asked
	layer, _ := reg.push(t, "latest", pack(t, "web", "1.0.1", nil))
	s.Expire(ref)
	if rev, err := s.Resolve(t.Context(), ref, c); err != nil || rev.Digest != layer {
		t.Errorf("%v, %v, want what is there now", rev, err)
	}
	close(answer)
	if err := <-first; err != nil {
		t.Error(err)
	}
	if rev, err := s.Resolve(t.Context(), ref, c); err != nil || rev.Digest != layer || requests.Load() != 2 {
		t.Errorf("%v, %v after %d requests: the late answer undid the newer", rev, err, requests.Load())
	}
}

// notChart is an archive without a Chart.yaml at its top.
func notChart(t testing.TB) []byte {
	t.Helper()
	return packFiles(t, map[string]string{"web/README.md": "x", "web/sub/Chart.yaml": "x"})
}

func manyFiles(t testing.TB) []byte {
	t.Helper()
	files := map[string]string{"web/Chart.yaml": "x"}
	for i := range 30 {
		files[fmt.Sprintf("web/f%02d", i)] = ""
	}
	return packFiles(t, files)
}

func TestUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	s := newStore(t, chart.Options{})
	for _, repo := range []string{"https://" + address, "oci://" + address + "/web"} {
		_, _, err = get(t, s, chart.Ref{Repo: repo, Name: "web"}, chart.Credentials{})
		wantKind(t, err, chart.HostUnreachable, "refused")
		var e *chart.Error
		if !errors.As(err, &e) || !e.NoAnswer() || e.Refused() {
			t.Errorf("%#v", e)
		}
	}
	nowhere := &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("no DNS here")
	}}
	s = newStore(t, chart.Options{Resolver: nowhere})
	_, _, err = get(t, s, chart.Ref{Repo: "https://nobody.invalid/charts", Name: "web"}, chart.Credentials{})
	wantKind(t, err, chart.HostUnreachable, "nobody.invalid")
}

// An error that stays is the same each time, or those who follow a chart would
// be told again and again.
func TestErrorsAreTheSameEachTime(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Read(make([]byte, 1))       // the request is there
			c.(*net.TCPConn).SetLinger(0) // closing resets it
			c.Close()
		}
	}()
	defer l.Close()
	s := newStore(t, chart.Options{})
	ref := chart.Ref{Repo: "http://" + l.Addr().String(), Name: "web"}
	_, err = s.Resolve(t.Context(), ref, chart.Credentials{PlainHTTP: true})
	wantKind(t, err, chart.HostUnreachable, "")
	if strings.Contains(err.Error(), "->") {
		t.Errorf("the near end of the connection is in %v", err)
	}
	if _, again := s.Resolve(t.Context(), ref, chart.Credentials{PlainHTTP: true}); fmt.Sprint(again) != err.Error() {
		t.Errorf("first %v, then %v", err, again)
	}
}

// What only this machine may reach is not reached: by address, by name, after a
// redirect, through an archive's URL, or through a proxy.
func TestAddressBlocked(t *testing.T) {
	ca := newAuthority(t)
	r := &repo{}
	r.add(t, "web", "1.0.0", "", pack(t, "web", "1.0.0", nil))
	inner, innerLog := ca.serve(t, r.ServeHTTP)
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(inner, "https://"))
	s := newStore(t, chart.Options{AllowAddresses: []netip.Prefix{}})
	c := chart.Credentials{CABundle: ca.pem}
	for _, repo := range []string{
		inner, "https://localhost:" + port, "https://0.0.0.0:" + port, "https://[::ffff:127.0.0.1]:" + port,
		"oci://127.0.0.1:" + port + "/charts", "https://169.254.169.254/latest", "https://[fd00:ec2::254]/latest",
	} {
		_, _, err := get(t, s, chart.Ref{Repo: repo, Name: "web"}, c)
		wantKind(t, err, chart.AddressBlocked, "whoever runs abide can allow")
	}
	c.Proxy = "http://127.0.0.1:" + port
	_, _, err := get(t, s, chart.Ref{Repo: "https://example.com/charts", Name: "web"}, c)
	wantKind(t, err, chart.AddressBlocked, "127.0.0.1")
	if n := innerLog.count(""); n != 0 {
		t.Errorf("%d requests arrived", n)
	}

	// The outer server is allowed, at 127.0.0.1; the inner one is at 127.0.0.2.
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	reached := new(atomic.Int32)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			reached.Add(1)
			conn.Close()
		}
	}()
	defer l.Close()
	outer, _ := ca.serve(t, func(w http.ResponseWriter, q *http.Request) {
		if strings.HasPrefix(q.URL.Path, "/redirect/") {
			http.Redirect(w, q, "https://"+l.Addr().String()+q.URL.Path, http.StatusTemporaryRedirect)
			return
		}
		fmt.Fprintf(w, "apiVersion: v1\nentries:\n  web:\n  - version: 1.0.0\n    urls: [\"https://%s/web.tgz\"]\n    digest: %064d\n", l.Addr(), 0)
	})
	s = newStore(t, chart.Options{})
	c.Proxy = ""
	for _, path := range []string{"/redirect", "/archive"} {
		_, _, err := get(t, s, chart.Ref{Repo: outer + path, Name: "web"}, c)
		wantKind(t, err, chart.AddressBlocked, "127.0.0.2/32")
	}
	// Through an allowed proxy, an address is refused before the proxy is asked.
	var asked atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		asked.Add(1)
		http.Error(w, "no", http.StatusBadGateway)
	}))
	defer proxy.Close()
	c.Proxy = proxy.URL
	for _, repo := range []string{"https://127.0.0.2:" + port, "https://169.254.169.254", "https://[::1]:" + port} {
		_, _, err := get(t, s, chart.Ref{Repo: repo, Name: "web"}, c)
		wantKind(t, err, chart.AddressBlocked, "")
	}
	if reached.Load() != 0 || asked.Load() != 0 {
		t.Errorf("reached %d times, proxy asked %d times", reached.Load(), asked.Load())
	}
}

func TestProxy(t *testing.T) {
	ca := newAuthority(t)
	r := &repo{check: basic("ada", "s3cret")}
	r.add(t, "web", "1.0.0", "", pack(t, "web", "1.0.0", nil))
	url, _ := ca.serve(t, r.ServeHTTP)
	var tunnels atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		user, password, _ := strings.Cut(decode(strings.TrimPrefix(q.Header.Get("Proxy-Authorization"), "Basic ")), ":")
		if user != "p" || password != "pr0xy-word" {
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		out, err := net.Dial("tcp", q.Host)
		if err != nil || q.Method != http.MethodConnect || q.Header.Get("Authorization") != "" {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		tunnels.Add(1)
		in, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		io.WriteString(in, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { io.Copy(out, in); out.Close() }()
		io.Copy(in, out)
		in.Close()
	}))
	defer proxy.Close()
	c := chart.Credentials{CABundle: ca.pem, Username: "ada", Password: "s3cret", Proxy: strings.Replace(proxy.URL, "://", "://p:pr0xy-word@", 1)}
	s := newStore(t, chart.Options{})
	if _, _, err := get(t, s, chart.Ref{Repo: url, Name: "web"}, c); err != nil || tunnels.Load() != 2 {
		t.Errorf("%d tunnels, %v", tunnels.Load(), err)
	}
	c.Proxy = strings.Replace(proxy.URL, "://", "://p:wr0ng-word@", 1)
	_, _, err := get(t, s, chart.Ref{Repo: url, Name: "web"}, c)
	wantKind(t, err, chart.HostUnreachable, "")
	if strings.Contains(fmt.Sprint(err), "wr0ng-word") {
		t.Errorf("the error has a secret: %v", err)
	}
}

func decode(s string) string {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return ""
	}
	return string(b)
}

// Content that one has fetched is not another's: neither with other credentials
// for the same repository, nor through a repository that names the digest.
func TestAccessIsNotShared(t *testing.T) {
	ca := newAuthority(t)
	archive := pack(t, "web", "1.0.0", nil)
	r := &repo{check: basic("ada", "s3cret")}
	r.add(t, "web", "1.0.0", "", archive)
	url, log := ca.serve(t, r.ServeHTTP)
	s := newStore(t, chart.Options{})
	ada := chart.Credentials{CABundle: ca.pem, Username: "ada", Password: "s3cret"}
	rev, _, err := get(t, s, chart.Ref{Repo: url, Name: "web"}, ada)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Fetch(t.Context(), rev, ada); err != nil || log.count(".tgz") != 1 {
		t.Errorf("the second time: %v, fetched %d times", err, log.count(".tgz"))
	}
	_, err = s.Fetch(t.Context(), rev, chart.Credentials{CABundle: ca.pem})
	wantKind(t, err, chart.AuthenticationFailed, "")
	thief := &repo{}
	thief.add(t, "web", "1.0.0", "", archive)
	thief.archives = nil // it knows the digest only
	thiefURL, _ := ca.serve(t, thief.ServeHTTP)
	_, _, err = get(t, s, chart.Ref{Repo: thiefURL, Name: "web"}, chart.Credentials{CABundle: ca.pem})
	wantKind(t, err, chart.ChartNotFound, "")

	// A refusal ends it.
	r.mu.Lock()
	r.check = basic("ada", "n3w-word")
	r.mu.Unlock()
	_, err = s.Resolve(t.Context(), chart.Ref{Repo: url, Name: "web"}, ada)
	wantKind(t, err, chart.AuthenticationFailed, "")
	_, err = s.Fetch(t.Context(), rev, ada)
	wantKind(t, err, chart.AuthenticationFailed, "")
	// A host that does not answer does not.
	r.mu.Lock()
	r.check = nil
	r.mu.Unlock()
	if _, err = s.Resolve(t.Context(), chart.Ref{Repo: url, Name: "web"}, ada); err != nil {
		t.Fatal(err)
	}
	before := log.count(".tgz")
	if _, err := s.Fetch(t.Context(), rev, ada); err != nil || log.count(".tgz") != before {
		t.Errorf("allowed again: %v", err)
	}
}

func TestDamagedArchive(t *testing.T) {
	ca := newAuthority(t)
	r := &repo{}
	r.add(t, "web", "1.0.0", "", pack(t, "web", "1.0.0", nil))
	url, log := ca.serve(t, r.ServeHTTP)
	dir, c, ref := t.TempDir(), chart.Credentials{CABundle: ca.pem}, chart.Ref{Repo: url, Name: "web"}
	s := newStore(t, chart.Options{Dir: dir, Limits: chart.Limits{Memory: 1}}) // none is kept in memory
	for i, damage := range []func(name string) error{
		func(name string) error { return os.WriteFile(name, []byte("damaged"), 0o600) },
		func(name string) error { return os.Truncate(name, 10) },
		os.Remove,
		func(name string) error { return errors.Join(os.Remove(name), os.Mkdir(name, 0o700)) },
	} {
		if _, _, err := get(t, s, ref, c); err != nil {
			t.Fatal(err)
		}
		if n := log.count(".tgz"); n != i+1 {
			t.Fatalf("fetched %d times, want %d", n, i+1)
		}
		for _, name := range glob(t, dir, "archive-*") {
			if err := damage(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, _, err := get(t, s, ref, c); err != nil {
		t.Errorf("a folder in its place: %v", err)
	}
}

func TestCacheIsBounded(t *testing.T) {
	ca := newAuthority(t)
	r := &repo{}
	noise := func(n int) string { return strings.Repeat(fmt.Sprint(n), 10) + sum([]byte{byte(n)}) }
	for i := range 8 {
		body := ""
		for j := range 400 {
			body += noise(i*1000 + j)
		}
		r.add(t, fmt.Sprintf("c%d", i), "1.0.0", "", pack(t, fmt.Sprintf("c%d", i), "1.0.0", map[string]string{"x": body}))
	}
	url, log := ca.serve(t, r.ServeHTTP)
	dir, c := t.TempDir(), chart.Credentials{CABundle: ca.pem}
	const bound = 40 << 10
	s := newStore(t, chart.Options{Dir: dir, FreshFor: time.Hour, Limits: chart.Limits{Disk: bound, Memory: 1}})
	use := func(i int) {
		t.Helper()
		if _, _, err := get(t, s, chart.Ref{Repo: url, Name: fmt.Sprintf("c%d", i)}, c); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 8 {
		use(i)
		use(0) // stays, since it is in use
	}
	var total int64
	for _, name := range glob(t, dir, "*") {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		total += info.Size()
	}
	if total > bound+32 {
		t.Errorf("%d bytes on disk, at most %d", total, bound)
	}
	if n := log.count("c0-1.0.0.tgz"); n != 1 {
		t.Errorf("the one always in use was fetched %d times", n)
	}
	use(1)
	if n := log.count("c1-1.0.0.tgz"); n != 2 {
		t.Errorf("the one long not used was fetched %d times", n)
	}
	s.Close()
	tight := newStore(t, chart.Options{Dir: dir, Limits: chart.Limits{Disk: 1}})
	tight.Close()
	if left, err := filepath.Glob(filepath.Join(dir, "archive-*")); err != nil || len(left) > 0 {
		t.Errorf("a smaller bound at the next start leaves %v, %v", left, err)
	}
}

// Many who ask at once cost one request each for index and archive, and one who
// gives up does not end it for the others.
func TestShared(t *testing.T) {
	ca := newAuthority(t)
	r := &repo{}
	r.add(t, "web", "1.0.0", "", pack(t, "web", "1.0.0", nil))
	arrived, release := make(chan struct{}, 100), make(chan struct{})
	url, log := ca.serve(t, func(w http.ResponseWriter, q *http.Request) {
		arrived <- struct{}{}
		<-release
		r.ServeHTTP(w, q)
	})
	s := newStore(t, chart.Options{FreshFor: time.Hour})
	c, ref := chart.Credentials{CABundle: ca.pem}, chart.Ref{Repo: url, Name: "web"}
	impatient, giveUp := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() {
		_, err := s.Resolve(impatient, ref, c)
		gone <- err
	}()
	<-arrived
	var all sync.WaitGroup
	for range 30 {
		all.Go(func() {
			if _, _, err := get(t, s, ref, c); err != nil {
				t.Error(err)
			}
		})
	}
	giveUp()
	if err := <-gone; !errors.Is(err, context.Canceled) {
		t.Errorf("who gave up got %v", err)
	}
	close(release)
	all.Wait()
	// Who came before the others joined may have ended the first request.
	if i, a := log.count("index.yaml"), log.count(".tgz"); i > 2 || a != 1 {
		t.Errorf("%d requests for the index, %d for the archive", i, a)
	}
}

func TestClose(t *testing.T) {
	ca := newAuthority(t)
	arrived := make(chan struct{})
	url, _ := ca.serve(t, func(w http.ResponseWriter, q *http.Request) {
		close(arrived)
		<-q.Context().Done()
	})
	s := newStore(t, chart.Options{})
	got := make(chan error, 1)
	ref := chart.Ref{Repo: url, Name: "web"}
	go func() {
		_, err := s.Resolve(t.Context(), ref, chart.Credentials{CABundle: ca.pem})
		got <- err
	}()
	<-arrived
	s.Close()
	if err := <-got; !errors.Is(err, chart.ErrClosed) {
		t.Errorf("under way: %v", err)
	}
	if _, err := s.Resolve(t.Context(), ref, chart.Credentials{}); !errors.Is(err, chart.ErrClosed) {
		t.Errorf("afterwards: %v", err)
	}
}
