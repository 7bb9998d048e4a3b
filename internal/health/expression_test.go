package health

import (
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"abide.dev/abide/api/v1alpha1"
)

// told is what a rule with an expression as its message says of an object.
func told(t testing.TB, u *unstructured.Unstructured, expression string) (Verdict, error) {
	t.Helper()
	indented := strings.ReplaceAll(expression, "\n", "\n      ")
	rules, err := Parse("r", []byte("health:\n- group: example.com\n  kinds: [X]\n  rules:\n  - when: true\n    health: Degraded\n    message: |-\n      "+indented+"\n"))
	if err != nil {
		return Verdict{}, err
	}
	return NewEvaluator(rules).Explain(u), nil
}

// TestFunctions: what expressions can ask of an object.
func TestFunctions(t *testing.T) {
	x := object(t, `
apiVersion: example.com/v1
kind: X
metadata: {name: x, generation: 3, labels: {l: one}, annotations: {example.com/a: two}}
spec: {replicas: 2, open: true, half: 0.5, parts: [{name: a, state: {waiting: {reason: Slow}}}, {name: b}]}
status:
  observedGeneration: 3
  phase: Running
  conditions:
  - {type: Ready, status: "True", reason: Fine, message: all is well}
  - {type: Old, status: "True", observedGeneration: 2, reason: Before}
  - {type: Bare, status: "False"}
  - {type: Said, status: "Unknown", message: who knows}
  parents: [{name: gw, conditions: [{type: Accepted, status: "False", reason: NoMatch, message: no listener}]}]
`)
	for _, c := range []struct{ expression, want string }{
		{`self.text('status.phase')`, "Running"},
		{`self.text('status.none.at.all') + '.'`, "."},
		{`self.text('spec.replicas')`, "spec.replicas is not text"},
		{`self.text('status.phase.further')`, "phase has no fields"},
		{`string(self.flag('spec.open')) + string(self.flag('spec.off'))`, "truefalse"},
		{`string(self.flag('spec.replicas'))`, "not true or false"},
		{`string(self.number('spec.replicas') + self.number('spec.none') + self.number('spec.none', 7))`, "9"},
		{`string(self.number('spec.half'))`, "0"},
		{`string(self.number('status.phase'))`, "not a number"},
		{`self.list('spec.parts').filter(p, p.text('state.waiting.reason') != '').map(p, p.text('name')).join(',')`, "a"},
		{`string(self.list('spec.none').size())`, "0"},
		{`string(self.list('spec').size())`, "not a list"},
		{`self.label('l') + self.annotation('example.com/a') + self.label('none') + self.annotation('none')`, "onetwo"},
		{`self.why('Ready')`, "Fine: all is well"},
		{`self.why('Old')`, "Before"},
		{`self.why('Bare')`, "Bare is False"},
		{`self.why('Said')`, "who knows"},
		{`self.why('None')`, "it has no condition None yet"},
		{`self.reason('Ready') + self.reason('None') + self.condition('Ready').status + self.condition('None').status`, "FineTrue"},
		{`string(self.is('Ready')) + string(self.isNot('Ready')) + string(self.is('None')) + string(self.isNot('None'))`, "truefalsefalsefalse"},
		{`string(self.is('Old')) + string(self.isNot('Bare'))`, "falsetrue"},
		{`self.list('status.parents').map(p, p.text('name') + ' ' + p.why('Accepted')).join()`, "gw NoMatch: no listener"},
		{`self.spec.parts.map(p, p.name).join('+')`, "a+b"},
		{`self.?status.?phase.orValue('none') + self.?status.?other.orValue('none')`, "Runningnone"},
		{`self.spec.none`, "no such key: none"},
		{`self.spec.replicas == self.status.observedGeneration ? 'same' : 'other'`, "other"},
		{`'%s has %d of %s%%'.format([self.text('status.phase'), 2, 1.5])`, "Running has 2 of 1.5%"},
		{`'%s %s'.format([true, 7u])`, "true 7"},
		{`'%d'.format(['a'])`, "%d does not take string"},
		{`'%x'.format([7])`, "not %x"},
		{`'%s'.format([])`, "no argument for %s"},
		{`'a'.format([1])`, "more arguments"},
		{`'50%'.format([1])`, "not %"},
		{`' Ab ÄÖ '.trim().lowerAscii() + 'ab'.upperAscii()`, "ab ÄÖAB"},
		{`'a,b,c'.split(',').join(' ') + 'aXbX'.replace('X', '--')`, "a b ca--b--"},
		{`''`, "it says that it failed, and not why"},
	} {
		v, err := told(t, x, c.expression)
		if err != nil || v.Health != v1alpha1.HealthDegraded || !strings.Contains(v.Message, c.want) {
			t.Errorf("%s gives %q, %v, want %q", c.expression, v.Message, err, c.want)
		}
	}
}

