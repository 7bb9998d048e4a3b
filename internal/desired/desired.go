// Package desired makes of rendered objects what abide applies: normalised, in
// their namespace, with the rules of their annotations read. It is the one
// place that does, so that a diff on somebody's machine and an apply by the
// controller cannot part.
//
// It changes no object that it is given. Every fault of an object is an
// [apply.ObjectError] that names its file and line.
package desired

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/apply"
	"abide.dev/abide/internal/cluster"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/render"
)

// Object is an object as it is applied, all but the marks of its App.
type Object struct {
	*unstructured.Unstructured
	Key    object.Key
	Rules  object.Rules
	Origin render.Origin
}

// Scopes tells of kinds whether they are namespaced.
type Scopes map[schema.GroupKind]bool

// ScopesOf tells for each kind among the objects whether it is namespaced: from
// the API server, or else from a definition among the objects themselves.
// unknown are the kinds, in order, that the API server does not have (yet). A
// kind that is missing has the API server asked again, unless it was asked since
// fresh.
func ScopesOf(ctx context.Context, kinds *cluster.Kinds, fresh time.Time, objects []render.Object) (scopes Scopes, unknown []schema.GroupVersionKind, err error) {
	scopes = Scopes{}
	used := kindsOf(objects)
	if unknown = scopes.lookUp(kinds, used); len(unknown) > 0 {
		if err := kinds.Refresh(ctx, fresh); err != nil {
			return nil, nil, err
		}
		unknown = scopes.lookUp(kinds, used)
	}
	if !slices.ContainsFunc(used, func(gvk schema.GroupVersionKind) bool {
		return gvk.GroupKind() == cluster.CustomResourceDefinitions.GroupKind()
	}) {
		return scopes, unknown, nil
	}
	for i := range objects {
		gk, namespaced, ok := Defines(objects[i].Unstructured)
		if _, known := scopes[gk]; ok && !known {
			scopes[gk] = namespaced
		}
	}
	return scopes, unknown, nil
}

// kindsOf are the kinds of objects, each once.
func kindsOf(objects []render.Object) (out []schema.GroupVersionKind) {
	type written struct{ apiVersion, kind string }
	seen := map[written]bool{}
	for i := range objects {
		w := written{objects[i].GetAPIVersion(), objects[i].GetKind()}
		if !seen[w] {
			seen[w] = true
			out = append(out, schema.FromAPIVersionAndKind(w.apiVersion, w.kind))
		}
	}
	return out
}

// lookUp fills in what the API server is known to have, and returns the rest.
func (s Scopes) lookUp(kinds *cluster.Kinds, used []schema.GroupVersionKind) (missing []schema.GroupVersionKind) {
	for _, gvk := range used {
		if kind, ok := kinds.Lookup(gvk); ok {
			s[gvk.GroupKind()] = kind.Namespaced
		} else {
			missing = append(missing, gvk)
		}
	}
	slices.SortFunc(missing, func(a, b schema.GroupVersionKind) int {
		return slices.Compare([]string{a.Group, a.Kind, a.Version}, []string{b.Group, b.Kind, b.Version})
	})
	return slices.Compact(missing)
}

// Defines reads the kind and the scope that a CustomResourceDefinition defines;
// ok is false for any other object.
func Defines(u *unstructured.Unstructured) (gk schema.GroupKind, namespaced, ok bool) {
	if u.GroupVersionKind().GroupKind() != cluster.CustomResourceDefinitions.GroupKind() {
		return gk, false, false
	}
	gk.Group, _, _ = unstructured.NestedString(u.Object, "spec", "group")
	gk.Kind, _, _ = unstructured.NestedString(u.Object, "spec", "names", "kind")
	scope, _, _ := unstructured.NestedString(u.Object, "spec", "scope")
	return gk, scope == "Namespaced", gk.Kind != ""
}

// Serves reads the kind in each version that a CustomResourceDefinition has
// served; nothing for any other object.
func Serves(u *unstructured.Unstructured) []schema.GroupVersionKind {
	gk, _, ok := Defines(u)
	if !ok {
		return nil
	}
	var out []schema.GroupVersionKind
	versions, _, _ := unstructured.NestedSlice(u.Object, "spec", "versions")
	for _, raw := range versions {
		v, _ := raw.(map[string]any)
		if name, _ := v["name"].(string); v["served"] == true {
			out = append(out, gk.WithVersion(name))
		}
	}
	return out
}

// Objects prepares what an App renders to, in the order in which it was
// rendered. Two objects with one key are a fault.
func Objects(app *v1alpha1.App, rendered []render.Object, scopes Scopes) ([]Object, error) {
	out := make([]Object, 0, len(rendered))
	seen := make(map[object.Key]bool, len(rendered))
	for i := range rendered {
		o, err := Prepare(app, &rendered[i], scopes)
		if err != nil {
			return nil, err
		}
		if seen[o.Key] {
			return nil, Twice(o.Key, &rendered[i])
		}
		seen[o.Key] = true
		out = append(out, o)
	}
	return out, nil
}

// Twice is the fault of a rendered object whose key another one of its App has.
func Twice(k object.Key, rendered *render.Object) error {
	return fault(k, rendered, errors.New("the App has this object twice once spec.target.namespace is filled in"))
}

func fault(k object.Key, rendered *render.Object, err error) error {
	return &apply.ObjectError{Key: k, File: rendered.Origin.File, Line: rendered.Origin.Line, Err: err}
}

// Key is the key that Prepare gives a rendered object, without the cost of the
// rest.
func Key(app *v1alpha1.App, rendered *render.Object, scopes Scopes) object.Key {
	k := object.KeyOf(rendered.Unstructured)
	if k.Name == "" { // a hook: each of its runs has a name of its own
		k.Name = strings.TrimRight(rendered.GetGenerateName(), "-.")
	}
	namespaced, known := scopes[k.GroupKind()]
	switch {
	case known && !namespaced:
		k.Namespace = ""
	case k.Namespace == "":
		k.Namespace = app.Spec.Target.Namespace
	}
	return k
}

// records are the kinds that abide alone writes. One in a repository, copied from
// a cluster, would claim objects for an App that it does not own.
var records = map[string]bool{"Inventory": true, "GitRef": true, "Release": true}

// Prepare makes of one rendered object what is applied.
func Prepare(app *v1alpha1.App, rendered *render.Object, scopes Scopes) (Object, error) {
	o := Object{Unstructured: rendered.DeepCopy(), Key: Key(app, rendered, scopes), Origin: rendered.Origin}
	if o.Key.Group == v1alpha1.Group && records[o.Key.Kind] {
		return o, fault(o.Key, rendered, errors.New("it is a record that abide itself keeps, and would be taken for one: remove it from the repository"))
	}
	if o.GetName() == "" {
		o.SetName(o.Key.Name)
		o.SetGenerateName("")
	}
	if err := object.Normalise(o.Unstructured); err != nil {
		return o, fault(o.Key, rendered, err)
	}
	switch {
	case o.Key.Namespace == "":
		unstructured.RemoveNestedField(o.Object, "metadata", "namespace")
		if scopes[o.Key.GroupKind()] {
			return o, fault(o.Key, rendered, errors.New("it names no namespace, and neither does the App: set spec.target.namespace"))
		}
	case o.Key.Namespace != o.GetNamespace():
		o.SetNamespace(o.Key.Namespace)
	}
	rules, err := object.RulesOf(o.Unstructured)
	if err != nil {
		return o, fault(o.Key, rendered, err)
	}
	o.Rules = rules
	return o, nil
}
