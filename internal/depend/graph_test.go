package depend

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/object"
)

func allowing(app *v1alpha1.App, namespaces ...string) *v1alpha1.App {
	app.Spec.AllowedDependents = namespaces
	return app
}

func leaving(app *v1alpha1.App) *v1alpha1.App {
	app.DeletionTimestamp = &metav1.Time{}
	return app
}

func madeBy(app *v1alpha1.App, owner string) *v1alpha1.App {
	app.Annotations = map[string]string{v1alpha1.AnnotationOwner: owner}
	return app
}

func graphOf(apps ...*v1alpha1.App) *Graph {
	var g Graph
	for _, a := range apps {
		g.Put(a)
	}
	return &g
}

func TestCycle(t *testing.T) {
	for _, row := range []struct {
		why  string
		apps []*v1alpha1.App
		of   string // of the App x/a
	}{
		{"a chain", []*v1alpha1.App{named("x", "a", "b"), named("x", "b", "c"), named("x", "c")}, ""},
		{"two ways to one App", []*v1alpha1.App{named("x", "a", "b", "c"), named("x", "b", "d"), named("x", "c", "d"), named("x", "d")}, ""},
		{"an App that waits for itself", []*v1alpha1.App{named("x", "a", "a")}, "x/a → x/a"},
		{"two Apps", []*v1alpha1.App{named("x", "a", "b"), named("x", "b", "a")}, "x/a → x/b → x/a"},
		{"the shortest of two", []*v1alpha1.App{named("x", "a", "b", "d"), named("x", "b", "c"), named("x", "c", "a"), named("x", "d", "a")}, "x/a → x/d → x/a"},
		{"three Apps", []*v1alpha1.App{named("x", "a", "b"), named("x", "b", "c"), named("x", "c", "a")}, "x/a → x/b → x/c → x/a"},
		{"a circle further on is that of others", []*v1alpha1.App{named("x", "a", "b"), named("x", "b", "c"), named("x", "c", "b")}, ""},
		{"an App that does not exist", []*v1alpha1.App{named("x", "a", "b")}, ""},
		{"through another namespace", []*v1alpha1.App{allowing(named("x", "a", "y/b"), "y"), allowing(named("y", "b", "x/a"), "*")}, "x/a → y/b → x/a"},
		{"not through one that does not allow it: nothing is told of it",
			[]*v1alpha1.App{allowing(named("x", "a", "y/b"), "y"), named("y", "b", "x/a")}, ""},
		{"an App that depends on its maker", []*v1alpha1.App{madeBy(named("x", "a", "parent"), "x/parent"), named("x", "parent")},
			"x/a → x/parent → x/a (x/parent made it, and is healthy only when it is)"},
		{"an App that depends on what its maker's maker depends on is none",
			[]*v1alpha1.App{madeBy(named("x", "a", "b"), "x/parent"), madeBy(named("x", "parent"), "x/root"), named("x", "root", "b"), named("x", "b")}, ""},
		{"an App that depends on its maker's maker, by way of another",
			[]*v1alpha1.App{madeBy(named("x", "a", "b"), "x/parent"), madeBy(named("x", "parent"), "x/root"), named("x", "root"), named("x", "b", "root")},
			"x/a → x/b → x/root → x/a (x/root made it, and is healthy only when it is)"},
		{"what another App says of its maker is not believed", []*v1alpha1.App{named("x", "a"), madeBy(named("x", "b", "a"), "x/a")}, ""},
		{"makers that go in a circle", []*v1alpha1.App{madeBy(named("x", "a", "c"), "x/b"), madeBy(named("x", "b"), "x/a"), named("x", "c")}, ""},
	} {
		t.Run(row.why, func(t *testing.T) {
			c := graphOf(row.apps...).Cycle(object.App{Namespace: "x", Name: "a"})
			got := ""
			if c != nil {
				got = strings.TrimSuffix(strings.TrimPrefix(c.Error(), "the dependencies go in a circle: "), ": take one out of spec.dependsOn")
			}
			if got != row.of {
				t.Errorf("the circle is %q, want %q", got, row.of)
			}
		})
	}
}

