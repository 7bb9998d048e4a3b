package health

import (
	"fmt"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"abide.dev/abide/api/v1alpha1"
)

// ofAny tells how an object is doing for which no rule spoke.
func ofAny(u *unstructured.Unstructured) (v1alpha1.Health, string) {
	if gvk := u.GroupVersionKind(); gvk.Group == v1alpha1.Group && gvk.Kind == "App" {
		return ofApp(u)
	}
	res, err := compute(u)
	if err != nil {
		return v1alpha1.HealthUnknown, fmt.Sprintf("its status can't be read: %v", err)
	}
	switch res.Status {
	case status.CurrentStatus:
		return v1alpha1.HealthHealthy, ""
	case status.InProgressStatus:
		return v1alpha1.HealthProgressing, res.Message
	case status.TerminatingStatus:
		return v1alpha1.HealthProgressing, beingDeleted
	case status.FailedStatus:
		return v1alpha1.HealthDegraded, res.Message
	}
	return v1alpha1.HealthUnknown, res.Message
}

// compute asks the library. The library takes the shape of some statuses for
// granted, and panics where a controller wrote another: one such object must
// not end the watch of all.
func compute(u *unstructured.Unstructured) (res *status.Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			res, err = nil, fmt.Errorf("it is not what its kind should have: %v", p)
		}
	}()
	return status.Compute(u)
}

// ofApp tells how an App is doing. To kstatus an App that has no status yet
// would be healthy, and one that fails would be on its way.
func ofApp(u *unstructured.Unstructured) (v1alpha1.Health, string) {
	if deleting(u) {
		return v1alpha1.HealthProgressing, beingDeleted
	}
	text := func(fields ...string) string {
		s, _, _ := unstructured.NestedString(u.Object, append([]string{"status"}, fields...)...)
		return s
	}
	seen, _, _ := unstructured.NestedInt64(u.Object, "status", "observedGeneration")
	if seen != u.GetGeneration() || text("state") == "" {
		return v1alpha1.HealthProgressing, "abide has not looked at it yet"
	}
	conditions, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	for _, raw := range conditions {
		c, _ := raw.(map[string]any)
		if c["type"] != v1alpha1.ConditionReady {
			continue
		}
		if c["status"] == "True" {
			return v1alpha1.HealthHealthy, ""
		}
		message, _ := c["message"].(string)
		if text("state") == string(v1alpha1.StateFailed) || text("health") == string(v1alpha1.HealthDegraded) {
			return v1alpha1.HealthDegraded, message
		}
		return v1alpha1.HealthProgressing, message
	}
	return v1alpha1.HealthProgressing, "it is not ready yet"
}
