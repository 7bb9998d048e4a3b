package file_test

import (
	"context"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"abide.dev/abide/internal/source/file"
)

// host is a server on loopback whose answers a test sets.
type host struct {
	*httptest.Server
	mu     sync.Mutex
	serve  http.HandlerFunc
	asked  []*http.Request
	bundle string
}

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{}
	h.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.asked = append(h.asked, r)
		h.serve(w, r)
	}))
	t.Cleanup(h.Close)
	h.bundle = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw}))
	h.says("one", "e1")
	return h
}

// says has the host serve a text with an ETag.
func (h *host) says(text, etag string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.serve = func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", etag)
		if r.Header.Get("If-None-Match") == etag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		_, _ = w.Write([]byte(text))
	}
}

func (h *host) does(f http.HandlerFunc) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.serve = f
}

func (h *host) want() file.Want {
	return file.Want{URL: h.URL + "/x.yaml", Name: "x.yaml", Credentials: file.Credentials{CABundle: h.bundle}}
}

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}

func run(t *testing.T, o file.Options) *file.Poller {
	t.Helper()
	o.Dir = filepath.Join(t.TempDir(), "files")
	p, err := file.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() { defer close(over); _ = p.Run(ctx) }() // it ends with the context
	t.Cleanup(func() { cancel(); <-over })
	return p
}

func look(p *file.Poller, name string) file.State {
	<-p.Refresh(name)
	st, _ := p.State(name)
	return st
}

