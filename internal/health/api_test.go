package health

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"abide.dev/abide/api/v1alpha1"
)

// kindX are rules for the kind X of example.com: condition and message of what is
// Degraded.
func kindX(rules ...string) v1alpha1.KindHealth {
	k := v1alpha1.KindHealth{Group: "example.com", Kinds: []string{"X"}}
	for i := 0; i < len(rules); i += 2 {
		k.Rules = append(k.Rules, v1alpha1.HealthExpression{When: rules[i], Health: v1alpha1.HealthDegraded, Message: rules[i+1]})
	}
	return k
}

func healthRule(spec v1alpha1.KindHealth) *v1alpha1.HealthRule {
	return &v1alpha1.HealthRule{ObjectMeta: metav1.ObjectMeta{Name: "xs"}, Spec: spec}
}

func appOf(rules ...v1alpha1.KindHealth) *v1alpha1.App {
	return &v1alpha1.App{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"},
		Spec:       v1alpha1.AppSpec{Health: &v1alpha1.AppHealth{Rules: rules}},
	}
}

// TestWrongRules: a rule that does not compile is named with its place, and what
// it is asked of is Unknown; the rules before it decide as ever.
func TestWrongRules(t *testing.T) {
	x := object(t, `{apiVersion: example.com/v1, kind: X, metadata: {name: x}}`)
	wrong := "when (self.has('Ready')): column 9: undeclared reference to 'has'"
	for _, c := range []struct {
		reason  string
		rules   func() (Rules, error)
		err     string
		health  v1alpha1.Health
		message string
	}{
		{"of a HealthRule", func() (Rules, error) { return OfHealthRule(healthRule(kindX("self.has('Ready')", "'m'"))) },
			"HealthRule xs spec.rules[0]: " + wrong, v1alpha1.HealthUnknown, "the rule at HealthRule xs spec.rules[0] can't be evaluated: " + wrong},
		{"of an App", func() (Rules, error) {
			return OfApp(appOf(kindX("false", "'m'"), kindX("false", "'m'", "self.has('Ready')", "'m'")))
		},
			"App shop/web spec.health.rules[1].rules[1]: " + wrong, v1alpha1.HealthUnknown, "the rule at App shop/web spec.health.rules[1].rules[1] can't"},
		{"after one that decides", func() (Rules, error) {
			return OfHealthRule(healthRule(kindX("true", "'first'", "self.has('Ready')", "'m'")))
		},
			"spec.rules[1]: " + wrong, v1alpha1.HealthDegraded, "first"},
		{"two of them", func() (Rules, error) { return OfHealthRule(healthRule(kindX("a", "'m'", "b", "'m'"))) },
			"undeclared reference to 'a' (and 1 more)", v1alpha1.HealthUnknown, "spec.rules[0]"},
		{"its message", func() (Rules, error) { return OfHealthRule(healthRule(kindX("true", "7"))) },
			"spec.rules[0]: message (7): it gives int, and must give text", v1alpha1.HealthUnknown, "it gives int"},
		{"an App with too many", func() (Rules, error) {
			return OfApp(appOf(kindX(slices.Repeat([]string{"true", strings.Repeat("'m'+", 2000) + "'m'"}, 5)...)))
		},
			"App shop/web spec.health.rules: its expressions have 40035 bytes together, at most 32768, and none of them counts", v1alpha1.HealthHealthy, ""},
		{"a form that the API does not take", func() (Rules, error) { return OfApp(appOf(v1alpha1.KindHealth{Group: "g"})) },
			"App shop/web spec.health.rules[0]: it names no kinds", v1alpha1.HealthHealthy, ""},
	} {
		rules, err := c.rules()
		if err == nil {
			err = rules.Check()
		}
		if err == nil || !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: the error is %v, want %q", c.reason, err, c.err)
		}
		if v := NewEvaluator(rules).Explain(x); v.Health != c.health || !strings.Contains(v.Message, c.message) {
			t.Errorf("%s: %+v, want %s %q", c.reason, v, c.health, c.message)
		}
	}
	for _, app := range []*v1alpha1.App{{}, appOf(), appOf(kindX("true", "'m'"))} {
		if rules, err := OfApp(app); err != nil || rules.Check() != nil {
			t.Errorf("nothing is wrong, and it says %v, %v", err, rules.Check())
		}
	}
}

