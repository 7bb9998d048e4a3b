package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/plan"
	"abide.dev/abide/internal/release"
)

// defaultTimeout is how long a release that is bounded may take.
const defaultTimeout = time.Hour

// yield ends a release that is under way and does not bring about what is desired
// now, with its hooks, whatever the newer one has to wait for before it begins. What
// it left undone is the newer one's.
func (r *run) yield(ctx context.Context) bool {
	last, err := r.last(ctx)
	if err != nil {
		return r.fail(ReasonRecordFailed, err)
	}
	if r.orphaning != "" || last == nil || last.Outcome != v1alpha1.OutcomeRunning || r.continues(last) {
		return true
	}
	if len(last.Hooks) > 0 { // else it may have waited for those of the one before
		r.mem.superseded = last
	}
	r.end(last, v1alpha1.OutcomeSuperseded, fmt.Sprintf("superseded while %s", cmp.Or(last.Message, "it was under way")))
	// It is on record before its hooks go: should Git go back to what it brought about,
	// a kill does not have them run again.
	return (len(last.Hooks) == 0 || r.record(ctx)) && r.discard(ctx)
}

// attempt finds the release that this run is part of: the one under way, or else a
// new one, if there is something to do.
func (r *run) attempt(ctx context.Context) bool {
	if r.orphaning != "" {
		return true
	}
	last, err := r.last(ctx)
	if err != nil {
		return r.fail(ReasonRecordFailed, err)
	}
	if last != nil && last.Outcome == v1alpha1.OutcomeRunning {
		return r.proceed(ctx, last)
	}
	if why := r.held(last); why != "" {
		return r.hold(last, why)
	}
	if r.works(last) {
		r.release = r.newRelease(ctx, last)
	}
	// What hooks of the newest release ran as is left for people to look at.
	return r.release == nil || r.discard(ctx)
}

// proceed goes on with a release that an earlier run began.
func (r *run) proceed(ctx context.Context, rel *v1alpha1.ReleaseSpec) bool {
	r.release = rel
	r.addGates()
	r.addSteps()
	if !r.discard(ctx) {
		return false
	}
	if why := r.broken(rel); why != "" {
		return r.failed(ctx, why)
	}
	return true
}

// last is the newest release of the App, as far as it has to be known: of one
// that is over, and that nothing is added to, what is kept in memory is enough.
func (r *run) last(ctx context.Context) (*v1alpha1.ReleaseSpec, error) {
	if r.mem.release != nil {
		return r.mem.release, nil
	}
	note, ok := r.Releases.Last(r.id)
	if !ok {
		return nil, nil
	}
	if note.Outcome == v1alpha1.OutcomeSucceeded && len(r.out.Healed) == 0 && !r.deleting {
		return noted(&note), nil
	}
	// A plan that was rejected has changed nothing: what was before it counts.
	for n := note.Number; n > 0; n-- {
		rel, err := r.Releases.Read(ctx, r.id, n)
		gone := (*release.NotFoundError)(nil)
		switch {
		case errors.As(err, &gone) && n == note.Number && note.Outcome != v1alpha1.OutcomeRejected:
			return noted(&note), nil // somebody removed it
		case errors.As(err, &gone) && note.Healthy != nil:
			return noted(note.Healthy), nil
		case errors.As(err, &gone):
			return nil, nil
		case err != nil:
			return nil, err
		case rel.Spec.Outcome != v1alpha1.OutcomeRejected:
			r.mem.release = &rel.Spec
			return r.mem.release, nil
		}
	}
	return nil, nil
}

// noted is what is known of a release without its record. What one was doing whose
// record is gone begins anew.
func noted(n *release.Note) *v1alpha1.ReleaseSpec {
	s := &v1alpha1.ReleaseSpec{AppUID: n.UID, Number: n.Number, DesiredHash: n.Hash, Outcome: n.Outcome, Manifests: n.Manifests}
	if s.Outcome == v1alpha1.OutcomeRunning {
		s.Outcome = v1alpha1.OutcomeSuperseded
	}
	return s
}

// continues tells whether a release that is under way brings about what this run
// wants.
func (r *run) continues(rel *v1alpha1.ReleaseSpec) bool {
	if rel.AppUID != r.app.UID || r.deleting != (rel.Trigger == v1alpha1.TriggerDelete) {
		return false
	}
	return r.deleting || rel.DesiredHash == r.desired.hash && rel.RollbackTo == r.pinnedTo()
}