func content(t *testing.T, p *file.Poller, name string) string {
	t.Helper()
	tree, _, err := p.Tree(name)
	if err != nil {
		t.Fatal(err)
	}
	b, err := tree.ReadFile("x.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestFollow(t *testing.T) {
	h := newHost(t)
	told := make(chan string, 100)
	p := run(t, file.Options{AllowAddresses: loopback, Notify: func(n string) { told <- n }})
	p.Follow("a", h.want())
	if st := look(p, "a"); st.Err != nil || content(t, p, "a") != "one" || <-told != "a" {
		t.Fatalf("state %+v", st)
	}
	first := look(p, "a").Digest
	h.says("two", "e2")
	if st := look(p, "a"); st.Err != nil || st.Digest == first || content(t, p, "a") != "two" || <-told != "a" {
		t.Fatalf("after a change: %+v", st)
	}
	h.does(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	if st := look(p, "a"); reason(st.Err) != "FileNotFound" || content(t, p, "a") != "two" || <-told != "a" {
		t.Fatalf("what was good does not stay through an error: %+v", st)
	}
	h.says("two", "e2")
	if st := look(p, "a"); st.Err != nil || <-told != "a" {
		t.Fatalf("the error does not go: %+v", st)
	}
	look(p, "a")
	if len(told) > 0 {
		t.Error("it tells of what has not changed")
	}
	p.Forget("a")
	if _, ok := p.State("a"); ok {
		t.Error("it is known still")
	}
}

func TestCacheIsBoundToWhatIsFollowed(t *testing.T) {
	h := newHost(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "old"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := file.New(file.Options{Dir: dir, AllowAddresses: loopback})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() { defer close(over); _ = p.Run(ctx) }() // it ends with the context
	defer func() { cancel(); <-over }()
	held := func() int {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	if held() != 0 {
		t.Error("what was there before is there still")
	}
	p.Follow("a", h.want())
	p.Follow("b", h.want())
	look(p, "a")
	look(p, "b")
	h.says("two", "e2")
	look(p, "a")
	if held() != 2 {
		t.Errorf("%d files are held for two contents", held())
	}
	look(p, "b")
	if held() != 1 {
		t.Errorf("%d files are held for one content", held())
	}
	entries, _ := os.ReadDir(dir)
	if err := os.WriteFile(filepath.Join(dir, entries[0].Name()), []byte("other"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.Tree("a"); reason(err) != "CacheFailed" {
		t.Errorf("content of another digest is read: %v", err)
	}
	if look(p, "a"); content(t, p, "a") != "two" {
		t.Error("it is not fetched again")
	}
	p.Forget("a")
	p.Forget("b")
	if held() != 0 {
		t.Errorf("%d files are held for nobody", held())
	}
}

func TestRefused(t *testing.T) {
	for name, row := range map[string]struct {
		o      file.Options
		change func(h *host, w *file.Want)
		reason string
	}{
		"loopback, by default": {file.Options{}, nil, "AddressBlocked"},
		"http":                 {file.Options{}, func(h *host, w *file.Want) { w.URL = "http://example.com/x.yaml" }, "URLInvalid"},
		"a user in the URL":    {file.Options{}, func(h *host, w *file.Want) { w.URL = "https://me:secret@example.com/x.yaml" }, "URLInvalid"},
		"an authority that is not known": {file.Options{AllowAddresses: loopback}, func(h *host, w *file.Want) { w.Credentials.CABundle = "" },
			"CertificateInvalid"},
		"too much": {file.Options{AllowAddresses: loopback, MaxBytes: 2}, nil, "TooLarge"},
		"a redirect to another host": {file.Options{AllowAddresses: loopback}, func(h *host, w *file.Want) {
			h.does(http.RedirectHandler("https://localhost:1/x?secret", http.StatusFound).ServeHTTP)
		}, "RedirectRefused"},
		"a redirect to http": {file.Options{AllowAddresses: loopback}, func(h *host, w *file.Want) {
			h.does(http.RedirectHandler(strings.Replace(h.URL, "https", "http", 1)+"/x?secret", http.StatusFound).ServeHTTP)
		}, "RedirectRefused"},
		"redirects without end": {file.Options{AllowAddresses: loopback}, func(h *host, w *file.Want) {
			h.does(http.RedirectHandler("/x?secret", http.StatusFound).ServeHTTP)
		}, "RedirectRefused"},
		"an allowed host at an address that is not": {file.Options{AllowAddresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}}, func(h *host, w *file.Want) {
			w.Hosts = []string{"127.0.0.2"}
			h.does(http.RedirectHandler("https://127.0.0.2:9/x?secret", http.StatusFound).ServeHTTP)
		}, "AddressBlocked"},
		"credentials are wanted": {file.Options{AllowAddresses: loopback}, func(h *host, w *file.Want) {
			h.does(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "body secret", http.StatusUnauthorized) })
		}, "AuthenticationFailed"},
		"a host that is ill": {file.Options{AllowAddresses: loopback}, func(h *host, w *file.Want) {
			h.does(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "body secret", http.StatusBadGateway) })
		}, "HostUnreachable"},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			w := h.want()
			w.URL += "?token=secret"
			w.Credentials.Password = "secret"
			if row.change != nil {
				row.change(h, &w)
			}
			p := run(t, row.o)
			p.Follow("a", w)
			st := look(p, "a")
			if reason(st.Err) != row.reason || st.Digest != "" {
				t.Errorf("want %s, got %s: %v", row.reason, reason(st.Err), st.Err)
			}
			if st.Err != nil && strings.Contains(st.Err.Error(), "secret") {
				t.Errorf("the error has a secret: %v", st.Err)
			}
		})
	}
}

func reason(err error) string {
	var e *file.Error
	if errors.As(err, &e) {
		return e.Reason()
	}
	return ""
}

// TestCredentialsStayWithTheirHost: another port is another host.
func TestCredentialsStayWithTheirHost(t *testing.T) {
	second := newHost(t)
	h := newHost(t)
	h.does(http.RedirectHandler(second.URL+"/y", http.StatusFound).ServeHTTP)
	p := run(t, file.Options{AllowAddresses: loopback})
	w := h.want()
	w.Credentials.Username, w.Credentials.Password = "me", "secret"
	p.Follow("a", w)
	st := look(p, "a")
	// The second host has an authority that only the first one's bundle knows.
	if reason(st.Err) != "CertificateInvalid" {
		t.Errorf("the authority of one host is taken for another: %v", st.Err)
	}
	if _, _, ok := h.asked[0].BasicAuth(); !ok {
		t.Error("the host itself gets no credentials")
	}
	for _, r := range second.asked {
		if r.Header.Get("Authorization") != "" {
			t.Error("the credentials went to another host")
		}
	}
}
