package chart_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/source/chart"
)

// shelf is charts in memory, in place of a Store, with the clock of a bubble.
type shelf struct {
	mu      sync.Mutex
	charts  map[chart.Ref]*item
	expired []chart.Ref
}

// item is what there is for one Ref.
type item struct {
	mu        *sync.Mutex
	digest    string
	version   string
	err       error            // of resolving
	refuse    map[string]error // of resolving, by password
	fetchErr  error
	missing   string        // the digest that fetchErr is for; "" is all
	takes     time.Duration // of resolving
	looks     []time.Time
	passwords []string // that the looks came with
	fetched   []string // digests
	running   int
	cancelled int
}

// at returns the item of a Ref, made when there is none.
func (s *shelf) at(ref chart.Ref) *item {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := s.charts[ref]
	if i == nil {
		i = &item{mu: &s.mu, digest: digestOf("1"), version: cmp.Or(ref.Version, "1.0.0"), refuse: map[string]error{}}
		s.charts[ref] = i
	}
	return i
}

func digestOf(s string) string { return "sha256:" + sum([]byte(s)) }

// set changes an item.
func (i *item) set(do func(*item)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	do(i)
}

func (i *item) publish(content string) { i.set(func(i *item) { i.digest = digestOf(content) }) }
func (i *item) fail(err error)         { i.set(func(i *item) { i.err = err }) }

// now is the item as it is when nothing goes on any more.
func (i *item) now() item {
	synctest.Wait()
	i.mu.Lock()
	defer i.mu.Unlock()
	return *i
}

// count is how many looks there were.
func (i *item) count() int { return len(i.now().looks) }

// gaps are the times between looks, from the nth on.
func (i *item) gaps(from int) []time.Duration {
	looks := i.now().looks
	var out []time.Duration
	for n := from; n < len(looks); n++ {
		out = append(out, looks[n].Sub(looks[n-1]))
	}
	return out
}

func (s *shelf) Resolve(ctx context.Context, ref chart.Ref, c chart.Credentials) (chart.Revision, error) {
	i := s.at(ref)
	s.mu.Lock()
	i.looks = append(i.looks, time.Now())
	i.passwords = append(i.passwords, c.Password)
	i.running++
	takes := i.takes
	s.mu.Unlock()
	if takes > 0 {
		select {
		case <-time.After(takes):
		case <-ctx.Done():
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	i.running--
	if ctx.Err() != nil {
		i.cancelled++
		return chart.Revision{}, ctx.Err()
	}
	if err := cmp.Or(i.refuse[c.Password], i.err); err != nil {
		return chart.Revision{}, err
	}
	return chart.Revision{
		Repo: ref.Repo, Name: ref.Name, Version: i.version, Digest: i.digest,
		URL: "https://archives.example/" + i.digest + "?signature=s3cret",
	}, nil
}

func (s *shelf) Fetch(_ context.Context, rev chart.Revision, _ chart.Credentials) (snapshot.Tree, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !strings.Contains(rev.URL, rev.Digest) {
		return nil, errors.New("a revision without its URL cannot be fetched")
	}
	for ref, i := range s.charts {
		if ref.Repo == rev.Repo && ref.Name == rev.Name {
			i.fetched = append(i.fetched, rev.Digest)
			if i.fetchErr != nil && (i.missing == "" || i.missing == rev.Digest) {
				return nil, i.fetchErr
			}
		}
	}
	return content(rev.Digest), nil
}

func (s *shelf) Expire(ref chart.Ref) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expired = append(s.expired, ref)
}

// expiries is how often a repository was expired.
func (s *shelf) expiries() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.expired)
}

// content is a Tree that only has a hash.
type content string

func (c content) Hash() string                           { return string(c) }
func (content) Lookup(string) (snapshot.Entry, error)    { return snapshot.Entry{}, nil }
func (content) ReadDir(string) ([]snapshot.Entry, error) { return nil, nil }
func (content) ReadFile(string) ([]byte, error)          { return nil, nil }

func silence() error { return &chart.Error{Kind: chart.HostUnreachable, Problem: "no answer"} }
func denial() error  { return &chart.Error{Kind: chart.AuthenticationFailed, Problem: "no"} }

// post is a Poller that runs in a bubble, and what it told.
type post struct {
	*chart.Poller
	shelf *shelf
	stop  func() // ends Run and waits for it

	mu    sync.Mutex
	calls [][]string
	log   bytes.Buffer
}

func newPost(t *testing.T, o chart.PollerOptions) *post {
	t.Helper()
	p := &post{shelf: &shelf{charts: map[chart.Ref]*item{}}}
	if o.Store == nil {
		o.Store = p.shelf
	}
	if o.Jitter == nil {
		o.Jitter = func() float64 { return 0.5 }
	}
	also := o.Notify
	o.Notify = func(names []string) {
		p.mu.Lock()
		p.calls = append(p.calls, names)
		p.mu.Unlock()
		if also != nil {
			also(names)
		}
	}
	o.Logger = slog.New(slog.NewTextHandler(p, nil))
	p.Poller = chart.NewPoller(o)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := p.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	}()
	p.stop = func() { cancel(); <-done }
	t.Cleanup(p.stop)
	return p
}

// Write takes the log.
func (p *post) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(b)
}

// logged returns the log since the last call.
func (p *post) logged() string {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	defer p.log.Reset()
	return p.log.String()
}

// told returns the names that were notified since the last call, once each.
func (p *post) told() []string {
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	out := slices.Concat(p.calls...)
	p.calls = nil
	slices.Sort(out)
	return slices.Compact(out)
}

func (p *post) expectTold(t *testing.T, why string, names ...string) {
	t.Helper()
	if got := p.told(); !slices.Equal(got, names) {
		t.Errorf("%s: told %v, want %v", why, got, names)
	}
}

// expect asserts the State and the Tree of a name. digest and open are "" for
// none, kind is "" for no error.
func (p *post) expect(t *testing.T, name, why, digest string, kind chart.Kind, open string) {
	t.Helper()
	synctest.Wait()
	s, ok := p.State(name)
	if !ok || s.Revision.Digest != digest {
		t.Errorf("%s: %s is at %+v, want %s", why, name, s, digest)
	}
	if kind == "" && s.Err != nil || kind != "" && !chart.IsKind(s.Err, kind) {
		t.Errorf("%s: %s has the error %v, want %q", why, name, s.Err, kind)
	}
	tree, rev, err := p.Tree(t.Context(), name)
	got := ""
	if err == nil {
		got = tree.Hash()
		if rev != s.Revision {
			t.Errorf("%s: the tree is of %+v, and the state says %+v", why, rev, s.Revision)
		}
	}
	if got != open {
		t.Errorf("%s: %s reads %q (%v), want %q", why, name, got, err, open)
	}
	for _, v := range []any{s.Revision, rev} {
		if text := fmt.Sprintf("%s %#v", v, v); strings.Contains(text, "s3cret") {
			t.Errorf("%s: there is a secret in %s", why, text)
		}
	}
}

var web = chart.Ref{Repo: "https://charts.example/stable", Name: "web", Version: "1.x"}

func as(id, password string) chart.Identity {
	return chart.Identity{ID: id, Value: chart.Credentials{Username: "u", Password: password}}
}
