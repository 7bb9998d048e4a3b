package store

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/object"
)

var web = &v1alpha1.App{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}}

var webApp = object.App{Namespace: "shop", Name: "web"}

// api is an API server's storage of inventories, with a record of the writes
// and, if fail is set, without the will to do them.
type api struct {
	client.WithWatch
	mu     sync.Mutex
	writes []string
	fail   func(verb, name string) error
	uids   atomic.Int64
}

func newAPI(t *testing.T) *api {
	t.Helper()
	s := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(s); err != nil {
		t.Fatal(err)
	}
	a := &api{}
	note := func(verb string, o client.Object) error {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.writes = append(a.writes, verb+" "+o.GetName())
		if a.fail != nil {
			return a.fail(verb, o.GetName())
		}
		return nil
	}
	a.WithWatch = fake.NewClientBuilder().WithScheme(s).
		WithIndex(&v1alpha1.Inventory{}, fieldApp, func(o client.Object) []string { return []string{o.(*v1alpha1.Inventory).App} }).
		WithInterceptorFuncs(interceptor.Funcs{
			Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
				if err := note("create", o); err != nil {
					return err
				}
				o.SetUID(types.UID(fmt.Sprint("uid-", a.uids.Add(1))))
				return c.Create(ctx, o, opts...)
			},
			Update: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
				if err := note("update", o); err != nil {
					return err
				}
				return c.Update(ctx, o, opts...)
			},
			Patch: func(ctx context.Context, c client.WithWatch, o client.Object, patch client.Patch, opts ...client.PatchOption) error {
				if err := note("patch", o); err != nil {
					return err
				}
				err := c.Patch(ctx, o, patch, opts...)
				if err != nil && apierrors.ReasonForError(err) == metav1.StatusReasonUnknown {
					// So the API server says that a patch does not fit.
					err = apierrors.NewGenericServerResponse(http.StatusUnprocessableEntity, "patch", schema.GroupResource{}, o.GetName(), err.Error(), 0, false)
				}
				return err
			},
			Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
				if err := note("delete", o); err != nil {
					return err
				}
				var options client.DeleteOptions
				options.ApplyOptions(opts)
				if options.Preconditions == nil || options.Preconditions.UID == nil || *options.Preconditions.UID == "" {
					t.Error("a part is deleted without its uid")
				}
				return c.Delete(ctx, o, opts...)
			},
		}).Build()
	return a
}

// since returns the writes since the last call.
func (a *api) since() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	w := a.writes
	a.writes = nil
	return w
}

// stored is what the API has: the names of the entries by part.
func (a *api) stored(t *testing.T) map[string][]string {
	t.Helper()
	var l v1alpha1.InventoryList
	if err := a.List(t.Context(), &l); err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for i := range l.Items {
		names := []string{}
		for _, e := range l.Items[i].Entries {
			names = append(names, e.Name)
		}
		out[l.Items[i].Name] = names
	}
	return out
}

func entry(name, hash string) v1alpha1.InventoryEntry {
	return v1alpha1.InventoryEntry{Version: "v1", Kind: "ConfigMap", Namespace: "shop", Name: name, Hash: hash}
}

func entries(from, to int, hash string) []v1alpha1.InventoryEntry {
	var out []v1alpha1.InventoryEntry
	for i := from; i < to; i++ {
		out = append(out, entry(fmt.Sprintf("c%05d", i), hash))
	}
	return out
}

func key(name string) object.Key {
	return object.Key{Kind: "ConfigMap", Namespace: "shop", Name: name}
}

func write(t *testing.T, s *Inventories, set []v1alpha1.InventoryEntry, remove ...object.Key) {
	t.Helper()
	if err := s.Write(t.Context(), web, set, remove); err != nil {
		t.Fatal(err)
	}
}

// names are the entries that are known of the App, with their hashes.
func names(s *Inventories) []string {
	out := []string{}
	for k, e := range s.Entries(webApp) {
		out = append(out, k.Name+"="+e.Hash)
	}
	slices.Sort(out)
	return out
}

