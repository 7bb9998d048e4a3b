package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/apply"
	"abide.dev/abide/internal/claims"
	"abide.dev/abide/internal/cluster"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/plan"
	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/snapshot"
)

// desired is what an App should be, without the objects themselves: they are
// rendered again when they are needed.
type desired struct {
	commit     string // that it was last found to hold for
	generation int64
	renderer   string
	hash       string
	list       []plan.Desired // in the order of their keys
	keys       []object.Key   // the same keys, for claims
	kinds      []cluster.Kind // each once
	gvks       map[object.Key]schema.GroupVersionKind
	unknown    []schema.GroupVersionKind        // kinds that the API server does not have
	defines    map[schema.GroupVersionKind]bool // kinds that the App itself defines
	trace      render.Trace
}

// fetch learns where the ref stands.
func (r *run) fetch(ctx context.Context) bool {
	if r.deleting {
		return true
	}
	r.out.Head = r.Source.Head(r.id)
	head := &r.out.Head
	if head.Commit == "" {
		if head.Err != nil {
			r.Claims.Judge(r.id, claims.Judgement{Failed: true, Paused: r.in.Pause != nil})
			if !r.watch(ctx) {
				return false
			}
			// Git is looked at again by the source, which then wakes the App.
			r.out.Err = head.Err
			return r.stop(v1alpha1.StateFailed, ReasonOf(head.Err, ReasonSourceFailed), "%s", head.Err)
		}
		return r.pass(ReasonFetching, "fetching %s", r.app.Spec.Source.Repo)
	}
	return true
}

// render learns what the App should be, from memory if the commit changed
// nothing that the last render had looked at.
func (r *run) render(ctx context.Context) bool {
	if r.deleting {
		r.desired = &desired{}
		return true
	}
	commit := r.out.Head.Commit
	if d := r.mem.desired; d != nil && d.generation == r.app.Generation && len(d.unknown) == 0 && d.commit == commit {
		return r.want(d)
	}
	tree, err := r.Source.Tree(ctx, r.id, commit)
	if err != nil {
		return r.unreadable(err)
	}
	if d := r.mem.desired; d != nil && d.generation == r.app.Generation && len(d.unknown) == 0 {
		valid, err := d.trace.Valid(tree)
		if err != nil {
			return r.unreadable(err)
		}
		if valid {
			d.commit = commit
			return r.want(d)
		}
	}
	d, err := r.desire(ctx, tree)
	if err != nil {
		return r.renderFailed(ctx, err)
	}
	if r.mem.desired == nil || r.mem.desired.hash != d.hash {
		r.mem.failures, r.mem.approved = 0, approval{} // a new desired state starts afresh
	}
	r.mem.desired = d
	r.Index.Put(r.id, d.trace)
	clear(r.mem.left)
	return r.want(d)
}

func (r *run) want(d *desired) bool {
	r.desired = d
	r.out.Desired = d.hash
	if !r.vanished() { // else what runs was not made by it, until the run is through
		r.out.Renderer = d.renderer
	}
	return true
}

// vanished tells whether the folder has lost its kustomization: it then renders
// as plain files, which are other objects, for which those there are would go.
func (r *run) vanished() bool {
	s := &r.app.Status
	return s.ObservedGeneration == r.app.Generation && s.Source.Renderer == render.Kustomize && r.desired.renderer == render.Manifests
}

// renderFailed ends a run whose commit can't be rendered. What runs stays.
func (r *run) renderFailed(ctx context.Context, err error) bool {
	r.Claims.Judge(r.id, claims.Judgement{Commit: r.out.Head.Commit, Failed: true, Paused: r.in.Pause != nil})
	r.out.Reported = r.out.Head.Commit
	if !r.watch(ctx) {
		return false
	}
	var re *render.Error
	var oe *apply.ObjectError
	if !errors.As(err, &re) && !errors.As(err, &oe) {
		return r.fail(ReasonRenderFailed, err)
	}
	// The fault is in the repository: a new commit wakes the App.
	reason := ReasonInvalidObject
	if re != nil {
		reason = re.Reason
	}
	r.out.Err = err
	return r.stop(v1alpha1.StateFailed, reason, "%s", err)
}

