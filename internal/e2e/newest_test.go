package e2e

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"abide.dev/abide/api/v1alpha1"
)

// TestNewestWinsOverARender: a render that never ends is over when the folder
// changes, long before its time is up.
func TestNewestWinsOverARender(t *testing.T) {
	w := newWorld(t)
	trap := newTrap(t)
	ns := w.sandbox.Namespace(t)
	w.repo.Write(map[string]string{"app/a.yaml": configMap("a", "1")})
	first := w.repo.Commit("one")
	w.run()
	app := w.ready(w.app("app", "app", ns), first)
	for name, text := range never.files {
		w.repo.Write(map[string]string{"app/" + name: text})
	}
	w.push(app, "never")
	eventually(t, "a worker is busy with what never ends", func() error { return trap.busy(w.abide) })
	w.repo.Remove("app/Chart.yaml", "app/templates")
	w.repo.Write(map[string]string{"app/a.yaml": configMap("a", "2")})
	w.ready(app, w.push(app, "mended"))
	w.has(ns, "a", "2")
	var events eventsv1.EventList
	must(t, w.client.List(t.Context(), &events, client.InNamespace(w.own)))
	for i := range events.Items {
		if events.Items[i].Reason == "DeadlineExceeded" {
			t.Errorf("it went on until its time was up: %s", events.Items[i].Note)
		}
	}
}

// TestNewestWinsOverANamespace: a namespace that never finishes terminating holds
// up nothing that goes elsewhere.
func TestNewestWinsOverANamespace(t *testing.T) {
	w := newWorld(t)
	ns, going := w.sandbox.Namespace(t), w.own+"-going"
	must(t, w.client.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: going}}))
	held := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: going, Name: "held", Finalizers: []string{"example.org/never"}}}
	must(t, w.client.Create(t.Context(), held))
	defer w.patch(held, "tester", `{"metadata":{"finalizers":null}}`)
	w.delete(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: going}})
	in := func(namespace, value string) map[string]string {
		return map[string]string{"app/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: " + namespace + "}\ndata: {value: \"" + value + "\"}\n"}
	}
	w.repo.Write(in(going, "1"))
	w.repo.Commit("one")
	w.run()
	app := w.app("app", "app", ns)
	w.says(app, "ApplyFailed", going, "terminated")
	w.repo.Write(in(ns, "2"))
	w.ready(app, w.push(app, "elsewhere"))
	w.has(ns, "a", "2")
	w.outcome(app, 1, v1alpha1.OutcomeSuperseded)
}

// TestNewestWinsOverAFinalizer: an object that leaves Git and that a finalizer
// holds is named, and holds up no newer commit.
func TestNewestWinsOverAFinalizer(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	w.repo.Write(map[string]string{"app/a.yaml": configMap("a", "1"), "app/b.yaml": configMap("b", "1"), "app/c.yaml": configMap("c", "1")})
	first := w.repo.Commit("one")
	w.run()
	app := w.ready(w.app("app", "app", ns), first)
	w.patch(cmNamed(ns, "b"), "somebody", `{"metadata":{"finalizers":["example.org/never"]}}`)
	w.repo.Remove("app/b.yaml")
	w.push(app, "without b")
	w.says(app, "Pruning", "ConfigMap "+ns+"/b is gone")
	w.repo.Write(map[string]string{"app/a.yaml": configMap("a", "2")})
	w.push(app, "another a")
	w.has(ns, "a", "2")
	w.says(app, "Pruning", "ConfigMap "+ns+"/b is gone")
	w.patch(cmNamed(ns, "b"), "somebody", `{"metadata":{"finalizers":null}}`)
	w.ready(app, "")
	w.outcome(app, 2, v1alpha1.OutcomeSuperseded)
	w.outcome(app, 3, v1alpha1.OutcomeSucceeded)
}
