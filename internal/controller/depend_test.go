package controller

import (
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/object"
)

func appOn(name string, on ...string) *v1alpha1.App {
	app := &v1alpha1.App{ObjectMeta: metav1.ObjectMeta{Namespace: "x", Name: name}}
	for _, o := range on {
		app.Spec.DependsOn = append(app.Spec.DependsOn, v1alpha1.Dependency{Name: o})
	}
	return app
}

func idOf(name string) object.App { return object.App{Namespace: "x", Name: name} }

// woken collects who is woken.
type woken []string

func (w *woken) wake(id object.App) { *w = append(*w, id.Name) }

func (w *woken) expect(t *testing.T, what string, names ...string) {
	t.Helper()
	slices.Sort(*w)
	if !slices.Equal(*w, woken(names)) {
		t.Errorf("%s: woken are %v, want %v", what, *w, names)
	}
	*w = nil
}

// A change wakes exactly those that wait for what has changed.
func TestDependsWakes(t *testing.T) {
	var w woken
	d := NewDepends(w.wake)
	main := refKey{"https://example.com/x", "branch main"}
	for _, app := range []*v1alpha1.App{appOn("db"), appOn("queue"), appOn("web", "db", "queue"), appOn("job", "queue"), appOn("idle", "db")} {
		d.Put(app)
	}
	w.expect(t, "nobody waits")
	d.wait(idOf("web"), wait{on: []object.App{idOf("db"), idOf("queue")}, ref: main})
	d.wait(idOf("job"), wait{on: []object.App{idOf("queue")}, conditional: true})

	h := d.Handler()
	changed := func(name string, change func(*v1alpha1.App)) {
		now := appOn(name)
		change(now)
		h.Update(t.Context(), event.UpdateEvent{ObjectOld: appOn(name), ObjectNew: now}, nil)
	}
	changed("db", func(a *v1alpha1.App) { a.Status.State = v1alpha1.StateFailed })
	w.expect(t, "the db changed", "web")
	changed("db", func(a *v1alpha1.App) { a.Status.State, a.Status.Objects.Healthy = v1alpha1.StateFailed, 3 })
	w.expect(t, "the db changed in what decides nothing")
	changed("queue", func(a *v1alpha1.App) { a.Labels = map[string]string{"a": "b"} })
	w.expect(t, "only a condition could be about it", "job")
	h.Delete(t.Context(), event.DeleteEvent{Object: appOn("queue")}, nil)
	w.expect(t, "the queue is gone", "job", "web")
	h.Create(t.Context(), event.CreateEvent{Object: appOn("queue")}, nil)
	w.expect(t, "the queue is there", "job", "web")
	d.Put(appOn("idle", "db"))
	w.expect(t, "one that nobody waits for changed")

	d.Told(idOf("db"), "1")
	w.expect(t, "the db has looked at a commit", "web")
	d.Told(idOf("db"), "1")
	d.Told(idOf("db"), "")
	w.expect(t, "the db says the same")
	d.Judged(main)
	w.expect(t, "a ref was judged that one of them follows", "web")
	d.Judged(refKey{"https://example.com/x", "branch old"})
	w.expect(t, "another ref was judged")

	d.wait(idOf("web"), wait{on: []object.App{idOf("queue")}, ref: main})
	d.Put(appOn("db"))
	w.expect(t, "it waits for the db no longer")
	d.Done(idOf("web"))
	d.Delete(idOf("job"))
	d.Put(appOn("queue"))
	d.Judged(main)
	w.expect(t, "nobody waits any more")
	if len(d.waiting)+len(d.waits) > 0 {
		t.Errorf("something is kept of waits that are over: %v %v", d.waiting, d.waits)
	}
}

// What is compiled of an App is kept until its spec changes or it is another App.
func TestDependsCompilesOnce(t *testing.T) {
	d := NewDepends(func(object.App) {})
	app := appOn("web", "db")
	app.UID, app.Generation, app.Spec.DependsOn[0].Condition = "1", 1, "true"
	first, err := d.compiled(app)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := d.compiled(app); again[0] != first[0] {
		t.Error("it was compiled twice")
	}
	app.Generation, app.Spec.DependsOn[0].Condition = 2, "tru"
	if _, err := d.compiled(app); err == nil {
		t.Error("it is still the old one")
	}
	app.UID, app.Spec.DependsOn[0].Condition = "2", "true"
	if _, err := d.compiled(app); err != nil {
		t.Error("it is that of another App:", err)
	}
}

// A run of an App that waits, and is let go on or changed, leaves nothing behind.
func TestDependsOfARun(t *testing.T) {
	var w woken
	a := &Apps{Depends: NewDepends(w.wake)}
	if a.depends(idOf("db"), appOn("db")) != nil {
		t.Error("an App without dependencies asks about them")
	}
	deleted := appOn("db")
	deleted.DeletionTimestamp = &metav1.Time{}
	if a.depends(idOf("db"), deleted) == nil {
		t.Error("an App that is being deleted does not ask who depends on it")
	}
	a.depends(idOf("db"), appOn("db", "web"))
	r := a.depends(idOf("web"), appOn("web", "db"))
	if err := r.Check(); err == nil {
		t.Error("a circle passes")
	}
	repaired := appOn("db")
	repaired.Generation++
	a.Depends.Put(repaired)
	w.expect(t, "the other of a circle changed", "web")
	if r := a.depends(idOf("web"), appOn("web", "db")); r.Check() != nil {
		t.Error("there is no circle any more")
	}
	a.Depends.Delete(idOf("db"))
	w.expect(t, "nobody waits")
}
