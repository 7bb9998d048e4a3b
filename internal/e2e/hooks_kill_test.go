package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"abide.dev/abide/api/v1alpha1"
)

// refreshed waits until a look at Git that a person asks for has been answered.
func (w *world) refreshed(app *v1alpha1.App) {
	w.t.Helper()
	w.refresh(app)
	eventually(w.t, "App "+app.Name+" has looked", func() error {
		now := w.get(app)
		if asked := now.Annotations[v1alpha1.AnnotationRefresh]; now.Status.Refresh.Observed != asked {
			return fmt.Errorf("asked for %s, it has answered %+v", asked, now.Status.Refresh)
		}
		return nil
	})
}

// jobPhase is the phase of a request that deletes a Job.
func jobPhase(r *http.Request) string {
	if r.Method == http.MethodDelete && strings.Contains(r.URL.Path, "/jobs/") {
		return phasePrune
	}
	return ""
}

// TestKillAfterHook: a hook that has run, and was removed as it asks for, does not
// run again after a kill, wherever that falls.
func TestKillAfterHook(t *testing.T) {
	w := newWorld(t)
	k := &killer{}
	w.kubeconfig = w.through(k)
	ns := w.sandbox.Namespace(t)
	hook := hookAt("pre-sync")
	hook[v1alpha1.AnnotationHookDelete] = "hook-succeeded"
	w.repo.Write(map[string]string{"app/config.yaml": configMap("config", "1"), "app/before.yaml": job("before", hook, completes)})
	commit := w.repo.Commit("one")
	since := now()
	w.run()
	struck := k.arm(moment{phaseApply, 1, false}, w.abide.kill)
	app := w.app("app", "app", ns)
	<-struck
	w.run()
	w.ready(app, commit)
	w.outcome(app, 1, v1alpha1.OutcomeSucceeded)
	if made := w.created(since, "jobs"); len(made) != 1 {
		t.Errorf("it was run %d times: %v", len(made), made)
	}
}

// TestKillAfterLastHook: the same for a hook that runs when nothing is left of an
// App, and the App goes.
func TestKillAfterLastHook(t *testing.T) {
	w := newWorld(t)
	k := &killer{}
	w.kubeconfig = w.behind(func(next http.Handler) http.Handler { return k.wrap(jobPhase, next) })
	ns := w.sandbox.Namespace(t)
	w.repo.Write(map[string]string{"app/config.yaml": configMap("config", "1"), "app/after.yaml": job("after", hookAt("post-delete"), completes)})
	commit := w.repo.Commit("one")
	w.run()
	app := w.ready(w.app("app", "app", ns), commit)
	w.outcome(app, 1, v1alpha1.OutcomeSucceeded)
	since := now()
	struck := k.arm(moment{phasePrune, 1, true}, w.abide.kill)
	w.delete(app)
	<-struck
	eventually(t, "the Job is gone", func() error {
		if j := w.jobs(ns); len(j) > 0 {
			return fmt.Errorf("there are %v", j)
		}
		return nil
	})
	w.run()
	w.gone(&v1alpha1.App{}, w.own, "app")
	if made := w.created(since, "jobs"); len(made) != 1 {
		t.Errorf("it was run %d times: %v", len(made), made)
	}
	if rel := w.outcome(app, 2, v1alpha1.OutcomeSucceeded); len(rel.Hooks) != 1 || rel.Hooks[0].Outcome != v1alpha1.OutcomeSucceeded {
		t.Errorf("its record: %+v", rel.Hooks)
	}
}

// TestKillBeforeDeletion: what an App owns stays until the hook that comes before its
// deletion has run, over restarts.
func TestKillBeforeDeletion(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	w.repo.Write(map[string]string{"app/config.yaml": configMap("config", "1"), "app/before.yaml": job("before", hookAt("pre-delete"), hangs)})
	commit := w.repo.Commit("one")
	w.run()
	app := w.ready(w.app("app", "app", ns), commit)
	w.outcome(app, 1, v1alpha1.OutcomeSucceeded)
	w.delete(app)
	name := w.running(ns, "before-2-")
	w.says(app, "WaitingForHook", name)
	w.outcome(app, 2, v1alpha1.OutcomeRunning)
	for _, other := range []string{"one", "two"} { // something to wait for
		w.abide.kill()
		w.run()
		w.repo.Write(map[string]string{other + "/a.yaml": configMap(other, "1")})
		w.repo.Commit(other)
		w.ready(w.app(other, other, ns), "")
		w.says(app, "WaitingForHook", name)
		if w.find(ns, "config") == nil || !slices.Contains(w.jobs(ns), name) {
			t.Fatalf("a restart has let it go: the Jobs are %v", w.jobs(ns))
		}
	}
}

