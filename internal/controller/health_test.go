package controller

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/observe"
)

// judgedBy are rules by which every Widget is Degraded, with a message.
func judgedBy(message string) v1alpha1.KindHealth {
	return v1alpha1.KindHealth{
		Group: "example.com", Kinds: []string{"Widget"},
		Rules: []v1alpha1.HealthExpression{{When: "true", Health: v1alpha1.HealthDegraded, Message: message}},
	}
}

// healths is a Health on an API server's storage, with the number of its writes.
func healths(t *testing.T) (h *Health, writes *int) {
	t.Helper()
	s := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(s); err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	writes = new(int)
	c := fake.NewClientBuilder().WithScheme(s).WithStatusSubresource(&v1alpha1.HealthRule{}).
		WithInterceptorFuncs(interceptor.Funcs{
			SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
				*writes++
				return c.SubResource(sub).Patch(ctx, o, p, opts...)
			},
		}).Build()
	return &Health{
		Client: c, Tracker: observe.New(nil, func(object.App) {}, log), Namespace: "abide-system", Now: time.Now, Log: log,
	}, writes
}

// widget judges a Widget of an App.
func (h *Health) widget(app object.App) string {
	u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "example.com/v1", "kind": "Widget"}}
	u.SetName("w")
	object.Mark(u, app)
	r := h.Tracker.Applied(u)
	return r.Message
}

// put stores a HealthRule, a generation on if it is there, and has it reconciled.
func (h *Health) put(t *testing.T, namespace, name string, spec v1alpha1.KindHealth) metav1.Condition {
	t.Helper()
	r := &v1alpha1.HealthRule{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	err := h.Client.Get(t.Context(), client.ObjectKeyFromObject(r), r)
	r.Spec = spec
	r.Generation++
	if err == nil {
		err = h.Client.Update(t.Context(), r)
	} else {
		r.UID = types.UID(name)
		err = h.Client.Create(t.Context(), r)
	}
	if err != nil {
		t.Fatal(err)
	}
	return h.look(t, namespace, name)
}

// look reconciles a HealthRule and returns its Ready condition.
func (h *Health) look(t *testing.T, namespace, name string) metav1.Condition {
	t.Helper()
	key := types.NamespacedName{Namespace: namespace, Name: name}
	if _, err := h.Reconcile(t.Context(), reconcile.Request{NamespacedName: key}); err != nil {
		t.Fatal(err)
	}
	var r v1alpha1.HealthRule
	if err := h.Client.Get(t.Context(), key, &r); err != nil {
		return metav1.Condition{}
	}
	c := meta.FindStatusCondition(r.Status.Conditions, v1alpha1.ConditionReady)
	if c == nil || c.ObservedGeneration != r.Generation || r.Status.ObservedGeneration != r.Generation {
		t.Fatalf("its status is %+v at generation %d", r.Status, r.Generation)
	}
	return *c
}

// TestHealthOrder: the App's rules, HealthRules by their names, those that are
// shipped; and a HealthRule elsewhere counts for nothing.
func TestHealthOrder(t *testing.T) {
	h, _ := healths(t)
	web, other := object.App{Namespace: "shop", Name: "web"}, object.App{Namespace: "shop", Name: "other"}
	app := &v1alpha1.App{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}}
	want := func(reason, ofWeb, ofOther string) {
		t.Helper()
		if a, b := h.widget(web), h.widget(other); a != ofWeb || b != ofOther {
			t.Errorf("%s: %q and %q, want %q and %q", reason, a, b, ofWeb, ofOther)
		}
	}
	want("no rules", "", "")
	if c := h.put(t, "shop", "a", judgedBy("'elsewhere'")); c.Status != metav1.ConditionFalse || c.Reason != "OtherNamespace" ||
		!strings.Contains(c.Message, "abide-system") {
		t.Errorf("%+v", c)
	}
	want("a HealthRule elsewhere", "", "")
	if c := h.put(t, "abide-system", "m", judgedBy("'m'")); c.Status != metav1.ConditionTrue || c.Reason != "InForce" {
		t.Errorf("%+v", c)
	}
	want("a HealthRule", "m", "m")
	h.put(t, "abide-system", "z", judgedBy("'z'"))
	want("one of a name behind it", "m", "m")
	h.put(t, "abide-system", "b", judgedBy("'b'"))
	want("one of a name before it", "b", "b")
	h.put(t, "abide-system", "b", judgedBy("'b again'"))
	want("it changes", "b again", "b again")
	app.Spec.Health = &v1alpha1.AppHealth{Rules: []v1alpha1.KindHealth{judgedBy("'own'")}}
	h.Check(web, app)
	want("rules of an App", "own", "b again")
	app.Spec.Health = nil
	h.Check(web, app)
	want("they go", "b again", "b again")
	for _, name := range []string{"b", "m"} {
		if err := h.Client.Delete(t.Context(), &v1alpha1.HealthRule{ObjectMeta: metav1.ObjectMeta{Namespace: "abide-system", Name: name}}); err != nil {
			t.Fatal(err)
		}
		h.look(t, "abide-system", name)
	}
	want("the first two go", "z", "z")
}

// TestHealthWrong: a rule that is wrong is said with its place where people look
// for it, in one line, and what it is asked of is Unknown.
func TestHealthWrong(t *testing.T) {
	h, writes := healths(t)
	web := object.App{Namespace: "shop", Name: "web"}
	c := h.put(t, "abide-system", "m", judgedBy("self.\nhas('x')"))
	if c.Status != metav1.ConditionFalse || c.Reason != "InvalidHealthRule" || strings.Contains(c.Message, "\n") ||
		!strings.Contains(c.Message, "HealthRule m spec.rules[0]: message (self. has('x')): line 2, column 4") {
		t.Errorf("%+v", c)
	}
	if got := h.widget(web); !strings.Contains(got, "HealthRule m spec.rules[0]") {
		t.Errorf("the Widget says %q", got)
	}
	if *writes != 1 {
		t.Errorf("%d writes", *writes)
	}
	if again := h.look(t, "abide-system", "m"); *writes != 1 || again != c {
		t.Errorf("another look writes: %+v", again)
	}
	if c := h.put(t, "abide-system", "m", judgedBy("'right'")); c.Status != metav1.ConditionTrue || h.widget(web) != "right" {
		t.Errorf("%+v, and the Widget says %q", c, h.widget(web))
	}

	app := &v1alpha1.App{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}}
	app.Spec.Health = &v1alpha1.AppHealth{Rules: []v1alpha1.KindHealth{judgedBy("self.has('x')")}}
	h.Check(web, app)
	if got := h.Wrong(web); !strings.Contains(got, "App shop/web spec.health.rules[0].rules[0]: message (self.has('x')): column 9") {
		t.Errorf("%q", got)
	}
	app.Spec.Health.Rules[0] = judgedBy("'right'")
	h.Check(web, app)
	if got := h.Wrong(web); got != "" {
		t.Errorf("put right, and %q", got)
	}
	var many []v1alpha1.HealthExpression
	for i := range 9 {
		many = append(many, v1alpha1.HealthExpression{When: fmt.Sprint("x", i, strings.Repeat(" + 1", 800)), Health: v1alpha1.HealthHealthy})
	}
	app.Spec.Health.Rules[0].Rules = many
	h.Check(web, app)
	if got := h.Wrong(web); len(got) > 1024 || !strings.Contains(got, "(and 8 more)") {
		t.Errorf("%d bytes: %s", len(got), got)
	}
	h.Forget(web)
	if got := h.Wrong(web); got != "" {
		t.Errorf("forgotten, and %q", got)
	}
}