// TestBefore: rules of one evaluator are asked before those of the next, whatever
// they are for, and within one bound.
func TestBefore(t *testing.T) {
	x := object(t, `{apiVersion: example.com/v1, kind: X, metadata: {name: x}}`)
	say := func(kind, when, what string) *Evaluator {
		return NewEvaluator(parse(t, what, fmt.Sprintf("health:\n- group: example.com\n  kinds: [%q]\n  rules: [{when: %q, health: Degraded, message: \"'%s'\"}]", kind, when, what)))
	}
	for _, c := range []struct {
		reason string
		e      *Evaluator
		want   string
	}{
		{"the first", say("X", "true", "one").Before(say("X", "true", "two")), "one"},
		{"one for all kinds before one for a kind", say("*", "true", "one").Before(say("X", "true", "two")), "one"},
		{"whose condition holds", say("X", "false", "one").Before(say("X", "true", "two")), "two"},
		{"of three", say("X", "false", "one").Before(say("Y", "true", "two")).Before(say("X", "true", "three")), "three"},
	} {
		if v := c.e.Explain(x); v.Message != c.want {
			t.Errorf("%s: %+v, want %q", c.reason, v, c.want)
		}
	}
	last := say("X", "true", "last")
	if say("X", "true", "one").Before(last); last.Explain(x).Message != "last" {
		t.Error("the evaluator behind has changed")
	}
}

func TestSame(t *testing.T) {
	x := schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "X"}
	y := schema.GroupVersionKind{Group: "example.com", Version: "v1", Kind: "Y"}
	of := func(spec v1alpha1.KindHealth) Rules {
		r, err := OfHealthRule(healthRule(spec))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	a, all := of(kindX("true", "'a'")), kindX("true", "'a'")
	all.Kinds = []string{"*"}
	other := kindX("true", "'a'")
	other.Versions = []string{"v2"}
	for _, c := range []struct {
		reason string
		others Rules
		x, y   bool
	}{
		{"the same read again", of(kindX("true", "'a'")), true, true},
		{"none", Rules{}, false, true},
		{"another condition", of(kindX("false", "'a'")), false, true},
		{"another message", of(kindX("true", "'b'")), false, true},
		{"one more", a.Before(of(kindX("false", "'a'"))), false, true},
		{"for every kind", of(all), true, false},
		{"for another version", of(other), false, true},
	} {
		if x, y := a.Same(c.others, x), a.Same(c.others, y); x != c.x || y != c.y {
			t.Errorf("%s: X is the same: %t, Y is: %t", c.reason, x, y)
		}
	}
	if a.Empty() || !(Rules{}).Empty() {
		t.Error("Empty is wrong")
	}
}

// TestManyQuickRules: rules that are quick one by one are bounded together, also
// on an object that makes each of them slow.
func TestManyQuickRules(t *testing.T) {
	slow := object(t, `{apiVersion: example.com/v1, kind: X, metadata: {name: x}}`)
	conditions := make([]any, maxConditions)
	for i := range conditions {
		conditions[i] = map[string]any{"type": fmt.Sprint(i)}
	}
	slow.Object["status"] = map[string]any{"conditions": conditions}
	long := strings.Repeat("self.is('x') || ", MaxExpression/len("self.is('x') || ")-1) + "false"
	rules, err := OfHealthRule(healthRule(kindX(slices.Repeat([]string{long, "'m'"}, 16)...)))
	if err != nil {
		t.Fatal(err)
	}
	v := NewEvaluator(rules).Explain(slow)
	if v.Health != v1alpha1.HealthUnknown || !strings.Contains(v.Message, "the rules before it took too long") {
		t.Errorf("%+v", v)
	}
}

// TestProgramsAreShared: rules that are the same are compiled once, and what nobody
// uses is not kept.
func TestProgramsAreShared(t *testing.T) {
	of := func(when string) *program {
		rules, err := OfApp(appOf(kindX(when, "'m'")))
		if err != nil {
			t.Fatal(err)
		}
		p, err := rules.entries[0].rules[0].programs()
		if err != nil {
			t.Fatal(err)
		}
		return p.when
	}
	const mine = "self.is('TestProgramsAreShared')"
	one, two := of(mine), of(mine)
	if one != two || one == of(mine+" && true") {
		t.Error("two Apps with the same rule don't share it, or two with others do")
	}
	runtime.KeepAlive(one)
	kept := func() bool {
		inUse.Lock()
		defer inUse.Unlock()
		return slices.ContainsFunc(slices.Collect(maps.Keys(inUse.programs)), func(s source) bool { return strings.HasPrefix(s.expression, mine) })
	}
	if !kept() {
		t.Fatal("it is not known while it is used")
	}
	runtime.KeepAlive(two)
	for deadline := time.After(30 * time.Second); kept(); {
		runtime.GC()
		select {
		case <-deadline:
			t.Fatal("what nobody uses is kept")
		case <-time.After(time.Millisecond):
		}
	}
}
