package cli

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/apply"
	"abide.dev/abide/internal/cluster"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/render"
)

// wanted is an object as abide would apply it.
type wanted struct {
	*unstructured.Unstructured
	key    object.Key
	rules  object.Rules
	origin render.Origin
	kind   cluster.Kind
	served bool // the API server has its kind
}

// prepare makes of rendered objects what abide would apply for an App, as
// package pipeline does: normalised, in their namespace, and marked.
func prepare(ctx context.Context, kinds *cluster.Kinds, app *v1alpha1.App, objects []render.Object) ([]wanted, error) {
	if err := kinds.Refresh(ctx, time.Time{}); err != nil {
		return nil, err
	}
	defined := map[schema.GroupKind]bool{} // namespaced, of the App's own definitions
	for i := range objects {
		if gk, namespaced, ok := definition(objects[i].Unstructured); ok {
			defined[gk] = namespaced
		}
	}
	out := make([]wanted, 0, len(objects))
	seen := map[object.Key]bool{}
	for i := range objects {
		w := wanted{Unstructured: objects[i].DeepCopy(), origin: objects[i].Origin}
		if err := w.complete(kinds, defined, app); err != nil {
			return nil, &apply.ObjectError{Key: object.KeyOf(w.Unstructured), File: w.origin.File, Line: w.origin.Line, Err: err}
		}
		if seen[w.key] {
			return nil, &apply.ObjectError{Key: w.key, File: w.origin.File, Line: w.origin.Line,
				Err: fmt.Errorf("the App has this object twice once spec.target.namespace is filled in")}
		}
		seen[w.key] = true
		out = append(out, w)
	}
	return out, nil
}

func (w *wanted) complete(kinds *cluster.Kinds, defined map[schema.GroupKind]bool, app *v1alpha1.App) error {
	if err := object.Normalise(w.Unstructured); err != nil {
		return err
	}
	gvk := w.GroupVersionKind()
	w.kind, w.served = kinds.Lookup(gvk)
	namespaced, known := w.kind.Namespaced, w.served
	if !known {
		namespaced, known = defined[gvk.GroupKind()]
	}
	switch {
	case known && !namespaced:
		unstructured.RemoveNestedField(w.Object, "metadata", "namespace")
	case w.GetNamespace() == "" && app.Spec.Target.Namespace != "":
		w.SetNamespace(app.Spec.Target.Namespace)
	case w.GetNamespace() == "" && known:
		return fmt.Errorf("it names no namespace, and neither does the App: set spec.target.namespace")
	}
	var err error
	if w.rules, err = object.RulesOf(w.Unstructured); err != nil {
		return err
	}
	object.Mark(w.Unstructured, object.App{Namespace: app.Namespace, Name: app.Name})
	w.key = object.KeyOf(w.Unstructured)
	return nil
}

// definition reads the kind and the scope of a CustomResourceDefinition.
func definition(u *unstructured.Unstructured) (gk schema.GroupKind, namespaced, ok bool) {
	if u.GroupVersionKind().GroupKind() != cluster.CustomResourceDefinitions.GroupKind() {
		return gk, false, false
	}
	gk.Group, _, _ = unstructured.NestedString(u.Object, "spec", "group")
	gk.Kind, _, _ = unstructured.NestedString(u.Object, "spec", "names", "kind")
	scope, _, _ := unstructured.NestedString(u.Object, "spec", "scope")
	return gk, scope == "Namespaced", gk.Kind != ""
}
