package audit

import (
	"crypto/sha256"
	"fmt"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

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
	// objects is the hash of those that failed; zero if it is not known.
	objects [sha256.Size]byte
}

// toldBy is what was said last of an App by one who wrote its status: a restart, or
// another leader, does not say it again.
func toldBy(s *v1alpha1.AppStatus) (t told) {
	if s.Plan != nil {
		t.plan = s.Plan.Digest
	}
	if s.Pinned != nil {
		t.pinned = s.Pinned.To
	}
	if c := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionSynced); c != nil && c.Status == metav1.ConditionFalse {
		t.failure = c.Reason + ": " + c.Message
	}
	return t
}

// Record appends what a run of an App did, whose status was this before.
func (r *Recorder) Record(app *v1alpha1.App, was *v1alpha1.AppStatus, out *pipeline.Outcome) {
	id := object.App{Namespace: app.Namespace, Name: app.Name}
	r.mu.Lock()
	if r.told == nil {
		r.told = map[object.App]told{}
	}
	before, known := r.told[id]
	if !known {
		before = toldBy(was)
	}
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
	base := Entry{App: app.String(), Commit: out.Head.Commit, Author: object.Shorten(out.Head.Author.String())}
	if rel := out.Record; rel != nil {
		base = of(app, rel)
	}
	var list []Entry
	list = append(list, changes(base, out)...)
	after := before
	if out.Passing { // what it will say is still to come
		return list, after
	}
	after.failure = failure(out)
	objects := failed(out)
	after.objects = hashObjects(objects)
	if fresh := after.failure != before.failure; fresh || before.objects != [sha256.Size]byte{} && after.objects != before.objects {
		list = append(list, split(base, KindFailed, objects)...)
	}
	if after.failure != "" && after.failure != before.failure {
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
	if out.Err == nil {
		return ""
	}
	return out.Reason + ": " + object.Shorten(out.Message)
}

// failed are the objects that could not be changed.
func failed(out *pipeline.Outcome) []Object {
	var list []Object
	for _, t := range out.Trouble {
		if t.Reason == pipeline.ReasonApplyFailed || t.Reason == pipeline.ReasonPruneFailed {
			list = append(list, Object{Object: t.Key.String(), Action: "failed", Message: object.Shorten(t.Message)})
		}
	}
	return list
}

// hashObjects is the hash of objects; zero if there are none.
func hashObjects(list []Object) (sum [sha256.Size]byte) {
	if len(list) == 0 {
		return sum
	}
	h := sha256.New()
	for i := range list {
		fmt.Fprintf(h, "%q %q\n", list[i].Object, list[i].Message)
	}
	h.Sum(sum[:0])
	return sum
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
