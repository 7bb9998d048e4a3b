package git

import (
	"net"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// URL is a validated, canonical address of a repository. The zero value is
// not valid.
type URL struct {
	canonical string
	scheme    string // https, http, ssh, file
	host      string // lower case, with the port when it is not the default; "" for file
	path      string // file: the absolute path
}

// String returns the canonical form, which holds no secret. Two spellings of
// one address have one canonical form; mirrors are named by it.
func (u URL) String() string { return u.canonical }

// Scheme is https, http, ssh or file.
func (u URL) Scheme() string { return u.scheme }

// Host is the host, with its port when that is not the default, or "" for a
// local repository.
func (u URL) Host() string { return u.host }

// Hostname is the host without its port and, of an IPv6 address, brackets.
func (u URL) Hostname() string {
	h := u.host
	if name, _, err := net.SplitHostPort(h); err == nil {
		h = name
	}
	return strings.Trim(h, "[]")
}

// port is the port that is connected to.
func (u URL) port() string {
	if _, port, err := net.SplitHostPort(u.host); err == nil {
		return port
	}
	return defaultPorts[u.scheme]
}

// Local tells that the repository is a folder of this machine.
func (u URL) Local() bool { return u.scheme == "file" }

// Loopback tells that the host can only be this machine.
func (u URL) Loopback() bool {
	h := u.Hostname()
	if h == "localhost" {
		return true
	}
	ip := net.ParseIP(h)
	return ip != nil && ip.IsLoopback()
}

const maxURL = 2048

var (
	// scpForm is user@host:path as git and scp take it; the user is optional.
	scpForm = regexp.MustCompile(`^(?:([^@/:]+)@)?(\[[0-9a-fA-F:.]+\]|[^@/:\[\]]+):([^:].*)$`)
	// userForm and hostForm say nothing of the length: a counted repetition makes
	// a large program of a regular expression, at the start of every command.
	userForm = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.+-]*$`)
	// plainPath is an absolute path that looks the same in a URL.
	plainPath = regexp.MustCompile(`^/[A-Za-z0-9._~/+@=,-]*$`)
	hostForm  = regexp.MustCompile(`^[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?$`)
)

const (
	maxUser = 64
	maxHost = 253 // RFC 1035, a dot at the end not counted
)

func isUser(s string) bool { return len(s) <= maxUser && userForm.MatchString(s) }

func isHost(s string) bool {
	return len(strings.TrimSuffix(s, ".")) <= maxHost && hostForm.MatchString(s)
}

var defaultPorts = map[string]string{"https": "443", "http": "80", "ssh": "22"}

// ParseURL validates the address of a repository and brings it into canonical
// form. It accepts https, http and ssh URLs, the short form user@host:path,
// absolute local paths and file URLs (whether those may be used is the Store's
// decision). An address with a password, a query, "..", control characters or
// anything that git could take for an option or a remote helper is refused
// with an [Error] of kind URLInvalid.
func ParseURL(s string) (URL, error) {
	switch {
	case s == "":
		return URL{}, badURL(s, "the URL is empty")
	case len(s) > maxURL:
		return URL{}, badURL(s[:64]+"…", "the URL is longer than %d bytes", maxURL)
	case strings.HasPrefix(s, "-"):
		return URL{}, badURL(s, "a URL cannot start with a dash")
	case strings.HasPrefix(s, "/"):
		return localURL(s, s)
	case strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\\' || r == 0xfffd }):
		return URL{}, badURL("", "the URL has a space, a backslash or a control character in it")
	}
	if i := strings.Index(s, "://"); i >= 0 {
		return parseFull(s)
	}
	if m := scpForm.FindStringSubmatch(s); m != nil {
		return parseShort(s, m[1], m[2], m[3])
	}
	return URL{}, badURL(hideUser(s), "this is no URL that abide knows")
}

func badURL(shown, format string, args ...any) *Error {
	return errorf(URLInvalid, shown, "use https://HOST/PATH, ssh://USER@HOST/PATH or USER@HOST:PATH", format, args...)
}

func embedded(shown string) *Error {
	return errorf(URLInvalid, shown,
		"remove them from the URL and put them in a Secret that a Repository names",
		"the URL has credentials in it, and abide does not take credentials from a URL")
}

// hideUser cuts everything up to the last "@", since it may be a password.
func hideUser(s string) string {
	if i := strings.LastIndex(s, "@"); i >= 0 {
		return "…" + s[i:]
	}
	return s
}

func parseFull(s string) (URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return URL{}, badURL(hideUser(s), "the URL cannot be parsed")
	}
	scheme := strings.ToLower(u.Scheme)
	shown := hideUser(s)
	if u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Contains(s, "#") {
		return URL{}, badURL(scheme+"://"+u.Host+u.EscapedPath(), "the URL of a repository has no query and no fragment")
	}
	if scheme == "file" {
		if u.User != nil || u.Host != "" && u.Host != "localhost" {
			return URL{}, badURL(shown, "a file URL has no host; write file:///PATH")
		}
		return localURL(shown, u.Path)
	}
	if _, ok := defaultPorts[scheme]; !ok {
		return URL{}, badURL(shown, "abide does not use the transport %q", scheme)
	}
	user := ""
	if u.User != nil {
		if _, has := u.User.Password(); has || scheme != "ssh" {
			return URL{}, embedded(scheme + "://" + u.Host + u.EscapedPath())
		}
		if user = u.User.Username(); !isUser(user) {
			return URL{}, badURL(shown, "the user's name has a character that abide does not pass on")
		}
		user += "@"
	}
	host, err := canonicalHost(shown, u.Hostname(), u.Port(), defaultPorts[scheme])
	if err != nil {
		return URL{}, err
	}
	p := strings.TrimRight(u.EscapedPath(), "/")
	if err := checkPath(shown, u.Path); err != nil {
		return URL{}, err
	}
	if p == "" {
		return URL{}, badURL(shown, "the URL names a host, but no repository on it")
	}
	return URL{canonical: scheme + "://" + user + host + p, scheme: scheme, host: host}, nil
}

// parseShort keeps a relative path in the short form: it is relative to the
// user's home, which ssh:// cannot say.
func parseShort(s, user, host, p string) (URL, error) {
	shown := hideUser(s)
	if user != "" {
		if !isUser(user) {
			return URL{}, badURL(shown, "the user's name has a character that abide does not pass on")
		}
		user += "@"
	}
	h, err := canonicalHost(shown, strings.Trim(host, "[]"), "", "22")
	if err != nil {
		return URL{}, err
	}
	if err := checkPath(shown, p); err != nil {
		return URL{}, err
	}
	trimmed := strings.TrimRight(p, "/")
	if trimmed == "" || strings.HasPrefix(trimmed, "-") {
		return URL{}, badURL(shown, "the URL names no repository")
	}
	if plainPath.MatchString(trimmed) {
		return URL{canonical: "ssh://" + user + h + trimmed, scheme: "ssh", host: h}, nil
	}
	return URL{canonical: user + h + ":" + trimmed, scheme: "ssh", host: h}, nil
}

func canonicalHost(shown, host, port, defaultPort string) (string, error) {
	host = strings.ToLower(host)
	switch ip, err := netip.ParseAddr(host); {
	case err == nil && ip.Is6() && ip.Zone() == "":
		host = "[" + ip.String() + "]"
	case !isHost(host):
		return "", badURL(shown, "the URL has no valid host")
	}
	if port == "" {
		return host, nil
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return "", badURL(shown, "%q is no port", port)
	}
	if p := strconv.FormatUint(n, 10); p != defaultPort {
		return host + ":" + p, nil
	}
	return host, nil
}

// checkPath takes the decoded path.
func checkPath(shown, p string) error {
	if strings.ContainsFunc(p, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd }) {
		return badURL("", "the path of the URL has a control character in it")
	}
	for _, e := range strings.Split(p, "/") {
		if e == ".." || e == "." {
			return badURL(shown, "the path of the URL has %q in it", e)
		}
	}
	return nil
}

func localURL(shown, p string) (URL, error) {
	if err := checkPath(shown, p); err != nil {
		return URL{}, err
	}
	p = path.Clean(p)
	if !path.IsAbs(p) || p == "/" {
		return URL{}, badURL(shown, "a local repository is named by its absolute path")
	}
	return URL{canonical: (&url.URL{Scheme: "file", Path: p}).String(), scheme: "file", path: p}, nil
}
