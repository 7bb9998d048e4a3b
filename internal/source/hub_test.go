package source

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/source/git"
)

// world is a set of remotes in memory, with the clock of a synctest bubble.
type world struct {
	mu      sync.Mutex
	remotes map[string]*remote
}

type remote struct {
	w        *world
	url      git.URL
	refs     git.Refs
	err      error            // of listing
	refuse   map[string]error // of listing, by password
	fetchErr error
	takes    time.Duration // of listing
	lists    []time.Time
	patterns []string
	fetches  []git.Want
	directs  int
	refusals int // of commits that are not there
	running  int
	have     map[string]bool
	held     map[string]int
	broken   bool
	onList   func()
}

func newWorld() *world { return &world{remotes: map[string]*remote{}} }

func (w *world) Parse(raw string) (git.URL, error) { return git.ParseURL(raw) }

func (w *world) Mirror(u git.URL) (Mirror, error) { return w.at(u.String()), nil }

func (w *world) at(raw string) *remote {
	w.mu.Lock()
	defer w.mu.Unlock()
	u, err := git.ParseURL(raw)
	if err != nil {
		panic(err)
	}
	r := w.remotes[u.String()]
	if r == nil {
		r = &remote{w: w, url: u, have: map[string]bool{}, held: map[string]int{}, refuse: map[string]error{}}
		r.refs = git.Refs{Head: "refs/heads/main", Hashes: map[string]string{"HEAD": hash("1"), "refs/heads/main": hash("1")}}
		w.remotes[u.String()] = r
	}
	return r
}

// push moves main.
func (r *remote) push(h string) {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	hashes := map[string]string{}
	for k, v := range r.refs.Hashes {
		hashes[k] = v
	}
	hashes["HEAD"], hashes["refs/heads/main"] = h, h
	r.refs = git.Refs{Head: "refs/heads/main", Hashes: hashes}
}

func (r *remote) fail(err error) {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	r.err = err
}

func (r *remote) listings() int {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	return len(r.lists)
}

func (r *remote) ListRefs(ctx context.Context, c git.Credentials, patterns []string) (git.Refs, error) {
	r.w.mu.Lock()
	r.lists = append(r.lists, time.Now())
	r.patterns = patterns
	takes, onList := r.takes, r.onList
	r.running++
	r.w.mu.Unlock()
	if takes > 0 {
		select {
		case <-time.After(takes):
		case <-ctx.Done():
		}
	}
	if onList != nil {
		onList()
	}
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	r.running--
	if err := ctx.Err(); err != nil {
		return git.Refs{}, err
	}
	if err := r.refuse[c.Password]; err != nil {
		return git.Refs{}, err
	}
	return r.refs, r.err
}

func (r *remote) Fetch(_ context.Context, _ git.Credentials, wants ...git.Want) error {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	for _, w := range wants {
		if r.have[w.Hash] && !r.broken {
			continue
		}
		if r.fetchErr != nil {
			return r.fetchErr
		}
		if strings.HasPrefix(w.Hash, "dead") {
			r.refusals++
			return &git.Error{Kind: git.CommitNotFound, Problem: "no such commit"}
		}
		r.fetches = append(r.fetches, w)
		r.have[w.Hash] = true
	}
	r.broken = false
	return nil
}

func (r *remote) FetchRefs(_ context.Context, c git.Credentials, refs []string) (map[string]string, error) {
	r.w.mu.Lock()
	takes := r.takes
	r.w.mu.Unlock()
	time.Sleep(takes)
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	r.directs++
	if err := cmpErr(r.refuse[c.Password], r.err); err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, name := range refs {
		h, ok := r.refs.Hashes[name]
		if !ok {
			return nil, &git.Error{Kind: git.RefNotFound}
		}
		r.have[h] = true
		out[name] = h
	}
	return out, nil
}

func cmpErr(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *remote) Has(h string) bool {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	return r.have[h] && !r.broken
}

func (r *remote) Commit(_ context.Context, h string) (git.Commit, error) {
	return git.Commit{Hash: h, Subject: "subject of " + h[:1]}, nil
}

