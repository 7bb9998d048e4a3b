package controller

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/pipeline"
)

// approvalApp is the index of Approvals by the App they are about.
const approvalApp = "spec.app"

// Setup registers the controllers. concurrent is the number of Apps that run at
// the same time.
func Setup(ctx context.Context, mgr manager.Manager, apps *Apps, repos *RepositoryStatus, reposWaker *Waker, concurrent int) error {
	err := mgr.GetFieldIndexer().IndexField(ctx, &v1alpha1.Approval{}, approvalApp, func(o client.Object) []string {
		return []string{o.(*v1alpha1.Approval).Spec.App}
	})
	if err != nil {
		return err
	}
	named := func(name func(client.Object) string) handler.EventHandler {
		return handler.EnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []reconcile.Request {
			return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: o.GetNamespace(), Name: name(o)}}}
		})
	}
	err = ctrl.NewControllerManagedBy(mgr).
		Named("app").
		For(&v1alpha1.App{}, builder.WithPredicates(asked, changed(apps.Pipeline))).
		Watches(&v1alpha1.App{}, apps.Depends.Handler()).
		Watches(&v1alpha1.Pause{}, named(client.Object.GetName), builder.WithPredicates(told(apps.Pipeline))).
		Watches(&v1alpha1.Pin{}, named(client.Object.GetName), builder.WithPredicates(told(apps.Pipeline))).
		Watches(&v1alpha1.Approval{}, named(func(o client.Object) string { return o.(*v1alpha1.Approval).Spec.App })).
		WatchesRawSource(source.Func(apps.Waker.Start)).
		WithOptions(controller.Options{MaxConcurrentReconciles: concurrent, RateLimiter: retryErrors[reconcile.Request]()}).
		Complete(apps)
	if err != nil {
		return err
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("repository").
		For(&v1alpha1.Repository{}, builder.WithPredicates(asked)).
		WatchesRawSource(source.Func(reposWaker.Start)).
		WithOptions(controller.Options{RateLimiter: retryErrors[reconcile.Request]()}).
		Complete(repos)
}

// told has a run that waits for an answer end when a person has said something
// new of its App. It lets everything through.
func told(p *pipeline.Pipeline) predicate.Predicate {
	return predicate.NewPredicateFuncs(func(o client.Object) bool {
		p.Interrupt(object.App{Namespace: o.GetNamespace(), Name: o.GetName()}, true)
		return true
	})
}

// changed is told for an App itself: a wish to look at Git is nothing new.
func changed(p *pipeline.Pipeline) predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		old, now := e.ObjectOld, e.ObjectNew
		if old.GetGeneration() != now.GetGeneration() || now.GetDeletionTimestamp() != nil {
			p.Interrupt(object.App{Namespace: now.GetNamespace(), Name: now.GetName()}, true)
		}
		return true
	}}
}

// The bounds of the time between two tries of what the API server did not take,
// as while there is none: long enough not to hammer one that is overloaded, and
// short enough to be there soon when it is back.
const (
	firstRetry = 100 * time.Millisecond
	lastRetry  = 30 * time.Second
)

func retryErrors[T comparable]() workqueue.TypedRateLimiter[T] {
	return workqueue.NewTypedItemExponentialFailureRateLimiter[T](firstRetry, lastRetry)
}

// asked lets through what a person changed: the spec, the request for a refresh,
// the wish to delete, and to do so without hooks. What abide writes itself wakes nobody.
var asked = predicate.Funcs{
	UpdateFunc: func(e event.UpdateEvent) bool {
		old, now := e.ObjectOld, e.ObjectNew
		return old.GetGeneration() != now.GetGeneration() ||
			old.GetUID() != now.GetUID() ||
			(old.GetDeletionTimestamp() == nil) != (now.GetDeletionTimestamp() == nil) ||
			old.GetAnnotations()[v1alpha1.AnnotationSkipDeleteHooks] != now.GetAnnotations()[v1alpha1.AnnotationSkipDeleteHooks] ||
			old.GetAnnotations()[v1alpha1.AnnotationRefresh] != now.GetAnnotations()[v1alpha1.AnnotationRefresh]
	},
}
