package worker

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/snapshot/memtree"
	"abide.dev/abide/internal/worker/wire"
)

const benchDeployment = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: %s
  labels: {app: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: nginx:1.27
        ports: [{containerPort: 80}]
        resources: {limits: {cpu: 100m, memory: 64Mi}}
`

func plainFiles(n int) snapshot.Tree {
	files := map[string]string{}
	for i := range n {
		files[fmt.Sprintf("app/%04d.yaml", i)] = fmt.Sprintf(benchDeployment, fmt.Sprintf("web-%d", i))
	}
	return memtree.FromText(files)
}

func kustomizeTen() snapshot.Tree {
	files := map[string]string{
		"base/kustomization.yaml":    "resources: [all.yaml]\n",
		"overlay/kustomization.yaml": "resources: [../base]\nnamespace: shop\nnamePrefix: p-\nimages: [{name: nginx, newTag: '1.28'}]\npatches:\n- target: {kind: Deployment}\n  patch: |-\n    - {op: replace, path: /spec/replicas, value: 3}\n",
	}
	for i := range 10 {
		files["base/all.yaml"] += "---\n" + fmt.Sprintf(benchDeployment, fmt.Sprintf("web-%d", i))
	}
	return memtree.FromText(files)
}

// BenchmarkRender compares a render here with one in a worker.
func BenchmarkRender(b *testing.B) {
	for _, c := range []struct {
		name, path string
		tree       snapshot.Tree
	}{
		{"Plain1", "app", plainFiles(1)},
		{"Plain1000", "app", plainFiles(1000)},
		{"Kustomize10", "overlay", kustomizeTen()},
	} {
		b.Run(c.name+"/here", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := render.Render(b.Context(), c.tree, render.Request{Path: c.path}); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(c.name+"/worker", func(b *testing.B) {
			p := newPool(b, Options{})
			b.ReportAllocs()
			for b.Loop() {
				if _, err := p.Render(b.Context(), "t", c.tree, render.Request{Path: c.path}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkStart is a process start, and a render: what a tenant costs that had
// no worker. It reports the processor time of the worker itself as well, and how
// much memory of its own it has after that.
func BenchmarkStart(b *testing.B) {
	for _, c := range []struct {
		name, path string
		tree       snapshot.Tree
	}{{"Plain1", "app", plainFiles(1)}, {"Kustomize10", "overlay", kustomizeTen()}} {
		b.Run(c.name, func(b *testing.B) {
			p := newPool(b, Options{})
			var used time.Duration
			var size int64
			n := 0
			for b.Loop() {
				n++
				if _, err := p.Render(b.Context(), strconv.Itoa(n), c.tree, render.Request{Path: c.path}); err != nil {
					b.Fatal(err)
				}
				for _, w := range p.idle { // there is no other render
					bytes, _ := anonymous(w.cmd.Process.Pid)
					size += bytes
					w.close()
					used += w.cmd.ProcessState.UserTime() + w.cmd.ProcessState.SystemTime()
				}
				p.idle = nil
			}
			b.ReportMetric(float64(used.Milliseconds())/float64(n), "worker-ms/op")
			b.ReportMetric(float64(size>>10)/float64(n), "worker-KiB")
		})
	}
}

// BenchmarkResult is 1,000 objects on their way.
func BenchmarkResult(b *testing.B) {
	res, err := render.Render(b.Context(), plainFiles(1000), render.Request{Path: "app"})
	if err != nil {
		b.Fatal(err)
	}
	d := done{Result: res}
	bytes, err := frame(typeDone, d, fromChild)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := frame(typeDone, d, fromChild); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var out done
			if err := wire.Decode(bytes[headSize:], &out, decodeLimits[typeDone]); err != nil {
				b.Fatal(err)
			}
		}
	})
}
