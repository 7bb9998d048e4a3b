package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"abide.dev/abide/api/v1alpha1"
)

// job is the manifest of a Job with annotations. Its Pod completes at once, but
// for one that never finds a node.
func job(name string, annotations map[string]string, pod string) string {
	var a strings.Builder
	for k, v := range annotations {
		fmt.Fprintf(&a, "    %s: %q\n", k, v)
	}
	return fmt.Sprintf("apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: %s\n  annotations:\n%sspec:\n  backoffLimit: 0\n%s", name, a.String(), pod)
}

const (
	completes = "  template: {spec: {restartPolicy: Never, containers: [{name: c, image: example.org/c}]}}\n"
	hangs     = "  template: {spec: {restartPolicy: Never, nodeSelector: {no: such-node}, containers: [{name: c, image: example.org/c}]}}\n"
	fails     = "  activeDeadlineSeconds: 1\n" + hangs
)

func hookAt(phase string) map[string]string { return map[string]string{v1alpha1.AnnotationHook: phase} }

// waved is the manifest of a ConfigMap in a wave.
func waved(name, value, wave string) string {
	return annotated(name, value, v1alpha1.AnnotationWave, `"`+wave+`"`)
}

// unplaced is a Deployment whose Pods never find a node, unless it is mended.
func unplaced(name string, mended bool) string {
	d := strings.Replace(deployment(name), "    spec:\n", "    spec:\n      nodeSelector: {no: such-node}\n", 1)
	if mended {
		d = deployment(name)
	}
	return d
}

// releases are those of an App, in order.
func (w *world) releases(app *v1alpha1.App) []v1alpha1.ReleaseSpec {
	w.t.Helper()
	var l v1alpha1.ReleaseList
	must(w.t, w.client.List(w.t.Context(), &l, client.InNamespace(app.Namespace), client.MatchingFields{"spec.app": app.Name}))
	var out []v1alpha1.ReleaseSpec
	for i := range l.Items {
		out = append(out, l.Items[i].Spec)
	}
	slices.SortFunc(out, func(a, b v1alpha1.ReleaseSpec) int { return int(a.Number - b.Number) })
	return out
}

// outcome waits until a release of an App has an outcome.
func (w *world) outcome(app *v1alpha1.App, number int64, o v1alpha1.Outcome) v1alpha1.ReleaseSpec {
	w.t.Helper()
	var got v1alpha1.ReleaseSpec
	eventually(w.t, fmt.Sprintf("release %d of %s is %s", number, app.Name, o), func() error {
		for _, r := range w.releases(app) {
			if got = r; r.Number == number && r.Outcome == o {
				return nil
			}
		}
		return fmt.Errorf("the releases are %+v", w.releases(app))
	})
	return got
}

// jobs are the names of the Jobs in a namespace.
func (w *world) jobs(ns string) []string {
	w.t.Helper()
	var l batchv1.JobList
	must(w.t, w.client.List(w.t.Context(), &l, client.InNamespace(ns)))
	var out []string
	for i := range l.Items {
		out = append(out, l.Items[i].Name)
	}
	return out
}

// running waits until a Job whose name begins like this has a Pod.
func (w *world) running(ns, prefix string) (name string) {
	w.t.Helper()
	eventually(w.t, prefix+" runs", func() error {
		var pods corev1.PodList
		must(w.t, w.client.List(w.t.Context(), &pods, client.InNamespace(ns)))
		for i := range pods.Items {
			if owner := metav1.GetControllerOf(&pods.Items[i]); owner != nil && strings.HasPrefix(owner.Name, prefix) {
				name = owner.Name
				return nil
			}
		}
		return fmt.Errorf("the Jobs are %v", w.jobs(ns))
	})
	return name
}

// created are the writes that made an object of a resource since a time, in
// order, by name.
func (w *world) created(since time.Time, resources ...string) []string {
	w.t.Helper()
	var out []string
	for _, e := range w.requests(since) {
		if e.Verb == "patch" && e.Subresource == "" && slices.Contains(resources, e.Resource) && !strings.Contains(e.URI, "dryRun=") {
			out = append(out, e.Name)
		}
	}
	return out
}

