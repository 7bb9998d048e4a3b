package controller

import (
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// TestRetriesAreSoon: an outage of an hour is over for every App within half a
// minute, and one of a second costs a few tries.
func TestRetriesAreSoon(t *testing.T) {
	l := retryErrors[reconcile.Request]()
	var sum time.Duration
	tries := 0
	for ; sum < time.Second; tries++ {
		sum += l.When(reconcile.Request{})
	}
	if tries > 5 {
		t.Errorf("%d tries within a second", tries)
	}
	for ; sum < time.Hour; tries++ {
		d := l.When(reconcile.Request{})
		if d > 30*time.Second {
			t.Fatalf("after %s the next try is in %s", sum, d)
		}
		sum += d
	}
}
