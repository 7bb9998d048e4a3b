package render

import (
	"context"
	"slices"

	"abide.dev/abide/internal/render/manifest"
	"abide.dev/abide/internal/render/overlay"
	"abide.dev/abide/internal/render/substitute"
)

// modifies tells whether the request changes what a renderer gives.
func (q *Request) modifies() bool { return !q.Overlay.Empty() || q.Substitute != nil }

// modify changes what the renderer gave as the request says: the overlay first,
// so that what it brings has its variables substituted as well.
func (r *renderer) modify(ctx context.Context) error {
	r.res.decoded = 0 // the objects are others
	if err := r.overlay(ctx); err != nil {
		return err
	}
	return r.substitute(ctx)
}

// all are the objects and, behind them, those of the hooks.
func (r *renderer) all() []Object {
	all := slices.Clone(r.res.Objects)
	for _, h := range r.res.Hooks {
		all = append(all, h.Object)
	}
	return all
}

// overlay has Kustomize change objects and hooks together, since they refer to
// each other by name.
func (r *renderer) overlay(ctx context.Context) error {
	if r.req.Overlay.Empty() {
		return nil
	}
	out, err := overlay.Apply(ctx, r.all(), r.req.Overlay, r.req.Limits)
	if err != nil {
		return err
	}
	given := len(r.res.Objects)
	var objects []manifest.Object
	var hooks []Hook
	for i, o := range out.Objects {
		if out.From[i] < given {
			objects = append(objects, o)
			continue
		}
		h := r.res.Hooks[out.From[i]-given]
		h.Object = o
		hooks = append(hooks, h)
	}
	r.res.Objects, r.res.Hooks, r.res.Text = objects, hooks, nil
	r.res.Warnings = append(r.res.Warnings, out.Warnings...)
	return nil
}

// substitute puts values in the place of names.
func (r *renderer) substitute(ctx context.Context) error {
	if r.req.Substitute == nil {
		return nil
	}
	before := r.all()
	after, err := substitute.Apply(ctx, before, r.req.Substitute, r.req.Limits)
	if err != nil {
		return err
	}
	for i := range after {
		if after[i].Unstructured != before[i].Unstructured {
			r.res.Text = nil
		}
	}
	given := len(r.res.Objects)
	r.res.Objects = after[:given:given]
	r.res.Hooks = slices.Clone(r.res.Hooks)
	for i, o := range after[given:] {
		r.res.Hooks[i].Object = o
	}
	return nil
}
