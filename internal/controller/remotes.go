package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/access"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/sources"
)

// maxRemotes bounds what is followed for the kustomizations of one App, what
// the last commits named included.
const maxRemotes = 500

// Remotes has followed what the kustomizations of Apps name that is elsewhere,
// as far as the Repositories allow it. It implements [pipeline.Remotes]. It keeps
// what each App was found to name; after a start, the first render says it
// again.
//
// What cannot be followed or read is the error of a render that needs it, and of
// nothing else: a commit that does not name it any more is applied.
type Remotes struct {
	Repositories RemoteAccess
	Sources      RemoteSources

	mu   sync.Mutex
	apps map[object.App]names
}

// RemoteAccess says how what kustomizations name may be followed;
// [access.Repositories] does.
type RemoteAccess interface {
	Remotes(ctx context.Context, app object.App, named []render.Remote) ([]sources.Remote, map[render.Remote]error, error)
}

// RemoteSources follow it; [sources.Sources] do.
type RemoteSources interface {
	FollowRemotes(app object.App, list []sources.Remote)
	KeepRemotes(app object.App, names []string)
	RemoteErr(ctx context.Context, app object.App, name string) (told bool, err error)
}

var _ RemoteAccess = (*access.Repositories)(nil)

// names are what an App was found to name: all since the last good render, and
// what that has used.
type names struct{ all, used []render.Remote }

// Need implements [pipeline.Remotes].
func (r *Remotes) Need(ctx context.Context, app *v1alpha1.App, need []render.Remote) error {
	id := object.App{Namespace: app.Namespace, Name: app.Name}
	r.mu.Lock()
	known := r.apps[id]
	r.mu.Unlock()
	all := joined(known.all, need)
	if len(all) > maxRemotes { // commits that did not render have left the most
		all = joined(known.used, need)
	}
	if len(all) > maxRemotes {
		return fmt.Errorf("its kustomizations name more than %d URLs", maxRemotes)
	}
	list, without, err := r.Repositories.Remotes(ctx, id, all)
	if err != nil {
		return err
	}
	for _, s := range need {
		if err := without[s]; err != nil {
			return because(s, err)
		}
	}
	r.mu.Lock()
	r.set(id, names{all, known.used})
	r.mu.Unlock()
	r.Sources.FollowRemotes(id, list)
	for _, s := range need {
		if told, err := r.Sources.RemoteErr(ctx, id, s.Name()); err != nil {
			return &unreachableError{s.String(), told, err}
		}
	}
	return nil
}

// because says what it is that cannot be had, where the error does not.
func because(s render.Remote, err error) error {
	var rule *access.NotAllowedError
	if errors.As(err, &rule) {
		return err
	}
	return &unreachableError{s.String(), false, err}
}

func joined(list, more []render.Remote) []render.Remote {
	out := slices.Clone(list)
	for _, s := range more {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// unreachableError says that something allowed cannot be had.
type unreachableError struct {
	what string
	told bool // the App is woken when that changes
	err  error
}

func (e *unreachableError) Error() string {
	return fmt.Sprintf("a kustomization names %s: %v", e.what, e.err)
}

// Unwrap returns the error of the source, which has a reason for a condition.
func (e *unreachableError) Unwrap() error { return e.err }

// Awaited tells that the source looks again by itself, and tells the App.
func (e *unreachableError) Awaited() bool { return e.told }

// set notes what an App names. The caller holds r.mu.
func (r *Remotes) set(id object.App, n names) {
	if r.apps == nil {
		r.apps = map[object.App]names{}
	}
	if r.apps[id] = n; len(n.all) == 0 {
		delete(r.apps, id)
	}
}

// Used implements [pipeline.Remotes].
func (r *Remotes) Used(id object.App, used []render.Remote) (dropped []render.Remote) {
	r.mu.Lock()
	for _, s := range r.apps[id].all {
		if !slices.Contains(used, s) {
			dropped = append(dropped, s)
		}
	}
	r.set(id, names{used, used})
	r.mu.Unlock()
	if len(dropped) == 0 {
		return nil
	}
	var kept []string
	for _, s := range used {
		kept = append(kept, s.Name())
	}
	r.Sources.KeepRemotes(id, kept)
	return dropped
}

// Wants returns how what an App was found to name is followed. What is not
// allowed any more, or has lost its credentials, is left out: if the next render
// misses it, it says so.
func (r *Remotes) Wants(ctx context.Context, app *v1alpha1.App) ([]sources.Remote, error) {
	id := object.App{Namespace: app.Namespace, Name: app.Name}
	r.mu.Lock()
	named := r.apps[id].all
	r.mu.Unlock()
	list, _, err := r.Repositories.Remotes(ctx, id, named)
	return list, err
}

// Forget drops what is held of an App that no longer exists.
func (r *Remotes) Forget(id object.App) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.set(id, names{})
}
