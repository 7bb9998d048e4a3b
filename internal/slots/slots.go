// Package slots bounds how much is under way at once, without letting what
// hangs keep the rest waiting.
//
// Whoever takes a slot holds it until it is done, or until it has taken longer
// than work that goes well does: then something else is what it waits for (an
// admission webhook that does not answer, a server that is down), and its place
// is given to the next one while it goes on. So the bound holds for work, and
// waiting is bounded by those who wait: they have to limit how much of theirs
// they begin.
//
// Slots are given in the order in which they are asked for.
package slots

import (
	"context"
	"sync"
	"time"
)

// Slots are a number of places. They are safe for concurrent use.
type Slots struct {
	free     chan struct{}
	patience time.Duration
}

// New returns n slots, each held for at most patience.
func New(n int, patience time.Duration) *Slots {
	return &Slots{free: make(chan struct{}, n), patience: patience}
}

// Take waits for a slot. release gives it back, and may be called more than
// once. The error is the reason why ctx ended.
func (s *Slots) Take(ctx context.Context) (release func(), err error) {
	if ctx.Err() != nil { // with a free slot as well, select takes either
		return nil, context.Cause(ctx)
	}
	select {
	case s.free <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	var once sync.Once
	giveBack := func() { once.Do(func() { <-s.free }) }
	timer := time.AfterFunc(s.patience, giveBack)
	return func() {
		timer.Stop()
		giveBack()
	}, nil
}
