package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/apply"
	"abide.dev/abide/internal/desired"
	"abide.dev/abide/internal/health"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/plan"
	"abide.dev/abide/internal/release"
)

// hook is what runs once.
type hook struct {
	plan.Desired
	// group orders the hooks of a wave: those of one group run together.
	group int
}

// arrange puts hooks in the order in which they run: by wave, and within one
// first those that run together and then, one after the other, those of a chart.
func arrange(hooks []hook) {
	for i := range hooks {
		if hooks[i].Rules.Hook.Serial {
			hooks[i].group = i + 1 // as Helm gave them
		}
	}
	slices.SortStableFunc(hooks, func(a, b hook) int {
		return cmp.Or(cmp.Compare(a.Rules.Wave, b.Rules.Wave), cmp.Compare(a.group, b.group), a.Key.Compare(b.Key))
	})
}

// concerns tells whether a hook is one that this App ever runs.
func (r *run) concerns(h *object.Hook) bool {
	return r.tests() || slices.ContainsFunc(h.Events, func(e string) bool { return e != "test" })
}

// tests tells whether the App wants the tests of its chart run.
func (r *run) tests() bool {
	s := r.app.Spec.Render
	return s != nil && s.Helm != nil && s.Helm.RunTests != nil && *s.Helm.RunTests
}

// occasion decides which hooks the present release runs.
func (r *run) occasion() object.Occasion {
	return object.Occasion{First: !r.succeeded, Rollback: r.release.Trigger == v1alpha1.TriggerRollback, Tests: r.tests()}
}

// due are the hooks of a phase, in order. The tests of a chart come after all else.
func (r *run) due(p object.Phase) []hook {
	var out, tests []hook
	o := r.occasion()
	for _, h := range r.desired.hooks {
		without := o
		without.Tests = false
		switch {
		case h.Rules.Hook.Runs(p, without):
			out = append(out, h)
		case h.Rules.Hook.Runs(p, o):
			tests = append(tests, h)
		}
	}
	return append(out, tests...)
}

// phase runs the hooks of a phase, and returns true once all of them are done.
func (r *run) phase(ctx context.Context, p object.Phase) bool {
	return r.runHooks(ctx, p, r.due(p))
}

// runHooks runs hooks, group by group.
func (r *run) runHooks(ctx context.Context, p object.Phase, hooks []hook) bool {
	for len(hooks) > 0 {
		n := slices.IndexFunc(hooks, func(h hook) bool {
			return h.Rules.Wave != hooks[0].Rules.Wave || h.group != hooks[0].group
		})
		if n < 0 {
			n = len(hooks)
		}
		if !r.runGroup(ctx, p, hooks[:n]) {
			return false
		}
		hooks = hooks[n:]
	}
	return true
}

// runGroup starts the hooks of a group that have not run yet, and looks how the
// others do.
func (r *run) runGroup(ctx context.Context, p object.Phase, hooks []hook) bool {
	var start []hook
	for i := range hooks {
		if r.hookRun(p, hooks[i].Key) == nil {
			start = append(start, hooks[i])
		}
	}
	if len(start) > 0 && !r.startHooks(ctx, p, start) {
		return false
	}
	var waits, failed string
	for i := range hooks {
		h := r.hookRun(p, hooks[i].Key)
		if h.Outcome == v1alpha1.OutcomeRunning {
			if ok := r.lookAtHook(ctx, p, &hooks[i], h); !ok {
				return false
			}
		}
		switch h.Outcome {
		case v1alpha1.OutcomeRunning:
			waits = cmp.Or(waits, fmt.Sprintf("%s hook %s: %s", p, h.Object, cmp.Or(h.Message, "it runs")))
		case v1alpha1.OutcomeFailed:
			failed = cmp.Or(failed, fmt.Sprintf("%s hook %s failed: %s", p, h.Object, h.Message))
		}
	}
	switch {
	case waits != "":
		return r.await(ReasonHook, "%s", waits)
	case !r.clearHooks(ctx, p, hooks):
		return false
	}
	return failed == "" || p == object.SyncFail || r.failed(ctx, failed)
}

// runKey is the object that a hook runs as.
func (r *run) runKey(p object.Phase, k object.Key) object.Key {
	k.Name = object.RunName(k, p, r.id, r.release.Number)
	return k
}