// works tells whether there is something to do that a release stands for: each
// desired state has one, also where it was reached without a change, and so has
// each plan that changes more than what drifted.
func (r *run) works(last *v1alpha1.ReleaseSpec) bool {
	if r.deleting {
		return len(r.inventory) > 0 && (last == nil || last.AppUID != r.app.UID || last.Trigger != v1alpha1.TriggerDelete || last.Outcome != v1alpha1.OutcomeSucceeded)
	}
	if len(r.steps()) > 0 || last != nil && last.DesiredHash == r.desired.hash && hookFailed(last) {
		return true
	}
	if r.pinned != nil && last != nil {
		return false
	}
	return last == nil || last.DesiredHash != r.desired.hash || last.AppUID != r.app.UID
}

// steps are those that a release stands for.
func (r *run) steps() []*plan.Step {
	return r.plan.Select(plan.Create, plan.Update, plan.Adopt, plan.Convert, plan.Take, plan.Delete)
}

func (r *run) newRelease(ctx context.Context, last *v1alpha1.ReleaseSpec) *v1alpha1.ReleaseSpec {
	now := metav1.NewMicroTime(r.Now())
	rel := &v1alpha1.ReleaseSpec{
		App: r.id.Name, AppUID: r.app.UID, Number: r.nextNumber(last),
		DesiredHash: r.desired.hash, Source: r.out.Head.Status(),
		Outcome: v1alpha1.OutcomeRunning, StartedAt: &now,
		Plan: v1alpha1.ReleasePlan{
			Digest: r.plan.Digest(),
			Create: int32(r.plan.Count(plan.Create)), Update: int32(r.plan.Count(plan.Update)),
			Adopt: int32(r.plan.Count(plan.Adopt, plan.Convert, plan.Take)), Delete: int32(r.plan.Count(plan.Delete)),
		},
	}
	rel.Source.Renderer = r.desired.renderer
	rel.Trigger, rel.By = r.trigger(ctx, last)
	if r.pinned != nil {
		rel.RollbackTo, rel.Source = r.pinned.To, r.pinnedSource
	}
	r.release = rel
	r.addGates()
	r.addSteps()
	r.unwritten = true
	return rel
}

// nextNumber is one that no release of the App has, nor one whose record could
// not be written before abide ended.
func (r *run) nextNumber(last *v1alpha1.ReleaseSpec) int64 {
	n := r.mem.number
	if last != nil {
		n = max(n, last.Number)
	}
	if s := r.app.Status.Release; s != nil {
		n = max(n, s.Number)
	}
	if note, ok := r.Releases.Last(r.id); ok { // also of a plan that was rejected
		n = max(n, note.Number)
	}
	r.mem.number = n + 1
	return n + 1
}

// trigger is why a release is made, and who asked for it.
func (r *run) trigger(ctx context.Context, last *v1alpha1.ReleaseSpec) (v1alpha1.Trigger, string) {
	switch {
	case r.deleting:
		return v1alpha1.TriggerDelete, ""
	case r.pinned != nil:
		return v1alpha1.TriggerRollback, r.pinned.By
	case r.in.Manual && last != nil && last.DesiredHash == r.desired.hash:
		return v1alpha1.TriggerManual, ""
	case len(r.app.Status.WaitsFor) > 0:
		return v1alpha1.TriggerDependency, ""
	case last == nil || r.app.Status.Source.Commit != r.out.Head.Commit || last.AppUID != r.app.UID:
		return v1alpha1.TriggerCommit, ""
	case last.DesiredHash == r.desired.hash && last.Outcome != v1alpha1.OutcomeSucceeded:
		return v1alpha1.TriggerRetry, ""
	}
	// The status has told of the commit already, of which it may be that it had to
	// wait: for an approval, or the end of a pause.
	if last.Source.Commit == "" {
		if rel, err := r.Releases.Read(ctx, r.id, last.Number); err == nil {
			last = &rel.Spec
		}
	}
	switch {
	case last.RollbackTo != 0: // a person has let it go on
		return v1alpha1.TriggerManual, ""
	case last.Source.Commit != r.app.Status.Source.Commit:
		return v1alpha1.TriggerCommit, ""
	}
	return v1alpha1.TriggerSpec, ""
}

// addGates notes the gates that the plan has passed.
func (r *run) addGates() {
	for _, g := range r.passed {
		same := func(o v1alpha1.PassedGate) bool { return o.Gate == g.Gate && o.By == g.By && o.Message == g.Message }
		if !slices.ContainsFunc(r.release.Gates, same) && len(r.release.Gates) < 16 {
			r.release.Gates = append(r.release.Gates, g)
		}
	}
}

