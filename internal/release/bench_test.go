package release

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"abide.dev/abide/internal/object"
)

// BenchmarkPack is what it takes to keep an App of a thousand objects anew.
func BenchmarkPack(b *testing.B) {
	var objects []*unstructured.Unstructured
	for i := range 1000 {
		objects = append(objects, typical(i, 1))
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := pack(object.App{Namespace: "a", Name: "b"}, objects, nil); err != nil {
			b.Fatal(err)
		}
	}
}
