package pipeline

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"abide.dev/abide/internal/apply"
	"abide.dev/abide/internal/desired"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/plan"
)

// dryRun validates a stage, and looks closer at objects that turn out to exist.
func (r *run) dryRun(ctx context.Context, items []apply.Item, objects map[object.Key]*desired.Object) ([]apply.Result, bool) {
	if len(items) == 0 {
		return nil, true
	}
	dry, err := r.tryOut(ctx, items)
	if err != nil {
		return nil, r.fail(ReasonApplyFailed, err)
	}
	dry, ok := r.recreate(ctx, items, dry)
	if !ok || !r.check(dry, objects, "the server refuses") {
		return nil, false
	}
	return r.existing(ctx, dry)
}

// tryOut is the dry run of items. It creates the App's own namespace if that is what
// is missing.
func (r *run) tryOut(ctx context.Context, items []apply.Item) ([]apply.Result, error) {
	// The first run of an App tries one object alone: if its namespace is
	// missing, that is found out once and not a thousand times.
	probe := 0
	if len(r.inventory) == 0 {
		probe = 1
	}
	dry := r.Executor.DryRun(ctx, r.client, items[:probe])
	if !r.needsNamespace(dry) {
		dry = append(dry, r.Executor.DryRun(ctx, r.client, items[probe:])...)
	}
	if r.needsNamespace(dry) {
		if err := r.client.CreateNamespace(ctx, r.app.Spec.Target.Namespace); err != nil {
			return nil, fmt.Errorf("creating namespace %s: %w", r.app.Spec.Target.Namespace, err)
		}
		dry = r.Executor.DryRun(ctx, r.client, items)
	}
	return dry, nil
}

func (r *run) needsNamespace(results []apply.Result) bool {
	ns := r.app.Spec.Target.Namespace
	if ns == "" || r.app.Spec.Target.CreateNamespace != nil && !*r.app.Spec.Target.CreateNamespace {
		return false
	}
	for i := range results {
		var status apierrors.APIStatus
		if apierrors.IsNotFound(results[i].Err) && errors.As(results[i].Err, &status) {
			if d := status.Status().Details; d != nil && d.Kind == "namespaces" && d.Name == ns {
				return true
			}
		}
	}
	return false
}

// check ends the run if one of the results is an error, naming all of them.
func (r *run) check(results []apply.Result, objects map[object.Key]*desired.Object, what string) bool {
	if err := r.problems(results, objects, what); err != nil {
		return r.fail(ReasonApplyFailed, err)
	}
	return true
}

// problems notes the results that are errors, and returns the first of them.
func (r *run) problems(results []apply.Result, objects map[object.Key]*desired.Object, what string) error {
	var first error
	failed := 0
	for i := range results {
		err := results[i].Err
		if err == nil {
			continue
		}
		k := object.KeyOf(results[i].Object)
		oe := r.objectError(k, err)
		oe.Changes = results[i].Action == plan.Update && !object.HoldsStorage(k.GroupKind())
		if o := objects[k]; o != nil {
			oe.File, oe.Line = o.Origin.File, o.Origin.Line
		}
		r.trouble(k, ReasonApplyFailed, oe.Error())
		if failed++; first == nil {
			first = oe
		}
		if apierrors.IsNotFound(err) {
			r.mem.desired = nil // its kind may be gone: look again
		}
	}
	if failed > 1 {
		first = fmt.Errorf("%s %d objects of this stage, the first: %w", what, failed, first)
	}
	return first
}

// existing looks closer at objects that were taken for new and exist: whether
// they may be adopted is a matter of the plan.
func (r *run) existing(ctx context.Context, dry []apply.Result) ([]apply.Result, bool) {
	var items []apply.Item
	for i := range dry {
		k := object.KeyOf(dry[i].Object)
		if _, known := r.facts[k]; !known && dry[i].Action == plan.Create && dry[i].Existed && r.inventory[k] == nil {
			items = append(items, dry[i].Item)
		}
	}
	if len(items) == 0 {
		return dry, true
	}
	for _, res := range r.Executor.Read(ctx, r.client, items) {
		if res.Err != nil {
			return nil, r.fail(ReasonApplyFailed, r.objectError(object.KeyOf(res.Object), res.Err))
		}
		r.learn(res)
	}
	if !r.compute(ctx) || !r.gate(ctx) {
		return nil, false
	}
	actions := map[object.Key]plan.Action{}
	for i := range r.plan.Steps {
		if s := &r.plan.Steps[i]; s.Applies() {
			actions[s.Key] = s.Action
		}
	}
	kept := dry[:0]
	for i := range dry {
		if a, ok := actions[object.KeyOf(dry[i].Object)]; ok {
			dry[i].Action = a
			kept = append(kept, dry[i])
		}
	}
	return kept, true
}