func (r *remote) Snapshot(_ context.Context, h string) (snapshot.Tree, error) {
	return fakeTree(h), nil
}

func (r *remote) ChangedPaths(_ context.Context, from, to string) ([]git.Change, error) {
	return []git.Change{{Path: from[:1] + to[:1]}}, nil
}

func (r *remote) Hold(h string) {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	r.held[h]++
}

func (r *remote) Release(h string) {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	if r.held[h]--; r.held[h] == 0 {
		delete(r.held, h)
	}
}

type fakeTree string

func (f fakeTree) Hash() string                           { return string(f) }
func (fakeTree) Lookup(string) (snapshot.Entry, error)    { return snapshot.Entry{}, nil }
func (fakeTree) ReadDir(string) ([]snapshot.Entry, error) { return nil, nil }
func (fakeTree) ReadFile(string) ([]byte, error)          { return nil, nil }
func unreachable() error                                  { return &git.Error{Kind: git.HostUnreachable, Problem: "no answer"} }
func denied() error                                       { return &git.Error{Kind: git.AuthenticationFailed, Problem: "no"} }

// bench is a Hub that runs in a bubble, and the notifications it made.
type bench struct {
	*Hub
	w     *world
	mu    sync.Mutex
	calls [][]string
}

func start(t *testing.T, o Options) *bench {
	t.Helper()
	b := &bench{w: newWorld()}
	o.Remotes = b.w
	if o.Jitter == nil {
		o.Jitter = func() float64 { return 0.5 }
	}
	o.Notify = func(apps []string) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.calls = append(b.calls, apps)
	}
	b.Hub = NewHub(o)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := b.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Run: %v", err)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
	return b
}

// told returns the Apps that were notified since the last call, once each.
func (b *bench) told() []string {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	out := slices.Concat(b.calls...)
	b.calls = nil
	slices.Sort(out)
	return slices.Compact(out)
}

func (b *bench) state(t *testing.T, app string) State {
	t.Helper()
	synctest.Wait()
	s, ok := b.State(app)
	if !ok {
		t.Fatalf("%s is not followed", app)
	}
	return s
}

const repoURL = "https://host.example/repo"

func TestOneListingForAllApps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, Options{Interval: 30 * time.Second})
		for i := range 10_000 {
			b.Follow(fmt.Sprintf("app%05d", i), Want{URL: repoURL})
		}
		if n := len(b.told()); n != 10_000 {
			t.Fatalf("told %d Apps", n)
		}
		r := b.w.at(repoURL)
		if n := r.listings(); n > 2 { // the Apps came while the first look began
			t.Errorf("%d listings at the start", n)
		}
		start := r.listings()
		time.Sleep(5*time.Minute + time.Second)
		synctest.Wait()
		if n := r.listings() - start; n != 10 {
			t.Errorf("%d listings in ten intervals", n)
		}
		if len(r.fetches) != 1 {
			t.Errorf("fetched %v", r.fetches)
		}
		if got := b.told(); got != nil {
			t.Errorf("nothing changed, and %d Apps were told", len(got))
		}
		r.push(hash("2"))
		time.Sleep(31 * time.Second)
		if n := len(b.told()); n != 10_000 {
			t.Errorf("told %d Apps of the new commit", n)
		}
		if want := (git.Want{Hash: hash("2"), Base: hash("1")}); len(r.fetches) != 2 || r.fetches[1] != want {
			t.Errorf("fetched %v", r.fetches)
		}
		s := b.state(t, "app00042")
		if s.Revision != (Revision{"refs/heads/main", hash("2")}) || s.Commit.Hash != hash("2") || s.Err != nil {
			t.Errorf("state %+v", s)
		}
		if len(r.held) != 1 || r.held[hash("2")] != 1 {
			t.Errorf("held %v", r.held)
		}
	})
}

