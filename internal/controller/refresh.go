package controller

import (
	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/object"
)

// refresh is a look at Git that somebody asked for through the annotation.
type refresh struct {
	requested string
	done      bool
	// seen: the look was over before the present run began, so that what the run
	// says is about what the look found.
	seen bool
}

// refresh starts the look that the annotation asks for, once for each value.
// The App is woken when the look is over.
func (a *Apps) refresh(id object.App, app *v1alpha1.App) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r := a.refreshes[id]; r != nil {
		r.seen = r.done
	}
	value := app.Annotations[v1alpha1.AnnotationRefresh]
	if value == "" || value == app.Status.Refresh.Observed {
		return
	}
	if a.refreshes == nil {
		a.refreshes = map[object.App]*refresh{}
	}
	if r := a.refreshes[id]; r != nil && r.requested == value {
		return
	}
	r := &refresh{requested: value}
	a.refreshes[id] = r
	look := a.Sources.Refresh(id)
	go func() {
		<-look
		a.mu.Lock()
		r.done = true
		a.mu.Unlock()
		a.Waker.Wake(id)
	}()
}

// asked tells whether a person has asked for a sync that this run is the answer
// to.
func (a *Apps) asked(id object.App, app *v1alpha1.App) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.refreshes[id]
	return r != nil && r.seen && app.Status.Refresh.Observed != r.requested
}

// refreshStatus answers the annotation.
func (a *Apps) refreshStatus(id object.App, app *v1alpha1.App) v1alpha1.RefreshStatus {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := app.Status.Refresh
	r := a.refreshes[id]
	if r == nil {
		return s
	}
	s.Requested = r.requested
	if r.seen {
		s.Observed = r.requested
	}
	return s
}
