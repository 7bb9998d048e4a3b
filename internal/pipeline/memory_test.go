package pipeline

import (
	"testing"
	"time"

	"abide.dev/abide/internal/object"
)

// TestContestAndTheClock: a contest waits as long as it is meant to, whatever is
// done to the clock.
func TestContestAndTheClock(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	k := object.Key{Kind: "ConfigMap", Namespace: "x", Name: "a"}
	m := &memory{contests: map[object.Key]*contest{}}
	for range contestAfter {
		m.healed(k, now, "meddler")
	}
	if wait, by, _ := m.contested(k, now); wait != contestFirst || by != "meddler" {
		t.Fatalf("it waits %s for %s", wait, by)
	}
	now = now.Add(-time.Hour)
	if wait, _, _ := m.contested(k, now); wait != contestFirst {
		t.Errorf("with the clock an hour back it waits %s", wait)
	}
	now = now.Add(contestFirst)
	if wait, _, _ := m.contested(k, now); wait > 0 {
		t.Errorf("after that it still waits %s", wait)
	}
	now = now.Add(24 * time.Hour)
	if wait, _, _ := m.contested(k, now); wait > 0 {
		t.Errorf("with the clock a day ahead it waits %s", wait)
	}
}

// TestBackoff: each try that fails makes the next one wait twice as long, however
// often something else wakes the App in between, and whatever is done to the clock.
func TestBackoff(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	var m tries
	last := time.Duration(0)
	for want := firstRetry; want < lastRetry; want *= 2 {
		d := m.backoff(now)
		if d < want || d > want+want/5 {
			t.Fatalf("it waits %s after %s, want about %s", d, last, want)
		}
		for range 20 { // woken, and failed as well
			now = now.Add(d / 40)
			if left := m.backoff(now); left <= 0 || left > d {
				t.Fatalf("woken before it was due it waits %s more, of %s", left, d)
			}
		}
		now, last = m.due, d
	}
	for range 10 {
		if d := m.backoff(now); d < lastRetry || d > lastRetry+lastRetry/5 {
			t.Fatalf("in the end it waits %s", d)
		}
		now = m.due
	}
	if d := m.backoff(now.Add(-24 * time.Hour)); d > 2*lastRetry {
		t.Errorf("with the clock put back it waits %s", d)
	}
}
