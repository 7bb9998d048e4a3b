package health

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"abide.dev/abide/api/v1alpha1"
)

// rulesFor is a file with rules for the kind X of example.com.
func rulesFor(rules string) string {
	return "health:\n- group: example.com\n  kinds: [X]\n  rules:\n" + rules
}

// TestParseRefuses: what is wrong with a file of rules is said with its place.
func TestParseRefuses(t *testing.T) {
	for _, c := range []struct{ reason, file, want string }{
		{"nothing in it", "", `no rules; they are a list under "health"`},
		{"another list", "rules: []", "line 1: field rules not found"},
		{"not a list", "health: 7", "line 1: cannot unmarshal !!int `7`"},
		{"two documents", rulesFor("  - {when: true, health: Healthy}\n") + "---\nhealth: []\n", "more than one document"},
		{"no kinds", "health:\n- group: example.com\n  rules: [{when: true, health: Healthy}]", "entry 1: it names no kinds"},
		{"all kinds of the core group", "health:\n- kinds: [\"*\"]\n  rules: [{when: true, health: Healthy}]", `"*" stands alone`},
		{"a star in the middle", "health:\n- group: a.*.com\n  kinds: [X]\n  rules: [{when: true, health: Healthy}]", `a "*" stands at the beginning`},
		{"no rules for a kind", "health:\n- kinds: [X]", `entry 1: it has no "rules"`},
		{"no condition", rulesFor("  - health: Healthy\n"), `entry 1: rule 1: it has no "when"`},
		{"a health that there is not", rulesFor("  - when: true\n    health: Fine\n"), `"Fine" is none of Healthy`},
		{"no message", rulesFor("  - when: true\n    health: Degraded\n"), "what is Degraded needs a message"},
		{"a message too many", rulesFor("  - {when: true, health: Healthy, message: self.why('Ready')}\n"), "what is Healthy has no message"},
		{"a field that there is not", rulesFor("  - {wenn: true, health: Healthy}\n"), "field wenn not found"},
		{"a syntax error", rulesFor("  - when: self.is('Ready'\n    health: Healthy\n"),
			"r.yaml:5: when (self.is('Ready'): column 16: Syntax error: missing ')'"},
		{"the second line of an expression", rulesFor("  - when: |\n      true &&\n      foo\n    health: Healthy\n"),
			"r.yaml:5: when (true && foo): line 2, column 1: undeclared reference to 'foo'"},
		{"a function that there is not", rulesFor("  - when: self.has('Ready')\n    health: Healthy\n"),
			"r.yaml:5: when (self.has('Ready')): column 9: undeclared reference to 'has'"},
		{"a condition that is text", rulesFor("  - when: self.text('a')\n    health: Healthy\n"),
			"r.yaml:5: when (self.text('a')): it gives text, and must give true or false"},
		{"a message that is a number", rulesFor("  - when: true\n    health: Degraded\n    message: 1 + 1\n"),
			"r.yaml:5: message (1 + 1): it gives int, and must give text"},
		{"regular expressions", rulesFor("  - when: self.text('a').matches('a+')\n    health: Healthy\n"), "undeclared reference to 'matches'"},
		{"an expression of any size", rulesFor("  - {when: '" + strings.Repeat("!", MaxExpression+1) + "true', health: Healthy}\n"), "more than 8192 bytes"},
		{"an expression of any depth", rulesFor("  - {when: '" + strings.Repeat("(", 3000) + "true" + strings.Repeat(")", 3000) + "', health: Healthy}\n"), "recursion"},
		{"a list that grows", rulesFor("  - when: \"[self.list('a')].map(l, [l, l]).size() > 0\"\n    health: Healthy\n"), "can hold texts, numbers and parts of the object"},
		{"a value with a name", rulesFor("  - when: optional.of(self).optMap(a, a).hasValue()\n    health: Healthy\n"), "optMap and optFlatMap are not to be had"},
		{"too many rules", rulesFor(strings.Repeat("  - {when: true, health: Healthy}\n", MaxRules+1)), "more than 2000 rules"},
		{"a file of any size", strings.Repeat("#", MaxFileBytes+1), "at most 1048576"},
	} {
		t.Run(c.reason, func(t *testing.T) {
			_, err := Parse("r.yaml", []byte(c.file))
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "r.yaml:") {
				t.Errorf("the error is %v, want %q", err, c.want)
			}
		})
	}
}

