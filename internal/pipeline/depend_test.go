package pipeline

import (
	"context"
	"errors"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/depend"
	"abide.dev/abide/internal/plan"
)

// others are the Apps that come first, as a test says.
type others struct {
	wrong      error
	waits      depend.Verdict
	dependents depend.Verdict
	asked      []string
}

func (o *others) Check() error { return o.wrong }

func (o *others) Waits(_ context.Context, commit, since string) depend.Verdict {
	o.asked = append(o.asked, commit+"/"+since)
	return o.waits
}

func (o *others) Dependents() depend.Verdict { return o.dependents }

func verdict(app string) depend.Verdict {
	return depend.Verdict{Waits: []v1alpha1.WaitsFor{{App: app, Message: "is not ready yet"}}, Message: "waits for App " + app}
}

func TestDepend(t *testing.T) {
	circle := &depend.CycleError{}
	for _, row := range []struct {
		why    string
		change func(*run, *others)
		state  v1alpha1.State // empty: it goes on
		reason string
	}{
		{"nothing comes first", func(_ *run, o *others) { o.waits = depend.Verdict{} }, "", ""},
		{"a new state waits", func(*run, *others) {}, v1alpha1.StateWaiting, ReasonDependency},
		{"a new state that is nothing but another hook", func(r *run, _ *others) {
			r.plan.Steps, r.desired.hooks = nil, make([]hook, 1)
		}, v1alpha1.StateWaiting, ReasonDependency},
		{"what goes waits as well", func(r *run, _ *others) { r.plan.Steps[0].Action = plan.Delete }, v1alpha1.StateWaiting, ReasonDependency},
		{"there is nothing to do", func(r *run, _ *others) { r.plan.Steps[0].Action = plan.Keep }, "", ""},
		{"it was let through", func(r *run, _ *others) { r.mem.through = "h" }, "", ""},
		{"another state was let through", func(r *run, _ *others) { r.mem.through = "g" }, v1alpha1.StateWaiting, ReasonDependency},
		{"it has been applied before", func(r *run, _ *others) { r.app.Status.AppliedHash = "h" }, "", ""},
		{"its release is under way", func(r *run, _ *others) {
			r.app.Status.Release = &v1alpha1.ReleaseStatus{Outcome: v1alpha1.OutcomeRunning, DesiredHash: "h"}
		}, "", ""},
		{"its release is over", func(r *run, _ *others) {
			r.app.Status.Release = &v1alpha1.ReleaseStatus{Outcome: v1alpha1.OutcomeFailed, DesiredHash: "h"}
		}, v1alpha1.StateWaiting, ReasonDependency},
		{"a rollback waits for nobody", func(r *run, _ *others) { r.pinned = &v1alpha1.PinnedStatus{} }, "", ""},
		{"a circle is an error, also of a state that was let through", func(r *run, o *others) { r.mem.through, o.wrong = "h", circle }, v1alpha1.StateFailed, "DependencyCycle"},
		{"a deleted App waits for those that depend on it", func(r *run, o *others) { r.deleting, o.dependents = true, verdict("x/web") }, v1alpha1.StateDeleting, ReasonDependents},
		{"a deleted App does not wait for what it depends on, nor for its circle to be repaired", func(r *run, o *others) { r.deleting, o.wrong = true, circle }, "", ""},
		{"a deleted App that leaves all behind", func(r *run, o *others) { r.deleting, r.orphaning, o.dependents = true, "so", verdict("x/web") }, "", ""},
	} {
		t.Run(row.why, func(t *testing.T) {
			o := &others{waits: verdict("x/db")}
			r := &run{
				mem: &memory{}, app: &v1alpha1.App{ObjectMeta: metav1.ObjectMeta{Namespace: "x", Name: "a"}},
				desired: &desiredState{hash: "h", at: At{Commit: "c"}},
				plan:    plan.Plan{Steps: []plan.Step{{Action: plan.Update}}},
			}
			row.change(r, o)
			r.in.Depends = o
			on := r.depend(t.Context())
			if on != (row.state == "") || r.out.State != row.state || r.out.Reason != row.reason {
				t.Errorf("it goes on: %v, is %s (%s)", on, r.out.State, r.out.Reason)
			}
			if waits := row.state == v1alpha1.StateWaiting || row.state == v1alpha1.StateDeleting; waits != (len(r.out.WaitsFor) == 1) {
				t.Errorf("it waits for %+v", r.out.WaitsFor)
			}
			if row.state == v1alpha1.StateFailed && !errors.Is(r.out.Err, o.wrong) {
				t.Errorf("the error is %v", r.out.Err)
			}
		})
	}
}

// What was let through once is not asked about again, however its dependencies
// are doing; the next state is, and so is one that comes back.
func TestDependOnce(t *testing.T) {
	o := &others{}
	mem := &memory{}
	step := func(hash, commit string, v depend.Verdict) bool {
		o.waits = v
		app := &v1alpha1.App{}
		app.Status.DesiredHash, app.Status.Source.Commit = "h", "first"
		r := &run{mem: mem, app: app, desired: &desiredState{hash: hash, at: At{Commit: commit}}, plan: plan.Plan{Steps: []plan.Step{{Action: plan.Create}}}}
		r.in.Depends = o
		return r.depend(t.Context())
	}
	if !step("h", "c", depend.Verdict{}) || !step("h", "d", verdict("x/db")) {
		t.Error("what was let through waits again")
	}
	if step("i", "e", verdict("x/db")) {
		t.Error("another state was let through")
	}
	if len(o.asked) != 2 || o.asked[0] != "c/first" || o.asked[1] != "e/" {
		t.Errorf("asked at %v: the commit that first said it is known only of the state that the status has", o.asked)
	}
}

func TestHandoverIsOneWord(t *testing.T) {
	if depend.Handover != ReasonHandover {
		t.Errorf("package depend knows it as %s", depend.Handover)
	}
}
