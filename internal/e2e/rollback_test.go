package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"abide.dev/abide/api/v1alpha1"
)

// pin holds an App at a release, as abide rollback does.
func (w *world) pin(app *v1alpha1.App, release int64) *v1alpha1.Pin {
	w.t.Helper()
	p := &v1alpha1.Pin{
		ObjectMeta: metav1.ObjectMeta{Namespace: app.Namespace, Name: app.Name},
		Spec:       v1alpha1.PinSpec{Release: release, Skips: w.get(app).Status.DesiredHash, By: "tester", Reason: "the shop is empty"},
	}
	must(w.t, w.client.Create(w.t.Context(), p))
	return p
}

// TestPin: an App is put back to a release from what is kept of it, with automatic
// sync on and Git down, stays there while Git says what is skipped, also after a
// restart, and goes on with the first commit that says something else.
func TestPin(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	var down atomic.Bool
	w.git = func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if down.Load() {
				http.Error(rw, "down", http.StatusServiceUnavailable)
				return
			}
			next.ServeHTTP(rw, r)
		})
	}
	w.repo.Write(map[string]string{"app/a.yaml": configMap("a", "1")})
	first := w.repo.Commit("one")
	w.run()
	app := w.ready(w.app("app", "app", ns), first)
	w.outcome(app, 1, v1alpha1.OutcomeSucceeded)
	w.repo.Write(map[string]string{"app/a.yaml": configMap("a", "2"), "app/b.yaml": configMap("b", "2")})
	w.ready(app, w.push(app, "two"))

	down.Store(true)
	w.pin(app, 1)
	w.has(ns, "a", "1")
	w.gone(cmNamed(ns, "b"), ns, "b")
	app = w.state(app, v1alpha1.StatePinned)
	w.says(app, "Pinned", "held at release 1 by tester: the shop is empty", "abide unpin app")
	rel := w.outcome(app, 3, v1alpha1.OutcomeSucceeded)
	if rel.Trigger != v1alpha1.TriggerRollback || rel.RollbackTo != 1 || rel.By != "tester" || rel.Source.Commit != first {
		t.Errorf("the record of the rollback: %+v", rel)
	}

	w.abide.kill()
	w.patch(cmNamed(ns, "a"), "somebody", `{"data":{"value":"by hand"}}`)
	w.run() // with Git down
	w.has(ns, "a", "1")
	down.Store(false)
	w.repo.Write(map[string]string{"other/x.yaml": configMap("x", "1")})
	w.judged(w.push(app, "something else")) // says the same of the App
	w.has(ns, "a", "1")
	w.state(app, v1alpha1.StatePinned)

	w.repo.Write(map[string]string{"app/a.yaml": configMap("a", "3")})
	w.ready(app, w.push(app, "mended"))
	w.has(ns, "a", "3")
	w.has(ns, "b", "2")
	w.gone(&v1alpha1.Pin{}, app.Namespace, app.Name)
	if p := w.get(app).Status.Pinned; p != nil {
		t.Errorf("the status still says %+v", p)
	}
}

// does runs a command about an App as a user would, and wants it to end well.
func (w *world) does(app *v1alpha1.App, args ...string) string {
	w.t.Helper()
	said, err := w.command(append(args, "-n", app.Namespace)...)
	if err != nil {
		w.t.Fatalf("abide %v: %v: %s", args, err, said)
	}
	return said
}

// TestRollbackCommands: what a person does at night and in the morning. The App is
// back although Git is down; then Git is put back to the same release, which ends
// the hold without a change; and what abide has rolled back by itself is tried again
// when he says so.
func TestRollbackCommands(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	for name, value := range map[string]string{
		"HOME": t.TempDir(), "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_TERMINAL_PROMPT": "0",
		"GIT_AUTHOR_NAME": "Ada", "GIT_AUTHOR_EMAIL": "ada@example.org", "GIT_COMMITTER_NAME": "Ada", "GIT_COMMITTER_EMAIL": "ada@example.org",
	} {
		t.Setenv(name, value)
	}
	var down atomic.Bool
	w.git = func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if down.Load() {
				http.Error(rw, "down", http.StatusServiceUnavailable)
				return
			}
			next.ServeHTTP(rw, r)
		})
	}
	w.repo.Write(map[string]string{"app/a.yaml": configMap("a", "0")})
	w.repo.Commit("zero")
	w.run()
	app := w.app("app", "app", ns)
	w.outcome(app, 1, v1alpha1.OutcomeSucceeded)
	for n, value := range []string{"good", "bad"} {
		w.repo.Write(map[string]string{"app/a.yaml": configMap("a", value)})
		w.ready(app, w.push(app, value))
		w.outcome(app, int64(n+2), v1alpha1.OutcomeSucceeded)
	}

	down.Store(true)
	w.does(app, "rollback", app.Name, "--reason", "the shop is empty", "--wait", "--timeout", "60s")
	w.has(ns, "a", "good")
	if p := w.get(app).Status.Pinned; p == nil || p.To != 2 || p.By != controllerUser {
		t.Errorf("it is held at %+v", p)
	}
	down.Store(false)
	said := w.does(app, "rollback", app.Name, "--git", "--reason", "the shop is empty")
	if !strings.Contains(said, "app is as it was at release 2 of App app") {
		t.Errorf("it says %q", said)
	}
	w.refresh(app)
	w.ready(app, w.repo.Head("main"))
	w.gone(&v1alpha1.Pin{}, app.Namespace, app.Name)
	w.has(ns, "a", "good")

	w.patchSpec(app, `{"sync":{"onFailure":"Rollback","timeout":"8s"}}`)
	w.repo.Write(map[string]string{"app/a.yaml": configMap("a", "worse"), "app/web.yaml": unplaced("web", false)})
	w.push(app, "worse")
	w.says(app, "Pinned", "by abide itself")
	w.has(ns, "a", "good")
	before := len(w.releases(app))
	w.does(app, "unpin", app.Name)
	eventually(t, "what was skipped is tried again", func() error {
		for _, r := range w.releases(app)[before:] {
			if r.RollbackTo == 0 {
				return nil
			}
		}
		return fmt.Errorf("the releases are %+v", w.releases(app)[before:])
	})
}

