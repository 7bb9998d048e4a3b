package controller

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/health"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/observe"
	"abide.dev/abide/internal/report"
)

// Health puts the health rules of HealthRules and of Apps in force, and says in the
// status of a HealthRule whether it is. Its fields are set once.
type Health struct {
	Client    client.Client
	Tracker   *observe.Tracker
	Namespace string // abide's own, whose HealthRules count
	Now       func() time.Time
	Log       *slog.Logger

	load sync.Mutex // so that an older list does not come after a newer one

	mu    sync.Mutex
	rules map[types.UID]*rulesOf // of HealthRules; written with both locks held
	apps  map[object.App]*rulesOfApp
}

// rulesOf are the rules of a HealthRule, compiled.
type rulesOf struct {
	generation int64
	name       string
	rules      health.Rules
	err        error
}

// rulesOfApp are what an App's rules were made of, and what is wrong with them.
type rulesOfApp struct {
	spec    *v1alpha1.AppHealth
	rules   health.Rules
	checked bool
	wrong   string
}

// Load puts the rules of all HealthRules in force.
func (h *Health) Load(ctx context.Context) error {
	h.load.Lock()
	defer h.load.Unlock()
	var list v1alpha1.HealthRuleList
	if err := h.Client.List(ctx, &list, client.InNamespace(h.Namespace)); err != nil {
		return fmt.Errorf("reading the HealthRules: %w", err)
	}
	now := make(map[types.UID]*rulesOf, len(list.Items))
	var ordered []*rulesOf
	for i := range list.Items {
		r := &list.Items[i]
		c := h.rules[r.UID]
		if c == nil || c.generation != r.Generation {
			c = &rulesOf{generation: r.Generation, name: r.Name}
			c.rules, c.err = health.OfHealthRule(r)
		}
		now[r.UID] = c
		ordered = append(ordered, c)
	}
	h.mu.Lock()
	h.rules = now
	h.mu.Unlock()
	slices.SortFunc(ordered, func(a, b *rulesOf) int { return cmp.Compare(a.name, b.name) })
	all := health.Shipped()
	for _, c := range slices.Backward(ordered) {
		all = c.rules.Before(all)
	}
	h.Tracker.Judge(all)
	return nil
}

// Reconcile looks at one HealthRule.
func (h *Health) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	if req.Namespace == h.Namespace {
		if err := h.Load(ctx); err != nil {
			return reconcile.Result{}, err
		}
	}
	var r v1alpha1.HealthRule
	if err := h.Client.Get(ctx, req.NamespacedName, &r); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	ready, ok := h.ready(&r)
	if !ok {
		return reconcile.Result{}, nil // it has changed again, which brings another look
	}
	ready.ObservedGeneration, ready.LastTransitionTime = r.Generation, metav1.NewTime(h.Now()).Rfc3339Copy()
	base := r.DeepCopy()
	r.Status.ObservedGeneration = r.Generation
	meta.SetStatusCondition(&r.Status.Conditions, ready)
	if equality.Semantic.DeepEqual(base.Status, r.Status) {
		return reconcile.Result{}, nil
	}
	if ready.Status != metav1.ConditionTrue {
		h.Log.Warn("a HealthRule is not in force as it stands", "healthrule", req.String(), "reason", ready.Reason, "error", ready.Message)
	}
	return reconcile.Result{}, client.IgnoreNotFound(h.Client.Status().Patch(ctx, &r, client.MergeFrom(base)))
}

// The reasons of a HealthRule's Ready condition.
const (
	reasonInForce    = "InForce"
	reasonOtherPlace = "OtherNamespace"
)

// ready says whether a HealthRule is in force; ok is false if that is not known of
// what it is now.
func (h *Health) ready(r *v1alpha1.HealthRule) (c metav1.Condition, ok bool) {
	c = metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse}
	if r.Namespace != h.Namespace {
		c.Reason = reasonOtherPlace
		c.Message = fmt.Sprintf("a HealthRule counts in the namespace %s only, where it is for all Apps: move it there, or put its rules into spec.health.rules of the Apps that need them", h.Namespace)
		return c, true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	in := h.rules[r.UID]
	switch {
	case in == nil || in.generation != r.Generation:
		return c, false
	case in.err != nil:
		c.Reason, c.Message = report.ReasonInvalidHealthRule, wrong(in.err)
	default:
		c.Status, c.Reason, c.Message = metav1.ConditionTrue, reasonInForce, "objects of every App are judged by it"
	}
	return c, true
}

// wrong says what is wrong with rules that are in force none the less.
func wrong(err error) string {
	return line(err) + "; until it is put right, objects that the rule is asked of are Unknown"
}

// line is an error in one line that fits into a status.
func line(err error) string {
	const most = 800
	text := strings.Join(strings.Fields(err.Error()), " ")
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// Know puts the rules of an App in force.
func (h *Health) Know(id object.App, app *v1alpha1.App) {
	h.mu.Lock()
	defer h.mu.Unlock()
	have := h.apps[id]
	if have == nil && app.Spec.Health == nil || have != nil && equality.Semantic.DeepEqual(have.spec, app.Spec.Health) {
		return
	}
	if h.apps == nil {
		h.apps = map[object.App]*rulesOfApp{}
	}
	have = &rulesOfApp{spec: app.Spec.Health.DeepCopy()}
	var err error
	if have.rules, err = health.OfApp(app); err != nil {
		have.wrong, have.checked = line(err), true
	}
	h.apps[id] = have
	h.Tracker.JudgeOf(id, have.rules)
}

// Check is Know, and finds out what Wrong then says. It takes a while where there is
// much to compile, and keeps only its caller waiting.
func (h *Health) Check(id object.App, app *v1alpha1.App) {
	h.Know(id, app)
	h.mu.Lock()
	have := h.apps[id]
	h.mu.Unlock()
	if have == nil || have.checked {
		return
	}
	err := have.rules.Check()
	h.mu.Lock()
	defer h.mu.Unlock()
	if have.checked = true; err != nil {
		have.wrong = wrong(err)
	}
}

// Wrong says what is wrong with the rules of an App; empty if nothing is.
func (h *Health) Wrong(id object.App) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if have := h.apps[id]; have != nil {
		return have.wrong
	}
	return ""
}

// Forget drops what is held of an App that no longer exists.
func (h *Health) Forget(id object.App) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.apps, id)
}
