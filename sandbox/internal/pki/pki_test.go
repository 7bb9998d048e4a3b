package pki

import (
	"bytes"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"

	"abide.dev/abide/sandbox/internal/datadir"
)

var start = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func at(t time.Time) func() time.Time { return func() time.Time { return t } }

func open(t testing.TB) datadir.Dir {
	t.Helper()
	d, err := datadir.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func authority(t testing.TB, d datadir.Dir, now time.Time) *Authority {
	t.Helper()
	a, err := LoadOrCreate(d, at(now))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func ensure(t testing.TB, a *Authority, d datadir.Dir, id Identity) KeyPair {
	t.Helper()
	kp, err := a.EnsureFiles(d, "x", id)
	if err != nil {
		t.Fatal(err)
	}
	return kp
}

func TestIssuedCertificates(t *testing.T) {
	a := authority(t, open(t), start)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(a.CertPEM())
	for _, tc := range []struct {
		id         Identity
		use, never x509.ExtKeyUsage
	}{
		{Identity{Name: "ann:1", Groups: []string{"a", "b"}}, x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		{Identity{Name: "srv", Hosts: []string{"localhost", "127.0.0.1"}}, x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	} {
		kp, err := a.Issue(tc.id)
		if err != nil {
			t.Fatal(err)
		}
		c, err := parseCert(kp.Cert)
		if err != nil {
			t.Fatal(err)
		}
		if c.Subject.CommonName != tc.id.Name || !slices.Equal(c.Subject.Organization, tc.id.Groups) {
			t.Errorf("%s: subject %s", tc.id.Name, c.Subject)
		}
		for _, h := range tc.id.Hosts {
			if err := c.VerifyHostname(h); err != nil {
				t.Error(err)
			}
		}
		verify := func(use x509.ExtKeyUsage, now time.Time) error {
			_, err := c.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{use}})
			return err
		}
		if err := verify(tc.use, start); err != nil {
			t.Errorf("%s: %v", tc.id.Name, err)
		}
		if verify(tc.never, start) == nil {
			t.Errorf("%s: good for what it is not made for", tc.id.Name)
		}
		if verify(tc.use, start.Add(leafLife+time.Hour)) == nil {
			t.Errorf("%s: good for ever", tc.id.Name)
		}
	}
}

func TestAuthorityAndLeavesAreUsedAgain(t *testing.T) {
	d := open(t)
	a := authority(t, d, start)
	id := Identity{Name: "srv", Hosts: []string{"127.0.0.1"}}
	kp := ensure(t, a, d, id)
	later := authority(t, d, start.Add(24*time.Hour))
	if !bytes.Equal(a.CertPEM(), later.CertPEM()) {
		t.Error("a second start made a new CA")
	}
	for _, tc := range []struct {
		why  string
		prep func() (*Authority, Identity)
		same bool
	}{
		{"a day later", func() (*Authority, Identity) { return later, id }, true},
		{"another host", func() (*Authority, Identity) { return a, Identity{Name: "srv", Hosts: []string{"10.0.0.1"}} }, false},
		{"another name", func() (*Authority, Identity) { return a, Identity{Name: "other", Hosts: id.Hosts} }, false},
		{"near its end", func() (*Authority, Identity) {
			return authority(t, d, start.Add(leafLife-renewBefore+time.Hour)), id
		}, false},
		{"another CA", func() (*Authority, Identity) { return authority(t, open(t), start), id }, false},
		{"a key that is not its", func() (*Authority, Identity) {
			other, err := a.Issue(id)
			if err != nil {
				t.Fatal(err)
			}
			write(t, d.PKI("x.key"), other.Key)
			return a, id
		}, false},
		{"no certificate at all", func() (*Authority, Identity) { write(t, d.PKI("x.crt"), []byte("junk")); return a, id }, false},
	} {
		write(t, d.PKI("x.crt"), kp.Cert)
		write(t, d.PKI("x.key"), kp.Key)
		auth, want := tc.prep()
		got := ensure(t, auth, d, want)
		if same := bytes.Equal(got.Cert, kp.Cert); same != tc.same {
			t.Errorf("%s: used again is %t, want %t", tc.why, same, tc.same)
		}
		if !auth.fits(got, want) {
			t.Errorf("%s: the result does not fit", tc.why)
		}
	}
}

func write(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestLoad(t *testing.T) {
	d := open(t)
	if _, err := Load(d, at(start)); !errors.Is(err, ErrNoAuthority) {
		t.Errorf("nothing there: got %v", err)
	}
	// A start that died between its two files left a key alone.
	write(t, d.PKI("ca.key"), []byte("half"))
	a := authority(t, d, start)
	if _, err := Load(d, at(start)); err != nil {
		t.Errorf("after that: %v", err)
	}
	foreign := authority(t, open(t), start)
	write(t, d.PKI("ca.crt"), foreign.CertPEM())
	if _, err := LoadOrCreate(d, at(start)); err == nil {
		t.Error("certificate and key of two CAs: no error")
	}
	write(t, d.PKI("ca.crt"), []byte("junk"))
	if _, err := LoadOrCreate(d, at(start)); err == nil {
		t.Error("junk: no error; a complete CA must never be replaced silently")
	}
	write(t, d.PKI("ca.crt"), a.CertPEM())
	if _, err := Load(d, at(start)); err != nil {
		t.Error(err)
	}
}

func TestSigningKeyIsKept(t *testing.T) {
	d := open(t)
	read := func() string {
		if err := EnsureSigningKey(d, "sa"); err != nil {
			t.Fatal(err)
		}
		key, err := os.ReadFile(d.PKI("sa.key"))
		if err != nil {
			t.Fatal(err)
		}
		pub, err := os.ReadFile(d.PKI("sa.pub"))
		if err != nil {
			t.Fatal(err)
		}
		return string(key) + string(pub)
	}
	first := read()
	if err := os.Remove(d.PKI("sa.pub")); err != nil {
		t.Fatal(err)
	}
	if read() != first {
		t.Error("tokens of the last run would be worth nothing")
	}
	write(t, d.PKI("sa.key"), []byte("junk"))
	if err := EnsureSigningKey(d, "sa"); err == nil {
		t.Error("junk: no error")
	}
}

func TestKubeconfig(t *testing.T) {
	a := authority(t, open(t), start)
	kp, err := a.Issue(Identity{Name: `odd: "name"`})
	if err != nil {
		t.Fatal(err)
	}
	b, err := a.Kubeconfig("https://127.0.0.1:1", `odd: "name"`, kp)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := clientcmd.RESTConfigFromKubeConfig(b)
	if err != nil || cfg.Host != "https://127.0.0.1:1" || !bytes.Equal(cfg.KeyData, kp.Key) || !bytes.Equal(cfg.CAData, a.CertPEM()) {
		t.Errorf("got %v, %v", cfg, err)
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	write(t, path, b)
	if s, err := Server(path); err != nil || s != "https://127.0.0.1:1" {
		t.Errorf("server %q, %v", s, err)
	}
	write(t, path, []byte("apiVersion: v1\nkind: Config\n"))
	if _, err := Server(path); err == nil {
		t.Error("a kubeconfig of somebody else: no error")
	}
}