func TestWrite(t *testing.T) {
	a := newAPI(t)
	s := New(a)
	write(t, s, []v1alpha1.InventoryEntry{entry("b", "1"), entry("a", "1")})
	if diff := cmp.Diff(map[string][]string{"web-0": {"a", "b"}}, a.stored(t)); diff != "" {
		t.Errorf("stored in the order of their keys: %s", diff)
	}
	a.since()
	steps := []struct {
		why    string
		set    []v1alpha1.InventoryEntry
		remove []object.Key
		writes []string
		want   []string
	}{
		{"the same is not written", []v1alpha1.InventoryEntry{entry("a", "1")}, nil, nil, []string{"a=1", "b=1"}},
		{"nothing is not written", nil, nil, nil, []string{"a=1", "b=1"}},
		{"what is not there is not removed", nil, []object.Key{key("x")}, nil, []string{"a=1", "b=1"}},
		{"a new hash", []v1alpha1.InventoryEntry{entry("a", "2")}, nil, []string{"patch web-0"}, []string{"a=2", "b=1"}},
		{"set and removed in one request", []v1alpha1.InventoryEntry{entry("c", "1")}, []object.Key{key("b")}, []string{"update web-0"}, []string{"a=2", "c=1"}},
		{"in both: it is stored", []v1alpha1.InventoryEntry{entry("a", "3")}, []object.Key{key("a")}, []string{"patch web-0"}, []string{"a=3", "c=1"}},
		{"in both, and as it was", []v1alpha1.InventoryEntry{entry("a", "3")}, []object.Key{key("a")}, nil, []string{"a=3", "c=1"}},
		{"twice: the later one", []v1alpha1.InventoryEntry{entry("a", "4"), entry("a", "5"), entry("n", "1"), entry("n", "2")}, nil, []string{"update web-0"}, []string{"a=5", "c=1", "n=2"}},
		{"twice: back to what is stored", []v1alpha1.InventoryEntry{entry("a", "6"), entry("a", "5")}, nil, nil, []string{"a=5", "c=1", "n=2"}},
		{"the last ones take the part with them", nil, []object.Key{key("a"), key("c"), key("n"), key("n")}, []string{"delete web-0"}, []string{}},
		{"and it comes back", []v1alpha1.InventoryEntry{entry("a", "1")}, nil, []string{"create web-0"}, []string{"a=1"}},
	}
	for _, st := range steps {
		write(t, s, st.set, st.remove...)
		if diff := cmp.Diff(st.writes, a.since()); diff != "" {
			t.Errorf("%s: %s", st.why, diff)
		}
		if diff := cmp.Diff(st.want, names(s)); diff != "" {
			t.Errorf("%s: %s", st.why, diff)
		}
		fresh := New(a)
		if err := fresh.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(names(s), names(fresh)); diff != "" {
			t.Errorf("%s: memory and API differ: %s", st.why, diff)
		}
	}
}

