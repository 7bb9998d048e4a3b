// Package health says how a live object is doing: Healthy, Progressing,
// Degraded, Suspended or Unknown, and why. It is a function of the object and of
// [Rules].
//
// An object is asked, in this order:
//
//  1. Is it being deleted? Then it is Progressing.
//  2. If there are rules for its kind: is its status about an older generation?
//     Then it is Progressing. Else the rules are tried in their order, and the
//     first whose condition holds decides.
//  3. An App of abide has a rule of its own, written in Go.
//  4. All else is told by kstatus, the status library of the Kubernetes SIG CLI.
//
// Rules are YAML with expressions in CEL; [Parse] says how they are written.
// Those for the kinds people run are shipped in the folder rules, a file per
// project, and in force where [Of] is called. [OfHealthRule] and [OfApp] read those
// of the API. [Rules.Before] puts rules of somebody's own in front of them,
// [NewEvaluator] makes them answer, and [Evaluator.Before] puts one set of answers in
// front of another.
//
// Of an object nothing is taken for granted: its status is what some controller
// wrote. Each evaluation is bounded in cost, whatever the object and the rule
// are, and one that ends in an error makes the object Unknown, with the place of
// the rule and the error as its message. Messages have at most [MaxMessage]
// bytes. An object that is Healthy has no message, all others have one.
//
// Expressions are compiled when the first object needs them and then kept; what
// nobody uses costs nothing, and a kind without rules costs a look into a map.
// The package keeps nothing of an object, changes none, and reaches nothing.
package health

import (
	"strings"
	"sync"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"abide.dev/abide/api/v1alpha1"
)

// MaxMessage is how long a message may be, in bytes.
const MaxMessage = 1024

// Verdict is what is said of an object.
type Verdict struct {
	Health v1alpha1.Health
	// Message says why it is not healthy; empty if it is.
	Message string
	// Rule is the place of the rule that decided, as file:line; empty if none
	// did.
	Rule string
}

// Of returns the health of a live object by the rules that are shipped and,
// unless it is healthy, a message that says why.
func Of(u *unstructured.Unstructured) (v1alpha1.Health, string) { return byDefault().Of(u) }

var byDefault = sync.OnceValue(func() *Evaluator { return NewEvaluator(Shipped()) })

// rank orders the healths by how much they need a look.
var rank = map[v1alpha1.Health]int{
	v1alpha1.HealthHealthy:     0,
	v1alpha1.HealthSuspended:   1,
	v1alpha1.HealthProgressing: 2,
	v1alpha1.HealthUnknown:     3,
	v1alpha1.HealthDegraded:    4,
}

// Worse returns the one of two healths that needs a look more.
func Worse(a, b v1alpha1.Health) v1alpha1.Health {
	if rank[b] > rank[a] {
		return b
	}
	return a
}

// silent is what is said of an object about which its controller says nothing.
var silent = map[v1alpha1.Health]string{
	v1alpha1.HealthSuspended:   "it is suspended",
	v1alpha1.HealthProgressing: "it is not ready yet",
	v1alpha1.HealthUnknown:     "it does not say how it is",
	v1alpha1.HealthDegraded:    "it says that it failed, and not why",
}

// bounded makes a message fit.
func bounded(h v1alpha1.Health, message string) string {
	message = strings.TrimSpace(message)
	switch {
	case h == v1alpha1.HealthHealthy:
		return ""
	case message == "":
		return silent[h]
	case len(message) <= MaxMessage:
		return message
	}
	const more = "…"
	end := MaxMessage - len(more)
	for end > 0 && !utf8.RuneStart(message[end]) {
		end--
	}
	return message[:end] + more
}
