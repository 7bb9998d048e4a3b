package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/object"
)

// The phases of a run, as its requests show them from outside.
const (
	phaseFetch     = "fetch"
	phaseRender    = "render" // between the last byte from Git and the first request
	phaseDryRun    = "dry run"
	phaseInventory = "inventory write"
	phaseApply     = "between two applies"
	phasePrune     = "prune"
	phaseStatus    = "status"
	phaseRef       = "record of the ref"
)

// moment is when to kill: at the n-th request of a phase, before the server
// sees it or after it was carried out and before the answer arrives.
type moment struct {
	phase string
	n     int
	after bool
}

func (m moment) String() string {
	when := "before"
	if m.after {
		when = "after"
	}
	return fmt.Sprintf("%s, %s request %d", m.phase, when, m.n)
}

// moments are 50 kills spread over every phase.
func moments() []moment {
	var out []moment
	for _, p := range []struct {
		phase string
		most  int
	}{{phaseFetch, 2}, {phaseRender, 2}, {phaseDryRun, 4}, {phaseInventory, 5}, {phaseApply, 5}, {phasePrune, 3}, {phaseStatus, 3}, {phaseRef, 1}} {
		for n := range p.most {
			out = append(out, moment{p.phase, n + 1, false}, moment{p.phase, n + 1, true})
		}
	}
	return out
}

// killer stands between the controller and its servers, and kills it.
type killer struct {
	mu     sync.Mutex
	armed  bool
	at     moment
	seen   int
	kill   func()
	struck chan struct{}
}

// arm has the controller killed at a moment; the channel is closed when that
// has happened.
func (k *killer) arm(at moment, kill func()) <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.armed, k.at, k.seen, k.kill = true, at, 0, kill
	k.struck = make(chan struct{})
	return k.struck
}

func (k *killer) disarm() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.armed = false
}

// due tells whether this request of a phase is the moment.
func (k *killer) due(phase string, after bool) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.armed || k.at.phase != phase || k.at.after != after {
		return false
	}
	if k.seen++; k.seen < k.at.n {
		return false
	}
	k.armed = false
	return true
}

func (k *killer) strike() {
	k.kill()
	close(k.struck)
}

// wrap puts the killer before a server.
func (k *killer) wrap(phase func(*http.Request) string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := phase(r)
		if p == "" {
			next.ServeHTTP(w, r)
			return
		}
		if k.due(p, false) {
			k.strike()
			panic(http.ErrAbortHandler)
		}
		if !k.waits(p) {
			next.ServeHTTP(w, r)
			return
		}
		// Carried out in full, though nobody is there to hear the answer.
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r.WithContext(context.WithoutCancel(r.Context())))
		if k.due(p, true) {
			k.strike()
			panic(http.ErrAbortHandler)
		}
		maps.Copy(w.Header(), rec.Header())
		w.WriteHeader(rec.Code)
		w.Write(rec.Body.Bytes())
	})
}

// waits tells whether a kill after a request of this phase may be due.
func (k *killer) waits(phase string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.armed && k.at.phase == phase && k.at.after
}

// gitPhase is the phase of a request to the Git server. A fetch is over, and
// the render begins, with the answer to git-upload-pack that carries a pack.
func gitPhase(r *http.Request) string {
	if strings.HasSuffix(r.URL.Path, "/git-upload-pack") && r.Method == http.MethodPost {
		return phaseFetch
	}
	return ""
}

// apiPhase is the phase of a request to the API server.
func apiPhase(r *http.Request) string {
	q := r.URL.Query()
	mine := strings.Contains(r.URL.Path, "/apis/"+v1alpha1.Group+"/")
	switch {
	case r.Method == http.MethodGet:
		return ""
	case mine && strings.Contains(r.URL.Path, "/inventories"):
		return phaseInventory
	case mine && strings.Contains(r.URL.Path, "/gitrefs"):
		return phaseRef
	case mine && strings.HasSuffix(r.URL.Path, "/status"):
		return phaseStatus
	case mine || !strings.Contains(r.URL.Path, "/configmaps/"):
		return ""
	case r.Method == http.MethodDelete:
		return phasePrune
	case q.Get("dryRun") != "":
		return phaseDryRun
	case r.Method == http.MethodPatch:
		return phaseApply
	}
	return ""
}

// through puts the killer between the controller and the API server, and
// returns a kubeconfig that leads through it.
func (w *world) through(k *killer) string {
	return w.behind(func(next http.Handler) http.Handler { return k.wrap(apiPhase, next) })
}

// behind puts a handler between the controller and the API server, and returns a
// kubeconfig that leads through it.
func (w *world) behind(wrap func(next http.Handler) http.Handler) string {
	server := httptest.NewUnstartedServer(wrap(w.server()))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // aborted requests are what this is for
	server.Start()
	w.t.Cleanup(server.CloseClientConnections)
	path := filepath.Join(w.t.TempDir(), "kubeconfig")
	b, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": "x",
		"clusters": []any{map[string]any{"name": "x", "cluster": map[string]any{"server": server.URL}}},
		"contexts": []any{map[string]any{"name": "x", "context": map[string]any{"cluster": "x", "user": "x"}}},
		"users":    []any{map[string]any{"name": "x", "user": map[string]any{}}},
	})
	must(w.t, err)
	must(w.t, os.WriteFile(path, b, 0o600))
	return path
}

