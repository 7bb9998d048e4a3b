package render_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/render/overlay"
	"abide.dev/abide/internal/snapshot/memtree"
)

// patched are the objects of a small application, with references between them
// and values that are easily taken for something else.
const patched = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {tier: front}, annotations: {"on": "yes"}}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      serviceAccountName: runner
      volumes: [{name: c, configMap: {name: conf}}, {name: s, secret: {secretName: cred}}]
      containers:
      - {name: web, image: "example.org/web:1", env: [{name: A, value: "012"}, {name: E, value: 1e3x}], resources: {limits: {cpu: 0.5}}}
      - {name: side, image: registry.example:5000/side}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: runner}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {ports: [{port: 80, targetPort: http}], selector: {app: web}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: conf}
data: {"yes": "on", octal: "0o17", number: "1e3", "null": "~", lines: "a\nb\n"}
---
apiVersion: v1
kind: Secret
metadata: {name: cred}
stringData: {a: b}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec: {maxReplicas: 3, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}
---
apiVersion: example.com/v1
kind: Thing
metadata: {name: thing}
spec: {image: "example.org/web:1", items: [{name: a, count: 1}, {name: b, count: 2.50}], huge: 12345678901234567890}
`

// TestOverlayMatchesCommand compares each field of spec.render with what the
// kustomize command makes of a kustomization with the same field.
func TestOverlayMatchesCommand(t *testing.T) {
	bin := kustomizeCommand(t)
	for name, row := range map[string]struct{ options, kustomization string }{
		"images":              {"images: [{name: example.org/web, newTag: '2'}, {name: registry.example:5000/side, newName: mirror/side, digest: 'sha256:00'}]", ""},
		"replicas":            {"replicas: [{name: web, count: 5}]", ""},
		"names":               {"namePrefix: eu-\nnameSuffix: -v2", ""},
		"labels":              {"labels: {team: shop, 'on': 'yes'}", "labels: [{pairs: {team: shop, 'on': 'yes'}}]"},
		"labels in templates": {"labels: {team: shop}\nlabelOptions: {includeTemplates: true}", "labels: [{pairs: {team: shop}, includeTemplates: true}]"},
		"labels in selectors": {"labels: {team: shop}\nlabelOptions: {includeSelectors: true}", "labels: [{pairs: {team: shop}, includeSelectors: true}]"},
		"annotations":         {"annotations: {a: '1', b: 'x: y'}", "commonAnnotations: {a: '1', b: 'x: y'}"},
		"a merge of lists":    {"patches:\n- patch: '{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {template: {spec: {containers: [{name: web, env: [{name: M, value: m}, {name: E, $patch: delete}]}]}}}}'", ""},
		"a custom resource":   {"patches:\n- target: {kind: Thing}\n  patch: '{apiVersion: example.com/v1, kind: Thing, metadata: {name: thing}, spec: {items: [{name: c}], image: null}}'", ""},
		"operations":          {"patches:\n- target: {kind: Deployment|Thing, name: w.*}\n  patch: |-\n    - {op: test, path: /spec/replicas, value: 1}\n    - {op: remove, path: /metadata/annotations}\n    - {op: add, path: /spec/template/spec/containers/-, value: {name: third}}", ""},
		"deleted":             {"patches:\n- patch: '{apiVersion: v1, kind: Secret, metadata: {name: cred}, $patch: delete}'\n- patch: '{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {template: {spec: {$patch: replace, containers: []}}}}'", ""},
		"by labels":           {"patches:\n- target: {labelSelector: tier=front}\n  patch: '[{\"op\": \"add\", \"path\": \"/x\", \"value\": 1.0}]'", ""},
		"everything": {
			"namePrefix: a-\nlabels: {l: m}\nannotations: {note: o}\nreplicas: [{name: web, count: 0}]\nimages: [{name: example.org/web, newTag: x}]\npatches: [{target: {kind: Deployment}, patch: '[{\"op\": \"add\", \"path\": \"/spec/paused\", \"value\": true}]'}]",
			"namePrefix: a-\nlabels: [{pairs: {l: m}}]\ncommonAnnotations: {note: o}\nreplicas: [{name: web, count: 0}]\nimages: [{name: example.org/web, newTag: x}]\npatches: [{target: {kind: Deployment}, patch: '[{\"op\": \"add\", \"path\": \"/spec/paused\", \"value\": true}]'}]",
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := row.kustomization
			if k == "" {
				k = row.options
			}
			dir := t.TempDir()
			for file, text := range map[string]string{"r.yaml": patched, "kustomization.yaml": "resources: [r.yaml]\nsortOptions: {order: fifo}\n" + k} {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, failed := runKustomize(t, bin, dir, ".")
			if failed != "" {
				t.Fatal(failed)
			}
			var o overlay.Options
			if err := yaml.UnmarshalStrict([]byte(row.options), &o); err != nil {
				t.Fatal(err)
			}
			tree, req := memtree.FromText(map[string]string{"r.yaml": patched}), render.Request{Path: ".", Overlay: &o}
			res, err := render.Render(context.Background(), tree, req)
			alike(t, tree, req, res, err)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(normal(t, string(want)), normal(t, printed(t, res))); d != "" {
				t.Errorf("not what the command prints (-command +abide):\n%s", d)
			}
		})
	}
}

// normal is a stream with its keys sorted and its values as kubectl reads them.
func normal(t *testing.T, stream string) []map[string]any {
	t.Helper()
	var out []map[string]any
	for doc := range strings.SplitSeq(stream, "\n---\n") {
		var m map[string]any
		if err := yaml.Unmarshal([]byte(doc), &m); err != nil {
			t.Fatal(err)
		}
		out = append(out, m)
	}
	return out
}
