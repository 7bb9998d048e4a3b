package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"abide.dev/abide/api/v1alpha1"
)

// stuck holds up the first apply of one ConfigMap until it is let go.
type stuck struct {
	name    string
	armed   atomic.Bool
	arrived chan struct{}
	release chan struct{}
}

func newStuck(name string) *stuck {
	s := &stuck{name: name, arrived: make(chan struct{}), release: make(chan struct{})}
	s.armed.Store(true)
	return s
}

func (s *stuck) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mine := r.Method == http.MethodPatch && strings.HasSuffix(r.URL.Path, "/configmaps/"+s.name) && r.URL.Query().Get("dryRun") == ""
		if mine && s.armed.CompareAndSwap(true, false) {
			close(s.arrived)
			select {
			case <-s.release:
			case <-r.Context().Done():
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// TestNewestWins: a commit that arrives while a sync is under way ends that sync
// at the next stage: what only the older commit asks for is not applied any more.
func TestNewestWins(t *testing.T) {
	w := newWorld(t)
	hold := newStuck("config-0")
	w.kubeconfig = w.behind(hold.wrap)
	ns := w.sandbox.Namespace(t)
	service := func(name string) string {
		return "apiVersion: v1\nkind: Service\nmetadata: {name: " + name + "}\nspec: {ports: [{port: 80}]}\n"
	}
	w.repo.Write(map[string]string{"app/1.yaml": configMaps("config", 40, "1"), "app/2.yaml": service("older"), "other/1.yaml": configMap("other", "1")})
	w.repo.Commit("1")
	since := now()
	w.run()
	app, other := w.app("app", "app", ns), w.app("other", "other", ns)
	<-hold.arrived
	w.says(app, "Applying", "applying 41 objects")
	w.repo.Write(map[string]string{"app/1.yaml": configMaps("config", 40, "2"), "app/2.yaml": service("newer"), "other/1.yaml": configMap("other", "2")})
	commit := w.push(other, "2")
	w.ready(other, commit) // the controller has the newer commit
	close(hold.release)
	w.ready(app, commit)
	for i := range 40 {
		if cm := w.find(ns, fmt.Sprintf("config-%d", i)); cm.Data["value"] != "2" {
			t.Errorf("config-%d has %s", i, cm.Data["value"])
		}
	}
	if got := about(w.writes(since), "older"); len(got) != 0 {
		t.Errorf("a newer commit was there, and abide sent %q", got)
	}
}

// TestTermination: told to stop in the middle of a sync, the controller ends in
// seconds, knows all that it has created, and goes on when it is started again.
func TestTermination(t *testing.T) {
	w := newWorld(t)
	hold := newStuck("config-0")
	w.kubeconfig = w.behind(hold.wrap)
	ns := w.sandbox.Namespace(t)
	const many = 200
	w.repo.Write(map[string]string{"app/1.yaml": configMaps("config", many, "1"), "app/2.yaml": deployment("web")})
	commit := w.repo.Commit("many")
	w.run()
	app := w.app("app", "app", ns)
	<-hold.arrived
	w.abide.cmd.Process.Signal(syscall.SIGTERM)
	w.abide.ended(t, 15*time.Second)

	known := map[string]bool{}
	var l v1alpha1.InventoryList
	must(t, w.client.List(t.Context(), &l))
	for _, inv := range l.Items {
		for _, e := range inv.Entries {
			known[e.Name] = true
		}
	}
	for _, cm := range w.configMaps(ns) {
		if !known[cm.Name] {
			t.Errorf("%s was created and is in no inventory", cm.Name)
		}
	}
	w.run()
	w.ready(app, commit)
	if n := len(w.configMaps(ns)); n != many {
		t.Errorf("there are %d of %d", n, many)
	}
}

// TestOneAtATime: a second controller on the same cache directory is told so in
// one line, and does nothing.
func TestOneAtATime(t *testing.T) {
	w := newWorld(t)
	w.run()
	eventually(t, "the first one runs", func() error {
		_, err := os.Stat(filepath.Join(w.cache, "lock"))
		return err
	})
	log := filepath.Join(t.TempDir(), "second.log")
	second := start(t, log, "controller", "--kubeconfig", w.kubeconfig, "--cache-dir", w.cache, "--namespace", w.own)
	second.ended(t, patience)
	if code := second.cmd.ProcessState.ExitCode(); code != 1 {
		t.Errorf("it ended with %d", code)
	}
	said, err := os.ReadFile(log)
	must(t, err)
	if s := strings.TrimSpace(string(said)); strings.Contains(s, "\n") || !strings.Contains(s, "another abide controller uses the cache directory "+w.cache) || !strings.Contains(s, "--cache-dir") {
		t.Errorf("it said %q", s)
	}
}
