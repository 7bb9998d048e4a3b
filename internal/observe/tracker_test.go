package observe

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/cluster"
	"abide.dev/abide/internal/object"
)

var (
	web    = object.App{Namespace: "shop", Name: "web"}
	other  = object.App{Namespace: "shop", Name: "other"}
	widget = cluster.Kind{GroupVersionKind: schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Widget"}, Resource: "widgets", Namespaced: true}
	old    = cluster.Kind{GroupVersionKind: schema.GroupVersionKind{Group: "example.com", Version: "v1beta1", Kind: "Widget"}, Resource: "widgets", Namespaced: true}
	key    = object.Key{Group: "example.com", Kind: "Widget", Namespace: "shop", Name: "w"}
)

// told collects who was notified.
type told struct {
	mu   sync.Mutex
	apps []object.App
	any  chan struct{}
}

func (t *told) notify(a object.App) {
	t.mu.Lock()
	t.apps = append(t.apps, a)
	t.mu.Unlock()
	select {
	case t.any <- struct{}{}:
	default:
	}
}

// take returns who was told since the last call, in order.
func (t *told) take() []object.App {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := t.apps
	t.apps = nil
	slices.SortFunc(out, object.App.Compare)
	return out
}

// await polls until ok, each time that somebody is told.
func (t *told) await(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	deadline := time.After(30 * time.Second)
	for !ok() {
		select {
		case <-t.any:
		case <-time.After(5 * time.Millisecond):
		case <-deadline:
			tb.Fatalf("waited in vain for %s", what)
		}
	}
}

func newTracker(dyn dynamic.Interface) (*Tracker, *told) {
	t := &told{any: make(chan struct{}, 1)}
	return New(dyn, t.notify, slog.New(slog.DiscardHandler)), t
}

// object of an App, in the version of its kind, as abide applied it.
type obj struct {
	kind   cluster.Kind
	app    object.App
	name   string
	uid    string
	rv     int
	value  string // of the field that abide owns
	status string // of a condition that nobody owns
	edit   func(*unstructured.Unstructured)
}

func (o obj) make() *unstructured.Unstructured {
	kind := o.kind
	if kind.Kind == "" {
		kind = widget
	}
	if o.app == (object.App{}) {
		o.app = web
	}
	u := &unstructured.Unstructured{Object: map[string]any{
		"spec":   map[string]any{"value": o.value},
		"status": map[string]any{"seen": o.status},
	}}
	u.SetGroupVersionKind(kind.GroupVersionKind)
	u.SetNamespace("shop")
	u.SetName("w")
	if o.name != "" {
		u.SetName(o.name)
	}
	u.SetUID("u")
	if o.uid != "" {
		u.SetUID(types.UID(o.uid))
	}
	u.SetResourceVersion(fmt.Sprint(o.rv))
	object.Mark(u, o.app)
	u.Object["metadata"].(map[string]any)["managedFields"] = []any{map[string]any{
		"manager": "abide", "operation": "Apply", "apiVersion": u.GetAPIVersion(), "fieldsType": "FieldsV1",
		"fieldsV1": map[string]any{"f:spec": map[string]any{"f:value": map[string]any{}}},
	}}
	if o.edit != nil {
		o.edit(u)
	}
	return u
}

// synced returns a tracker whose watches of the kinds have seen an empty list.
func synced(t *testing.T, app object.App, kinds ...cluster.Kind) (*Tracker, *told, []*watch) {
	t.Helper()
	tr, told := newTracker(nil)
	tr.Use(app, kinds)
	var ws []*watch
	for _, k := range kinds {
		w := tr.watches[k.GroupVersionKind]
		if err := w.Replace(nil, "1"); err != nil {
			t.Fatal(err)
		}
		ws = append(ws, w)
	}
	told.take()
	return tr, told, ws
}

func TestRecord(t *testing.T) {
	tr, told, ws := synced(t, web, widget)
	u := obj{rv: 5, value: "a", edit: func(u *unstructured.Unstructured) {
		u.Object["status"] = map[string]any{"conditions": []any{map[string]any{"type": "Ready", "status": "False", "message": "no disk", "reason": "X"}}}
	}}.make()
	if err := ws[0].Add(u); err != nil {
		t.Fatal(err)
	}
	r, ok := tr.Get(key)
	if !ok || r.Owner != web || r.UID != "u" || r.Deleting || r.APIVersion != "example.com/v1" ||
		r.Fingerprint != object.Fingerprint(u).Fingerprint || r.Health != v1alpha1.HealthProgressing || r.Message != "no disk" {
		t.Errorf("%+v, %t", r, ok)
	}
	if o, ok := tr.Observed(key); !ok || o != r.Observed {
		t.Errorf("%+v, %t", o, ok)
	}
	if got := told.take(); !slices.Equal(got, []object.App{web}) {
		t.Errorf("told %v", got)
	}
	now := metav1.NewTime(time.Unix(1, 0))
	u = u.DeepCopy()
	u.SetDeletionTimestamp(&now)
	u.SetResourceVersion("6")
	if err := ws[0].Update(u); err != nil {
		t.Fatal(err)
	}
	if r, _ := tr.Get(key); !r.Deleting {
		t.Error("not seen to be deleted")
	}
}

// TestEvents: one object is known at resourceVersion 10 with value a; then
// something comes.
func TestEvents(t *testing.T) {
	unmark := func(u *unstructured.Unstructured) { u.SetAnnotations(nil) }
	up := func(o obj) func(*watch) error { return func(w *watch) error { return w.Update(o.make()) } }
	del := func(o obj) func(*watch) error { return func(w *watch) error { return w.Delete(o.make()) } }
	tests := map[string]struct {
		event   func(*watch) error
		told    []object.App
		value   string // whose fingerprint the record then has; "" for no record
		changed bool   // the object is kept for its App
		why     string
	}{
		"the same again":       {up(obj{rv: 11, value: "a"}), nil, "a", false, "nothing of it matters to the App"},
		"a field of nobody":    {up(obj{rv: 11, value: "a", status: "x"}), nil, "a", false, "not of abide, and of no consequence to health"},
		"a drift":              {up(obj{rv: 11, value: "b"}), []object.App{web}, "b", true, "it is to be healed"},
		"an older event":       {up(obj{rv: 9, value: "b"}), nil, "a", false, "abide's own apply was later"},
		"of an older object":   {up(obj{rv: 9, uid: "before", value: "b"}), nil, "a", false, "abide created it anew since"},
		"of a newer object":    {up(obj{rv: 11, uid: "after", value: "a"}), []object.App{web}, "a", false, "the uid matters: deletes go by it"},
		"health":               {up(obj{rv: 11, value: "a", edit: notReady}), []object.App{web}, "a", false, "it is no longer healthy"},
		"a deletion begins":    {up(obj{rv: 11, value: "a", edit: deleting}), []object.App{web}, "a", false, "it is going"},
		"gone":                 {del(obj{rv: 11, value: "a"}), []object.App{web}, "", false, "it is gone, or has lost its label"},
		"lost its label, late": {del(obj{rv: 9, value: "a"}), nil, "a", false, "abide has put it back since"},
		"another one was gone": {del(obj{rv: 9, uid: "before", value: "a"}), nil, "a", false, "the one before it, of the same name"},
		"lost its annotation":  {up(obj{rv: 11, value: "a", edit: unmark}), []object.App{web}, "", false, "it is no longer the App's"},
		"lost it, late":        {up(obj{rv: 9, value: "a", edit: unmark}), nil, "a", false, "abide has put it back since"},
		"another App's now":    {up(obj{rv: 11, app: other, value: "a"}), []object.App{other, web}, "a", false, "both have to look"},
		"no object": {func(w *watch) error {
			return errors.Join(w.Update(7), w.Delete(cache.DeletedFinalStateUnknown{}), w.Resync())
		}, nil, "a", false, "nothing to see"},
	}
	for name, tc := range tests {
		tr, told, ws := synced(t, web, widget)
		tr.Applied(obj{rv: 10, value: "a"}.make())
		if got := told.take(); got != nil {
			t.Errorf("told %v of abide's own apply", got)
		}
		if err := tc.event(ws[0]); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(tc.told, told.take()); diff != "" {
			t.Errorf("%s (%s): told %s", name, tc.why, diff)
		}
		want := ""
		if tc.value != "" {
			want = object.Fingerprint(obj{value: tc.value}.make()).Fingerprint
		}
		if r, ok := tr.Get(key); ok != (want != "") || r.Fingerprint != want {
			t.Errorf("%s (%s): record %+v, %t", name, tc.why, r, ok)
		}
		if _, changed := tr.Changed(key); changed != tc.changed {
			t.Errorf("%s (%s): kept for the App is %t", name, tc.why, changed)
		}
	}
}

func notReady(u *unstructured.Unstructured) {
	u.Object["status"] = map[string]any{"conditions": []any{map[string]any{"type": "Ready", "status": "False"}}}
}

func deleting(u *unstructured.Unstructured) {
	now := metav1.NewTime(time.Unix(1, 0))
	u.SetDeletionTimestamp(&now)
}

// TestCopiedLabel: controllers copy the label to the objects they make.
func TestCopiedLabel(t *testing.T) {
	tr, told, ws := synced(t, web, widget)
	u := obj{rv: 5, edit: func(u *unstructured.Unstructured) { u.SetAnnotations(nil) }}.make()
	if err := ws[0].Add(u); err != nil {
		t.Fatal(err)
	}
	if err := ws[0].Replace([]any{u}, "6"); err != nil {
		t.Fatal(err)
	}
	if _, ok := tr.Get(key); ok || told.take() != nil {
		t.Error("an object that only carries the label has a record")
	}
	if r := tr.Applied(u); r.Owner != (object.App{}) {
		t.Errorf("%+v", r)
	}
}

func TestChanged(t *testing.T) {
	tr, _, ws := synced(t, web, widget)
	tr.Applied(obj{rv: 10, value: "a"}.make())
	event := func(o obj) {
		t.Helper()
		if err := ws[0].Update(o.make()); err != nil {
			t.Fatal(err)
		}
	}
	value := func() string {
		u, ok := tr.Changed(key)
		if !ok {
			return ""
		}
		v, _, _ := unstructured.NestedString(u.Object, "spec", "value")
		return v
	}
	event(obj{rv: 11, value: "b"})
	event(obj{rv: 12, value: "c"})
	if value() != "c" {
		t.Errorf("%q, want what it was changed to last", value())
	}
	tr.Applied(obj{rv: 13, value: "a"}.make())
	if value() != "" {
		t.Error("kept after the heal")
	}
	// The drift after the heal arrives before the heal's own answer.
	event(obj{rv: 15, value: "d"})
	tr.Applied(obj{rv: 14, value: "a"}.make())
	if r, _ := tr.Get(key); value() != "d" || r.Fingerprint != object.Fingerprint(obj{value: "d"}.make()).Fingerprint {
		t.Errorf("%q, %+v: an older answer hides what came after it", value(), r)
	}
	tr.Settle(key)
	if value() != "" {
		t.Error("kept after the App has settled it")
	}
	event(obj{rv: 16, value: "e"})
	if err := ws[0].Delete(obj{rv: 17, value: "e"}.make()); err != nil {
		t.Fatal(err)
	}
	if value() != "" {
		t.Error("kept of an object that is gone")
	}
}

// TestAppliedAfterRecreation: the answer to an apply of the object before.
func TestAppliedAfterRecreation(t *testing.T) {
	tr, _, ws := synced(t, web, widget)
	if err := ws[0].Add(obj{rv: 20, uid: "new", value: "a"}.make()); err != nil {
		t.Fatal(err)
	}
	tr.Applied(obj{rv: 15, uid: "before", value: "a"}.make())
	if r, _ := tr.Get(key); r.UID != "new" {
		t.Errorf("uid %s of an object that is no more", r.UID)
	}
	tr.Applied(obj{rv: 25, uid: "newest", value: "a"}.make())
	if r, _ := tr.Get(key); r.UID != "newest" {
		t.Errorf("uid %s, want that of the object that was just created", r.UID)
	}
}

func TestGone(t *testing.T) {
	tr, _, _ := synced(t, web, widget)
	tr.Applied(obj{rv: 10, value: "a"}.make())
	tr.Gone(key, "another")
	if _, ok := tr.Get(key); !ok {
		t.Error("an object with another uid is gone, and took this one with it")
	}
	tr.Gone(key, "u")
	if _, ok := tr.Get(key); ok {
		t.Error("still there")
	}
}

func TestReplace(t *testing.T) {
	tr, told, ws := synced(t, web, widget)
	tr.Applied(obj{name: "stays", rv: 10, value: "a"}.make())
	tr.Applied(obj{name: "goes", app: other, rv: 11, value: "a"}.make())
	tr.Applied(obj{name: "drifts", rv: 12, value: "a"}.make())
	tr.Applied(obj{name: "created since", rv: 30, value: "a"}.make())
	tr.Applied(obj{name: "applied since", rv: 31, value: "a"}.make())
	told.take()
	list := []any{
		obj{name: "stays", rv: 10, value: "a"}.make(),
		obj{name: "drifts", rv: 13, value: "b"}.make(),
		obj{name: "applied since", rv: 13, value: "b"}.make(),
		obj{name: "comes", app: object.App{Namespace: "shop", Name: "third"}, rv: 14, value: "a"}.make(),
		"no object",
	}
	if err := ws[0].Replace(list, "20"); err != nil {
		t.Fatal(err)
	}
	a, b := object.Fingerprint(obj{value: "a"}.make()).Fingerprint, object.Fingerprint(obj{value: "b"}.make()).Fingerprint
	for name, want := range map[string]string{"stays": a, "goes": "", "drifts": b, "created since": a, "applied since": a, "comes": a} {
		k := key
		k.Name = name
		if r, _ := tr.Get(k); r.Fingerprint != want {
			t.Errorf("%s: %q, want %q", name, r.Fingerprint, want)
		}
	}
	got := slices.Compact(told.take())
	if diff := cmp.Diff([]object.App{other, {Namespace: "shop", Name: "third"}, web}, got); diff != "" {
		t.Errorf("told: %s", diff)
	}
	if err := ws[0].Replace(nil, "40"); err != nil {
		t.Fatal(err)
	}
	if len(tr.records) != 0 {
		t.Errorf("%v are left after an empty list", tr.records)
	}
}

// TestListIsReducedAsItStreams: the reflector keeps what the transformer makes,
// and finds it again by namespace and name.
func TestListIsReducedAsItStreams(t *testing.T) {
	tr, _, ws := synced(t, web, widget)
	got, err := ws[0].Transformer()(obj{rv: 5, value: "a"}.make())
	if err != nil {
		t.Fatal(err)
	}
	if _, full := got.(*unstructured.Unstructured); full {
		t.Error("a first list holds every object in full")
	}
	if k, err := cache.MetaNamespaceKeyFunc(got); err != nil || k != "shop/w" {
		t.Errorf("%q, %v", k, err)
	}
	if err := ws[0].Replace([]any{got}, "6"); err != nil {
		t.Fatal(err)
	}
	if _, ok := tr.Get(key); !ok {
		t.Error("a list of reduced objects brings no records")
	}
	if x, err := ws[0].Transformer()("bookmark"); err != nil || x != "bookmark" {
		t.Errorf("%v, %v: what is no object passes", x, err)
	}
}

func TestTwoVersions(t *testing.T) {
	tr, told, ws := synced(t, web, widget, old)
	inV1 := func(rv int, value string) *unstructured.Unstructured { return obj{rv: rv, value: value}.make() }
	// The same object through the other watch: its fields have other names there.
	inOld := func(rv int) *unstructured.Unstructured {
		return obj{rv: rv, edit: func(u *unstructured.Unstructured) {
			u.SetAPIVersion("example.com/v1beta1")
			delete(u.Object, "spec")
		}}.make()
	}
	tr.Applied(inV1(10, "a"))
	want, _ := tr.Get(key)
	for _, step := range []error{ws[1].Add(inOld(10)), ws[0].Add(inV1(10, "a")), ws[1].Update(inOld(11)), ws[1].Replace([]any{inOld(11)}, "12")} {
		if step != nil {
			t.Fatal(step)
		}
		if r, ok := tr.Get(key); !ok || r.Fingerprint != want.Fingerprint {
			t.Errorf("%+v, %t: the other version's watch judges it", r, ok)
		}
	}
	if err := ws[1].Replace(nil, "13"); err != nil {
		t.Fatal(err)
	}
	if err := ws[1].Delete(inOld(14)); err != nil {
		t.Fatal(err)
	}
	if _, ok := tr.Get(key); !ok {
		t.Error("the other version's watch takes the record away")
	}
	if got := told.take(); got != nil {
		t.Errorf("told %v", got)
	}
	// Nobody watches the version it was applied in: that can't be judged.
	tr, told, ws = synced(t, web, old)
	if err := ws[0].Add(inOld(10)); err != nil {
		t.Fatal(err)
	}
	if r, ok := tr.Get(key); !ok || r.Fingerprint != "" || r.APIVersion != "example.com/v1" || r.UID != "u" {
		t.Errorf("%+v, %t: a fingerprint in the wrong version", r, ok)
	}
	if got := told.take(); !slices.Equal(got, []object.App{web}) {
		t.Errorf("told %v", got)
	}
}

func TestUse(t *testing.T) {
	tr, told := newTracker(nil)
	p := tr.Use(web, []cluster.Kind{widget, old})
	if len(p) != 2 || p[0].Kind != widget.GroupVersionKind || p[0].Err != nil {
		t.Errorf("%v: nothing has been listed", p)
	}
	w := tr.watches[widget.GroupVersionKind]
	if err := w.Replace(nil, "1"); err != nil {
		t.Fatal(err)
	}
	if got := told.take(); !slices.Equal(got, []object.App{web}) {
		t.Errorf("told %v when the kind was there", got)
	}
	if err := w.Replace(nil, "1"); err != nil {
		t.Fatal(err)
	}
	if got := told.take(); got != nil {
		t.Errorf("told %v when it was listed again", got)
	}
	if p := tr.Use(web, []cluster.Kind{widget, old}); len(p) != 1 || p[0].Kind != old.GroupVersionKind {
		t.Errorf("%v", p)
	}
	if p := tr.Use(other, []cluster.Kind{widget}); len(p) != 0 {
		t.Errorf("%v: it is there", p)
	}
}

func TestWatchEndsWithItsLastUser(t *testing.T) {
	tr, told, ws := synced(t, web, widget, old)
	tr.Use(other, []cluster.Kind{widget})
	var stopped []string
	for _, w := range ws {
		w.stop = func() { stopped = append(stopped, w.kind.Version) }
	}
	tr.Applied(obj{rv: 10, value: "a"}.make())
	if err := ws[0].Update(obj{rv: 11, value: "b"}.make()); err != nil {
		t.Fatal(err)
	}
	tr.Use(web, []cluster.Kind{old})
	if stopped != nil {
		t.Errorf("%v stopped, and somebody uses it", stopped)
	}
	tr.Forget(other)
	if diff := cmp.Diff([]string{"v1"}, stopped); diff != "" {
		t.Error(diff)
	}
	if len(tr.records)+len(tr.changed) != 0 || tr.watches[widget.GroupVersionKind] != nil {
		t.Error("records of a kind that nobody watches are left")
	}
	told.take()
	// Events that were under way.
	for _, err := range []error{ws[0].Update(obj{rv: 12, value: "c"}.make()), ws[0].Replace([]any{obj{rv: 12, value: "c"}.make()}, "13"), ws[0].Delete(obj{rv: 14}.make())} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(tr.records)+len(tr.changed) != 0 || told.take() != nil {
		t.Error("a late event of a watch that has ended leaves a record for ever")
	}
	tr.Forget(web)
	if len(tr.watches)+len(tr.uses) != 0 {
		t.Errorf("left: %v, %v", tr.watches, tr.uses)
	}
}

// run runs the tracker until the test ends.
func run(t *testing.T, tr *Tracker) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- tr.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(30 * time.Second):
			t.Error("the tracker does not end with its context")
		}
	})
}

