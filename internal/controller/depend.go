package controller

import (
	"context"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/depend"
	"abide.dev/abide/internal/health"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/pipeline"
)

// Depends knows which App depends on which, and which of them waits for which, so
// that a change of one wakes those that wait for it and nobody else. It is held in
// memory, fed by the watch of Apps that there is anyway, and sends no request.
type Depends struct {
	wake func(object.App)

	mu    sync.Mutex
	graph depend.Graph
	facts map[object.App]depend.Facts
	// told is the commit that the status of each App speaks for.
	told map[object.App]string
	// waiting are the Apps that wait, by what they wait for.
	waiting map[object.App]map[object.App]bool
	waits   map[object.App]wait
	// warned are the Apps that are being deleted below others that stay, of which
	// that has been said.
	warned     map[object.App]bool
	conditions map[object.App]conditions
	circles    map[object.App]circle
}

// circle is the one that an App is part of, nil if it is of none, and the version
// of the graph that it was looked for in.
type circle struct {
	version uint64
	found   *depend.CycleError
}

// wait is what one App waits for.
type wait struct {
	on  []object.App
	ref refKey // that it follows
	// conditional: it waits for a condition besides, which could be about anything.
	conditional bool
}

// conditions are those of one App's dependencies, compiled.
type conditions struct {
	uid        types.UID
	generation int64
	list       []*health.Condition
	err        error
}

// NewDepends returns an empty index, which has Apps woken by wake.
func NewDepends(wake func(object.App)) *Depends {
	return &Depends{
		wake:       wake,
		facts:      map[object.App]depend.Facts{},
		told:       map[object.App]string{},
		waiting:    map[object.App]map[object.App]bool{},
		waits:      map[object.App]wait{},
		warned:     map[object.App]bool{},
		conditions: map[object.App]conditions{},
		circles:    map[object.App]circle{},
	}
}

// Handler is told of every App by the watch of Apps. It enqueues nothing itself.
func (d *Depends) Handler() handler.EventHandler {
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	put := func(o client.Object) {
		if app, ok := o.(*v1alpha1.App); ok {
			d.Put(app)
		}
	}
	return handler.Funcs{
		CreateFunc: func(_ context.Context, e event.CreateEvent, _ queue) { put(e.Object) },
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, _ queue) { put(e.ObjectNew) },
		DeleteFunc: func(_ context.Context, e event.DeleteEvent, _ queue) {
			d.Delete(object.App{Namespace: e.Object.GetNamespace(), Name: e.Object.GetName()})
		},
	}
}

// Put takes over an App as it is now. A status that says of a rollout how far it is
// wakes nobody before it says that it is over.
func (d *Depends) Put(app *v1alpha1.App) {
	id, now := depend.ID(app), depend.FactsOf(app)
	d.mu.Lock()
	d.graph.Put(app)
	then, known := d.facts[id]
	d.facts[id] = now
	d.unlockAndWake(id, !known || then != now)
}

// Delete takes out an App that does not exist any more.
func (d *Depends) Delete(id object.App) {
	d.mu.Lock()
	d.graph.Delete(id)
	delete(d.facts, id)
	delete(d.told, id)
	delete(d.warned, id)
	delete(d.conditions, id)
	delete(d.circles, id)
	d.done(id)
	d.unlockAndWake(id, true)
}

// Told says that the status of an App speaks for a commit.
func (d *Depends) Told(id object.App, commit string) {
	d.mu.Lock()
	if commit == "" || d.told[id] == commit {
		d.mu.Unlock()
		return
	}
	d.told[id] = commit
	d.unlockAndWake(id, true)
}

// Judged says that a ref has been judged further: those wait in vain that wait at
// a commit of it which others are beyond.
func (d *Depends) Judged(k refKey) {
	d.mu.Lock()
	var wake []object.App
	for id, w := range d.waits {
		if w.ref == k {
			wake = append(wake, id)
		}
	}
	d.mu.Unlock()
	for _, id := range wake {
		d.wake(id)
	}
}

// unlockAndWake releases the lock and wakes those that wait for an App: all, or
// those alone that have a condition.
func (d *Depends) unlockAndWake(id object.App, all bool) {
	var wake []object.App
	for w := range d.waiting[id] {
		if all || d.waits[w].conditional {
			wake = append(wake, w)
		}
	}
	d.mu.Unlock()
	for _, w := range wake {
		d.wake(w)
	}
}

// wait has an App woken at every change of others, until it is done. It is called
// before these are looked at: what changes meanwhile is then not missed.
func (d *Depends) wait(id object.App, w wait) {
	d.done(id)
	for _, o := range w.on {
		if d.waiting[o] == nil {
			d.waiting[o] = map[object.App]bool{}
		}
		d.waiting[o][id] = true
	}
	d.waits[id] = w
}

func (d *Depends) done(id object.App) {
	for _, o := range d.waits[id].on {
		delete(d.waiting[o], id)
		if len(d.waiting[o]) == 0 {
			delete(d.waiting, o)
		}
	}
	delete(d.waits, id)
}

// Done says that an App waits for nobody.
func (d *Depends) Done(id object.App) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.done(id)
}

