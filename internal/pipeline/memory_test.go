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
