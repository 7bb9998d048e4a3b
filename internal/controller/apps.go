package controller

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/access"
	"abide.dev/abide/internal/claims"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/pipeline"
	"abide.dev/abide/internal/report"
	"abide.dev/abide/internal/slots"
	"abide.dev/abide/internal/sources"
)

// Apps reconciles Apps. Its fields are set once.
type Apps struct {
	Client       client.Client
	Pipeline     *pipeline.Pipeline
	Sources      *sources.Sources
	Claims       *claims.Claims
	Repositories *access.Repositories
	Values       *access.Values
	Remotes      *Remotes
	Refs         *Refs
	Depends      *Depends
	Waker        *Waker
	Events       events.EventRecorder
	Now          func() time.Time
	Log          *slog.Logger
	// Observed is told the outcome of each run, for metrics and for those who
	// show what happens; it may be nil.
	Observed func(app object.App, out *pipeline.Outcome, took time.Duration)

	// Turns bounds the runs that are under way and not held up by anything; it may
	// be nil.
	Turns *slots.Slots

	// Prepare reads what has to be known before the first run; it is tried again
	// until it succeeds.
	Prepare func(context.Context) error

	prepare  sync.Mutex
	prepared bool

	mu        sync.Mutex
	written   map[object.App]writtenStatus
	waits     map[object.App]time.Time // when an App began to wait in passing
	refreshes map[object.App]*refresh
	running   map[object.App]bool
	steady    map[object.App]standing
	pins      map[object.App]types.UID
}

// writtenStatus is a status as we wrote it, for as long as the cache may be
// behind.
type writtenStatus struct {
	resourceVersion string
	status          v1alpha1.AppStatus
}

// Reconcile runs one App.
func (a *Apps) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	if err := a.begin(ctx); err != nil {
		return reconcile.Result{}, err
	}
	if a.Turns != nil {
		release, err := a.Turns.Take(ctx)
		if err != nil {
			return reconcile.Result{}, nil // going down
		}
		defer release()
	}
	id := object.App{Namespace: req.Namespace, Name: req.Name}
	var app v1alpha1.App
	err := a.Client.Get(ctx, req.NamespacedName, &app)
	if apierrors.IsNotFound(err) {
		a.forget(id)
		return reconcile.Result{}, nil
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	if app.DeletionTimestamp != nil && !controllerutil.ContainsFinalizer(&app, v1alpha1.Finalizer) {
		return reconcile.Result{}, nil
	}
	if app.DeletionTimestamp == nil {
		if err := a.hold(ctx, &app); err != nil {
			return reconcile.Result{}, client.IgnoreNotFound(err)
		}
	}
	a.restoreStatus(id, &app)
	a.begins(id)
	defer a.ends(id)

	began := a.Now()
	out := a.run(ctx, id, &app)
	if a.Observed != nil {
		a.Observed(id, &out, a.Now().Sub(began))
	}
	if ctx.Err() != nil {
		return reconcile.Result{}, nil // going down: a status of a broken-off run helps nobody
	}
	a.emit(&app, &out)
	if !out.Passing {
		a.mu.Lock()
		delete(a.waits, id)
		a.mu.Unlock()
	}
	if out.Finished {
		if err := a.release(ctx, id, &app); !apierrors.IsConflict(err) {
			return reconcile.Result{}, err
		}
		return later(cacheBehind), nil
	}
	if most := passing(&app); out.Passing && a.passes(id) < most {
		return later(most), nil
	}
	if err := a.writeStatus(ctx, id, &app, &out); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	a.Depends.Told(id, out.Reported)
	if out.Reported != "" && a.Claims.Report(id, out.Reported) {
		a.judged(refKeyOf(&app), out.Head.Ref, out.Reported)
	}
	if out.State == v1alpha1.StateInSync && out.Err == nil && out.Again == 0 {
		a.steadyAt(id, refKeyOf(&app), out.Reported)
	}
	return later(out.Again), nil
}

// retries is the priority of what is tried again: a drift and a fresh commit,
// which have none, go before it, and it before what a restart has looked at.
const retries = handler.LowPriority / 2

// later has a run again after d; not at all if that is zero.
func later(d time.Duration) reconcile.Result {
	if d == 0 {
		return reconcile.Result{}
	}
	priority := retries
	return reconcile.Result{RequeueAfter: d, Priority: &priority}
}

// cacheBehind is how long to wait for the cache to see what was just written.
const cacheBehind = 50 * time.Millisecond

// passing is how long a wait may last that is not written down: not long for an
// App that says nothing yet, and longer than a restart takes for one whose
// status still holds.
func passing(app *v1alpha1.App) time.Duration {
	if app.Status.State == "" {
		return time.Second
	}
	return 15 * time.Second
}