func fakeAPI(objects ...runtime.Object) *fake.FakeDynamicClient {
	return fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(),
		map[schema.GroupVersionResource]string{widget.GVR(): "WidgetList"}, objects...)
}

// TestRun has real reflectors on a fake API: a first list, then events.
func TestRun(t *testing.T) {
	dyn := fakeAPI(obj{rv: 1, value: "a"}.make(), obj{name: "foreign", rv: 1, edit: func(u *unstructured.Unstructured) {
		u.SetLabels(nil)
		u.SetAnnotations(nil)
	}}.make())
	tr, told := newTracker(dyn)
	run(t, tr)
	tr.Use(web, []cluster.Kind{widget})
	told.await(t, "the first list", func() bool { return len(tr.Use(web, []cluster.Kind{widget})) == 0 })
	if _, ok := tr.Get(key); !ok {
		t.Fatal("an object of the first list has no record")
	}
	for _, a := range dyn.Actions() {
		if l, ok := a.(clienttesting.ListAction); ok && l.GetListRestrictions().Labels.String() != v1alpha1.LabelApp {
			t.Errorf("a list of everything there is: %v", l.GetListRestrictions())
		}
	}
	told.await(t, "the watch", func() bool {
		return slices.ContainsFunc(dyn.Actions(), func(a clienttesting.Action) bool { return a.GetVerb() == "watch" })
	})
	widgets := dyn.Resource(widget.GVR()).Namespace("shop")
	drifted := obj{rv: 2, value: "b"}.make()
	told.await(t, "the drift", func() bool {
		if _, err := widgets.Update(t.Context(), drifted.DeepCopy(), metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		r, _ := tr.Get(key)
		return r.Fingerprint == object.Fingerprint(drifted).Fingerprint
	})
	if u, ok := tr.Changed(key); !ok || u.GetName() != "w" {
		t.Error("what changed is not kept for its App")
	}
	if err := widgets.Delete(t.Context(), "w", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	told.await(t, "the end of the object", func() bool { _, ok := tr.Get(key); return !ok })
}

// TestErrorsReachWaitingApps: a kind that may not be listed.
func TestErrorsReachWaitingApps(t *testing.T) {
	dyn := fakeAPI(obj{rv: 1, value: "a"}.make())
	var mu sync.Mutex
	refuse := true
	dyn.PrependReactor("list", "widgets", func(clienttesting.Action) (bool, runtime.Object, error) {
		mu.Lock()
		defer mu.Unlock()
		if !refuse {
			return false, nil, nil
		}
		return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "widgets"}, "", errors.New("no rights"))
	})
	tr, told := newTracker(dyn)
	tr.Use(web, []cluster.Kind{widget}) // before it runs
	run(t, tr)
	told.await(t, "the App to be told of the failure", func() bool { return slices.Contains(told.take(), web) })
	if p := tr.Use(web, []cluster.Kind{widget}); len(p) != 1 || !apierrors.IsForbidden(p[0].Err) {
		t.Errorf("%v, want the refusal", p)
	}
	if p := tr.Use(other, []cluster.Kind{widget}); len(p) != 1 || !apierrors.IsForbidden(p[0].Err) {
		t.Errorf("%v, want the refusal for whoever comes later", p)
	}
	mu.Lock()
	refuse = false
	mu.Unlock()
	told.await(t, "both Apps to be told that it is there now", func() bool {
		return len(tr.Use(web, []cluster.Kind{widget}))+len(tr.Use(other, []cluster.Kind{widget})) == 0
	})
	told.await(t, "both Apps to be told", func() bool {
		told.mu.Lock()
		defer told.mu.Unlock()
		return slices.Contains(told.apps, web) && slices.Contains(told.apps, other)
	})
	if _, ok := tr.Get(key); !ok {
		t.Error("no record once it may be listed")
	}
}

