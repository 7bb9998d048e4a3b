package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/sandboxtest"
)

// TestFaultAPIServerRestarts: the API server ends and comes back, with all that
// it held. What was committed meanwhile is applied, once, and what was there is
// the same as before.
func TestFaultAPIServerRestarts(t *testing.T) {
	dir := t.TempDir()
	w := newWorldIn(t, sandboxtest.Start(t, sandboxtest.Dir(dir)))
	w.private = true
	ns := w.sandbox.Namespace(t)
	m := model{"a": {"a-0": "1", "a-1": "1"}, "b": {"b-0": "1", "b-1": "1"}}
	w.write(m)
	commit := w.repo.Commit("1")
	w.run()
	for name := range m {
		w.app(name, name, ns)
	}
	w.judged(commit)
	before := w.converged(m, ns, nil, commit)

	w.sandbox.Stop()
	m["a"] = map[string]string{"a-0": "2", "a-1": "1", "a-2": "2"}
	delete(m["b"], "b-1")
	w.write(m)
	commit = w.repo.Commit("2")
	w.logged("watch fails", "ConfigMap")
	since := now()
	w.sandbox = sandboxtest.Start(t, sandboxtest.Dir(dir))
	w.nudge()
	w.converged(m, ns, before, commit)
	w.oncePer(since, ns, map[string]int{"a-0": 1, "a-2": 1, "b-1": 1})
}

// oncePer checks how often each ConfigMap of a namespace was written to, dry
// runs aside.
func (w *world) oncePer(since time.Time, namespace string, want map[string]int) {
	w.t.Helper()
	got := map[string]int{}
	for _, e := range w.requests(since) {
		if e.Resource == "configmaps" && e.Namespace == namespace && e.Verb != "get" && e.Verb != "list" &&
			!strings.Contains(e.URI, "dryRun=") && e.Code < 300 {
			got[e.Name]++
		}
	}
	for name, n := range want {
		if got[name] != n {
			w.t.Errorf("%s was written to %d times, want %d", name, got[name], n)
		}
		delete(got, name)
	}
	for name, n := range got {
		w.t.Errorf("%s was written to %d times, and there was no need", name, n)
	}
}

// TestFaultAPIServerUnreachable: abide loses the API server in the middle of a
// sync, with an answer on its way. Others still reach it, and change and delete.
// Afterwards all is as Git says, and nothing was done twice.
func TestFaultAPIServerUnreachable(t *testing.T) {
	w := newWorld(t)
	f := &faults{}
	w.kubeconfig = w.behind(f.wrap)
	ns := w.sandbox.Namespace(t)
	w.repo.Write(map[string]string{"app/c.yaml": configMaps("config", 6, "1"), "other/c.yaml": configMaps("other", 2, "1")})
	commit := w.repo.Commit("1")
	w.run()
	app, other := w.app("app", "app", ns), w.app("other", "other", ns)
	w.ready(app, commit)
	w.ready(other, commit)
	before := w.uids(ns)
	h := w.follow(ns)

	lost := make(chan struct{})
	f.begin(loseAnswer(w, f, 3, lost))
	w.repo.Write(map[string]string{"app/c.yaml": configMaps("config", 7, "2")})
	commit = w.push(app, "2")
	<-lost
	w.patch(cmNamed(ns, "other-0"), "meddler", `{"data":{"value":"drifted"}}`)
	w.delete(cmNamed(ns, "other-1"))
	f.storm(t, 10, 0)
	f.end()
	w.ready(app, commit)
	w.ready(other, "")
	want := map[string]string{"other-0": "MODIFIED drifted, MODIFIED 1", "other-1": "DELETED 1, ADDED 1", "config-6": "ADDED 2"}
	for i := range 6 {
		want[fmt.Sprintf("config-%d", i)] = "MODIFIED 2"
	}
	delete(before, "other-1")
	h.was(t, want)
	for name, uid := range before {
		if now := w.find(ns, name); now == nil || now.UID != uid {
			t.Errorf("%s was deleted, and perhaps created again", name)
		}
	}
}

// loseAnswer lets requests through until the n-th apply of a ConfigMap: that one
// is carried out, its answer does not arrive, and from then on nothing does.
func loseAnswer(w *world, f *faults, n int, lost chan<- struct{}) func(http.ResponseWriter, *http.Request) bool {
	var mu sync.Mutex
	seen := 0
	server := w.server()
	return func(rw http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		if apiPhase(r) == phaseApply {
			seen++
		}
		nth, over := seen == n && apiPhase(r) == phaseApply, seen >= n
		mu.Unlock()
		switch {
		case nth:
			server.ServeHTTP(httptest.NewRecorder(), r)
			close(lost)
			go f.cut()
		case !over:
			return false
		}
		return refuse(rw, r)
	}
}

