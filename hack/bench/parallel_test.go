package main

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestParallel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls, now, most atomic.Int32
		began := time.Now()
		err := parallel(t.Context(), 10, 3, func(context.Context, int) error {
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(time.Second)
			now.Add(-1)
			calls.Add(1)
			return nil
		})
		if err != nil || calls.Load() != 10 {
			t.Errorf("%d calls, %v", calls.Load(), err)
		}
		if took := time.Since(began); took != 4*time.Second || most.Load() > 3 {
			t.Errorf("10 seconds of work by 3 workers took %v, %d at a time", took, most.Load())
		}
	})
}

func TestParallelEndsWithAnError(t *testing.T) {
	broken := errors.New("broken")
	var calls atomic.Int32
	err := parallel(t.Context(), 1000, 2, func(ctx context.Context, i int) error {
		calls.Add(1)
		if i == 3 {
			return broken
		}
		if i > 3 {
			<-ctx.Done() // the other worker, until it is told of the error
		}
		return nil
	})
	// 0 to 3, what the other worker held, and one that was on its way to it.
	if !errors.Is(err, broken) || calls.Load() > 6 {
		t.Errorf("%v after %d calls", err, calls.Load())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := parallel(ctx, 10, 2, func(context.Context, int) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before it began: %v", err)
	}
}
