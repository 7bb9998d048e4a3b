package cli

import (
	"context"
	"time"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/cluster"
	"abide.dev/abide/internal/desired"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/render"
)

// wanted is an object as abide would apply it.
type wanted struct {
	desired.Object
	kind   cluster.Kind
	served bool // the API server has its kind
}

// prepare makes of rendered objects what abide would apply for an App, marks
// included.
func prepare(ctx context.Context, kinds *cluster.Kinds, app *v1alpha1.App, objects []render.Object) ([]wanted, error) {
	scopes, _, err := desired.ScopesOf(ctx, kinds, time.Time{}, objects)
	if err != nil {
		return nil, err
	}
	prepared, err := desired.Objects(app, objects, scopes)
	if err != nil {
		return nil, err
	}
	out := make([]wanted, len(prepared))
	for i, o := range prepared {
		object.Mark(o.Unstructured, object.App{Namespace: app.Namespace, Name: app.Name})
		out[i].Object = o
		out[i].kind, out[i].served = kinds.Lookup(o.GroupVersionKind())
	}
	return out, nil
}
