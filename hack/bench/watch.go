package main

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/install"
)

// converged is when the last App said so for the first time.
type converged struct{ synced, ready time.Time }

// converge watches all Apps, of which there must be none yet. The function that
// it returns waits until each has been Synced and all are Ready.
func (f *fleet) converge(ctx context.Context) (wait func(*process) (converged, error), err error) {
	client := f.client.Resource(apps).Namespace(install.DefaultNamespace)
	list, err := client.List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	w, err := client.Watch(ctx, metav1.ListOptions{ResourceVersion: list.GetResourceVersion()})
	if err != nil {
		return nil, err
	}
	return func(p *process) (converged, error) {
		defer w.Stop()
		var c converged
		synced, ready := map[string]bool{}, map[string]bool{}
		late := time.After(patience)
		for {
			select {
			case e, open := <-w.ResultChan():
				u, ok := e.Object.(*unstructured.Unstructured)
				if !open || !ok {
					return c, fmt.Errorf("the watch of Apps broke off: %v", e.Object)
				}
				if condition(u, v1alpha1.ConditionSynced) == "True" {
					synced[u.GetName()] = true
				}
				ready[u.GetName()] = condition(u, v1alpha1.ConditionReady) == "True"
				if c.synced.IsZero() && len(synced) == f.s.apps {
					c.synced = time.Now()
				}
				if !c.synced.IsZero() && trues(ready) == f.s.apps {
					c.ready = time.Now()
					return c, nil
				}
			case <-p.exited:
				return c, fmt.Errorf("the controller ended:\n%s", p.tail())
			case <-ctx.Done():
				return c, context.Cause(ctx)
			case <-late:
				return c, fmt.Errorf("%d of %d Apps are Ready, %d are Synced\n%s", trues(ready), f.s.apps, len(synced), p.tail())
			}
		}
	}, nil
}

func trues(m map[string]bool) int {
	n := 0
	for _, v := range m {
		if v {
			n++
		}
	}
	return n
}

// await watches an object from now on, calls before, then act, and returns how
// long it took from the call of act until a watch showed the object with value.
// With anew, it has to be another object of that name.
func (t target) await(ctx context.Context, value string, anew bool, before, act func(context.Context) error) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	// The version of the list is that of now; the object's own may be forgotten.
	only := metav1.ListOptions{FieldSelector: "metadata.name=" + t.name}
	list, err := t.client.List(ctx, only)
	if err != nil {
		return 0, err
	}
	if len(list.Items) != 1 {
		return 0, fmt.Errorf("%s is not there", t.name)
	}
	live := list.Items[0]
	only.ResourceVersion = list.GetResourceVersion()
	w, err := t.client.Watch(ctx, only)
	if err != nil {
		return 0, err
	}
	defer w.Stop()
	if before != nil {
		if err := before(ctx); err != nil {
			return 0, err
		}
	}
	began := time.Now()
	if err := act(ctx); err != nil {
		return 0, err
	}
	for e := range w.ResultChan() {
		if e.Type == watch.Error {
			return 0, fmt.Errorf("watching %s: %w", t.name, apierrors.FromObject(e.Object))
		}
		u, ok := e.Object.(*unstructured.Unstructured)
		if !ok || e.Type == watch.Deleted || anew && u.GetUID() == live.GetUID() {
			continue
		}
		if u.GetAnnotations()[valueKey] == value {
			return time.Since(began), nil
		}
	}
	return 0, fmt.Errorf("%s did not get the value %q", t.name, value)
}
