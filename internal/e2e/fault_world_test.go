package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// faults stands between the controller and a server, and makes of the server what
// a test wants it to be.
type faults struct {
	mu     sync.Mutex
	answer func(http.ResponseWriter, *http.Request) bool
	wrong  int
	last   int
	writes []string
	leases int // requests about them
	open   map[int]context.CancelFunc
}

// wrap puts the faults before a server.
func (f *faults) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cut := context.WithCancel(r.Context())
		defer cut()
		f.mu.Lock()
		if f.open == nil {
			f.open = map[int]context.CancelFunc{}
		}
		f.last++
		n, answer := f.last, f.answer
		f.open[n] = cut
		switch {
		case strings.Contains(r.URL.Path, "/leases"):
			f.leases++
		case r.Method != http.MethodGet:
			f.writes = append(f.writes, r.Method+" "+r.URL.Path)
		}
		f.mu.Unlock()
		defer func() {
			f.mu.Lock()
			delete(f.open, n)
			f.mu.Unlock()
		}()
		r = r.WithContext(ctx)
		if answer == nil || !f.strikes(answer, w, r) {
			next.ServeHTTP(w, r)
		}
	})
}

// strikes has a request answered wrongly, and counts it.
func (f *faults) strikes(answer func(http.ResponseWriter, *http.Request) bool, w http.ResponseWriter, r *http.Request) (struck bool) {
	aborted := true
	defer func() {
		if struck || aborted {
			f.mu.Lock()
			f.wrong++
			f.mu.Unlock()
		}
	}()
	struck = answer(w, r)
	aborted = false
	return struck
}

// begin has requests answered by answer, as far as it returns true, from now on.
// What is under way goes on.
func (f *faults) begin(answer func(http.ResponseWriter, *http.Request) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer, f.wrong = answer, 0
}

// end has all be well again, and returns how many requests went wrong.
func (f *faults) end() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = nil
	return f.wrong
}

// count is how many requests have gone wrong.
func (f *faults) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.wrong
}

// sent are the requests so far, refused ones among them, that can change
// something, but for those about leases.
func (f *faults) sent() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.writes)
}

// cut breaks off what is under way, watches among it.
func (f *faults) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, cut := range f.open {
		cut()
	}
}

// refuse is how a server that is not there looks.
func refuse(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }

func isWatch(r *http.Request) bool {
	v := r.URL.Query().Get("watch")
	return v == "true" || v == "1"
}

// status answers as an API server does that refuses.
func status(w http.ResponseWriter, code int, reason, retryAfter string) {
	w.Header().Set("Content-Type", "application/json")
	if retryAfter != "" {
		w.Header().Set("Retry-After", retryAfter)
	}
	w.WriteHeader(code)
	fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"a fault of the test","reason":%q,"code":%d}`, reason, code)
}

// history are the states that the ConfigMaps of a namespace have gone through,
// by resourceVersion: a write that changes nothing makes none.
type history struct {
	mu      sync.Mutex
	changes map[string][]string // by name: uid and value
	err     error
}

// follow notes from now on what becomes of the ConfigMaps of a namespace.
func (w *world) follow(namespace string) *history {
	w.t.Helper()
	c, err := client.NewWithWatch(w.sandbox.Config(), client.Options{Scheme: w.client.Scheme()})
	must(w.t, err)
	var list corev1.ConfigMapList
	must(w.t, c.List(w.t.Context(), &list, client.InNamespace(namespace)))
	watch, err := c.Watch(w.t.Context(), &corev1.ConfigMapList{}, client.InNamespace(namespace),
		&client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: list.ResourceVersion}})
	must(w.t, err)
	w.t.Cleanup(watch.Stop)
	h := &history{changes: map[string][]string{}}
	go func() {
		seen := map[string]bool{}
		for e := range watch.ResultChan() {
			cm, ok := e.Object.(*corev1.ConfigMap)
			h.mu.Lock()
			if !ok {
				h.err = fmt.Errorf("the test's own watch says %+v", e)
			} else if v := string(cm.UID) + cm.ResourceVersion; !seen[v] {
				seen[v] = true
				h.changes[cm.Name] = append(h.changes[cm.Name], fmt.Sprintf("%s %s", e.Type, cm.Data["value"]))
			}
			h.mu.Unlock()
		}
	}()
	return h
}

// of is what has become of a ConfigMap since the last call of reset.
func (h *history) of(t *testing.T, name string) string {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	must(t, h.err)
	return strings.Join(h.changes[name], ", ")
}

func (h *history) reset() {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.changes)
}

// was checks what has become of ConfigMaps, and that of no other anything has.
func (h *history) was(t *testing.T, want map[string]string) {
	t.Helper()
	for name, what := range want {
		eventually(t, "the test has seen what became of "+name, func() error {
			if got := h.of(t, name); got != what {
				return fmt.Errorf("it was %q, want %q", got, what)
			}
			return nil
		})
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, got := range h.changes {
		if want[name] == "" && name != "kube-root-ca.crt" {
			t.Errorf("%s was %q, and nobody had changed it", name, got)
		}
	}
}

// uids are those of the ConfigMaps of a namespace.
func (w *world) uids(namespace string) map[string]types.UID {
	w.t.Helper()
	out := map[string]types.UID{}
	for _, cm := range w.configMaps(namespace) {
		out[cm.Name] = cm.UID
	}
	return out
}

// logged waits until the controller has logged a line with all of the words.
func (w *world) logged(words ...string) {
	w.t.Helper()
	eventually(w.t, "the log has a line with "+strings.Join(words, ", "), func() error {
		if len(w.lines(words...)) == 0 {
			return fmt.Errorf("it has not")
		}
		return nil
	})
}

// lines are the lines of the log with all of the words.
func (w *world) lines(words ...string) (out []string) {
	w.t.Helper()
	b, err := os.ReadFile(w.log)
	must(w.t, err)
next:
	for line := range strings.Lines(string(b)) {
		for _, word := range words {
			if !strings.Contains(line, word) {
				continue next
			}
		}
		out = append(out, line)
	}
	return out
}

// storm waits until a fault has struck a number of requests, and has lasted.
func (f *faults) storm(t *testing.T, requests int, least time.Duration) {
	t.Helper()
	<-time.After(least)
	eventually(t, "the fault has struck", func() error {
		if n := f.count(); n < requests {
			return fmt.Errorf("it struck %d requests of %d", n, requests)
		}
		return nil
	})
}
