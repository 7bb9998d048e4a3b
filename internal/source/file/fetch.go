package file

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"abide.dev/abide/internal/source/dialguard"
)

const (
	maxRedirects = 5
	maxHeader    = 64 << 10
)

// Error is what went wrong with a file. Its message is for people and holds no
// secret.
type Error struct {
	Kind    string // the reason of a condition
	URL     string // without what may be secret
	Problem string
	Err     error // a cause with a type, or nil; its text is not for people
}

func (e *Error) Error() string {
	if e.URL == "" {
		return e.Problem
	}
	return e.URL + ": " + e.Problem
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Reason is the reason of a condition.
func (e *Error) Reason() string { return e.Kind }

func errorf(kind, address, format string, args ...any) error {
	return &Error{Kind: kind, URL: shown(address), Problem: fmt.Sprintf(format, args...)}
}

// shown is a URL without its query and user.
func shown(address string) string {
	address, _, _ = strings.Cut(address, "?")
	if u, err := url.Parse(address); err == nil {
		u.User = nil
		return u.String()
	}
	return "the file"
}

// answer is what came. content is nil if it is as before.
type answer struct {
	content     []byte
	etag, since string
}

// fetch asks for a file.
func (p *Poller) fetch(ctx context.Context, l look) (*answer, error) {
	ctx, cancel := context.WithTimeout(ctx, p.o.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.want.URL, nil)
	if err != nil {
		return nil, errorf("URLInvalid", "", "the URL of a file cannot be read")
	}
	c, err := p.client(&l.want)
	if err != nil {
		return nil, err
	}
	defer c.CloseIdleConnections()
	req.Header.Set("User-Agent", "abide")
	if l.etag != "" {
		req.Header.Set("If-None-Match", l.etag)
	} else if l.since != "" {
		req.Header.Set("If-Modified-Since", l.since)
	}
	switch c := l.want.Credentials; {
	case c.BearerToken != "":
		req.Header.Set("Authorization", "Bearer "+c.BearerToken)
	case c.Username != "" || c.Password != "":
		req.SetBasicAuth(c.Username, c.Password)
	}
	resp, err := c.Do(req)
	if err != nil {
		return nil, classify(ctx, l.want.URL, err)
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotModified && (l.etag != "" || l.since != ""):
		return &answer{}, nil
	case resp.StatusCode == http.StatusUnauthorized, resp.StatusCode == http.StatusForbidden:
		return nil, errorf("AuthenticationFailed", l.want.URL, "the host refuses it (%d); name credentials in a Repository whose URL covers it", resp.StatusCode)
	case resp.StatusCode == http.StatusNotFound, resp.StatusCode == http.StatusGone:
		return nil, errorf("FileNotFound", l.want.URL, "the host does not have it (%d)", resp.StatusCode)
	case resp.StatusCode >= 500, resp.StatusCode == http.StatusTooManyRequests:
		return nil, errorf("HostUnreachable", l.want.URL, "the host cannot answer now (%d)", resp.StatusCode)
	case resp.StatusCode != http.StatusOK:
		return nil, errorf("UnexpectedAnswer", l.want.URL, "the host answers with status %d", resp.StatusCode)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, p.o.MaxBytes+1))
	if err == nil {
		err = ctx.Err() // net/http may show an end by time as a good one
	}
	if err != nil {
		return nil, classify(ctx, l.want.URL, err)
	}
	if int64(len(b)) > p.o.MaxBytes {
		return nil, errorf("TooLarge", l.want.URL, "it has more than %d bytes", p.o.MaxBytes)
	}
	if b == nil {
		b = []byte{}
	}
	return &answer{content: b, etag: resp.Header.Get("ETag"), since: resp.Header.Get("Last-Modified")}, nil
}

// redirectError is a redirect that is not followed.
type redirectError struct{ problem string }

func (e *redirectError) Error() string { return e.problem }

