// Package apply executes steps of a plan against a cluster: a whole stage as a
// dry run, a whole stage for real, and deletes. It decides nothing: which steps
// there are, in which order, and what is written down between them is its
// caller's business.
//
// Requests of one call run in parallel, bounded over all callers: those that
// hang count for their own call only. Every result comes back with its item; an
// error of one object never hides the others'.
package apply

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/cluster"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/plan"
	"abide.dev/abide/internal/slots"
)

// Item is one object to apply.
type Item struct {
	Kind   cluster.Kind
	Object *unstructured.Unstructured // normalised and marked
	Rules  object.Rules
	Action plan.Action
	Hash   string // desired
}

// Result is what became of an item.
type Result struct {
	Item
	// Live is the server's answer: the object as it is now, or would be.
	Live *unstructured.Unstructured
	// Existed tells that the object was there before.
	Existed bool
	// Took is how long it took.
	Took time.Duration
	Err  error
}

// Executor sends requests, at most a number of them at a time.
type Executor struct {
	parallel int
	slots    *slots.Slots
}

// patience is how long a request takes that nothing holds up.
const patience = 3 * time.Second

// New returns an executor that has at most parallel requests under way, and
// besides them as many of each call that hang.
func New(parallel int) *Executor {
	return &Executor{parallel: parallel, slots: slots.New(parallel, patience)}
}

// each calls f for 0..n-1 in parallel within the bound. It stops starting calls
// when ctx ends; skip is called for those that were not started.
func (x *Executor) each(ctx context.Context, n int, f func(i int), skip func(i int)) {
	var wg sync.WaitGroup
	own := make(chan struct{}, x.parallel)
	for i := range n {
		select {
		case own <- struct{}{}:
		case <-ctx.Done():
		}
		release, err := x.slots.Take(ctx)
		if err != nil {
			skip(i)
			continue
		}
		wg.Go(func() {
			defer func() { <-own }()
			defer release()
			f(i)
		})
	}
	wg.Wait()
}

// DryRun asks the server what an apply of each item would do.
func (x *Executor) DryRun(ctx context.Context, c *cluster.Client, items []Item) []Result {
	return x.run(ctx, items, func(it Item) Result { return one(ctx, c, it, true) })
}

// Apply applies each item. All but those that are healed have passed DryRun.
func (x *Executor) Apply(ctx context.Context, c *cluster.Client, items []Item) []Result {
	return x.run(ctx, items, func(it Item) Result { return one(ctx, c, it, false) })
}

func (x *Executor) run(ctx context.Context, items []Item, f func(Item) Result) []Result {
	out := make([]Result, len(items))
	x.each(ctx, len(items),
		func(i int) {
			began := time.Now()
			out[i] = f(items[i])
			out[i].Took = time.Since(began)
		},
		func(i int) { out[i] = Result{Item: items[i], Err: context.Cause(ctx)} })
	return out
}

func one(ctx context.Context, c *cluster.Client, it Item, dryRun bool) Result {
	res := Result{Item: it}
	if it.Rules.CreateOnly {
		live, err := c.Get(ctx, it.Kind, it.Object.GetNamespace(), it.Object.GetName())
		if err == nil {
			return keep(ctx, c, it, live, dryRun)
		}
		if !apierrors.IsNotFound(err) {
			res.Err = err
			return res
		}
	}
	if it.Rules.Replace {
		if res.Err = replace(ctx, c, it, dryRun); res.Err != nil {
			return res
		}
	}
	if !dryRun && (it.Action == plan.Adopt || it.Action == plan.Convert) {
		if res.Err = adopt(ctx, c, it); res.Err != nil {
			return res
		}
	}
	a, err := c.Apply(ctx, it.Kind, it.Object, mode(it, dryRun))
	res.Live, res.Existed, res.Err = a.Object, err == nil && !a.Created, err
	return res
}

// mode is how an item is applied: one that is healed had its dry run when it
// was applied first, every other one in the same run.
func mode(it Item, dryRun bool) cluster.Mode {
	switch {
	case dryRun:
		return cluster.DryRun
	case it.Action == plan.Heal:
		return cluster.Checking
	}
	return cluster.Checked
}

// keep makes an object that is only to be created, and exists, the App's: by its
// marks, and nothing else of it.
func keep(ctx context.Context, c *cluster.Client, it Item, live *unstructured.Unstructured, dryRun bool) Result {
	res := Result{Item: it, Live: live, Existed: true}
	owner, _ := object.Owner(it.Object)
	switch now, marked := object.Owner(live); {
	case dryRun || marked && now == owner:
		return res
	case it.Action == plan.Create:
		res.Err = fmt.Errorf("somebody else has created it just now; it is looked at again")
		return res
	}
	res.Live, res.Err = c.Mark(ctx, it.Kind, live, it.Object)
	return res
}

// replace puts the object in the place of the live one, so that fields that
// others set are gone; the apply that follows makes every field abide's.
func replace(ctx context.Context, c *cluster.Client, it Item, dryRun bool) error {
	live, err := c.Get(ctx, it.Kind, it.Object.GetNamespace(), it.Object.GetName())
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	u := it.Object.DeepCopy()
	u.SetResourceVersion(live.GetResourceVersion())
	_, err = c.Replace(ctx, it.Kind, u, dryRun)
	return err
}

// adopt makes abide's what other declarative tools own of the live object.
func adopt(ctx context.Context, c *cluster.Client, it Item) error {
	live, err := c.Get(ctx, it.Kind, it.Object.GetNamespace(), it.Object.GetName())
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	fields, changed := object.AdoptedFields(live)
	if !changed {
		return nil
	}
	return c.SetManagedFields(ctx, it.Kind, live, fields)
}

