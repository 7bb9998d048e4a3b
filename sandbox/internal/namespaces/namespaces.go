// Package namespaces empties and removes namespaces that are being deleted.
//
// It is upstream's deleter behind a loop of its own. Upstream's controller
// waits 5 s before it looks at a namespace, and for half of the longest grace
// period of the pods in it; here pods end at once, so the loop looks again
// after 20 ms, 40 ms, … up to a second.
package namespaces

import (
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/controller/namespace/deletion"
)

const workers = 8

// User is the identity of the controller: that of upstream's service account,
// so that upstream's own role for it applies.
const User = "system:serviceaccount:kube-system:namespace-controller"

// Groups are the groups of User.
func Groups() []string {
	return []string{"system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"}
}

// Run works until ctx ends.
func Run(ctx context.Context, cfg *rest.Config) error {
	cfg = rest.AddUserAgent(rest.CopyConfig(cfg), "namespace-controller")
	cfg.QPS, cfg.Burst = 500, 1000
	cs, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return err
	}
	md, err := metadata.NewForConfig(cfg)
	if err != nil {
		return err
	}
	deleter := deletion.NewNamespacedResourcesDeleter(ctx, cs.CoreV1().Namespaces(), md, cs.CoreV1(),
		func() ([]*metav1.APIResourceList, error) { return cs.Discovery().ServerPreferredNamespacedResources() },
		corev1.FinalizerKubernetes)
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.NewTypedItemExponentialFailureRateLimiter[string](20*time.Millisecond, time.Second))
	see := func(o any) {
		if ns, ok := o.(*corev1.Namespace); ok && ns.DeletionTimestamp != nil {
			queue.Add(ns.Name)
		}
	}
	_, informer := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: cache.NewListWatchFromClient(cs.CoreV1().RESTClient(), "namespaces", "", fields.Everything()),
		ObjectType:    &corev1.Namespace{},
		Handler:       cache.ResourceEventHandlerFuncs{AddFunc: see, UpdateFunc: func(_, o any) { see(o) }},
	})
	for range workers {
		go func() {
			for work(ctx, deleter, queue) {
			}
		}()
	}
	informer.RunWithContext(ctx)
	queue.ShutDown()
	return ctx.Err()
}

func work(ctx context.Context, d deletion.NamespacedResourcesDeleterInterface, queue workqueue.TypedRateLimitingInterface[string]) bool {
	name, shutdown := queue.Get()
	if shutdown {
		return false
	}
	defer queue.Done(name)
	err := d.Delete(ctx, name)
	if err == nil {
		queue.Forget(name)
		return true
	}
	if remaining := (*deletion.ResourcesRemainingError)(nil); !errors.As(err, &remaining) {
		klog.FromContext(ctx).Error(err, "Namespace is not empty yet", "namespace", name)
	}
	queue.AddRateLimited(name)
	return true
}
