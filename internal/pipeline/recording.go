package pipeline

import (
	"context"
	"errors"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/plan"
	"abide.dev/abide/internal/release"
)

// maxHeals is how many heals a release names.
const maxHeals = 20

// record writes the releases that say more than their records do: a new one with
// what it renders.
func (r *run) record(ctx context.Context) bool {
	if r.release != nil && r.unwritten && !slices.Contains(r.mem.unwritten, r.release) {
		r.mem.unwritten = append(r.mem.unwritten, r.release)
	}
	r.unwritten = false
	if r.release != nil {
		r.mem.release = r.release
	}
	if len(r.mem.unwritten) == 0 {
		return true
	}
	for len(r.mem.unwritten) > 0 {
		rel := r.mem.unwritten[0]
		if rel == r.release && rel.Manifests == nil {
			if err := r.keep(ctx, rel); err != nil {
				return r.unrecorded(err)
			}
		}
		if err := r.Releases.Write(ctx, r.id, rel); err != nil {
			if taken := (*release.TakenError)(nil); errors.As(err, &taken) {
				rel.Number = r.nextNumber(rel)
			}
			return r.unrecorded(err)
		}
		r.mem.unwritten = r.mem.unwritten[1:]
	}
	if err := r.Releases.Trim(ctx, r.id, r.historyLimit(), r.pinnedTo()); err != nil {
		r.Log.Warn("old releases could not be removed; the next release does it", "app", r.id.String(), "error", err)
	}
	return true
}

// unrecorded ends a run whose release can't be written: it is tried again.
func (r *run) unrecorded(err error) bool {
	if r.out.Err != nil { // that is what matters
		r.Log.Warn("a release could not be written; the next run does it", "app", r.id.String(), "error", err)
		r.again(r.backoff())
		return false
	}
	r.out.Complete = false
	return r.fail(ReasonRecordFailed, err)
}

func (r *run) historyLimit() int {
	if l := r.app.Spec.HistoryLimit; l != nil {
		return int(*l)
	}
	return 10
}

// keep stores what a release renders, and says field by field what it changes of
// the objects that were there before.
func (r *run) keep(ctx context.Context, rel *v1alpha1.ReleaseSpec) error {
	if r.desired.kept != nil || r.deleting {
		rel.Manifests = r.desired.kept // a restart still finds the hooks of a deletion
		return nil
	}
	r.changes(ctx, rel)
	items := make([]release.Item, 0, len(r.desired.list)+len(r.desired.hooks))
	for i := range r.desired.list {
		items = append(items, release.Item{Key: r.desired.list[i].Key, Hash: r.desired.list[i].Hash})
	}
	for i := range r.desired.hooks {
		items = append(items, release.Item{Key: r.desired.hooks[i].Key, Hash: r.desired.hooks[i].Hash, Hook: true})
	}
	names, err := r.Releases.Keep(ctx, r.id, items, r.bare)
	rel.Manifests = names
	return err
}

// bare are objects as they are kept: without the marks of their App.
func (r *run) bare(ctx context.Context, keys map[object.Key]bool) (map[object.Key]*unstructured.Unstructured, error) {
	prepared, err := r.prepared(ctx, keys)
	if err != nil {
		return nil, err
	}
	out := make(map[object.Key]*unstructured.Unstructured, len(prepared))
	for k, o := range prepared {
		out[k] = o.Unstructured
	}
	return out, nil
}

// changes says which fields of objects change, by what the release before
// rendered. It is for people: where that can't be read, they are not told.
func (r *run) changes(ctx context.Context, rel *v1alpha1.ReleaseSpec) {
	updated := map[object.Key]bool{}
	for _, s := range r.plan.Select(plan.Update) {
		updated[s.Key] = true
	}
	if len(updated) == 0 {
		return
	}
	secret, err := r.Releases.Secret(ctx)
	var before, after map[object.Key]*unstructured.Unstructured
	if err == nil {
		before, err = r.Releases.Kept(ctx, r.id, updated)
	}
	if err == nil {
		after, err = r.bare(ctx, updated)
	}
	if err != nil {
		r.Log.Info("what a release changes can't be told field by field", "app", r.id.String(), "release", rel.Number, "error", err)
		return
	}
	at := make(map[string]object.Key, len(updated))
	for k := range updated {
		at[k.String()] = k
	}
	for i := range rel.Plan.Objects {
		o := &rel.Plan.Objects[i]
		if b, a := before[at[o.Object]], after[at[o.Object]]; a != nil && b != nil {
			fields, total := release.Changes(b, a, secret)
			o.Fields, o.FieldCount = fields, int32(total)
		}
	}
}

// recordHeals adds what was put right to the record of the newest release.
func (r *run) recordHeals(ctx context.Context) {
	if len(r.out.Healed) == 0 {
		return
	}
	rel := r.release
	if rel == nil {
		rel, _ = r.last(ctx)
	}
	secret, err := r.Releases.Secret(ctx)
	if err != nil || rel == nil {
		r.Log.Warn("a heal could not be noted in the record of the release", "app", r.id.String(), "error", err)
		return
	}
	now := metav1.NewMicroTime(r.Now())
	for i := range r.out.Healed {
		h := &r.out.Healed[i]
		rec := v1alpha1.HealRecord{At: now, Object: h.Key.String(), By: object.Shorten(h.By)}
		rec.Fields, _ = release.Changes(h.Before, h.After, secret)
		rel.Heals = append(rel.Heals, rec)
		rel.HealCount++
	}
	rel.Heals = rel.Heals[max(0, len(rel.Heals)-maxHeals):]
	r.behind(rel)
}