// TestEachFieldIsStored: a change of any of them is one.
func TestEachFieldIsStored(t *testing.T) {
	a := newAPI(t)
	s := New(a)
	e := entry("a", "1")
	write(t, s, []v1alpha1.InventoryEntry{e})
	for name, f := range map[string]func(){
		"version":     func() { e.Version = "v2" },
		"uid":         func() { e.UID = "u" },
		"hash":        func() { e.Hash = "2" },
		"fingerprint": func() { e.Fingerprint = "f" },
		"flags":       func() { e.Flags = []string{v1alpha1.FlagNoPrune} },
	} {
		a.since()
		f()
		write(t, s, []v1alpha1.InventoryEntry{e})
		if w := a.since(); len(w) != 1 {
			t.Errorf("a change of the %s: writes %v", name, w)
		}
		fresh := New(a)
		if err := fresh.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&e, fresh.Entries(webApp)[key("a")]); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestParts(t *testing.T) {
	a := newAPI(t)
	s := New(a)
	write(t, s, entries(0, 2*PartSize+PartSize/2, "1"))
	count := func() map[string]int {
		out := map[string]int{}
		for part, names := range a.stored(t) {
			out[part] = len(names)
		}
		return out
	}
	if diff := cmp.Diff(map[string]int{"web-0": PartSize, "web-1": PartSize, "web-2": PartSize / 2}, count()); diff != "" {
		t.Fatal(diff)
	}
	a.since()
	in1 := a.stored(t)["web-1"][3]
	write(t, s, []v1alpha1.InventoryEntry{entry(in1, "2")})
	if diff := cmp.Diff([]string{"patch web-1"}, a.since()); diff != "" {
		t.Errorf("one entry changed: %s", diff)
	}
	write(t, s, nil, key(in1))
	write(t, s, []v1alpha1.InventoryEntry{entry("new", "1")})
	if diff := cmp.Diff(map[string]int{"web-0": PartSize, "web-1": PartSize, "web-2": PartSize / 2}, count()); diff != "" {
		t.Errorf("a new entry fills the first gap: %s", diff)
	}
	var all []object.Key
	for _, n := range a.stored(t)["web-1"] {
		all = append(all, key(n))
	}
	a.since()
	write(t, s, nil, all...)
	if diff := cmp.Diff([]string{"delete web-1"}, a.since()); diff != "" {
		t.Error(diff)
	}
	fresh := New(a)
	if err := fresh.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(names(s), names(fresh)); diff != "" || len(names(s)) != PartSize+PartSize/2 {
		t.Errorf("%d entries; memory and API differ: %s", len(names(s)), diff)
	}
}

func TestTooManyObjects(t *testing.T) {
	a := newAPI(t)
	s := New(a)
	err := s.Write(t.Context(), web, entries(0, MaxObjects+1, "1"), nil)
	if err == nil || !strings.Contains(err.Error(), "owns at most 50000 objects, and this one would own 50001: split it") {
		t.Errorf("%v", err)
	}
	if w := a.since(); len(w) > 0 || len(names(s)) > 0 {
		t.Errorf("%v were written, %d are known", w, len(names(s)))
	}
}

func TestMemoryDoesNotRunAhead(t *testing.T) {
	broken := errors.New("the API server is down")
	a := newAPI(t)
	s := New(a)
	write(t, s, entries(0, 1500, "1"))
	before := names(s)
	// The second part can't be written: the first is known, the second is not.
	a.fail = func(_, name string) error {
		if name == "web-1" {
			return broken
		}
		return nil
	}
	set := []v1alpha1.InventoryEntry{entry("c00000", "2"), entry("c01400", "2")}
	if s.Entries(webApp)[key("c00000")] == nil || a.stored(t)["web-1"] == nil {
		t.Fatal("not as this test takes it to be")
	}
	inFirst, inSecond := a.stored(t)["web-0"][0], a.stored(t)["web-1"][0]
	set[0], set[1] = entry(inFirst, "2"), entry(inSecond, "2")
	err := s.Write(t.Context(), web, set, []object.Key{key(a.stored(t)["web-1"][1])})
	if !errors.Is(err, broken) {
		t.Fatalf("%v", err)
	}
	want := slices.Clone(before)
	for i := range want {
		if want[i] == inFirst+"=1" {
			want[i] = inFirst + "=2"
		}
	}
	if diff := cmp.Diff(want, names(s)); diff != "" {
		t.Errorf("after a write that failed half way: %s", diff)
	}
	a.fail = func(string, string) error { return broken }
	if err := s.Write(t.Context(), web, []v1alpha1.InventoryEntry{entry("fresh", "1")}, nil); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
	if s.Entries(webApp)[key("fresh")] != nil {
		t.Error("an entry that could not be stored is there")
	}
	// What is removed stays until it is stored that it is.
	if err := s.Write(t.Context(), web, nil, []object.Key{key(inFirst)}); !errors.Is(err, broken) || s.Entries(webApp)[key(inFirst)] == nil {
		t.Errorf("%v; an entry whose removal could not be stored is gone", err)
	}
	a.fail = nil
	write(t, s, []v1alpha1.InventoryEntry{entry("fresh", "1")})
	fresh := New(a)
	if err := fresh.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(names(s), names(fresh)); diff != "" {
		t.Errorf("memory and API differ: %s", diff)
	}
}

// TestEntriesStay: what Entries has returned is not changed by what comes later, and
// what was handed to Write does not reach into the memory.
func TestEntriesStay(t *testing.T) {
	s := New(newAPI(t))
	set := []v1alpha1.InventoryEntry{entry("a", "1")}
	set[0].Flags = []string{v1alpha1.FlagNoPrune}
	write(t, s, set)
	set[0].Hash, set[0].Flags[0] = "changed", "changed"
	before := s.Entries(webApp)
	s.Learn(webApp, key("a"), "uid-of-a")
	learnt := s.Entries(webApp)
	write(t, s, []v1alpha1.InventoryEntry{entry("b", "1")})
	wrote := s.Entries(webApp)
	write(t, s, nil, key("b"))
	if len(before) != 1 || before[key("a")].UID != "" || len(learnt) != 1 || learnt[key("a")].UID != "uid-of-a" || len(wrote) != 2 {
		t.Errorf("they were changed: %v, %v, %v", before, learnt, wrote)
	}
	e := s.Entries(webApp)[key("a")]
	if e == nil || e.Hash != "1" || e.Flags[0] != v1alpha1.FlagNoPrune {
		t.Errorf("%+v", e)
	}
}

// alter changes a stored part behind the store's back.
func alter(t *testing.T, a *api, name string, f func(*v1alpha1.Inventory)) {
	t.Helper()
	var p v1alpha1.Inventory
	if err := a.Get(t.Context(), types.NamespacedName{Namespace: "shop", Name: name}, &p); err != nil {
		t.Fatal(err)
	}
	f(&p)
	if err := a.Update(t.Context(), &p); err != nil {
		t.Fatal(err)
	}
}

// TestConflictOnPatch: of a part that is another one than was written last, nothing
// is patched, wherever the entries are now.
func TestConflictOnPatch(t *testing.T) {
	for name, theirs := range map[string][]v1alpha1.InventoryEntry{
		"one more": {entry("a", "1"), entry("b", "1"), entry("c", "1")},
		"shifted":  {entry("0", "1"), entry("a", "1"), entry("b", "1")},
		"fewer":    {entry("a", "1")},
	} {
		a := newAPI(t)
		s := New(a)
		write(t, s, []v1alpha1.InventoryEntry{entry("a", "1"), entry("b", "1")})
		alter(t, a, "web-0", func(p *v1alpha1.Inventory) { p.Entries = theirs })
		before := a.stored(t)
		if err := s.Write(t.Context(), web, []v1alpha1.InventoryEntry{entry("b", "2")}, nil); err == nil {
			t.Errorf("%s: it was written", name)
		}
		if diff := cmp.Diff(before, a.stored(t)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		write(t, s, []v1alpha1.InventoryEntry{entry("b", "2")})
		if e := s.Entries(webApp)[key("b")]; e == nil || e.Hash != "2" {
			t.Errorf("%s: after starting over b is %+v", name, e)
		}
	}
}

// TestPartInDisorder: a part that is not as abide writes one, be it out of order or
// with a key that another part has as well, is not patched but written whole.
func TestPartInDisorder(t *testing.T) {
	for name, stored := range map[string][][]v1alpha1.InventoryEntry{
		"out of order":   {{entry("m", "1"), entry("a", "1"), entry("z", "1")}},
		"twice":          {{entry("a", "1"), entry("a", "1"), entry("m", "1"), entry("z", "1")}},
		"in two parts":   {{entry("a", "1"), entry("k", "1"), entry("m", "1"), entry("z", "1")}, {entry("k", "1")}},
		"in part 0 last": {{entry("a", "1"), entry("m", "1"), entry("z", "1")}, {entry("a", "1"), entry("b", "1")}},
	} {
		a := newAPI(t)
		for n, entries := range stored {
			p := newPart(web, n)
			p.Entries = entries
			if err := a.Create(t.Context(), p); err != nil {
				t.Fatal(err)
			}
		}
		s := New(a)
		if err := s.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, hash := range []string{"2", "3"} {
			write(t, s, []v1alpha1.InventoryEntry{entry("z", hash)})
			fresh := New(a)
			if err := fresh.Load(t.Context()); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(names(s), names(fresh)); diff != "" {
				t.Errorf("%s: what is stored is not what is known (-known +stored): %s", name, diff)
			}
			if e := fresh.Entries(webApp)[key("m")]; e == nil || e.Hash != "1" || fresh.Entries(webApp)[key("z")].Hash != hash {
				t.Errorf("%s: m is %+v, and z is to be %s: %v", name, e, hash, names(fresh))
			}
		}
	}
}

func TestConflict(t *testing.T) {
	a := newAPI(t)
	s := New(a)
	write(t, s, []v1alpha1.InventoryEntry{entry("a", "1")})
	alter(t, a, "web-0", func(p *v1alpha1.Inventory) {
		p.Entries = append(p.Entries, entry("theirs", "1"))
		p.Labels = nil
	})
	err := s.Write(t.Context(), web, []v1alpha1.InventoryEntry{entry("b", "1")}, nil)
	if !apierrors.IsConflict(err) {
		t.Fatalf("%v, want a conflict: the caller has to start over", err)
	}
	if diff := cmp.Diff([]string{"a=1", "theirs=1"}, names(s)); diff != "" {
		t.Errorf("after a conflict, what is stored is known, with or without its label: %s", diff)
	}
	write(t, s, []v1alpha1.InventoryEntry{entry("b", "1")})
	if diff := cmp.Diff(map[string][]string{"web-0": {"a", "b", "theirs"}}, a.stored(t)); diff != "" {
		t.Error(diff)
	}
}

// TestConflictOnCreate: a part exists that memory does not know, as after a
// create whose answer was lost.
func TestConflictOnCreate(t *testing.T) {
	a := newAPI(t)
	write(t, New(a), []v1alpha1.InventoryEntry{entry("a", "1")})
	s := New(a)
	if err := s.Write(t.Context(), web, []v1alpha1.InventoryEntry{entry("b", "1")}, nil); !apierrors.IsAlreadyExists(err) {
		t.Fatalf("%v", err)
	}
	if diff := cmp.Diff([]string{"a=1"}, names(s)); diff != "" {
		t.Error(diff)
	}
	write(t, s, []v1alpha1.InventoryEntry{entry("b", "1")})
}

func TestPartThatSomebodyDeleted(t *testing.T) {
	a := newAPI(t)
	s := New(a)
	write(t, s, []v1alpha1.InventoryEntry{entry("a", "1")})
	err := a.Delete(t.Context(), &v1alpha1.Inventory{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-0"}}, client.Preconditions{UID: new(types.UID("uid-1"))})
	if err != nil {
		t.Fatal(err)
	}
	write(t, s, []v1alpha1.InventoryEntry{entry("b", "1")})
	if diff := cmp.Diff(map[string][]string{"web-0": {"a", "b"}}, a.stored(t)); diff != "" {
		t.Errorf("what is owned was lost with it: %s", diff)
	}
	if err := a.Delete(t.Context(), &v1alpha1.Inventory{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-0"}}, client.Preconditions{UID: new(types.UID("uid-2"))}); err != nil {
		t.Fatal(err)
	}
	write(t, s, []v1alpha1.InventoryEntry{entry("b", "2")})
	if diff := cmp.Diff(map[string][]string{"web-0": {"a", "b"}}, a.stored(t)); diff != "" {
		t.Errorf("what is owned was lost with it, when a hash changed: %s", diff)
	}
	write(t, s, nil, key("a"), key("b"))
	if len(a.stored(t)) != 0 {
		t.Error("the part that was written anew can't be deleted")
	}
}

func TestLoadPages(t *testing.T) {
	var pages []string
	list := func(_ context.Context, _ client.WithWatch, l client.ObjectList, opts ...client.ListOption) error {
		var o client.ListOptions
		o.ApplyOptions(opts)
		pages = append(pages, fmt.Sprint(o.Limit, " ", o.Continue))
		out := l.(*v1alpha1.InventoryList)
		switch o.Continue {
		case "":
			out.Items, out.Continue = []v1alpha1.Inventory{part("web-0", "web", 0, "a"), part("api-0", "api", 0, "x")}, "second"
		case "second":
			out.Items = []v1alpha1.Inventory{part("web-1", "web", 1, "b"), part("copy-of-web", "web", 0, "evil"), part("web-7", "web", 0, "evil")}
		}
		return nil
	}
	s := New(interceptor.NewClient(newAPI(t), interceptor.Funcs{List: list}))
	if err := s.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"100 ", "100 second"}, pages); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"a=1", "b=1"}, names(s)); diff != "" {
		t.Errorf("parts of both pages, and no part under another name than its own: %s", diff)
	}
	if diff := cmp.Diff([]object.App{{Namespace: "shop", Name: "api"}, webApp}, s.Apps()); diff != "" {
		t.Error(diff)
	}
	s.Forget(webApp)
	if len(names(s)) != 0 || len(s.Apps()) != 1 {
		t.Error("a forgotten App is known")
	}
}

func part(name, app string, n int32, entryName string) v1alpha1.Inventory {
	return v1alpha1.Inventory{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}, App: app, Part: n,
		Entries: []v1alpha1.InventoryEntry{entry(entryName, "1")}}
}

