package e2e

import (
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"abide.dev/abide/api/v1alpha1"
)

// replica is one of several controllers, with faults of its own between it and
// the API server.
type replica struct {
	*process
	faults *faults
	log    string
}

// replica starts a controller that takes turns with others.
func (w *world) replica(name string) *replica {
	w.t.Helper()
	r := &replica{faults: &faults{}, log: filepath.Join(w.t.TempDir(), name+".log")}
	logOnFailure(w.t, r.log)
	r.process = start(w.t, r.log, append([]string{
		"controller", "--kubeconfig", w.behind(r.faults.wrap), "--cache-dir", filepath.Join(w.t.TempDir(), name),
		"--namespace", w.own, "--leader-elect",
	}, w.flags...)...)
	w.t.Cleanup(r.kill)
	return r
}

// standsBy waits until a replica has asked for the lease, and so waits for it.
func (w *world) standsBy(r *replica) {
	w.t.Helper()
	eventually(w.t, "the replica asks for the lease", func() error {
		r.faults.mu.Lock()
		defer r.faults.mu.Unlock()
		if r.faults.leases == 0 {
			return errors.New("it has not")
		}
		return nil
	})
}

// TestFaultLeader: one of two controllers works. When it is told to stop, is
// killed in the middle of a sync, or loses its lease, the other takes over what
// it left, and nothing is done twice.
func TestFaultLeader(t *testing.T) {
	if testing.Short() {
		t.Skip("waits twice for a lease to run out")
	}
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	w.repo.Write(map[string]string{"app/c.yaml": configMaps("config", 6, "1")})
	commit := w.repo.Commit("1")
	first := w.replica("first")
	app := w.ready(w.app("app", "app", ns), commit)
	w.judged(commit)
	second := w.replica("second")
	w.standsBy(second)
	h := w.follow(ns)

	// A commit is the leader's work, and the other sends nothing.
	w.commit(app, h, "2", func() {})
	if got := second.faults.sent(); len(got) != 0 {
		t.Errorf("the one that stands by sent %q", got)
	}

	// It is told to stop: the lease is given back.
	w.commit(app, h, "3", first.stop)

	// It is killed in the middle of a sync.
	third := w.replica("third")
	w.standsBy(third)
	struck := make(chan struct{})
	second.faults.begin(atApply(3, func() {
		second.kill()
		close(struck)
	}))
	w.commit(app, h, "4", func() { <-struck })

	// It can't renew its lease, though all else works: it ends before another
	// one begins.
	fourth := w.replica("fourth")
	w.standsBy(fourth)
	third.faults.begin(func(rw http.ResponseWriter, r *http.Request) bool {
		return strings.Contains(r.URL.Path, "/leases/") && refuse(rw, r)
	})
	third.ended(t, patience)
	if got := fourth.faults.sent(); len(got) != 0 {
		t.Errorf("the one that stood by sent %q while another had the lease", got)
	}
	w.commit(app, h, "5", func() {})
	if len(fourth.faults.sent()) == 0 {
		t.Error("the commit was applied, and not by the one that is left")
	}
}

// commit pushes another value of the six ConfigMaps, does something, and checks
// that each of them was changed once.
func (w *world) commit(app *v1alpha1.App, h *history, value string, meanwhile func()) {
	w.t.Helper()
	h.reset()
	w.repo.Write(map[string]string{"app/c.yaml": configMaps("config", 6, value)})
	commit := w.push(app, value)
	meanwhile()
	w.ready(app, commit)
	w.judged(commit)
	want := map[string]string{}
	for name := range w.uids(app.Spec.Target.Namespace) {
		want[name] = "MODIFIED " + value
	}
	h.was(w.t, want)
}

// atApply does something before the n-th apply of a ConfigMap, which is then
// lost.
func atApply(n int, do func()) func(http.ResponseWriter, *http.Request) bool {
	var mu sync.Mutex
	seen := 0
	return func(rw http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if apiPhase(r) != phaseApply {
			return false
		}
		if seen++; seen < n {
			return false
		}
		if seen == n {
			do()
		}
		return refuse(rw, r)
	}
}