// watch makes sure that the records of what the App owns are there, for a run
// that gets no further: it still has to say how that is doing.
func (r *run) watch(ctx context.Context) bool {
	r.desired = &desired{}
	return r.observe(ctx)
}

// judge tells the other Apps what this one wants.
func (r *run) judge(context.Context) bool {
	if r.deleting {
		r.Claims.Judge(r.id, claims.Judgement{})
		return true
	}
	r.Claims.Judge(r.id, claims.Judgement{Commit: r.desired.commit, Wants: r.desired.keys, Paused: r.in.Pause != nil})
	r.out.Reported = r.desired.commit
	return true
}

// renderTimeout is how long one render may take.
const renderTimeout = time.Minute

// rendered renders the App's folder of a tree, or takes what is cached of it.
func (r *run) rendered(ctx context.Context, tree snapshot.Tree) (*render.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, renderTimeout)
	defer cancel()
	res, _, err := r.Renders.Get(ctx, r.app.Spec.Source.Repo, tree, render.Request{Path: r.app.Spec.Source.Path})
	return res, err
}

// desire renders the App and reduces the objects to what a plan needs.
func (r *run) desire(ctx context.Context, tree snapshot.Tree) (*desired, error) {
	res, err := r.rendered(ctx, tree)
	if err != nil {
		return nil, err
	}
	scopes, unknown, err := r.scopes(ctx, res.Objects)
	if err != nil {
		return nil, err
	}
	d := &desired{
		commit: r.out.Head.Commit, generation: r.app.Generation,
		renderer: res.Renderer, trace: res.Trace, unknown: unknown,
		gvks:    make(map[object.Key]schema.GroupVersionKind, len(res.Objects)),
		defines: map[schema.GroupVersionKind]bool{},
	}
	seen := map[schema.GroupVersionKind]bool{}
	for i := range res.Objects {
		o := &res.Objects[i]
		u, err := r.prepare(o, scopes)
		if err != nil {
			return nil, err
		}
		k := object.KeyOf(u)
		if _, dup := d.gvks[k]; dup {
			return nil, &apply.ObjectError{Key: k, File: o.Origin.File, Line: o.Origin.Line,
				Err: fmt.Errorf("the App has this object twice once spec.target.namespace is filled in")}
		}
		rules, err := object.RulesOf(u)
		if err != nil {
			return nil, &apply.ObjectError{Key: k, File: o.Origin.File, Line: o.Origin.Line, Err: err}
		}
		hash, err := object.Hash(u)
		if err != nil {
			return nil, err
		}
		gvk := u.GroupVersionKind()
		d.gvks[k] = gvk
		for _, v := range served(u) {
			d.defines[v] = true
		}
		d.list = append(d.list, plan.Desired{Key: k, Hash: hash, Rules: rules})
		if kind, ok := r.Cluster.Kinds.Lookup(gvk); ok && !seen[gvk] {
			seen[gvk] = true
			d.kinds = append(d.kinds, kind)
		}
	}
	slices.SortFunc(d.list, func(a, b plan.Desired) int { return a.Key.Compare(b.Key) })
	d.keys = make([]object.Key, len(d.list))
	for i := range d.list {
		d.keys[i] = d.list[i].Key
	}
	d.hash = object.SetHash(len(d.list), func(i int) (object.Key, string) { return d.list[i].Key, d.list[i].Hash })
	return d, nil
}