// passes tells how long an App has been waiting in passing. That is over with
// the first run that does not end in such a wait.
func (a *Apps) passes(id object.App) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	since, waits := a.waits[id]
	if !waits || a.Now().Before(since) { // or the clock was put back
		if a.waits == nil {
			a.waits = map[object.App]time.Time{}
		}
		a.waits[id] = a.Now()
		return 0
	}
	return a.Now().Sub(since)
}

// begin prepares, once, what the first run needs, and tells the claims of every
// App there is: an App that is not known can't hold back a prune.
func (a *Apps) begin(ctx context.Context) error {
	a.prepare.Lock()
	defer a.prepare.Unlock()
	if a.prepared {
		return nil
	}
	if err := a.Prepare(ctx); err != nil {
		return err
	}
	var apps v1alpha1.AppList
	if err := a.Client.List(ctx, &apps); err != nil {
		return err
	}
	for i := range apps.Items {
		app := &apps.Items[i]
		a.Claims.Know(object.App{Namespace: app.Namespace, Name: app.Name}, following(app))
		a.Depends.Put(app)
	}
	a.prepared = true
	return nil
}

func following(app *v1alpha1.App) claims.Following {
	if c := app.Spec.Source.Chart; c != nil && app.Spec.Source.Repo == "" {
		// Nothing is handed over from one chart to another but within a namespace.
		return claims.Following{Repo: app.Namespace + " " + access.Canonical(c.Repo), Ref: c.Name + " " + c.Version}
	}
	return claims.Following{Repo: access.Canonical(app.Spec.Source.Repo), Ref: access.RefOf(app).String()}
}

// run follows the App's source and runs the pipeline.
func (a *Apps) run(ctx context.Context, id object.App, app *v1alpha1.App) pipeline.Outcome {
	in := pipeline.Input{App: app}
	// Also an App that is being deleted has to wait for those that may take over
	// what it owns.
	a.Claims.Know(id, following(app))
	if app.DeletionTimestamp == nil {
		wants, err := a.wants(ctx, app)
		if err != nil {
			a.unread(id)
			a.refresh(id, app) // which is over at once, and has to be answered
			return a.Pipeline.Fail(ctx, in, err)
		}
		a.Sources.Follow(id, wants)
		a.refresh(id, app)
		if a.Sources.Head(id).Commit != "" {
			a.Claims.Target(id, pipeline.Standing(a.Sources, id))
		}
	}
	var err error
	if err = a.acts(ctx, id, &in); err != nil {
		return a.Pipeline.Fail(ctx, in, err)
	}
	in.Manual = a.asked(id, app)
	if app.DeletionTimestamp == nil {
		in.Values, in.Variables, in.ValuesErr = a.Values.Of(ctx, app)
	}
	in.Depends = a.depends(id, app)
	in.Progress = func(out *pipeline.Outcome) {
		if err := a.writeStatus(ctx, id, app, out); err != nil {
			a.Log.Warn("progress could not be written", "app", id.String(), "error", err)
		}
	}
	out := a.Pipeline.Run(ctx, in)
	if out.Unpinned && in.Pin != nil && ctx.Err() == nil {
		if err := a.unpin(ctx, id, in.Pin); err != nil {
			a.Log.Warn("a Pin that is over could not be removed; the next run does it", "app", id.String(), "error", err)
			out.Again = cacheBehind
		}
	}
	return out
}

// wants is what the App is made of, and what its kustomizations were found to
// name.
func (a *Apps) wants(ctx context.Context, app *v1alpha1.App) (sources.Wants, error) {
	wants, err := a.Repositories.Wants(ctx, app)
	if err == nil {
		wants.Remotes, err = a.Remotes.Wants(ctx, app)
	}
	return wants, err
}

// unread says that an App can't be told what it wants. One that could be told
// before still wants that.
func (a *Apps) unread(id object.App) {
	if !a.Sources.Known(id) {
		a.Claims.Judge(id, claims.Judgement{Failed: true})
	}
}

// acts reads what people have said about an App.
func (a *Apps) acts(ctx context.Context, id object.App, in *pipeline.Input) error {
	var approvals v1alpha1.ApprovalList
	if err := a.Client.List(ctx, &approvals, client.InNamespace(id.Namespace), client.MatchingFields{approvalApp: id.Name}); err != nil {
		return err
	}
	in.Approvals = approvals.Items
	var pause v1alpha1.Pause
	if there, err := a.act(ctx, id, &pause); err != nil {
		return err
	} else if there {
		in.Pause = &pause
	}
	var pin v1alpha1.Pin
	if there, err := a.act(ctx, id, &pin); err != nil {
		return err
	} else if there && pin.DeletionTimestamp == nil && pin.UID != a.ended(id) {
		in.Pin = &pin
	}
	return nil
}

