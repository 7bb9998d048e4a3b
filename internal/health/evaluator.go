package health

import (
	"fmt"
	"iter"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"abide.dev/abide/api/v1alpha1"
)

// beingDeleted is said of what is on its way out.
const beingDeleted = "it is being deleted"

// Evaluator tells healths by rules. It is safe for concurrent use.
type Evaluator struct {
	// byKind has the entries that name a kind, byPattern those for many groups
	// or all kinds of one, both in order.
	byKind    map[schema.GroupKind][]ordered
	byPattern []ordered
	next      *Evaluator // is asked where no rule holds; nil without
}

// ordered is an entry with its place among all.
type ordered struct {
	*entry
	place int
}

// NewEvaluator returns an evaluator. Rules that [Parse] returned compile; to make
// one costs a look at each entry.
func NewEvaluator(rules Rules) *Evaluator {
	e := &Evaluator{byKind: map[schema.GroupKind][]ordered{}}
	for i, entry := range rules.entries {
		o := ordered{entry, i}
		if strings.HasPrefix(entry.group, "*") || entry.kinds[0] == "*" {
			e.byPattern = append(e.byPattern, o)
			continue
		}
		for _, kind := range entry.kinds {
			gk := schema.GroupKind{Group: entry.group, Kind: kind}
			e.byKind[gk] = append(e.byKind[gk], o)
		}
	}
	return e
}

// Before returns an evaluator that asks the rules of e first and, where none of
// them holds, next.
func (e *Evaluator) Before(next *Evaluator) *Evaluator {
	both := *e
	if both.next = next; e.next != nil {
		both.next = e.next.Before(next)
	}
	return &both
}

// Of returns the health of a live object and, unless it is healthy, a message
// that says why.
func (e *Evaluator) Of(u *unstructured.Unstructured) (v1alpha1.Health, string) {
	v := e.Explain(u)
	return v.Health, v.Message
}

// Explain returns the health of a live object and which rule told it.
func (e *Evaluator) Explain(u *unstructured.Unstructured) Verdict {
	v, ok := e.byRule(u)
	if !ok {
		v.Health, v.Message = ofAny(u)
	}
	v.Message = bounded(v.Health, v.Message)
	return v
}

// byRule asks the rules; ok is false if none of them speaks.
func (e *Evaluator) byRule(u *unstructured.Unstructured) (v Verdict, ok bool) {
	gvk := u.GroupVersionKind()
	var s *subject
	for ; e != nil; e = e.next {
		for next := range e.entries(gvk) {
			if s == nil {
				if v, ok := early(u); ok {
					return v, true
				}
				s = subjectOf(self, u.Object)
			}
			for _, r := range next.rules {
				if v, ok := r.ask(s); ok {
					return v, true
				}
			}
		}
	}
	return Verdict{}, false
}

// entries are those for a kind, in their order.
func (e *Evaluator) entries(gvk schema.GroupVersionKind) iter.Seq[ordered] {
	return func(yield func(ordered) bool) {
		named, patterns := e.byKind[gvk.GroupKind()], e.byPattern
		for len(named)+len(patterns) > 0 {
			var next ordered
			if len(patterns) == 0 || len(named) > 0 && named[0].place < patterns[0].place {
				next, named = named[0], named[1:]
			} else {
				next, patterns = patterns[0], patterns[1:]
			}
			if next.matches(gvk) && !yield(next) {
				return
			}
		}
	}
}

// ask asks one rule; ok is false if its condition does not hold.
func (r *rule) ask(s *subject) (v Verdict, ok bool) {
	unknown := func(err error) (Verdict, bool) {
		said := strings.Join(strings.Fields(err.Error()), " ")
		return Verdict{v1alpha1.HealthUnknown, fmt.Sprintf("the rule at %s can't be evaluated: %s", r.at, said), r.at}, true
	}
	p, err := r.programs()
	if err != nil {
		return unknown(err)
	}
	holds, err := s.isTrue(p.when)
	if err != nil {
		return unknown(about("when", r.when, err))
	}
	if !holds {
		return v, false
	}
	v = Verdict{Health: r.health, Rule: r.at}
	if p.message == nil {
		return v, true
	}
	// How the object is doing is known, so a message that fails does not change it.
	if v.Message, err = s.text(p.message); err != nil {
		v.Message = fmt.Sprintf("the message of the rule at %s can't be evaluated: %v", r.at, err)
	}
	return v, true
}

// early is said before any rule is asked.
func early(u *unstructured.Unstructured) (Verdict, bool) {
	if deleting(u) {
		return Verdict{Health: v1alpha1.HealthProgressing, Message: beingDeleted}, true
	}
	status, _ := u.Object["status"].(map[string]any)
	seen, known := generation(status["observedGeneration"])
	if now, ok := generation(metadata(u)["generation"]); ok && known && seen != now {
		return Verdict{
			Health:  v1alpha1.HealthProgressing,
			Message: fmt.Sprintf("its status is about generation %d, and it is at %d", seen, now),
		}, true
	}
	return Verdict{}, false
}

// generation reads one. Argo Rollouts writes it as text.
func generation(v any) (int64, bool) {
	switch v := v.(type) {
	case int64:
		return v, true
	case string:
		n, err := strconv.ParseInt(v, 10, 64)
		return n, err == nil
	}
	return 0, false
}

func metadata(u *unstructured.Unstructured) map[string]any {
	m, _ := u.Object["metadata"].(map[string]any)
	return m
}

// deleting reads no time, unlike the object's own method.
func deleting(u *unstructured.Unstructured) bool {
	at, _ := metadata(u)["deletionTimestamp"].(string)
	return at != ""
}