// TestMoving: every App that moves is told of before the new commit of any of them
// can be seen.
func TestMoving(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b *bench
		var moved []string
		b = start(t, Options{Interval: 30 * time.Second, Moving: func(app string) {
			if b.Hub.mu.TryLock() {
				b.Hub.mu.Unlock()
				t.Errorf("%s is told of while others can look", app)
			}
			if b.apps[app].state.Revision.Hash == hash("2") {
				t.Errorf("%s is told of after it has moved", app)
			}
			moved = append(moved, app)
		}})
		b.Follow("a", Want{URL: repoURL})
		b.Follow("b", Want{URL: repoURL})
		b.told()
		moved = nil
		b.w.at(repoURL).push(hash("2"))
		time.Sleep(31 * time.Second)
		b.told()
		if slices.Sort(moved); !slices.Equal(moved, []string{"a", "b"}) {
			t.Errorf("told of %v", moved)
		}
	})
}

func TestJitterSpreadsLooks(t *testing.T) {
	for _, tt := range []struct {
		random float64
		want   time.Duration
	}{{0, 27 * time.Second}, {0.5, 30 * time.Second}, {0.999999, 33 * time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			b := start(t, Options{Jitter: func() float64 { return tt.random }})
			b.Follow("a", Want{URL: repoURL})
			time.Sleep(40 * time.Second)
			synctest.Wait()
			r := b.w.at(repoURL)
			if got := r.lists[1].Sub(r.lists[0]).Round(time.Millisecond); got != tt.want {
				t.Errorf("with %v the second look came after %v, want %v", tt.random, got, tt.want)
			}
		})
	}
}

func TestBackoffAndRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, Options{Interval: 30 * time.Second, MaxBackoff: time.Minute})
		r := b.w.at(repoURL)
		b.Follow("a", Want{URL: repoURL})
		b.told()
		r.fail(unreachable())
		time.Sleep(30 * time.Second)
		if got := b.told(); !slices.Equal(got, []string{"a"}) {
			t.Errorf("told %v of the error", got)
		}
		s := b.state(t, "a")
		if git.ReasonOf(s.Err) != "HostUnreachable" || s.Revision.Hash != hash("1") {
			t.Errorf("state %+v does not keep the last good one beside the error", s)
		}
		if _, err := b.Snapshot(t.Context(), "a"); err != nil {
			t.Errorf("a remote that does not answer must not stop reading: %v", err)
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		var gaps []time.Duration
		for i := 2; i < 8; i++ {
			gaps = append(gaps, r.lists[i].Sub(r.lists[i-1]))
		}
		want := []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second, 40 * time.Second, time.Minute, time.Minute}
		if !slices.Equal(gaps, want) {
			t.Errorf("tried after %v, want %v", gaps, want)
		}
		if got := b.told(); got != nil {
			t.Errorf("the same error was told again to %v", got)
		}
		r.fail(nil)
		n := r.listings()
		<-b.RefreshApp("a").Done() // a refresh does not wait for the backoff
		if r.listings() != n+1 {
			t.Errorf("%d listings by a refresh", r.listings()-n)
		}
		if got := b.told(); !slices.Equal(got, []string{"a"}) || b.state(t, "a").Err != nil {
			t.Errorf("told %v, state %+v", got, b.state(t, "a"))
		}
		n = r.listings()
		time.Sleep(61 * time.Second)
		synctest.Wait()
		if got := r.listings() - n; got != 2 {
			t.Errorf("%d listings in two intervals after the recovery", got)
		}
	})
}

func TestDeletedBranchKeepsLastGoodState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, Options{})
		r := b.w.at(repoURL)
		r.refs.Hashes["refs/heads/dev"] = hash("d")
		b.Follow("dev", Want{URL: repoURL, Ref: Ref{Branch: "dev"}})
		b.Follow("main", Want{URL: repoURL})
		b.told()
		r.w.mu.Lock()
		delete(r.refs.Hashes, "refs/heads/dev")
		r.w.mu.Unlock()
		time.Sleep(31 * time.Second)
		if got := b.told(); !slices.Equal(got, []string{"dev"}) {
			t.Errorf("told %v", got)
		}
		s := b.state(t, "dev")
		if !git.IsKind(s.Err, git.RefNotFound) || s.Revision.Hash != hash("d") || b.state(t, "main").Err != nil {
			t.Errorf("state %+v", s)
		}
		if snap, err := b.Snapshot(t.Context(), "dev"); err != nil || snap.Commit.Hash != hash("d") {
			t.Errorf("%+v, %v", snap, err)
		}
		if r.held[hash("d")] != 1 {
			t.Errorf("held %v", r.held)
		}
	})
}

func TestEveryRefItsOwnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, Options{})
		b.Follow("good", Want{URL: repoURL})
		b.Follow("no-commit", Want{URL: repoURL, Ref: Ref{Commit: strings.Repeat("dead", 10)}})
		b.Follow("commit", Want{URL: repoURL, Ref: Ref{Commit: hash("c")}})
		b.Follow("no-range", Want{URL: repoURL, Ref: Ref{Semver: "one point two"}})
		b.Follow("no-tag", Want{URL: repoURL, Ref: Ref{Tag: "v9"}})
		b.Follow("no-url", Want{URL: "ext::sh"})
		synctest.Wait()
		for app, want := range map[string]string{"good": "", "commit": "", "no-commit": "CommitNotFound", "no-range": "RefInvalid", "no-tag": "RefNotFound", "no-url": "URLInvalid"} {
			s := b.state(t, app)
			if want == "" && (s.Err != nil || s.Commit.Hash == "") || want != "" && (s.Err == nil || git.ReasonOf(s.Err) != want) {
				t.Errorf("%s: %+v, want %q", app, s, want)
			}
		}
		if got := b.told(); len(got) != 6 {
			t.Errorf("told %v", got)
		}
	})
}

func TestAccessIsNotShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, Options{})
		r := b.w.at(repoURL)
		r.refuse["bad"] = denied()
		good := Credentials{ID: "team-a/key", Value: git.Credentials{Password: "good"}}
		bad := Credentials{ID: "team-b/key", Value: git.Credentials{Password: "bad"}}
		b.Follow("a", Want{URL: repoURL, Credentials: good})
		b.Follow("b", Want{URL: repoURL, Credentials: bad})
		synctest.Wait()
		if _, err := b.Snapshot(t.Context(), "a"); err != nil {
			t.Error(err)
		}
		_, err := b.Snapshot(t.Context(), "b")
		var refused *NotListedError
		if !errors.As(err, &refused) || refused.Reason() != "AuthenticationFailed" {
			t.Errorf("b reads what a's credentials fetched: %v", err)
		}
		if s := b.state(t, "b"); s.Revision.Hash != "" {
			t.Errorf("b sees %+v", s)
		}
		// A right that is taken back ends reading, though the mirror has it.
		r.w.mu.Lock()
		r.refuse["good"] = denied()
		r.w.mu.Unlock()
		time.Sleep(31 * time.Second)
		synctest.Wait()
		if _, err := b.Snapshot(t.Context(), "a"); !errors.As(err, &refused) {
			t.Errorf("a reads on after its credentials were refused: %v", err)
		}
		if s := b.state(t, "a"); s.Revision.Hash != hash("1") {
			t.Errorf("the last good state is gone: %+v", s)
		}
		if _, err := b.Snapshot(t.Context(), "stranger"); !errors.As(err, &refused) {
			t.Errorf("an App that follows nothing reads: %v", err)
		}
	})
}

func TestNewCredentialsMustListBeforeReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, Options{})
		r := b.w.at(repoURL)
		b.Follow("a", Want{URL: repoURL, Credentials: Credentials{ID: "key", Value: git.Credentials{Password: "old"}}})
		synctest.Wait()
		r.w.mu.Lock()
		r.takes = time.Second
		r.w.mu.Unlock()
		n := r.listings()
		b.Follow("a", Want{URL: repoURL, Credentials: Credentials{ID: "key", Value: git.Credentials{Password: "new"}}})
		synctest.Wait()
		if s, _ := b.State("a"); s.Revision.Hash != hash("1") {
			t.Errorf("the last good state is gone: %+v", s)
		}
		if _, err := b.Snapshot(t.Context(), "a"); err == nil {
			t.Error("reading before the new credentials listed the remote")
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if _, err := b.Snapshot(t.Context(), "a"); err != nil || r.listings() != n+1 {
			t.Errorf("%v after %d listings", err, r.listings()-n)
		}
		// Another identity, same ref: its state goes along, its right does not.
		b.Follow("a", Want{URL: repoURL, Credentials: Credentials{ID: "other"}})
		if s, _ := b.State("a"); s.Revision.Hash != hash("1") {
			t.Errorf("the last good state is gone: %+v", s)
		}
		if _, err := b.Snapshot(t.Context(), "a"); err == nil {
			t.Error("reading before the other identity listed the remote")
		}
		// Another ref: nothing of the old one remains.
		b.Follow("a", Want{URL: repoURL, Ref: Ref{Branch: "dev"}})
		if s, _ := b.State("a"); s.Revision.Hash != "" {
			t.Errorf("the state of another ref: %+v", s)
		}
	})
}

func TestRefreshTakesTheShortWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, Options{})
		r := b.w.at(repoURL)
		b.Follow("a", Want{URL: repoURL})
		b.Follow("b", Want{URL: repoURL, Credentials: Credentials{ID: "other"}})
		b.told()
		n := r.listings()
		r.push(hash("2"))
		<-b.RefreshURL(repoURL + "/").Done()
		if r.listings() != n || r.directs != 2 {
			t.Errorf("%d listings and %d direct fetches, want 0 and 2", r.listings()-n, r.directs)
		}
		if got := b.told(); !slices.Equal(got, []string{"a", "b"}) {
			t.Errorf("told %v", got)
		}
		if s := b.state(t, "a"); s.Revision != (Revision{"refs/heads/main", hash("2")}) {
			t.Errorf("%+v", s)
		}
		// With a tag to follow, or a branch that vanished, the list is needed.
		b.Follow("tag", Want{URL: repoURL, Ref: Ref{Semver: "*"}})
		synctest.Wait()
		n = r.listings()
		<-b.RefreshApp("tag").Done()
		if r.listings() != n+1 {
			t.Errorf("%d listings", r.listings()-n)
		}
		<-b.RefreshURL("https://nobody.example/follows").Done()
		<-b.RefreshURL("nonsense").Done()
		<-b.RefreshApp("stranger").Done()
	})
}

func TestRefreshBeginsAfterItWasAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, Options{})
		r := b.w.at(repoURL)
		r.takes = 10 * time.Second
		b.Follow("a", Want{URL: repoURL})
		time.Sleep(5 * time.Second)
		refresh := b.RefreshApp("a") // while the first look is on its way
		time.Sleep(7 * time.Second)
		synctest.Wait()
		select {
		case <-refresh.Done():
			t.Error("done by a look that began before it was asked for")
		default:
		}
		<-refresh.Done()
		if len(r.lists)+r.directs != 2 {
			t.Errorf("%d listings, %d direct", len(r.lists), r.directs)
		}
		again := b.RefreshApp("a")
		b.Forget("a")
		<-again.Done() // nothing is left to wait for
	})
}

func TestForgetEndsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, Options{})
		r := b.w.at(repoURL)
		b.Follow("a", Want{URL: repoURL})
		b.Follow("b", Want{URL: repoURL})
		synctest.Wait()
		b.Forget("a")
		b.Forget("a")
		time.Sleep(31 * time.Second)
		synctest.Wait()
		n := r.listings()
		if n < 2 || r.held[hash("1")] != 1 {
			t.Errorf("%d listings, held %v", n, r.held)
		}
		b.Forget("b")
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if r.listings() != n || len(r.held) != 0 || len(b.groups)+len(b.hosts)+len(b.apps)+len(b.timers) != 0 {
			t.Errorf("%d more listings, held %v, %d groups, %d hosts", r.listings()-n, r.held, len(b.groups), len(b.hosts))
		}
		if _, ok := b.State("b"); ok {
			t.Error("a forgotten App has a state")
		}
	})
}

