package worker

import (
	"errors"
	"testing"
	"time"
)

func isRunning(q *turn) bool {
	select {
	case <-q.decided:
		return q.err == nil
	default:
		return false
	}
}

func ask1(t *testing.T, s *turns, tenant string, now time.Time) *turn {
	t.Helper()
	q, err := s.ask(tenant, now)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func isBusy(err error) bool {
	var b *BusyError
	return errors.As(err, &b) && b.Reason() == "RenderBusy" && b.Error() != ""
}

// TestTurns has tenants that take all they get.
func TestTurns(t *testing.T) {
	now := time.Unix(1000, 0)
	s := newTurns(3)
	a1, a2, a3 := ask1(t, &s, "a", now), ask1(t, &s, "a", now), ask1(t, &s, "a", now)
	if !isRunning(a1) || !isRunning(a2) || isRunning(a3) {
		t.Fatal("a tenant has to have all but one")
	}
	b1, b2, c1 := ask1(t, &s, "b", now), ask1(t, &s, "b", now), ask1(t, &s, "c", now)
	if !isRunning(b1) || isRunning(b2) || isRunning(c1) {
		t.Fatal("there is room for three")
	}
	s.release(a1, false, now)
	if !isRunning(c1) || isRunning(a3) || isRunning(b2) {
		t.Fatal("who has none running comes first")
	}
	s.release(c1, false, now)
	if !isRunning(a3) || isRunning(b2) {
		t.Fatal("of those alike, who came first")
	}
	s.giveUp(b2, now)
	for _, q := range []*turn{a2, a3, b1} {
		s.release(q, false, now)
	}
	if s.busy != 0 || len(s.waiting) != 0 {
		t.Errorf("%d busy, %d waiting", s.busy, len(s.waiting))
	}
	if s.of("d", now); len(s.tenants) != 1 {
		t.Errorf("%d tenants are remembered", len(s.tenants))
	}
}

// TestStandBack has tenants whose renders are slow or end badly: they hold up
// nobody.
func TestStandBack(t *testing.T) {
	now := time.Unix(1000, 0)
	s := newTurns(3)
	a1, a2, a3 := ask1(t, &s, "a", now), ask1(t, &s, "a", now), ask1(t, &s, "a", now)
	s.slow(a1, now)
	if <-a3.decided; !isBusy(a3.err) {
		t.Errorf("one that waits behind a slow one is told %v", a3.err)
	}
	if _, err := s.ask("a", now); !isBusy(err) {
		t.Errorf("one that comes after a slow one is told %v", err)
	}
	s.release(a1, true, now)
	if q := ask1(t, &s, "a", now); !isRunning(q) || !q.suspect {
		t.Error("where there is room, it renders")
	} else {
		if _, err := s.ask("a", now); !isBusy(err) {
			t.Errorf("one at a time: %v", err)
		}
		s.release(q, true, now)
	}
	s.release(a2, true, now)
	// Another that broke a worker shares the place with it.
	b := ask1(t, &s, "b", now)
	s.release(b, true, now)
	a := ask1(t, &s, "a", now)
	if _, err := s.ask("b", now); !isBusy(err) {
		t.Errorf("two that broke a worker render at a time: %v", err)
	}
	s.release(a, false, now) // it is well again
	if q := ask1(t, &s, "b", now.Add(probation)); q.suspect {
		t.Error("it is suspect for ever")
	}
	s.slow(a, now) // too late, and of no consequence
	if s.of("a", now).slow != 0 {
		t.Error("a render that has ended is slow")
	}
}
