package e2e

import (
	"testing"

	"abide.dev/abide/api/v1alpha1"
)

// TestHealOffAfterRestart: an object that was created while heal was on, and
// removed by somebody once it is off, stays away, also when the controller starts
// anew: what it is known by was written down when that began to matter.
func TestHealOffAfterRestart(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	w.repo.Write(map[string]string{"app/c.yaml": configMaps("config", 2, "1")})
	commit := w.repo.Commit("1")
	w.run()
	app := w.ready(w.app("app", "app", ns), commit)
	w.patch(app, "somebody", `{"spec":{"sync":{"heal":false}}}`)
	w.ready(app, commit)
	w.delete(cmNamed(ns, "config-1"))
	w.state(app, v1alpha1.StateDrifted)
	w.abide.kill()
	w.run()
	w.refresh(app)
	w.state(app, v1alpha1.StateDrifted)
	if w.find(ns, "config-1") != nil {
		t.Error("it was created anew, and heal is off")
	}
}