func TestLoadThatFails(t *testing.T) {
	a := newAPI(t)
	down := true
	s := New(interceptor.NewClient(a, interceptor.Funcs{
		List: func(ctx context.Context, c client.WithWatch, l client.ObjectList, opts ...client.ListOption) error {
			if down {
				return apierrors.NewForbidden(schema.GroupResource{Group: v1alpha1.Group, Resource: "inventories"}, "", errors.New("no"))
			}
			return c.List(ctx, l, opts...)
		},
	}))
	down = false
	write(t, New(a), []v1alpha1.InventoryEntry{entry("a", "1")})
	if err := s.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	down = true
	if err := s.Load(t.Context()); !apierrors.IsForbidden(err) {
		t.Errorf("%v", err)
	}
	if diff := cmp.Diff([]string{"a=1"}, names(s)); diff != "" {
		t.Errorf("a load that failed took away what was known: %s", diff)
	}
	// A conflict, and the reload fails too: the next write comes back here.
	alter(t, a, "web-0", func(p *v1alpha1.Inventory) { p.Entries = append(p.Entries, entry("theirs", "1")) })
	for range 2 {
		if err := s.Write(t.Context(), web, []v1alpha1.InventoryEntry{entry("b", "1")}, nil); !apierrors.IsConflict(err) {
			t.Errorf("%v", err)
		}
	}
	if diff := cmp.Diff([]string{"a=1"}, names(s)); diff != "" {
		t.Error(diff)
	}
	down = false
	if err := s.Write(t.Context(), web, []v1alpha1.InventoryEntry{entry("b", "1")}, nil); !apierrors.IsConflict(err) {
		t.Errorf("%v", err)
	}
	write(t, s, []v1alpha1.InventoryEntry{entry("b", "1")})
	if diff := cmp.Diff([]string{"a=1", "b=1", "theirs=1"}, names(s)); diff != "" {
		t.Error(diff)
	}
}

