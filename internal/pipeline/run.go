package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/apply"
	"abide.dev/abide/internal/claims"
	"abide.dev/abide/internal/cluster"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/observe"
	"abide.dev/abide/internal/plan"
	"abide.dev/abide/internal/release"
	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/store"
)

// Pipeline runs Apps. Its fields are set once, before the first run.
type Pipeline struct {
	Source  Source
	Remotes Remotes
	Renders *render.Cache
	// Index is told what the render of each App depends on.
	Index       *render.Index[object.App]
	Cluster     *cluster.Cluster
	Tracker     *observe.Tracker
	Executor    *apply.Executor
	Inventories *store.Inventories
	Claims      *claims.Claims
	Releases    *release.Store
	// Namespace is abide's own: its Apps act as the controller itself.
	Namespace string
	Now       func() time.Time
	Log       *slog.Logger

	mu       sync.Mutex
	memories map[object.App]*memory
	// interruptions are those of runs that wait for an answer.
	interruptions map[object.App]interruption
}

// run is one run of one App.
type run struct {
	*Pipeline
	in  Input
	app *v1alpha1.App
	id  object.App
	mem *memory
	out Outcome

	deleting  bool
	orphaning string // why a deleted App leaves everything behind; "" if it does not
	client    *cluster.Client
	desired   *desiredState
	rendering *rendition // of the state that was rendered or needed last
	inventory map[object.Key]*v1alpha1.InventoryEntry
	kinds     map[schema.GroupVersionKind]cluster.Kind // of inventory entries, by their version
	facts     map[object.Key]plan.Fact
	plan      plan.Plan
	pruning   bool  // what is not desired may be removed in this run
	unhealed  error // the first heal that failed
	asking    sync.Mutex
	same      At // a newer state that says the same of the App; guarded by asking
	pending   pendingWrite
	// triesBefore are those before this run, or before it began afresh.
	triesBefore tries

	release      *v1alpha1.ReleaseSpec // that this run is part of; nil if it is of none
	unwritten    bool                  // its record is behind
	succeeded    bool                  // the App has had a release that succeeded
	passed       []v1alpha1.PassedGate
	pinned       *v1alpha1.PinnedStatus // what the App is held at
	pinnedSource v1alpha1.SourceStatus
}

// Run brings an App as far as it gets without waiting.
func (p *Pipeline) Run(ctx context.Context, in Input) Outcome {
	r := p.begin(in)
	// Each step says whether the run goes on; where it does not, it has said why
	// in the outcome.
	steps := []func(context.Context) bool{
		r.fetch, r.render, r.pin, r.judge, r.observe, r.assume, r.compute, r.gate, r.attempt, r.apply, r.prune, r.verify,
	}
	through := true
	for _, step := range steps {
		if through = step(ctx); !through {
			break
		}
	}
	if through {
		r.conclude(ctx)
	}
	r.settle(ctx)
	return r.out
}

func (p *Pipeline) begin(in Input) *run {
	r := &run{
		Pipeline: p, in: in, app: in.App,
		id:       object.App{Namespace: in.App.Namespace, Name: in.App.Name},
		deleting: in.App.DeletionTimestamp != nil,
		facts:    map[object.Key]plan.Fact{},
		pruning:  true,
	}
	r.mem = p.memory(r.id)
	r.triesBefore = r.mem.tries
	note, known := p.Releases.Last(r.id)
	r.succeeded = known && note.Healthy != nil && note.Healthy.UID == r.app.UID
	return r
}

// Fail is a run that can't begin: it says why, and how what runs is doing.
func (p *Pipeline) Fail(ctx context.Context, in Input, err error) Outcome {
	r := p.begin(in)
	if r.watch(ctx) {
		r.out.Err, r.out.Again = err, lastRetry
		r.stop(v1alpha1.StateFailed, ReasonOf(err, ReasonSourceFailed), "%s", err)
	}
	return r.out
}

// Advance has an App that stood at one commit with nothing to do stand at
// another, which changes nothing that its render had looked at. It must not be
// called during a run of the App. It returns false if the App has to run.
func (p *Pipeline) Advance(app object.App, from, to string) bool {
	d := p.memory(app).desired
	if d == nil || d.at.Commit != from || len(d.unknown) > 0 {
		return false
	}
	if p.Source.Head(app).Beside != d.at.Beside { // what stands beside it has moved as well
		return false
	}
	d.at.Commit = to
	p.Claims.Target(app, Standing(p.Source, app))
	p.Claims.Judge(app, claims.Judgement{Commit: d.at.String(), Wants: d.keys})
	return true
}

// Forget drops what is held of an App that no longer exists.
func (p *Pipeline) Forget(app object.App) {
	p.mu.Lock()
	delete(p.memories, app)
	p.mu.Unlock()
	p.Index.Delete(app)
	p.Tracker.Forget(app)
	p.Claims.Forget(app)
	p.Inventories.Forget(app)
	p.Releases.Forget(app)
}

// stop ends the run with a state that needs no retry: whatever it waits for
// wakes the App.
func (r *run) stop(state v1alpha1.State, reason, format string, args ...any) bool {
	r.out.State, r.out.Reason, r.out.Message = state, reason, fmt.Sprintf(format, args...)
	return false
}

