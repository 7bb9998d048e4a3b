package chart

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"oras.land/oras-go/v2/registry/remote/auth"
	"oras.land/oras-go/v2/registry/remote/errcode"

	"abide.dev/abide/internal/source/dialguard"
)

// classify turns what went wrong on the way to a host into an [Error]. It never
// repeats a URL of an error: those of storage hosts hold a signature.
func (c *client) classify(ctx context.Context, err error) error {
	var known *Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	if cause := context.Cause(ctx); cause != nil {
		if errors.Is(cause, errTime) {
			return errorf(FetchTimeout, c.target.repo(), "check that the host can be reached from here and is not overloaded",
				"the time limit ran out before the host had answered").because(context.DeadlineExceeded)
		}
		return cause
	}
	var blocked *dialguard.BlockedError
	var refused *refusedError
	var answer *errcode.ErrorResponse
	switch {
	case errors.As(err, &blocked):
		hint := "it is refused to keep abide from being used to reach what only its machine may reach"
		if p := blocked.Prefix(); p != "" {
			hint += "; if the host is meant to be there, whoever runs abide can allow " + p
		}
		return errorf(AddressBlocked, c.target.repo(), hint, "%s", show(blocked.Error())).because(blocked)
	case errors.As(err, &refused):
		return errorf(refused.kind, c.target.repo(), refused.hint, "%s", refused.problem)
	case errors.As(err, &answer):
		return c.status(answer.StatusCode, answer)
	case errors.Is(err, auth.ErrBasicCredentialNotFound):
		return c.status(http.StatusUnauthorized, nil)
	}
	if e := c.tlsTrouble(err); e != nil {
		return e
	}
	return c.noAnswer(err)
}

// tlsTrouble knows the errors of a TLS handshake.
func (c *client) tlsTrouble(err error) error {
	var verification *tls.CertificateVerificationError
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	var roots x509.SystemRootsError
	var record tls.RecordHeaderError
	var op *net.OpError
	switch {
	case errors.As(err, &verification), errors.As(err, &unknown), errors.As(err, &name), errors.As(err, &invalid), errors.As(err, &roots):
		return errorf(CertificateInvalid, c.target.repo(),
			"if it is signed by an authority of your own, add its certificate as the CA bundle to the Repository's Secret",
			"the host's TLS certificate cannot be trusted (%s)", c.said(err))
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return errorf(HostUnreachable, c.target.repo(), "it may be a host that speaks http only", "the host does not speak TLS")
	case errors.As(err, &op) && op.Op == "remote error":
		return errorf(AuthenticationFailed, c.target.repo(), "it may want a client certificate, or another one",
			"the host ended the TLS handshake (%s)", c.said(op.Err))
	}
	return nil
}

// noAnswer is for the rest: the network.
func (c *client) noAnswer(err error) error {
	var timeout interface{ Timeout() bool }
	var dns *net.DNSError
	e := errorf(HostUnreachable, c.target.repo(), "abide keeps trying", "the host cannot be reached (%s)", c.said(err))
	switch {
	case errors.As(err, &dns):
		e.Problem = "the host " + show(dns.Name) + " cannot be found (" + show(dns.Err) + ")"
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		e.Problem = "the host ended the connection in the middle of its answer"
	case errors.As(err, &timeout) && timeout.Timeout():
		e.Kind, e.Problem = FetchTimeout, "the host did not answer in time ("+c.said(err)+")"
	}
	return e
}

// status turns an answer that is no success into an [Error]. body may be nil.
func (c *client) status(code int, body *errcode.ErrorResponse) *Error {
	url := c.target.repo()
	words := ""
	if body != nil && len(body.Errors) > 0 && codeForm.MatchString(body.Errors[0].Code) {
		words = ", " + body.Errors[0].Code
	}
	switch {
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		if c.creds.secret() || c.creds.ClientCert != "" {
			return errorf(AuthenticationFailed, url, "check that they are right, not expired, and may read this repository",
				"the host refused the credentials (HTTP status %d%s)", code, words)
		}
		return errorf(AuthenticationFailed, url,
			"create a Repository for it that names a Secret, or check the URL: many hosts answer so for what does not exist",
			"the host asks for credentials, and there are none for this repository (HTTP status %d%s)", code, words)
	case code == http.StatusProxyAuthRequired:
		return errorf(HostUnreachable, url, "check the proxy in the Repository's Secret", "the proxy wants credentials (HTTP status 407)")
	case code == http.StatusTooManyRequests || code >= 500:
		return errorf(HostUnreachable, url, "abide keeps trying", "the host cannot serve it now (HTTP status %d%s)", code, words)
	}
	return errorf(UnexpectedAnswer, url, "check the URL", "the host answered with HTTP status %d%s", code, words)
}

// codeForm is a code of the registry's API, such as DENIED.
var codeForm = regexp.MustCompile(`^[A-Z_]{1,40}$`)

// userinfo matches credentials in any URL.
var userinfo = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)[^/@\s'"]+@`)

// ownAddress matches the near end of a connection. It is another each time, and
// an error that stays should be the same.
var ownAddress = regexp.MustCompile(`\S+:[0-9]+->`)

// said is the text of a cause, without URLs, secrets and whatever a terminal
// would obey.
func (c *client) said(err error) string {
	var u *url.Error
	for errors.As(err, &u) {
		err = u.Err
	}
	text := err.Error()
	for _, secret := range c.creds.secrets() {
		text = strings.ReplaceAll(text, secret, "[redacted]")
	}
	text = userinfo.ReplaceAllString(text, "$1")
	text = ownAddress.ReplaceAllString(text, "")
	const most = 300
	if len(text) > most {
		text = text[:most] + "…"
	}
	return printable(text)
}

// secrets lists every text that must not be shown.
func (c Credentials) secrets() []string {
	var out []string
	add := func(s string) {
		if len(s) >= 3 {
			out = append(out, s, url.QueryEscape(s), url.PathEscape(s))
		}
	}
	logins := []login{{username: c.Username, password: c.Password, bearer: c.BearerToken}}
	if d, err := parseDockerConfig(c.DockerConfig); c.DockerConfig != "" && err == nil {
		for _, l := range d.logins {
			logins = append(logins, l)
		}
	}
	for _, l := range logins {
		add(l.password)
		add(l.bearer)
		add(l.refresh)
		_, value, _ := strings.Cut(l.header(), " ")
		add(value)
	}
	if p, err := url.Parse(c.Proxy); err == nil && p.User != nil {
		password, _ := p.User.Password()
		add(password)
	}
	return out
}