// TestConcurrentUse is for the race detector.
func TestConcurrentUse(t *testing.T) {
	tr, _, ws := synced(t, web, widget)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			app := object.App{Namespace: "shop", Name: fmt.Sprint("app", i)}
			for rv := range 50 {
				tr.Use(app, []cluster.Kind{widget, old})
				tr.Applied(obj{app: app, rv: rv, value: "a"}.make())
				_ = ws[0].Update(obj{app: app, rv: rv, value: "b"}.make())
				tr.Get(key)
				tr.Changed(key)
				tr.Settle(key)
				_ = ws[0].Replace([]any{obj{rv: rv}.make()}, fmt.Sprint(rv))
				_ = ws[0].Delete(obj{rv: rv}.make())
				tr.Gone(key, "u")
				tr.Forget(app)
			}
		})
	}
	wg.Wait()
	tr.Forget(web)
	if len(tr.watches)+len(tr.records)+len(tr.uses) != 0 {
		t.Error("something is left")
	}
}

// TestDoubt: a watch that worked and then fails over and over is no longer
// relied on, says why, and is relied on again when it goes on.
func TestDoubt(t *testing.T) {
	tr, told, ws := synced(t, web, widget)
	w := ws[0]
	refused := apierrors.NewForbidden(schema.GroupResource{Resource: "widgets"}, "", errors.New("no rights"))
	told.take()
	for range failuresToDoubt - 1 {
		w.failed(t.Context(), refused)
	}
	if p := tr.Use(web, []cluster.Kind{widget}); len(p) != 0 || len(told.take()) != 0 {
		t.Fatalf("doubted after a few failures, as a restart of the API server brings: %v", p)
	}
	w.failed(t.Context(), refused)
	if got := told.take(); !slices.Contains(got, web) {
		t.Errorf("the App is not told that its records can't be relied on: %v", got)
	}
	if p := tr.Use(web, []cluster.Kind{widget}); len(p) != 1 || !apierrors.IsForbidden(p[0].Err) {
		t.Errorf("%v, want the refusal", p)
	}
	w.failed(t.Context(), nil)
	if got := told.take(); !slices.Contains(got, web) {
		t.Errorf("the App is not told that it goes on: %v", got)
	}
	if p := tr.Use(web, []cluster.Kind{widget}); len(p) != 0 {
		t.Errorf("still not relied on: %v", p)
	}
}