// hookRun is the record of a hook in a phase of the present release.
func (r *run) hookRun(p object.Phase, k object.Key) *v1alpha1.HookRun {
	name := k.String()
	for i := range r.release.Hooks {
		if h := &r.release.Hooks[i]; h.Hook == name && h.When == string(p) {
			return h
		}
	}
	return nil
}

// startHooks creates what hooks run as. That they run stands in the record of
// the release, and what they run as in the inventory, before anything is created:
// what has no uid there was never seen, and is created now.
func (r *run) startHooks(ctx context.Context, p object.Phase, hooks []hook) bool {
	if r.superseded(ctx) {
		return r.pass(ReasonSuperseded, "a newer commit has arrived")
	}
	if n := len(r.release.Hooks) + len(hooks); n > release.MaxHooks {
		return r.fail(ReasonInvalidObject, fmt.Errorf("a release runs at most %d hooks, and this one would run %d: take some out of Git", release.MaxHooks, n))
	}
	now := metav1.NewMicroTime(r.Now())
	for i := range hooks {
		r.release.Hooks = append(r.release.Hooks, v1alpha1.HookRun{
			Hook: hooks[i].Key.String(), Object: r.runKey(p, hooks[i].Key).String(), When: string(p),
			Outcome: v1alpha1.OutcomeRunning, StartedAt: &now,
		})
	}
	r.unwritten = true
	if !r.record(ctx) {
		return false
	}
	return r.createHooks(ctx, p, hooks)
}

func (r *run) createHooks(ctx context.Context, p object.Phase, hooks []hook) bool {
	if !r.identity(ctx) {
		return false
	}
	keys := map[object.Key]bool{}
	for i := range hooks {
		keys[hooks[i].Key] = true
	}
	objects, err := r.objects(ctx, keys)
	if err != nil {
		return r.unreadable(err)
	}
	var items []apply.Item
	runs := map[object.Key]*desired.Object{}
	for i := range hooks {
		o := objects[hooks[i].Key]
		if o == nil {
			return r.fail(ReasonRenderFailed, fmt.Errorf("%s is no longer among the rendered objects", hooks[i].Key))
		}
		run := *o
		run.Key = r.runKey(p, o.Key)
		run.SetName(run.Key.Name)
		// abide removes what it has run, and not before it knows how that ended.
		unstructured.RemoveNestedField(run.Object, "spec", "ttlSecondsAfterFinished")
		runs[run.Key] = &run
		it, ok := r.item(&plan.Step{Key: run.Key, Action: plan.Create, Hash: hooks[i].Hash}, &run)
		if !ok {
			return r.awaitKind(ctx, object.StageWorkloads, &run)
		}
		items = append(items, it)
	}
	asking, done := r.interruptible(ctx, r.superseded)
	ok := r.createRuns(ctx, asking, items, runs)
	if done() && !ok {
		return r.interrupted()
	}
	return ok
}

// createRuns creates what hooks run as, after a dry run and with their places in
// the inventory written.
func (r *run) createRuns(ctx, asking context.Context, items []apply.Item, runs map[object.Key]*desired.Object) bool {
	dry, err := r.tryOut(asking, items)
	if err != nil {
		return r.fail(ReasonApplyFailed, err)
	}
	if !r.check(dry, runs, "the server refuses") {
		return false
	}
	var exist []apply.Item
	for i := range dry {
		if dry[i].Existed && r.inventory[object.KeyOf(dry[i].Object)] == nil {
			exist = append(exist, items[i])
		}
	}
	for _, res := range r.Executor.Read(asking, r.client, exist) {
		if res.Err != nil {
			return r.fail(ReasonApplyFailed, r.objectError(object.KeyOf(res.Object), res.Err))
		}
		if owner, ok := object.Owner(res.Live); res.Existed && (!ok || owner != r.id) {
			return r.fail(ReasonConflict, fmt.Errorf("hook %s exists already, and this App has not made it: delete it, or give the hook another name", object.KeyOf(res.Object)))
		}
	}
	if err := r.writeAhead(ctx, dry); err != nil {
		return r.fail(ReasonRecordFailed, err)
	}
	results := r.carryOut(asking, items)
	for i := range results {
		if results[i].Err == nil {
			r.mem.started[object.KeyOf(results[i].Object)] = r.release.Number
		}
	}
	if !r.check(results, runs, "the server refuses") {
		r.flushLate(ctx)
		return false
	}
	return r.flush(ctx)
}

