package chart

import (
	"cmp"
	"net"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/Masterminds/semver/v3"
	"oras.land/oras-go/v2/registry"
)

// Ref says which chart is meant, and in which versions.
type Ref struct {
	// Repo is https://HOST/PATH of a chart repository, without /index.yaml, or
	// oci://HOST/PATH of a registry. http://HOST/PATH is for
	// Credentials.PlainHTTP.
	Repo string `json:"repo"`
	// Name is the chart's name in the index. In a registry it is a further
	// element of the path, or empty when Repo has it all.
	Name string `json:"name,omitempty"`
	// Version is an exact version or a range, as Masterminds/semver has it;
	// "" is the newest that is no prerelease. In a registry it may be a tag
	// ("latest") or the digest of a manifest ("sha256:…") as well.
	Version string `json:"version,omitempty"`
}

// Revision is the chart that a [Ref] meant when it was resolved. Two are the
// same content if their digests are equal.
type Revision struct {
	Repo string `json:"repo"` // canonical
	Name string `json:"name"`
	// Version is as the repository writes it. It is a tag if that was asked
	// for, and may be empty for a digest that names no version.
	Version string `json:"version,omitempty"`
	// Digest is "sha256:" and the hash of the archive.
	Digest string `json:"digest"`
	// URL is where the archive is: https://…, or oci://HOST/PATH@DIGEST of the
	// manifest. It comes from the repository and may have a query: it is not
	// for showing.
	URL string `json:"url"`
}

// String is what a person would call it: "cert-manager 1.16.2", or, where no
// version is known, "cert-manager sha256:0123456789ab". The zero Revision is "".
func (r Revision) String() string {
	if r == (Revision{}) {
		return ""
	}
	const short = len("sha256:") + 12
	return r.Name + " " + cmp.Or(r.Version, r.Digest[:min(short, len(r.Digest))])
}

// target is a Ref that was understood.
type target struct {
	scheme string // https, http, oci
	host   string // lower case, with the port when it is not the default
	path   string // "" or /…
	name   string
	want   want
}

// repo is the canonical form of the URL, without the name of the chart for a
// chart repository, and with it for a registry.
func (t target) repo() string { return t.scheme + "://" + t.host + t.path }

// web is the scheme that the host is spoken to in.
func (t target) web(c Credentials) string {
	switch {
	case t.scheme == "oci" && c.PlainHTTP:
		return "http"
	case t.scheme == "oci":
		return "https"
	}
	return t.scheme
}

// origin is the scheme, host and port that credentials are for.
func (t target) origin(c Credentials) string {
	host := t.host
	if t.scheme == "oci" {
		host = registryHost(host)
	}
	return originOf(&url.URL{Scheme: t.web(c), Host: host})
}

// registryHost is where the API of a registry is: Docker Hub has it elsewhere.
func registryHost(host string) string {
	if host == "docker.io" || host == "index.docker.io" {
		return "registry-1.docker.io"
	}
	return host
}

// originOf is scheme://host:port of a URL, with the port always.
func originOf(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443", "http": "80"}[strings.ToLower(u.Scheme)]
	}
	return strings.ToLower(u.Scheme) + "://" + net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// loopback tells that the host can only be this machine.
func (t target) loopback() bool {
	h := (&url.URL{Host: t.host}).Hostname()
	a, err := netip.ParseAddr(h)
	return h == "localhost" || err == nil && a.IsLoopback()
}

const (
	maxURL  = 2048
	maxName = 253
	// maxVersion is long enough for a digest of any kind and for any honest
	// range.
	maxVersion = 256
)

