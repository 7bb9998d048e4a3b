package observe

import (
	"context"
	"maps"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/cluster"
	"abide.dev/abide/internal/object"
)

// watch follows one kind in one version. Its fields are guarded by the
// tracker's lock.
type watch struct {
	t      *Tracker
	kind   cluster.Kind
	stop   context.CancelFunc
	synced bool
	err    error // of the last list or watch, while not synced
	// failures of lists and watches in a row; doubt: there were so many that
	// what was synced is no longer believed.
	failures int
	doubt    bool
	users    map[object.App]bool
	waiting  map[object.App]bool
	began    uint64 // the change of rules after which it did
}

// newWatch returns a watch. The caller holds the tracker's lock.
func newWatch(t *Tracker, k cluster.Kind) *watch {
	return &watch{t: t, kind: k, users: map[object.App]bool{}, waiting: map[object.App]bool{}, began: t.rules.changes}
}

// resyncs never happen: the watch itself tells of every change.
const noResync = time.Duration(0)

func (w *watch) run(ctx context.Context) {
	client := w.t.dyn.Resource(w.kind.GVR())
	lw := cache.ToListWatcherWithWatchListSemantics(&cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			o.LabelSelector = v1alpha1.LabelApp
			l, err := client.List(ctx, o)
			w.failed(ctx, err)
			return l, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (apiwatch.Interface, error) {
			o.LabelSelector = v1alpha1.LabelApp
			i, err := client.Watch(ctx, o)
			w.failed(ctx, err)
			return i, err
		},
	}, w.t.dyn)
	r := cache.NewReflectorWithOptions(lw, &unstructured.Unstructured{}, w, cache.ReflectorOptions{
		Name: "abide " + w.kind.GVR().String(), ResyncPeriod: noResync,
		TypeDescription: w.kind.GVR().String(),
	})
	r.RunWithContext(ctx)
}

// failuresToDoubt is the number of failures in a row after which a watch that
// once worked is no longer believed: with the reflector's backoff that is about
// a minute, longer than an API server takes to restart.
const failuresToDoubt = 5

// failed notes how a list or watch went. It tells those who wait for the kind
// why they have to, and those who rely on it once it can't be relied on.
func (w *watch) failed(ctx context.Context, err error) {
	if ctx.Err() != nil || apierrors.IsResourceExpired(err) {
		return
	}
	w.t.mu.Lock()
	tell := map[object.App]bool{}
	if err == nil {
		w.believed(tell)
	} else {
		w.doubted(err, tell)
	}
	w.t.mu.Unlock()
	if err != nil {
		w.t.log.Warn("watch fails, and is tried again", "kind", w.kind.GroupVersionKind.String(), "error", err)
	}
	w.tell(tell)
}

// believed notes a success. A watch that goes on where it stopped brings no
// list that would say so. The caller holds the lock.
func (w *watch) believed(tell map[object.App]bool) {
	if w.doubt {
		w.sync(tell)
	}
	w.failures = 0
}

// doubted notes a failure. The caller holds the lock.
func (w *watch) doubted(err error, tell map[object.App]bool) {
	w.failures++
	news := w.err == nil && !w.synced
	if w.synced && w.failures == failuresToDoubt {
		w.synced, w.doubt, news = false, true, true
		maps.Copy(w.waiting, w.users)
	}
	if !w.synced {
		w.err = err
	}
	if news {
		maps.Copy(tell, w.waiting)
	}
}

// sync says that the records of the kind can be relied on. The caller holds the
// lock.
func (w *watch) sync(tell map[object.App]bool) {
	maps.Copy(tell, w.waiting)
	clear(w.waiting)
	w.synced, w.doubt, w.err, w.failures = true, false, nil, 0
}

// seen is a live object on its way into the records: what the reflector's
// temporary store keeps in place of the object.
type seen struct {
	metav1.ObjectMeta
	record Record
	ok     bool
}

// Transformer makes the reflector reduce objects as they stream in, so that a
// first list never holds all of them.
func (w *watch) Transformer() cache.TransformFunc {
	return func(obj any) (any, error) {
		u, isObject := obj.(*unstructured.Unstructured)
		if !isObject {
			return obj, nil
		}
		r, ok := w.t.reduce(u, w.kind.Version)
		return &seen{ObjectMeta: metav1.ObjectMeta{Namespace: u.GetNamespace(), Name: u.GetName()}, record: r, ok: ok}, nil
	}
}

func (w *watch) key(namespace, name string) object.Key {
	return object.Key{Group: w.kind.Group, Kind: w.kind.Kind, Namespace: namespace, Name: name}
}

// live tells whether the watch is still in use: an event that is under way when
// its watch ends must not leave a record that nobody would ever remove. The
// caller holds the lock.
func (w *watch) live() bool { return w.t.watches[w.kind.GroupVersionKind] == w }

