package observe

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/cluster"
	"abide.dev/abide/internal/health"
	"abide.dev/abide/internal/object"
)

var gadget = cluster.Kind{GroupVersionKind: schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Gadget"}, Resource: "gadgets", Namespaced: true}

// degraded are rules by which every object of a kind is Degraded.
func degraded(t *testing.T, kind, message string) health.Rules {
	t.Helper()
	r, err := health.Parse("r", fmt.Appendf(nil, "health:\n- group: example.com\n  kinds: [%s]\n  rules: [{when: true, health: Degraded, message: \"'%s'\"}]", kind, message))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func widgetsAndGadgets(objects ...runtime.Object) *fake.FakeDynamicClient {
	return fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(),
		map[schema.GroupVersionResource]string{widget.GVR(): "WidgetList", gadget.GVR(): "GadgetList"}, objects...)
}

// lists are the selectors of the lists of a kind so far.
func lists(dyn *fake.FakeDynamicClient, resource string) (selectors []string) {
	for _, a := range dyn.Actions() {
		if l, ok := a.(clienttesting.ListAction); ok && a.GetResource().Resource == resource {
			selectors = append(selectors, l.GetListRestrictions().Labels.String())
		}
	}
	return selectors
}

// says tells whether the record of a widget has a message; the empty one is that
// of what is healthy.
func says(tr *Tracker, name, message string) func() bool {
	return func() bool {
		k := key
		k.Name = name
		r, ok := tr.Get(k)
		return ok && r.Message == message && (r.Health == v1alpha1.HealthHealthy) == (message == "")
	}
}

// judging is a tracker that has seen a widget and a gadget of web and a widget of
// other.
func judging(t *testing.T) (*Tracker, *told, *fake.FakeDynamicClient) {
	t.Helper()
	dyn := widgetsAndGadgets(obj{rv: 1, value: "a"}.make(), obj{name: "others", app: other, rv: 2, value: "a"}.make(), obj{kind: gadget, rv: 3}.make())
	tr, told := newTracker(dyn)
	run(t, tr)
	both := []cluster.Kind{widget, gadget}
	told.await(t, "the first lists", func() bool { return len(tr.Use(web, both))+len(tr.Use(other, both)) == 0 })
	told.take()
	return tr, told, dyn
}

// TestRulesForAll: rules that change for a kind have its objects judged anew, and
// those of other kinds are not looked at.
func TestRulesForAll(t *testing.T) {
	tr, told, dyn := judging(t)
	before, _ := tr.Get(key)
	for i, c := range []struct {
		reason  string
		rules   health.Rules
		message string
		lists   int // of widgets since
	}{
		{"a rule comes", degraded(t, "Widget", "one"), "one", 1},
		{"it changes", degraded(t, "Widget", "two"), "two", 1},
		{"one of another kind comes", degraded(t, "Widget", "two").Before(degraded(t, "Thing", "three")), "two", 0},
		{"it goes", health.Shipped(), "", 1},
	} {
		have := len(lists(dyn, "widgets"))
		tr.Judge(c.rules)
		told.await(t, c.reason, func() bool {
			return says(tr, "w", c.message)() && says(tr, "others", c.message)() && len(tr.Use(web, []cluster.Kind{widget, gadget})) == 0
		})
		if got := len(lists(dyn, "widgets")) - have; got != c.lists {
			t.Errorf("%s: %d lists of widgets, want %d", c.reason, got, c.lists)
		}
		if got := told.take(); i == 0 && (len(got) < 2 || got[0] != other || got[len(got)-1] != web) {
			t.Errorf("%s: told %v", c.reason, got)
		}
	}
	if got := lists(dyn, "gadgets"); len(got) != 1 {
		t.Errorf("gadgets were listed again: %v", got)
	}
	if r, _ := tr.Get(key); r.Observed != before.Observed {
		t.Errorf("%+v, and nothing but its health has changed: %+v", r, before)
	}
	// The watch that took over works.
	drifted := obj{rv: 9, value: "b"}.make()
	if _, err := dyn.Resource(widget.GVR()).Namespace("shop").Update(t.Context(), drifted, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	told.await(t, "a drift after all that", func() bool {
		r, _ := tr.Get(key)
		return r.Fingerprint == object.Fingerprint(drifted).Fingerprint
	})
}

// TestRulesOfAnApp: an App's own rules come before those for all and are about its
// objects alone, which are read by its label.
func TestRulesOfAnApp(t *testing.T) {
	tr, told, dyn := judging(t)
	tr.Judge(degraded(t, "Widget", "all"))
	told.await(t, "the rules for all", func() bool { return says(tr, "w", "all")() && says(tr, "others", "all")() })
	for _, c := range []struct {
		reason  string
		rules   health.Rules
		message string
		lists   int
	}{
		{"a rule comes", degraded(t, "Widget", "own"), "own", 1},
		{"the same again", degraded(t, "Widget", "own"), "own", 0},
		{"one for a kind that there is not", degraded(t, "Widget", "own").Before(degraded(t, "Thing", "own")), "own", 0},
		{"it goes", health.Rules{}, "all", 1},
	} {
		have := len(lists(dyn, "widgets"))
		told.take()
		tr.JudgeOf(web, c.rules)
		if p := tr.Use(web, []cluster.Kind{widget, gadget}); c.lists > 0 && len(p) == 0 && !says(tr, "w", c.message)() {
			t.Errorf("%s: the App is not told to wait", c.reason)
		}
		told.await(t, c.reason, func() bool {
			return says(tr, "w", c.message)() && len(tr.Use(web, []cluster.Kind{widget, gadget})) == 0
		})
		now := lists(dyn, "widgets")[have:]
		if len(now) != c.lists {
			t.Errorf("%s: lists of widgets %v, want %d", c.reason, now, c.lists)
		}
		for _, selector := range now {
			if selector != v1alpha1.LabelApp+"="+web.Label() {
				t.Errorf("%s: %q is listed", c.reason, selector)
			}
		}
		if !says(tr, "others", "all")() {
			t.Errorf("%s: the other App is judged by it", c.reason)
		}
		for _, app := range told.take() {
			if app != web {
				t.Errorf("%s: %v is told", c.reason, app)
			}
		}
	}
	if got := lists(dyn, "gadgets"); len(got) != 1 {
		t.Errorf("gadgets were listed again: %v", got)
	}
	if p := tr.Use(other, []cluster.Kind{widget, gadget}); len(p) != 0 {
		t.Errorf("the other App waits: %v", p)
	}
}

// TestRulesBeforeTheFirstWatch: rules that are there before anything is seen cost
// no list, and hold for what the first list, an event and an apply bring.
func TestRulesBeforeTheFirstWatch(t *testing.T) {
	tr, _ := newTracker(nil)
	tr.JudgeOf(web, degraded(t, "Widget", "own"))
	tr.Judge(degraded(t, "Widget", "all"))
	tr.Use(web, []cluster.Kind{widget})
	w := tr.watches[widget.GroupVersionKind]
	if err := w.Replace([]any{obj{rv: 1}.make(), obj{name: "others", app: other, rv: 1}.make()}, "2"); err != nil {
		t.Fatal(err)
	}
	if err := w.Update(obj{name: "updated", rv: 3}.make()); err != nil {
		t.Fatal(err)
	}
	tr.Applied(obj{name: "applied", rv: 4}.make())
	for name, want := range map[string]string{"w": "own", "others": "all", "updated": "own", "applied": "own"} {
		if !says(tr, name, want)() {
			k := key
			k.Name = name
			r, _ := tr.Get(k)
			t.Errorf("%s: %+v, want %s", name, r, want)
		}
	}
	if p := tr.Use(web, []cluster.Kind{widget}); len(p) != 0 {
		t.Errorf("it waits for %v", p)
	}
	tr.Forget(web)
	if len(tr.rules.own) != 0 {
		t.Error("the rules of an App that is forgotten are left")
	}
}

// TestRulesOfANewcomer: an App with rules begins to use a kind whose watch has
// seen its objects before there were any.
func TestRulesOfANewcomer(t *testing.T) {
	dyn := widgetsAndGadgets(obj{rv: 1}.make())
	tr, told := newTracker(dyn)
	run(t, tr)
	told.await(t, "the first list", func() bool { return len(tr.Use(other, []cluster.Kind{widget})) == 0 })
	tr.JudgeOf(web, degraded(t, "Widget", "own"))
	told.await(t, "the App to have what it needs", func() bool { return len(tr.Use(web, []cluster.Kind{widget})) == 0 })
	if !says(tr, "w", "own")() {
		t.Error("its object is judged without its rules")
	}
	tr.JudgeOf(object.App{Namespace: "shop", Name: "third"}, degraded(t, "Gadget", "own"))
	if p := tr.Use(object.App{Namespace: "shop", Name: "third"}, []cluster.Kind{widget}); len(p) != 0 {
		t.Errorf("it waits for a kind that its rules are not for: %v", p)
	}
}

// TestRulesChangeUnderAList: what a first list had reduced before the rules of an
// App changed is judged again.
func TestRulesChangeUnderAList(t *testing.T) {
	dyn := widgetsAndGadgets(obj{rv: 1}.make())
	tr, told := newTracker(dyn)
	run(t, tr)
	told.await(t, "the first list", func() bool { return len(tr.Use(web, []cluster.Kind{widget})) == 0 })
	w := tr.watches[widget.GroupVersionKind]
	late, err := w.Transformer()(obj{rv: 1}.make())
	if err != nil {
		t.Fatal(err)
	}
	tr.JudgeOf(web, degraded(t, "Widget", "own"))
	told.await(t, "the change", says(tr, "w", "own"))
	if err := w.Replace([]any{late}, "1"); err != nil {
		t.Fatal(err)
	}
	told.await(t, "the late list to be put right", says(tr, "w", "own"))
}

// TestRejudgeFails: an App that waits for its objects to be judged anew is told
// why it has to, and goes on when they are.
func TestRejudgeFails(t *testing.T) {
	tr, told, dyn := judging(t)
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
	tr.JudgeOf(web, degraded(t, "Widget", "own"))
	told.await(t, "the refusal", func() bool {
		p := tr.Use(web, []cluster.Kind{widget})
		return len(p) == 1 && p[0].Err != nil && apierrors.IsForbidden(p[0].Err) && strings.Contains(p[0].Err.Error(), "App shop/web")
	})
	if p := tr.Use(other, []cluster.Kind{widget}); len(p) != 0 {
		t.Errorf("the other App has to wait: %v", p)
	}
	mu.Lock()
	refuse = false
	mu.Unlock()
	told.take()
	told.await(t, "the rules", func() bool { return len(tr.Use(web, []cluster.Kind{widget})) == 0 })
	if !says(tr, "w", "own")() {
		t.Error("it need not wait any more, and is not judged")
	}
	// An App that does not use the kind any more is no reason to go on.
	mu.Lock()
	refuse = true
	mu.Unlock()
	tr.JudgeOf(web, degraded(t, "Widget", "two"))
	tr.Forget(web)
	told.await(t, "the end of the lists", func() bool {
		tr.mu.Lock()
		defer tr.mu.Unlock()
		return len(tr.again) == 0
	})
}

// TestRulesChangeConcurrently is for the race detector, and for what is left.
func TestRulesChangeConcurrently(t *testing.T) {
	tr, told, _ := judging(t)
	one, two := degraded(t, "Widget", "one"), degraded(t, "Widget", "two")
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 20 {
			tr.Judge(one)
			tr.Judge(two)
		}
	})
	wg.Go(func() {
		for range 20 {
			tr.JudgeOf(web, two)
			tr.JudgeOf(web, one)
		}
	})
	wg.Go(func() {
		for range 100 {
			tr.Applied(obj{rv: 1, value: "a"}.make())
			tr.Use(web, []cluster.Kind{widget, gadget})
		}
	})
	wg.Wait()
	told.await(t, "the last of all", func() bool {
		return says(tr, "w", "one")() && says(tr, "others", "two")() &&
			len(tr.Use(web, []cluster.Kind{widget, gadget}))+len(tr.Use(other, []cluster.Kind{widget, gadget})) == 0
	})
	if u, ok := tr.Changed(key); ok {
		t.Errorf("a change of rules passes for a drift: %v", u)
	}
}