// scopes tells for each kind among the objects whether it is namespaced: from
// the API server, or else from a definition among the objects themselves.
// unknown are the kinds that the API server does not have (yet).
func (r *run) scopes(ctx context.Context, objects []render.Object) (map[schema.GroupKind]bool, []schema.GroupVersionKind, error) {
	scopes := map[schema.GroupKind]bool{}
	missing := map[schema.GroupVersionKind]bool{}
	look := func() {
		clear(missing)
		for i := range objects {
			gvk := objects[i].GroupVersionKind()
			if kind, ok := r.Cluster.Kinds.Lookup(gvk); ok {
				scopes[gvk.GroupKind()] = kind.Namespaced
			} else {
				missing[gvk] = true
			}
		}
	}
	if look(); len(missing) > 0 {
		if err := r.Cluster.Kinds.Refresh(ctx, r.Now().Add(-kindsFresh)); err != nil {
			return nil, nil, err
		}
		look()
	}
	for i := range objects {
		if gk, namespaced, ok := defines(objects[i].Unstructured); ok {
			if _, known := scopes[gk]; !known {
				scopes[gk] = namespaced
			}
		}
	}
	unknown := make([]schema.GroupVersionKind, 0, len(missing))
	for gvk := range missing {
		unknown = append(unknown, gvk)
	}
	slices.SortFunc(unknown, func(a, b schema.GroupVersionKind) int {
		return slices.Compare([]string{a.Group, a.Kind, a.Version}, []string{b.Group, b.Kind, b.Version})
	})
	return scopes, unknown, nil
}

// defines reads the kind and scope that a CustomResourceDefinition defines.
func defines(u *unstructured.Unstructured) (gk schema.GroupKind, namespaced, ok bool) {
	if u.GroupVersionKind().GroupKind() != (schema.GroupKind{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}) {
		return gk, false, false
	}
	gk.Group, _, _ = unstructured.NestedString(u.Object, "spec", "group")
	gk.Kind, _, _ = unstructured.NestedString(u.Object, "spec", "names", "kind")
	scope, _, _ := unstructured.NestedString(u.Object, "spec", "scope")
	return gk, scope == "Namespaced", gk.Kind != ""
}

// served reads the kind in each version that a CustomResourceDefinition has
// served.
func served(u *unstructured.Unstructured) []schema.GroupVersionKind {
	gk, _, ok := defines(u)
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

// prepare makes of a rendered object what is applied, all but the marks.
func (r *run) prepare(o *render.Object, scopes map[schema.GroupKind]bool) (*unstructured.Unstructured, error) {
	u := o.DeepCopy()
	fault := func(err error) error {
		return &apply.ObjectError{Key: object.KeyOf(u), File: o.Origin.File, Line: o.Origin.Line, Err: err}
	}
	if err := object.Normalise(u); err != nil {
		return nil, fault(err)
	}
	namespaced, known := scopes[u.GroupVersionKind().GroupKind()]
	switch {
	case known && !namespaced:
		unstructured.RemoveNestedField(u.Object, "metadata", "namespace")
	case u.GetNamespace() == "" && r.app.Spec.Target.Namespace != "":
		u.SetNamespace(r.app.Spec.Target.Namespace)
	case u.GetNamespace() == "" && known:
		return nil, fault(fmt.Errorf("it names no namespace, and neither does the App: set spec.target.namespace"))
	}
	return u, nil
}

// objects renders the App again and returns the objects of some keys, ready to
// be applied.
func (r *run) objects(ctx context.Context, keys map[object.Key]bool) (map[object.Key]*render.Object, error) {
	tree, err := r.Source.Tree(ctx, r.id, r.desired.commit)
	if err != nil {
		return nil, err
	}
	res, err := r.rendered(ctx, tree)
	if err != nil {
		return nil, err
	}
	scopes, _, err := r.scopes(ctx, res.Objects)
	if err != nil {
		return nil, err
	}
	out := make(map[object.Key]*render.Object, len(keys))
	for i := range res.Objects {
		o := &res.Objects[i]
		u, err := r.prepare(o, scopes)
		if err != nil {
			return nil, err
		}
		if k := object.KeyOf(u); keys[k] {
			object.Mark(u, r.id)
			out[k] = &render.Object{Unstructured: u, Origin: o.Origin}
		}
	}
	return out, nil
}