func TestIntervalIsTheShortest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, Options{Interval: time.Hour})
		r := b.w.at(repoURL)
		b.Follow("slow", Want{URL: repoURL})
		synctest.Wait()
		time.Sleep(time.Minute)
		b.Follow("fast", Want{URL: repoURL, Interval: 10 * time.Second})
		synctest.Wait()
		n := r.listings()
		time.Sleep(61 * time.Second)
		synctest.Wait()
		if got := r.listings() - n; got != 6 {
			t.Errorf("%d listings in six short intervals", got)
		}
		b.Forget("fast")
		time.Sleep(10 * time.Second)
		synctest.Wait()
		n = r.listings()
		time.Sleep(30 * time.Minute)
		synctest.Wait()
		if got := r.listings() - n; got > 1 {
			t.Errorf("%d listings after the fast App left", got)
		}
	})
}

func TestHangingHostsDoNotStarveOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, Options{Processes: 4, Interval: 10 * time.Second})
		for i := range 200 { // on one host, and on many
			for _, url := range []string{fmt.Sprintf("https://hangs.example/r%d", i), fmt.Sprintf("https://h%d.example/r", i)} {
				r := b.w.at(url)
				r.takes, r.err = 30*time.Second, &git.Error{Kind: git.FetchTimeout, Problem: "hangs"}
				b.Follow(url, Want{URL: url})
			}
		}
		// All hosts look alike at first; after that the silent ones share
		// half of the slots.
		time.Sleep(time.Hour)
		good := b.w.at(repoURL)
		b.Follow("good", Want{URL: repoURL})
		synctest.Wait()
		if s := b.state(t, "good"); s.Revision.Hash == "" {
			t.Fatal("a good host waits for hanging ones")
		}
		n := good.listings()
		time.Sleep(101 * time.Second)
		synctest.Wait()
		if got := good.listings() - n; got != 10 {
			t.Errorf("%d looks in ten intervals", got)
		}
		running := 0
		for _, r := range b.w.remotes {
			running += r.running
		}
		if running > 2 {
			t.Errorf("%d looks at silent hosts at a time", running)
		}
	})
}

func TestNewHostsDoNotStarveProvenOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, Options{Processes: 4, Interval: 10 * time.Second})
		good := b.w.at(repoURL)
		b.Follow("good", Want{URL: repoURL})
		synctest.Wait()
		for i := range 200 { // each takes as long as a fetch may
			url := fmt.Sprintf("https://h%d.example/r", i)
			r := b.w.at(url)
			r.takes, r.err = 10*time.Minute, &git.Error{Kind: git.FetchTimeout, Problem: "hangs"}
			b.Follow(url, Want{URL: url})
		}
		n := good.listings()
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := good.listings() - n; got != 360 {
			t.Errorf("%d looks in 360 intervals", got)
		}
	})
}

// TestBehind: what is behind others has a share of the looks, and no more.
func TestBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, Options{Processes: 4, Interval: 10 * time.Second})
		most := 0
		count := func() {
			b.w.mu.Lock()
			defer b.w.mu.Unlock()
			running := 0
			for url, r := range b.w.remotes {
				if strings.Contains(url, "base") {
					running += r.running
				}
			}
			most = max(most, running)
		}
		url := func(kind string, i int) string { return fmt.Sprintf("https://one.example/%s%d", kind, i) }
		for i := range 20 {
			b.w.at(url("own", i)).takes = 100 * time.Millisecond
			b.Follow(url("own", i), Want{URL: url("own", i)})
		}
		time.Sleep(10 * time.Second)
		for i := range 300 { // of one App, each as slow as a large clone
			r := b.w.at(url("base", i))
			r.takes, r.onList = 20*time.Second, count
			b.Follow(url("base", i), Want{URL: url("base", i), Behind: true})
		}
		n := 0
		for i := range 20 {
			n -= b.w.at(url("own", i)).listings()
		}
		time.Sleep(101 * time.Second)
		synctest.Wait()
		for i := range 20 {
			n += b.w.at(url("own", i)).listings()
		}
		if n < 180 {
			t.Errorf("%d looks of 200 at what is not behind", n)
		}
		if most != 1 {
			t.Errorf("%d looks at a time at what is behind, at one host", most)
		}
		// Its turn comes, and what somebody else follows as well is not behind.
		if s := b.state(t, url("base", 0)); s.Revision.Hash == "" {
			t.Error("what is behind is never looked at")
		}
		b.w.at(url("base", 299)).takes = 0
		b.Follow("other", Want{URL: url("base", 299)})
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if s := b.state(t, "other"); s.Revision.Hash == "" {
			t.Error("what is not behind for all is")
		}
	})
}

