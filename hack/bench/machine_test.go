package main

import (
	"runtime"
	"testing"
	"time"
)

func TestParseBusy(t *testing.T) {
	for _, c := range []struct {
		why, stat string
		want      time.Duration
		bad       bool
	}{
		{"idle, iowait and guest times do not count", "cpu  100 200 300 9999 9999 1 2 3 50 60\ncpu0 1 2 3\n", 6060 * time.Millisecond, false},
		{"too short", "cpu 1 2 3", 0, true},
		{"another file", "processor : 0 a b c d e f g", 0, true},
		{"no number", "cpu a b c d e f g h", 0, true},
	} {
		got, err := parseBusy(c.stat)
		if got != c.want || (err != nil) != c.bad {
			t.Errorf("%s: %v, %v", c.why, got, err)
		}
	}
}

func FuzzParseBusy(f *testing.F) {
	f.Add("cpu  100 200 300 9999 9999 1 2 3 50 60\n")
	f.Fuzz(func(_ *testing.T, s string) { _, _ = parseBusy(s) })
}

func TestOthers(t *testing.T) {
	at := time.Unix(0, 0)
	before := others{at: at}
	whole := 10 * time.Second * time.Duration(runtime.NumCPU())
	after := others{at: at.Add(10 * time.Second), busy: whole / 2, own: whole / 4}
	if got := after.percent(before); got != 25 {
		t.Errorf("others took %d %%, want 25", got)
	}
}