// parse reads rules that are right.
func parse(t testing.TB, file, content string) Rules {
	t.Helper()
	rules, err := Parse(file, []byte(content))
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

// TestOrder: which of several rules decides.
func TestOrder(t *testing.T) {
	x := object(t, `{apiVersion: example.com/v1, kind: X, metadata: {name: x}}`)
	said := func(what string) string {
		return fmt.Sprintf("  - {when: true, health: Unknown, message: \"'%s'\"}\n", what)
	}
	all := `
health:
- group: "*.com"
  kinds: ["*"]
  rules:
` + said("pattern")
	for _, c := range []struct {
		reason string
		rules  Rules
		want   string
	}{
		{"the first of one entry", parse(t, "r", rulesFor(said("one")+said("two"))), "one"},
		{"the entry that comes first, be it for a pattern", parse(t, "r", all+strings.TrimPrefix(rulesFor(said("kind")), "health:\n")), "pattern"},
		{"or for a kind", parse(t, "r", rulesFor(said("kind"))+strings.TrimPrefix(all, "\nhealth:\n")), "kind"},
		{"those put before others", parse(t, "r", rulesFor(said("mine"))).Before(parse(t, "r", rulesFor(said("theirs")))), "mine"},
		{"one for another version says nothing", parse(t, "r", "health:\n- {group: example.com, kinds: [X], versions: [v2], rules: [{when: true, health: Healthy}]}\n").Before(parse(t, "r", rulesFor(said("theirs")))), "theirs"},
		{"nor does one for another group", parse(t, "r", "health:\n- {group: \"*.example.com\", kinds: [X], rules: [{when: true, health: Healthy}]}\n").Before(parse(t, "r", rulesFor(said("theirs")))), "theirs"},
		{"whose condition does not hold is passed over", parse(t, "r", rulesFor("  - {when: self.is('Ready'), health: Healthy}\n"+said("two"))), "two"},
	} {
		if v := NewEvaluator(c.rules).Explain(x); v.Message != c.want {
			t.Errorf("%s: %+v, want %q", c.reason, v, c.want)
		}
	}
}

// TestBeforeRules: an object that goes, or whose status is old, is told without
// them; a kind without rules by kstatus.
func TestBeforeRules(t *testing.T) {
	e := NewEvaluator(parse(t, "r", rulesFor("  - {when: true, health: Healthy}\n")))
	for _, c := range []struct {
		object string
		want   Verdict
	}{
		{`{apiVersion: example.com/v1, kind: X, metadata: {name: x}}`, Verdict{v1alpha1.HealthHealthy, "", "r:5"}},
		{`{apiVersion: example.com/v1, kind: X, metadata: {name: x, deletionTimestamp: "2026-01-01T00:00:00Z"}}`,
			Verdict{v1alpha1.HealthProgressing, "it is being deleted", ""}},
		{`{apiVersion: example.com/v1, kind: X, metadata: {name: x, generation: 2}, status: {observedGeneration: 1}}`,
			Verdict{v1alpha1.HealthProgressing, "its status is about generation 1, and it is at 2", ""}},
		{`{apiVersion: example.com/v1, kind: X, metadata: {name: x, generation: 2}, status: {observedGeneration: "1"}}`,
			Verdict{v1alpha1.HealthProgressing, "its status is about generation 1, and it is at 2", ""}},
		{`{apiVersion: example.com/v1, kind: X, metadata: {name: x, generation: 2}, status: {observedGeneration: 2}}`,
			Verdict{v1alpha1.HealthHealthy, "", "r:5"}},
		{`{apiVersion: example.com/v1, kind: Z, metadata: {name: x, generation: 2}, status: {observedGeneration: 2, conditions: [{type: Stalled, status: "True", message: m}]}}`,
			Verdict{v1alpha1.HealthDegraded, "m", ""}},
	} {
		if diff := cmp.Diff(c.want, e.Explain(object(t, c.object))); diff != "" {
			t.Errorf("%s:\n%s", c.object, diff)
		}
	}
}

// FuzzParse: whatever a file of rules says, it ends in rules or an error, and the
// rules in a verdict.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		rulesFor("  - {when: self.is('Ready'), health: Healthy}\n"),
		rulesFor("  - when: self.list('status.conditions').exists(c, c.status == 'False')\n    health: Degraded\n    message: self.why('Ready')\n"),
		rulesFor("  - {when: self.?status.?phase.orValue('') == 'x', health: Unknown, message: \"'%s'.format([self.kind])\"}\n"),
		"health: &a [{group: \"*.a\", kinds: [\"*\"], rules: [{when: true, health: Healthy}]}]", "a: &a [*a]", "health:\n- <<: 7",
	} {
		f.Add(seed)
	}
	x := object(f, `{apiVersion: example.com/v1, kind: X, metadata: {name: x, generation: 1}, spec: {n: 1, l: [a, b, {c: d}]},
		status: {phase: x, conditions: [{type: Ready, status: "False", reason: R, message: m}]}}`)
	f.Fuzz(func(t *testing.T, file string) {
		rules, err := Parse("f", []byte(file))
		if err != nil {
			return
		}
		v := NewEvaluator(rules).Explain(x)
		if (v.Health == v1alpha1.HealthHealthy) != (v.Message == "") || len(v.Message) > MaxMessage {
			t.Errorf("%+v", v)
		}
	})
}
