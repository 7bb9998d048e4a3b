package plan

import (
	"fmt"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// BenchmarkDiff compares two forms of a workload of ten containers that differ
// in one image.
func BenchmarkDiff(b *testing.B) {
	workload := func(image string) *unstructured.Unstructured {
		var containers []any
		for i := range 10 {
			containers = append(containers, map[string]any{
				"name": fmt.Sprintf("c%d", i), "image": "registry.example.org/web:1", "ports": []any{map[string]any{"name": "http", "containerPort": int64(8080)}},
				"env": []any{map[string]any{"name": "A", "value": "a"}, map[string]any{"name": "B", "value": "b"}},
			})
		}
		containers[7].(map[string]any)["image"] = image
		return &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "web", "namespace": "shop"},
			"spec": map[string]any{"template": map[string]any{"spec": map[string]any{"containers": containers}}},
		}}
	}
	before, after, r := workload("registry.example.org/web:1"), workload("registry.example.org/web:2"), NewRedactor([]byte("key"))
	b.ReportAllocs()
	for b.Loop() {
		if got := Diff(before, after, r); len(got) != 1 {
			b.Fatal(got)
		}
	}
}