// TestUnpin: whoever removes a Pin has the App go on with what Git says.
func TestUnpin(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	w.repo.Write(map[string]string{"app/a.yaml": configMap("a", "1")})
	w.repo.Commit("one")
	w.run()
	app := w.app("app", "app", ns)
	w.outcome(app, 1, v1alpha1.OutcomeSucceeded)
	w.repo.Write(map[string]string{"app/a.yaml": configMap("a", "2")})
	two := w.push(app, "two")
	w.ready(app, two)
	p := w.pin(app, 1)
	w.has(ns, "a", "1")
	w.delete(p)
	w.has(ns, "a", "2")
	w.ready(app, two)

	bad := w.pin(app, 17)
	w.says(app, "PinFailed", "release 17", "abide unpin app")
	w.has(ns, "a", "2")
	w.delete(bad)
	w.ready(app, two)
}

// TestRollsBack: a release that is not healthy by its deadline is taken back by
// itself, its commit is skipped until Git says something else or a person asks, and
// the App says so.
func TestRollsBack(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	w.repo.Write(map[string]string{"app/web.yaml": deployment("web"), "app/a.yaml": configMap("a", "1")})
	w.repo.Commit("one")
	w.run()
	app := w.app("app", "app", ns, func(a *v1alpha1.App) {
		a.Spec.Sync.OnFailure = v1alpha1.OnFailureRollback
		a.Spec.Sync.Timeout = "20s"
	})
	w.outcome(app, 1, v1alpha1.OutcomeSucceeded)
	w.patchSpec(app, `{"sync":{"timeout":"8s"}}`)
	w.repo.Write(map[string]string{"app/web.yaml": unplaced("web", false), "app/a.yaml": configMap("a", "2"), "app/new.yaml": configMap("new", "2")})
	w.push(app, "bad")
	w.outcome(app, 2, v1alpha1.OutcomeRolledBack)
	w.patchSpec(app, `{"sync":{"timeout":"60s"}}`)
	w.says(app, "Pinned", "held at release 1 by abide itself: release 2 failed", "was not through within 8s", "web")
	w.has(ns, "a", "1")
	w.gone(cmNamed(ns, "new"), ns, "new")
	w.outcome(app, 3, v1alpha1.OutcomeSucceeded)
	var d appsv1.Deployment
	if !w.exists(&d, ns, "web") || len(d.Spec.Template.Spec.NodeSelector) > 0 {
		t.Errorf("the Deployment is not as it was: %+v", d.Spec.Template.Spec)
	}
	if s := w.get(app).Status; s.Pinned == nil || s.Pinned.To != 1 || s.Pinned.Skips != s.DesiredHash {
		t.Errorf("it is pinned: %+v", s.Pinned)
	}
	w.abide.kill()
	w.run()
	w.state(app, v1alpha1.StatePinned)
	w.repo.Write(map[string]string{"app/web.yaml": deployment("web")})
	w.ready(app, w.push(app, "mended"))
	w.has(ns, "a", "2")
	if p := w.get(app).Status.Pinned; p != nil {
		t.Errorf("the status still says %+v", p)
	}
}

func (w *world) patchSpec(app *v1alpha1.App, spec string) {
	w.t.Helper()
	w.patch(w.get(app), "tester", fmt.Sprintf(`{"spec":%s}`, spec))
}

// TestImmutable: a change of a field that can't be changed is an error, unless
// somebody asks for the object to be replaced; one that holds storage never is.
func TestImmutable(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	annotate := func(manifest string) string {
		return strings.Replace(manifest, "metadata: {name: web}", "metadata: {name: web, annotations: {"+v1alpha1.AnnotationOnImmutable+": replace}}", 1)
	}
	before := deployment("web")
	after := strings.ReplaceAll(before, "app: web", "app: web2")
	w.repo.Write(map[string]string{"app/1.yaml": before})
	w.repo.Commit("one")
	w.run()
	app := w.app("app", "app", ns)
	w.ready(app, "")
	var was, is appsv1.Deployment
	w.exists(&was, ns, "web")
	w.repo.Write(map[string]string{"app/1.yaml": after})
	w.push(app, "another selector")
	w.says(app, "ApplyFailed", "immutable", "on-immutable")
	w.repo.Write(map[string]string{"app/1.yaml": annotate(after)})
	if annotate(after) == after {
		t.Fatalf("no place for an annotation in %s", after)
	}
	w.ready(app, w.push(app, "replace it"))
	if w.exists(&is, ns, "web"); is.UID == was.UID || is.Spec.Selector.MatchLabels["app"] != "web2" {
		t.Errorf("it was not replaced: %+v", is.Spec.Selector)
	}
}
