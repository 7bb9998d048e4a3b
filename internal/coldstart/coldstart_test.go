package coldstart

import (
	"runtime"
	"runtime/metrics"
	"testing"
	"time"
)

// initially is what the collector is at once collector is known.
var initially = func(int) int { return now() }(collector.percent)

// now is what the collector is at; -1 is off.
func now() int {
	s := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(s)
	return int(int32(s[0].Value.Uint64()))
}

// await runs the collector until it is at a percentage.
func await(t *testing.T, percent int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); now() != percent; {
		if time.Now().After(deadline) {
			t.Fatalf("once it has run the collector is at %d, want %d", now(), percent)
		}
		runtime.GC()
	}
}

// TestOver has the collector off while packages are initialised, run late the
// first time, and then as it was set.
func TestOver(t *testing.T) {
	t.Setenv("GOGC", "") // as good as not set
	if initially != -1 {
		t.Errorf("the collector is at %d while packages are initialised", initially)
	}
	was := collector.percent
	Over()
	if got := now(); got != first*was {
		t.Errorf("before it has run the collector is at %d, and %d is set", got, was)
	}
	await(t, was)
	Prefer(was + 1)
	await(t, was+1)
	Over()
	Prefer(was)
	await(t, was)
	t.Setenv("GOGC", "55")
	Prefer(was + 2)
	if now() != was {
		t.Errorf("the collector is at %d although the environment says what it is to be", now())
	}
}