// maxObjects is how many objects a release names.
const maxObjects = 1000

// addSteps notes what is to be changed and is not noted yet.
func (r *run) addSteps() {
	p := &r.release.Plan
	known := make(map[string]bool, len(p.Objects))
	for i := range p.Objects {
		known[p.Objects[i].Object] = true
	}
	for _, s := range r.steps() {
		if name := s.Key.String(); !known[name] && len(p.Objects) < maxObjects {
			p.Objects = append(p.Objects, v1alpha1.ReleaseObject{Object: name, Action: string(s.Action), Wave: int32(s.Wave)})
		}
	}
}

// bounded tells whether a release of the App can fail for good, rather than be
// tried until it works: it has parts that come one after the other, or the App
// says so.
func (r *run) bounded() bool {
	s := &r.app.Spec.Sync
	if len(r.desired.hooks) > 0 || s.Timeout != "" || s.Retry != nil && s.Retry.Limit != nil || s.OnFailure == v1alpha1.OnFailureRollback {
		return true
	}
	for i := range r.desired.list {
		if r.desired.list[i].Rules.Wave != r.desired.list[0].Rules.Wave {
			return true
		}
	}
	return false
}

func (r *run) timeout() time.Duration {
	// What the API lets through is a duration.
	if d, err := time.ParseDuration(r.app.Spec.Sync.Timeout); err == nil && d > 0 {
		return d
	}
	return defaultTimeout
}

// timeLeft is what is left of the time of a release.
func (r *run) timeLeft(rel *v1alpha1.ReleaseSpec) time.Duration {
	if rel.StartedAt == nil {
		return r.timeout()
	}
	return rel.StartedAt.Add(r.timeout()).Sub(r.Now())
}

// broken tells why a release that is under way has failed; "" if it has not.
func (r *run) broken(rel *v1alpha1.ReleaseSpec) string {
	for i := range rel.Hooks {
		if h := &rel.Hooks[i]; h.Outcome == v1alpha1.OutcomeFailed && h.When != string(object.SyncFail) {
			return fmt.Sprintf("%s hook %s failed: %s", h.When, h.Object, h.Message)
		}
	}
	if r.deleting || !r.bounded() {
		return ""
	}
	if l := r.app.Spec.Sync.Retry; l != nil && l.Limit != nil && rel.Attempts > *l.Limit {
		return fmt.Sprintf("it went wrong %d times, and spec.sync.retry.limit is %d: %s", rel.Attempts, *l.Limit, rel.Message)
	}
	if r.timeLeft(rel) <= 0 {
		return fmt.Sprintf("it was not through within %s: %s", r.timeout(), cmp.Or(rel.Message, "it had not come to an end"))
	}
	return ""
}

// await ends the run until something that the release waits for has happened, or
// its time is over.
func (r *run) await(reason, format string, args ...any) bool {
	m := fmt.Sprintf(format, args...)
	if r.release != nil {
		r.release.Message = object.Shorten(m)
		if left := r.timeLeft(r.release); left > 0 && r.bounded() {
			r.again(left + time.Millisecond)
		}
	}
	return r.stop(r.busy(), reason, "%s", m)
}

// end says what has become of a release.
func (r *run) end(rel *v1alpha1.ReleaseSpec, o v1alpha1.Outcome, message string) {
	now := metav1.NewMicroTime(r.Now())
	rel.Outcome, rel.Message, rel.FinishedAt = o, object.Shorten(message), &now
	r.out.Ended = append(r.out.Ended, rel)
	r.behind(rel)
}

// behind notes that the record of a release says less than is known.
func (r *run) behind(rel *v1alpha1.ReleaseSpec) {
	if rel == r.release {
		r.unwritten = true
	} else if !slices.Contains(r.mem.unwritten, rel) {
		r.mem.unwritten = append(r.mem.unwritten, rel)
	}
}

// failed ends a release that has gone wrong, once its hooks for that have run:
// all is left as it is, or what was healthy last is put back.
func (r *run) failed(ctx context.Context, why string) bool {
	rel := r.release
	rel.Message = object.Shorten(why)
	if !r.stopHooks(ctx) {
		return false
	}
	if !r.deleting && !r.phase(ctx, object.SyncFail) {
		return false
	}
	outcome := v1alpha1.OutcomeFailed
	if r.rollsBack(rel) {
		outcome = v1alpha1.OutcomeRolledBack
	}
	r.end(rel, outcome, why)
	return r.hold(rel, why)
}