// TestHooks: hooks run before and after the objects of a release, once in each
// release, and what they ran as is removed when they ask for it, or else when the
// next release begins. A restart runs nothing again.
func TestHooks(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	w.repo.Write(map[string]string{
		"app/config.yaml": configMap("config", "1"),
		"app/before.yaml": job("before", hookAt("pre-sync"), completes),
		"app/after.yaml": job("after", map[string]string{
			"argocd.argoproj.io/hook": "PostSync", "argocd.argoproj.io/hook-delete-policy": "HookSucceeded",
		}, completes),
	})
	commit := w.repo.Commit("one")
	since := now()
	w.run()
	app := w.ready(w.app("app", "app", ns), commit)
	one := w.outcome(app, 1, v1alpha1.OutcomeSucceeded)
	if len(one.Hooks) != 2 || one.Hooks[0].Hook != "Job.batch "+ns+"/before" || one.Hooks[0].Outcome != v1alpha1.OutcomeSucceeded || one.Hooks[1].When != "post-sync" || one.Trigger != v1alpha1.TriggerCommit {
		t.Errorf("the record of the first release: %+v", one)
	}
	made := w.created(since, "jobs", "configmaps")
	if len(made) != 3 || !strings.HasPrefix(made[0], "before-1-") || made[1] != "config" || !strings.HasPrefix(made[2], "after-1-") {
		t.Errorf("in this order was created: %v", made)
	}
	eventually(t, "what asked for it is removed", func() error {
		if j := w.jobs(ns); len(j) != 1 || j[0] != made[0] {
			return fmt.Errorf("there are %v", j)
		}
		return nil
	})
	if s := app.Status.Objects; s.Total != 1 {
		t.Errorf("hooks count as objects of the App: %+v", s)
	}

	w.abide.kill()
	since = now()
	w.run()
	w.repo.Write(map[string]string{"other/x.yaml": configMap("x", "1")})
	w.judged(w.push(app, "something else"))
	if made := w.created(since, "jobs"); len(made) > 0 {
		t.Errorf("a restart ran %v again", made)
	}

	w.repo.Write(map[string]string{"app/config.yaml": configMap("config", "2")})
	w.push(app, "two")
	w.outcome(app, 2, v1alpha1.OutcomeSucceeded)
	eventually(t, "the runs of the first release are gone", func() error {
		if j := w.jobs(ns); len(j) != 1 || !strings.HasPrefix(j[0], "before-2-") {
			return fmt.Errorf("there are %v", j)
		}
		return nil
	})
	if made := w.created(since, "jobs"); len(made) != 2 {
		t.Errorf("the second release ran %v", made)
	}
}

// TestWaves: a wave waits until the one before is healthy, says for what, and a
// newer commit takes over.
func TestWaves(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	w.repo.Write(map[string]string{
		"app/1.yaml": waved("first", "1", "-1"),
		"app/2.yaml": unplaced("web", false),
		"app/3.yaml": annotated("last", "1", "argocd.argoproj.io/sync-wave", `"5"`),
	})
	w.repo.Commit("one")
	w.run()
	app := w.app("app", "app", ns)
	w.says(app, "WaitingForWave", "wave 5 waits until Deployment.apps "+ns+"/web is healthy")
	w.has(ns, "first", "1")
	if w.find(ns, "last") != nil {
		t.Error("a wave did not wait")
	}
	w.repo.Write(map[string]string{"app/2.yaml": unplaced("web", true)})
	commit := w.push(app, "mended")
	w.ready(app, commit)
	w.has(ns, "last", "1")
	w.outcome(app, 1, v1alpha1.OutcomeSuperseded)
	w.outcome(app, 2, v1alpha1.OutcomeSucceeded)

	since := now()
	w.delete(app)
	w.gone(&v1alpha1.App{}, w.own, "app")
	var order []string
	for _, e := range w.requests(since) {
		if e.Verb == "delete" && (e.Resource == "configmaps" || e.Resource == "deployments") {
			order = append(order, e.Name)
		}
	}
	if len(order) != 3 || order[0] != "last" || order[2] != "first" {
		t.Errorf("deleted in the order %v, not in reverse", order)
	}
}

// TestHookFails: nothing is applied after a hook that failed, the hooks for that
// run, all is held as it is, and a newer commit goes on.
func TestHookFails(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	w.repo.Write(map[string]string{
		"app/config.yaml": configMap("config", "1"),
		"app/before.yaml": job("before", hookAt("pre-sync"), fails),
		"app/sorry.yaml":  job("sorry", hookAt("sync-fail"), completes),
	})
	w.repo.Commit("one")
	w.run()
	app := w.app("app", "app", ns)
	w.says(app, "ReleaseFailed", "release 1 failed", "before-1-", "abide sync app", "abide rollback app")
	rel := w.outcome(app, 1, v1alpha1.OutcomeFailed)
	if len(rel.Hooks) != 2 || rel.Hooks[1].When != "sync-fail" || rel.Hooks[1].Outcome != v1alpha1.OutcomeSucceeded {
		t.Errorf("hooks: %+v", rel.Hooks)
	}
	if w.find(ns, "config") != nil {
		t.Error("it was applied in spite of the hook")
	}
	w.refresh(app) // a person asks for another try
	w.outcome(app, 2, v1alpha1.OutcomeFailed)
	w.repo.Write(map[string]string{"app/before.yaml": job("before", hookAt("pre-sync"), completes)})
	w.ready(app, w.push(app, "mended"))
	w.outcome(app, 3, v1alpha1.OutcomeSucceeded)
}

