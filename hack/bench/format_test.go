package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0.0 ms", 1234 * time.Microsecond: "1.2 ms", 1234 * time.Millisecond: "1.23 s", 83 * time.Second: "83.0 s",
	} {
		if got := short(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}

func TestMedianAndSums(t *testing.T) {
	list := []time.Duration{3, 1, 2}
	if got := median(list); got != 2 {
		t.Errorf("the median is %d", got)
	}
	if diff := cmp.Diff([]time.Duration{3, 1, 2}, list); diff != "" {
		t.Errorf("median sorts the list of its caller:\n%s", diff)
	}
	if median(nil) != 0 {
		t.Error("the median of nothing is not 0")
	}
	if diff := cmp.Diff([]time.Duration{4, 3}, sums(list, []time.Duration{1, 2})); diff != "" {
		t.Error(diff)
	}
}

func TestNamed(t *testing.T) {
	got := named(map[string]int{"get a": 1, "patch b": 7, "create c": 1})
	if want := "7 patch b, 1 create c, 1 get a"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := named(nil); got != "none" {
		t.Errorf("nothing is %q", got)
	}
}

func TestAmount(t *testing.T) {
	for _, c := range []struct {
		v          float64
		unit, want string
	}{{0, "", "0"}, {2, "×", "2×"}, {1.504, "×", "1.5×"}, {120, "ms", "120 ms"}, {118.6, "MiB", "119 MiB"}, {0.25, "", "0.25"}} {
		if got := amount(c.v, c.unit); got != c.want {
			t.Errorf("%v %s is %q, want %q", c.v, c.unit, got, c.want)
		}
	}
}
