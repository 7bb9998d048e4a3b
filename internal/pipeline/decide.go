package pipeline

import (
	"context"
	"fmt"
	"maps"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/plan"
)

// compute makes the plan from what is known now.
func (r *run) compute(context.Context) bool {
	maps.Copy(r.facts, r.mem.left)
	r.plan = plan.Compute(plan.Input{
		App:       r.id,
		Desired:   r.desired.list,
		Inventory: lasting(r.inventory),
		Observed:  r.Tracker.Observed,
		Facts:     r.facts,
		Wants:     r.Claims.Wants,
		Prune:     r.deleting || r.app.Spec.Sync.Prune == nil || *r.app.Spec.Sync.Prune,
		Heal:      r.heals(),
	})
	r.out.Plan = r.plan
	if r.orphaning != "" {
		for i := range r.plan.Steps {
			r.plan.Steps[i].Action, r.plan.Steps[i].Why = plan.Forget, r.orphaning
		}
		return true
	}
	return r.holdBack() && r.restrain()
}

func (r *run) heals() bool { return r.app.Spec.Sync.Heal == nil || *r.app.Spec.Sync.Heal }

// holdBack keeps the plan from deleting what another App may want or takes.
func (r *run) holdBack() bool {
	deletes := r.plan.Select(plan.Delete)
	if len(deletes) == 0 {
		return true
	}
	failed, open, children := r.blockers()
	if open != "" {
		r.Claims.Wait(r.id)
		return r.pass(ReasonJudging, "before anything is removed, %s has to be looked at: it may have taken it over", open)
	}
	held := ""
	switch {
	case children != "":
		// It is this very plan that makes them.
		held = fmt.Sprintf("it would be removed, but not before %s has been looked at: it may take it over", children)
	case failed != "" && !r.deleting:
		held = fmt.Sprintf("it would be removed, but %s fails and may want it: repair that App first", failed)
	case r.desired.partial != "":
		held = fmt.Sprintf("it would be removed, but not while the API server can't say what %s serves: the chart may have asked for that", r.desired.partial)
	case len(r.desired.unknown) > 0:
		held = fmt.Sprintf("it would be removed, but not while the API server does not know %s", object.GVKString(r.desired.unknown[0]))
	}
	for _, s := range deletes {
		why := held
		if t, ok := r.Claims.Wanter(r.id, s.Key); ok {
			why = fmt.Sprintf("App %s takes it over", t.App)
			if t.Unable != "" {
				why = fmt.Sprintf("App %s has it in Git now and should take it over, but is %s", t.App, t.Unable)
			}
		}
		if why != "" {
			s.Action, s.Why, s.Reason = plan.Keep, why, ReasonHandover
			r.pruning = false
		}
	}
	if !r.pruning {
		r.Claims.Wait(r.id)
	}
	return true
}

// blockers names the Apps that keep this one from pruning: those that fail,
// those that have not been looked at, and of these those that this App has
// itself to create first. An empty string stands for none.
func (r *run) blockers() (failed, open, children string) {
	var f, o, c []object.App
	for _, b := range r.Claims.Barrier(r.id) {
		k := object.Key{Group: v1alpha1.Group, Kind: "App", Namespace: b.App.Namespace, Name: b.App.Name}
		_, child := r.desired.index[k]
		e := r.inventory[k]
		switch {
		case b.Failed && len(f) == 0: // one is enough to name
			f = append(f, b.App)
		case b.Failed:
		case child && (e == nil || e.UID == ""):
			c = append(c, b.App)
		default:
			o = append(o, b.App)
		}
	}
	return nameApps(f), nameApps(o), nameApps(c)
}

// nameApps names one of a few Apps; many come and go too fast to be named, and
// each name would be a write of the status.
func nameApps(apps []object.App) string {
	const few = 3
	switch {
	case len(apps) == 0:
		return ""
	case len(apps) > few:
		return "every other App of the repository"
	}
	return "App " + apps[0].String()
}

// restrain slows down the heals of objects that somebody keeps changing back.
func (r *run) restrain() bool {
	now := r.Now()
	for _, s := range r.plan.Select(plan.Heal) {
		wait, by, heals := r.mem.contested(s.Key, now)
		if wait <= 0 {
			continue
		}
		s.Action, s.Reason = plan.Keep, ReasonContested
		s.Why = fmt.Sprintf("%s keeps changing it: healed %d times, each time changed again; make %s leave it alone, or take the field out of Git", name(by), heals, name(by))
		r.again(wait)
	}
	return true
}

func name(manager string) string {
	if manager == "" {
		return "somebody"
	}
	return manager
}

// refuse ends a run that would take what another App owns and wants.
func (r *run) refuse() bool {
	refused := r.plan.Select(plan.Refuse)
	if len(refused) == 0 {
		return true
	}
	r.Claims.Wait(r.id)
	for _, b := range r.Claims.Barrier(r.id) {
		if !b.Failed {
			return r.pass(ReasonJudging, "App %s has to be looked at first: it may let go of %s", b.App, refused[0].Key)
		}
	}
	for _, s := range refused {
		r.trouble(s.Key, ReasonConflict, s.Why)
	}
	r.out.Err = fmt.Errorf("%s: %s", refused[0].Key, refused[0].Why)
	return r.stop(v1alpha1.StateFailed, ReasonConflict, "%s", r.out.Err)
}

func (r *run) busy() v1alpha1.State {
	if r.deleting {
		return v1alpha1.StateDeleting
	}
	return v1alpha1.StateProgressing
}
