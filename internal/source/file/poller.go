package file

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/snapshot/objhash"
	"abide.dev/abide/internal/source/dialguard"
)

// Credentials are for the host of a URL.
type Credentials struct {
	Username, Password string
	BearerToken        string // excludes Password
	CABundle           string // PEM; replaces the system's authorities for this host
	Proxy              string // URL
}

// Want is what is followed under a name.
type Want struct {
	URL string
	// Name is the name of the file in the tree.
	Name string
	// Owner is for whom it is followed, such as a namespace: what one has is
	// bounded, and so is how many of the looks are for one.
	Owner string
	// Hosts are those that redirects may lead to, besides that of the URL; lower
	// case, without a port.
	Hosts       []string
	Credentials Credentials
	// Interval is the time between two looks; 0 is the default of the Poller.
	Interval time.Duration
}

func (w Want) equal(o Want) bool {
	return w.URL == o.URL && w.Name == o.Name && w.Owner == o.Owner && w.Credentials == o.Credentials && w.Interval == o.Interval && slices.Equal(w.Hosts, o.Hosts)
}

// State is what is known under a name.
type State struct {
	// Digest is "sha256:…" of the last good content, empty before the first one;
	// it stays through errors.
	Digest string
	// Err is what is wrong now, or nil. It has a Reason() for a condition.
	Err error
}

// Options configures a [Poller].
type Options struct {
	Dir            string // the cache; made when missing
	AllowAddresses []netip.Prefix
	Logger         *slog.Logger // nil discards
	// Notify is told which name has another digest, or an error that came,
	// changed or went. It is called by the looks themselves, holds no lock, and
	// must not block.
	Notify func(name string)
	// Moving is told of each before its new State can be seen, under the lock that
	// keeps it from that: it must neither block nor ask for a State. It may be nil.
	Moving func(name string)

	Interval   time.Duration // default 5 min
	MaxBackoff time.Duration // default 30 min
	Parallel   int           // looks at a time, default 8; half of them for one host or owner
	MaxBytes   int64         // of one file, default 16 MiB
	OwnerBytes int64         // of all files of one owner, default 128 MiB
	TotalBytes int64         // of all files, default 1 GiB
	Timeout    time.Duration // of one look, default 30 s
}

// spread is a length of time below most, another each time.
func spread(most time.Duration) time.Duration {
	return time.Duration(time.Now().UnixNano()) % max(most, 1)
}

// Poller follows files. It is safe for concurrent use.
type Poller struct {
	o     Options
	guard *dialguard.Guard

	mu      sync.Mutex
	names   map[string]*followed
	held    map[string]content // by digest
	hosts   map[string]*host
	owners  map[string]int // running looks
	looking int
	silent  int // looks at hosts that last did not answer
	doubted int // looks at hosts that are silent or new
	ended   bool
	wake    chan struct{}
}

// followed is one name.
type followed struct {
	want  Want
	state State
	// etag and since are those of the content of state.Digest.
	etag, since string
	due         time.Time
	looking     bool
	asked       bool // it is due at once, whatever a look that runs finds
	lost        bool // the cache lost its content: tell when it is back
	failures    int
	waits       []chan struct{} // for a look that begins from now on
}

// New returns a Poller with an empty cache.
func New(o Options) (*Poller, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if o.Notify == nil {
		o.Notify = func(string) {}
	}
	o.Interval = cmp.Or(o.Interval, 5*time.Minute)
	o.MaxBackoff = cmp.Or(o.MaxBackoff, 30*time.Minute)
	o.Parallel = cmp.Or(o.Parallel, 8)
	o.MaxBytes = cmp.Or(o.MaxBytes, 16<<20)
	o.OwnerBytes = cmp.Or(o.OwnerBytes, 128<<20)
	o.TotalBytes = cmp.Or(o.TotalBytes, 1<<30)
	o.Timeout = cmp.Or(o.Timeout, 30*time.Second)
	if err := os.RemoveAll(o.Dir); err != nil {
		return nil, fmt.Errorf("cache of files: %w", err)
	}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("cache of files: %w", err)
	}
	return &Poller{
		o: o, guard: dialguard.New(dialguard.Options{Allow: o.AllowAddresses}),
		names: map[string]*followed{}, held: map[string]content{}, hosts: map[string]*host{}, owners: map[string]int{},
		wake: make(chan struct{}, 1),
	}, nil
}

