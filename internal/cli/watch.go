package cli

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"abide.dev/abide/api/v1alpha1"
)

// rewatch is how long to wait before a watch that broke is begun again.
const rewatch = time.Second

// objects is what a watch knows: the objects of a list as they are now.
type objects[T client.Object] map[client.ObjectKey]T

// until lists objects, and watches them until done says so, or ends with an
// error, or ctx ends: done is asked once for the list, and again after each
// change. A watch that breaks is begun again with a new list.
func until[T client.Object](ctx context.Context, c client.WithWatch, list client.ObjectList, opts []client.ListOption, done func(objects[T]) (bool, error)) error {
	for {
		over, err := untilBroken(ctx, c, list, opts, done)
		if over || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(rewatch):
		}
	}
}

func untilBroken[T client.Object](ctx context.Context, c client.WithWatch, list client.ObjectList, opts []client.ListOption, done func(objects[T]) (bool, error)) (bool, error) {
	fresh, _ := list.DeepCopyObject().(client.ObjectList)
	if err := c.List(ctx, fresh, opts...); err != nil {
		return false, err
	}
	items, err := itemsOf(fresh)
	if err != nil {
		return false, err
	}
	have := objects[T]{}
	for _, o := range items {
		if t, ok := o.(T); ok {
			have[client.ObjectKeyFromObject(o)] = t
		}
	}
	if over, err := done(have); over || err != nil {
		return over, err
	}
	since := &client.ListOptions{}
	since.ApplyOptions(opts)
	since.Raw = &metav1.ListOptions{ResourceVersion: fresh.GetResourceVersion()}
	w, err := c.Watch(ctx, fresh, since)
	if err != nil {
		if ctx.Err() != nil {
			return false, ctx.Err()
		}
		return false, nil // begun again with a list, which says what is wrong
	}
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case e, open := <-w.ResultChan():
			if !open || e.Type == watch.Error {
				return false, nil
			}
			t, ok := e.Object.(T)
			if !ok || e.Type == watch.Bookmark {
				continue
			}
			if e.Type == watch.Deleted {
				delete(have, client.ObjectKeyFromObject(t))
			} else {
				have[client.ObjectKeyFromObject(t)] = t
			}
			if over, err := done(have); over || err != nil {
				return over, err
			}
		}
	}
}

// untilApp watches one App until done says so. An App that does not exist is an
// error.
func (c *conn) untilApp(ctx context.Context, name string, done func(*v1alpha1.App) (bool, error)) error {
	opts := []client.ListOption{
		client.InNamespace(c.namespace),
		client.MatchingFieldsSelector{Selector: fields.OneTermEqualSelector("metadata.name", name)},
	}
	key := client.ObjectKey{Namespace: c.namespace, Name: name}
	err := until(ctx, c.WithWatch, &v1alpha1.AppList{}, opts, func(have objects[*v1alpha1.App]) (bool, error) {
		app := have[key]
		if app == nil {
			return false, apierrors.NewNotFound(v1alpha1.GroupVersion.WithResource("apps").GroupResource(), name)
		}
		return done(app)
	})
	if apierrors.IsNotFound(err) && !notServed(err) {
		return c.noSuchApp(ctx, name)
	}
	return err
}