// client makes a client for one look.
func (p *Poller) client(w *Want) (*http.Client, error) {
	u, err := url.Parse(w.URL)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nil, errorf("URLInvalid", w.URL, "a file is named by https://HOST/PATH, without a user")
	}
	own := &http.Transport{
		DialContext: p.guard.DialContext, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: 10 * time.Second, MaxResponseHeaderBytes: maxHeader, ForceAttemptHTTP2: true,
	}
	if w.Credentials.Proxy != "" {
		proxy, err := url.Parse(w.Credentials.Proxy)
		if err != nil {
			return nil, errorf("CredentialsInvalid", w.URL, "the proxy is no URL")
		}
		own.Proxy = http.ProxyURL(proxy)
	}
	others := own.Clone()
	if w.Credentials.CABundle != "" {
		own.TLSClientConfig.RootCAs = x509.NewCertPool()
		own.TLSClientConfig.RootCAs.AppendCertsFromPEM([]byte(w.Credentials.CABundle))
	}
	return &http.Client{
		Transport:     &hosts{guard: p.guard, proxied: w.Credentials.Proxy != "", host: u.Host, own: own, others: others},
		CheckRedirect: func(req *http.Request, via []*http.Request) error { return redirect(w, req, via) },
	}, nil
}

// redirect judges a redirect before it is followed.
func redirect(w *Want, req *http.Request, via []*http.Request) error {
	first := via[0].URL
	host := strings.ToLower(req.URL.Hostname())
	switch {
	case len(via) > maxRedirects:
		return &redirectError{fmt.Sprintf("it redirects more than %d times", maxRedirects)}
	case req.URL.Scheme != "https" || req.URL.User != nil:
		return &redirectError{"it redirects to what is no plain https URL"}
	case host != strings.ToLower(first.Hostname()) && !slices.Contains(w.Hosts, host):
		return &redirectError{fmt.Sprintf("it redirects to %q, which is not allowed; allow that host as well", host)}
	}
	for _, r := range append(via, req) {
		if r.URL.Host != first.Host {
			for _, h := range []string{"Authorization", "Cookie", "Referer"} {
				req.Header.Del(h)
			}
		}
	}
	return nil
}

// hosts sends requests to the URL's own host with its authorities, and to
// others with those of the system.
type hosts struct {
	guard       *dialguard.Guard
	proxied     bool
	host        string
	own, others *http.Transport
}

// RoundTrip implements [http.RoundTripper].
func (h *hosts) RoundTrip(req *http.Request) (*http.Response, error) {
	if h.proxied {
		if err := h.guard.CheckHost(req.URL.Hostname()); err != nil {
			return nil, err
		}
	}
	if req.URL.Host == h.host {
		return h.own.RoundTrip(req)
	}
	return h.others.RoundTrip(req)
}

// CloseIdleConnections lets no connection be used for another look.
func (h *hosts) CloseIdleConnections() {
	h.own.CloseIdleConnections()
	h.others.CloseIdleConnections()
}

// classify makes an Error of what went wrong on the way, which never repeats a
// URL of an error.
func classify(ctx context.Context, address string, err error) error {
	e := &Error{URL: shown(address), Err: err}
	var blocked *dialguard.BlockedError
	var refused *redirectError
	var certificate *tls.CertificateVerificationError
	switch {
	case errors.As(err, &blocked):
		e.Kind, e.Problem = "AddressBlocked", blocked.Error()
		if p := blocked.Prefix(); p != "" {
			e.Problem += "; if it is meant to be there, whoever runs abide can allow " + p
		}
	case errors.As(err, &refused):
		e.Kind, e.Problem = "RedirectRefused", refused.problem
	case errors.As(err, &certificate):
		e.Kind, e.Problem = "CertificateInvalid", "its certificate is not trusted; name the authority as caBundle in the Secret of a Repository"
	case ctx.Err() != nil:
		e.Kind, e.Problem = "FetchTimeout", "the time limit ran out before the host had answered"
	default:
		e.Kind, e.Problem = "HostUnreachable", "the host cannot be reached, or broke off"
	}
	return e
}