// lookAtHook finds out how a hook that was started is doing. It returns false if
// the run has ended.
func (r *run) lookAtHook(ctx context.Context, p object.Phase, k *hook, h *v1alpha1.HookRun) bool {
	key := r.runKey(p, k.Key)
	overdue := p == object.SyncFail && h.StartedAt != nil && r.Now().Sub(h.StartedAt.Time) > r.timeout()
	if !overdue && !r.wasCreated(key, k) {
		// Its record was written, and abide ended before it was created.
		if !r.createHooks(ctx, p, []hook{*k}) {
			return false
		}
	}
	rec, seen := r.Tracker.Get(key)
	mine := seen && rec.Owner == r.id
	switch {
	case mine && rec.Health == v1alpha1.HealthHealthy:
		r.endHook(h, v1alpha1.OutcomeSucceeded, "")
	case mine && rec.Health == v1alpha1.HealthDegraded && !rec.Deleting:
		r.endHook(h, v1alpha1.OutcomeFailed, rec.Message)
	case overdue:
		r.endHook(h, v1alpha1.OutcomeFailed, "it was not done within "+r.timeout().String())
	case mine:
		h.Message = rec.Message
	default:
		r.endHook(h, v1alpha1.OutcomeFailed, "what it ran as was removed before it was seen to end; it is not run twice by itself: abide sync "+r.id.Name+" -n "+r.id.Namespace+" runs it again")
	}
	return true
}

// wasCreated tells whether what a hook runs as in the present release has been
// created. What keeps its name may be there from the release before.
func (r *run) wasCreated(key object.Key, k *hook) bool {
	rec, seen := r.Tracker.Get(key)
	seen = seen && rec.Owner == r.id
	entry := r.inventory[key]
	if key == k.Key && r.mem.started[key] != r.release.Number {
		return entry != nil && entry.Hash == k.Hash && (!seen || entry.Fingerprint == rec.Fingerprint)
	}
	return seen || entry != nil && entry.UID != ""
}

func (r *run) endHook(h *v1alpha1.HookRun, o v1alpha1.Outcome, message string) {
	now := metav1.NewMicroTime(r.Now())
	h.Outcome, h.Message, h.FinishedAt = o, object.Shorten(message), &now
	r.unwritten = true
}

// clearHooks removes what hooks of a phase that is over ran as, where they ask
// for that, once it is on record how they ended: else a kill would have them run
// again. What is slow to go is seen to before the next release.
func (r *run) clearHooks(ctx context.Context, p object.Phase, hooks []hook) bool {
	var keys []object.Key
	for i := range hooks {
		h, run := hooks[i].Rules.Hook, r.hookRun(p, hooks[i].Key)
		if run.Outcome == v1alpha1.OutcomeSucceeded && h.OnSuccess || run.Outcome == v1alpha1.OutcomeFailed && h.OnFailure {
			if k := r.runKey(p, hooks[i].Key); r.inventory[k] != nil {
				keys = append(keys, k)
			}
		}
	}
	if len(keys) == 0 {
		return true
	}
	if !r.record(ctx) || !r.identity(ctx) {
		return false
	}
	var targets []apply.Target
	for _, k := range keys {
		if t, known := r.target(k); known {
			targets = append(targets, t)
		}
	}
	for _, f := range r.Executor.Delete(ctx, r.client, r.id, targets) {
		if f.Err == nil && (f.Gone || f.NotOurs) {
			r.pending.remove = append(r.pending.remove, f.Key)
			r.Tracker.Gone(f.Key, f.UID)
		}
	}
	r.flushLate(ctx)
	return true
}

// isRun tells of an entry of the inventory whether it is what a hook ran as.
func isRun(e *v1alpha1.InventoryEntry) bool { return slices.Contains(e.Flags, v1alpha1.FlagHook) }