// rollsBack tells whether what was healthy last is put back when a release fails.
func (r *run) rollsBack(rel *v1alpha1.ReleaseSpec) bool {
	if r.app.Spec.Sync.OnFailure != v1alpha1.OnFailureRollback || r.deleting || rel.Trigger == v1alpha1.TriggerRollback {
		return false
	}
	note, ok := r.Releases.Last(r.id)
	return ok && note.Healthy != nil && note.Healthy.UID == r.app.UID && note.Healthy.Hash != rel.DesiredHash && len(note.Healthy.Manifests) > 0
}

// held tells why nothing more is done for a release that has failed; "" if there
// is nothing to hold back.
func (r *run) held(last *v1alpha1.ReleaseSpec) string {
	if last == nil || last.AppUID != r.app.UID || last.Outcome != v1alpha1.OutcomeFailed && last.Outcome != v1alpha1.OutcomeRolledBack {
		return ""
	}
	if r.deleting {
		if last.Trigger == v1alpha1.TriggerDelete && r.app.Annotations[v1alpha1.AnnotationSkipDeleteHooks] != "true" && !r.in.Manual {
			return last.Message
		}
		return ""
	}
	if last.DesiredHash != r.desired.hash || last.RollbackTo != r.pinnedTo() || r.in.Manual || r.app.Status.ObservedGeneration != r.app.Generation {
		return ""
	}
	if len(r.steps()) == 0 && !hookFailed(last) && last.Outcome == v1alpha1.OutcomeFailed {
		return "" // all is applied: its health says the rest
	}
	return cmp.Or(last.Message, "it failed")
}

// hookFailed tells of a release that is over whether one of its hooks has failed.
func hookFailed(rel *v1alpha1.ReleaseSpec) bool {
	return rel.Outcome != v1alpha1.OutcomeSucceeded && slices.ContainsFunc(rel.Hooks, func(h v1alpha1.HookRun) bool { return h.Outcome == v1alpha1.OutcomeFailed })
}

// hold ends the run of an App whose release has failed.
func (r *run) hold(rel *v1alpha1.ReleaseSpec, why string) bool {
	at := r.id.Name + " -n " + r.id.Namespace
	if r.deleting {
		r.out.Err = fmt.Errorf("the App is not removed: %s; repair that and run abide sync %s, or have the hooks left out: kubectl annotate app %s %s=true", why, at, at, v1alpha1.AnnotationSkipDeleteHooks)
		return r.stop(v1alpha1.StateDeleting, ReasonReleaseFailed, "%s", r.out.Err)
	}
	if rel.Outcome == v1alpha1.OutcomeRolledBack {
		if note, ok := r.Releases.Last(r.id); ok && note.Healthy != nil {
			now := metav1.NewTime(r.Now()).Rfc3339Copy()
			r.out.Pinned = &v1alpha1.PinnedStatus{To: note.Healthy.Number, Skips: rel.DesiredHash, Since: &now,
				Reason: object.Shorten(fmt.Sprintf("release %d failed: %s", rel.Number, why))}
			r.again(time.Millisecond)
			r.out.Err = fmt.Errorf("release %d failed: %s; release %d, which was healthy, is put back, and this is skipped until Git says something else (abide sync %s tries it again)", rel.Number, why, note.Healthy.Number, at)
			return r.stop(v1alpha1.StateFailed, ReasonReleaseFailed, "%s", r.out.Err)
		}
	}
	r.out.Err = fmt.Errorf("release %d failed: %s; all is left as it is: repair it in Git, try again with abide sync %s, or go back with abide rollback %s", rel.Number, why, at, at)
	return r.stop(v1alpha1.StateFailed, ReasonReleaseFailed, "%s", r.out.Err)
}

// verify ends the release once all of it is healthy and its last hooks are done.
func (r *run) verify(ctx context.Context) bool {
	if r.release == nil || r.deleting || len(r.desired.unknown) > 0 {
		return true
	}
	if sick := r.sick(nil); sick != "" {
		r.release.Message = object.Shorten("waiting until " + sick)
		if r.bounded() {
			r.again(max(r.timeLeft(r.release), 0) + time.Millisecond)
		}
		return true
	}
	if !r.phase(ctx, object.PostSync) {
		return false
	}
	r.release.Healthy = new(true)
	r.end(r.release, v1alpha1.OutcomeSucceeded, "")
	r.succeeded = true
	return true
}

