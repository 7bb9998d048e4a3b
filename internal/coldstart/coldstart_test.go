package coldstart

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"testing"
	"time"
)

// initially is what the collector is at once percent is known.
var initially = func(int) int { return now() }(percent)

// now is what the collector is at; -1 is off.
func now() int {
	s := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(s)
	return int(int32(s[0].Value.Uint64()))
}

// await runs the collector until it is at a percentage.
func await(t *testing.T, want int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); now() != want; {
		if time.Now().After(deadline) {
			t.Fatalf("once it has run the collector is at %d, want %d", now(), want)
		}
		runtime.GC()
	}
}

// TestOver has the collector off while packages are initialised, run late the
// first time, and then as it was set, or as the program has set it meanwhile.
func TestOver(t *testing.T) {
	if initially != -1 {
		t.Errorf("the collector is at %d while packages are initialised", initially)
	}
	Over()
	if got := now(); got != first*percent {
		t.Errorf("before it has run the collector is at %d, and %d is set", got, percent)
	}
	await(t, percent)
	Over()
	debug.SetGCPercent(percent + 1)
	for range 10 {
		runtime.GC()
	}
	await(t, percent+1)
}
