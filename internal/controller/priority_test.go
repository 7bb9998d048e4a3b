package controller

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"abide.dev/abide/internal/object"
)

// TestFreshGoesFirst: what is woken goes before what is tried again, and that
// before what a restart looks at.
func TestFreshGoesFirst(t *testing.T) {
	q := priorityqueue.New[reconcile.Request]("test")
	defer q.ShutDown()
	request := func(name string) reconcile.Request {
		return reconcile.Request{NamespacedName: types.NamespacedName{Namespace: "team", Name: name}}
	}
	low := handler.LowPriority
	q.AddWithOpts(priorityqueue.AddOpts{Priority: &low}, request("restarted"))
	again := later(time.Nanosecond)
	q.AddWithOpts(priorityqueue.AddOpts{After: again.RequeueAfter, Priority: again.Priority}, request("failed"))
	var w Waker
	if err := w.Start(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	w.Wake(object.App{Namespace: "team", Name: "drifted"})
	for q.Len() < 3 { // until the one that is tried again is due
		select {
		case <-t.Context().Done():
			t.Fatal("the three are not ready")
		default:
		}
	}
	for _, want := range []string{"drifted", "failed", "restarted"} {
		if got, _, _ := q.GetWithPriority(); got.Name != want {
			t.Errorf("%s comes before %s", got.Name, want)
		}
	}
	if got := later(0); got.RequeueAfter != 0 || got.Priority != nil {
		t.Errorf("nothing to try again, and %+v", got)
	}
}
