// Package health says how a live object is doing, by the rules of kstatus
// (the status library of the Kubernetes SIG CLI): a pure function of the
// object.
package health

import (
	"fmt"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"abide.dev/abide/api/v1alpha1"
)

// Of returns the health of a live object and, unless it is healthy, a message
// that says why.
func Of(u *unstructured.Unstructured) (v1alpha1.Health, string) {
	res, err := status.Compute(u)
	if err != nil {
		return v1alpha1.HealthUnknown, fmt.Sprintf("its status can't be read: %v", err)
	}
	switch res.Status {
	case status.CurrentStatus:
		return v1alpha1.HealthHealthy, ""
	case status.InProgressStatus:
		return v1alpha1.HealthProgressing, res.Message
	case status.TerminatingStatus:
		return v1alpha1.HealthProgressing, "it is being deleted"
	case status.FailedStatus:
		return v1alpha1.HealthDegraded, res.Message
	}
	return v1alpha1.HealthUnknown, res.Message
}

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
