package engine

import "testing"

// TestOneLeader: a leader that has lost its lease has stopped before another one
// can take it, also when the API server does not answer.
func TestOneLeader(t *testing.T) {
	if worst := leaseRetry + 2*renewDeadline; worst >= leaseDuration {
		t.Errorf("a leader works on for %s after it last renewed its lease, and another one begins after %s", worst, leaseDuration)
	}
}