// TestHookHangs: a hook that never ends is over when something newer comes: it and
// its Pods are gone before anything of that begins; killed at any point, abide runs
// no hook twice.
func TestHookHangs(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	w.repo.Write(map[string]string{
		"app/config.yaml": configMap("config", "1"),
		"app/before.yaml": job("before", hookAt("pre-sync"), hangs),
	})
	w.repo.Commit("one")
	since := now()
	w.run()
	app := w.app("app", "app", ns)
	name := w.running(ns, "before-1-")
	w.says(app, "WaitingForHook", "pre-sync hook Job.batch "+ns+"/"+name)
	w.abide.kill()
	w.run()
	w.says(app, "WaitingForHook", name)
	w.repo.Write(map[string]string{"other/x.yaml": configMap("x", "1")})
	w.judged(w.push(app, "something else"))
	if made := w.created(since, "jobs"); len(made) != 1 {
		t.Errorf("it was run %d times: %v", len(made), made)
	}
	w.repo.Write(map[string]string{"app/before.yaml": job("before", hookAt("pre-sync"), completes), "app/config.yaml": configMap("config", "2")})
	w.ready(app, w.push(app, "mended"))
	w.outcome(app, 1, v1alpha1.OutcomeSuperseded)
	if j := w.jobs(ns); slices.Contains(j, name) {
		t.Errorf("the superseded hook is there: %v", j)
	}
}

// TestHookEndsBeforeAGate: the hook of a release that is superseded ends at once, also
// where the newer one has to wait for an approval before it begins.
func TestHookEndsBeforeAGate(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	w.repo.Write(map[string]string{"app/many.yaml": configMaps("many", 10, "1")})
	first := w.repo.Commit("one")
	w.run()
	app := w.ready(w.app("app", "app", ns), first)
	w.repo.Write(map[string]string{"app/before.yaml": job("before", hookAt("pre-sync"), hangs)})
	w.push(app, "hangs")
	name := w.running(ns, "before-2-")
	w.repo.Remove("app/before.yaml")
	w.repo.Write(map[string]string{"app/many.yaml": configMaps("many", 1, "1")})
	w.push(app, "nine go")
	w.waits(app, "DeletionBudget")
	w.gone(&batchv1.Job{}, ns, name)
	w.outcome(app, 2, v1alpha1.OutcomeSuperseded)
	if n := len(w.configMaps(ns)); n != 10 {
		t.Errorf("nobody approved it, and %d are left", n)
	}
}

// TestHookFinishes: a hook that asks for it is let finish before anything newer
// begins.
func TestHookFinishes(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	hook := hookAt("pre-sync")
	hook[v1alpha1.AnnotationHookSuperseded] = "finish"
	w.repo.Write(map[string]string{
		"app/config.yaml": configMap("config", "1"),
		"app/before.yaml": job("before", hook, hangs),
	})
	w.repo.Commit("one")
	w.run()
	app := w.app("app", "app", ns)
	name := w.running(ns, "before-1-")
	w.repo.Write(map[string]string{"app/before.yaml": job("before", hook, completes), "app/config.yaml": configMap("config", "2")})
	commit := w.push(app, "newer")
	w.says(app, "WaitingForHook", name, "of release 1 is let finish")
	w.repo.Write(map[string]string{"other/x.yaml": configMap("x", "1")})
	w.judged(w.push(app, "something else"))
	w.abide.kill()
	w.run()
	w.repo.Write(map[string]string{"other/x.yaml": configMap("x", "2")})
	w.judged(w.push(app, "something else again"))
	w.says(app, "WaitingForHook", name, "of release 1 is let finish")
	if w.find(ns, "config") != nil || len(w.jobs(ns)) != 1 {
		t.Error("something newer has begun")
	}
	var j batchv1.Job
	if !w.exists(&j, ns, name) {
		t.Fatal("it was removed")
	}
	at := metav1.Now()
	j.Status.Conditions = []batchv1.JobCondition{{Type: batchv1.JobSuccessCriteriaMet, Status: "True"}, {Type: batchv1.JobComplete, Status: "True"}}
	j.Status.CompletionTime, j.Status.Succeeded, j.Status.Active, j.Status.Ready = &at, 1, 0, new(int32(0))
	eventually(t, "the Job ends", func() error {
		var now batchv1.Job
		w.exists(&now, ns, name)
		j.ResourceVersion = now.ResourceVersion
		j.Status.StartTime, j.Status.UncountedTerminatedPods = now.Status.StartTime, now.Status.UncountedTerminatedPods
		return w.client.Status().Update(t.Context(), &j)
	})
	w.ready(app, commit)
	w.has(ns, "config", "2")
}

