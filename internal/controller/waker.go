package controller

import (
	"context"
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"abide.dev/abide/internal/object"
)

// Waker puts names into the queue of a controller. Before that has started, a
// wake is not needed: everything is run once at the start.
type Waker struct {
	// Woken, if set, is told of each App that is woken; it must not block.
	Woken func(object.App)

	mu    sync.RWMutex
	queue workqueue.TypedRateLimitingInterface[reconcile.Request]
}

// Start is the source.Func that gives the waker its queue.
func (w *Waker) Start(_ context.Context, q workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue = q
	return nil
}

// Wake has an App run soon. It never blocks.
func (w *Waker) Wake(app object.App) {
	w.WakeName(types.NamespacedName{Namespace: app.Namespace, Name: app.Name})
	if w.Woken != nil {
		w.Woken(app)
	}
}

// WakeName is Wake for a name of any kind.
func (w *Waker) WakeName(name types.NamespacedName) {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.queue != nil {
		w.queue.Add(reconcile.Request{NamespacedName: name})
	}
}
