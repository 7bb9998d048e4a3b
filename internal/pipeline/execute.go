package pipeline

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/apply"
	"abide.dev/abide/internal/desired"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/plan"
)

// apply executes the steps that end in an apply, wave by wave and within one
// stage by stage: first the hooks that come before all of them, and those of a
// wave with its objects.
func (r *run) apply(ctx context.Context) bool {
	if r.release == nil || r.deleting {
		return true
	}
	if !r.phase(ctx, object.PreSync) {
		return false
	}
	todo := map[object.Key]bool{}
	for i := range r.plan.Steps {
		if r.plan.Steps[i].Applies() {
			todo[r.plan.Steps[i].Key] = true
		}
	}
	hooks := r.due(object.Sync)
	if len(todo) == 0 && len(hooks) == 0 {
		return true
	}
	if !r.identity(ctx) {
		return false
	}
	objects, err := r.objects(ctx, todo)
	if err != nil {
		return r.unreadable(err)
	}
	if len(todo) > progressAfter && r.in.Progress != nil {
		r.stop(v1alpha1.StateProgressing, ReasonApplying, "applying %s", count(len(todo), "object"))
		r.in.Progress(&r.out)
	}
	for _, wave := range r.waves(hooks) {
		if !r.applyWave(ctx, wave, objects, hooks) {
			r.flushLate(ctx)
			return false
		}
	}
	return r.flush(ctx)
}

