package e2e

import (
	"fmt"
	"strings"
	"testing"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/sandboxtest"
)

// TestCostOfACommit: a commit costs requests for what it changes, and a few for
// the records of the Apps it changes; the other Apps get none.
func TestCostOfACommit(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	const many = 20
	files := map[string]string{}
	for i := range many {
		files[fmt.Sprintf("app-%d/config.yaml", i)] = configMaps(fmt.Sprintf("config-%d", i), 3, "1")
	}
	w.repo.Write(files)
	first := w.repo.Commit("twenty Apps")
	// Looks at Git are asked for through a Repository: it costs no App a request.
	repository := w.repository("repo", w.url, nil)
	w.run()
	apps := make([]*v1alpha1.App, many)
	for i := range apps {
		apps[i] = w.app(fmt.Sprintf("app-%d", i), fmt.Sprintf("app-%d", i), ns)
	}
	for _, app := range apps {
		w.ready(app, first)
	}
	w.judged(first)

	since := now()
	w.repo.Write(map[string]string{"app-3/config.yaml": configMap("config-3-0", "2") + "---\n" + configMap("config-3-1", "2") + "---\n" + configMap("config-3-2", "1")})
	commit := w.repo.Commit("two objects of one App")
	w.refreshRepository(repository)
	w.ready(apps[3], commit)
	w.judged(commit)
	toObjects, records := split(w.writes(since))
	if len(toObjects) > 4 || len(about(toObjects, "config-3-0")) > 2 {
		t.Errorf("two objects changed, and abide sent %q", toObjects)
	}
	records = without(records, "repositories")
	if len(records) > 6 {
		t.Errorf("for its records, abide sent %q", records)
	}
	for _, s := range append(toObjects, about(records, " apps")...) {
		if !strings.Contains(s, "app-3") && !strings.Contains(s, "config-3-") {
			t.Errorf("the commit does not touch it: %s", s)
		}
	}

	since = now()
	w.repo.Write(map[string]string{"README": "hello"})
	commit = w.repo.Commit("nothing of any App")
	w.refreshRepository(repository)
	w.judged(commit)
	w.repo.Write(map[string]string{"README": "hello again"})
	last := w.repo.Commit("nothing again")
	w.refreshRepository(repository)
	w.judged(last)
	if got := without(w.writes(since), "repositories"); len(got) != 2 || len(about(got, "gitrefs")) != 2 {
		t.Errorf("for two commits that touch nothing, abide sent %q", got)
	}
	for i, app := range apps {
		if now := w.get(app).Status.Source.Commit; i != 3 && now != first {
			t.Errorf("App %s says it is at %s", app.Name, now)
		}
	}
}

// without are the strings that have not the word in them.
func without(list []string, word string) []string {
	var out []string
	for _, s := range list {
		if !strings.Contains(s, word) {
			out = append(out, s)
		}
	}
	return out
}

// TestRestart: a controller that starts and finds nothing changed lists each kind
// once and writes nothing; what changed meanwhile, in Git and in the cluster, it
// finds.
func TestRestart(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	w.repo.Write(map[string]string{
		"a/config.yaml": configMaps("a", 3, "1") + "---\n" + deployment("web"), "b/config.yaml": configMaps("b", 3, "1"),
	})
	commit := w.repo.Commit("two Apps")
	w.run()
	a, b := w.app("a", "a", ns), w.app("b", "b", ns)
	w.ready(a, commit)
	w.ready(b, commit)
	w.judged(commit)
	w.abide.stop()

	// A commit that touches nothing shows when everything has been looked at.
	w.repo.Write(map[string]string{"README": "hello"})
	commit = w.repo.Commit("nothing of any App")
	since := now()
	w.run()
	w.judged(commit)
	if got := w.writes(since); len(got) != 1 || len(about(got, "gitrefs")) != 1 {
		t.Errorf("after a restart with nothing changed, abide sent %q", got)
	}
	lists := map[string]int{}
	for _, e := range w.sandbox.Requests(t, controllerUser) {
		first := strings.Contains(e.URI, "sendInitialEvents=true") && e.Stage == sandboxtest.StageStarted
		if e.Received.After(since) && (e.Verb == "list" && e.Stage == sandboxtest.StageComplete || first) {
			lists[e.Resource]++
		}
	}
	if lists["configmaps"] != 1 || lists["deployments"] != 1 {
		t.Errorf("the lists are %v", lists)
	}
	for kind, n := range lists {
		if n > 1 {
			t.Errorf("%s were listed %d times", kind, n)
		}
	}

	w.abide.kill()
	w.patch(cmNamed(ns, "a-0"), "meddler", `{"data":{"value":"drifted"}}`)
	w.delete(cmNamed(ns, "a-1"))
	w.repo.Write(map[string]string{"b/config.yaml": configMaps("b", 2, "2")})
	commit = w.repo.Commit("b changes")
	w.run()
	w.ready(b, commit)
	w.has(ns, "a-0", "1")
	w.has(ns, "a-1", "1")
	w.has(ns, "b-1", "2")
	if w.find(ns, "b-2") != nil {
		t.Error("what left Git while the controller was dead is still there")
	}
}