// Read reads objects; one that does not exist has neither Live nor Err.
func (x *Executor) Read(ctx context.Context, c *cluster.Client, items []Item) []Result {
	return x.run(ctx, items, func(it Item) Result {
		live, err := c.Get(ctx, it.Kind, it.Object.GetNamespace(), it.Object.GetName())
		if apierrors.IsNotFound(err) {
			return Result{Item: it}
		}
		return Result{Item: it, Live: live, Existed: err == nil, Err: err}
	})
}

// Target is one object to delete.
type Target struct {
	Key  object.Key
	Kind cluster.Kind
	// UID of the object that is meant; empty if it was never seen.
	UID types.UID
	// Foreground: what the object owns, such as the Pods of a Job, is gone before
	// it is.
	Foreground bool
}

// Fate is what became of a target.
type Fate struct {
	Target
	// Gone: the object does not exist. NotOurs: an object of that name exists,
	// and it is not the App's. Neither: it is on its way.
	Gone, NotOurs bool
	Err           error
}

// Delete deletes objects of an App, each only if it still is the App's: by the
// uid that is known, or else by the marks of the live object.
func (x *Executor) Delete(ctx context.Context, c *cluster.Client, app object.App, targets []Target) []Fate {
	out := make([]Fate, len(targets))
	x.each(ctx, len(targets),
		func(i int) { out[i] = deleteOne(ctx, c, app, targets[i]) },
		func(i int) { out[i] = Fate{Target: targets[i], Err: context.Cause(ctx)} })
	return out
}

func deleteOne(ctx context.Context, c *cluster.Client, app object.App, t Target) Fate {
	f := Fate{Target: t}
	live, err := c.Get(ctx, t.Kind, t.Key.Namespace, t.Key.Name)
	if apierrors.IsNotFound(err) {
		f.Gone = true
		return f
	}
	if err != nil {
		f.Err = err
		return f
	}
	owner, marked := object.Owner(live)
	if !marked || owner != app || t.UID != "" && live.GetUID() != t.UID {
		f.NotOurs = true
		return f
	}
	if live.GetDeletionTimestamp() != nil {
		return f
	}
	f.Gone, f.Err = c.Delete(ctx, t.Kind, t.Key.Namespace, t.Key.Name, live.GetUID(), t.Foreground)
	return f
}

// ObjectError is an error about one object.
type ObjectError struct {
	Key object.Key
	// File and Line say where it came from; empty and 0 if that is not known.
	File string
	Line int
	Err  error
	// Grant says how to grant what is forbidden, where that is known better than
	// Hint does.
	Grant string
	// Changes: the object exists, and was to be changed.
	Changes bool
}

func (e *ObjectError) Error() string {
	where := ""
	if e.File != "" {
		where = " (" + e.File
		if e.Line > 0 {
			where += fmt.Sprintf(":%d", e.Line)
		}
		where += ")"
	}
	msg := e.message()
	hint := Hint(e.Err)
	if e.Grant != "" && apierrors.IsForbidden(e.Err) {
		hint = e.Grant
	}
	if e.Changes && apierrors.IsInvalid(e.Err) {
		hint = "if that is a field that can't be changed, put it back in Git, or have the object deleted and created anew: annotation " + v1alpha1.AnnotationOnImmutable + ": replace, or spec.sync.onImmutable of the App"
	}
	if hint != "" {
		msg += "; " + hint
	}
	return e.Key.String() + where + ": " + msg
}

func (e *ObjectError) Unwrap() error { return e.Err }

// message is the server's, but for a refused Secret: what is wrong with a
// Secret is often its value, and the server's message quotes it.
func (e *ObjectError) message() string {
	var status apierrors.APIStatus
	if e.Key.GroupKind() != (schema.GroupKind{Kind: "Secret"}) || !errors.As(e.Err, &status) {
		return e.Err.Error()
	}
	reason := apierrors.ReasonForError(e.Err)
	switch reason {
	case metav1.StatusReasonInvalid, metav1.StatusReasonBadRequest, metav1.StatusReasonUnknown, metav1.StatusReasonInternalError:
	default:
		return e.Err.Error()
	}
	var fields []string
	if d := status.Status().Details; d != nil {
		for _, c := range d.Causes {
			if c.Field != "" {
				fields = append(fields, c.Field)
			}
		}
	}
	msg := fmt.Sprintf("the server refuses it (%s)", cmp.Or(string(reason), "no reason given"))
	if len(fields) > 0 {
		msg += " because of " + strings.Join(fields, ", ")
	}
	return msg + "; its own words are not shown, since they can hold values of the Secret: every value of data is base64, and every value of stringData a string in quotes"
}

// Hint says what to do about an API server's refusal, where that is known.
func Hint(err error) string {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return ""
	}
	details := status.Status().Details
	switch {
	case apierrors.IsNotFound(err) && details != nil && details.Kind == "namespaces":
		return "create that namespace, or have Git do it; abide itself creates spec.target.namespace only, unless spec.target.createNamespace is off"
	case apierrors.IsForbidden(err):
		return "grant the right to the identity this App acts as (kubectl auth can-i --as says what it has)"
	case apierrors.IsConflict(err):
		return "somebody changed it at the same moment; it is tried again"
	case apierrors.IsRequestEntityTooLargeError(err):
		return "the object is too large for the API server"
	}
	return ""
}
