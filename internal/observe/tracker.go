package observe

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"sync"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/cluster"
	"abide.dev/abide/internal/health"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/plan"
)

// Record is what is kept of a live object.
type Record struct {
	plan.Observed
	Health  v1alpha1.Health
	Message string // why it is not healthy

	by              judges // that told its health
	version         string // of the watch that saw it, or of the apply
	resourceVersion uint64
}

// Tracker holds the records of one cluster. It is safe for concurrent use.
type Tracker struct {
	dyn    dynamic.Interface
	notify func(object.App)
	log    *slog.Logger

	mu      sync.RWMutex
	records map[object.Key]Record
	// changed holds the objects that somebody else changed since their App last
	// looked.
	changed map[object.Key]*unstructured.Unstructured
	watches map[schema.GroupVersionKind]*watch
	uses    map[object.App][]schema.GroupVersionKind
	start   func(*watch) // nil while the tracker does not run

	rules rules
	again map[part]*rejudge
	lists chan struct{}               // has room for as many lists as are made at a time
	spawn func(func(context.Context)) // runs something on the side; nil while the tracker does not run
}

// New returns a tracker; its watches begin with Run. notify is called without
// a lock held and must not block.
func New(dyn dynamic.Interface, notify func(object.App), log *slog.Logger) *Tracker {
	return &Tracker{
		dyn:     dyn,
		notify:  notify,
		log:     log,
		records: map[object.Key]Record{},
		changed: map[object.Key]*unstructured.Unstructured{},
		watches: map[schema.GroupVersionKind]*watch{},
		uses:    map[object.App][]schema.GroupVersionKind{},
		rules:   rules{all: health.NewEvaluator(health.Shipped()), shared: health.Shipped(), own: map[object.App]*ownRules{}},
		again:   map[part]*rejudge{},
		lists:   make(chan struct{}, parallelLists),
	}
}

// Run starts the watches and returns when ctx ends.
func (t *Tracker) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	t.mu.Lock()
	t.start = func(w *watch) {
		wctx, stop := context.WithCancel(ctx)
		w.stop = stop
		wg.Add(1)
		go func() {
			defer wg.Done()
			w.run(wctx)
		}()
	}
	t.spawn = func(f func(context.Context)) { wg.Go(func() { f(ctx) }) }
	for _, w := range t.watches {
		t.start(w)
	}
	t.mu.Unlock()
	<-ctx.Done()
	t.mu.Lock()
	t.start, t.spawn = nil, nil
	t.mu.Unlock()
	wg.Wait()
	return nil
}

// Pending is a kind whose objects can't be told yet.
type Pending struct {
	Kind schema.GroupVersionKind
	// Err is why, if its watch has failed; nil while it is on its way.
	Err error
}

// Use says which kinds an App needs watched, in place of what it needed before,
// and returns those of them that are not there yet. The App is notified when
// that changes. A watch that no App needs any more ends.
func (t *Tracker) Use(app object.App, kinds []cluster.Kind) []Pending {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.uses[app]
	now := make([]schema.GroupVersionKind, 0, len(kinds))
	var pending []Pending
	for _, k := range kinds {
		w := t.watches[k.GroupVersionKind]
		if w == nil {
			w = newWatch(t, k)
			t.watches[k.GroupVersionKind] = w
			if t.start != nil {
				t.start(w)
			}
		}
		w.users[app] = true
		now = append(now, k.GroupVersionKind)
		if !slices.Contains(before, k.GroupVersionKind) {
			t.catchUp(app, w)
		}
		if !w.synced {
			w.waiting[app] = true
			pending = append(pending, Pending{Kind: k.GroupVersionKind, Err: w.err})
		} else if j := t.again[part{app, k.GroupVersionKind}]; j != nil {
			j.waited = true
			pending = append(pending, Pending{Kind: k.GroupVersionKind, Err: j.err})
		}
	}
	if len(now) == 0 {
		delete(t.uses, app)
	} else {
		t.uses[app] = now
	}
	for _, gvk := range before {
		if w := t.watches[gvk]; w != nil && !slices.Contains(now, gvk) {
			t.leave(w, app)
		}
	}
	return pending
}

// Forget ends the App's use of every kind, and drops its rules.
func (t *Tracker) Forget(app object.App) {
	t.Use(app, nil)
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.rules.own, app)
}

// leave takes app off a watch, and ends the watch with its last user. The
// caller holds the lock.
func (t *Tracker) leave(w *watch, app object.App) {
	delete(w.users, app)
	delete(w.waiting, app)
	if len(w.users) > 0 {
		return
	}
	if w.stop != nil {
		w.stop()
	}
	delete(t.watches, w.kind.GroupVersionKind)
	for k, r := range t.records {
		if k.GroupKind() == w.kind.GroupKind() && r.version == w.kind.Version {
			delete(t.records, k)
			delete(t.changed, k)
		}
	}
}

// Get returns the record of an object.
func (t *Tracker) Get(k object.Key) (Record, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	r, ok := t.records[k]
	return r, ok
}

// Observed is Get for a plan.
func (t *Tracker) Observed(k object.Key) (plan.Observed, bool) {
	r, ok := t.Get(k)
	return r.Observed, ok
}

// Changed returns the live object as it was when somebody else last changed it,
// if its App has not settled it since. It must not be changed.
func (t *Tracker) Changed(k object.Key) (*unstructured.Unstructured, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	u, ok := t.changed[k]
	return u, ok
}

// Settle says that the App has dealt with what Changed holds of an object.
func (t *Tracker) Settle(k object.Key) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.changed, k)
}

// Applied takes the server's answer to an apply of ours, so that the next look
// at the record need not wait for the watch.
func (t *Tracker) Applied(u *unstructured.Unstructured) Record {
	r, ok := t.judged(u, u.GroupVersionKind().Version)
	defer t.mu.Unlock()
	if !ok {
		return r
	}
	k := object.KeyOf(u)
	// What the watch has seen since stands, and so does what somebody changed.
	if old, have := t.records[k]; !have || old.resourceVersion <= r.resourceVersion {
		t.records[k] = r
		delete(t.changed, k)
	}
	return r
}

// Gone takes the server's word that the object with this uid no longer exists.
func (t *Tracker) Gone(k object.Key, uid types.UID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if r, ok := t.records[k]; ok && r.UID == uid {
		delete(t.records, k)
		delete(t.changed, k)
	}
}

// reduce makes a record of a live object seen in a version; ok is false if the
// object does not carry the marks of an App, and of the record only the
// resourceVersion is set then.
func (t *Tracker) reduce(u *unstructured.Unstructured, version string) (r Record, ok bool) {
	r.resourceVersion = number(u.GetResourceVersion())
	owner, ok := object.Owner(u)
	if !ok {
		return r, false
	}
	p := object.Fingerprint(u)
	r.Owner, r.UID, r.Deleting = owner, u.GetUID(), u.GetDeletionTimestamp() != nil
	r.Fingerprint, r.APIVersion = p.Fingerprint, p.APIVersion
	t.mu.RLock()
	r.by = t.rules.of(owner)
	t.mu.RUnlock()
	r.Health, r.Message = r.by.say(u)
	r.version = version
	return r, true
}

// number reads a resourceVersion. They are numbers that grow over all objects of
// a kind (KEP-5504); 0 for a server that does not keep to that.
func number(resourceVersion string) uint64 {
	n, err := strconv.ParseUint(resourceVersion, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