// ran are the keys of what hooks ran as, in order.
func ran(inventory map[object.Key]*v1alpha1.InventoryEntry) []object.Key {
	var keys []object.Key
	for k, e := range inventory {
		if isRun(e) {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, object.Key.Compare)
	return keys
}

// lasting is the inventory without what hooks ran as.
func lasting(inventory map[object.Key]*v1alpha1.InventoryEntry) map[object.Key]*v1alpha1.InventoryEntry {
	runs := ran(inventory)
	if len(runs) == 0 {
		return inventory
	}
	out := maps.Clone(inventory)
	for _, k := range runs {
		delete(out, k)
	}
	return out
}

// discard removes what hooks of other releases ran as, with what they made, and
// returns true once it is gone: no two of them ever run side by side. One that
// asked to be let finish is waited for as long as its release had time.
func (r *run) discard(ctx context.Context) bool {
	mine := map[object.Key]bool{}
	if r.release != nil {
		for _, h := range r.desired.hooks {
			for _, p := range phasesOf(h.Rules.Hook) {
				mine[r.runKey(p, h.Key)] = true
			}
		}
	}
	var keys []object.Key
	for _, k := range ran(r.inventory) {
		e := r.inventory[k]
		if mine[k] {
			continue
		}
		if slices.Contains(e.Flags, v1alpha1.FlagFinish) {
			if runs, message := r.stillRuns(ctx, k); runs {
				if rel := r.superseding(ctx); rel != nil && r.timeLeft(rel) > 0 {
					r.again(r.timeLeft(rel))
					return r.await(ReasonHook, "%s of release %d is let finish before anything newer begins: %s", k, rel.Number, cmp.Or(message, "it runs"))
				}
			}
		}
		keys = append(keys, k)
	}
	return r.removeRuns(ctx, keys)
}

// removeRuns removes what hooks ran as, with what they made, and returns true once
// it is gone.
func (r *run) removeRuns(ctx context.Context, keys []object.Key) bool {
	return r.removeAll(ctx, keys, true) && r.flush(ctx)
}

// stillRuns tells whether what a hook ran as has not ended, and what it is doing.
// One that was created a moment ago may not have been seen yet.
func (r *run) stillRuns(ctx context.Context, k object.Key) (runs bool, message string) {
	if rec, ok := r.Tracker.Get(k); ok {
		return rec.Owner == r.id && !rec.Deleting && rec.Health == v1alpha1.HealthProgressing, rec.Message
	}
	t, known := r.target(k)
	if !known || !r.identity(ctx) {
		return false, ""
	}
	live, err := r.client.Get(ctx, t.Kind, k.Namespace, k.Name)
	if err != nil {
		return false, ""
	}
	owner, ok := object.Owner(live)
	is, message := health.Of(live)
	return ok && owner == r.id && live.GetDeletionTimestamp() == nil && is == v1alpha1.HealthProgressing, message
}

// superseding is the release whose hooks may be let finish, also after a restart:
// the one before the present one. It is nil if that can't be told.
func (r *run) superseding(ctx context.Context) *v1alpha1.ReleaseSpec {
	if r.mem.superseded != nil {
		return r.mem.superseded
	}
	note, ok := r.Releases.Last(r.id)
	if !ok {
		return nil
	}
	for n := note.Number; n > max(0, note.Number-3); n-- {
		if r.release != nil && n >= r.release.Number {
			continue
		}
		if rel, err := r.Releases.Read(ctx, r.id, n); err == nil && len(rel.Spec.Hooks) > 0 {
			r.mem.superseded = &rel.Spec
			return r.mem.superseded
		}
	}
	return nil
}

// phasesOf are all the phases that a hook may run in.
func phasesOf(h *object.Hook) []object.Phase {
	var out []object.Phase
	for _, e := range h.Events {
		p := object.Phase(e)
		switch {
		case strings.HasPrefix(e, "pre-") && p != object.PreDelete:
			p = object.PreSync
		case strings.HasPrefix(e, "post-") && p != object.PostDelete, e == "test":
			p = object.PostSync
		}
		out = append(out, p)
	}
	return out
}

// stopHooks ends the hooks that still run of a release that is out of time, once
// that is on record.
func (r *run) stopHooks(ctx context.Context) bool {
	var targets []apply.Target
	for _, h := range r.desired.hooks {
		for _, p := range phasesOf(h.Rules.Hook) {
			run := r.hookRun(p, h.Key)
			if run == nil || run.Outcome != v1alpha1.OutcomeRunning || p == object.SyncFail {
				continue
			}
			r.endHook(run, v1alpha1.OutcomeFailed, "it was not done in time: "+cmp.Or(run.Message, "it ran"))
			if k := r.runKey(p, h.Key); r.inventory[k] != nil {
				if t, known := r.target(k); known {
					t.Foreground = true
					targets = append(targets, t)
				}
			}
		}
	}
	if len(targets) == 0 {
		return true
	}
	if !r.record(ctx) || !r.identity(ctx) {
		return false
	}
	r.Executor.Delete(ctx, r.client, r.id, targets) // what is slow to go is seen to before the next release
	return true
}
