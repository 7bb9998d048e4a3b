package health

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"abide.dev/abide/api/v1alpha1"
)

func object(t testing.TB, manifest string) *unstructured.Unstructured {
	t.Helper()
	j, err := yaml.YAMLToJSON([]byte(manifest))
	if err != nil {
		t.Fatal(err)
	}
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(j); err != nil {
		t.Fatal(err)
	}
	return u
}

func TestOf(t *testing.T) {
	tests := map[string]struct {
		object string
		want   v1alpha1.Health
	}{
		"no status to speak of": {`{apiVersion: v1, kind: ConfigMap, metadata: {name: c}}`, v1alpha1.HealthHealthy},
		"being deleted":         {`{apiVersion: v1, kind: ConfigMap, metadata: {name: c, deletionTimestamp: "2026-01-01T00:00:00Z"}}`, v1alpha1.HealthProgressing},
		"a new Deployment":      {`{apiVersion: apps/v1, kind: Deployment, metadata: {name: c, generation: 1}, spec: {replicas: 1}}`, v1alpha1.HealthProgressing},
		"a Deployment that runs": {`{apiVersion: apps/v1, kind: Deployment, metadata: {name: c, generation: 1}, spec: {replicas: 1},
			status: {observedGeneration: 1, replicas: 1, updatedReplicas: 1, readyReplicas: 1, availableReplicas: 1, conditions: [{type: Available, status: "True"}]}}`, v1alpha1.HealthHealthy},
		"a Deployment out of time": {`{apiVersion: apps/v1, kind: Deployment, metadata: {name: c, generation: 1}, spec: {replicas: 1},
			status: {observedGeneration: 1, conditions: [{type: Progressing, status: "False", reason: ProgressDeadlineExceeded}]}}`, v1alpha1.HealthDegraded},
		"a CronJob that is suspended": {`{apiVersion: batch/v1, kind: CronJob, metadata: {name: c}, spec: {suspend: true}}`, v1alpha1.HealthSuspended},
		"a CronJob that is not":       {`{apiVersion: batch/v1, kind: CronJob, metadata: {name: c}, spec: {suspend: false}}`, v1alpha1.HealthHealthy},
		"another kind that suspends":  {`{apiVersion: example.com/v1, kind: CronJob, metadata: {name: c}, spec: {suspend: true}}`, v1alpha1.HealthHealthy},
		"an App that is ready":        {`{apiVersion: abide.dev/v1alpha1, kind: App, metadata: {name: c, generation: 2}, status: {observedGeneration: 2, state: InSync, conditions: [{type: Synced, status: "True"}, {type: Ready, status: "True", message: m}]}}`, v1alpha1.HealthHealthy},
		"an App on its way":           {`{apiVersion: abide.dev/v1alpha1, kind: App, metadata: {name: c, generation: 2}, status: {observedGeneration: 2, state: InSync, health: Progressing, conditions: [{type: Synced, status: "True"}, {type: Ready, status: "False", message: m}]}}`, v1alpha1.HealthProgressing},
		"an App that fails":           {`{apiVersion: abide.dev/v1alpha1, kind: App, metadata: {name: c, generation: 2}, status: {observedGeneration: 2, state: Failed, conditions: [{type: Synced, status: "True"}, {type: Ready, status: "False", message: m}]}}`, v1alpha1.HealthDegraded},
		"an App that is sick":         {`{apiVersion: abide.dev/v1alpha1, kind: App, metadata: {name: c, generation: 2}, status: {observedGeneration: 2, state: InSync, health: Degraded, conditions: [{type: Synced, status: "True"}, {type: Ready, status: "False", message: m}]}}`, v1alpha1.HealthDegraded},
		"an App not looked at":        {`{apiVersion: abide.dev/v1alpha1, kind: App, metadata: {name: c, generation: 2}, status: {observedGeneration: 1, state: InSync, conditions: [{type: Synced, status: "True"}, {type: Ready, status: "True", message: m}]}}`, v1alpha1.HealthProgressing},
		"an App without a state":      {`{apiVersion: abide.dev/v1alpha1, kind: App, metadata: {name: c, generation: 2}, status: {observedGeneration: 2, conditions: [{type: Synced, status: "True"}, {type: Ready, status: "True", message: m}]}}`, v1alpha1.HealthProgressing},
		"a new App":                   {`{apiVersion: abide.dev/v1alpha1, kind: App, metadata: {name: c, generation: 1}}`, v1alpha1.HealthProgressing},
		"an App that goes":            {`{apiVersion: abide.dev/v1alpha1, kind: App, metadata: {name: c, generation: 2, deletionTimestamp: "2026-01-01T00:00:00Z"}, status: {observedGeneration: 2, state: InSync, conditions: [{type: Synced, status: "True"}, {type: Ready, status: "True", message: m}]}}`, v1alpha1.HealthProgressing},
		"a status of no shape":        {`{apiVersion: v1, kind: Pod, metadata: {name: c}, status: {phase: Running, containerStatuses: [1]}}`, v1alpha1.HealthUnknown},
		"a status that is wrong":      {`{apiVersion: example.com/v1, kind: X, metadata: {name: c}, status: {conditions: 7}}`, v1alpha1.HealthUnknown},
	}
	for name, tc := range tests {
		got, why := Of(object(t, tc.object))
		if got != tc.want {
			t.Errorf("%s: %s (%s), want %s", name, got, why, tc.want)
		}
		if (why == "") != (got == v1alpha1.HealthHealthy) {
			t.Errorf("%s: %s, because %q", name, got, why)
		}
	}
}

func TestWorse(t *testing.T) {
	order := []v1alpha1.Health{v1alpha1.HealthHealthy, v1alpha1.HealthSuspended, v1alpha1.HealthProgressing, v1alpha1.HealthUnknown, v1alpha1.HealthDegraded}
	for i, a := range order {
		for j, b := range order {
			if got := Worse(a, b); got != order[max(i, j)] {
				t.Errorf("%s of %s and %s", got, a, b)
			}
		}
	}
}

// FuzzOf: the status of an object is whatever its controller wrote.
func FuzzOf(f *testing.F) {
	f.Add([]byte(`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"c"},"spec":{"replicas":"x"},"status":{"conditions":[{"type":1},2,null]}}`))
	f.Add([]byte(`{"apiVersion":"batch/v1","kind":"Job","metadata":{"generation":"x"},"status":{"conditions":{"a":1}}}`))
	f.Add([]byte(`{"apiVersion":"v1","kind":"Pod","status":{"containerStatuses":[1,{"state":7}],"phase":"Running"}}`))
	f.Add([]byte(`{"apiVersion":"v1","kind":"Service","spec":{"type":"LoadBalancer"},"status":[]}`))
	f.Add([]byte(`{"apiVersion":"abide.dev/v1alpha1","kind":"App","metadata":{"generation":1},"status":{"observedGeneration":1,"state":"x","conditions":[7,{"type":"Ready"}]}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		u := &unstructured.Unstructured{}
		if u.UnmarshalJSON(b) != nil {
			return
		}
		if h, _ := Of(u); h == "" {
			t.Error("no health")
		}
	})
}