// act reads an act of a kind of which an App has one at most, with its name.
func (a *Apps) act(ctx context.Context, id object.App, o client.Object) (there bool, err error) {
	err = a.Client.Get(ctx, types.NamespacedName{Namespace: id.Namespace, Name: id.Name}, o)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// ended is the Pin that was removed last, for as long as the cache may have it.
func (a *Apps) ended(id object.App) types.UID {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.pins[id]
}

// unpin removes a Pin that is over.
func (a *Apps) unpin(ctx context.Context, id object.App, p *v1alpha1.Pin) error {
	err := client.IgnoreNotFound(a.Client.Delete(ctx, p.DeepCopy(), client.Preconditions{UID: &p.UID}))
	if err != nil {
		return fmt.Errorf("removing the Pin of App %s, which is over: %w", id, err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.pins == nil {
		a.pins = map[object.App]types.UID{}
	}
	a.pins[id] = p.UID
	return nil
}

// restoreStatus puts the status that was written last into an App that comes
// from a cache which has not seen it yet.
func (a *Apps) restoreStatus(id object.App, app *v1alpha1.App) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w, ok := a.written[id]
	if !ok {
		return
	}
	if newer(w.resourceVersion, app.ResourceVersion) {
		app.Status = *w.status.DeepCopy()
		return
	}
	delete(a.written, id)
}

// newer compares resourceVersions, which the API server promises to be numbers
// that grow (KEP-5504).
func newer(a, b string) bool {
	if len(a) != len(b) {
		return len(a) > len(b)
	}
	return a > b
}

// writeStatus writes the status if it says anything new.
func (a *Apps) writeStatus(ctx context.Context, id object.App, app *v1alpha1.App, out *pipeline.Outcome) error {
	sum := a.Pipeline.Summarise(id, out.Trouble)
	status := report.Status(app, app.Status, out, sum, metav1.NewTime(a.Now()).Rfc3339Copy())
	status.Refresh = a.refreshStatus(id, app)
	if equality.Semantic.DeepEqual(status, app.Status) {
		return nil
	}
	base := app.DeepCopy()
	app.Status = status
	patched := app.DeepCopy()
	if err := a.Client.Status().Patch(ctx, patched, client.MergeFrom(base)); err != nil {
		app.Status = base.Status
		return fmt.Errorf("writing the status of App %s: %w", id, err)
	}
	app.ResourceVersion = patched.ResourceVersion
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.written == nil {
		a.written = map[object.App]writtenStatus{}
	}
	a.written[id] = writtenStatus{patched.ResourceVersion, *patched.Status.DeepCopy()}
	return nil
}

func (a *Apps) emit(app *v1alpha1.App, out *pipeline.Outcome) {
	reason, message, warning := report.Event(out)
	if reason == "" {
		return
	}
	kind := corev1.EventTypeNormal
	if warning {
		kind = corev1.EventTypeWarning
		// A failure that has been told is not told again at each try.
		if c := condition(app, v1alpha1.ConditionSynced); c != nil && c.Reason == reason && c.Message == message {
			return
		}
	}
	a.Events.Eventf(app, nil, kind, reason, "Sync", "%s", message)
}

func condition(app *v1alpha1.App, t string) *metav1.Condition {
	for i := range app.Status.Conditions {
		if app.Status.Conditions[i].Type == t {
			return &app.Status.Conditions[i]
		}
	}
	return nil
}

// hold puts the finalizer on an App, before anything is created for it.
func (a *Apps) hold(ctx context.Context, app *v1alpha1.App) error {
	base := app.DeepCopy()
	if !controllerutil.AddFinalizer(app, v1alpha1.Finalizer) {
		return nil
	}
	return a.patchFinalizer(ctx, app, base)
}

// release lets a deleted App go.
func (a *Apps) release(ctx context.Context, id object.App, app *v1alpha1.App) error {
	base := app.DeepCopy()
	if controllerutil.RemoveFinalizer(app, v1alpha1.Finalizer) {
		if err := client.IgnoreNotFound(a.patchFinalizer(ctx, app, base)); err != nil {
			return err
		}
	}
	a.forget(id)
	return nil
}

func (a *Apps) patchFinalizer(ctx context.Context, app, base *v1alpha1.App) error {
	status := app.Status
	err := a.Client.Patch(ctx, app, client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{}))
	app.Status = status // what the cache had, or what was written last: the answer may be older
	if err != nil {
		return fmt.Errorf("writing the finalizer of App %s/%s: %w", app.Namespace, app.Name, err)
	}
	return nil
}

func (a *Apps) forget(id object.App) {
	a.Sources.Forget(id)
	a.Values.Forget(id)
	a.Repositories.Forget(id)
	a.Remotes.Forget(id)
	a.Pipeline.Forget(id)
	a.Depends.Delete(id)
	a.mu.Lock()
	delete(a.written, id)
	delete(a.refreshes, id)
	delete(a.steady, id)
	delete(a.waits, id)
	delete(a.pins, id)
	a.mu.Unlock()
}