// TestHookVanishes: what a hook ran as may be removed by others while abide is
// down: it is not run again by itself.
func TestHookVanishes(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	w.repo.Write(map[string]string{"app/config.yaml": configMap("config", "1"), "app/before.yaml": job("before", hookAt("pre-sync"), hangs)})
	w.repo.Commit("one")
	since := now()
	w.run()
	app := w.app("app", "app", ns)
	name := w.running(ns, "before-1-")
	w.says(app, "WaitingForHook", name)
	w.abide.kill()
	w.delete(&batchv1.Job{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}}, client.PropagationPolicy(metav1.DeletePropagationBackground))
	w.run()
	w.says(app, "ReleaseFailed", "was removed before it was seen to end")
	if made := w.created(since, "jobs"); len(made) != 1 {
		t.Errorf("it was run %d times: %v", len(made), made)
	}
}

// TestKillBeforeHook: a hook that keeps its name is there from the release before:
// that is not taken for a run of this one.
func TestKillBeforeHook(t *testing.T) {
	w := newWorld(t)
	k := &killer{}
	w.kubeconfig = w.through(k)
	ns := w.sandbox.Namespace(t)
	settings := func(value string) string { return annotated("settings", value, v1alpha1.AnnotationHook, "pre-sync") }
	w.repo.Write(map[string]string{"app/a.yaml": configMap("a", "1"), "app/settings.yaml": settings("1")})
	w.repo.Commit("one")
	w.run()
	app := w.app("app", "app", ns)
	w.outcome(app, 1, v1alpha1.OutcomeSucceeded)
	w.has(ns, "settings", "1")
	for n, phase := range []string{phaseDryRun, phaseApply} { // of the hook: it comes first
		value := fmt.Sprint(n + 2)
		w.repo.Write(map[string]string{"app/a.yaml": configMap("a", value), "app/settings.yaml": settings(value)})
		struck := k.arm(moment{phase, 1, false}, w.abide.kill)
		commit := w.push(app, phase)
		<-struck
		w.run()
		w.ready(app, commit)
		w.has(ns, "a", value)
		w.has(ns, "settings", value)
	}
}

// TestHookIsLetFinish: what else happens meanwhile, a restart among it, does not end
// a hook that is to be let finish.
func TestHookIsLetFinish(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	hook := hookAt("pre-sync")
	hook[v1alpha1.AnnotationHookSuperseded] = "finish"
	w.repo.Write(map[string]string{"app/config.yaml": configMap("config", "1"), "app/before.yaml": job("before", hook, hangs)})
	w.repo.Commit("one")
	w.run()
	app := w.app("app", "app", ns)
	name := w.running(ns, "before-1-")
	w.repo.Write(map[string]string{"app/config.yaml": configMap("config", "2")})
	w.push(app, "two")
	w.says(app, "WaitingForHook", name, "of release 1 is let finish")
	w.refreshed(app)
	w.abide.kill()
	w.run()
	w.refreshed(app)
	w.repo.Write(map[string]string{"app/config.yaml": configMap("config", "3")})
	w.push(app, "three")
	w.refreshed(app)
	w.says(app, "WaitingForHook", name, "of release 1 is let finish")
	var j batchv1.Job
	if !w.exists(&j, ns, name) || j.DeletionTimestamp != nil {
		t.Error("it was ended")
	}
}

// TestOrphanedHooks: what hooks ran as does not keep an App that leaves everything
// behind.
func TestOrphanedHooks(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	w.repo.Write(map[string]string{"app/config.yaml": configMap("config", "1"), "app/before.yaml": job("before", hookAt("pre-sync"), completes)})
	commit := w.repo.Commit("one")
	w.run()
	app := w.ready(w.app("app", "app", ns, func(a *v1alpha1.App) { a.Spec.DeletionPolicy = v1alpha1.DeletionPolicyOrphan }), commit)
	w.outcome(app, 1, v1alpha1.OutcomeSucceeded)
	w.delete(app)
	w.gone(&v1alpha1.App{}, w.own, "app")
	w.has(ns, "config", "1")
	if j := w.jobs(ns); len(j) != 1 {
		t.Errorf("the Jobs are %v", j)
	}
}

// TestRecordsRemoved: an App goes also when somebody has removed its records.
func TestRecordsRemoved(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	w.repo.Write(map[string]string{"app/config.yaml": configMap("config", "1")})
	commit := w.repo.Commit("one")
	w.run()
	app := w.ready(w.app("app", "app", ns), commit)
	w.outcome(app, 1, v1alpha1.OutcomeSucceeded)
	w.abide.kill()
	w.run()
	w.refreshed(app)
	must(t, w.client.DeleteAllOf(t.Context(), &v1alpha1.Release{}, client.InNamespace(w.own)))
	w.delete(app)
	w.gone(&v1alpha1.App{}, w.own, "app")
	if w.find(ns, "config") != nil {
		t.Error("what it owned is there")
	}
}

