package pipeline

import (
	"context"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/apply"
	"abide.dev/abide/internal/object"
)

// pendingWrite is what the inventory does not have yet of what has been done:
// fingerprints that came out other than foretold, objects that are gone. It goes
// with the next write.
type pendingWrite struct {
	set    []v1alpha1.InventoryEntry
	remove []object.Key
}

// writeAhead stores what a stage is about to do, together with what the stage
// before it left to store.
func (r *run) writeAhead(ctx context.Context, dry []apply.Result) error {
	for i := range dry {
		res := &dry[i]
		// With heal off, only a hash that is not the desired one makes the next run
		// apply an object again, should this one not get that far.
		if r.inventory[object.KeyOf(res.Object)] != nil && !r.heals() {
			continue
		}
		var uid types.UID
		if res.Existed {
			uid = res.Live.GetUID()
		}
		r.pending.set = append(r.pending.set, r.entry(res, uid))
	}
	return r.write(ctx)
}

func (r *run) entry(res *apply.Result, uid types.UID) v1alpha1.InventoryEntry {
	k := object.KeyOf(res.Object)
	e := v1alpha1.InventoryEntry{
		Group: k.Group, Version: res.Kind.Version, Kind: k.Kind, Namespace: k.Namespace, Name: k.Name,
		UID: uid, Hash: res.Hash, Fingerprint: object.Fingerprint(res.Live).Fingerprint,
		Wave: int32(res.Rules.Wave),
	}
	if h := res.Rules.Hook; h != nil {
		e.Flags = append(e.Flags, v1alpha1.FlagHook)
		if h.Finish {
			e.Flags = append(e.Flags, v1alpha1.FlagFinish)
		}
	}
	if res.Rules.NoPrune {
		e.Flags = append(e.Flags, v1alpha1.FlagNoPrune)
	}
	return e
}

// write stores what is pending.
func (r *run) write(ctx context.Context) error {
	p := r.pending
	r.pending = pendingWrite{}
	if len(p.set) == 0 && len(p.remove) == 0 {
		return nil
	}
	// What was noted of an object before it was removed is of no use any more.
	removed := make(map[object.Key]bool, len(p.remove))
	for _, k := range p.remove {
		removed[k] = true
	}
	p.set = slices.DeleteFunc(p.set, func(e v1alpha1.InventoryEntry) bool { return removed[object.EntryKey(&e)] })
	err := r.Inventories.Write(ctx, r.app, p.set, p.remove)
	r.inventory = r.Inventories.Entries(r.id)
	return err
}

// flush stores what is pending at the end of a run.
func (r *run) flush(ctx context.Context) bool {
	if err := r.write(ctx); err != nil {
		return r.fail(ReasonRecordFailed, err)
	}
	return true
}

// flushLate stores what is pending of a run that has already ended otherwise.
// What can't be stored is found out again by the next run.
func (r *run) flushLate(ctx context.Context) {
	if err := r.write(ctx); err != nil {
		r.Log.Warn("the inventory could not be written at the end of a run that stopped; the next run does it", "app", r.id.String(), "error", err)
	}
}
