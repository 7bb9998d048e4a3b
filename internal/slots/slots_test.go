package slots

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// taken counts how many of n ask for a slot and have one after d.
func taken(ctx context.Context, s *Slots, n int, d time.Duration) int {
	got := make(chan struct{}, n)
	for range n {
		go func() {
			if _, err := s.Take(ctx); err == nil {
				got <- struct{}{}
			}
		}()
	}
	time.Sleep(d)
	synctest.Wait()
	return len(got)
}

func TestWhatHangsMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(3, time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		if n := taken(ctx, s, 10, 999*time.Millisecond); n != 3 {
			t.Errorf("%d have one of 3 slots before any has lost its patience", n)
		}
		if n := taken(ctx, s, 1, time.Second); n != 0 {
			t.Error("one that came later was served before those that waited")
		}
		cancel()
		synctest.Wait()
		time.Sleep(10 * time.Second)
		if n := taken(t.Context(), s, 5, 0); n != 3 {
			t.Errorf("%d slots are free in the end, want all 3", n)
		}
	})
}

func TestReleaseOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(2, time.Hour)
		release, err := s.Take(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n := taken(t.Context(), s, 1, 0); n != 1 {
			t.Fatal("the second of two slots is not free")
		}
		release()
		release()
		if n := taken(t.Context(), s, 5, time.Second); n != 1 {
			t.Errorf("a slot that was given back twice gave %d", n)
		}
		// The timer of what was released gives nothing back either.
		time.Sleep(2 * time.Hour)
	})
}

func TestTakeEnds(t *testing.T) {
	why := errors.New("going down")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	if _, err := New(1, time.Second).Take(ctx); !errors.Is(err, why) {
		t.Errorf("%v with a free slot and an ended context", err)
	}
}
