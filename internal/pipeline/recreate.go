package pipeline

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/apply"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/plan"
)

// recreate removes objects of a stage whose change the server refuses since a
// field of theirs can't be changed, where that is asked for and nothing else of
// the stage is refused, and returns the dry runs as they are then. It returns
// false if the run has to wait until they are gone.
func (r *run) recreate(ctx context.Context, items []apply.Item, dry []apply.Result) ([]apply.Result, bool) {
	var again []int
	var targets []apply.Target
	for i := range dry {
		if dry[i].Err == nil {
			continue
		}
		t, ok := r.replaceable(&dry[i])
		if !ok {
			return dry, true
		}
		again, targets = append(again, i), append(targets, t)
	}
	if len(again) == 0 {
		return dry, true
	}
	// The server does not say that a field can't be changed in a way that a program
	// could rely on. What it would take as a new object, under another name, is
	// refused for what is there.
	for _, res := range r.Executor.DryRun(ctx, r.client, renamed(items, again)) {
		if res.Err != nil {
			return dry, true
		}
	}
	if !r.remove(ctx, targets) || !r.flush(ctx) {
		return nil, false
	}
	var retry []apply.Item
	for _, i := range again {
		it := items[i]
		it.Action = plan.Create
		retry = append(retry, it)
	}
	for n, res := range r.Executor.DryRun(ctx, r.client, retry) {
		res.Action = items[again[n]].Action
		dry[again[n]] = res
	}
	return dry, true
}

// replaceable tells whether an object that the server refuses may be deleted and
// created anew.
func (r *run) replaceable(res *apply.Result) (apply.Target, bool) {
	k := object.KeyOf(res.Object)
	asked := res.Rules.Recreate == "replace" || res.Rules.Recreate == "" && r.app.Spec.Sync.OnImmutable == v1alpha1.OnImmutableReplace
	if !asked || !apierrors.IsInvalid(res.Err) || object.HoldsStorage(k.GroupKind()) || res.Rules.NoPrune {
		return apply.Target{}, false
	}
	e := r.inventory[k]
	rec, seen := r.Tracker.Get(k)
	if e == nil || !seen || rec.Owner != r.id {
		return apply.Target{}, false
	}
	return apply.Target{Key: k, Kind: res.Kind, UID: rec.UID, Foreground: true}, true
}

// renamed are some of the items under names that no object has.
func renamed(items []apply.Item, which []int) []apply.Item {
	var out []apply.Item
	for _, i := range which {
		it := items[i]
		it.Object = it.Object.DeepCopy()
		name := it.Object.GetName()
		it.Object.SetName(fmt.Sprintf("%.40s-abide-%d", name, i))
		it.Action, it.Rules = plan.Create, object.Rules{}
		out = append(out, it)
	}
	return out
}