// TestAppsWhileOthersWrite is for the race detector: runs of different Apps
// overlap, and Apps looks at all of them.
func TestAppsWhileOthersWrite(t *testing.T) {
	s := New(newAPI(t))
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			app := &v1alpha1.App{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: fmt.Sprint("app", i)}}
			for j := range 20 {
				if err := s.Write(t.Context(), app, entries(j, j+2, "1"), []object.Key{key(fmt.Sprintf("c%05d", j-1))}); err != nil {
					t.Error(err)
				}
				s.Entries(object.App{Namespace: "shop", Name: app.Name})
				s.Apps()
			}
		})
	}
	wg.Wait()
	if len(s.Apps()) != 4 {
		t.Errorf("%v", s.Apps())
	}
}

// TestPartHasNoOwner: a foreground deletion of the App would take the record
// first, and with it the knowledge of what has to be removed.
func TestPartHasNoOwner(t *testing.T) {
	a := newAPI(t)
	write(t, New(a), []v1alpha1.InventoryEntry{entry("a", "1")})
	alter(t, a, "web-0", func(p *v1alpha1.Inventory) {
		if len(p.OwnerReferences) > 0 || p.Namespace != "shop" || p.App != "web" || p.Labels[labelInventoryOf] != webApp.Label() {
			t.Errorf("%+v", p)
		}
	})
}