// waves are those that something is left to do in, in order.
func (r *run) waves(hooks []hook) []int {
	var out []int
	for i := range r.plan.Steps {
		if r.plan.Steps[i].Applies() {
			out = append(out, r.plan.Steps[i].Wave)
		}
	}
	for i := range hooks {
		out = append(out, hooks[i].Rules.Wave)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// applyWave applies what is left of a wave, once all that comes before it is
// healthy. A stage is validated by a dry run as a whole, then written down, then
// applied.
func (r *run) applyWave(ctx context.Context, wave int, objects map[object.Key]*desired.Object, hooks []hook) bool {
	if r.desired.list != nil {
		if sick := r.sick(&wave); sick != "" {
			return r.await(ReasonWave, "wave %d waits until %s", wave, sick)
		}
	}
	for stage := range object.Stage(object.Stages) {
		if !r.applyStage(ctx, wave, stage, objects) {
			return false
		}
	}
	mine := slices.DeleteFunc(slices.Clone(hooks), func(h hook) bool { return h.Rules.Wave != wave })
	return len(mine) == 0 || r.runHooks(ctx, object.Sync, mine)
}

// heal puts right what somebody changed of what Git says as it did before. Such
// an object has passed its dry run and stands in the inventory as it will be; it
// needs no leave, and what keeps the rest of the plan from going on does not keep
// it.
func (r *run) heal(ctx context.Context) bool {
	todo := map[object.Key]bool{}
	for _, s := range r.plan.Select(plan.Heal) {
		if r.kindIsThere(s.Key) {
			todo[s.Key] = true
		}
	}
	if len(todo) == 0 {
		return true
	}
	if !r.identity(ctx) {
		return false
	}
	objects, err := r.objects(ctx, todo)
	if err != nil {
		return r.unreadable(err)
	}
	var stages [object.Stages][]apply.Item
	r.plan.Steps = slices.DeleteFunc(slices.Clone(r.plan.Steps), func(s plan.Step) bool {
		o := objects[s.Key]
		if !todo[s.Key] || o == nil {
			return false
		}
		it, _ := r.item(&s, o)
		stages[s.Stage()] = append(stages[s.Stage()], it)
		return true
	})
	for _, items := range stages {
		if len(items) == 0 {
			continue
		}
		if err := r.problems(r.carryOut(ctx, items), objects, "the server refuses"); err != nil && r.unhealed == nil {
			r.unhealed = err
			r.again(r.backoff())
		}
	}
	r.flushLate(ctx)
	return true
}

func (r *run) kindIsThere(k object.Key) bool {
	_, ok := r.Cluster.Kinds.Lookup(r.desired.kind(k))
	return ok
}

// superseded tells whether the ref has moved on, since the run began, to a commit
// that says something else of the App. One that says the same supersedes nothing.
func (r *run) superseded(ctx context.Context) bool {
	if r.deleting {
		return false
	}
	says := r.desired
	if r.pinned != nil {
		// What it is held at ends when Git says something else than what is skipped.
		if says = r.mem.desired; says == nil || r.pinned.Skips == "" {
			return false
		}
	}
	now := r.Source.Head(r.id).At
	// While a request is under way this is asked beside the run.
	r.asking.Lock()
	defer r.asking.Unlock()
	if now == r.out.Head.At || now == r.same {
		return false
	}
	tree, err := r.Source.Tree(ctx, r.id, now)
	if err != nil {
		return true
	}
	if same, err := says.trace.Valid(tree); err != nil || !same {
		return true
	}
	r.same = now
	return false
}

func (r *run) applyStage(ctx context.Context, wave int, stage object.Stage, objects map[object.Key]*desired.Object) bool {
	var items []apply.Item
	for i := range r.plan.Steps {
		s := &r.plan.Steps[i]
		if !s.Applies() || s.Wave != wave || s.Stage() != stage {
			continue
		}
		o := objects[s.Key]
		if o == nil {
			return r.fail(ReasonRenderFailed, fmt.Errorf("%s is no longer among the rendered objects", s.Key))
		}
		it, ok := r.item(s, o)
		if !ok {
			return r.awaitKind(ctx, stage, o)
		}
		items = append(items, it)
	}
	if len(items) == 0 {
		return true
	}
	asking, done := r.interruptible(ctx, r.superseded)
	ok := !r.superseded(ctx) || r.pass(ReasonSuperseded, "a newer commit has arrived")
	ok = ok && r.carryOutStage(ctx, asking, items, objects)
	if done() && !ok {
		return r.interrupted()
	}
	return ok
}

// carryOutStage validates, writes down and applies the objects of a stage. asking
// ends when something newer is wanted.
func (r *run) carryOutStage(ctx, asking context.Context, items []apply.Item, objects map[object.Key]*desired.Object) bool {
	dry, ok := r.dryRun(asking, items, objects)
	if !ok {
		return false
	}
	if err := r.writeAhead(ctx, dry); err != nil {
		return r.fail(ReasonRecordFailed, err)
	}
	for i := range dry {
		items[i] = dry[i].Item
	}
	return r.check(r.carryOut(asking, items[:len(dry)]), objects, "the server refuses")
}

// item addresses the object of a step; ok is false if the API server does not
// have its kind.
func (r *run) item(s *plan.Step, o *desired.Object) (apply.Item, bool) {
	kind, ok := r.Cluster.Kinds.Lookup(o.GroupVersionKind())
	return apply.Item{Kind: kind, Object: o.Unstructured, Rules: o.Rules, Action: s.Action, Hash: s.Hash}, ok
}

// stub addresses an object by its key alone, for reads.
func (r *run) stub(k object.Key) (apply.Item, bool) {
	kind, ok := r.Cluster.Kinds.Lookup(r.desired.kind(k))
	u := &unstructured.Unstructured{Object: map[string]any{}}
	u.SetGroupVersionKind(r.desired.kind(k))
	u.SetNamespace(k.Namespace)
	u.SetName(k.Name)
	return apply.Item{Kind: kind, Object: u}, ok
}

// awaitKind ends a run at a stage with a kind that the API server does not have
// (yet): just after its definition was applied it will be there in a moment.
func (r *run) awaitKind(ctx context.Context, stage object.Stage, o *desired.Object) bool {
	gvk := o.GroupVersionKind()
	r.mem.desired, r.mem.pinned = nil, nil // look at the kinds again
	if r.desired.defines[gvk] {
		if err := r.Cluster.Kinds.Refresh(ctx, r.Now()); err != nil {
			return r.fail(ReasonClusterFailed, err)
		}
		// A definition that the server does not accept is never served.
		r.again(min(kindsSoon<<min(r.mem.kindWaits, 8), kindsAgain))
		r.mem.kindWaits++
		return r.stop(v1alpha1.StateProgressing, ReasonKindUnknown, "the definition of %s has been applied, and the API server does not serve it yet", object.GVKString(gvk))
	}
	r.again(min(kindsFirst<<min(r.mem.kindWaits, 8), kindsAgain))
	r.mem.kindWaits++
	r.trouble(object.KeyOf(o.Unstructured), ReasonKindUnknown, "the API server has no kind "+object.GVKString(gvk))
	return r.stop(v1alpha1.StateWaiting, ReasonKindUnknown,
		"the API server has no kind %s (%s needs it): install its definition, or repair apiVersion and kind; stage %q and later ones wait for it",
		object.GVKString(gvk), where(o), stage)
}

func where(o *desired.Object) string {
	w := object.KeyOf(o.Unstructured).String()
	if o.Origin.File == "" {
		return w
	}
	if o.Origin.Line > 0 {
		return fmt.Sprintf("%s in %s:%d", w, o.Origin.File, o.Origin.Line)
	}
	return w + " in " + o.Origin.File
}

// carryOut applies objects that stand in the inventory, and notes what came of
// it.
func (r *run) carryOut(ctx context.Context, items []apply.Item) []apply.Result {
	before := make(map[object.Key]*unstructured.Unstructured)
	for i := range items {
		if k := object.KeyOf(items[i].Object); items[i].Action == plan.Heal {
			before[k], _ = r.Tracker.Changed(k)
		}
	}
	results := r.Executor.Apply(ctx, r.client, items)
	if r.needsNamespace(results) && r.client.CreateNamespace(ctx, r.app.Spec.Target.Namespace) == nil {
		results = r.Executor.Apply(ctx, r.client, items)
	}
	for i := range results {
		res := &results[i]
		if res.Err != nil {
			continue
		}
		k := object.KeyOf(res.Object)
		rec := r.Tracker.Applied(res.Live)
		e := r.inventory[k]
		switch {
		case e == nil || e.Hash != res.Hash || e.Fingerprint != rec.Fingerprint:
			r.pending.set = append(r.pending.set, r.entry(res, rec.UID))
		case e.UID == rec.UID:
		case r.heals() && res.Rules.Hook == nil:
			// Written down as it is but for its uid, which can wait for a write that
			// is needed anyway.
			r.Inventories.Learn(r.id, k, rec.UID)
		default:
			// With heal off, and of what runs once, only a uid tells that an object was
			// there and has been removed from one that is still to be created.
			r.pending.set = append(r.pending.set, r.entry(res, rec.UID))
		}
		r.out.Applied = append(r.out.Applied, *res)
		if res.Action == plan.Heal {
			r.healed(k, before[k], res.Live)
		}
	}
	r.Claims.Moved()
	return results
}

func (r *run) healed(k object.Key, before, after *unstructured.Unstructured) {
	h := Heal{Key: k, Before: before, After: after}
	if before != nil {
		h.By = object.LastWriter(before)
	}
	r.mem.healed(k, r.Now(), h.By)
	r.out.Healed = append(r.out.Healed, h)
}
