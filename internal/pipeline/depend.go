package pipeline

import (
	"context"
	"slices"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/depend"
	"abide.dev/abide/internal/plan"
)

// The reasons of runs that other Apps come before.
const (
	// ReasonDependency is that of an App whose new state waits.
	ReasonDependency = "WaitingForDependency"
	// ReasonDependents is that of a deleted App that is still depended on.
	ReasonDependents = "WaitingForDependents"
)

// Dependencies tells a run of one App which Apps come first. Once it has named
// some, the App is woken when anything about them changes.
type Dependencies interface {
	// Check returns what is wrong with the dependencies themselves: a circle, or a
	// condition that is no expression.
	Check() error
	// Waits tells what a new state waits for. commit is where the App stands, since
	// the commit that first said this of it.
	Waits(ctx context.Context, commit, since string) depend.Verdict
	// Dependents tells which Apps an App that is being deleted waits for.
	Dependents() depend.Verdict
}

// depend ends a run whose App has to let others go first. What was healed stays
// healed: nothing but a new state waits. A state that was once let through does not
// wait again, however its dependencies are doing.
func (r *run) depend(ctx context.Context) bool {
	d := r.in.Depends
	if d == nil || r.orphaning != "" || r.pinned != nil { // a rollback waits for nobody
		return true
	}
	if r.deleting {
		v := d.Dependents()
		return len(v.Waits) == 0 || r.waitFor(v, v1alpha1.StateDeleting, ReasonDependents)
	}
	if err := d.Check(); err != nil {
		r.out.Err = err
		return r.stop(v1alpha1.StateFailed, ReasonOf(err, ReasonDependency), "%s", err)
	}
	hash, s := r.desired.hash, &r.app.Status
	if hash != r.mem.through && hash != s.AppliedHash && !begun(s.Release, hash) && r.hasWork() {
		since := ""
		if s.DesiredHash == hash {
			since = s.Source.Commit
		}
		if v := d.Waits(ctx, r.desired.at.Commit, since); len(v.Waits) > 0 {
			return r.waitFor(v, v1alpha1.StateWaiting, ReasonDependency)
		}
	}
	r.mem.through = hash
	return true
}

// begun tells whether a release is under way that brings about a state: it has been
// let through, perhaps before a restart.
func begun(release *v1alpha1.ReleaseStatus, hash string) bool {
	return release != nil && release.Outcome == v1alpha1.OutcomeRunning && release.DesiredHash == hash
}

func (r *run) waitFor(v depend.Verdict, state v1alpha1.State, reason string) bool {
	r.out.WaitsFor, r.out.Passing = v.Waits, v.Passing
	return r.stop(state, reason, "%s", v.Message)
}

// hasWork tells whether there is anything to do, or a hook to run.
func (r *run) hasWork() bool {
	return len(r.desired.hooks) > 0 || slices.ContainsFunc(r.plan.Steps, func(s plan.Step) bool { return s.Applies() || s.Action == plan.Delete })
}
