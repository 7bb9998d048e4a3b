package source

import (
	"container/heap"
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/source/git"
)

// Mirror is what the Hub needs of a mirror; [git.Mirror] is one.
type Mirror interface {
	ListRefs(ctx context.Context, c git.Credentials, patterns []string) (git.Refs, error)
	Fetch(ctx context.Context, c git.Credentials, wants ...git.Want) error
	FetchRefs(ctx context.Context, c git.Credentials, refs []string) (map[string]string, error)
	Has(commit string) bool
	Commit(ctx context.Context, hash string) (git.Commit, error)
	Snapshot(ctx context.Context, commit string) (snapshot.Tree, error)
	ChangedPaths(ctx context.Context, from, to string) ([]git.Change, error)
	Hold(commit string)
	Release(commit string)
}

// Remotes gives the mirror of a URL.
type Remotes interface {
	Parse(raw string) (git.URL, error)
	Mirror(u git.URL) (Mirror, error)
}

// FromStore makes a git.Store the Remotes of a Hub.
func FromStore(s *git.Store) Remotes { return storeRemotes{s} }

type storeRemotes struct{ *git.Store }

func (r storeRemotes) Mirror(u git.URL) (Mirror, error) {
	m, err := r.Store.Mirror(u)
	if err != nil {
		return nil, err
	}
	return m, nil
}

// Credentials is a secret with an identity. Apps with equal ID and URL share
// one listing, so the ID must differ wherever the right to use the secret
// does: "namespace/secret/uid" for example. "" is anonymous. A new Value under
// the same ID replaces the old one for all.
type Credentials struct {
	ID    string
	Value git.Credentials
}

// Want is what an App follows.
type Want struct {
	URL         string
	Ref         Ref
	Credentials Credentials
	// Interval is the time between two looks; 0 is the Hub's default. The
	// shortest of a group's Apps counts.
	Interval time.Duration
	// Behind lets others go first: of the looks at a host and of all, what
	// nobody follows but so has a share, and no more.
	Behind bool
}

// State is what is known for an App.
type State struct {
	// Revision and Commit are the last that was seen and fetched; zero before
	// the first one. They stay through errors.
	Revision Revision
	Commit   git.Commit
	// ObservedAt is when Revision was last confirmed by the remote.
	ObservedAt time.Time
	// Err is what is wrong now, or nil. It has a Reason() for a condition.
	Err error
}

// Options configures a [Hub].
type Options struct {
	Remotes Remotes
	Logger  *slog.Logger // nil discards
	// Notify is told which Apps have a new State: a new commit, or an error
	// that appeared, changed or went. The slice is sorted and the callee's. It
	// is called by one goroutine and must not block.
	Notify func(apps []string)
	// Moving is told of each before its new State can be seen, under the lock that
	// keeps it from that: it must neither block nor ask for a State. It may be nil.
	Moving func(app string)
	// Jitter returns numbers in [0,1), which spread the looks; nil is random.
	Jitter func() float64

	Interval   time.Duration // default 30 s
	MaxBackoff time.Duration // default 10 min
	// Processes is how many looks run at a time, default 4. One host gets at
	// most half, and so do all hosts together that last did not answer; one of
	// four is for hosts that have answered before.
	Processes int
}

// Hub follows remotes. It is safe for concurrent use.
type Hub struct {
	remotes    Remotes
	log        *slog.Logger
	notify     func([]string)
	moving     func(string)
	jitter     func() float64
	interval   time.Duration
	maxBackoff time.Duration
	slots      int

	mu      sync.Mutex
	apps    map[string]*follow
	groups  map[groupKey]*group
	hosts   map[string]*host
	ready   []*host // with a queue, in the order of their turns
	timers  dueHeap
	running int
	behind  int             // running looks that are behind others
	silent  int             // running looks at hosts that last did not answer
	doubted int             // running looks at hosts that are silent or new
	changed map[string]bool // Apps to notify
	wake    chan struct{}
}

type groupKey struct{ url, credentials string }

// group is one listing: a URL seen with one identity.
type group struct {
	key      groupKey
	host     *host
	mirror   Mirror
	creds    git.Credentials
	interval time.Duration // the shortest of intervals
	follows  map[Ref]*follow
	// intervals counts the Apps by the interval they want.
	intervals map[time.Duration]int
	ahead     map[string]bool // the Apps that do not follow it behind others

	due      time.Time
	position int // in the heap, -1 when not in it
	queued   bool
	running  bool
	again    bool // look once more when the running look is over
	direct   bool // the next look was announced: fetch at once
	repair   bool // the mirror was found broken: tell the Apps when it is whole
	gone     bool
	failures int

	refs     git.Refs // the last good listing
	err      error    // of the last look, nil when the remote answered
	listed   bool     // a look succeeded since these credentials came
	waiting  []*Refresh
	watching []*Refresh // of the running look
}

// follow is one ref of a group, for any number of Apps.
type follow struct {
	ref   Ref
	group *group // nil when the URL is not valid
	apps  map[string]time.Duration
	state State
	held  string

	// What could not be fetched is not tried at every look.
	failed   string // the commit
	failures int
	retryAt  time.Time
}

// host is the queue of looks at one host.
type host struct {
	name    string
	queue   []*group
	running int
	behind  int  // running looks that are behind others
	turns   int  // begun since one of those
	proven  bool // it answered once
	silent  bool // it did not answer the last look
	inRing  bool
}

