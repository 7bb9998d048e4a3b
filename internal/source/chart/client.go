package chart

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"abide.dev/abide/internal/source/dialguard"
)

const (
	userAgent = "abide"
	// maxRedirects is how many redirects one request may pass. A registry needs
	// one or two, to where it stores blobs.
	maxRedirects = 5
	maxHeader    = 64 << 10
)

// client speaks HTTP for one call, with the credentials for one target. It is
// made for the call and closed after it, so that no connection is ever used for
// other credentials.
type client struct {
	target target
	creds  Credentials
	origin string // what the credentials are for
	http   *http.Client
	wire   *wire
}

// client makes a client for a target. own tells that the credentials are the
// target's; else they are used only as far as PassCredentials says.
func (s *Store) client(t target, c Credentials) (*client, error) {
	w := &wire{guard: s.guard, origin: t.origin(c), plain: t.web(c) == "http", proxied: c.Proxy != ""}
	for _, own := range []bool{true, false} {
		cfg, err := c.tlsConfig(own)
		if err != nil {
			return nil, errorf(CredentialsInvalid, t.repo(), "", "the client certificate cannot be used")
		}
		tr := &http.Transport{
			DialContext:            s.guard.DialContext,
			TLSClientConfig:        cfg,
			TLSHandshakeTimeout:    s.limits.Connect,
			ResponseHeaderTimeout:  s.limits.Header,
			IdleConnTimeout:        10 * time.Second,
			MaxResponseHeaderBytes: maxHeader,
			ForceAttemptHTTP2:      true,
		}
		if c.Proxy != "" {
			proxy, err := url.Parse(c.Proxy)
			if err != nil {
				return nil, errorf(CredentialsInvalid, t.repo(), "write http://HOST:PORT", "the proxy is no URL")
			}
			tr.Proxy = http.ProxyURL(proxy)
		}
		if own {
			w.own = tr
		} else {
			w.others = tr
		}
	}
	return &client{
		target: t, creds: c, origin: w.origin, wire: w,
		http: &http.Client{Transport: w, CheckRedirect: w.redirect},
	}, nil
}

func (c *client) close() {
	c.wire.own.CloseIdleConnections()
	c.wire.others.CloseIdleConnections()
}

// wire sends single requests: to the repository's own host with its client
// certificate, to others without, and never over http where https was meant.
type wire struct {
	guard       *dialguard.Guard
	origin      string
	plain       bool
	proxied     bool
	own, others *http.Transport
}

// refusedError is a request that is not sent.
type refusedError struct {
	kind          Kind
	problem, hint string
}

func (e *refusedError) Error() string { return e.problem }

func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := w.check(req.URL); err != nil {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, err
	}
	if originOf(req.URL) == w.origin {
		return w.own.RoundTrip(req)
	}
	return w.others.RoundTrip(req)
}

func (w *wire) check(u *url.URL) error {
	switch {
	case u.Scheme != "https" && (u.Scheme != "http" || !w.plain):
		return &refusedError{RedirectRefused, fmt.Sprintf("it leads from https to %s://%s, and abide does not leave https", show(u.Scheme), show(u.Host)), "make the address it names one with https"}
	case u.User != nil:
		return &refusedError{RedirectRefused, fmt.Sprintf("it leads to a URL of %s with credentials in it", show(u.Host)), ""}
	case w.proxied:
		return w.guard.CheckHost(u.Hostname())
	}
	return nil
}

// redirect judges a redirect before it is followed. net/http drops credentials
// only where the name of the host changes; here another port or scheme is
// another host too, and a chain that comes back has lost them all the same.
func (w *wire) redirect(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return &refusedError{RedirectRefused, fmt.Sprintf("it redirects more than %d times", maxRedirects), ""}
	}
	if err := w.check(req.URL); err != nil {
		return err
	}
	first := originOf(via[0].URL)
	left := originOf(req.URL) != first
	for _, v := range via {
		left = left || originOf(v.URL) != first
	}
	if left {
		for _, h := range []string{"Authorization", "Cookie", "Referer"} {
			req.Header.Del(h)
		}
	}
	return nil
}

// get sends a request to an address of a chart repository, with the
// credentials if they are for it. The caller closes the body.
func (c *client) get(ctx context.Context, address string, header http.Header) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, errorf(IndexInvalid, c.target.repo(), "", "it names an address that is no URL")
	}
	for k, v := range header {
		req.Header[k] = v
	}
	req.Header.Set("User-Agent", userAgent)
	if c.mayKnow(req.URL) {
		if h := c.creds.forHost(strings.ToLower(req.URL.Host), req.URL.Path).header(); h != "" {
			req.Header.Set("Authorization", h)
		}
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.classify(ctx, err)
	}
	return resp, nil
}

// mayKnow tells whether the credentials may go to an address.
func (c *client) mayKnow(u *url.URL) bool {
	return originOf(u) == c.origin || c.creds.PassCredentials && u.Scheme == "https"
}

// errTooLong is a body over its limit.
var errTooLong = errors.New("over the limit")

// limited ends with errTooLong where an io.LimitReader would end as if there
// was no more.
type limited struct {
	r    io.Reader
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.r.Read(p)
	if int64(n) > l.left {
		return int(l.left), errTooLong
	}
	l.left -= int64(n)
	return n, err
}

// copyBody copies a body of at most limit bytes. One that ends when its time
// has run out did not end by itself: net/http may show that as a good end.
func copyBody(ctx context.Context, w io.Writer, body io.Reader, limit int64) error {
	_, err := io.Copy(w, &limited{r: body, left: limit})
	if err == nil {
		err = ctx.Err()
	}
	return err
}