// Replace takes a whole list, as of a resourceVersion.
func (w *watch) Replace(list []any, resourceVersion string) error {
	asOf := number(resourceVersion)
	now := make(map[object.Key]bool, len(list))
	tell := map[object.App]bool{}
	toSeen := w.Transformer()
	reduced := make([]*seen, 0, len(list))
	for _, obj := range list {
		o, _ := toSeen(obj)
		if s, ok := o.(*seen); ok {
			reduced = append(reduced, s)
		}
	}
	w.t.mu.Lock()
	if !w.live() {
		w.t.mu.Unlock()
		return nil
	}
	for _, s := range reduced {
		k := w.key(s.Namespace, s.Name)
		now[k] = s.ok
		w.put(k, s.record, s.ok, nil, tell)
		if s.ok && w.t.rules.of(s.record.Owner).own != s.record.by.own {
			w.t.judgeAgain(s.record.Owner, w) // its rules changed while the list was made
		}
	}
	for k, r := range w.t.records {
		// What abide has applied since the list was made can't be in it.
		if k.GroupKind() == w.kind.GroupKind() && r.version == w.kind.Version && !now[k] && r.resourceVersion <= asOf {
			w.drop(k, tell)
		}
	}
	if !w.synced {
		w.sync(tell)
	}
	w.t.mu.Unlock()
	w.tell(tell)
	return nil
}

// Add takes an object that came.
func (w *watch) Add(obj any) error { return w.Update(obj) }

// Update takes an object that came or changed.
func (w *watch) Update(obj any) error {
	u, ok := obj.(*unstructured.Unstructured)
	if !ok {
		return nil
	}
	tell := map[object.App]bool{}
	r, ok := w.t.judged(u, w.kind.Version)
	if w.live() {
		w.put(w.key(u.GetNamespace(), u.GetName()), r, ok, u, tell)
	}
	w.t.mu.Unlock()
	w.tell(tell)
	return nil
}

// Delete takes an object that went, or lost its label.
func (w *watch) Delete(obj any) error {
	u, ok := obj.(*unstructured.Unstructured)
	if !ok {
		return nil
	}
	tell := map[object.App]bool{}
	k := w.key(u.GetNamespace(), u.GetName())
	w.t.mu.Lock()
	// The event carries the resourceVersion of the change: if abide has applied
	// the object since (it puts the label back, or creates it anew), it is there.
	r, have := w.t.records[k]
	if have && w.live() && r.version == w.kind.Version && r.UID == u.GetUID() && r.resourceVersion <= number(u.GetResourceVersion()) {
		w.drop(k, tell)
	}
	w.t.mu.Unlock()
	w.tell(tell)
	return nil
}

// Resync has nothing to do: the records need no repetition.
func (w *watch) Resync() error { return nil }

// put stores what an event says and notes who has to be told. An object is
// judged by the watch of the version that abide applied it in: another version
// shows the same fields under other names. The caller holds the lock.
func (w *watch) put(k object.Key, r Record, marked bool, u *unstructured.Unstructured, tell map[object.App]bool) {
	old, have := w.t.records[k]
	if have && old.resourceVersion > r.resourceVersion {
		return // older than our own apply
	}
	if !marked {
		if have && old.version == w.kind.Version {
			w.drop(k, tell)
		}
		return
	}
	if applied := versionOf(r.APIVersion); applied != "" && applied != w.kind.Version {
		other := w.kind.GroupVersionKind
		other.Version = applied
		if w.t.watches[other] != nil {
			return
		}
		r.Fingerprint = "" // can't be told in this version: it is applied again
	}
	w.t.records[k] = r
	if have && old.Observed == r.Observed && old.Health == r.Health && old.Message == r.Message {
		return
	}
	if u != nil && have && old.Fingerprint != r.Fingerprint {
		w.t.changed[k] = u
	}
	tell[r.Owner] = true
	if have && old.Owner != r.Owner {
		tell[old.Owner] = true
	}
}

// versionOf cuts the group off an apiVersion.
func versionOf(apiVersion string) string {
	for i := len(apiVersion) - 1; i >= 0; i-- {
		if apiVersion[i] == '/' {
			return apiVersion[i+1:]
		}
	}
	return apiVersion
}

// drop removes a record. The caller holds the lock.
func (w *watch) drop(k object.Key, tell map[object.App]bool) {
	if r, ok := w.t.records[k]; ok {
		tell[r.Owner] = true
	}
	delete(w.t.records, k)
	delete(w.t.changed, k)
}

func (w *watch) tell(apps map[object.App]bool) {
	for a := range apps {
		w.t.notify(a)
	}
}
