package pipeline

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/apply"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/plan"
)

// gate ends a run whose plan may not be executed without asking.
func (r *run) gate(ctx context.Context) bool {
	r.reject()
	if r.in.Pause != nil && !r.deleting {
		return r.paused()
	}
	// What somebody changed is put right whatever the rest has to wait for; the
	// digest of what waits is then not changed by it either.
	if !r.heal(ctx) || !r.yield(ctx) || !r.refuse() || !r.depend(ctx) {
		return false
	}
	gates := r.gates()
	if len(gates) == 0 {
		return true
	}
	// What is asked about is the whole plan: first learn what is there of the
	// objects that are new to the App, so that the digest stands.
	if changed, ok := r.survey(ctx); !ok {
		return false
	} else if changed {
		if !r.compute(ctx) || !r.refuse() {
			return false
		}
		if gates = r.gates(); len(gates) == 0 {
			return true
		}
	}
	digest := r.plan.Digest()
	if a := r.approved(digest); a != nil {
		for _, g := range gates {
			at := a.CreationTimestamp
			r.passed = append(r.passed, v1alpha1.PassedGate{Gate: g.Reason, By: a.Spec.By, Reason: a.Spec.Reason, Message: object.Shorten(g.Message), At: &at})
		}
		return true
	}
	messages := make([]string, len(gates))
	for i, g := range gates {
		messages[i] = g.Message
	}
	what := strings.Join(messages, "; ")
	r.out.Waiting = &v1alpha1.PlanStatus{
		Digest: digest, Commit: r.out.Head.Commit, Gate: gates[0].Reason, Message: what,
		Create: int32(r.plan.Count(plan.Create)),
		Update: int32(r.plan.Count(plan.Update, plan.Heal)),
		Adopt:  int32(r.plan.Count(plan.Adopt, plan.Convert, plan.Take)),
		Delete: int32(r.plan.Count(plan.Delete)),
	}
	state := v1alpha1.StateWaiting
	return r.stop(state, gates[0].Reason, "the plan waits for an approval: %s; look at it with: abide diff %s -n %s, and let it go on with: abide approve %s -n %s",
		what, r.id.Name, r.id.Namespace, r.id.Name, r.id.Namespace)
}

// approved returns the approval of the plan, or of the one that this is what is
// left of: deletes that take their time are not asked about again. It is nil if
// nobody has approved it.
func (r *run) approved(digest string) *v1alpha1.Approval {
	asked := map[object.Key]bool{}
	for _, s := range r.plan.Select(plan.Delete, plan.Convert) {
		asked[s.Key] = true
	}
	left := true
	for k := range asked {
		left = left && r.mem.approved.objects[k]
	}
	for i := range r.in.Approvals {
		switch p := r.in.Approvals[i].Spec.Plan; {
		case p == digest:
			r.mem.approved = approval{digest, asked}
			return &r.in.Approvals[i]
		case left && p == r.mem.approved.digest:
			return &r.in.Approvals[i]
		}
	}
	return nil
}

// gates are why the plan has to wait.
func (r *run) gates() []plan.Gate {
	gates := r.plan.Gates(r.budget(), r.deleting)
	if n := r.plan.Count(plan.Delete); n > 0 && r.vanished() {
		gates = append(gates, plan.Gate{Reason: gateRenderer, Message: fmt.Sprintf(
			"%s was rendered by %s, and what that needs is gone from it; what it made would be deleted (%s): put it back, or approve the plan if it is meant",
			r.app.Spec.Source.Path, r.app.Status.Source.Renderer, count(n, "object"))})
	}
	return gates
}

// gateRenderer is the reason of a gate, beside those of package plan.
const gateRenderer = "RendererVanished"

func (r *run) budget() plan.Budget {
	b := plan.Budget{MaxObjects: 5, MaxPercent: 25}
	spec := r.app.Spec.Sync.DeletionBudget
	if spec.MaxObjects != nil {
		b.MaxObjects = int(*spec.MaxObjects)
	}
	if spec.MaxPercent != nil {
		b.MaxPercent = int(*spec.MaxPercent)
	}
	return b
}

// paused ends the run of a paused App, with what it would do.
func (r *run) paused() bool {
	m := pauseMessage(r.in.Pause)
	if n := r.plan.Count(plan.Create, plan.Update, plan.Heal, plan.Adopt, plan.Convert, plan.Take, plan.Delete); n > 0 {
		m += fmt.Sprintf("; %s would change", count(n, "object"))
	}
	for _, s := range r.plan.Select(plan.Heal, plan.Delete, plan.Update) {
		r.trouble(s.Key, ReasonPaused, "would be changed ("+string(s.Action)+")")
	}
	return r.stop(v1alpha1.StatePaused, ReasonPaused, "%s", m)
}

// survey reads the objects that are new to the App and of which nothing is
// known yet; changed tells that something was learnt.
func (r *run) survey(ctx context.Context) (changed, ok bool) {
	var items []apply.Item
	for _, s := range r.plan.Select(plan.Create) {
		if _, known := r.facts[s.Key]; known {
			continue
		}
		it, have := r.stub(s.Key)
		if !have {
			continue // a kind that is not there has no objects
		}
		items = append(items, it)
	}
	if len(items) == 0 {
		return false, true
	}
	if !r.identity(ctx) {
		return false, false
	}
	for _, res := range r.Executor.Read(ctx, r.client, items) {
		if res.Err != nil {
			k := object.KeyOf(res.Object)
			return false, r.fail(ReasonApplyFailed, r.objectError(k, res.Err))
		}
		r.learn(res)
	}
	return true, true
}

// learn notes what a read told of an object.
func (r *run) learn(res apply.Result) {
	k := object.KeyOf(res.Object)
	if !res.Existed {
		r.facts[k] = plan.Fact{}
		return
	}
	f := plan.Fact{Exists: true, Fingerprint: object.Fingerprint(res.Live).Fingerprint}
	if owner, ok := object.Owner(res.Live); ok {
		f.Owner = owner
	} else {
		f.TrackedBy = object.Tracker(res.Live)
	}
	r.facts[k] = f
	i, ok := slices.BinarySearchFunc(r.desired.list, k, func(d plan.Desired, k object.Key) int { return d.Key.Compare(k) })
	if ok && r.desired.list[i].Rules.CreateOnly {
		r.mem.left[k] = f
	}
}