// NewHub returns a Hub that does nothing before [Hub.Run].
func NewHub(o Options) *Hub {
	h := &Hub{
		remotes: o.Remotes, log: o.Logger, notify: o.Notify, moving: o.Moving, jitter: o.Jitter,
		interval: o.Interval, maxBackoff: o.MaxBackoff, slots: o.Processes,
		apps: map[string]*follow{}, groups: map[groupKey]*group{}, hosts: map[string]*host{},
		changed: map[string]bool{}, wake: make(chan struct{}, 1),
	}
	if h.log == nil {
		h.log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if h.notify == nil {
		h.notify = func([]string) {}
	}
	if h.jitter == nil {
		h.jitter = rand.Float64
	}
	if h.interval <= 0 {
		h.interval = 30 * time.Second
	}
	if h.maxBackoff <= 0 {
		h.maxBackoff = 10 * time.Minute
	}
	if h.slots <= 0 {
		h.slots = 4
	}
	return h
}

// Follow makes the Hub follow want for an App, instead of what it followed
// before. Calling it again with an equal want changes nothing. When only
// credentials or interval change, the last good State stays.
func (h *Hub) Follow(app string, want Want) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if want.Interval <= 0 {
		want.Interval = h.interval
	}
	want.Interval = max(want.Interval, time.Second)
	url, err := h.remotes.Parse(want.URL)
	var m Mirror
	if err == nil {
		m, err = h.remotes.Mirror(url)
	}
	if err == nil {
		err = want.Ref.check()
	}
	if err != nil {
		h.leave(app)
		f := &follow{ref: want.Ref, apps: map[string]time.Duration{app: want.Interval}, state: State{Err: err}}
		h.apps[app] = f
		h.tell(f)
		h.poke()
		return
	}
	key := groupKey{url.String(), want.Credentials.ID}
	g := h.groups[key]
	if g == nil {
		g = &group{key: key, host: h.hostOf(url), mirror: m, creds: want.Credentials.Value, follows: map[Ref]*follow{}, intervals: map[time.Duration]int{}, ahead: map[string]bool{}, position: -1}
		h.groups[key] = g
	}
	if g.creds != want.Credentials.Value {
		g.creds, g.listed, g.failures = want.Credentials.Value, false, 0
		h.enqueue(g, false)
	}
	old := h.apps[app]
	f := g.follows[want.Ref]
	if f == nil {
		f = &follow{ref: want.Ref, group: g, apps: map[string]time.Duration{}}
		if old != nil && old.group != nil && old.group.key.url == key.url && old.ref == want.Ref {
			f.state = old.state
			h.hold(f, old.held)
		}
		g.follows[want.Ref] = f
		h.enqueue(g, false)
	}
	if old != f {
		h.leave(app)
		h.apps[app] = f
		if f.state.Err != nil || f.state.Revision.Hash != "" {
			h.changed[app] = true
		}
	}
	if delete(g.ahead, app); !want.Behind {
		g.ahead[app] = true
	}
	if f.apps[app] != want.Interval {
		g.wantInterval(f.apps[app], -1)
		g.wantInterval(want.Interval, 1)
		f.apps[app] = want.Interval
		h.retime(g)
	}
	h.poke()
}

// wantInterval counts Apps that want an interval; 0 stands for none.
func (g *group) wantInterval(d time.Duration, by int) {
	if d == 0 {
		return
	}
	if g.intervals[d] += by; g.intervals[d] == 0 {
		delete(g.intervals, d)
	}
}

// Forget ends following for an App.
func (h *Hub) Forget(app string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.leave(app)
	delete(h.changed, app)
	h.poke()
}

// State returns what is known for an App; false for one that is not followed.
func (h *Hub) State(app string) (State, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.apps[app]
	if f == nil {
		return State{}, false
	}
	return f.state, true
}

// leave takes an App out of its follow, and ends what nobody follows any more.
func (h *Hub) leave(app string) {
	f := h.apps[app]
	if f == nil {
		return
	}
	g := f.group
	if g != nil {
		g.wantInterval(f.apps[app], -1)
		delete(g.ahead, app)
	}
	delete(h.apps, app)
	delete(f.apps, app)
	if g == nil {
		return
	}
	if len(f.apps) == 0 {
		h.hold(f, "")
		delete(g.follows, f.ref)
	}
	if len(g.follows) > 0 {
		h.retime(g)
		return
	}
	g.gone = true
	delete(h.groups, g.key)
	if g.position >= 0 {
		heap.Remove(&h.timers, g.position)
	}
	g.host.queue = slices.DeleteFunc(g.host.queue, func(other *group) bool { return other == g })
	h.sweepHost(g.host)
	settle(&g.waiting)
}

// hold moves a follow's hold on the mirror to another commit, or to none.
func (h *Hub) hold(f *follow, commit string) {
	if f.held == commit {
		return
	}
	if commit != "" {
		f.group.mirror.Hold(commit)
	}
	if f.held != "" {
		f.group.mirror.Release(f.held)
	}
	f.held = commit
}

// tell marks every App of f for notification, before its new state can be seen.
func (h *Hub) tell(f *follow) {
	for app := range f.apps {
		h.changed[app] = true
		if h.moving != nil {
			h.moving(app)
		}
	}
}

// poke wakes Run.
func (h *Hub) poke() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}
