package chart_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/source/chart"
)

// loopback lets tests reach their own servers.
var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}

// newStore opens a Store that asks at every call, unless o says otherwise.
func newStore(t testing.TB, o chart.Options) *chart.Store {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	if o.FreshFor == 0 {
		o.FreshFor = -1
	}
	if o.AllowAddresses == nil {
		o.AllowAddresses = loopback
	}
	s, err := chart.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// authority is a CA that lives as long as its test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "a CA for tests"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))}
}

// issue returns a certificate and its key in PEM.
func (a *authority) issue(t testing.TB) (certPEM, keyPEM string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost", "charts.test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(127, 0, 0, 2)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}))
}

// requests is what arrived at a server.
type requests struct {
	mu  sync.Mutex
	all []*http.Request
}

func (r *requests) add(req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, req.Clone(req.Context()))
}

// count is how many requests have path at the end of theirs; "" counts all.
func (r *requests) count(path string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for _, q := range r.all {
		if strings.HasSuffix(q.URL.Path, path) {
			n++
		}
	}
	return n
}

// secrets returns the credentials that arrived.
func (r *requests) secrets() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, q := range r.all {
		if h := q.Header.Get("Authorization"); h != "" {
			out = append(out, q.URL.Path+": "+h)
		}
		if q.TLS != nil && len(q.TLS.PeerCertificates) > 0 {
			out = append(out, q.URL.Path+": a client certificate")
		}
	}
	return out
}

// serve starts a TLS server and returns its URL and what arrives.
func (a *authority) serve(t testing.TB, h http.HandlerFunc) (string, *requests) {
	t.Helper()
	return a.serveTLS(t, h, &tls.Config{ClientAuth: tls.RequestClientCert})
}

func (a *authority) serveTLS(t testing.TB, h http.HandlerFunc, cfg *tls.Config) (string, *requests) {
	t.Helper()
	log := &requests{}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		log.add(r)
		h(w, r)
	}))
	certPEM, keyPEM := a.issue(t)
	pair, err := tls.X509KeyPair([]byte(certPEM), []byte(keyPEM))
	if err != nil {
		t.Fatal(err)
	}
	cfg.Certificates = []tls.Certificate{pair}
	s.TLS = cfg
	s.Config.ErrorLog = quiet
	s.StartTLS()
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s.URL, log
}

// pack makes a chart's archive.
func pack(t testing.TB, name, version string, files map[string]string) []byte {
	t.Helper()
	all := map[string]string{name + "/Chart.yaml": fmt.Sprintf("apiVersion: v2\nname: %s\nversion: %s\n", name, version)}
	for p, c := range files {
		all[name+"/"+p] = c
	}
	return packFiles(t, all)
}

// packFiles makes an archive, always the same of the same files.
func packFiles(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, p := range slices.Sorted(maps.Keys(files)) {
		if err := w.WriteHeader(&tar.Header{Name: p, Mode: 0o644, Size: int64(len(files[p]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, files[p]); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// repo is a chart repository as a handler: an index and archives by path.
type repo struct {
	mu       sync.Mutex
	index    string
	archives map[string][]byte
	etag     bool
	check    func(*http.Request) bool // credentials; nil lets all in
}

func (r *repo) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.check != nil && !r.check(q) {
		w.Header().Set("WWW-Authenticate", `Basic realm="charts"`)
		http.Error(w, "the password is s3cret-in-a-body", http.StatusUnauthorized)
		return
	}
	name := q.URL.Path[strings.LastIndexByte(q.URL.Path, '/')+1:]
	if name == "index.yaml" && r.index != "" {
		if tag := `"` + sum([]byte(r.index)) + `"`; r.etag {
			w.Header().Set("ETag", tag)
			if q.Header.Get("If-None-Match") == tag {
				w.WriteHeader(http.StatusNotModified)
				return
			}
		}
		io.WriteString(w, r.index)
		return
	}
	if b, ok := r.archives[name]; ok {
		w.Write(b)
		return
	}
	http.NotFound(w, q)
}

// add puts a chart into the repository. at is the URL of its archive in the
// index; "" is a relative one.
func (r *repo) add(t testing.TB, name, version, at string, archive []byte) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.index == "" {
		r.index = "apiVersion: v1\nentries:\n"
	}
	file := name + "-" + version + ".tgz"
	if at == "" {
		at = file
	}
	if !strings.Contains(r.index, "  "+name+":\n") {
		r.index += "  " + name + ":\n"
	}
	r.index += fmt.Sprintf("  - apiVersion: v2\n    description: |\n      a chart\n        # of %s\n    digest: %s\n    name: %s\n    urls:\n    - %s\n    version: %s\n",
		name, sum(archive), name, at, version)
	if r.archives == nil {
		r.archives = map[string][]byte{}
	}
	r.archives[file] = archive
}

func basic(user, password string) func(*http.Request) bool {
	return func(r *http.Request) bool {
		u, p, _ := r.BasicAuth()
		return u == user && p == password
	}
}

func wantKind(t testing.TB, err error, k chart.Kind, says string) {
	t.Helper()
	if !chart.IsKind(err, k) || !strings.Contains(fmt.Sprint(err), says) {
		t.Errorf("got %v, want %s that says %q", err, k, says)
	}
}

func readFile(t testing.TB, tree snapshot.Tree, path string) string {
	t.Helper()
	b, err := tree.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// get resolves and fetches.
func get(t testing.TB, s *chart.Store, ref chart.Ref, c chart.Credentials) (chart.Revision, snapshot.Tree, error) {
	t.Helper()
	rev, err := s.Resolve(t.Context(), ref, c)
	if err != nil {
		return rev, nil, err
	}
	tree, err := s.Fetch(t.Context(), rev, c)
	return rev, tree, err
}