// TestFaultStorm: the API server refuses for a while what it is asked, in each of
// the ways that it has. Nothing is lost or done twice, and it is not stormed in
// return.
func TestFaultStorm(t *testing.T) {
	w := newWorld(t)
	f := &faults{}
	w.kubeconfig = w.behind(f.wrap)
	ns := w.sandbox.Namespace(t)
	apps := make([]*v1alpha1.App, 4)
	write := func(value string) {
		files := map[string]string{}
		for i := range apps {
			files[fmt.Sprintf("app-%d/c.yaml", i)] = configMaps(fmt.Sprintf("config-%d", i), 5, value)
		}
		w.repo.Write(files)
	}
	write("0")
	commit := w.repo.Commit("0")
	w.run()
	for i := range apps {
		name := fmt.Sprintf("app-%d", i)
		apps[i] = w.app(name, name, ns)
	}
	for _, app := range apps {
		w.ready(app, commit)
	}
	w.judged(commit)
	uids := w.uids(ns)
	h := w.follow(ns)
	for i, kind := range storms() {
		value := fmt.Sprint(i + 1)
		h.reset()
		f.begin(kind.answer)
		if kind.cut {
			f.cut()
		}
		write(value)
		commit := w.push(apps[0], value)
		f.storm(t, 10, 2*time.Second)
		if n := f.end(); n > kind.most {
			t.Errorf("%s: abide sent %d requests into it in about 2 seconds, want at most %d", kind.name, n, kind.most)
		}
		want := map[string]string{}
		for name := range uids {
			want[name] = "MODIFIED " + value
		}
		for _, app := range apps {
			w.ready(app, commit)
		}
		w.judged(commit)
		h.was(t, want)
	}
	for name, uid := range w.uids(ns) {
		if uids[name] != uid {
			t.Errorf("%s was deleted and created again", name)
		}
	}
}

// storm is a way in which an API server refuses.
type storm struct {
	name   string
	cut    bool // what is under way ends as well
	most   int  // requests that are not too many
	answer func(http.ResponseWriter, *http.Request) bool
}

func storms() []storm {
	all := func(code int, reason, retryAfter string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			status(w, code, reason, retryAfter)
			return true
		}
	}
	var mu sync.Mutex
	rnd := rand.New(rand.NewPCG(1, 1))
	return []storm{
		{"503", true, 250, all(http.StatusServiceUnavailable, "ServiceUnavailable", "")},
		{"500", false, 250, all(http.StatusInternalServerError, "InternalError", "")},
		{"429 with Retry-After", false, 250, all(http.StatusTooManyRequests, "TooManyRequests", "1")},
		{"each second one 503", false, 250, func(w http.ResponseWriter, _ *http.Request) bool {
			mu.Lock()
			defer mu.Unlock()
			if rnd.IntN(2) == 0 {
				return false
			}
			status(w, http.StatusServiceUnavailable, "ServiceUnavailable", "")
			return true
		}},
	}
}

// TestFaultWatches: watches break off, and can't go on where they were, which the
// server says in two ways. No drift is missed, and nothing is written that
// need not be.
func TestFaultWatches(t *testing.T) {
	w := newWorld(t)
	f := &faults{}
	w.kubeconfig = w.behind(f.wrap)
	ns := w.sandbox.Namespace(t)
	w.repo.Write(map[string]string{"app/c.yaml": configMaps("config", 6, "1")})
	commit := w.repo.Commit("1")
	w.run()
	app := w.ready(w.app("app", "app", ns), commit)
	w.judged(commit)
	h := w.follow(ns)
	uids := w.uids(ns)

	var expired sync.Map
	for _, fault := range []struct {
		name   string
		answer func(http.ResponseWriter, *http.Request) bool
	}{
		{"breaks off", nil},
		{"expired, as an event", func(rw http.ResponseWriter, r *http.Request) bool {
			if !isWatch(r) || r.URL.Query().Get("sendInitialEvents") == "true" || r.URL.Query().Get("resourceVersion") == "" {
				return false
			}
			if n, _ := expired.LoadOrStore(r.URL.Path, 1); n == 2 {
				return false
			}
			expired.Store(r.URL.Path, 2)
			rw.Header().Set("Content-Type", "application/json")
			fmt.Fprint(rw, `{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","status":"Failure","message":"too old resource version: 1 (2)","reason":"Expired","code":410}}`+"\n")
			return true
		}},
		{"expired, as an answer", func(rw http.ResponseWriter, r *http.Request) bool {
			if !isWatch(r) || r.URL.Query().Get("sendInitialEvents") == "true" || r.URL.Query().Get("resourceVersion") == "" {
				return false
			}
			if n, _ := expired.LoadOrStore(r.URL.Path+"x", 1); n == 2 {
				return false
			}
			expired.Store(r.URL.Path+"x", 2)
			status(rw, http.StatusGone, "Expired", "")
			return true
		}},
	} {
		h.reset()
		f.begin(func(rw http.ResponseWriter, r *http.Request) bool { return isWatch(r) && refuse(rw, r) })
		since := now()
		f.cut()
		w.patch(cmNamed(ns, "config-0"), "meddler", `{"data":{"value":"drifted"}}`)
		w.delete(cmNamed(ns, "config-1"))
		f.begin(fault.answer)
		w.has(ns, "config-0", "1")
		w.has(ns, "config-1", "1")
		w.ready(app, commit)
		h.was(t, map[string]string{"config-0": "MODIFIED drifted, MODIFIED 1", "config-1": "DELETED 1, ADDED 1"})
		w.oncePer(since, ns, map[string]int{"config-0": 1, "config-1": 1})
		if n := f.end(); n == 0 && fault.answer != nil {
			t.Errorf("%s: no watch was told so", fault.name)
		}
	}
	delete(uids, "config-1")
	for name, uid := range uids {
		if now := w.find(ns, name); now.UID != uid {
			t.Errorf("%s was deleted and created again", name)
		}
	}
}