// circle returns the circle that an App is part of.
func (d *Depends) circle(id object.App) *depend.CycleError {
	c, known := d.circles[id]
	if v := d.graph.Version(); !known || c.version != v {
		c = circle{v, d.graph.Cycle(id)}
		d.circles[id] = c
	}
	return c.found
}

// compiled returns the conditions of an App's dependencies.
func (d *Depends) compiled(app *v1alpha1.App) ([]*health.Condition, error) {
	id := depend.ID(app)
	d.mu.Lock()
	c, ok := d.conditions[id]
	d.mu.Unlock()
	if ok && c.uid == app.UID && c.generation == app.Generation {
		return c.list, c.err
	}
	c = conditions{uid: app.UID, generation: app.Generation}
	c.list, c.err = depend.Conditions(app)
	d.mu.Lock()
	d.conditions[id] = c
	d.mu.Unlock()
	return c.list, c.err
}

// dependencies is what a run of one App asks. It implements
// [pipeline.Dependencies].
type dependencies struct {
	*Apps
	app *v1alpha1.App
	id  object.App
}

// depends returns what a run of an App asks about the Apps that come first; nil if
// there can be none.
func (a *Apps) depends(id object.App, app *v1alpha1.App) pipeline.Dependencies {
	d := a.Depends
	d.mu.Lock()
	defer d.mu.Unlock()
	d.graph.Put(app) // the watch may be behind what is read
	d.done(id)
	if app.DeletionTimestamp == nil && len(app.Spec.DependsOn) == 0 {
		return nil
	}
	return &dependencies{a, app, id}
}

// Check implements [pipeline.Dependencies].
func (r *dependencies) Check() error {
	if _, err := r.Depends.compiled(r.app); err != nil {
		return err
	}
	d := r.Depends
	d.mu.Lock()
	defer d.mu.Unlock()
	if c := d.circle(r.id); c != nil {
		d.wait(r.id, wait{on: slices.DeleteFunc(slices.Clone(c.Apps), func(a object.App) bool { return a == r.id })})
		return c
	}
	return nil
}

// Waits implements [pipeline.Dependencies].
func (r *dependencies) Waits(ctx context.Context, commit, since string) depend.Verdict {
	list, _ := r.Depends.compiled(r.app) // Check has seen the error
	on := wait{on: make([]object.App, len(r.app.Spec.DependsOn)), ref: refKeyOf(r.app)}
	for i := range on.on {
		on.on[i] = depend.Of(&r.app.Spec.DependsOn[i], r.app.Namespace)
		on.conditional = on.conditional || r.app.Spec.DependsOn[i].Condition != ""
	}
	d := r.Depends
	d.mu.Lock()
	d.wait(r.id, on)
	d.mu.Unlock()
	view := depend.View{App: func(id object.App) *v1alpha1.App { return r.current(ctx, id) }, Stand: r.stand}
	v := depend.Waits(depend.Wish{App: r.app, Commit: commit, Since: since, Conditions: list}, view)
	if len(v.Waits) == 0 {
		d.Done(r.id)
	}
	return v
}

// Dependents implements [pipeline.Dependencies].
func (r *dependencies) Dependents() depend.Verdict {
	d := r.Depends
	d.mu.Lock()
	leaving, staying := d.graph.Leaving(r.id), d.graph.Staying(r.id)
	d.wait(r.id, wait{on: leaving})
	warn := len(staying) > 0 && !d.warned[r.id]
	if warn {
		d.warned[r.id] = true
	}
	d.mu.Unlock()
	if warn {
		r.warn(staying)
	}
	var v depend.Verdict
	for _, a := range leaving {
		v.Waits = append(v.Waits, v1alpha1.WaitsFor{App: a.String(), Message: "depends on it, is being deleted too, and goes first"})
	}
	if len(v.Waits) > 0 {
		v.Message = depend.Sentence(v.Waits)
	}
	return v
}

// warn says that Apps stay which depend on one that is being deleted.
func (r *dependencies) warn(staying []object.App) {
	const most = 3
	var names []string
	for _, a := range staying[:min(len(staying), most)] {
		names = append(names, a.String())
	}
	what := strings.Join(names, ", ")
	if len(staying) > most {
		what += " and others"
	}
	r.Events.Eventf(r.app, nil, corev1.EventTypeWarning, "StillDependedOn", "Delete",
		"it is being deleted, and %s, which depend on it, are not: they run on without it, and get nothing new before it is there again", what)
}

// current is an App as it is now, with the status that was written last; nil if
// there is none.
func (a *Apps) current(ctx context.Context, id object.App) *v1alpha1.App {
	var app v1alpha1.App
	if err := a.Client.Get(ctx, types.NamespacedName{Namespace: id.Namespace, Name: id.Name}, &app); err != nil {
		return nil // the cache has no other error
	}
	a.restoreStatus(id, &app)
	return &app
}

// stand tells where an App stands in Git, without a request.
func (a *Apps) stand(app *v1alpha1.App) depend.Stand {
	id, k := depend.ID(app), refKeyOf(app)
	head := a.Sources.Head(id)
	s := depend.Stand{Repo: k.url, Follows: k.ref, Ref: head.Ref, Head: head.Commit}
	if k.url != "" {
		s.Judged = a.Refs.commits(k)
	}
	a.Depends.mu.Lock()
	defer a.Depends.mu.Unlock()
	s.Told = a.Depends.told[id]
	return s
}
