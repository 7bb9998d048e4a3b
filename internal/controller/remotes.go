package controller

import (
	"context"
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
// the last commit named included.
const maxRemotes = 500

// Remotes has followed what the kustomizations of Apps name that is elsewhere,
// as far as the Repositories allow it. It implements [pipeline.Remotes]. It keeps
// what each App was found to name; after a start, the first render says it
// again.
type Remotes struct {
	Repositories *access.Repositories
	Sources      *sources.Sources

	mu    sync.Mutex
	named map[object.App][]render.Remote
}

// Need implements [pipeline.Remotes].
func (r *Remotes) Need(ctx context.Context, app *v1alpha1.App, need []render.Remote) error {
	id := object.App{Namespace: app.Namespace, Name: app.Name}
	r.mu.Lock()
	all := slices.Clone(r.named[id])
	r.mu.Unlock()
	for _, s := range need {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	if len(all) > maxRemotes {
		return fmt.Errorf("its kustomizations name more than %d URLs", maxRemotes)
	}
	list, denied, err := r.Repositories.Remotes(ctx, id, all)
	if err != nil {
		return err
	}
	for _, s := range need {
		if err := denied[s]; err != nil {
			return err
		}
	}
	r.mu.Lock()
	r.set(id, all)
	r.mu.Unlock()
	r.Sources.FollowRemotes(id, list)
	for _, s := range need {
		if err := r.Sources.RemoteErr(id, s.Name()); err != nil {
			return &unreachableError{s.String(), err}
		}
	}
	return nil
}

// unreachableError says that something allowed cannot be had. The App is woken
// when that changes.
type unreachableError struct {
	what string
	err  error
}

func (e *unreachableError) Error() string {
	return fmt.Sprintf("a kustomization names %s: %v", e.what, e.err)
}

// Unwrap returns the error of the source, which has a reason for a condition.
func (e *unreachableError) Unwrap() error { return e.err }

// Awaited tells that the source looks again by itself.
func (e *unreachableError) Awaited() bool { return true }

// set notes what an App names. The caller holds r.mu.
func (r *Remotes) set(id object.App, list []render.Remote) {
	if r.named == nil {
		r.named = map[object.App][]render.Remote{}
	}
	if r.named[id] = list; len(list) == 0 {
		delete(r.named, id)
	}
}

// Used implements [pipeline.Remotes].
func (r *Remotes) Used(id object.App, used []render.Remote) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.set(id, used)
}

// Wants returns how what an App was found to name is followed. What is not
// allowed any more is left out: the next render misses it, and says so.
func (r *Remotes) Wants(ctx context.Context, app *v1alpha1.App) ([]sources.Remote, error) {
	id := object.App{Namespace: app.Namespace, Name: app.Name}
	r.mu.Lock()
	named := r.named[id]
	r.mu.Unlock()
	list, _, err := r.Repositories.Remotes(ctx, id, named)
	return list, err
}

// Forget drops what is held of an App that no longer exists.
func (r *Remotes) Forget(id object.App) { r.Used(id, nil) }