// TestLearn: a uid that was learnt costs no write, and goes with the next one of
// its part, or when it is asked for.
func TestLearn(t *testing.T) {
	a := newAPI(t)
	s := New(a)
	write(t, s, []v1alpha1.InventoryEntry{entry("a", "1"), entry("b", "1")})
	a.since()
	uid := func(name string) types.UID { return s.Entries(webApp)[key(name)].UID }
	s.Learn(webApp, key("a"), "uid-of-a")
	s.Learn(webApp, key("b"), "uid-of-b")
	s.Learn(webApp, key("nobody's"), "uid")
	if w := a.since(); len(w) != 0 || uid("a") != "uid-of-a" || len(s.Entries(webApp)) != 2 {
		t.Errorf("learning wrote %v, and a has uid %q", w, uid("a"))
	}
	if got := s.Learnt(webApp); len(got) != 2 {
		t.Errorf("%d are not stored, want 2", len(got))
	}
	write(t, s, []v1alpha1.InventoryEntry{entry("c", "1")})
	fresh := New(a)
	if err := fresh.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if e := fresh.Entries(webApp)[key("b")]; e.UID != "uid-of-b" || len(s.Learnt(webApp)) != 0 {
		t.Errorf("after a write of the part b is stored as %+v, and %v are not", e, s.Learnt(webApp))
	}
	// Asked for, without anything else to write.
	s.Learn(webApp, key("c"), "uid-of-c")
	a.since()
	write(t, s, s.Learnt(webApp))
	if w := a.since(); len(w) != 1 || len(s.Learnt(webApp)) != 0 {
		t.Errorf("writes %v, left %v", w, s.Learnt(webApp))
	}
}

// TestAppsNamedAsParts: a part is named after its App with a number, and an App
// may be named like that too. Nobody's entries become another's.
func TestAppsNamedAsParts(t *testing.T) {
	a := newAPI(t)
	s := New(a)
	apps := []string{"web", "web-0", "web-1", "web-0-0", "web-00", "0"}
	for _, name := range apps {
		app := &v1alpha1.App{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}}
		if err := s.Write(t.Context(), app, []v1alpha1.InventoryEntry{entry("of-"+name, "1")}, nil); err != nil {
			t.Fatal(err)
		}
	}
	// A copy under the name of a part that there is not.
	forged := &v1alpha1.Inventory{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web-0-9"}, App: "web", Entries: []v1alpha1.InventoryEntry{entry("forged", "1")}}
	if err := a.WithWatch.Create(t.Context(), forged); err != nil {
		t.Fatal(err)
	}
	again := New(a)
	if err := again.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range apps {
		got := again.Entries(object.App{Namespace: "shop", Name: name})
		if len(got) != 1 || got[key("of-"+name)] == nil {
			t.Errorf("App %s owns %v", name, got)
		}
	}
}
