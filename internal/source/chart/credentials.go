package chart

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"

	"oras.land/oras-go/v2/registry/remote/auth"
)

// Credentials is what a repository asks for, and how it may be spoken to. The
// zero value is anonymous. It is a value: compare with ==.
type Credentials struct {
	// Username and Password are HTTP basic authentication, and what a registry's
	// token endpoint is given.
	Username, Password string
	// BearerToken is sent as "Authorization: Bearer". It excludes Password.
	BearerToken string
	// DockerConfig is the JSON of a docker configuration, as in Secrets of type
	// kubernetes.io/dockerconfigjson. What it has for the repository's host is
	// used where the fields above are empty.
	DockerConfig string

	// CABundle is PEM; when set, it replaces the system's authorities for the
	// repository's host, and is added to them for other hosts that the
	// repository leads to.
	CABundle string
	// ClientCert and ClientKey are PEM, for the repository's host only.
	ClientCert, ClientKey string
	// Proxy is the URL of an http, https or socks5 proxy, with user and password
	// where it wants them. It has to be at an address that package dialguard
	// lets pass.
	Proxy string

	// PlainHTTP allows http:// for Repo, and speaks http to a registry. Secrets
	// are sent over it only to this machine itself.
	PlainHTTP bool
	// PassCredentials sends Username, Password and BearerToken to whatever host
	// the index names for archives, if it is named with https or oci.
	PassCredentials bool
}

// secret tells that there is something to send.
func (c Credentials) secret() bool {
	return c.Username != "" || c.Password != "" || c.BearerToken != "" || c.DockerConfig != ""
}

// identity is a keyed hash of all that decides what a host shows to c.
func (c Credentials) identity(key []byte, repo string) string {
	h := hmac.New(sha256.New, key)
	fmt.Fprintf(h, "%q %q\n", repo, []string{
		c.Username, c.Password, c.BearerToken, c.DockerConfig, c.CABundle, c.ClientCert, c.ClientKey, c.Proxy,
		fmt.Sprint(c.PlainHTTP, c.PassCredentials),
	})
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// check refuses credentials that cannot work for t, or that would be exposed.
func (c Credentials) check(t target) error {
	bad := func(hint, format string, args ...any) error {
		return errorf(CredentialsInvalid, t.repo(), hint, format, args...)
	}
	switch plain := t.web(c) == "http"; {
	case t.scheme == "http" && !c.PlainHTTP:
		return errorf(InsecureTransport, t.repo(), "use https, or allow plain http for this repository", "charts over plain http can be changed on their way")
	case plain && (c.secret() || c.ClientCert != "") && !t.loopback():
		return errorf(InsecureTransport, t.repo(), "use https", "abide sends no credentials over plain http")
	case c.Password != "" && c.BearerToken != "":
		return bad("keep one of them", "the credentials have both a password and a bearer token")
	case strings.ContainsAny(c.Username+c.Password+c.BearerToken, "\r\n\x00") || strings.Contains(c.Username, ":"):
		return bad("check the Secret for a stray line break", "the user name, password or token has a character that HTTP cannot carry")
	case c.CABundle != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(c.CABundle)):
		return bad("", "the CA bundle has no PEM certificate in it")
	case (c.ClientCert == "") != (c.ClientKey == ""):
		return bad("add the other one", "a client certificate needs its key, and a key its certificate")
	}
	if c.ClientCert != "" {
		if _, err := tls.X509KeyPair([]byte(c.ClientCert), []byte(c.ClientKey)); err != nil {
			return bad("both have to be PEM, and belong together", "the client certificate and its key cannot be used")
		}
	}
	if c.DockerConfig != "" {
		if _, err := parseDockerConfig(c.DockerConfig); err != nil {
			return bad("it has to be like what docker login writes", "the docker configuration cannot be read (%v)", err)
		}
	}
	return c.checkProxy(t)
}

func (c Credentials) checkProxy(t target) error {
	if c.Proxy == "" {
		return nil
	}
	p, err := url.Parse(c.Proxy)
	if err != nil || p.Host == "" || strings.ContainsAny(c.Proxy, "\r\n\x00") {
		return errorf(CredentialsInvalid, t.repo(), "write http://HOST:PORT", "the proxy is no URL")
	}
	switch p.Scheme {
	case "http", "https", "socks5", "socks5h":
		return nil
	}
	return errorf(CredentialsInvalid, t.repo(), "use http, https, socks5 or socks5h", "abide does not use %.20q proxies", p.Scheme)
}

// login is what one host is given.
type login struct {
	username, password string
	bearer             string // an access token
	refresh            string // exchanged for an access token at the token endpoint of a registry
}

// forHost returns what c has for a host and path.
func (c Credentials) forHost(host, path string) login {
	if c.Username != "" || c.Password != "" || c.BearerToken != "" {
		return login{username: c.Username, password: c.Password, bearer: c.BearerToken}
	}
	if c.DockerConfig == "" {
		return login{}
	}
	d, err := parseDockerConfig(c.DockerConfig)
	if err != nil {
		return login{} // check has refused it
	}
	return d.lookup(host, path)
}

// header is the value of the Authorization header, or "".
func (l login) header() string {
	switch {
	case l.bearer != "":
		return "Bearer " + l.bearer
	case l.username != "" || l.password != "":
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(l.username+":"+l.password))
	}
	return ""
}

// forRegistry is the same for the library that speaks to registries.
func (l login) forRegistry() auth.Credential {
	return auth.Credential{Username: l.username, Password: l.password, AccessToken: l.bearer, RefreshToken: l.refresh}
}

// tlsConfig is for the repository's own host, or for others.
func (c Credentials) tlsConfig(own bool) (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CABundle != "" {
		cfg.RootCAs = x509.NewCertPool()
		if !own {
			if system, err := x509.SystemCertPool(); err == nil {
				cfg.RootCAs = system
			}
		}
		cfg.RootCAs.AppendCertsFromPEM([]byte(c.CABundle))
	}
	if own && c.ClientCert != "" {
		pair, err := tls.X509KeyPair([]byte(c.ClientCert), []byte(c.ClientKey))
		if err != nil {
			return nil, err
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}
