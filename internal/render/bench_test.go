package render_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/render/overlay"
	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/snapshot/memtree"
)

func benchmarkRender(b *testing.B, tree snapshot.Tree, path string) {
	b.Helper()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := render.Render(context.Background(), tree, render.Request{Path: path}); err != nil {
			b.Fatal(err)
		}
	}
}

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

func BenchmarkPlain1000Files(b *testing.B) {
	files := map[string]string{}
	for i := range 1000 {
		files[fmt.Sprintf("app/%04d.yaml", i)] = fmt.Sprintf(benchDeployment, fmt.Sprintf("web-%d", i))
	}
	benchmarkRender(b, memtree.FromText(files), "app")
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

func BenchmarkKustomize10Objects(b *testing.B) { benchmarkRender(b, kustomizeTen(), "overlay") }

func BenchmarkKustomizeParallel(b *testing.B) {
	tree := kustomizeTen()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := render.Render(context.Background(), tree, render.Request{Path: "overlay"}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkKustomizeAfterSchema pays for the built-in schema each time.
func BenchmarkKustomizeAfterSchema(b *testing.B) {
	tree := robotRepo()
	b.ReportAllocs()
	for b.Loop() {
		for _, p := range []string{"bad", "good"} {
			if _, err := render.Render(context.Background(), tree, render.Request{Path: p}); err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkTraceValid(b *testing.B) {
	tree := kustomizeTen()
	res, err := render.Render(context.Background(), tree, render.Request{Path: "overlay"})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if ok, err := res.Trace.Valid(tree); !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

// BenchmarkHelm is a chart as `helm create` leaves behind and teams extend: a
// dozen templates, helpers, some hundred lines of values.
func BenchmarkHelm(b *testing.B) {
	tree := typicalChart()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := render.Render(context.Background(), tree, render.Request{Path: "app"}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkJsonnet is an application of ten Deployments by way of a library.
func BenchmarkJsonnet(b *testing.B) {
	tree := memtree.FromText(map[string]string{
		"app/main.jsonnet":  "local web = import '../lib/web.libsonnet';\n{ ['web%d' % i]: web { name:: 'web-%d' % i, replicas:: i } for i in std.range(1, 10) }",
		"lib/web.libsonnet": "{\n  local app = self,\n  name:: error 'no name',\n  replicas:: 1,\n  apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: app.name, labels: { app: app.name } },\n  spec: { replicas: app.replicas, selector: { matchLabels: { app: app.name } }, template: { metadata: { labels: { app: app.name } }, spec: { containers: [{ name: 'web', image: 'nginx:1.27' }] } } },\n}",
	})
	benchmarkRender(b, tree, "app")
}

// BenchmarkModify patches a hundred Deployments, or puts values into them.
func BenchmarkModify(b *testing.B) {
	text := ""
	for i := range 100 {
		text += "---\n" + strings.Replace(fmt.Sprintf(benchDeployment, fmt.Sprintf("web-%d", i)), "replicas: 2", "replicas: ${N}", 1)
	}
	tree := memtree.FromText(map[string]string{"app/a.yaml": text})
	patch := overlay.Patch{Target: &overlay.Selector{Kind: "Deployment"}, Patch: "- {op: add, path: /spec/paused, value: true}"}
	for name, req := range map[string]render.Request{
		"nothing": {},
		"patch":   {Overlay: &overlay.Options{Patches: []overlay.Patch{patch}}},
		"images":  {Overlay: &overlay.Options{Images: []overlay.Image{{Name: "nginx", NewTag: "1.28"}}}},
		"values":  {Substitute: variables("N", "3")},
	} {
		req.Path = "app"
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := render.Render(context.Background(), tree, req); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func typicalChart() snapshot.Tree {
	files := map[string]string{
		"app/Chart.yaml": chartYAML,
		"app/templates/_helpers.tpl": "{{ define \"app.name\" }}{{ .Release.Name }}-{{ .Chart.Name }}{{ end }}\n" +
			"{{ define \"app.labels\" }}\napp: {{ include \"app.name\" . }}\nversion: {{ .Chart.Version | quote }}\n{{ end }}\n",
	}
	for i := range 12 {
		files["app/values.yaml"] += fmt.Sprintf("part%d:\n  enabled: true\n  replicas: 2\n  image: {repository: example/part, tag: v1}\n  resources:\n    limits: {cpu: 1, memory: 1Gi}\n  env: {A: b, C: d}\n", i)
		files[fmt.Sprintf("app/templates/part%d.yaml", i)] = strings.ReplaceAll(`{{- with .Values.partN }}
{{- if .enabled }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "app.name" $ }}-N
  labels: {{- include "app.labels" $ | nindent 4 }}
spec:
  replicas: {{ .replicas }}
  template:
    metadata:
      labels: {{- include "app.labels" $ | nindent 8 }}
    spec:
      containers:
      - name: part
        image: "{{ .image.repository }}:{{ .image.tag | default $.Chart.AppVersion }}"
        resources: {{- toYaml .resources | nindent 10 }}
        env:
        {{- range $k, $v := .env }}
        - {name: {{ $k }}, value: {{ $v | quote }}}
        {{- end }}
{{- end }}
{{- end }}
`, "N", fmt.Sprint(i))
	}
	return memtree.FromText(files)
}