func TestLeaving(t *testing.T) {
	for _, row := range []struct {
		why              string
		apps             []*v1alpha1.App
		leaving, staying string // what depends on x/a
	}{
		{"nobody depends on it", []*v1alpha1.App{named("x", "a", "b"), leaving(named("x", "b"))}, "", ""},
		{"one goes and one stays", []*v1alpha1.App{named("x", "a"), leaving(named("x", "b", "a")), named("x", "c", "a")}, "x/b", "x/c"},
		{"one that depends on it by way of another is not its business",
			[]*v1alpha1.App{named("x", "a"), named("x", "b", "a"), leaving(named("x", "c", "b"))}, "", "x/b"},
		{"one that it does not allow holds up nothing", []*v1alpha1.App{named("x", "a"), leaving(named("y", "b", "x/a")), named("y", "c", "x/a")}, "", ""},
		{"one that it allows", []*v1alpha1.App{allowing(named("x", "a"), "y"), leaving(named("y", "b", "x/a"))}, "y/b", ""},
		{"a circle would wait for ever", []*v1alpha1.App{leaving(named("x", "a", "b")), leaving(named("x", "b", "a")), leaving(named("x", "c", "a"))}, "x/c", ""},
		{"it does not wait for itself", []*v1alpha1.App{leaving(named("x", "a", "a"))}, "", ""},
	} {
		t.Run(row.why, func(t *testing.T) {
			g, a := graphOf(row.apps...), object.App{Namespace: "x", Name: "a"}
			if got := names(g.Leaving(a)); got != row.leaving {
				t.Errorf("those that go are %q, want %q", got, row.leaving)
			}
			if got := names(g.Staying(a)); got != row.staying {
				t.Errorf("those that stay are %q, want %q", got, row.staying)
			}
		})
	}
}

func names(apps []object.App) string {
	var out []string
	for _, a := range apps {
		out = append(out, a.String())
	}
	return strings.Join(out, " ")
}

// A graph that Apps came and went from, in whatever order, is that of those that
// are there.
func TestGraphForgets(t *testing.T) {
	a := object.App{Namespace: "x", Name: "a"}
	g := graphOf(named("x", "b", "a"), named("x", "a", "b"))
	if g.Cycle(a) == nil {
		t.Fatal("there is a circle")
	}
	g.Put(named("x", "b"))
	if c := g.Cycle(a); c != nil || len(g.Staying(a)) > 0 {
		t.Errorf("b depends on nothing any more, and there is %v", c)
	}
	g.Put(named("x", "b", "a"))
	g.Delete(object.App{Namespace: "x", Name: "b"})
	g.Delete(a)
	g.Delete(a)
	if d := cmp.Diff(0, len(g.nodes)+len(g.dependents)); d != "" {
		t.Errorf("something is kept of Apps that are gone: %v %v", g.nodes, g.dependents)
	}
	if slices.Contains(g.Leaving(a), a) {
		t.Error("what is gone does not leave")
	}
}

// The version tells whether a circle has to be looked for again.
func TestGraphVersion(t *testing.T) {
	g := graphOf(named("x", "a", "b"), named("x", "b"))
	last := g.Version()
	for _, row := range []struct {
		why    string
		change func()
		news   bool
	}{
		{"a status", func() {
			app := named("x", "a", "b")
			isReady(app)
			g.Put(app)
		}, false},
		{"a dependency", func() { g.Put(named("x", "b", "a")) }, true},
		{"who may depend on it", func() { g.Put(allowing(named("x", "b", "a"), "y")) }, true},
		{"it is being deleted", func() { g.Put(leaving(allowing(named("x", "b", "a"), "y"))) }, true},
		{"its maker", func() { g.Put(madeBy(named("x", "a", "b"), "x/p")) }, true},
		{"it is gone", func() { g.Delete(object.App{Namespace: "x", Name: "a"}) }, true},
		{"it is gone already", func() { g.Delete(object.App{Namespace: "x", Name: "a"}) }, false},
	} {
		row.change()
		if news := g.Version() != last; news != row.news {
			t.Errorf("%s: the version changed: %v", row.why, news)
		}
		last = g.Version()
	}
}
