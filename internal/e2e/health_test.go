package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"abide.dev/abide/api/v1alpha1"
)

// withStatus makes Things have a status that somebody writes.
func withStatus(definition string) string {
	const spec = "spec: {type: object, properties: {size: {type: integer}}}"
	return strings.Replace(strings.Replace(definition, spec, spec+", status: {type: object, x-kubernetes-preserve-unknown-fields: true}", 1),
		"    schema:", "    subresources: {status: {}}\n    schema:", 1)
}

// starts writes the status of a Thing that runs, and does not say that it is ready.
func (w *world) starts(group, name string) {
	w.t.Helper()
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(schema.GroupVersionKind{Group: group, Version: "v1", Kind: "Thing"})
	u.SetName(name)
	eventually(w.t, name+" is there", func() error {
		return w.client.Status().Patch(w.t.Context(), u, client.RawPatch("application/merge-patch+json",
			[]byte(`{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"False","reason":"Starting","message":"not yet"}]}}`)))
	})
}

// ofThings is one rule for Things.
func ofThings(group, when string, health v1alpha1.Health, message string) v1alpha1.KindHealth {
	return v1alpha1.KindHealth{
		Group: group, Kinds: []string{"Thing"},
		Rules: []v1alpha1.HealthExpression{{When: when, Health: health, Message: message}},
	}
}

// rules gives an App rules of its own.
func (w *world) rules(app *v1alpha1.App, rules ...v1alpha1.KindHealth) {
	w.t.Helper()
	now := w.get(app)
	base := now.DeepCopy()
	if now.Spec.Health = nil; len(rules) > 0 {
		now.Spec.Health = &v1alpha1.AppHealth{Rules: rules}
	}
	must(w.t, w.client.Patch(w.t.Context(), now, client.MergeFrom(base)))
}

// changeRule gives a HealthRule another spec.
func (w *world) changeRule(r *v1alpha1.HealthRule, spec v1alpha1.KindHealth) {
	w.t.Helper()
	base := r.DeepCopy()
	r.Spec = spec
	must(w.t, w.client.Patch(w.t.Context(), r, client.MergeFrom(base)))
}

// ruleSays waits until a HealthRule says something of what it is now.
func (w *world) ruleSays(r *v1alpha1.HealthRule, reason, message string) {
	w.t.Helper()
	eventually(w.t, "HealthRule "+r.Name+" says "+reason, func() error {
		var now v1alpha1.HealthRule
		must(w.t, w.client.Get(w.t.Context(), client.ObjectKeyFromObject(r), &now))
		c := meta.FindStatusCondition(now.Status.Conditions, v1alpha1.ConditionReady)
		if c == nil || c.Reason != reason || !strings.Contains(c.Message, message) ||
			c.ObservedGeneration != now.Generation || now.Status.ObservedGeneration != now.Generation ||
			(c.Status == metav1.ConditionTrue) != (reason == "InForce") {
			return fmt.Errorf("it says %+v", now.Status)
		}
		return nil
	})
}

// healthWorld is a world with two Apps with a Thing each, which kstatus takes to be
// on its way, and a third without.
func healthWorld(t *testing.T) (w *world, group string, a, b, c *v1alpha1.App) {
	t.Helper()
	w = newWorld(t)
	ns := w.sandbox.Namespace(t)
	group = w.own + ".example.org"
	w.undefine(group)
	w.repo.Write(map[string]string{
		"crds/thing.yaml": withStatus(definition(group)),
		"a/a.yaml":        thing(group, "a", "1") + "---\n" + configMap("config-a", "1"),
		"b/b.yaml":        thing(group, "b", "1"),
		"c/c.yaml":        configMap("config-c", "1"),
	})
	commit := w.repo.Commit("things")
	w.run()
	w.ready(w.app("crds", "crds", ns), commit)
	a, b, c = w.app("a", "a", ns), w.app("b", "b", ns), w.app("c", "c", ns)
	w.starts(group, "a")
	w.starts(group, "b")
	w.says(a, "Progressing", "not yet")
	w.says(b, "Progressing", "not yet")
	w.ready(c, commit)
	return w, group, a, b, c
}

