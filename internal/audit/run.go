package audit

import (
	"sync"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/pipeline"
)

// Recorder makes entries of what runs of Apps did. It is safe for concurrent use.
type Recorder struct {
	Log *Log

	mu   sync.Mutex
	told map[object.App]told
}

// told is what was said last of an App, so that the same is not said at each try.
type told struct {
	failure, plan string
	pinned        int64
}

// Record appends what a run of an App did.
func (r *Recorder) Record(app *v1alpha1.App, out *pipeline.Outcome) {
	id := object.App{Namespace: app.Namespace, Name: app.Name}
	r.mu.Lock()
	if r.told == nil {
		r.told = map[object.App]told{}
	}
	before := r.told[id]
	entries, after := entriesOf(id, out, before)
	if out.Finished {
		delete(r.told, id)
	} else if after != (told{}) || before != (told{}) {
		r.told[id] = after
	}
	r.mu.Unlock()
	r.Log.Append(entries...)
}

// entriesOf makes the entries of a run.
func entriesOf(app object.App, out *pipeline.Outcome, before told) ([]Entry, told) {
	base := Entry{App: app.String(), Commit: out.Head.Commit, Author: object.Shorten(out.Head.Author)}
	if rel := out.Record; rel != nil {
		base = of(app, rel)
	}
	var list []Entry
	list = append(list, changes(base, out)...)
	after := before
	if after.failure = failure(out); after.failure != "" && after.failure != before.failure {
		e := base
		e.Kind, e.Outcome, e.Message = KindFailed, out.Reason, object.Shorten(out.Message)
		list = append(list, e)
	}
	after.plan = ""
	if w := out.Waiting; w != nil {
		if after.plan = w.Digest; w.Digest != before.plan {
			e := base
			e.Kind, e.Plan, e.Outcome, e.Message = KindWaits, w.Digest, w.Gate, object.Shorten(w.Message)
			list = append(list, e)
		}
	}
	list, after.pinned = pinned(list, base, out, before.pinned)
	for _, rel := range out.Ended {
		e := of(app, rel)
		e.Kind, e.Outcome, e.Message = KindRelease, string(rel.Outcome), object.Shorten(rel.Message)
		list = append(list, e)
	}
	if out.Finished {
		e := base
		e.Kind = KindRemoved
		list = append(list, e)
	}
	return list, after
}

// of is what an entry says of a release.
func of(app object.App, rel *v1alpha1.ReleaseSpec) Entry {
	e := Entry{
		App: app.String(), Release: rel.Number, Trigger: string(rel.Trigger), By: rel.By,
		Commit: rel.Source.Commit, Author: rel.Source.Author, Plan: rel.Plan.Digest,
	}
	for _, g := range rel.Gates {
		e.Gates = append(e.Gates, Gate{Gate: g.Gate, By: g.By, Reason: object.Shorten(g.Reason)})
	}
	return e
}

func failure(out *pipeline.Outcome) string {
	if out.Err == nil || out.Passing {
		return ""
	}
	return out.Reason + ": " + out.Message
}

// changes are what was done to objects.
func changes(base Entry, out *pipeline.Outcome) []Entry {
	healed := map[object.Key]bool{}
	var heals, syncs []Object
	for i := range out.Healed {
		h := &out.Healed[i]
		healed[h.Key] = true
		heals = append(heals, Object{Object: h.Key.String(), Action: "heal", By: object.Shorten(h.By)})
	}
	for i := range out.Applied {
		if k := object.KeyOf(out.Applied[i].Live); !healed[k] {
			syncs = append(syncs, Object{Object: k.String(), Action: string(out.Applied[i].Action)})
		}
	}
	for _, k := range out.Deleted {
		syncs = append(syncs, Object{Object: k.String(), Action: "delete"})
	}
	for _, k := range out.Orphaned {
		syncs = append(syncs, Object{Object: k.String(), Action: "left behind"})
	}
	for _, t := range out.Trouble {
		if t.Reason == pipeline.ReasonApplyFailed || t.Reason == pipeline.ReasonPruneFailed {
			syncs = append(syncs, Object{Object: t.Key.String(), Action: "failed", Message: object.Shorten(t.Message)})
		}
	}
	return append(split(base, KindHeal, heals), split(base, KindSync, syncs)...)
}

// split makes as many entries as objects need.
func split(base Entry, kind Kind, objects []Object) []Entry {
	var out []Entry
	for len(objects) > 0 {
		n := min(len(objects), maxObjects)
		e := base
		e.Kind, e.Objects = kind, objects[:n:n]
		out = append(out, e)
		objects = objects[n:]
	}
	return out
}

// pinned says when an App begins and ends to be held at a release.
func pinned(list []Entry, base Entry, out *pipeline.Outcome, before int64) ([]Entry, int64) {
	switch p := out.Pinned; {
	case p != nil && p.To != before:
		e := base
		e.Kind, e.By, e.Release, e.Message = KindPinned, p.By, p.To, object.Shorten(p.Reason)
		return append(list, e), p.To
	case p != nil:
		return list, before
	case out.Unpinned || before != 0 && out.State == v1alpha1.StateInSync:
		e := base
		e.Kind = KindUnpin
		return append(list, e), 0
	}
	return list, before
}
