package apply

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"abide.dev/abide/internal/cluster"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/plan"
)

var (
	web        = object.App{Namespace: "shop", Name: "web"}
	configMaps = cluster.Kind{GroupVersionKind: schema.GroupVersionKind{Version: "v1", Kind: "ConfigMap"}, Resource: "configmaps", Namespaced: true}
)

// server is as much of an API server as these tests need: objects by name, and
// a record of what was asked for.
type server struct {
	mu      sync.Mutex
	objects map[string]*unstructured.Unstructured
	asked   []string
	refuse  map[string]int // by name
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := r.URL.Path[strings.LastIndexByte(r.URL.Path, '/')+1:]
	what := r.Method + " " + name
	if t := r.Header.Get("Content-Type"); strings.Contains(t, "json-patch+json") {
		what += " managedFields"
	}
	if r.URL.Query().Get("dryRun") != "" {
		what += " dry"
	}
	s.asked = append(s.asked, what)
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Content-Type", "application/json")
	fail := func(code int, reason string) {
		w.WriteHeader(code)
		fmt.Fprintf(w, `{"apiVersion":"v1","kind":"Status","status":"Failure","message":%q,"reason":%q,"code":%d}`, reason, reason, code)
	}
	if code := s.refuse[name]; code != 0 {
		fail(code, map[int]string{403: "Forbidden", 409: "Conflict", 413: "RequestEntityTooLarge"}[code])
		return
	}
	live := s.objects[name]
	switch {
	case live == nil && r.Method == http.MethodPatch && !strings.Contains(what, "managedFields"):
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write(body)
	case live == nil:
		fail(404, "NotFound")
	case r.Method == http.MethodDelete:
		var o struct{ Preconditions struct{ UID string } }
		if json.Unmarshal(body, &o) != nil || o.Preconditions.UID != string(live.GetUID()) {
			fail(409, "Conflict")
			return
		}
		if len(live.GetFinalizers()) > 0 {
			held := live.DeepCopy()
			_ = unstructured.SetNestedField(held.Object, "2026-01-01T00:00:00Z", "metadata", "deletionTimestamp")
			_ = json.NewEncoder(w).Encode(held.Object)
			return
		}
		_, _ = io.WriteString(w, `{"apiVersion":"v1","kind":"Status","status":"Success"}`)
	default:
		_ = json.NewEncoder(w).Encode(live.Object)
	}
}

func start(t *testing.T, objects ...*unstructured.Unstructured) (*server, *cluster.Client) {
	t.Helper()
	s := &server{objects: map[string]*unstructured.Unstructured{}, refuse: map[string]int{}}
	for _, u := range objects {
		s.objects[u.GetName()] = u
	}
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	c, err := cluster.New(&rest.Config{Host: h.URL})
	if err != nil {
		t.Fatal(err)
	}
	cl, err := c.AsController()
	if err != nil {
		t.Fatal(err)
	}
	return s, cl
}

func conf(name string, edit ...func(*unstructured.Unstructured)) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{"name": name, "namespace": "shop", "uid": "uid-" + name, "resourceVersion": "7"},
	}}
	object.Mark(u, web)
	for _, f := range edit {
		f(u)
	}
	return u
}

func item(name string, a plan.Action) Item {
	return Item{Kind: configMaps, Object: conf(name), Action: a, Hash: "h"}
}

func TestApply(t *testing.T) {
	tool := func(u *unstructured.Unstructured) {
		_ = unstructured.SetNestedSlice(u.Object, []any{map[string]any{"manager": "helm", "operation": "Update", "apiVersion": "v1",
			"fieldsV1": map[string]any{"f:data": map[string]any{}}}}, "metadata", "managedFields")
	}
	replace := func(it Item) Item { it.Rules.Replace = true; return it }
	tests := map[string]struct {
		live    []*unstructured.Unstructured
		item    Item
		dry     bool
		asked   []string
		existed bool
	}{
		"new":                   {nil, item("c", plan.Create), false, []string{"PATCH c"}, false},
		"there":                 {[]*unstructured.Unstructured{conf("c")}, item("c", plan.Update), false, []string{"PATCH c"}, true},
		"a dry run":             {[]*unstructured.Unstructured{conf("c")}, item("c", plan.Update), true, []string{"PATCH c dry"}, true},
		"adopted":               {[]*unstructured.Unstructured{conf("c", tool)}, item("c", plan.Adopt), false, []string{"GET c", "PATCH c managedFields", "PATCH c"}, true},
		"taken from a tool":     {[]*unstructured.Unstructured{conf("c", tool)}, item("c", plan.Convert), false, []string{"GET c", "PATCH c managedFields", "PATCH c"}, true},
		"adopted, as a dry run": {[]*unstructured.Unstructured{conf("c", tool)}, item("c", plan.Adopt), true, []string{"PATCH c dry"}, true},
		"adopted from nobody":   {[]*unstructured.Unstructured{conf("c")}, item("c", plan.Adopt), false, []string{"GET c", "PATCH c"}, true},
		"adopted, and gone":     {nil, item("c", plan.Adopt), false, []string{"GET c", "PATCH c"}, false},
		"replaced":              {[]*unstructured.Unstructured{conf("c")}, replace(item("c", plan.Update)), false, []string{"GET c", "PUT c", "PATCH c"}, true},
		"replaced, dry":         {[]*unstructured.Unstructured{conf("c")}, replace(item("c", plan.Update)), true, []string{"GET c", "PUT c dry", "PATCH c dry"}, true},
		"replaced, and new":     {nil, replace(item("c", plan.Create)), false, []string{"GET c", "PATCH c"}, false},
	}
	for name, tc := range tests {
		s, c := start(t, tc.live...)
		run := New(4).Apply
		if tc.dry {
			run = New(4).DryRun
		}
		before := tc.item.Object.DeepCopy()
		res := run(t.Context(), c, []Item{tc.item})[0]
		if res.Err != nil || res.Existed != tc.existed || res.Live == nil || res.Hash != "h" || res.Action != tc.item.Action {
			t.Errorf("%s: %+v", name, res)
		}
		if diff := cmp.Diff(tc.asked, s.asked); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if diff := cmp.Diff(before.Object, tc.item.Object.Object); diff != "" {
			t.Errorf("%s: the item is changed: %s", name, diff)
		}
	}
}