// TestCommitThatComes: a commit that is not there yet is not waited for as long
// as one that is.
func TestCommitThatComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, Options{})
		r := b.w.at(repoURL)
		r.w.mu.Lock()
		r.fetchErr = &git.Error{Kind: git.CommitNotFound, Problem: "not there"}
		r.w.mu.Unlock()
		b.Follow("a", Want{URL: repoURL, Ref: Ref{Commit: hash("7")}, Interval: 24 * time.Hour})
		synctest.Wait()
		if s := b.state(t, "a"); !git.IsKind(s.Err, git.CommitNotFound) {
			t.Fatalf("%+v", s)
		}
		r.w.mu.Lock()
		r.fetchErr = nil
		r.w.mu.Unlock()
		time.Sleep(time.Minute)
		synctest.Wait()
		if s := b.state(t, "a"); s.Err != nil {
			t.Errorf("it is pushed, and after a minute: %v", s.Err)
		}
		n := r.listings()
		time.Sleep(20 * time.Hour)
		synctest.Wait()
		if got := r.listings() - n; got > 0 {
			t.Errorf("when it is there, it is looked at %d times in 20 hours", got)
		}
	})
}

func TestProcessesAreBounded(t *testing.T) {
	for _, tt := range []struct{ hosts, most int }{{10, 4}, {1, 2}} {
		synctest.Test(t, func(t *testing.T) {
			b := start(t, Options{Processes: 4, Interval: 5 * time.Minute})
			most := 0
			count := func() {
				b.w.mu.Lock()
				defer b.w.mu.Unlock()
				running := 0
				for _, r := range b.w.remotes {
					running += r.running
				}
				most = max(most, running)
			}
			url := func(i int) string { return fmt.Sprintf("https://h%d.example/r%d", i%tt.hosts, i) }
			for i := range 1000 {
				r := b.w.at(url(i))
				r.takes, r.onList = 50*time.Millisecond, count
				b.Follow(url(i), Want{URL: url(i)})
			}
			time.Sleep(30 * time.Second)
			for i := range 1000 {
				if s := b.state(t, url(i)); s.Revision.Hash == "" {
					t.Fatalf("%d hosts: remote %d was not looked at", tt.hosts, i)
				}
			}
			if most != tt.most {
				t.Errorf("%d hosts: %d looks at a time, want %d", tt.hosts, most, tt.most)
			}
		})
	}
}

func TestBrokenMirrorIsRepaired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, Options{})
		r := b.w.at(repoURL)
		b.Follow("a", Want{URL: repoURL})
		b.told()
		r.w.mu.Lock()
		r.broken = true
		r.w.mu.Unlock()
		if _, err := b.Snapshot(t.Context(), "a"); !git.IsKind(err, git.MirrorCorrupt) {
			t.Errorf("%v", err)
		}
		if got := b.told(); !slices.Equal(got, []string{"a"}) {
			t.Errorf("told %v", got)
		}
		if _, err := b.Snapshot(t.Context(), "a"); err != nil {
			t.Error(err)
		}
	})
}

