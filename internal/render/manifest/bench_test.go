package manifest

import (
	"fmt"
	"strings"
	"testing"

	"abide.dev/abide/internal/render/limit"
)

const benchManifest = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: web-%d
  labels:
    app.kubernetes.io/name: web
    app.kubernetes.io/part-of: "shop"
spec:
  replicas: 2
  selector:
    matchLabels:
      app.kubernetes.io/name: web
  template:
    metadata:
      labels:
        app.kubernetes.io/name: web
    spec:
      serviceAccountName: web
      containers:
      - name: web
        image: registry.example.org/web:1.0.0
        env:
        - name: A
          value: "1"
        - {name: B, value: b}
        ports:
        - name: http
          containerPort: 8080
        resources:
          requests: {cpu: 100m, memory: 64Mi}
          limits: {memory: 128Mi}
`

func benchmarkDecode(b *testing.B, text string, objects int) {
	b.Helper()
	content, lim := []byte(text), limit.Default()
	b.SetBytes(int64(len(content)))
	b.ReportAllocs()
	for b.Loop() {
		got, _, err := Decode("f.yaml", content, lim)
		if err != nil || len(got) != objects {
			b.Fatal(len(got), err)
		}
	}
}

func BenchmarkDecode(b *testing.B) {
	one := fmt.Sprintf(benchManifest, 0)
	var many, list strings.Builder
	list.WriteString("apiVersion: v1\nkind: List\nitems:\n")
	for i := range 100 {
		text := fmt.Sprintf(benchManifest, i)
		fmt.Fprintf(&many, "---\n%s", text)
		list.WriteString("- " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n  ") + "\n")
	}
	b.Run("one", func(b *testing.B) { benchmarkDecode(b, one, 1) })
	b.Run("stream-of-100", func(b *testing.B) { benchmarkDecode(b, many.String(), 100) })
	b.Run("list-of-100", func(b *testing.B) { benchmarkDecode(b, list.String(), 100) })
	b.Run("aliases", func(b *testing.B) { benchmarkDecode(b, one+"x-base: &a {b: 1}\nx-use: {<<: *a}\n", 1) })
}
