package chart

import (
	"container/heap"
	"context"
	"crypto/rand"
	"encoding/binary"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"abide.dev/abide/internal/snapshot"
)

// Charts is what a [Poller] needs of a [Store].
type Charts interface {
	Resolve(ctx context.Context, ref Ref, c Credentials) (Revision, error)
	Fetch(ctx context.Context, rev Revision, c Credentials) (snapshot.Tree, error)
	Expire(ref Ref)
}

// Identity is credentials with a name. Who asks with an equal ID for the same
// is answered by one look, so the ID must differ wherever the right to use the
// credentials does: "namespace/secret/uid" for example. "" is anonymous. A new
// Value under the same ID replaces the old one for the whole repository.
type Identity struct {
	ID    string
	Value Credentials
}

// Want is what is followed under a name.
type Want struct {
	Ref         Ref
	Credentials Identity
	// Interval is the time between two looks; 0 is the Poller's default, and a
	// second the least. The shortest of those that share a look counts.
	Interval time.Duration
}

// State is what is known under a name.
type State struct {
	// Revision is the last that was seen and fetched, zero before the first
	// one; it stays through errors. Its URL is left out.
	Revision Revision
	// ObservedAt is when the repository last confirmed Revision.
	ObservedAt time.Time
	// Err is what is wrong now, or nil. It has a Reason() for a condition.
	Err error
}

// PollerOptions configures a [Poller].
type PollerOptions struct {
	Store  Charts       // a *Store
	Logger *slog.Logger // nil discards
	// Notify is told which names have a new State: another digest, an error
	// that appeared, changed or went, or a Tree that may be read again. The
	// slice is sorted and the callee's. It is called by one goroutine, which
	// holds no lock, and must not block.
	Notify func(names []string)
	// Moving is told of each before its new State can be seen, under the lock that
	// keeps it from that: it must neither block nor ask for a State. It may be nil.
	Moving func(name string)
	// Jitter returns numbers in [0,1), which spread the looks; nil is random.
	Jitter func() float64

	Interval   time.Duration // default 5 min
	MaxBackoff time.Duration // default 30 min
	// Parallel is how many looks run at a time, default 4. One host gets at
	// most half, and so do all hosts together that last did not answer. One that
	// did not answer yet gets one, and one of four is for hosts that did.
	Parallel int
}

// Poller follows charts: where each version, range or tag points, as time goes
// by. It is safe for concurrent use.
//
// A look asks what a Ref means now and fetches what is new. There is one per
// interval for all names with an equal Ref and Identity.ID. Charts of one
// repository that are due at about the same time are looked at together, so
// that the Store asks for its index once. While nothing is followed, nothing
// happens at all.
//
// A revision is new when its digest is another. So a version that is published
// again with other content is one too, and is logged as a warning when the Ref
// names that version exactly: exact versions and digests are looked at like
// ranges, at first and then at the interval.
//
// A host that does not answer is asked less and less often. When a repository
// refuses an identity, its [Poller.Tree]s are closed until it is accepted again.
type Poller struct {
	store      Charts
	log        *slog.Logger
	notify     func([]string)
	moving     func(string)
	jitter     func() float64
	interval   time.Duration
	maxBackoff time.Duration
	slots      int

	mu      sync.Mutex
	names   map[string]*follower
	sites   map[siteKey]*site
	hosts   map[string]*host
	ready   []*host // with a queue, in the order of their turns
	timers  dueHeap
	running int
	silent  int             // running looks at hosts that last did not answer
	doubted int             // running looks at hosts that are silent or new
	changed map[string]bool // names to notify of
	wake    chan struct{}
	ended   bool // Run is over
}

// follower is what one name wants.
type follower struct {
	want  Want
	group *group // nil when the Ref is not valid
	err   error  // then, why
}

type siteKey struct{ repo, identity string }

// site is one repository as one identity sees it.
type site struct {
	key    siteKey
	scheme string
	creds  Credentials
	round  int // how often creds were replaced
	groups map[groupKey]*group
}

type groupKey struct{ chart, version string }

// group is one look: a Ref as one identity sees it, under any number of names.
type group struct {
	key   groupKey
	site  *site
	host  *host
	ref   Ref
	fixed bool // ref is an exact version

	names     map[string]struct{}
	intervals map[time.Duration]int // how many names want each
	interval  time.Duration         // the shortest of them

	state State // with the URL of the revision
	// accepted tells that the credentials of now were, and so Tree is open.
	accepted bool
	// What could not be fetched is not tried at every look.
	failed missed

	due      time.Time
	pause    time.Duration // that ends when it is due
	position int           // in the heap, -1 when not in it
	queued   bool
	running  bool
	again    bool // look once more when the running look is over
	asked    bool // somebody asked for the next look
	gone     bool
	failures int
	cancel   context.CancelFunc // of the running look
	waiting  []*Refresh
	watching []*Refresh // of the running look
}

// missed is a revision that was found and could not be fetched.
type missed struct {
	digest  string
	err     error
	times   int
	retryAt time.Time
}