func TestFetchErrorKeepsLastGoodState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, Options{})
		r := b.w.at(repoURL)
		b.Follow("a", Want{URL: repoURL})
		synctest.Wait()
		r.w.mu.Lock()
		r.fetchErr = &git.Error{Kind: git.RepositoryTooLarge, Problem: "large"}
		r.w.mu.Unlock()
		r.push(hash("2"))
		time.Sleep(31 * time.Second)
		s := b.state(t, "a")
		if s.Revision.Hash != hash("1") || git.ReasonOf(s.Err) != "RepositoryTooLarge" {
			t.Errorf("%+v", s)
		}
		r.w.mu.Lock()
		r.fetchErr = nil
		r.w.mu.Unlock()
		time.Sleep(31 * time.Second)
		if s := b.state(t, "a"); s.Revision.Hash != hash("2") || s.Err != nil {
			t.Errorf("%+v", s)
		}
	})
}

// A disk that was full for a day is tried again as soon as one that was full for
// a minute.
func TestLocalFaultIsTriedSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, Options{})
		r := b.w.at(repoURL)
		b.Follow("a", Want{URL: repoURL})
		synctest.Wait()
		r.w.mu.Lock()
		r.fetchErr = &git.Error{Kind: git.CacheFailed, Problem: "full"}
		r.w.mu.Unlock()
		r.push(hash("2"))
		time.Sleep(24 * time.Hour)
		if s := b.state(t, "a"); git.ReasonOf(s.Err) != "CacheFailed" {
			t.Errorf("%+v", s)
		}
		r.w.mu.Lock()
		r.fetchErr = nil
		r.w.mu.Unlock()
		time.Sleep(2 * time.Minute)
		if s := b.state(t, "a"); s.Revision.Hash != hash("2") || s.Err != nil {
			t.Errorf("%+v", s)
		}
	})
}

func TestOneBadCommitDoesNotSlowTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, Options{Interval: 10 * time.Second})
		r := b.w.at(repoURL)
		b.Follow("good", Want{URL: repoURL})
		b.Follow("pinned", Want{URL: repoURL, Ref: Ref{Commit: strings.Repeat("dead", 10)}})
		r.w.mu.Lock()
		r.refs.Hashes["refs/heads/bad"] = strings.Repeat("dead", 9) + "beef"
		r.w.mu.Unlock()
		b.Follow("bad", Want{URL: repoURL, Ref: Ref{Branch: "bad"}})
		synctest.Wait()
		n := r.listings()
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := r.listings() - n; got < 360 {
			t.Errorf("%d listings in 360 intervals", got)
		}
		if r.refusals > 100 { // 720 at least, if every look asked
			t.Errorf("the commits that are not there were asked for %d times in an hour", r.refusals)
		}
		if s := b.state(t, "good"); s.Err != nil || s.Revision.Hash != hash("1") {
			t.Errorf("%+v", s)
		}
		for _, app := range []string{"pinned", "bad"} {
			if s := b.state(t, app); !git.IsKind(s.Err, git.CommitNotFound) {
				t.Errorf("%s: %+v", app, s)
			}
		}
		// A refresh asks at once, and another commit is tried at once.
		asked := r.refusals
		<-b.RefreshApp("pinned").Done()
		if r.refusals == asked {
			t.Error("a refresh did not ask")
		}
		r.w.mu.Lock()
		r.refs.Hashes["refs/heads/bad"] = hash("b")
		r.w.mu.Unlock()
		time.Sleep(11 * time.Second)
		if s := b.state(t, "bad"); s.Err != nil || s.Revision.Hash != hash("b") {
			t.Errorf("%+v", s)
		}
	})
}

func TestChangedPathsEndsAtTheAppsCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := start(t, Options{})
		b.Follow("a", Want{URL: repoURL})
		synctest.Wait()
		changes, err := b.ChangedPaths(t.Context(), "a", hash("0"))
		if err != nil || len(changes) != 1 || changes[0].Path != "01" {
			t.Errorf("%v, %v", changes, err)
		}
		if _, err := b.ChangedPaths(t.Context(), "stranger", hash("0")); err == nil {
			t.Error("an App that follows nothing sees changes")
		}
	})
}