func TestOneErrorHidesNoOther(t *testing.T) {
	s, c := start(t)
	s.refuse["b"], s.refuse["d"] = 403, 409
	res := New(2).Apply(t.Context(), c, []Item{item("a", plan.Create), item("b", plan.Create), item("c", plan.Create), item("d", plan.Create)})
	for i, want := range []func(error) bool{nil, apierrors.IsForbidden, nil, apierrors.IsConflict} {
		if name := res[i].Object.GetName(); name != string(rune('a'+i)) {
			t.Errorf("result %d is of %s: not with its item", i, name)
		}
		if want == nil && res[i].Err != nil || want != nil && !want(res[i].Err) {
			t.Errorf("%d: %v", i, res[i].Err)
		}
		if res[i].Err != nil && res[i].Existed {
			t.Errorf("%d: existed, by an answer that was none", i)
		}
	}
}

func TestRead(t *testing.T) {
	s, c := start(t, conf("a"))
	s.refuse["c"] = 403
	res := New(2).Read(t.Context(), c, []Item{item("a", ""), item("b", ""), item("c", "")})
	if res[0].Live == nil || !res[0].Existed || res[0].Err != nil {
		t.Errorf("there: %+v", res[0])
	}
	if res[1].Live != nil || res[1].Existed || res[1].Err != nil {
		t.Errorf("not there: %+v", res[1])
	}
	if res[2].Existed || !apierrors.IsForbidden(res[2].Err) {
		t.Errorf("refused: %+v", res[2])
	}
}

func TestDelete(t *testing.T) {
	tests := map[string]struct {
		live          *unstructured.Unstructured
		uid           string
		gone, notOurs bool
		asked         []string
		why           string
	}{
		"ours":               {conf("c"), "uid-c", true, false, []string{"GET c", "DELETE c"}, ""},
		"never seen, marked": {conf("c"), "", true, false, []string{"GET c", "DELETE c"}, "written down before a crash: the marks tell"},
		"not there":          {nil, "uid-c", true, false, []string{"GET c"}, ""},
		"another uid":        {conf("c"), "uid-before", false, true, []string{"GET c"}, "somebody made one of the same name"},
		"no marks": {conf("c", func(u *unstructured.Unstructured) { u.SetAnnotations(nil) }), "uid-c", false, true,
			[]string{"GET c"}, "it was given away"},
		"never seen, no marks": {conf("c", func(u *unstructured.Unstructured) { u.SetLabels(nil) }), "", false, true,
			[]string{"GET c"}, "nothing says that it is ours"},
		"another App's": {conf("c", func(u *unstructured.Unstructured) { object.Mark(u, object.App{Namespace: "shop", Name: "other"}) }), "uid-c", false, true,
			[]string{"GET c"}, "the other App has taken it"},
		"held": {conf("c", func(u *unstructured.Unstructured) { u.SetFinalizers([]string{"a/b"}) }), "uid-c", false, false,
			[]string{"GET c", "DELETE c"}, "it is not gone before the finalizer is"},
		"on its way": {conf("c", func(u *unstructured.Unstructured) {
			_ = unstructured.SetNestedField(u.Object, "2026-01-01T00:00:00Z", "metadata", "deletionTimestamp")
		}), "uid-c", false, false, []string{"GET c"}, "asking twice does not make it faster"},
	}
	for name, tc := range tests {
		var objects []*unstructured.Unstructured
		if tc.live != nil {
			objects = append(objects, tc.live)
		}
		s, c := start(t, objects...)
		target := Target{Key: object.Key{Kind: "ConfigMap", Namespace: "shop", Name: "c"}, Kind: configMaps}
		target.UID = types.UID(tc.uid)
		f := New(2).Delete(t.Context(), c, web, []Target{target})[0]
		if f.Gone != tc.gone || f.NotOurs != tc.notOurs || f.Err != nil || f.Key != target.Key {
			t.Errorf("%s (%s): %+v", name, tc.why, f)
		}
		if diff := cmp.Diff(tc.asked, s.asked); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	s, c := start(t, conf("c"))
	s.refuse["c"] = 403
	f := New(2).Delete(t.Context(), c, web, []Target{{Key: object.Key{Kind: "ConfigMap", Namespace: "shop", Name: "c"}, Kind: configMaps}})[0]
	if f.Gone || f.NotOurs || !apierrors.IsForbidden(f.Err) {
		t.Errorf("%+v: a refusal is no proof of anything", f)
	}
}

// TestParallel: calls of all callers together stay within the bound, and reach it.
func TestParallel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := New(3)
		var now, most atomic.Int32
		leave := make(chan bool)
		for range 2 {
			go x.each(t.Context(), 5, func(int) {
				most.Store(max(most.Load(), now.Add(1)))
				<-leave
				now.Add(-1)
			}, func(int) { t.Error("skipped") })
		}
		for range 10 {
			synctest.Wait()
			if n := now.Load(); n > 3 {
				t.Errorf("%d at a time", n)
			}
			leave <- true
		}
		synctest.Wait()
		if most.Load() != 3 || now.Load() != 0 {
			t.Errorf("at most %d at a time, %d at the end", most.Load(), now.Load())
		}
	})
}

