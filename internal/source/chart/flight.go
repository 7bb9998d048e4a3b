package chart

import (
	"context"
	"errors"
	"sync"
	"time"
)

// errTime is the cause of a context that ran into the Store's own limit.
var errTime = errors.New("the time limit ran out")

// flights shares work: who asks for a key that is being worked on waits for
// that work. The work goes on while one of those who wait is there, and ends
// with the last of them, so that none ends it for the others.
type flights struct {
	mu      sync.Mutex
	running map[string]*flight
	closed  bool
	done    sync.WaitGroup
}

type flight struct {
	waiting int
	cancel  context.CancelCauseFunc
	ended   chan struct{}
	value   any
	err     error
}

func newFlights() *flights { return &flights{running: map[string]*flight{}} }

// do runs work under key, or waits for one that runs, for at most limit.
func (g *flights) do(ctx context.Context, key string, limit time.Duration, work func(context.Context) (any, error)) (any, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return nil, ErrClosed
	}
	f := g.running[key]
	if f == nil {
		f = g.start(ctx, key, limit, work)
	}
	f.waiting++
	g.mu.Unlock()
	select {
	case <-f.ended:
		return f.value, f.err
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if f.waiting--; f.waiting == 0 {
		g.drop(key, f) // who comes now starts anew
		f.cancel(context.Canceled)
	}
	return nil, ctx.Err()
}

// start begins the work. The caller holds g.mu.
func (g *flights) start(ctx context.Context, key string, limit time.Duration, work func(context.Context) (any, error)) *flight {
	base, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	timed, stop := context.WithTimeoutCause(base, limit, errTime)
	f := &flight{cancel: cancel, ended: make(chan struct{})}
	g.running[key] = f
	g.done.Go(func() {
		defer cancel(nil)
		defer stop()
		value, err := work(timed)
		g.mu.Lock()
		f.value, f.err = value, err
		g.drop(key, f)
		g.mu.Unlock()
		close(f.ended)
	})
	return f
}

// drop forgets a flight, if it is still the one of its key. The caller holds
// g.mu.
func (g *flights) drop(key string, f *flight) {
	if g.running[key] == f {
		delete(g.running, key)
	}
}

// close ends all work and waits for it.
func (g *flights) close() {
	g.mu.Lock()
	g.closed = true
	for _, f := range g.running {
		f.cancel(ErrClosed)
	}
	g.mu.Unlock()
	g.done.Wait()
}
