package pipeline

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"abide.dev/abide/internal/apply"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/plan"
)

// prune removes what is no longer wanted, stage by stage in reverse, each only
// when nothing of the one before is left.
func (r *run) prune(ctx context.Context) bool {
	for _, s := range r.plan.Select(plan.Forget) {
		r.pending.remove = append(r.pending.remove, s.Key)
		if r.deleting && s.Why != "" {
			r.out.Orphaned = append(r.out.Orphaned, s.Key)
		}
	}
	for stage := object.Stage(object.Stages) - 1; stage >= 0; stage-- {
		var targets []apply.Target
		for _, s := range r.plan.Select(plan.Delete) {
			if s.Stage() != stage {
				continue
			}
			t, known := r.target(s.Key)
			switch {
			case known:
				targets = append(targets, t)
			case r.Cluster.Kinds.Absent(s.Key.GroupKind()):
				r.pending.remove = append(r.pending.remove, s.Key)
			default:
				r.flushLate(ctx)
				return r.fail(ReasonPruneFailed, fmt.Errorf("%s can't be removed: the API server can't say whether it has that kind; the API service of %s is down", s.Key, s.Key.Group))
			}
		}
		if len(targets) == 0 {
			continue
		}
		if !r.identity(ctx) {
			r.flushLate(ctx)
			return false
		}
		if !r.remove(ctx, targets) {
			r.flushLate(ctx)
			return false
		}
	}
	return r.flush(ctx)
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