// NewPoller returns a Poller that does nothing before [Poller.Run].
func NewPoller(o PollerOptions) *Poller {
	p := &Poller{
		store: o.Store, log: o.Logger, notify: o.Notify, moving: o.Moving, jitter: o.Jitter,
		names: map[string]*follower{}, sites: map[siteKey]*site{}, hosts: map[string]*host{},
		changed: map[string]bool{}, wake: make(chan struct{}, 1),
		interval: 5 * time.Minute, maxBackoff: 30 * time.Minute, slots: 4,
	}
	if p.log == nil {
		p.log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if p.notify == nil {
		p.notify = func([]string) {}
	}
	if p.jitter == nil {
		p.jitter = random
	}
	if o.Interval > 0 {
		p.interval = o.Interval
	}
	if o.MaxBackoff > 0 {
		p.maxBackoff = o.MaxBackoff
	}
	if o.Parallel > 0 {
		p.slots = o.Parallel
	}
	return p
}

func random() float64 {
	var b [8]byte
	rand.Read(b[:]) // never returns an error
	return float64(binary.LittleEndian.Uint64(b[:])>>11) / (1 << 53)
}

// Follow makes the Poller follow want under a name, instead of what it followed
// before. Calling it again with an equal want changes nothing. When only
// credentials or interval change, the last good State stays.
func (p *Poller) Follow(name string, want Want) {
	t, err := want.Ref.parse()
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.names[name]
	if old != nil && old.want == want {
		return
	}
	defer p.poke()
	if err != nil {
		p.leave(name)
		p.names[name] = &follower{want: want, err: err}
		p.changed[name] = true
		return
	}
	g := p.groupOf(t, want, old)
	if old != nil && old.group == g {
		g.wantInterval(p.every(old.want), -1)
	} else {
		p.leave(name)
		g.names[name] = struct{}{}
		if g.state.Err != nil || g.state.Revision.Digest != "" {
			p.changed[name] = true
		}
	}
	p.names[name] = &follower{want: want, group: g}
	g.wantInterval(p.every(want), 1)
	p.retime(g)
}

// groupOf returns the group of a want, made when there is none, and gives its
// site the credentials. old is what the same name followed until now, or nil.
func (p *Poller) groupOf(t target, want Want, old *follower) *group {
	key := siteKey{t.repo(), want.Credentials.ID}
	s := p.sites[key]
	if s == nil {
		s = &site{key: key, scheme: t.scheme, creds: want.Credentials.Value, groups: map[groupKey]*group{}}
		p.sites[key] = s
	}
	if s.creds != want.Credentials.Value {
		p.replace(s, want.Credentials.Value)
	}
	chart := groupKey{t.name, want.Ref.Version}
	g := s.groups[chart]
	if g == nil {
		g = &group{
			key: chart, site: s, host: p.hostOf(t.host), ref: want.Ref, fixed: t.want.exact,
			names: map[string]struct{}{}, intervals: map[time.Duration]int{}, position: -1,
		}
		if old != nil && old.group != nil && old.group.site.key.repo == key.repo && old.group.key == chart {
			g.state = old.group.state // with another identity, which has yet to be accepted
		}
		s.groups[chart] = g
		g.host.groups++
		p.enqueue(g, false)
	}
	return g
}

// replace gives a site new credentials: what they may see is asked at once, and
// nothing is read before.
func (p *Poller) replace(s *site, c Credentials) {
	s.creds = c
	s.round++
	for _, g := range s.groups {
		g.accepted, g.failures, g.failed = false, 0, missed{}
		if g.running {
			g.cancel()
		}
		p.enqueue(g, false)
	}
}

// every is the interval of a want.
func (p *Poller) every(w Want) time.Duration {
	if w.Interval <= 0 {
		return p.interval
	}
	return max(w.Interval, time.Second)
}

// wantInterval counts names that want an interval.
func (g *group) wantInterval(d time.Duration, by int) {
	if g.intervals[d] += by; g.intervals[d] == 0 {
		delete(g.intervals, d)
	}
}

// Forget ends following under a name.
func (p *Poller) Forget(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leave(name)
	delete(p.changed, name)
	p.poke()
}

// State returns what is known under a name; false for one that is not followed.
func (p *Poller) State(name string) (State, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.names[name]
	switch {
	case f == nil:
		return State{}, false
	case f.group == nil:
		return State{Err: f.err}, true
	}
	s := f.group.state
	s.Revision = s.Revision.shown()
	return s, true
}

// shown is the revision without what is not for showing.
func (r Revision) shown() Revision {
	r.URL = ""
	return r
}

// leave takes a name out of its group, and ends what nobody follows any more.
func (p *Poller) leave(name string) {
	f := p.names[name]
	if f == nil {
		return
	}
	delete(p.names, name)
	g := f.group
	if g == nil {
		return
	}
	delete(g.names, name)
	g.wantInterval(p.every(f.want), -1)
	if len(g.names) > 0 {
		p.retime(g)
		return
	}
	g.gone = true
	if g.running {
		g.cancel()
	}
	if g.position >= 0 {
		heap.Remove(&p.timers, g.position)
	}
	g.host.queue = slices.DeleteFunc(g.host.queue, func(other *group) bool { return other == g })
	g.host.groups--
	p.sweepHost(g.host)
	delete(g.site.groups, g.key)
	if len(g.site.groups) == 0 {
		delete(p.sites, g.site.key)
	}
	settle(&g.waiting)
}

// tell marks every name of g for notification, before its new state can be seen.
func (p *Poller) tell(g *group) {
	for name := range g.names {
		p.changed[name] = true
		if p.moving != nil {
			p.moving(name)
		}
	}
}

// poke wakes Run.
func (p *Poller) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}
