package git

import (
	"crypto/x509"
	"encoding/base64"
	"net/url"
	"sort"
	"strings"
)

// Credentials is what a remote asks for. The zero value is anonymous. It is a
// value: compare with ==.
type Credentials struct {
	// Username and Password are HTTP basic authentication. A token that a host
	// wants as a password goes in Password; an empty Username is then "git".
	Username, Password string
	// BearerToken is sent as "Authorization: Bearer". It excludes Password.
	BearerToken string

	// SSHKey is a private key in PEM or OpenSSH form, SSHPassphrase opens it.
	// KnownHosts is the text of a known_hosts file; SSH does not work without.
	SSHKey, SSHPassphrase, KnownHosts string

	// CABundle is PEM; when set, it replaces the system's authorities.
	CABundle string
	// Proxy is the URL of an http, https or socks5 proxy for HTTP(S), with
	// user and password where it wants them.
	Proxy string
}

// secrets lists every text that must not be shown, longest first.
func (c Credentials) secrets() []string {
	var out []string
	add := func(s string) {
		if s = strings.TrimSpace(s); len(s) >= 3 {
			out = append(out, s, url.QueryEscape(s), url.PathEscape(s))
		}
	}
	add(c.Password)
	add(c.BearerToken)
	add(c.SSHPassphrase)
	for _, line := range strings.Split(c.SSHKey, "\n") {
		if !strings.HasPrefix(line, "-----") {
			add(line)
		}
	}
	if h := c.authorization(); h != "" {
		_, value, _ := strings.Cut(h, " ")
		add(value)
	}
	if u, err := url.Parse(c.Proxy); err == nil && u.User != nil {
		p, _ := u.User.Password()
		add(p)
		add(u.User.String())
	} else if err != nil {
		add(c.Proxy)
	}
	sort.Slice(out, func(i, j int) bool { return len(out[i]) > len(out[j]) })
	return out
}

func (c Credentials) httpSecret() bool { return c.Password != "" || c.BearerToken != "" }

// authorization is the value of the HTTP header, or "".
func (c Credentials) authorization() string {
	switch {
	case c.BearerToken != "":
		return "Bearer " + c.BearerToken
	case c.Password != "":
		user := c.Username
		if user == "" {
			user = "git"
		}
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+c.Password))
	}
	return ""
}

// check refuses credentials that cannot work for u, or that would be exposed.
func (c Credentials) check(u URL) error {
	bad := func(hint, format string, args ...any) error {
		return errorf(CredentialsInvalid, u.String(), hint, format, args...)
	}
	switch u.scheme {
	case "ssh":
		if c.SSHKey == "" {
			return bad("add the key to the Repository's Secret", "this is an SSH URL, and there is no SSH key for it")
		}
		if strings.TrimSpace(c.KnownHosts) == "" {
			return bad("add known_hosts to the Repository's Secret (ssh-keyscan "+hostOnly(u.host)+" prints the lines; compare them with what the host publishes)",
				"this is an SSH URL, and there are no known hosts to check the server against")
		}
	case "http":
		if c.httpSecret() && !u.Loopback() {
			return errorf(InsecureTransport, u.String(), "use https",
				"abide sends no credentials over plain http")
		}
		fallthrough
	case "https":
		if c.Password != "" && c.BearerToken != "" {
			return bad("keep one of them", "the credentials have both a password and a bearer token")
		}
		if strings.ContainsAny(c.Username+c.Password+c.BearerToken, "\r\n\x00") || strings.Contains(c.Username, ":") {
			return bad("check the Secret for a stray line break", "the user name, password or token has a character that HTTP cannot carry")
		}
		if c.CABundle != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(c.CABundle)) {
			return bad("", "the CA bundle has no PEM certificate in it")
		}
		if c.Proxy != "" {
			p, err := url.Parse(c.Proxy)
			if err != nil || p.Host == "" || strings.ContainsAny(c.Proxy, "\r\n\x00") {
				return bad("write http://HOST:PORT", "the proxy is no URL")
			}
			switch p.Scheme {
			case "http", "https", "socks5", "socks5h":
			default:
				return bad("use http, https, socks5 or socks5h", "abide does not use %q proxies", p.Scheme)
			}
		}
	}
	return nil
}

func hostOnly(host string) string {
	h, port, ok := strings.Cut(host, ":")
	if ok && !strings.HasPrefix(host, "[") {
		return "-p " + port + " " + h
	}
	return host
}
