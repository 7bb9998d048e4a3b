package plan

import (
	"fmt"
	"strings"

	"abide.dev/abide/internal/object"
)

// Budget is how much a plan may delete without an approval: it has a gate when
// it deletes more than MaxObjects and more than MaxPercent of what is owned.
type Budget struct {
	MaxObjects, MaxPercent int
}

// Gate is why a plan waits for an approval.
type Gate struct {
	// Reason is one word: ProtectedKinds, DeletionBudget or TrackedByOthers.
	Reason string
	// Message says what would be done, and to what.
	Message string
}

// The reasons of gates.
const (
	GateProtected = "ProtectedKinds"
	GateBudget    = "DeletionBudget"
	GateTracked   = "TrackedByOthers"
)

// Gates returns why the plan has to wait; none means that it may go on. With
// userDeletes, a person has deleted the App, and so approved the deletion of
// what it owns, all but the protected kinds.
func (p *Plan) Gates(b Budget, userDeletes bool) []Gate {
	var gates []Gate
	deletes := p.Select(Delete)
	var prot []*Step
	for _, s := range deletes {
		if object.Protected(s.Key.GroupKind()) {
			prot = append(prot, s)
		}
	}
	if len(prot) > 0 {
		gates = append(gates, Gate{GateProtected, fmt.Sprintf("it would delete %s", names(prot))})
	}
	if n := len(deletes); !userDeletes && n > b.MaxObjects && n*100 > b.MaxPercent*p.Owned {
		gates = append(gates, Gate{GateBudget, fmt.Sprintf("it would delete %d of %d objects (%s), and the budget is %d objects or %d %%",
			n, p.Owned, names(deletes), b.MaxObjects, b.MaxPercent)})
	}
	if conv := p.Select(Convert); len(conv) > 0 {
		msg := fmt.Sprintf("it would take over %s (%s)", names(conv), conv[0].Why)
		gates = append(gates, Gate{GateTracked, msg})
	}
	return gates
}

// names lists the first few objects of steps for people.
func names(steps []*Step) string {
	const most = 3
	var b strings.Builder
	for i, s := range steps {
		if i == most {
			fmt.Fprintf(&b, " and %d more", len(steps)-most)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(s.Key.String())
	}
	return b.String()
}