// TestHealthRules: rules for all Apps and rules of one say what an object is, and a
// change of them is seen with no commit, by the Apps that it is about.
func TestHealthRules(t *testing.T) {
	w, group, a, b, _ := healthWorld(t)
	rule := &v1alpha1.HealthRule{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.own, Name: "things"},
		Spec:       ofThings(group, "self.text('status.phase') == 'Running'", v1alpha1.HealthHealthy, ""),
	}
	w.quiet()
	since := now()
	must(t, w.client.Create(t.Context(), rule))
	w.ready(a, "")
	w.ready(b, "")
	w.ruleSays(rule, "InForce", "every App")

	w.changeRule(rule, ofThings(group, "true", v1alpha1.HealthDegraded, "'it is ' + self.text('status.phase')"))
	w.says(a, "Degraded", "it is Running")
	w.says(b, "Degraded", "it is Running")

	// An App's own rule comes first, and is about its own objects.
	w.rules(a, ofThings(group, "true", v1alpha1.HealthHealthy, ""))
	w.ready(a, "")
	w.rules(a, ofThings(group, "true", v1alpha1.HealthSuspended, "'a break'"))
	eventually(t, "App a is suspended", func() error {
		if s := w.get(a).Status; s.Health != v1alpha1.HealthSuspended {
			return fmt.Errorf("it is %+v", s)
		}
		return nil
	})
	w.says(b, "Degraded", "it is Running")

	// What is in force before the controller ends is in force after it.
	w.quiet()
	w.abide.kill()
	again := now()
	w.run()
	w.quiet()
	if got := without(w.writes(again), "gitrefs"); len(got) != 0 {
		t.Errorf("a restart with rules writes %v", got)
	}

	w.rules(a)
	w.says(a, "Degraded", "it is Running")
	w.delete(rule)
	w.says(a, "Progressing", "not yet")
	w.says(b, "Progressing", "not yet")

	w.quiet() // and nothing is asked again and again
	for _, e := range w.requests(since) {
		if e.Resource == "configmaps" && e.Received.Before(again) {
			t.Errorf("a rule for Things has ConfigMaps looked at: %s", describe(e))
		}
		if e.Resource == "things" && e.Verb != "list" {
			t.Errorf("a rule makes abide send %s", describe(e))
		}
	}
}

// TestWrongHealthRules: a rule that is wrong is said with its place, makes what it
// is asked of Unknown, and keeps nobody from syncing.
func TestWrongHealthRules(t *testing.T) {
	w, group, a, b, c := healthWorld(t)
	const wrong = "column 9: undeclared reference to 'has'"
	rule := &v1alpha1.HealthRule{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.own, Name: "things"},
		Spec:       ofThings(group, "self.has('Ready')", v1alpha1.HealthHealthy, ""),
	}
	must(t, w.client.Create(t.Context(), rule))
	w.ruleSays(rule, "InvalidHealthRule", "HealthRule things spec.rules[0]: when (self.has('Ready')): "+wrong)
	w.says(b, "Unknown", "HealthRule things spec.rules[0]", wrong)
	w.ready(c, "")

	w.rules(a, ofThings(group, "true", v1alpha1.HealthHealthy, ""), ofThings(group, "self.has('Ready')", v1alpha1.HealthHealthy, ""))
	w.says(a, "InvalidHealthRule", "App "+w.own+"/a spec.health.rules[1].rules[0]: when (self.has('Ready')): "+wrong)
	if s := w.get(a).Status; s.Health != v1alpha1.HealthUnknown || s.State != v1alpha1.StateInSync ||
		!meta.IsStatusConditionPresentAndEqual(s.Conditions, v1alpha1.ConditionHealthy, metav1.ConditionUnknown) {
		t.Errorf("%+v", s)
	}
	w.repo.Write(map[string]string{"a/a.yaml": thing(group, "a", "2") + "---\n" + configMap("config-a", "2")})
	w.push(a, "a goes on")
	w.has(a.Spec.Target.Namespace, "config-a", "2")

	w.rules(a, ofThings(group, "true", v1alpha1.HealthHealthy, ""))
	w.ready(a, "")
	w.changeRule(rule, ofThings(group, "true", v1alpha1.HealthHealthy, ""))
	w.ruleSays(rule, "InForce", "")
	w.ready(b, "")

	// Elsewhere it is said that a HealthRule counts for nothing.
	must(t, client.IgnoreAlreadyExists(w.client.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.own + "-team"}})))
	other := &v1alpha1.HealthRule{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.own + "-team", Name: "a-first"},
		Spec:       ofThings(group, "true", v1alpha1.HealthDegraded, "'no'"),
	}
	must(t, w.client.Create(t.Context(), other))
	t.Cleanup(func() { w.client.Delete(context.WithoutCancel(t.Context()), other) })
	w.ruleSays(other, "OtherNamespace", "in the namespace "+w.own+" only")
	w.refresh(b)
	w.ready(b, "")
}
