package git_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"abide.dev/abide/internal/gitserver"
	"abide.dev/abide/internal/gitserver/gittest"
	"abide.dev/abide/internal/source/git"
)

func TestMain(m *testing.M) {
	if handled, code := git.Helper(os.Args); handled {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

func newStore(t testing.TB, o git.Options) *git.Store {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	if o.AllowAddresses == nil { // where the servers of these tests are
		o.AllowAddresses = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	}
	s, err := git.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func mirrorOf(t testing.TB, s *git.Store, raw string) *git.Mirror {
	t.Helper()
	u, err := s.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	m, err := s.Mirror(u)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// serve serves the folder of a repository over smart HTTP and returns the
// repository's URL.
func serve(t testing.TB, r *gittest.Repo, o gitserver.Options, config *tls.Config) string {
	t.Helper()
	o.Root = r.Root
	s, err := gitserver.New(o)
	if err != nil {
		t.Fatal(err)
	}
	running, err := s.Listen("127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(running.Close)
	return running.URL + "/" + r.Name
}

// fetched lists a ref and fetches its commit.
func fetched(t testing.TB, m *git.Mirror, c git.Credentials, ref string) string {
	t.Helper()
	refs, err := m.ListRefs(t.Context(), c, []string{ref})
	if err != nil {
		t.Fatal(err)
	}
	hash := refs.Hashes[ref]
	if err := m.Fetch(t.Context(), c, git.Want{Hash: hash}); err != nil {
		t.Fatal(err)
	}
	return hash
}

func wantKind(t testing.TB, err error, k git.Kind) {
	t.Helper()
	if !git.IsKind(err, k) {
		t.Fatalf("error is %v (%s), want kind %s", err, git.ReasonOf(err), k)
	}
}

// certificate makes a self-signed one for 127.0.0.1 and returns it with the
// PEM that trusts it.
func certificate(t testing.TB) (*tls.Config, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}},
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}