// server is the API server as the controller's user sees it.
func (w *world) server() http.Handler {
	transport, err := rest.TransportFor(w.sandbox.User(w.t, controllerUser, "system:masters"))
	must(w.t, err)
	target, err := url.Parse(w.sandbox.Config().Host)
	must(w.t, err)
	return &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:     transport,
		FlushInterval: -1,
		ErrorHandler:  func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
}

// model is what Git says: for each App, its ConfigMaps and their values.
type model map[string]map[string]string

// TestKill kills the controller at 50 moments spread over every phase of syncs
// with adds, changes, deletes and moves between Apps. After a restart the
// cluster is exactly what Git says, each time: nothing missing, nothing left
// over, nothing deleted and created again, and what drifted meanwhile healed.
func TestKill(t *testing.T) {
	if testing.Short() {
		t.Skip("starts the controller 50 times")
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))

	w := newWorld(t)
	k := &killer{}
	w.kubeconfig = w.through(k)
	w.git = func(next http.Handler) http.Handler {
		return k.wrap(gitPhase, renderKill(k, rnd, next))
	}
	ns := w.sandbox.Namespace(t)
	m := model{"a": {}, "b": {}, "c": {}}
	next := 0
	for range 12 {
		m.add(rnd, &next)
	}
	w.write(m)
	commit := w.repo.Commit("the beginning")
	w.run()
	for name := range m {
		w.app(name, name, ns)
	}
	uids := w.converged(m, ns, nil, commit)

	struck := map[string]int{}
	round := 0
	for _, at := range moments() {
		for tries := 0; ; tries++ {
			if tries == 10 {
				t.Fatalf("round %d: nothing came of %s in %d tries", round, at, tries)
			}
			round++
			m.change(rnd, &next)
			w.write(m)
			commit = w.repo.Commit(fmt.Sprintf("round %d", round))
			hit := k.arm(at, w.abide.kill)
			w.nudge()
			killed := w.orConverged(hit, m, ns)
			k.disarm()
			if killed {
				drifted := w.drift(rnd, m, ns, uids)
				t.Logf("round %d: killed at %s; drifted meanwhile: %v", round, at, drifted)
				struck[at.phase]++
				w.run()
			}
			uids = w.converged(m, ns, uids, commit)
			if killed {
				break
			}
		}
	}
	total := 0
	for _, n := range struck {
		total += n
	}
	if total < 50 {
		t.Errorf("killed %d times (%v), and not 50", total, struck)
	}
	t.Logf("%d kills: %v", total, struck)
}

// renderKill kills a moment after Git has answered in full: while what it sent
// is unpacked, read and rendered.
func renderKill(k *killer, rnd *rand.Rand, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r)
		if gitPhase(r) == "" || !k.due(phaseRender, false) && !k.due(phaseRender, true) {
			return
		}
		time.AfterFunc(time.Duration(rnd.IntN(20))*time.Millisecond, k.strike)
	})
}

func (m model) apps() []string { return slices.Sorted(maps.Keys(m)) }

func (m model) add(rnd *rand.Rand, next *int) {
	*next++
	app := m.apps()[rnd.IntN(len(m))]
	m[app][fmt.Sprintf("config-%d", *next)] = fmt.Sprint(rnd.IntN(1000))
}

// pick takes one ConfigMap at random.
func (m model) pick(rnd *rand.Rand) (app, name string) {
	apps := slices.DeleteFunc(m.apps(), func(a string) bool { return len(m[a]) == 0 })
	app = apps[rnd.IntN(len(apps))]
	names := slices.Sorted(maps.Keys(m[app]))
	return app, names[rnd.IntN(len(names))]
}

// change makes a commit's worth of changes, of every kind.
func (m model) change(rnd *rand.Rand, next *int) {
	for range 3 {
		m.add(rnd, next)
	}
	for range 2 {
		app, name := m.pick(rnd)
		m[app][name] = fmt.Sprint(rnd.IntN(1000))
	}
	for range 3 {
		from, name := m.pick(rnd)
		if len(m[from]) > 1 { // an App of nothing would be an error
			delete(m[from], name)
		}
	}
	for range 2 {
		from, name := m.pick(rnd)
		to := m.apps()[rnd.IntN(len(m))]
		if v := m[from][name]; len(m[from]) > 1 {
			delete(m[from], name)
			m[to][name] = v
		}
	}
	for app := range m {
		if len(m[app]) == 0 {
			*next++
			m[app][fmt.Sprintf("config-%d", *next)] = "0"
		}
	}
}

// write makes the files of the next commit.
func (w *world) write(m model) {
	files := map[string]string{}
	for app, values := range m {
		var all bytes.Buffer
		for _, name := range slices.Sorted(maps.Keys(values)) {
			fmt.Fprintf(&all, "---\n%s", configMap(name, values[name]))
		}
		files[app+"/config.yaml"] = all.String()
	}
	w.repo.Write(files)
}