// TestApprovalsOnRecord: a plan that waits is rejected when Git says something else,
// and not while it is the plan of a rollback; what it waited for is not why its
// release was made.
func TestApprovalsOnRecord(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	w.repo.Write(map[string]string{"app/a.yaml": configMap("a", "1")})
	w.repo.Commit("one")
	w.run()
	app := w.app("app", "app", ns)
	w.outcome(app, 1, v1alpha1.OutcomeSucceeded)
	many := map[string]string{}
	for i := range 8 {
		many[fmt.Sprintf("app/many-%d.yaml", i)] = configMap(fmt.Sprint("many-", i), "1")
	}
	w.repo.Write(many)
	w.ready(app, w.push(app, "two"))

	pin := w.pin(app, 1)
	plan := w.waits(app, "DeletionBudget")
	w.refreshed(app)
	w.approve(app, plan.Digest)
	w.outcome(app, 3, v1alpha1.OutcomeSucceeded)
	w.delete(pin)
	w.outcome(app, 4, v1alpha1.OutcomeSucceeded)

	for name := range many {
		w.repo.Remove(name)
	}
	w.repo.Write(map[string]string{"app/a.yaml": configMap("a", "2")}) // another plan than what was approved
	w.push(app, "three")
	plan = w.waits(app, "DeletionBudget")
	w.approve(app, plan.Digest)
	if rel := w.outcome(app, 5, v1alpha1.OutcomeSucceeded); rel.Trigger != v1alpha1.TriggerCommit || len(rel.Gates) != 1 || rel.Gates[0].By != "tester" {
		t.Errorf("a commit that had to be approved is on record as %s, gates %+v", rel.Trigger, rel.Gates)
	}
	if i := slices.IndexFunc(w.releases(app), func(r v1alpha1.ReleaseSpec) bool { return r.Outcome == v1alpha1.OutcomeRejected }); i >= 0 {
		t.Errorf("nothing was rejected, and on record is %+v", w.releases(app)[i])
	}
}

// TestRejectedIsNothing: a plan that was rejected has changed nothing: what is there
// needs no release, and no hook, after a restart.
func TestRejectedIsNothing(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	w.repo.Write(map[string]string{"app/many.yaml": configMaps("many", 10, "1"), "app/before.yaml": job("before", hookAt("pre-sync"), completes)})
	w.repo.Commit("one")
	w.run()
	app := w.app("app", "app", ns)
	w.outcome(app, 1, v1alpha1.OutcomeSucceeded)
	w.repo.Write(map[string]string{"app/many.yaml": configMaps("many", 1, "1")})
	w.push(app, "two")
	w.waits(app, "DeletionBudget")
	w.repo.Write(map[string]string{"app/many.yaml": configMaps("many", 10, "1")})
	w.push(app, "as before")
	w.outcome(app, 2, v1alpha1.OutcomeRejected)
	w.abide.kill()
	since := now()
	w.run()
	w.refreshed(app)
	w.repo.Write(map[string]string{"app/many.yaml": configMaps("many", 10, "2")})
	w.push(app, "three")
	if rel := w.outcome(app, 3, v1alpha1.OutcomeSucceeded); rel.Plan.Update != 10 {
		t.Errorf("a restart made a release of nothing: %+v", rel)
	}
	if made := w.created(since, "jobs"); len(made) != 1 {
		t.Errorf("hooks that ran since: %v", made)
	}
}

// TestHeldWithoutGit: a person who asks for another try of what an App went back
// from gets it once Git says something that can be told.
func TestHeldWithoutGit(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	w.repo.Write(map[string]string{"app/a.yaml": configMap("a", "1")})
	w.repo.Commit("one")
	w.run()
	app := w.app("app", "app", ns)
	w.outcome(app, 1, v1alpha1.OutcomeSucceeded)
	w.repo.Write(map[string]string{"app/a.yaml": configMap("a", "2")})
	w.push(app, "two")
	w.outcome(app, 2, v1alpha1.OutcomeSucceeded)
	w.abide.kill()
	held := w.get(app)
	base := held.DeepCopy()
	at := metav1.Now().Rfc3339Copy()
	held.Status.Pinned = &v1alpha1.PinnedStatus{To: 1, Skips: held.Status.DesiredHash, Since: &at}
	must(t, w.client.Status().Patch(t.Context(), held, client.MergeFrom(base)))
	w.repo.Write(map[string]string{"app/a.yaml": "]"})
	w.repo.Commit("broken")
	w.run()
	w.has(ns, "a", "1")
	w.refreshed(app)
	if s := w.get(app).Status; s.Pinned == nil {
		t.Errorf("it is held no more: %+v", s)
	}
	w.repo.Write(map[string]string{"app/a.yaml": configMap("a", "3")})
	w.ready(app, w.push(app, "mended"))
	w.has(ns, "a", "3")
}
