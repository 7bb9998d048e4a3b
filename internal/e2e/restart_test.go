package e2e

import (
	"encoding/json"
	"testing"

	"abide.dev/abide/api/v1alpha1"
)

// TestRestartInEveryState: a restart finds each App as it was, whatever that is,
// and so writes nothing; nor is anything healed, applied or deleted by it.
func TestRestartInEveryState(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	w.repo.Write(map[string]string{
		"waiting/c.yaml": configMaps("waiting", 10, "1"), "kept/c.yaml": configMaps("kept", 2, "1"),
		"first/c.yaml": configMap("both", "1"), "second/c.yaml": configMap("second", "1"),
		"refused/c.yaml": configMap("refused", "1"), "paused/c.yaml": configMap("paused", "1"),
		"broken/c.yaml": configMap("broken", "1"), "drifted/c.yaml": configMap("drifted", "1"),
	})
	commit := w.repo.Commit("1")
	w.run()
	apps := map[string]*v1alpha1.App{}
	for _, name := range []string{"waiting", "kept", "first", "second", "refused", "paused", "broken", "drifted"} {
		apps[name] = w.app(name, name, ns, func(a *v1alpha1.App) {
			off := false
			switch name {
			case "kept":
				a.Spec.Sync.Prune = &off
			case "drifted":
				a.Spec.Sync.Heal = &off
			}
		})
	}
	for _, app := range apps {
		w.ready(app, commit)
	}
	w.pause(apps["paused"], "a reason")
	w.state(apps["paused"], v1alpha1.StatePaused)
	w.patch(cmNamed(ns, "drifted"), "meddler", `{"data":{"value":"drifted"}}`)
	w.repo.Write(map[string]string{
		"waiting/c.yaml": configMaps("waiting", 2, "1"), "kept/c.yaml": configMaps("kept", 1, "1"),
		"second/c.yaml":  configMap("both", "2"),
		"refused/c.yaml": configMap("refused", "1") + "---\n" + configMap("Not_A_Name", "1"),
		"paused/c.yaml":  configMap("paused", "2"),
	})
	w.judged(w.push(apps["first"], "2"))
	w.says(apps["second"], "OwnedByAnotherApp")
	w.says(apps["refused"], "ApplyFailed", "Not_A_Name")
	w.says(apps["kept"], "Drifted", "spec.sync.prune is off")
	w.says(apps["drifted"], "Drifted", "spec.sync.heal is off")
	w.says(apps["paused"], "Paused", "1 object would change")
	w.waits(apps["waiting"], "DeletionBudget")
	// Last, since an App that can't be read keeps the others from pruning.
	w.repo.Write(map[string]string{"broken/c.yaml": "a: b: c\n"})
	w.judged(w.push(apps["first"], "3"))
	w.says(apps["broken"], "InvalidYAML")
	w.says(apps["waiting"], "WaitingForHandover", "App "+w.own+"/broken fails")
	w.abide.stop()
	before := map[string]string{}
	for name, app := range apps {
		before[name] = w.status(app)
	}

	w.repo.Write(map[string]string{"README": "hello"})
	commit = w.repo.Commit("nothing of any App")
	since := now()
	w.run()
	w.judged(commit)
	for name, app := range apps {
		if after := w.status(app); after != before[name] {
			t.Errorf("App %s was\n%s\nand is\n%s", name, before[name], after)
		}
	}
	writes := without(w.writes(since), "gitrefs")
	// What the server refused is tried again: with a dry run.
	if got := without(without(writes, "dry run"), "events"); len(got) != 0 {
		t.Errorf("after a restart with nothing changed, abide sent %q", got)
	}
}

// status is the status of an App, as text.
func (w *world) status(app *v1alpha1.App) string {
	w.t.Helper()
	b, err := json.MarshalIndent(w.get(app).Status, "", " ")
	must(w.t, err)
	return string(b)
}