// nudge has the controller look at Git now.
func (w *world) nudge() {
	w.t.Helper()
	var apps v1alpha1.AppList
	must(w.t, w.client.List(w.t.Context(), &apps, client.InNamespace(w.own)))
	w.refresh(&apps.Items[0])
}

// orConverged waits for the kill, or until all is done without one.
func (w *world) orConverged(hit <-chan struct{}, m model, ns string) (killed bool) {
	w.t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	calm := 0
	for {
		select {
		case <-hit:
			return true
		case <-tick.C:
			if w.check(m, ns, nil, "") != nil {
				calm = 0
			} else if calm++; calm == 20 { // the records come last
				return false
			}
		case <-deadline:
			w.t.Fatalf("neither killed nor converged: %v", w.check(m, ns, nil, ""))
		}
	}
}

// drift changes and deletes behind the back of a controller that is dead. What
// it deletes loses its uid.
func (w *world) drift(rnd *rand.Rand, m model, ns string, uids map[string]types.UID) (what []string) {
	w.t.Helper()
	for _, remove := range []bool{false, true} {
		if rnd.IntN(2) == 0 {
			continue
		}
		_, name := m.pick(rnd)
		cm := &corev1.ConfigMap{}
		cm.Namespace, cm.Name = ns, name
		if remove {
			if w.client.Delete(w.t.Context(), cm) == nil {
				delete(uids, name)
				what = append(what, name+" deleted")
			}
			continue
		}
		patch := client.RawPatch(types.MergePatchType, []byte(`{"data":{"value":"drifted"}}`))
		if w.client.Patch(w.t.Context(), cm, patch) == nil {
			what = append(what, name+" changed")
		}
	}
	return what
}

// converged waits until the cluster is what Git says, and returns the uids.
func (w *world) converged(m model, ns string, uids map[string]types.UID, commit string) map[string]types.UID {
	w.t.Helper()
	eventually(w.t, "the cluster is what Git says", func() error { return w.check(m, ns, uids, commit) })
	now := map[string]types.UID{}
	for _, cm := range w.configMaps(ns) {
		now[cm.Name] = cm.UID
	}
	return now
}

func (w *world) configMaps(ns string) []corev1.ConfigMap {
	w.t.Helper()
	var l corev1.ConfigMapList
	must(w.t, w.client.List(w.t.Context(), &l, client.InNamespace(ns), client.HasLabels{v1alpha1.LabelApp}))
	return l.Items
}

// check compares the cluster and abide's records with what Git says. Objects
// in uids must still be the same objects.
func (w *world) check(m model, ns string, uids map[string]types.UID, commit string) error {
	want := map[string]string{} // name -> App and value
	for app, values := range m {
		for name, v := range values {
			want[name] = app + " " + v
		}
	}
	got := map[string]string{}
	for _, cm := range w.configMaps(ns) {
		owner, _ := object.ParseApp(cm.Annotations[v1alpha1.AnnotationOwner])
		got[cm.Name] = owner.Name + " " + cm.Data["value"]
		if uid, known := uids[cm.Name]; known && uid != cm.UID && want[cm.Name] != "" {
			return fmt.Errorf("%s was deleted and created again", cm.Name)
		}
	}
	if !maps.Equal(want, got) {
		return fmt.Errorf("in the cluster %v, in Git %v", got, want)
	}
	var inventories v1alpha1.InventoryList
	if err := w.client.List(w.t.Context(), &inventories, client.InNamespace(w.own)); err != nil {
		return err
	}
	owned := map[string]string{}
	for _, inv := range inventories.Items {
		for _, e := range inv.Entries {
			if other, twice := owned[e.Name]; twice {
				return fmt.Errorf("%s is in the inventories of %s and %s", e.Name, other, inv.App)
			}
			owned[e.Name] = inv.App
		}
	}
	for name, v := range want {
		if app, _, _ := strings.Cut(v, " "); owned[name] != app {
			return fmt.Errorf("%s is in the inventory of %q, and not of %q", name, owned[name], app)
		}
	}
	if len(owned) != len(want) {
		return fmt.Errorf("the inventories have %d objects, and Git has %d", len(owned), len(want))
	}
	return w.checkApps(commit)
}

func (w *world) checkApps(commit string) error {
	if commit == "" {
		return nil
	}
	var apps v1alpha1.AppList
	if err := w.client.List(w.t.Context(), &apps, client.InNamespace(w.own)); err != nil {
		return err
	}
	for i := range apps.Items {
		if s := apps.Items[i].Status; s.State != v1alpha1.StateInSync || s.Health != v1alpha1.HealthHealthy {
			return fmt.Errorf("App %s is %s and %s: %+v", apps.Items[i].Name, s.State, s.Health, s.Conditions)
		}
	}
	var refs v1alpha1.GitRefList
	if err := w.client.List(w.t.Context(), &refs, client.InNamespace(w.own)); err != nil {
		return err
	}
	if len(refs.Items) != 1 || refs.Items[0].Judged != commit {
		return fmt.Errorf("the record of the ref is %+v, and not at %s", refs.Items, commit)
	}
	return nil
}
