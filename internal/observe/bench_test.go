package observe

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"abide.dev/abide/internal/cluster"
	"abide.dev/abide/internal/object"
)

// liveDeployment is what a watch brings of a Deployment that abide applied, the
// defaults of the server left out.
const liveDeployment = `{
"apiVersion": "apps/v1", "kind": "Deployment",
"metadata": {"name": "web", "namespace": "shop", "uid": "u", "resourceVersion": "10", "generation": 3, "creationTimestamp": "2026-01-02T03:04:05Z",
  "managedFields": [
    {"manager": "abide", "operation": "Apply", "apiVersion": "apps/v1", "fieldsType": "FieldsV1", "fieldsV1": {
      "f:metadata": {"f:annotations": {"f:abide.dev/app": {}}, "f:labels": {"f:abide.dev/app": {}, "f:app": {}}},
      "f:spec": {"f:replicas": {}, "f:selector": {}, "f:template": {"f:metadata": {"f:labels": {"f:app": {}}}, "f:spec": {"f:serviceAccountName": {}, "f:containers": {
        "k:{\"name\":\"web\"}": {".": {}, "f:image": {}, "f:name": {}, "f:env": {
          "k:{\"name\":\"A\"}": {".": {}, "f:name": {}, "f:value": {}}, "k:{\"name\":\"B\"}": {".": {}, "f:name": {}, "f:value": {}}},
          "f:ports": {"k:{\"containerPort\":8080,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}, "f:name": {}}},
          "f:resources": {"f:limits": {"f:cpu": {}, "f:memory": {}}, "f:requests": {"f:cpu": {}, "f:memory": {}}}}}}}}}},
    {"manager": "kube-controller-manager", "operation": "Update", "apiVersion": "apps/v1", "time": "2026-01-02T03:04:06Z", "fieldsType": "FieldsV1", "subresource": "status", "fieldsV1": {
      "f:metadata": {"f:annotations": {".": {}, "f:deployment.kubernetes.io/revision": {}}},
      "f:status": {"f:availableReplicas": {}, "f:conditions": {".": {}, "k:{\"type\":\"Available\"}": {".": {}, "f:status": {}, "f:type": {}}}, "f:observedGeneration": {}, "f:readyReplicas": {}, "f:replicas": {}, "f:updatedReplicas": {}}}}
  ]},
"spec": {"replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"serviceAccountName": "web", "containers": [
  {"name": "web", "image": "registry.example.org/web:1.0.0", "env": [{"name": "A", "value": "a"}, {"name": "B", "value": "b"}],
   "ports": [{"containerPort": 8080, "name": "http", "protocol": "TCP"}],
   "resources": {"limits": {"cpu": "200m", "memory": "128Mi"}, "requests": {"cpu": "100m", "memory": "64Mi"}}}]}}},
"status": {"availableReplicas": 2, "observedGeneration": 3, "readyReplicas": 2, "replicas": 2, "updatedReplicas": 2,
  "conditions": [{"type": "Available", "status": "True"}, {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}]}}`

// BenchmarkNoDrift takes events that change nothing that abide owns: what each
// status update in a cluster costs.
func BenchmarkNoDrift(b *testing.B) {
	var u unstructured.Unstructured
	if err := json.Unmarshal([]byte(liveDeployment), &u.Object); err != nil {
		b.Fatal(err)
	}
	labels := u.GetLabels()
	object.Mark(&u, web)
	if len(u.GetLabels()) == len(labels) {
		b.Fatal("the object has no mark")
	}
	deployment := cluster.Kind{GroupVersionKind: schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}, Resource: "deployments", Namespaced: true}
	told := 0
	tr := New(nil, func(object.App) { told++ }, slog.New(slog.DiscardHandler))
	tr.Use(web, []cluster.Kind{deployment})
	w := tr.watches[deployment.GroupVersionKind]
	if err := w.Replace(nil, "1"); err != nil {
		b.Fatal(err)
	}
	tr.Applied(&u)
	told = 0
	meta := u.Object["metadata"].(map[string]any)
	n := 10
	b.ReportAllocs()
	for b.Loop() {
		n++
		meta["resourceVersion"] = fmt.Sprint(n)
		if err := w.Update(&u); err != nil {
			b.Fatal(err)
		}
	}
	if told > 0 {
		b.Fatalf("an App was told %d times", told)
	}
}