// TestDeletionHooks: hooks run before and after what an App owns is removed, also
// when Git and the controller's memory are gone; one that fails holds the deletion
// up until somebody has the hooks left out.
func TestDeletionHooks(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	files := func(name, after string) map[string]string {
		return map[string]string{
			name + "/config.yaml": configMap("config-"+name, "1"),
			name + "/before.yaml": job("before-"+name, hookAt("pre-delete"), completes),
			name + "/after.yaml":  job("after-"+name, hookAt("post-delete"), after),
		}
	}
	w.repo.Write(files("app", completes))
	w.repo.Write(files("bad", fails))
	commit := w.repo.Commit("one")
	w.run()
	app, bad := w.ready(w.app("app", "app", ns), commit), w.ready(w.app("bad", "bad", ns), commit)
	w.outcome(app, 1, v1alpha1.OutcomeSucceeded)
	w.outcome(bad, 1, v1alpha1.OutcomeSucceeded)
	if j := w.jobs(ns); len(j) > 0 {
		t.Errorf("hooks for the deletion have run: %v", j)
	}
	w.abide.kill()
	since := now()
	w.run()
	w.delete(app)
	w.gone(&v1alpha1.App{}, w.own, "app")
	var order []string
	for _, e := range w.requests(since) {
		if !strings.Contains(e.URI, "dryRun=") && e.Subresource == "" && (e.Resource == "jobs" && e.Verb == "patch" || e.Resource == "configmaps" && e.Verb == "delete") {
			order = append(order, e.Name)
		}
	}
	if len(order) != 3 || !strings.HasPrefix(order[0], "before-app-2-") || order[1] != "config-app" || !strings.HasPrefix(order[2], "after-app-2-") {
		t.Errorf("the deletion went %v", order)
	}
	if rel := w.outcome(app, 2, v1alpha1.OutcomeSucceeded); rel.Trigger != v1alpha1.TriggerDelete {
		t.Errorf("its record: %+v", rel)
	}

	w.delete(bad)
	w.says(bad, "ReleaseFailed", "the App is not removed", v1alpha1.AnnotationSkipDeleteHooks)
	w.patch(w.get(bad), "somebody", `{"metadata":{"annotations":{"`+v1alpha1.AnnotationSkipDeleteHooks+`":"true"}}}`)
	w.gone(&v1alpha1.App{}, w.own, "bad")
	eventually(t, "what hooks ran as is removed with the App", func() error {
		if j := w.jobs(ns); len(j) > 0 {
			return fmt.Errorf("there are %v", j)
		}
		return nil
	})
}

// TestHangingRequest: what an admission webhook, or whatever is between, does not
// answer holds up nothing that can be had without it: a newer commit, and a
// person's wish, begin at once.
func TestHangingRequest(t *testing.T) {
	w := newWorld(t)
	hold := newStuck("hangs")
	w.kubeconfig = w.behind(hold.wrap)
	ns := w.sandbox.Namespace(t)
	w.repo.Write(map[string]string{"app/1.yaml": configMap("hangs", "1")})
	w.repo.Commit("one")
	w.run()
	app := w.app("app", "app", ns)
	<-hold.arrived
	w.repo.Write(map[string]string{"app/1.yaml": configMap("answers", "2")})
	commit := w.push(app, "two")
	w.ready(app, commit) // nobody has let the first one go
	w.has(ns, "answers", "2")
	if w.find(ns, "hangs") != nil {
		t.Error("what nobody wants any more was applied")
	}

	hold.arrived = make(chan struct{})
	hold.armed.Store(true)
	w.repo.Write(map[string]string{"app/2.yaml": configMap("hangs", "3")})
	w.push(app, "three")
	<-hold.arrived
	w.delete(app)
	w.gone(&v1alpha1.App{}, w.own, "app")
	if w.find(ns, "answers") != nil {
		t.Error("it was not removed")
	}
}

// TestOrphanWithHooks: what hooks ran as does not keep an App that leaves all behind.
func TestOrphanWithHooks(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	w.repo.Write(map[string]string{
		"app/a.yaml":      configMap("a", "1"),
		"app/before.yaml": job("before", hookAt("pre-sync"), completes),
		"app/never.yaml":  job("never", hookAt("pre-delete"), fails),
	})
	w.repo.Commit("one")
	w.run()
	app := w.app("app", "app", ns, func(a *v1alpha1.App) { a.Spec.DeletionPolicy = v1alpha1.DeletionPolicyOrphan })
	w.outcome(app, 1, v1alpha1.OutcomeSucceeded)
	w.delete(app)
	w.gone(&v1alpha1.App{}, w.own, "app")
	w.has(ns, "a", "1")
	if j := w.jobs(ns); len(j) != 1 {
		t.Errorf("the Jobs are %v", j)
	}
}
