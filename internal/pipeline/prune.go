package pipeline

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/apply"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/plan"
)

// prune removes what is no longer wanted, wave by wave and stage by stage in
// reverse, each only when nothing of the one before is left.
func (r *run) prune(ctx context.Context) bool {
	if r.deleting && !r.firstHooks(ctx) {
		return false
	}
	if r.orphaning != "" {
		for _, k := range ran(r.inventory) {
			r.pending.remove = append(r.pending.remove, k)
			r.out.Orphaned = append(r.out.Orphaned, k)
		}
	}
	for _, s := range r.plan.Select(plan.Forget) {
		r.pending.remove = append(r.pending.remove, s.Key)
		if r.deleting && s.Why != "" {
			r.out.Orphaned = append(r.out.Orphaned, s.Key)
		}
	}
	for _, keys := range leaving(&r.plan) {
		if !r.removeAll(ctx, keys, false) {
			return false
		}
	}
	return r.flush(ctx)
}

// removeAll removes objects side by side, with foreground what they made before
// them, and returns true once all of them are gone.
func (r *run) removeAll(ctx context.Context, keys []object.Key, foreground bool) bool {
	var targets []apply.Target
	for _, k := range keys {
		t, known := r.target(k)
		switch {
		case known:
			t.Foreground = foreground
			targets = append(targets, t)
		case r.Cluster.Kinds.Absent(k.GroupKind()):
			r.pending.remove = append(r.pending.remove, k)
		default:
			r.flushLate(ctx)
			return r.fail(ReasonPruneFailed, fmt.Errorf("%s can't be removed: the API server can't say whether it has that kind; the API service of %s is down", k, k.Group))
		}
	}
	if len(targets) > 0 && (!r.identity(ctx) || !r.remove(ctx, targets)) {
		r.flushLate(ctx)
		return false
	}
	return true
}

// leaving are the deletes of a plan, those that go together side by side.
func leaving(p *plan.Plan) (out [][]object.Key) {
	var before *plan.Step
	for _, s := range p.Select(plan.Delete) { // in the order of their execution
		if before == nil || before.Wave != s.Wave || before.Stage() != s.Stage() {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], s.Key)
		before = s
	}
	return out
}

// deletes has an App that is deleted want nothing but the hooks that its newest
// release had for that.
func (r *run) deletes(ctx context.Context) bool {
	r.desired = &desiredState{}
	note, ok := r.Releases.Last(r.id)
	if !ok || note.UID != r.app.UID || r.app.Annotations[v1alpha1.AnnotationSkipDeleteHooks] == "true" || r.app.Spec.DeletionPolicy == v1alpha1.DeletionPolicyOrphan {
		return true
	}
	if r.mem.leaving == nil {
		d := &desiredState{}
		manifests := note.Manifests
		if len(manifests) == 0 && note.Healthy != nil && note.Healthy.UID == r.app.UID {
			manifests = note.Healthy.Manifests // what came after it was never rendered, or never let through
		}
		if len(manifests) > 0 {
			var err error
			if d, err = r.keptState(ctx, manifests); err != nil {
				return r.fail(ReasonRecordFailed, fmt.Errorf("what hooks the App has for its deletion can't be told: %w; to have it removed without them: kubectl annotate app %s -n %s %s=true",
					err, r.id.Name, r.id.Namespace, v1alpha1.AnnotationSkipDeleteHooks))
			}
		}
		d.hooks = slices.DeleteFunc(d.hooks, func(h hook) bool {
			return !slices.Contains(h.Rules.Hook.Events, string(object.PreDelete)) && !slices.Contains(h.Rules.Hook.Events, string(object.PostDelete))
		})
		r.mem.leaving = &desiredState{hooks: d.hooks, kept: d.kept, scopes: d.scopes, kinds: d.kinds}
		r.mem.leaving.number()
	}
	r.desired = r.mem.leaving
	if len(r.desired.hooks) == 0 {
		r.desired = &desiredState{}
	}
	return true
}

// firstHooks runs the hooks that come before an App is removed.
func (r *run) firstHooks(ctx context.Context) bool {
	return r.release == nil || r.orphaning != "" || r.phase(ctx, object.PreDelete)
}

// lastHooks runs, when nothing of a deleted App is left, the hooks that come after
// that, and then removes what hooks ran as.
func (r *run) lastHooks(ctx context.Context) bool {
	if r.orphaning != "" {
		return true
	}
	if r.release != nil && !r.phase(ctx, object.PostDelete) {
		return false
	}
	// What has become of them is on record before they go.
	return r.record(ctx) && r.removeRuns(ctx, ran(r.inventory))
}

// target addresses an object that is to be deleted; known is false if the API
// server does not have its kind.
func (r *run) target(k object.Key) (t apply.Target, known bool) {
	e := r.inventory[k]
	kind, ok := r.kinds[schema.GroupVersionKind{Group: e.Group, Version: e.Version, Kind: e.Kind}]
	return apply.Target{Key: k, Kind: kind, UID: e.UID}, ok
}

func (r *run) remove(ctx context.Context, targets []apply.Target) bool {
	var first error
	var slow []object.Key
	for _, f := range r.Executor.Delete(ctx, r.client, r.id, targets) {
		switch {
		case f.Err != nil:
			err := r.objectError(f.Key, f.Err)
			r.trouble(f.Key, ReasonPruneFailed, err.Error())
			if first == nil {
				first = err
			}
		case f.NotOurs:
			r.pending.remove = append(r.pending.remove, f.Key)
		case f.Gone:
			r.pending.remove = append(r.pending.remove, f.Key)
			r.out.Deleted = append(r.out.Deleted, f.Key)
			r.Tracker.Gone(f.Key, f.UID)
		default:
			slow = append(slow, f.Key)
		}
	}
	if first != nil {
		return r.fail(ReasonPruneFailed, fmt.Errorf("removing what is no longer wanted: %w", first))
	}
	if len(slow) == 0 {
		return true
	}
	for _, k := range slow {
		r.trouble(k, ReasonPruning, "it is being deleted, and something still holds it (a finalizer, or a grace period)")
	}
	r.again(deletionAgain)
	return r.stop(r.busy(), ReasonPruning, "waiting until %s is gone%s", slow[0], more(len(slow)-1))
}

func more(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", and %d more", n)
}
