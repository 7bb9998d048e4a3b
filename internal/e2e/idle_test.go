package e2e

import (
	"fmt"
	"testing"
	"time"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/sandboxtest"
)

// TestIdle: a controller with 100 Apps and nothing to do sends no request but
// its watches, for a minute.
func TestIdle(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute and more")
	}
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	files := map[string]string{}
	for i := range 100 {
		files[fmt.Sprintf("app-%d/config.yaml", i)] = configMap(fmt.Sprintf("config-%d", i), "1")
	}
	w.repo.Write(files)
	commit := w.repo.Commit("100 Apps")
	w.run()
	apps := make([]*v1alpha1.App, 100)
	for i := range apps {
		apps[i] = w.app(fmt.Sprintf("app-%d", i), fmt.Sprintf("app-%d", i), ns)
	}
	for _, app := range apps {
		w.ready(app, commit)
	}
	began := w.quiet()
	end := time.After(time.Minute)
	<-end
	for _, e := range w.requests(began) {
		t.Errorf("a request while idle: %s %s %s %s/%s", e.Stage, e.Verb, e.Resource, e.Namespace, e.Name)
	}
}

// quiet waits until the controller has sent nothing for a few seconds, and
// returns the time.
func (w *world) quiet() time.Time {
	w.t.Helper()
	const stretch = 5 * time.Second
	for {
		began := time.Now()
		<-time.After(stretch)
		if len(w.requests(began)) == 0 {
			return time.Now()
		}
	}
}

// requests are those of the controller since a time, watches aside.
func (w *world) requests(since time.Time) []sandboxtest.AuditEvent {
	w.t.Helper()
	var out []sandboxtest.AuditEvent
	for _, e := range w.sandbox.Requests(w.t, controllerUser) {
		if e.Verb != "watch" && e.Stage == sandboxtest.StageComplete && e.Received.After(since) {
			out = append(out, e)
		}
	}
	return out
}
