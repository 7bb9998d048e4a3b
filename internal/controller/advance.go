package controller

import (
	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/access"
	"abide.dev/abide/internal/object"
)

// standing is where an App stands with nothing left to do.
type standing struct {
	ref    refKey
	commit string
}

func refKeyOf(app *v1alpha1.App) refKey {
	return refKey{url: access.Canonical(app.Spec.Source.Repo), ref: access.RefOf(app).String()}
}

// judged keeps the record of a ref. What is of a chart alone has no ref.
func (a *Apps) judged(k refKey, ref, commit string) {
	if k.url != "" {
		a.Refs.Judged(k, ref, commit)
		a.Depends.Judged(k)
	}
}

// begins and ends frame a run: while it is under way, nothing can be said of
// where the App stands.
func (a *Apps) begins(id object.App) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.running == nil {
		a.running, a.steady = map[object.App]bool{}, map[object.App]standing{}
	}
	a.running[id] = true
	delete(a.steady, id)
}

func (a *Apps) ends(id object.App) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.running, id)
}

// steadyAt says that a run has found nothing left to do.
func (a *Apps) steadyAt(id object.App, ref refKey, commit string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.steady[id] = standing{ref, commit}
}

// Steady implements [Advancer].
func (a *Apps) Steady(id object.App) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.running[id] {
		return ""
	}
	return a.steady[id].commit
}

// Advance implements [Advancer].
func (a *Apps) Advance(id object.App, from, to, ref string) bool {
	a.mu.Lock()
	at, known := a.steady[id]
	if a.running[id] || !known || at.commit != from || !a.Pipeline.Advance(id, from, to) {
		a.mu.Unlock()
		return false
	}
	at.commit = to
	a.steady[id] = at
	complete := a.Claims.Report(id, to)
	a.mu.Unlock()
	a.Depends.Told(id, to)
	if complete {
		a.judged(at.ref, ref, to)
	}
	return true
}

// Run implements [Advancer].
func (a *Apps) Run(id object.App) { a.Waker.Wake(id) }