func (p *Poller) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Follow follows what w says under a name, in place of what that was before.
func (p *Poller) Follow(name string, w Want) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.names[name]
	if f != nil && f.want.equal(w) {
		return
	}
	if f == nil || f.want.URL != w.URL || f.want.Name != w.Name || f.want.Credentials != w.Credentials {
		// What other credentials were shown is not shown to these.
		f = p.replace(name, &followed{})
	}
	f.want = w
	p.ask(f)
}

// ask has a file looked at at once, and once more if a look runs. The caller
// holds p.mu.
func (p *Poller) ask(f *followed) {
	f.asked, f.due = true, time.Time{}
	p.poke()
}

// replace puts f in the place of what is followed under a name. The caller holds
// p.mu.
func (p *Poller) replace(name string, f *followed) *followed {
	before := p.names[name]
	if f == nil {
		delete(p.names, name)
	} else {
		p.names[name] = f
	}
	if before == nil {
		return f
	}
	for _, done := range before.waits {
		close(done)
	}
	p.drop(before.state.Digest)
	return f
}

// drop removes content that nobody has any more. The caller holds p.mu.
func (p *Poller) drop(digest string) {
	for _, f := range p.names {
		if f.state.Digest == digest {
			return
		}
	}
	if _, kept := p.held[digest]; kept {
		delete(p.held, digest)
		if err := os.Remove(p.file(digest)); err != nil {
			p.o.Logger.Warn("removing a file that nobody follows any more", "error", err)
		}
	}
}

// Forget ends following under a name.
func (p *Poller) Forget(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.replace(name, nil)
}

// State returns what is known under a name.
func (p *Poller) State(name string) (State, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.names[name]
	if f == nil {
		return State{}, false
	}
	return f.state, true
}

// Tree returns a tree with the last good content under a name, and its digest.
// Its file is read when it is asked for; one that has changed by then is an error
// with Later() true.
func (p *Poller) Tree(name string) (snapshot.Tree, string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.names[name]
	switch {
	case f == nil:
		return nil, "", errorf("NotFetchedYet", "", "the file is not followed")
	case f.state.Digest == "":
		return nil, "", cmp.Or(f.state.Err, errorf("NotFetchedYet", f.want.URL, "the file was not looked at yet"))
	}
	c := p.held[f.state.Digest]
	if info, err := os.Stat(p.file(f.state.Digest)); err != nil || info.Size() != c.size {
		return nil, "", p.lost(f, err)
	}
	tree, err := p.tree(f, c)
	return tree, f.state.Digest, err
}

func (p *Poller) file(digest string) string {
	return filepath.Join(p.o.Dir, strings.TrimPrefix(digest, digestPrefix))
}

// Refresh looks at once at what is followed under a name. The channel is closed
// when that look, or what is followed, is over.
func (p *Poller) Refresh(name string) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	done := make(chan struct{})
	f := p.names[name]
	if f == nil || p.ended {
		close(done)
		return done
	}
	f.waits = append(f.waits, done)
	p.ask(f)
	return done
}

// Run looks at the files until the context ends, and returns when the last look
// is over. It is called once.
func (p *Poller) Run(ctx context.Context) error {
	var looks sync.WaitGroup
	defer p.end()
	defer looks.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		timer.Reset(p.begin(ctx, &looks))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.wake:
		case <-timer.C:
		}
	}
}

func (p *Poller) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	for _, f := range p.names {
		for _, done := range f.waits {
			close(done)
		}
		f.waits = nil
	}
}

// look is one look at a file: what was known before.
type look struct {
	want        Want
	etag, since string
	waits       []chan struct{}
}