// TestHangingRequests: an App whose requests are not answered, because of an
// admission webhook that hangs, keeps no other waiting, and has no more of them
// under way than the bound.
func TestHangingRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := New(3)
		var hanging, done atomic.Int32
		leave := make(chan bool)
		go x.each(t.Context(), 100, func(int) { hanging.Add(1); <-leave }, func(int) {})
		time.Sleep(patience - time.Millisecond)
		x.each(t.Context(), 50, func(int) { done.Add(1) }, func(int) {})
		if done.Load() != 50 {
			t.Errorf("%d of another App's requests were sent", done.Load())
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if hanging.Load() != 3 {
			t.Errorf("%d hang at a time, want 3", hanging.Load())
		}
		close(leave)
	})
}

func TestEndOfContextSkipsTheRest(t *testing.T) {
	why := errors.New("superseded")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		x := New(1)
		var done, skipped atomic.Int32
		leave := make(chan bool)
		go x.each(ctx, 100, func(int) { <-leave; done.Add(1) }, func(int) { skipped.Add(1) })
		leave <- true
		synctest.Wait()
		cancel(why)
		leave <- true
		synctest.Wait()
		if done.Load() != 2 || skipped.Load() != 98 {
			t.Errorf("%d done, %d skipped: what is under way ends, and nothing new begins", done.Load(), skipped.Load())
		}
	})
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	s, c := start(t)
	items := make([]Item, 50)
	targets := make([]Target, 50)
	for i := range items {
		items[i] = item("c", plan.Create)
		targets[i] = Target{Kind: configMaps, Key: object.Key{Kind: "ConfigMap", Namespace: "shop", Name: "c"}}
	}
	for _, r := range New(8).Apply(ctx, c, items) {
		if !errors.Is(r.Err, why) || r.Object == nil {
			t.Fatalf("%+v", r)
		}
	}
	for _, f := range New(8).Delete(ctx, c, web, targets) {
		if !errors.Is(f.Err, why) || f.Gone {
			t.Fatalf("%+v", f)
		}
	}
	if len(s.asked) != 0 {
		t.Errorf("%d requests after the end, with slots free", len(s.asked))
	}
}

func TestObjectError(t *testing.T) {
	k := object.Key{Group: "apps", Kind: "Deployment", Namespace: "shop", Name: "web"}
	plain := errors.New("no image")
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "x"}, "y", errors.New("no"))
	tests := map[string]*ObjectError{
		"Deployment.apps shop/web: no image":              {Key: k, Err: plain},
		"Deployment.apps shop/web (a/b.yaml): no image":   {Key: k, File: "a/b.yaml", Err: plain},
		"Deployment.apps shop/web (a/b.yaml:7): no image": {Key: k, File: "a/b.yaml", Line: 7, Err: plain},
		"Deployment.apps shop/web: " + forbidden.Error() + "; grant the right to the identity this App acts as (kubectl auth can-i --as says what it has)": {Key: k, Err: fmt.Errorf("%w", forbidden)},
	}
	for want, err := range tests {
		if err.Error() != want {
			t.Errorf("%q, want %q", err, want)
		}
		if !errors.Is(err, err.Err) {
			t.Errorf("%q hides its cause", err)
		}
	}
	for want, err := range map[string]error{
		"":                        plain,
		"somebody changed it":     apierrors.NewConflict(schema.GroupResource{}, "x", plain),
		"the object is too large": apierrors.NewRequestEntityTooLargeError("x"),
		"grant the right":         forbidden,
	} {
		if got := Hint(err); !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%v: %q", err, got)
		}
	}
}
