package health

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"abide.dev/abide/api/v1alpha1"
)

// An App is an object of the App that made it, and that one is healthy only when
// the Apps that it made are.
func TestApp(t *testing.T) {
	ready := func(status, message string) map[string]any {
		return map[string]any{"type": "Ready", "status": status, "message": message}
	}
	for _, c := range []struct {
		name    string
		status  map[string]any
		want    v1alpha1.Health
		message string
	}{
		{"nobody has looked at it", nil, v1alpha1.HealthProgressing, "not looked at it"},
		{"the status is about an older spec",
			map[string]any{"observedGeneration": int64(1), "state": "InSync", "conditions": []any{ready("True", "")}},
			v1alpha1.HealthProgressing, "not looked at it"},
		{"it is ready",
			map[string]any{"observedGeneration": int64(2), "state": "InSync", "health": "Healthy", "conditions": []any{ready("True", "all well")}},
			v1alpha1.HealthHealthy, ""},
		{"it waits for somebody",
			map[string]any{"observedGeneration": int64(2), "state": "Waiting", "health": "Healthy", "conditions": []any{ready("False", "approve it")}},
			v1alpha1.HealthProgressing, "approve it"},
		{"it fails",
			map[string]any{"observedGeneration": int64(2), "state": "Failed", "health": "Healthy", "conditions": []any{ready("False", "no such path")}},
			v1alpha1.HealthDegraded, "no such path"},
		{"one of its objects is broken",
			map[string]any{"observedGeneration": int64(2), "state": "InSync", "health": "Degraded", "conditions": []any{ready("False", "it crashes")}},
			v1alpha1.HealthDegraded, "it crashes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			u := &unstructured.Unstructured{Object: map[string]any{
				"apiVersion": "abide.dev/v1alpha1", "kind": "App",
				"metadata": map[string]any{"name": "app", "generation": int64(2)},
			}}
			if c.status != nil {
				u.Object["status"] = c.status
			}
			got, message := Of(u)
			if got != c.want || !strings.Contains(message, c.message) {
				t.Errorf("it is %s (%q), want %s (%q)", got, message, c.want, c.message)
			}
		})
	}
}