// look looks at a file and takes over what came of it. over is told the error of
// the fetch, under p.mu.
func (p *Poller) look(ctx context.Context, name string, f *followed, l look, over func(error)) {
	got, err := p.fetch(ctx, l)
	p.mu.Lock()
	over(err)
	f.looking = false
	changed := false
	if p.names[name] == f && ctx.Err() == nil {
		if changed = p.take(f, l.want, got, err); changed && p.o.Moving != nil {
			p.o.Moving(name)
		}
	}
	p.mu.Unlock()
	if changed {
		p.o.Notify(name)
	}
	for _, done := range l.waits {
		close(done)
	}
	p.poke()
}

// take takes over what a look found, and tells whether the state is another. The
// caller holds p.mu.
func (p *Poller) take(f *followed, w Want, got *answer, err error) bool {
	before := f.state
	if err == nil && got.content != nil {
		digest := digestOf(got.content)
		if err = p.keep(f, w, digest, got.content); err == nil {
			f.state.Digest, f.etag, f.since = digest, got.etag, got.since
		}
	}
	f.state.Err = err
	wait := cmp.Or(w.Interval, p.o.Interval)
	if f.failures++; err == nil {
		f.failures = 0
	} else {
		wait = min(wait<<min(f.failures-1, 10), max(wait, p.o.MaxBackoff))
		p.o.Logger.Info("following a file", "url", shown(w.URL), "error", err, "failures", f.failures)
	}
	if !f.asked { // else it is due at once
		// Spread, so that those that began together do not stay together.
		f.due = time.Now().Add(wait - wait/10 + spread(wait/10))
	}
	if before.Digest != f.state.Digest {
		p.drop(before.Digest)
	}
	back := f.lost && err == nil
	if back {
		f.lost = false
	}
	return back || before.Digest != f.state.Digest || text(before.Err) != text(f.state.Err)
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// bounds tells whether there is room for some bytes more that f is to have. The
// caller holds p.mu.
func (p *Poller) bounds(f *followed, w Want, digest string, size int64) error {
	total, owned := size, size
	counted := map[string]bool{digest: true}
	for _, o := range p.names {
		if d := o.state.Digest; o != f && o.want.Owner == w.Owner && !counted[d] {
			counted[d] = true
			owned += p.held[d].size
		}
	}
	for d, c := range p.held {
		if d != digest {
			total += c.size
		}
	}
	switch {
	case owned > p.o.OwnerBytes:
		return errorf("TooLarge", w.URL, "with it, the files that are followed for %s have more than %d bytes", cmp.Or(w.Owner, "one owner"), p.o.OwnerBytes)
	case total > p.o.TotalBytes:
		return errorf("TooLarge", w.URL, "with it, all files that are followed have more than %d bytes", p.o.TotalBytes)
	}
	return nil
}

// keep writes bytes under their digest, in one step. The caller holds p.mu.
func (p *Poller) keep(f *followed, w Want, digest string, b []byte) error {
	if err := p.bounds(f, w, digest, int64(len(b))); err != nil {
		return err
	}
	t, err := os.CreateTemp(p.o.Dir, ".new-")
	if err != nil {
		return p.failed(err)
	}
	_, err = t.Write(b)
	err = errors.Join(err, t.Close())
	if err == nil {
		err = os.Rename(t.Name(), p.file(digest))
	}
	if err != nil {
		_ = os.Remove(t.Name()) // the first error is the one to tell
		return p.failed(err)
	}
	p.held[digest] = content{int64(len(b)), objhash.Blob(b)}
	return nil
}

// failed says that the cache cannot be written.
func (p *Poller) failed(err error) error {
	if e := syscall.Errno(0); errors.As(err, &e) {
		err = e // without the name of a temporary file, which is another one each time
	}
	return errorf("CacheFailed", "", "the cache of files, %s, cannot be written: %v", p.o.Dir, err)
}

const digestPrefix = "sha256:"

func digestOf(b []byte) string {
	sum := sha256.Sum256(b)
	return digestPrefix + hex.EncodeToString(sum[:])
}