// pass ends the run like stop, for a wait that is usually over in no time.
func (r *run) pass(reason, format string, args ...any) bool {
	r.out.Passing = true
	return r.stop(r.busy(), reason, format, args...)
}

// fail ends the run with an error, and tries again later.
func (r *run) fail(reason string, err error) bool {
	r.out.Err = err
	r.out.Again = r.backoff()
	return r.stop(v1alpha1.StateFailed, ReasonOf(err, reason), "%s", err)
}

// backoff is when to try again what failed.
func (r *run) backoff() time.Duration { return r.mem.tries.backoff(r.Now()) }

// unreadable ends a run that can't read its commit: because the ref has moved
// on, which wakes the App anyway, or because something is wrong.
func (r *run) unreadable(err error) bool {
	if m := (*MovedError)(nil); errors.As(err, &m) {
		r.again(time.Second)
		return r.pass(ReasonSuperseded, "a newer commit has arrived")
	}
	if later(err) {
		r.again(r.backoff())
		return r.pass(ReasonOf(err, ReasonFetching), "%s", err)
	}
	return r.fail(ReasonSourceFailed, err)
}

// later tells of an error that nothing is wrong with the App: something has not
// been had yet, or others come first.
func later(err error) bool {
	var l interface{ Later() bool }
	return errors.As(err, &l) && l.Later()
}

// again asks for another run after d at the latest.
func (r *run) again(d time.Duration) {
	if r.out.Again == 0 || d < r.out.Again {
		r.out.Again = d
	}
}

// conclude says what the App looks like after a run that went all the way.
func (r *run) conclude(ctx context.Context) {
	r.out.Complete, r.out.Brought = len(r.desired.unknown) == 0, r.desired.hash
	if r.desired.partial != "" {
		r.again(kindsPartial)
	}
	if r.deleting {
		r.finish(ctx)
		return
	}
	r.mem.kindWaits, r.mem.approved = 0, approval{}
	if r.unhealed == nil {
		r.mem.tries = tries{}
	}
	kept := slices.DeleteFunc(r.plan.Select(plan.Keep), func(s *plan.Step) bool {
		_, left := r.mem.left[s.Key] // as it should be: it is there
		return left
	})
	if len(kept) == 0 && r.out.Complete {
		r.Claims.Settled(r.id)
	}
	for _, s := range kept {
		r.trouble(s.Key, keptReason(s), s.Why)
	}
	if !slices.ContainsFunc(kept, func(s *plan.Step) bool { return s.Hash == "" }) {
		r.out.Renderer = r.desired.renderer
	}
	switch {
	case r.unhealed != nil:
		r.out.Err = r.unhealed
		r.stop(v1alpha1.StateFailed, ReasonApplyFailed, "%s", r.unhealed)
	case r.out.Head.Err != nil:
		r.out.Err = r.out.Head.Err
		r.stop(v1alpha1.StateFailed, ReasonOf(r.out.Err, ReasonSourceFailed), "%s; what the last good commit says keeps running", r.out.Err)
	case len(kept) > 0:
		state, reason := v1alpha1.StateDrifted, cmp.Or(kept[0].Reason, ReasonDrifted)
		if reason == ReasonHandover {
			state = v1alpha1.StateWaiting
		}
		r.stop(state, reason, "%s: %s", kept[0].Key, kept[0].Why)
	case r.in.Pause != nil:
		r.stop(v1alpha1.StatePaused, ReasonPaused, "%s", pauseMessage(r.in.Pause))
	case r.pinned != nil:
		r.stop(v1alpha1.StatePinned, ReasonPinned, "%s", r.pinnedMessage())
	default:
		r.stop(v1alpha1.StateInSync, ReasonInSync, "%s as Git says", count(len(lasting(r.inventory)), "object"))
	}
}

// keptReason is a word for why a step was not done.
func keptReason(s *plan.Step) string {
	switch {
	case s.Reason != "":
		return s.Reason
	case s.Hash != "":
		return ReasonDrifted
	}
	return ReasonNotInGit
}

func (r *run) finish(ctx context.Context) {
	if len(lasting(r.inventory)) == 0 && !r.lastHooks(ctx) {
		return
	}
	if len(r.inventory) > 0 {
		m := count(len(r.inventory), "object") + " left to remove"
		if kept := r.plan.Select(plan.Keep); len(kept) > 0 {
			m += "; " + kept[0].Key.String() + ": " + kept[0].Why
		}
		r.stop(v1alpha1.StateDeleting, ReasonDeleting, "%s", m)
		return
	}
	if r.release != nil {
		r.end(r.release, v1alpha1.OutcomeSucceeded, "")
		if !r.record(ctx) {
			return
		}
	}
	r.out.Finished = true
	r.stop(v1alpha1.StateDeleting, ReasonDeleting, "nothing is left to remove")
}

func (r *run) trouble(k object.Key, reason, message string) {
	r.out.Trouble = append(r.out.Trouble, Trouble{Key: k, Reason: reason, Message: message})
}

func pauseMessage(p *v1alpha1.Pause) string {
	m := "paused by " + p.Spec.By
	if p.Spec.Reason != "" {
		m += ": " + p.Spec.Reason
	}
	return m + "; abide resume " + p.Name + " -n " + p.Namespace + " lets it go on"
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
