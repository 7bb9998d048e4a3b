package pipeline

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/cluster"
	"abide.dev/abide/internal/object"
)

const (
	// kindsFresh is how old the list of kinds may be when a kind is missing.
	kindsFresh = time.Second
	// kindsAgain is when to look for a missing kind again, at first and at last.
	kindsFirst = time.Second
	kindsAgain = 10 * time.Second
	// kindsSoon is the same, just after a definition was applied.
	kindsSoon = 250 * time.Millisecond
	// kindsPartial is when to look again at kinds that the API server could not
	// tell of.
	kindsPartial = time.Minute
	// watchAgain is when to look again at a kind whose watch is failing.
	watchAgain = 30 * time.Second
	// identityFresh is how long an identity that was seen is taken to exist.
	identityFresh = time.Minute
	// deletionAgain is when to look again at objects that are slow to go and
	// that no watch tells of.
	deletionAgain = 5 * time.Second
)

// observe makes sure that the records of every kind in question are there.
func (r *run) observe(ctx context.Context) bool {
	r.inventory = r.Inventories.Entries(r.id)
	kinds := append([]cluster.Kind(nil), r.desired.kinds...)
	have := map[schema.GroupVersionKind]bool{}
	for _, k := range kinds {
		have[k.GroupVersionKind] = true
	}
	r.kinds = map[schema.GroupVersionKind]cluster.Kind{}
	refreshed := false
	for _, e := range r.inventory {
		gvk := schema.GroupVersionKind{Group: e.Group, Version: e.Version, Kind: e.Kind}
		if _, done := r.kinds[gvk]; done {
			continue
		}
		kind, ok := r.kindOf(gvk)
		if !ok && !refreshed {
			refreshed = true
			if err := r.Cluster.Kinds.Refresh(ctx, r.Now().Add(-kindsFresh)); err != nil {
				return r.fail(ReasonClusterFailed, err)
			}
			kind, ok = r.kindOf(gvk)
		}
		if !ok {
			continue // its definition is gone, or hidden: see remove
		}
		r.kinds[gvk] = kind
		if !have[kind.GroupVersionKind] {
			have[kind.GroupVersionKind] = true
			kinds = append(kinds, kind)
		}
	}
	pending := r.Tracker.Use(r.id, kinds)
	for _, p := range pending {
		if p.Err != nil {
			r.again(watchAgain)
			r.out.Err = p.Err
			return r.stop(v1alpha1.StateFailed, ReasonWatchFailed,
				"abide can't watch %s, and so can't tell what is there: %s", object.GVKString(p.Kind), p.Err)
		}
	}
	if len(pending) > 0 {
		return r.pass(ReasonObserving, "reading what is there of %s", object.GVKString(pending[0].Kind))
	}
	r.recognise()
	return true
}

// recognise learns the uids of objects that were created and are not written
// down with theirs, or that somebody put a copy in the place of: what is removed
// is removed by its uid.
func (r *run) recognise() {
	learnt := false
	for k, e := range r.inventory {
		if rec, ok := r.Tracker.Get(k); ok && rec.Owner == r.id && rec.UID != e.UID {
			r.Inventories.Learn(r.id, k, rec.UID)
			learnt = true
		}
	}
	if learnt {
		r.inventory = r.Inventories.Entries(r.id)
	}
	if !r.heals() {
		// A uid alone tells an object that was removed from one that is still to be
		// created, also after a restart.
		r.pending.set = append(r.pending.set, r.Inventories.Learnt(r.id)...)
	}
}

// kindOf finds the kind in that version or, if it is no longer served, another.
func (r *run) kindOf(gvk schema.GroupVersionKind) (cluster.Kind, bool) {
	if k, ok := r.Cluster.Kinds.Lookup(gvk); ok {
		return k, true
	}
	return r.Cluster.Kinds.AnyVersion(gvk.GroupKind())
}