var (
	hostForm = regexp.MustCompile(`^[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?$`)
	nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
	tagForm  = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`)
	// digestForm is the one algorithm that Helm's charts have.
	digestForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
)

func badURL(shown, format string, args ...any) *Error {
	return errorf(URLInvalid, shown, "write https://HOST/PATH for a chart repository, oci://HOST/PATH for a registry", format, args...)
}

// parse validates a Ref.
func (r Ref) parse() (target, error) {
	t, err := parseRepo(r.Repo)
	if err != nil {
		return target{}, err
	}
	t.name = r.Name
	if r.Name != "" && (len(r.Name) > maxName || !nameForm.MatchString(r.Name)) {
		return target{}, errorf(ChartNotFound, t.repo(), "a name has letters, digits, dots, dashes and underscores",
			"%.80q cannot be the name of a chart", r.Name)
	}
	switch {
	case t.scheme != "oci" && r.Name == "":
		return target{}, errorf(ChartNotFound, t.repo(), "name the chart", "a chart repository has many charts, and none is named")
	case t.scheme == "oci":
		if r.Name != "" {
			t.path += "/" + r.Name
		}
		t.name = path.Base(t.path)
		ref := registry.Reference{Registry: t.host, Repository: strings.TrimPrefix(t.path, "/")}
		if err := ref.ValidateRepository(); err != nil {
			return target{}, badURL(t.repo(), "this cannot be the path of a repository in a registry: it has lower case letters, digits, and . _ - between them").because(err)
		}
	}
	t.want, err = parseWant(t, r.Version)
	return t, err
}

func parseRepo(s string) (target, error) {
	switch {
	case s == "":
		return target{}, badURL("", "the URL of the chart's repository is empty")
	case len(s) > maxURL:
		return target{}, badURL("", "the URL is longer than %d bytes", maxURL)
	case strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\\' || r == 0xfffd }):
		return target{}, badURL("", "the URL has a space, a backslash or a control character in it")
	}
	u, err := url.Parse(s)
	if err != nil {
		return target{}, badURL("", "the URL cannot be parsed")
	}
	scheme := strings.ToLower(u.Scheme)
	shown := scheme + "://" + u.Host + u.EscapedPath()
	switch {
	case scheme != "https" && scheme != "http" && scheme != "oci":
		return target{}, badURL("", "charts do not come over %.20q", scheme)
	case u.User != nil:
		return target{}, errorf(URLInvalid, shown, "remove them from the URL and put them in a Secret that a Repository names",
			"the URL has credentials in it, and abide does not take credentials from a URL")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Contains(s, "#"):
		return target{}, badURL(shown, "the URL of a repository has no query and no fragment")
	}
	host, err := canonicalHost(shown, u, map[string]string{"https": "443", "oci": "443", "http": "80"}[scheme])
	if err != nil {
		return target{}, err
	}
	for _, e := range strings.Split(u.Path, "/") {
		if e == ".." || e == "." || strings.ContainsFunc(e, func(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd }) {
			return target{}, badURL("", "the path of the URL has %q in it", e)
		}
	}
	p := strings.TrimRight(u.EscapedPath(), "/")
	if strings.HasSuffix(p, "/index.yaml") && scheme != "oci" {
		return target{}, errorf(URLInvalid, shown, "leave /index.yaml away", "the URL of a chart repository is that of the folder with its index")
	}
	return target{scheme: scheme, host: host, path: p}, nil
}

func canonicalHost(shown string, u *url.URL, defaultPort string) (string, error) {
	host := strings.ToLower(u.Hostname())
	switch a, err := netip.ParseAddr(host); {
	case err == nil && a.Is6() && a.Zone() == "":
		host = "[" + a.String() + "]"
	case len(host) > maxName || !hostForm.MatchString(host):
		return "", badURL(shown, "the URL has no valid host")
	}
	if u.Port() == "" {
		return host, nil
	}
	n, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil || n == 0 {
		return "", badURL(shown, "%q is no port", u.Port())
	}
	if p := strconv.FormatUint(n, 10); p != defaultPort {
		return host + ":" + p, nil
	}
	return host, nil
}

// want is what Ref.Version says; one of tag, digest and within is set.
type want struct {
	text   string
	exact  bool                // text is one version; within matches it as well
	within *semver.Constraints // a range
	tag    string
	digest string
}

func parseWant(t target, text string) (want, error) {
	oci := t.scheme == "oci"
	hint := `write a version ("1.2.3") or a range (">=1.2.0 <2.0.0", "~1.4", "1.x")`
	if oci {
		hint += `, a tag, or a digest ("sha256:…")`
	}
	w := want{text: text}
	switch {
	case len(text) > maxVersion:
		return w, errorf(VersionInvalid, t.repo(), hint, "the version is longer than %d bytes", maxVersion)
	case oci && digestForm.MatchString(text):
		w.digest = text
		return w, nil
	case text == "":
		text = "*"
	}
	if v, err := semver.StrictNewVersion(strings.TrimPrefix(text, "v")); err == nil {
		w.exact = true
		if oci {
			w.tag = tagOf(text)
			return w, nil
		}
		text = "=" + v.String()
	}
	c, err := semver.NewConstraint(text)
	if err == nil {
		w.within = c
		return w, nil
	}
	if oci && isTag(text) {
		w.tag = text
		return w, nil
	}
	return w, errorf(VersionInvalid, t.repo(), hint, "%.80q is no version and no range of versions", text)
}

// isTag tells whether s can be a tag of a registry.
func isTag(s string) bool {
	const most = 128 // a larger count in the expression would cost at each start
	return len(s) <= most && tagForm.MatchString(s)
}

// tagOf and versionOf are how Helm writes versions as tags, which have no "+".
func tagOf(version string) string { return strings.ReplaceAll(version, "+", "_") }
func versionOf(tag string) string { return strings.ReplaceAll(tag, "_", "+") }
