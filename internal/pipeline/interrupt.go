package pipeline

import (
	"context"
	"errors"
	"path"
	"time"

	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/snapshot"
)

// errInterrupted is the cause with which requests end that nobody wants any more.
var errInterrupted = errors.New("something newer has arrived")

// interruption is how a run that is under way is told that it may be out of date.
type interruption struct{ maybe, certain chan struct{} }

// Interrupt has requests that are under way for an App end, since something newer
// is wanted of it: an admission webhook that hangs holds nothing up that can be
// had without it. With certain false, the run finds out by itself whether what it
// is made of says something else now. It does not block.
func (p *Pipeline) Interrupt(app object.App, certain bool) {
	p.mu.Lock()
	i, under := p.interruptions[app]
	p.mu.Unlock()
	if !under {
		return
	}
	ch := i.maybe
	if certain {
		ch = i.certain
	}
	select {
	case ch <- struct{}{}:
	default: // it is told already
	}
}

// interruptible returns a context for what may hang. outdated tells, when something
// has moved, whether nobody wants it any more. done, which has to
// be called, tells whether they were interrupted.
func (r *run) interruptible(ctx context.Context, outdated func(context.Context) bool) (_ context.Context, done func() bool) {
	ctx, cancel := context.WithCancelCause(ctx)
	i := interruption{make(chan struct{}, 1), make(chan struct{}, 1)}
	r.mu.Lock()
	if r.interruptions == nil {
		r.interruptions = map[object.App]interruption{}
	}
	r.interruptions[r.id] = i
	r.mu.Unlock()
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-over:
				return
			case <-i.certain:
			case <-i.maybe:
				if !outdated(ctx) {
					continue
				}
			}
			cancel(errInterrupted)
			return
		}
	}()
	return ctx, func() bool {
		r.mu.Lock()
		delete(r.interruptions, r.id)
		r.mu.Unlock()
		close(over)
		<-ended // it looks at what is the run's
		interrupted := context.Cause(ctx) == errInterrupted
		cancel(nil)
		return interrupted
	}
}

// outdated tells whether what is being rendered is another folder by now. What else
// the render may look at is not known before it is through: a spinning one is not
// begun anew by each commit.
func (r *run) outdated(ctx context.Context, at At, tree snapshot.Tree) bool {
	now := r.Source.Head(r.id).At
	if now == at {
		return false
	}
	newer, err := r.Source.Tree(ctx, r.id, now)
	return err == nil && (now.Beside != at.Beside || folderHash(newer, r.app.Spec.Source.Path) != folderHash(tree, r.app.Spec.Source.Path))
}

func folderHash(tree snapshot.Tree, folder string) string {
	if folder = path.Clean(folder); folder == "." {
		return tree.Hash()
	}
	e, err := tree.Lookup(folder)
	if err != nil {
		return ""
	}
	return e.Hash
}

// interrupted ends a run whose requests were interrupted: what they did all the
// same is found out by the next one.
func (r *run) interrupted() bool {
	r.out.Trouble, r.out.Err, r.out.Again = nil, nil, time.Millisecond
	r.mem.tries = r.triesBefore // of which this was none
	return r.pass(ReasonSuperseded, "%s", errInterrupted)
}
