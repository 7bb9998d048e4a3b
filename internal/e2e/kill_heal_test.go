package e2e

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"abide.dev/abide/api/v1alpha1"
)

// TestKillWithHealOff: a controller that dies between writing down a change and
// making it makes it when it is back, also for an App that heals nothing: what
// Git says anew is no drift.
func TestKillWithHealOff(t *testing.T) {
	w := newWorld(t)
	k := &killer{}
	w.kubeconfig = w.through(k)
	ns := w.sandbox.Namespace(t)
	w.repo.Write(map[string]string{"app/c.yaml": configMaps("config", 3, "1")})
	commit := w.repo.Commit("1")
	w.run()
	app := w.ready(w.app("app", "app", ns, func(a *v1alpha1.App) { a.Spec.Sync.Heal = new(bool) }), commit)
	for i, at := range []moment{{phaseInventory, 1, true}, {phaseApply, 1, false}, {phaseApply, 2, true}} {
		w.repo.Write(map[string]string{"app/c.yaml": configMaps("config", 3, string(rune('2'+i)))})
		hit := k.arm(at, w.abide.kill)
		commit = w.push(app, "next")
		<-hit
		w.run()
		w.ready(app, commit)
		for _, name := range []string{"config-0", "config-1", "config-2"} {
			w.has(ns, name, string(rune('2'+i)))
		}
	}
}

// TestKillAfterHeal: an object that was gone is created anew, and the controller
// dies before it knows the new one's uid. It is the App's all the same, and goes
// when Git no longer has it.
func TestKillAfterHeal(t *testing.T) {
	w := newWorld(t)
	k := &killer{}
	w.kubeconfig = w.through(k)
	ns := w.sandbox.Namespace(t)
	w.repo.Write(map[string]string{"app/c.yaml": configMaps("config", 2, "1")})
	commit := w.repo.Commit("1")
	w.run()
	app := w.ready(w.app("app", "app", ns), commit)
	hit := k.arm(moment{phaseApply, 1, true}, w.abide.kill)
	w.delete(cmNamed(ns, "config-1"))
	<-hit
	if w.find(ns, "config-1") == nil {
		t.Fatal("it was not created anew before the controller died")
	}
	w.repo.Write(map[string]string{"app/c.yaml": configMaps("config", 1, "1")})
	commit = w.repo.Commit("2")
	w.run()
	w.ready(app, commit)
	w.gone(&corev1.ConfigMap{}, ns, "config-1")
}
