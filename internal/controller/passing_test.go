package controller

import (
	"testing"
	"time"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/object"
)

// A wait that is usually over in milliseconds is written down only when it
// lasts: a restart of many Apps must not write to each that it is being read.
func TestPassing(t *testing.T) {
	now := time.Unix(0, 0)
	a := &Apps{Now: func() time.Time { return now }}
	id := object.App{Namespace: "x", Name: "a"}
	if d := a.passes(id); d != 0 {
		t.Errorf("a wait that has just begun has lasted %s", d)
	}
	now = now.Add(3 * time.Second)
	if d := a.passes(id); d != 3*time.Second {
		t.Errorf("after 3 s it has lasted %s", d)
	}
	if d := a.passes(object.App{Namespace: "x", Name: "b"}); d != 0 {
		t.Errorf("another App's wait has lasted %s", d)
	}
	now = now.Add(-time.Hour)
	if d := a.passes(id); d != 0 {
		t.Errorf("after the clock was put back it has lasted %s", d)
	}
	now = now.Add(2 * time.Second)
	if d := a.passes(id); d != 2*time.Second {
		t.Errorf("2 s after that it has lasted %s", d)
	}
	var fresh, old v1alpha1.App
	old.Status.State = v1alpha1.StateInSync
	if passing(&fresh) >= passing(&old) {
		t.Error("an App that says nothing yet has to say something sooner than one whose status holds")
	}
}