// TestBounds: what would take for ever, or all memory there is, ends in a message.
func TestBounds(t *testing.T) {
	many := func(n int, item string) string { return "[" + strings.Repeat(item+",", n) + "]" }
	x := object(t, `{apiVersion: example.com/v1, kind: X, metadata: {name: x}, spec: {numbers: `+many(2000, "1")+`, text: `+strings.Repeat("a", 60_000)+
		`, long: `+strings.Repeat("a", 70_000)+`, words: `+many(5000, "a")+`}}`)
	loops := func(n int) string {
		return strings.Repeat("self.list('spec.numbers').exists(a, ", n) + "false" + strings.Repeat(")", n) + " ? 'a' : 'b'"
	}
	chain := func(first, step string, n int) string { return first + strings.Repeat(step, n) }
	for _, c := range []struct{ reason, expression, want string }{
		{"loops in loops", loops(4), "takes too long"},
		{"a text twice itself, again and again", "[self.text('spec.text')]" + strings.Repeat(".map(a, a + a)", 30) + ".join()", "takes too long"},
		{"a replacement of replacements", chain("'a'", ".replace('a', 'aaaaaaaaaa')", 40), "more than 65536 bytes"},
		{"a long replacement", "self.text('spec.text').replace('a', self.text('spec.text'))", "more than 65536 bytes"},
		{"a long separator", "self.list('spec.numbers').map(n, 'a').join(self.text('spec.text'))", "more than 65536 bytes"},
		{"a format of long texts", "'%s%s%s'.format([self.text('spec.text'), self.text('spec.text'), ''])", "more than 65536 bytes"},
		{"a long text", "self.text('spec.long').trim()", "more than 65536 bytes"},
		{"a long list", "self.list('spec.words').join()", "more than 4096 items"},
		{"many parts", "self.text('spec.text').split('').join()", "more than 4096 parts"},
	} {
		v, err := told(t, x, c.expression)
		if err != nil || !strings.Contains(v.Message, c.want) {
			t.Errorf("%s: %q, %v, want %q", c.reason, v.Message, err, c.want)
		}
	}
	for _, c := range []struct{ reason, expression string }{
		{"a list of lists of lists", "[[1]]" + strings.Repeat(".map(a, [a, a])", 50) + " == [] ? 'a' : 'b'"},
		{"a list twice itself", "[self.list('spec.numbers')]" + strings.Repeat(".map(a, a + a)", 50) + "[0].size() > 1 ? 'a' : 'b'"},
		{"one of a list above", "self.list('spec.numbers').map(a, self.list('spec.numbers').map(b, a)) == [] ? 'a' : 'b'"},
		{"a map of maps", "[{'a': self}].size() == 0 ? 'a' : 'b'"},
	} {
		if v, err := told(t, x, c.expression); err == nil || !strings.Contains(err.Error(), "can hold texts") {
			t.Errorf("%s: %q, %v, want an error", c.reason, v.Message, err)
		}
	}
}

