package e2e

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/cli"
)

// gate is the label of a node that the Pods of a Deployment wait for.
func (w *world) gate(name string) string { return w.own + ".example.com/" + name }

// gated is a Deployment that gets ready once its gate is opened.
func (w *world) gated(name, gate string) string {
	return fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  replicas: 1
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec:
      nodeSelector: {%[2]s: open}
      containers: [{name: main, image: "example.org/nothing:1"}]
`, name, w.gate(gate))
}

// open lets the Pods run that wait for a gate.
func (w *world) open(gate string) {
	w.t.Helper()
	label := func(ctx context.Context, value string) {
		var nodes corev1.NodeList
		must(w.t, w.client.List(ctx, &nodes))
		for i := range nodes.Items {
			merge := fmt.Sprintf(`{"metadata":{"labels":{%q:%s}}}`, w.gate(gate), value)
			must(w.t, w.client.Patch(ctx, &nodes.Items[i], client.RawPatch(types.MergePatchType, []byte(merge))))
		}
	}
	label(w.t.Context(), `"open"`)
	w.t.Cleanup(func() { label(context.WithoutCancel(w.t.Context()), "null") })
}

// after makes an App depend on others, each as name or namespace/name.
func after(names ...string) func(*v1alpha1.App) {
	return func(a *v1alpha1.App) {
		for _, n := range names {
			d := v1alpha1.Dependency{Name: n}
			if ns, name, ok := strings.Cut(n, "/"); ok {
				d = v1alpha1.Dependency{Namespace: ns, Name: name}
			}
			a.Spec.DependsOn = append(a.Spec.DependsOn, d)
		}
	}
}

// change changes the spec of an App.
func (w *world) change(app *v1alpha1.App, change func(*v1alpha1.App)) {
	w.t.Helper()
	now := w.get(app)
	base := now.DeepCopy()
	change(now)
	must(w.t, w.client.Patch(w.t.Context(), now, client.MergeFrom(base)))
}

// why is what abide why says of an App.
func (w *world) why(app *v1alpha1.App) string {
	w.t.Helper()
	var out, errs bytes.Buffer
	args := []string{"abide", "why", app.Name, "-n", app.Namespace, "--kubeconfig", w.kubeconfig}
	if code := cli.Main(args, cli.Streams{Out: &out, Err: &errs}); code != 0 {
		w.t.Fatalf("abide why ended with %d: %s", code, errs.String())
	}
	return out.String()
}

// TestDependsOn: an App comes after those that it depends on, when it is made and
// at each commit that changes both; what somebody changes meanwhile is put back.
func TestDependsOn(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	w.repo.Write(map[string]string{
		"db/db.yaml": w.gated("db", "one"), "api/c.yaml": configMap("api", "1"),
		"web/c.yaml": configMap("web", "1") + "---\n" + configMap("still", "1"), "other/c.yaml": configMap("other", "1"),
	})
	commit := w.repo.Commit("1")
	w.run()
	web, api := w.app("web", "web", ns, after("api")), w.app("api", "api", ns, after("db"))
	w.says(api, "WaitingForDependency", "App "+w.own+"/db, which does not exist")
	w.says(web, "WaitingForDependency", "App "+w.own+"/api, which waits itself for "+w.own+"/db")
	db := w.app("db", "db", ns)
	w.says(api, "WaitingForDependency", "which is not ready yet")
	w.judged(commit) // who waits keeps no ref from being judged
	waits := w.get(api).Status.WaitsFor
	if len(waits) != 1 || waits[0].App != w.own+"/db" || waits[0].Since == nil {
		t.Errorf("it waits for %+v", waits)
	}
	if w.find(ns, "api") != nil || w.find(ns, "web") != nil {
		t.Error("something was applied before what it depends on is healthy")
	}
	w.open("one")
	for _, app := range []*v1alpha1.App{db, api, web} {
		w.ready(app, commit)
	}
	if waits := w.get(api).Status.WaitsFor; len(waits) > 0 {
		t.Errorf("it is ready, and waits for %+v", waits)
	}

	w.repo.Write(map[string]string{"db/db.yaml": w.gated("db", "two"), "api/c.yaml": configMap("api", "2"), "web/c.yaml": configMap("web", "2") + "---\n" + configMap("still", "1")})
	commit = w.push(web, "all three change")
	w.says(api, "WaitingForDependency", "which is not ready yet")
	w.says(web, "WaitingForDependency", "which waits itself")
	w.judged(commit)
	w.patch(cmNamed(ns, "still"), "meddler", `{"data":{"value":"drifted"}}`)
	w.has(ns, "still", "1")
	if api, web := w.find(ns, "api"), w.find(ns, "web"); api.Data["value"] != "1" || web.Data["value"] != "1" {
		t.Errorf("before the dependency is healthy, what depends on it became %v and %v", api.Data, web.Data)
	}
	says := w.why(web)
	for _, part := range []string{"web waits for api (since ", "), which waits for db (since ", "), whose Deployment db is progressing (since ", "kubectl describe deployment.apps db -n " + ns} {
		if !strings.Contains(says, part) {
			t.Errorf("abide why says %q, without %q", says, part)
		}
	}
	w.open("two")
	for _, app := range []*v1alpha1.App{db, api, web} {
		w.ready(app, commit)
	}
	w.has(ns, "web", "2")
	if says := w.why(web); !strings.HasPrefix(says, "web waits for nothing") {
		t.Errorf("abide why says %q", says)
	}

	// A dependency that the commit does not touch stands at it without a run.
	w.repo.Write(map[string]string{"web/c.yaml": configMap("web", "3")})
	w.ready(web, w.push(web, "web alone"))
	w.has(ns, "web", "3")
}

// TestDependsRestart: who waits costs nothing, and waits after a crash as before.
func TestDependsRestart(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	w.repo.Write(map[string]string{"db/db.yaml": w.gated("db", "one"), "web/c.yaml": configMap("web", "1")})
	commit := w.repo.Commit("1")
	w.run()
	w.open("one")
	db, web := w.app("db", "db", ns), w.app("web", "web", ns, after("db"))
	w.ready(db, commit)
	w.ready(web, commit)
	w.repo.Write(map[string]string{"db/db.yaml": w.gated("db", "two"), "web/c.yaml": configMap("web", "2")})
	commit = w.push(web, "2")
	w.says(web, "WaitingForDependency")
	w.judged(commit)
	began := w.quiet()
	<-time.After(10 * time.Second)
	for _, e := range w.requests(began) {
		t.Errorf("a request while it waits: %s", describe(e))
	}
	since := w.get(web).Status.WaitsFor[0].Since

	w.abide.kill()
	began = now()
	w.run()
	w.quiet()
	if writes := about(w.writes(began), " web"); len(writes) > 0 {
		t.Errorf("after a restart it wrote %v", writes)
	}
	if w.find(ns, "web").Data["value"] != "1" {
		t.Error("after a restart it does not wait any more")
	}
	if s := w.get(web).Status; len(s.WaitsFor) != 1 || !s.WaitsFor[0].Since.Equal(since) {
		t.Errorf("it waits for %+v, and waited since %s", s.WaitsFor, since)
	}
	w.open("two")
	w.ready(web, commit)
	w.has(ns, "web", "2")

	// A commit that comes while nobody looks is waited for as well.
	w.abide.kill()
	w.repo.Write(map[string]string{"db/db.yaml": w.gated("db", "three"), "web/c.yaml": configMap("web", "3")})
	commit = w.repo.Commit("3")
	w.run()
	w.says(web, "WaitingForDependency", "which is not ready yet")
	if w.find(ns, "web").Data["value"] != "2" {
		t.Error("it took a dependency for ready that had not looked at the commit")
	}
	w.open("three")
	w.ready(web, commit)
}

// TestDependsAcross: an App of another namespace is depended on only where it
// allows that.
func TestDependsAcross(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	w.tenant(ns, ns)
	w.repo.Write(map[string]string{"db/c.yaml": configMap("db", "1"), "web/c.yaml": configMap("web", "1")})
	commit := w.repo.Commit("1")
	w.run()
	db := w.app("db", "db", w.own)
	w.ready(db, commit)
	web := w.app("web", "web", ns, inNamespace(ns), after(w.own+"/db"))
	refused := w.says(web, "WaitingForDependency", "does not exist, or does not let Apps of namespace "+ns, "namespace "+w.own, "spec.allowedDependents")
	w.change(web, func(a *v1alpha1.App) { a.Spec.DependsOn[0].Name = "no-such" })
	unknown := w.says(web, "WaitingForDependency", "no-such", "does not exist, or does not let")
	if strings.ReplaceAll(unknown, "no-such", "db") != refused {
		t.Errorf("what exists can be told from what does not: %q and %q", unknown, refused)
	}
	w.change(web, func(a *v1alpha1.App) { a.Spec.DependsOn[0].Name = "db" })
	w.change(db, func(a *v1alpha1.App) { a.Spec.AllowedDependents = []string{ns} })
	w.ready(web, commit)

	w.change(db, func(a *v1alpha1.App) { a.Spec.AllowedDependents = nil })
	w.repo.Write(map[string]string{"web/c.yaml": configMap("web", "2")})
	commit = w.push(web, "2")
	w.says(web, "WaitingForDependency", "does not let")
	w.change(db, func(a *v1alpha1.App) { a.Spec.AllowedDependents = []string{"*"} })
	w.ready(web, commit)
}

// TestDependsCircle: Apps that wait for each other say so, and wait no longer once
// one of them does not.
func TestDependsCircle(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	w.repo.Write(map[string]string{
		"a/c.yaml": configMap("a", "1"), "b/c.yaml": configMap("b", "1"),
		"apps/child.yaml": appManifest(w.own, "child", w.url, "a", ns) + "  dependsOn: [{name: parent}]\n",
	})
	commit := w.repo.Commit("1")
	w.run()
	a, b := w.app("a", "a", ns, after("b")), w.app("b", "b", ns, after("a"))
	aba := fmt.Sprintf("%[1]s/a → %[1]s/b → %[1]s/a", w.own)
	w.says(a, "DependencyCycle", aba)
	w.says(b, "DependencyCycle", fmt.Sprintf("%[1]s/b → %[1]s/a → %[1]s/b", w.own))
	w.state(a, v1alpha1.StateFailed)
	w.change(b, func(a *v1alpha1.App) { a.Spec.DependsOn = nil })
	w.ready(b, commit)
	w.ready(a, commit)

	// It is told when it is made, not at the next commit.
	w.change(b, after("a"))
	w.says(b, "DependencyCycle")
	w.delete(a)
	w.delete(b)
	w.gone(&v1alpha1.App{}, w.own, "a")
	w.gone(&v1alpha1.App{}, w.own, "b")

	w.app("parent", "apps", w.own)
	child := &v1alpha1.App{}
	child.Namespace, child.Name = w.own, "child"
	eventually(t, "there is a child", func() error {
		if !w.exists(&v1alpha1.App{}, w.own, "child") {
			return fmt.Errorf("there is none")
		}
		return nil
	})
	w.says(child, "DependencyCycle", w.own+"/parent made it")
}

// TestDependsCondition: a condition is waited for besides, and one that is no
// expression is an error of the App.
func TestDependsCondition(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	w.repo.Write(map[string]string{"db/c.yaml": configMap("db", "1"), "web/c.yaml": configMap("web", "1")})
	commit := w.repo.Commit("1")
	w.run()
	w.ready(w.app("db", "db", ns), commit)
	web := w.app("web", "web", ns, after("db"), func(a *v1alpha1.App) { a.Spec.DependsOn[0].Condition = "app.status.objects.total >" })
	w.says(web, "InvalidCondition", "app.status.objects.total >", "column 27")
	w.change(web, func(a *v1alpha1.App) { a.Spec.DependsOn[0].Condition = "app.status.objects.total > 1" })
	w.says(web, "WaitingForDependency", "does not meet the condition yet: app.status.objects.total > 1")
	w.repo.Write(map[string]string{"db/more.yaml": configMap("db-more", "1")})
	w.push(web, "more of the db")
	w.ready(web, "")
	w.has(ns, "web", "1")
}

// TestDependsHandover: what moves to an App from one that it depends on is handed
// over: neither waits for the other.
func TestDependsHandover(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	w.repo.Write(map[string]string{"db/c.yaml": configMap("db", "1"), "db/move.yaml": configMap("move", "1"), "web/c.yaml": configMap("web", "1")})
	commit := w.repo.Commit("1")
	w.run()
	db, web := w.app("db", "db", ns), w.app("web", "web", ns, after("db"))
	w.ready(db, commit)
	w.ready(web, commit)
	was := w.find(ns, "move")
	w.repo.Remove("db/move.yaml")
	w.repo.Write(map[string]string{"web/move.yaml": configMap("move", "2")})
	w.push(web, "it moves")
	w.owner(ns, "move", web, was)
	w.ready(web, "")
	w.ready(db, "")
}

// TestDependsDelete: Apps that are deleted together go in reverse; one that is
// deleted below another that stays goes.
func TestDependsDelete(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	w.repo.Write(map[string]string{"db/c.yaml": configMap("db", "1"), "web/c.yaml": configMap("web", "1"), "queue/c.yaml": configMap("queue", "1"), "job/c.yaml": configMap("job", "1")})
	commit := w.repo.Commit("1")
	w.run()
	db, web := w.app("db", "db", ns), w.app("web", "web", ns, after("db"))
	queue, job := w.app("queue", "queue", ns), w.app("job", "job", ns, after("queue"))
	for _, app := range []*v1alpha1.App{db, web, queue, job} {
		w.ready(app, commit)
	}
	w.patch(cmNamed(ns, "web"), "holder", `{"metadata":{"finalizers":["example.com/hold"]}}`)
	w.delete(web)
	w.delete(db)
	w.says(db, "WaitingForDependents", "App "+w.own+"/web, which depends on it")
	if cm := w.find(ns, "db"); cm == nil || cm.DeletionTimestamp != nil {
		t.Error("what is depended on went first")
	}
	w.patch(cmNamed(ns, "web"), "holder", `{"metadata":{"finalizers":null}}`)
	w.gone(&v1alpha1.App{}, w.own, "web")
	w.gone(&v1alpha1.App{}, w.own, "db")
	if w.find(ns, "web") != nil || w.find(ns, "db") != nil {
		t.Error("something is left behind")
	}

	w.delete(queue)
	w.gone(&v1alpha1.App{}, w.own, "queue")
	eventually(t, "it is said that an App stays", func() error {
		var l eventsv1.EventList
		must(t, w.client.List(t.Context(), &l, client.InNamespace(w.own)))
		for i := range l.Items {
			if l.Items[i].Reason == "StillDependedOn" && strings.Contains(l.Items[i].Note, w.own+"/job") {
				return nil
			}
		}
		return fmt.Errorf("there are %d events", len(l.Items))
	})
	w.state(job, v1alpha1.StateInSync)
	w.repo.Write(map[string]string{"job/c.yaml": configMap("job", "2")})
	w.push(job, "2")
	w.says(job, "WaitingForDependency", "queue, which does not exist")
	w.has(ns, "job", "1")
}
