// Package pki is the sandbox's certificate authority.
//
// It persists the CA and every certificate below DIR/pki and uses them again
// as long as they fit, so that kubeconfigs outlive a restart. A leaf that is
// missing, near its end, or signed by another CA is issued anew; a CA is never
// replaced once it is complete. Keys are ECDSA P-256 and never leave DIR,
// except in a kubeconfig.
package pki

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"time"

	"abide.dev/abide/sandbox/internal/datadir"
)

const (
	caLife   = 10 * 365 * 24 * time.Hour
	leafLife = 365 * 24 * time.Hour
	// A leaf with less life than this is issued anew at the next start.
	renewBefore = 30 * 24 * time.Hour
)

// Authority signs certificates.
type Authority struct {
	cert    *x509.Certificate
	certPEM []byte
	key     *ecdsa.PrivateKey
	now     func() time.Time
}

// Identity is whom a certificate stands for. With Hosts it is a server's,
// without them a client's.
type Identity struct {
	Name   string
	Groups []string
	Hosts  []string
}

// KeyPair is a certificate and its key, each PEM encoded.
type KeyPair struct{ Cert, Key []byte }

// ErrNoAuthority says that a directory has no CA: no sandbox has run there.
var ErrNoAuthority = errors.New("no certificate authority")

// Load reads dir's CA. Without one the error is ErrNoAuthority.
func Load(dir datadir.Dir, now func() time.Time) (*Authority, error) {
	certPEM, err := os.ReadFile(dir.PKI("ca.crt"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoAuthority
	}
	if err != nil {
		return nil, err
	}
	keyPEM, err := os.ReadFile(dir.PKI("ca.key"))
	if err != nil {
		return nil, err
	}
	cert, err := parseCert(certPEM)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir.PKI("ca.crt"), err)
	}
	key, err := parseKey(keyPEM)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir.PKI("ca.key"), err)
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, fmt.Errorf("%s is not the key of ca.crt", dir.PKI("ca.key"))
	}
	return &Authority{cert: cert, certPEM: certPEM, key: key, now: now}, nil
}

// LoadOrCreate reads dir's CA, or makes one if there is none.
func LoadOrCreate(dir datadir.Dir, now func() time.Time) (*Authority, error) {
	if a, err := Load(dir, now); !errors.Is(err, ErrNoAuthority) {
		return a, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t, err := template("abide-sandbox-ca", nil, now(), caLife)
	if err != nil {
		return nil, err
	}
	t.IsCA, t.BasicConstraintsValid = true, true
	t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, err
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	// The certificate comes last: it is what says that the CA is complete.
	if err := datadir.WriteFile(dir.PKI("ca.key"), keyPEM); err != nil {
		return nil, err
	}
	if err := datadir.WriteFile(dir.PKI("ca.crt"), encodeCert(der)); err != nil {
		return nil, err
	}
	return Load(dir, now)
}

// CertPEM is the CA's certificate.
func (a *Authority) CertPEM() []byte { return a.certPEM }

// Issue signs a new certificate for id.
func (a *Authority) Issue(id Identity) (KeyPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return KeyPair{}, err
	}
	t, err := template(id.Name, id.Groups, a.now(), leafLife)
	if err != nil {
		return KeyPair{}, err
	}
	t.KeyUsage = x509.KeyUsageDigitalSignature
	t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	if len(id.Hosts) > 0 {
		t.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
	for _, h := range id.Hosts {
		if ip := net.ParseIP(h); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, a.cert, key.Public(), a.key)
	if err != nil {
		return KeyPair{}, fmt.Errorf("certificate for %q: %w", id.Name, err)
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return KeyPair{}, err
	}
	return KeyPair{Cert: encodeCert(der), Key: keyPEM}, nil
}

// EnsureFiles keeps name.crt and name.key for id below dir/pki.
func (a *Authority) EnsureFiles(dir datadir.Dir, name string, id Identity) (KeyPair, error) {
	crt, key := dir.PKI(name+".crt"), dir.PKI(name+".key")
	cert, err1 := os.ReadFile(crt)
	priv, err2 := os.ReadFile(key)
	if kp := (KeyPair{Cert: cert, Key: priv}); err1 == nil && err2 == nil && a.fits(kp, id) {
		return kp, nil
	}
	kp, err := a.Issue(id)
	if err != nil {
		return KeyPair{}, err
	}
	if err := datadir.WriteFile(key, kp.Key); err != nil {
		return KeyPair{}, err
	}
	if err := datadir.WriteFile(crt, kp.Cert); err != nil {
		return KeyPair{}, err
	}
	return kp, nil
}

// fits reports whether kp can go on serving for id.
func (a *Authority) fits(kp KeyPair, id Identity) bool {
	cert, err := parseCert(kp.Cert)
	if err != nil {
		return false
	}
	key, err := parseKey(kp.Key)
	if err != nil || !key.PublicKey.Equal(cert.PublicKey) {
		return false
	}
	for _, h := range id.Hosts {
		if cert.VerifyHostname(h) != nil {
			return false
		}
	}
	return cert.Subject.CommonName == id.Name &&
		cert.CheckSignatureFrom(a.cert) == nil &&
		bytes.Equal(cert.RawIssuer, a.cert.RawSubject) &&
		a.now().Add(renewBefore).Before(cert.NotAfter)
}

// EnsureSigningKey keeps name.key and name.pub, the pair that signs service
// account tokens and checks them.
func EnsureSigningKey(dir datadir.Dir, name string) error {
	key := dir.PKI(name + ".key")
	b, err := os.ReadFile(key)
	if errors.Is(err, fs.ErrNotExist) {
		k, kerr := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if kerr != nil {
			return kerr
		}
		if b, err = encodeKey(k); err != nil {
			return err
		}
		err = datadir.WriteFile(key, b)
	}
	if err != nil {
		return err
	}
	k, err := parseKey(b)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	der, err := x509.MarshalPKIXPublicKey(k.Public())
	if err != nil {
		return err
	}
	return datadir.WriteFile(dir.PKI(name+".pub"), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func template(name string, groups []string, now time.Time, life time.Duration) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name, Organization: groups},
		NotBefore:    now.Add(-time.Minute), // clocks of one machine agree, but not to the second
		NotAfter:     now.Add(life),
	}, nil
}

func encodeCert(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func encodeKey(k *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(k)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}

func parseCert(b []byte) (*x509.Certificate, error) {
	p, _ := pem.Decode(b)
	if p == nil || p.Type != "CERTIFICATE" {
		return nil, errors.New("holds no PEM certificate")
	}
	return x509.ParseCertificate(p.Bytes)
}

func parseKey(b []byte) (*ecdsa.PrivateKey, error) {
	p, _ := pem.Decode(b)
	if p == nil || p.Type != "EC PRIVATE KEY" {
		return nil, errors.New("holds no PEM key")
	}
	return x509.ParseECPrivateKey(p.Bytes)
}
