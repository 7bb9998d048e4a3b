package observe

import (
	"context"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/cluster"
	"abide.dev/abide/internal/health"
	"abide.dev/abide/internal/object"
)

// rules are the health rules in force. They are guarded by the tracker's lock.
type rules struct {
	all    *health.Evaluator
	shared health.Rules // that all has
	own    map[object.App]*ownRules
	// changes counts the changes of own.
	changes uint64
}

// ownRules are the rules of one App.
type ownRules struct {
	health.Rules
	evaluator *health.Evaluator // nil if it has none any more
	since     uint64            // the change that brought them
}

// judges are who told the health of an object: the rules of its App, if there are
// any, and those for all.
type judges struct{ own, all *health.Evaluator }

// of are the judges of an App's objects.
func (r *rules) of(app object.App) judges {
	j := judges{all: r.all}
	if own := r.own[app]; own != nil {
		j.own = own.evaluator
	}
	return j
}

// say judges a live object.
func (j judges) say(u *unstructured.Unstructured) (v1alpha1.Health, string) {
	if j.own == nil {
		return j.all.Of(u)
	}
	return j.own.Before(j.all).Of(u)
}

// judged reduces a live object by the rules in force and takes the lock, which the
// caller gives back.
func (t *Tracker) judged(u *unstructured.Unstructured, version string) (r Record, ok bool) {
	for {
		r, ok = t.reduce(u, version)
		t.mu.Lock()
		if !ok || t.rules.of(r.Owner) == r.by {
			return r, ok
		}
		t.mu.Unlock() // they have changed meanwhile
	}
}

// Judge puts rules in force for the objects of every App, in place of those before;
// at first, they are those that are shipped. Objects of kinds for which they differ
// are read again.
func (t *Tracker) Judge(by health.Rules) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.rules.shared
	t.rules.shared, t.rules.all = by, health.NewEvaluator(by)
	for gvk, w := range t.watches {
		if !by.Same(before, gvk) {
			t.restart(w)
		}
	}
}

// restart puts a new watch, which begins with a list, in the place of one. The
// records stay until it has come. The caller holds the lock.
func (t *Tracker) restart(w *watch) {
	if w.stop != nil {
		w.stop()
	}
	again := newWatch(t, w.kind)
	again.users, again.waiting = w.users, w.waiting
	w.users, w.waiting = nil, nil // events of it that are under way concern nobody
	t.watches[w.kind.GroupVersionKind] = again
	if t.start != nil {
		t.start(again)
	}
}

// JudgeOf puts rules in force for the objects of one App, in place of those before.
// They are asked before those of Judge. Its objects of kinds for which they differ
// are read again.
func (t *Tracker) JudgeOf(app object.App, by health.Rules) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.rules.own[app]
	if before == nil {
		if by.Empty() {
			return
		}
		before = &ownRules{}
	}
	t.rules.changes++
	now := &ownRules{Rules: by, since: t.rules.changes}
	if !by.Empty() {
		now.evaluator = health.NewEvaluator(by)
	}
	t.rules.own[app] = now
	for _, gvk := range t.uses[app] {
		if w := t.watches[gvk]; w != nil && !by.Same(before.Rules, gvk) {
			t.judgeAgain(app, w)
		}
	}
}

// catchUp has objects of an App that begins to use a watch judged again, if the
// watch may have seen them before the App's rules. The caller holds the lock.
func (t *Tracker) catchUp(app object.App, w *watch) {
	own := t.rules.own[app]
	if own == nil || w.began >= own.since {
		return
	}
	if own.evaluator == nil || !own.Same(health.Rules{}, w.kind.GroupVersionKind) {
		t.judgeAgain(app, w)
	}
}

// part are the objects of an App that are of a kind.
type part struct {
	app object.App
	gvk schema.GroupVersionKind
}

// rejudge is what is under way to judge a part again. It is guarded by the
// tracker's lock.
type rejudge struct {
	outdated bool  // by another change of the rules
	waited   bool  // the App was told to wait for it
	err      error // why it has failed so far
}

const (
	// parallelLists is how many lists are made at a time to judge objects again.
	parallelLists = 4
	// listPage is how many objects are held in full.
	listPage = 500
)

// judgeAgain has the objects of an App that are of a kind read and judged. The
// caller holds the lock.
func (t *Tracker) judgeAgain(app object.App, w *watch) {
	p := part{app, w.kind.GroupVersionKind}
	if j := t.again[p]; j != nil {
		j.outdated = true
		return
	}
	if t.spawn == nil {
		return // nothing has been seen yet
	}
	j, kind := &rejudge{}, w.kind
	t.again[p] = j
	t.spawn(func(ctx context.Context) { t.rejudge(ctx, app, kind, j) })
}

// rejudge lists the objects of an App until that has succeeded, or is not needed
// any more.
func (t *Tracker) rejudge(ctx context.Context, app object.App, kind cluster.Kind, j *rejudge) {
	backoff := wait.Backoff{Duration: time.Second / 2, Factor: 2, Steps: 8, Jitter: 0.2}
	for {
		err := t.relist(ctx, app, kind)
		if ctx.Err() != nil {
			return
		}
		if t.rejudged(part{app, kind.GroupVersionKind}, j, err) {
			return
		}
		if err == nil {
			continue
		}
		t.log.Warn("objects can't be read to judge their health anew, which is tried again",
			"app", app.String(), "kind", kind.GroupVersionKind.String(), "error", err)
		select {
		case <-time.After(backoff.Step()):
		case <-ctx.Done():
			return
		}
	}
}

// rejudged notes how a list went, and tells whether it was the last. An App that
// waits for it is told once it has come, and once it has failed.
func (t *Tracker) rejudged(p part, j *rejudge, err error) (done bool) {
	t.mu.Lock()
	w := t.watches[p.gvk]
	done = err == nil && !j.outdated || w == nil || !w.users[p.app]
	news := done || err != nil && j.err == nil
	j.outdated, j.err = false, err
	if done {
		delete(t.again, p)
	}
	tell := news && j.waited
	t.mu.Unlock()
	if tell {
		t.notify(p.app)
	}
	return done
}

// relist lists the objects of an App that are of a kind, and judges them.
func (t *Tracker) relist(ctx context.Context, app object.App, kind cluster.Kind) error {
	select {
	case t.lists <- struct{}{}:
		defer func() { <-t.lists }()
	case <-ctx.Done():
		return ctx.Err()
	}
	o := metav1.ListOptions{LabelSelector: v1alpha1.LabelApp + "=" + app.Label(), Limit: listPage}
	for {
		list, err := t.dyn.Resource(kind.GVR()).List(ctx, o)
		if err != nil {
			return fmt.Errorf("listing %s of App %s: %w", object.GVKString(kind.GroupVersionKind), app, err)
		}
		tell := map[object.App]bool{}
		for i := range list.Items {
			u := &list.Items[i]
			r, ok := t.judged(u, kind.Version)
			if w := t.watches[kind.GroupVersionKind]; ok && w != nil {
				w.put(w.key(u.GetNamespace(), u.GetName()), r, true, u, tell)
			}
			t.mu.Unlock()
		}
		for a := range tell {
			t.notify(a)
		}
		if o.Continue = list.GetContinue(); o.Continue == "" {
			return nil
		}
	}
}
