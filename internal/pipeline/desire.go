package pipeline

import (
	"context"
	"errors"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/apply"
	"abide.dev/abide/internal/claims"
	"abide.dev/abide/internal/cluster"
	"abide.dev/abide/internal/desired"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/plan"
	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/snapshot"
)

// desiredState is what an App should be, without the objects themselves: they are
// rendered again when they are needed.
type desiredState struct {
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
		r.desired = &desiredState{}
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

func (r *run) want(d *desiredState) bool {
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
	r.desired = &desiredState{}
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

// rendered renders the App's folder of a tree, or takes what is cached of it.
func (r *run) rendered(ctx context.Context, tree snapshot.Tree) (*render.Result, error) {
	res, _, err := r.Renders.Get(ctx, r.app.Spec.Source.Repo, tree, render.Request{Path: r.app.Spec.Source.Path})
	return res, err
}

// desire renders the App and reduces the objects to what a plan needs.
func (r *run) desire(ctx context.Context, tree snapshot.Tree) (*desiredState, error) {
	res, err := r.rendered(ctx, tree)
	if err != nil {
		return nil, err
	}
	objects, unknown, err := r.prepared(ctx, res)
	if err != nil {
		return nil, err
	}
	d := &desiredState{
		commit: r.out.Head.Commit, generation: r.app.Generation,
		renderer: res.Renderer, trace: res.Trace, unknown: unknown,
		gvks:    make(map[object.Key]schema.GroupVersionKind, len(objects)),
		defines: map[schema.GroupVersionKind]bool{},
	}
	seen := map[schema.GroupVersionKind]bool{}
	for i := range objects {
		o := &objects[i]
		hash, err := object.Hash(o.Unstructured)
		if err != nil {
			return nil, err
		}
		gvk := o.GroupVersionKind()
		d.gvks[o.Key] = gvk
		for _, v := range desired.Serves(o.Unstructured) {
			d.defines[v] = true
		}
		d.list = append(d.list, plan.Desired{Key: o.Key, Hash: hash, Rules: o.Rules})
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

// prepared makes of a render what is applied, and names the kinds that the API
// server does not have.
func (r *run) prepared(ctx context.Context, res *render.Result) ([]desired.Object, []schema.GroupVersionKind, error) {
	scopes, unknown, err := desired.ScopesOf(ctx, r.Cluster.Kinds, r.Now().Add(-kindsFresh), res.Objects)
	if err != nil {
		return nil, nil, err
	}
	objects, err := desired.Objects(r.app, res.Objects, scopes)
	return objects, unknown, err
}

// objects renders the App again and returns the objects of some keys, ready to
// be applied.
func (r *run) objects(ctx context.Context, keys map[object.Key]bool) (map[object.Key]*desired.Object, error) {
	tree, err := r.Source.Tree(ctx, r.id, r.desired.commit)
	if err != nil {
		return nil, err
	}
	res, err := r.rendered(ctx, tree)
	if err != nil {
		return nil, err
	}
	all, _, err := r.prepared(ctx, res)
	if err != nil {
		return nil, err
	}
	out := make(map[object.Key]*desired.Object, len(keys))
	for i := range all {
		if o := &all[i]; keys[o.Key] {
			object.Mark(o.Unstructured, r.id)
			out[o.Key] = o
		}
	}
	return out, nil
}