// TestTogether: many rules of one kind have the bound of one.
func TestTogether(t *testing.T) {
	x := object(t, `{apiVersion: example.com/v1, kind: X, metadata: {name: x}, spec: {all: [`+strings.Repeat("1,", 60)+`]}}`)
	rule := "  - {when: \"self.list('spec.all').exists(a, self.list('spec.all').exists(b, b > 1))\", health: Healthy}\n"
	if v := NewEvaluator(parse(t, "r", rulesFor(rule))).Explain(x); v.Health != v1alpha1.HealthHealthy {
		t.Errorf("one: %+v", v)
	}
	v := NewEvaluator(parse(t, "r", rulesFor(strings.Repeat(rule, 100)))).Explain(x)
	if v.Health != v1alpha1.HealthUnknown || !strings.Contains(v.Message, "too long") {
		t.Errorf("%+v", v)
	}
}

// TestErrorIsUnknown: a condition that can't be evaluated makes the object Unknown
// and says which, where and why; a message that can't leaves the health.
func TestErrorIsUnknown(t *testing.T) {
	x := object(t, `{apiVersion: example.com/v1, kind: X, metadata: {name: x}, spec: {num: 1}}`)
	for _, c := range []struct {
		rule, message string
		health        v1alpha1.Health
	}{
		{"  - {when: self.spec.none == 'a', health: Healthy}\n",
			"the rule at r:5 can't be evaluated: when (self.spec.none == 'a'): no such key: none", v1alpha1.HealthUnknown},
		{"  - {when: self.spec.num, health: Healthy}\n",
			"the rule at r:5 can't be evaluated: when (self.spec.num): it is neither true nor false", v1alpha1.HealthUnknown},
		{"  - {when: true, health: Suspended, message: self.spec.num}\n",
			"the message of the rule at r:5 can't be evaluated: it is not text", v1alpha1.HealthSuspended},
	} {
		v := NewEvaluator(parse(t, "r", rulesFor(c.rule))).Explain(x)
		if v.Health != c.health || v.Message != c.message || v.Rule != "r:5" {
			t.Errorf("%s: %+v, want %s %q", c.rule, v, c.health, c.message)
		}
	}
	// Not compiled before, as rules of an App are.
	rules, err := decode("r", []byte(rulesFor("  - {when: self.is(, health: Healthy}\n")))
	if err == nil {
		if v := NewEvaluator(rules).Explain(x); v.Health != v1alpha1.HealthUnknown || !strings.Contains(v.Message, "Syntax error") {
			t.Errorf("%+v", v)
		}
	}
}

// TestMessageFits: no message is longer than the bound, or cut inside a character.
func TestMessageFits(t *testing.T) {
	for _, cut := range []int{0, 1, 2, 3} {
		x := object(t, fmt.Sprintf(`{apiVersion: example.com/v1, kind: X, metadata: {name: x}, spec: {text: %q}}`, strings.Repeat("a", cut)+strings.Repeat("ä€", MaxMessage)))
		v, err := told(t, x, "self.text('spec.text')")
		if err != nil || len(v.Message) > MaxMessage || !strings.HasSuffix(v.Message, "…") || strings.ContainsRune(v.Message, '\uFFFD') {
			t.Errorf("%d bytes, %v: %q", len(v.Message), err, v.Message[max(0, len(v.Message)-12):])
		}
	}
}

// FuzzExplain: whatever an object is, the shipped rules come to a verdict.
func FuzzExplain(f *testing.F) {
	for _, all := range specimens(f) {
		for _, s := range all {
			j, err := s.object.MarshalJSON()
			if err != nil {
				f.Fatal(err)
			}
			f.Add(j)
		}
	}
	e := NewEvaluator(Shipped())
	f.Fuzz(func(t *testing.T, j []byte) {
		u := &unstructured.Unstructured{}
		if u.UnmarshalJSON(j) != nil {
			return
		}
		v := e.Explain(u)
		if (v.Health == v1alpha1.HealthHealthy) != (v.Message == "") || len(v.Message) > MaxMessage {
			t.Errorf("%+v", v)
		}
	})
}
