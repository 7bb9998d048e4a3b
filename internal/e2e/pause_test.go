package e2e

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"abide.dev/abide/api/v1alpha1"
)

// TestPause: of a paused App nothing is applied, pruned or healed; it says who
// paused it and why; and it catches up when it is resumed.
func TestPause(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	w.repo.Write(map[string]string{"app/c.yaml": configMaps("config", 3, "1")})
	first := w.repo.Commit("1")
	w.run()
	app := w.ready(w.app("app", "app", ns), first)
	pause := w.pause(app, "an incident")
	w.state(app, v1alpha1.StatePaused)
	w.says(app, "Paused", "tester", "an incident", "abide resume app")
	since := now()
	w.patch(cmNamed(ns, "config-0"), "meddler", `{"data":{"value":"drifted"}}`)
	w.repo.Write(map[string]string{"app/c.yaml": configMaps("config", 2, "2")})
	commit := w.push(app, "2")
	w.judged(commit)
	w.says(app, "Paused", "3 objects would change")
	w.abide.kill()
	w.run() // a pause outlives the controller
	w.repo.Write(map[string]string{"README": "hello"})
	w.judged(w.push(app, "nothing"))
	if toObjects, _ := split(w.writes(since)); len(toObjects) != 0 {
		t.Errorf("the App is paused, and abide sent %q", toObjects)
	}
	w.delete(pause)
	w.ready(app, commit)
	w.has(ns, "config-0", "2")
	w.gone(&corev1.ConfigMap{}, ns, "config-2")
}