// sick names an object that is not healthy, of those in waves before one, or of
// all; "" if there is none.
func (r *run) sick(before *int) string {
	for i := range r.desired.list {
		d := &r.desired.list[i]
		if d.Rules.Ignore || before != nil && d.Rules.Wave >= *before {
			continue
		}
		if _, left := r.mem.left[d.Key]; left {
			continue
		}
		rec, ok := r.Tracker.Get(d.Key)
		switch {
		case !ok || rec.Owner != r.id:
			return d.Key.String() + " is there"
		case rec.Health == v1alpha1.HealthHealthy || rec.Health == v1alpha1.HealthSuspended:
		case rec.Message != "":
			return fmt.Sprintf("%s is healthy: %s", d.Key, rec.Message)
		default:
			return d.Key.String() + " is healthy"
		}
	}
	return ""
}

// settle notes what came of the run in the record of the release, and writes the
// record if that says more than before.
func (r *run) settle(ctx context.Context) {
	if ctx.Err() != nil {
		return // going down: the next run finds out again
	}
	if r.release != nil {
		r.results()
		if r.release.Outcome == v1alpha1.OutcomeRunning && r.out.Err != nil && !r.out.Passing && r.out.State == v1alpha1.StateFailed {
			r.release.Attempts++
			r.release.Message = object.Shorten(r.out.Message)
			r.unwritten = r.unwritten || r.bounded()
		}
	}
	r.recordHeals(ctx)
	r.record(ctx)
	r.out.Release = r.releaseStatus()
	r.out.Record = r.release
}

// releaseStatus is the release in short.
func (r *run) releaseStatus() *v1alpha1.ReleaseStatus {
	rel := cmp.Or(r.release, r.mem.release)
	if rel == nil || rel.StartedAt == nil {
		return nil
	}
	at := metav1.NewTime(rel.StartedAt.Time).Rfc3339Copy()
	return &v1alpha1.ReleaseStatus{Number: rel.Number, Outcome: rel.Outcome, DesiredHash: rel.DesiredHash, StartedAt: &at, Message: rel.Message}
}

// results notes what has become of the objects of the release.
func (r *run) results() {
	p := &r.release.Plan
	at := make(map[string]int, len(p.Objects))
	for i := range p.Objects {
		at[p.Objects[i].Object] = i
	}
	now := metav1.NewMicroTime(r.Now())
	note := func(k object.Key, result, message string, took time.Duration) {
		i, ok := at[k.String()]
		if !ok || p.Objects[i].Result == result && p.Objects[i].Message == message {
			return
		}
		o := &p.Objects[i]
		o.Result, o.Message, o.At, o.Took = result, object.Shorten(message), &now, took.Milliseconds()
		r.unwritten = r.unwritten || result != v1alpha1.ResultFailed
	}
	for _, t := range r.out.Trouble {
		if t.Reason == ReasonApplyFailed || t.Reason == ReasonPruneFailed {
			note(t.Key, v1alpha1.ResultFailed, t.Message, 0)
		}
	}
	for i := range r.out.Applied {
		a := &r.out.Applied[i]
		note(object.KeyOf(a.Live), v1alpha1.ResultApplied, "", a.Took)
	}
	for _, k := range r.out.Deleted {
		note(k, v1alpha1.ResultDeleted, "", 0)
	}
}

// reject notes a plan that waited for an approval and is not wanted any more.
func (r *run) reject() {
	s := &r.app.Status
	if r.pinned != nil || s.Pinned != nil { // it is, or was, the plan of a rollback
		return
	}
	if r.deleting || s.Plan == nil || s.DesiredHash == "" || s.DesiredHash == r.desired.hash || r.mem.rejected == s.Plan.Digest {
		return
	}
	r.mem.rejected = s.Plan.Digest
	if note, ok := r.Releases.Last(r.id); ok && note.Outcome == v1alpha1.OutcomeRejected && note.Hash == s.DesiredHash && note.UID == r.app.UID {
		return // abide ended between this record and the status
	}
	now := metav1.NewMicroTime(r.Now())
	rel := &v1alpha1.ReleaseSpec{
		App: r.id.Name, AppUID: r.app.UID, Number: r.nextNumber(nil), DesiredHash: s.DesiredHash, Source: s.Source,
		Trigger: v1alpha1.TriggerCommit, Outcome: v1alpha1.OutcomeRejected, FinishedAt: &now,
		Message: object.Shorten("nobody approved its plan before Git said something else: " + s.Plan.Message),
		Plan:    v1alpha1.ReleasePlan{Digest: s.Plan.Digest, Create: s.Plan.Create, Update: s.Plan.Update, Adopt: s.Plan.Adopt, Delete: s.Plan.Delete},
	}
	r.behind(rel)
	r.out.Ended = append(r.out.Ended, rel)
}
