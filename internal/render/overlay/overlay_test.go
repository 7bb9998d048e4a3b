package overlay_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/render/limit"
	"abide.dev/abide/internal/render/manifest"
	"abide.dev/abide/internal/render/overlay"
)

const shop = `
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop, labels: {tier: front}}
spec: {selector: {app: web}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop, labels: {tier: front}}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: "example.org/web:1", env: [{name: A, value: "1"}], envFrom: [{configMapRef: {name: conf}}]}
      - {name: side, image: "example.org/side:1"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: conf, namespace: shop}
data: {"yes": "on", octal: "0o17", number: "1e3", text: "a\u0085b\u007f\u2028", "null": "~"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: api, namespace: shop}
spec: {replicas: 2, selector: {matchLabels: {app: api}}, template: {metadata: {labels: {app: api}}, spec: {containers: [{name: api, image: "example.org/api@sha256:0000000000000000000000000000000000000000000000000000000000000000"}]}}}
`

func decode(t testing.TB, text string) []manifest.Object {
	t.Helper()
	objects, _, err := manifest.Decode("app/all.yaml", []byte(text), limit.Default())
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

func options(t testing.TB, text string) *overlay.Options {
	t.Helper()
	o := &overlay.Options{}
	if err := yaml.UnmarshalStrict([]byte(text), o); err != nil {
		t.Fatal(err)
	}
	return o
}

func apply(t testing.TB, objects []manifest.Object, o *overlay.Options) []manifest.Object {
	t.Helper()
	out, err := overlay.Apply(context.Background(), objects, o, limit.Default())
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Warnings) > 0 {
		t.Errorf("warnings: %q", out.Warnings)
	}
	for n, from := range out.From {
		if objects[from].Origin != out.Objects[n].Origin || n > 0 && from <= out.From[n-1] {
			t.Errorf("object %d of %+v is from %d", n, out.Objects[n].Origin, out.From)
		}
	}
	if len(out.From) != len(out.Objects) {
		t.Errorf("%d objects, and where %d are from", len(out.Objects), len(out.From))
	}
	return out.Objects
}

// at is the value at a path of the object called kind/name.
func at(t *testing.T, objects []manifest.Object, id string, path ...any) any {
	t.Helper()
	for _, o := range objects {
		if o.GetKind()+"/"+o.GetName() != id {
			continue
		}
		var v any = o.Object
		for _, p := range path {
			switch p := p.(type) {
			case string:
				m, _ := v.(map[string]any)
				v = m[p]
			case int:
				l, _ := v.([]any)
				if p >= len(l) {
					return nil
				}
				v = l[p]
			}
		}
		return v
	}
	t.Errorf("there is no %s", id)
	return nil
}

func places(objects []manifest.Object) []string {
	var out []string
	for _, o := range objects {
		out = append(out, fmt.Sprintf("%s/%s@%s:%d", o.GetKind(), o.GetName(), o.Origin.File, o.Origin.Line))
	}
	return out
}

func TestApply(t *testing.T) {
	type want struct {
		id   string
		path []any
		want any
	}
	container := func(i int, field string) []any {
		return []any{"spec", "template", "spec", "containers", i, field}
	}
	for name, row := range map[string]struct {
		options string
		want    []want
	}{
		"a strategic merge patch": {
			"patches: [{patch: '{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop}, spec: {replicas: 3, template: {spec: {containers: [{name: web, tty: true}]}}}}'}]",
			[]want{{"Deployment/web", []any{"spec", "replicas"}, int64(3)}, {"Deployment/web", container(0, "image"), "example.org/web:1"}, {"Deployment/web", container(0, "tty"), true}, {"Deployment/web", container(1, "image"), "example.org/side:1"}, {"Deployment/api", []any{"spec", "replicas"}, int64(2)}},
		},
		"a patch with a target": {
			"patches: [{target: {kind: Deployment}, patch: '{apiVersion: v1, kind: X, metadata: {name: any}, spec: {paused: true}}'}]",
			[]want{{"Deployment/web", []any{"spec", "paused"}, true}, {"Deployment/api", []any{"spec", "paused"}, true}, {"Service/web", []any{"spec", "paused"}, nil}},
		},
		"operations": {
			"patches: [{target: {kind: Deploy.*, name: 'w.b', labelSelector: 'tier in (front)'}, patch: '[{\"op\": \"replace\", \"path\": \"/spec/replicas\", \"value\": 7}, {\"op\": \"add\", \"path\": \"/metadata/annotations\", \"value\": {\"a\": \"b\"}}]'}]",
			[]want{{"Deployment/web", []any{"spec", "replicas"}, int64(7)}, {"Deployment/web", []any{"metadata", "annotations"}, map[string]any{"a": "b"}}, {"Deployment/api", []any{"spec", "replicas"}, int64(2)}},
		},
		"patches one after the other": {
			"patches: [{target: {kind: Deployment, name: api}, patch: \"- {op: add, path: /metadata/labels, value: {x: z}}\"}, {target: {labelSelector: x=z}, patch: \"- {op: replace, path: /spec/replicas, value: 9}\"}]",
			[]want{{"Deployment/api", []any{"spec", "replicas"}, int64(9)}, {"Deployment/web", []any{"spec", "replicas"}, int64(1)}},
		},
		"a target by namespace": {
			"patches: [{target: {namespace: shop, kind: Service}, patch: \"- {op: replace, path: /spec/ports/0/port, value: 81}\"}]",
			[]want{{"Service/web", []any{"spec", "ports", 0, "port"}, int64(81)}},
		},
		"a name that is changed": {
			"patches: [{target: {kind: ConfigMap}, allowNameChange: true, patch: '{apiVersion: v1, kind: ConfigMap, metadata: {name: other}}'}]",
			[]want{{"ConfigMap/other", []any{"data", "yes"}, "on"}},
		},
		"images": {
			"images: [{name: example.org/web, newTag: v2}, {name: example.org/side, newName: mirror/side, digest: 'sha256:1111111111111111111111111111111111111111111111111111111111111111'}]",
			[]want{{"Deployment/web", container(0, "image"), "example.org/web:v2"}, {"Deployment/web", container(1, "image"), "mirror/side@sha256:1111111111111111111111111111111111111111111111111111111111111111"}},
		},
		"replicas": {"replicas: [{name: web, count: 0}]", []want{{"Deployment/web", []any{"spec", "replicas"}, int64(0)}, {"Deployment/api", []any{"spec", "replicas"}, int64(2)}}},
		"names": {
			"namePrefix: a-\nnameSuffix: -z",
			[]want{{"Deployment/a-web-z", append(container(0, "envFrom"), 0, "configMapRef", "name"), "a-conf-z"}, {"Service/a-web-z", []any{"spec", "selector", "app"}, "web"}},
		},
		"labels": {
			"labels: {team: shop, \"on\": 'yes'}",
			[]want{{"Service/web", []any{"metadata", "labels"}, map[string]any{"tier": "front", "team": "shop", "on": "yes"}}, {"Service/web", []any{"spec", "selector"}, map[string]any{"app": "web"}}, {"Deployment/web", []any{"spec", "template", "metadata", "labels"}, map[string]any{"app": "web"}}},
		},
		"labels in templates": {
			"labels: {team: shop}\nlabelOptions: {includeTemplates: true}",
			[]want{{"Deployment/web", []any{"spec", "template", "metadata", "labels"}, map[string]any{"app": "web", "team": "shop"}}, {"Deployment/web", []any{"spec", "selector", "matchLabels"}, map[string]any{"app": "web"}}},
		},
		"labels in selectors": {
			"labels: {team: shop}\nlabelOptions: {includeSelectors: true}",
			[]want{{"Service/web", []any{"spec", "selector"}, map[string]any{"app": "web", "team": "shop"}}, {"Deployment/web", []any{"spec", "selector", "matchLabels"}, map[string]any{"app": "web", "team": "shop"}}},
		},
		"annotations": {
			"annotations: {note: 'a: b'}",
			[]want{{"ConfigMap/conf", []any{"metadata", "annotations"}, map[string]any{"note": "a: b"}}, {"Deployment/web", []any{"spec", "template", "metadata", "annotations"}, map[string]any{"note": "a: b"}}},
		},
		"values mean what they meant": {
			"labels: {a: b}",
			[]want{{"ConfigMap/conf", []any{"data"}, map[string]any{"yes": "on", "octal": "0o17", "number": "1e3", "text": "a\u0085b\u007f\u2028", "null": "~"}}},
		},
		"all in Kustomize's order": {
			"namePrefix: p-\nreplicas: [{name: web, count: 5}]\npatches: [{target: {name: web, kind: Deployment}, patch: \"- {op: remove, path: /spec/template/spec/containers/1}\"}]",
			[]want{{"Deployment/p-web", []any{"spec", "replicas"}, int64(5)}, {"Deployment/p-web", container(1, "image"), nil}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			objects := decode(t, shop)
			before, err := json.Marshal(objects)
			if err != nil {
				t.Fatal(err)
			}
			out := apply(t, objects, options(t, row.options))
			for _, w := range row.want {
				if d := cmp.Diff(w.want, at(t, out, w.id, w.path...)); d != "" {
					t.Errorf("%s %v (-want +got):\n%s", w.id, w.path, d)
				}
			}
			if len(out) != len(objects) {
				t.Fatalf("%d objects of %d", len(out), len(objects))
			}
			for i := range out {
				if out[i].Origin != objects[i].Origin {
					t.Errorf("object %d is of %+v, not of %+v", i, out[i].Origin, objects[i].Origin)
				}
			}
			after, err := json.Marshal(objects)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(before), string(after)); d != "" {
				t.Errorf("what was given is changed:\n%s", d)
			}
		})
	}
}

// TestDeleted: what is left keeps its order and origin when a patch deletes.
func TestDeleted(t *testing.T) {
	patch := func(kind, name string) string {
		return fmt.Sprintf("- {target: {kind: %s, name: %s}, patch: '{apiVersion: v1, kind: X, metadata: {name: x}, $patch: delete}'}\n", kind, name)
	}
	for name, row := range map[string]struct {
		options string
		want    []string
	}{
		"the first":        {"patches:\n" + patch("Service", "web"), []string{"Deployment/web@app/all.yaml:7", "ConfigMap/conf@app/all.yaml:20", "Deployment/api@app/all.yaml:25"}},
		"the last":         {"patches:\n" + patch("Deployment", "api"), []string{"Service/web@app/all.yaml:2", "Deployment/web@app/all.yaml:7", "ConfigMap/conf@app/all.yaml:20"}},
		"one of a kind":    {"namePrefix: x-\npatches:\n" + patch("Deployment", "web"), []string{"Service/x-web@app/all.yaml:2", "ConfigMap/x-conf@app/all.yaml:20", "Deployment/x-api@app/all.yaml:25"}},
		"all but one":      {"patches:\n" + patch("Deployment", ".*") + patch("Service", ".*"), []string{"ConfigMap/conf@app/all.yaml:20"}},
		"all":              {"patches:\n" + patch(".*", ".*"), nil},
		"one, one renamed": {"patches:\n" + patch("Service", ".*") + "- {target: {kind: ConfigMap}, allowNameChange: true, patch: '{apiVersion: v1, kind: ConfigMap, metadata: {name: other}}'}\n", []string{"Deployment/web@app/all.yaml:7", "ConfigMap/other@app/all.yaml:20", "Deployment/api@app/all.yaml:25"}},
	} {
		out := apply(t, decode(t, shop), options(t, row.options))
		if d := cmp.Diff(row.want, places(out)); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

// TestLeftAsTheyAre: what Kustomize would drop or take apart stays, in its
// place.
func TestLeftAsTheyAre(t *testing.T) {
	text := `
{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: local, annotations: {config.kubernetes.io/local-config: "true"}}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: b, annotations: {config.kubernetes.io/local-config: "false"}}}
---
{apiVersion: x.io/v1, kind: AllowList, metadata: {name: allow}, items: [{cidr: x}]}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: c}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: default}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: d, annotations: {"1": x, "on": x}, labels: {"true": x}}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: e, annotations: {"on": x, "y": x}, labels: {"true": x, "1": x}}}
`
	objects := decode(t, text)
	objects = append(objects, manifest.Object{Unstructured: &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "batch/v1", "kind": "Job", "metadata": map[string]any{"generateName": "after-"},
	}}})
	out, err := overlay.Apply(context.Background(), objects, &overlay.Options{NamePrefix: "p-"}, limit.Default())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"ConfigMap/p-a@app/all.yaml:2", "ConfigMap/local@app/all.yaml:4", "ConfigMap/p-b@app/all.yaml:6", "AllowList/allow@app/all.yaml:8", "ConfigMap/p-c@app/all.yaml:10", "ConfigMap/c@app/all.yaml:12", "ConfigMap/d@app/all.yaml:14", "ConfigMap/p-e@app/all.yaml:16", "Job/@:0"}
	if d := cmp.Diff(want, places(out.Objects)); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	for i, part := range []string{"local-config", "AllowList allow", "ConfigMap c: Kustomize would take it for another", `ConfigMap d: Kustomize cannot write its annotation "1"`, "Job after-: it has no name"} {
		if len(out.Warnings) != 5 || !strings.Contains(out.Warnings[i], part) {
			t.Errorf("%q", out.Warnings)
		}
	}
}

func TestNothingToDo(t *testing.T) {
	objects := decode(t, shop)
	for name, o := range map[string]*overlay.Options{"none": nil, "empty": {}, "options of nothing": {LabelOptions: overlay.LabelOptions{IncludeSelectors: true}}} {
		if !o.Empty() {
			t.Errorf("%s: not empty", name)
		}
		if d := cmp.Diff(places(objects), places(apply(t, objects, o))); d != "" {
			t.Errorf("%s:\n%s", name, d)
		}
	}
}

func bomb(levels int) string {
	var b strings.Builder
	b.WriteString("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\na0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < levels; i++ {
		fmt.Fprintf(&b, "a%d: &a%d [%s]\n", i, i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 10), ", "))
	}
	return b.String()
}

func doubling(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "- {op: copy, from: /spec, path: /spec/x%d}\n", i)
	}
	return b.String()
}

// TestErrors: each says which field of spec.render it is, and no object is
// quoted.
func TestErrors(t *testing.T) {
	deployment := &overlay.Selector{Kind: "Deployment"}
	good := overlay.Patch{Target: deployment, Patch: "- {op: add, path: /spec/paused, value: true}"}
	second := func(p overlay.Patch) *overlay.Options {
		return &overlay.Options{NamePrefix: "p-", Patches: []overlay.Patch{good, p, good}}
	}
	for name, row := range map[string]struct {
		options *overlay.Options
		limits  limit.Limits
		reason  string
		says    []string
	}{
		"empty":                    {options: second(overlay.Patch{Target: deployment}), reason: fault.PatchFailed, says: []string{"spec.render.patches[1]"}},
		"does not parse":           {options: second(overlay.Patch{Target: deployment, Patch: "a: b\nc: d: e\n"}), reason: fault.PatchFailed, says: []string{"spec.render.patches[1]", "line 2"}},
		"is no patch":              {options: second(overlay.Patch{Target: deployment, Patch: "just words"}), reason: fault.PatchFailed, says: []string{"spec.render.patches[1]"}},
		"operations in flow style": {options: second(overlay.Patch{Target: deployment, Patch: "[{op: remove, path: /spec/replicas}]"}), reason: fault.PatchFailed, says: []string{"spec.render.patches[1]", "has to be JSON"}},
		"operation unknown":        {options: second(overlay.Patch{Target: deployment, Patch: "- {op: jump, path: /spec}"}), reason: fault.PatchFailed, says: []string{"spec.render.patches[1]"}},
		"no such field":            {options: second(overlay.Patch{Target: deployment, Patch: "- {op: replace, path: /spec/nothing/here, value: 1}"}), reason: fault.PatchFailed, says: []string{"spec.render.patches[1]", "add what is above it first"}},
		"operations, no target":    {options: second(overlay.Patch{Patch: "- {op: remove, path: /spec}"}), reason: fault.PatchFailed, says: []string{"spec.render.patches[1]", "say with target"}},
		"names nothing":            {options: second(overlay.Patch{Patch: "{apiVersion: apps/v1, kind: Deployment, metadata: {name: webb}}"}), reason: fault.PatchFailed, says: []string{"spec.render.patches[1]", "give it a target"}},
		"selects nothing":          {options: second(overlay.Patch{Target: &overlay.Selector{Kind: "Deployment", Name: "wbe"}, Patch: good.Patch}), reason: fault.PatchFailed, says: []string{"spec.render.patches[1]", "there is Deployment web"}},
		"no such kind":             {options: second(overlay.Patch{Target: &overlay.Selector{Kind: "StatefulSet"}, Patch: good.Patch}), reason: fault.PatchFailed, says: []string{"spec.render.patches[1]"}},
		"the prefix is too soon":   {options: second(overlay.Patch{Target: &overlay.Selector{Name: "p-web"}, Patch: good.Patch}), reason: fault.PatchFailed, says: []string{"spec.render.patches[1]"}},
		"selects all":              {options: second(overlay.Patch{Target: &overlay.Selector{}, Patch: good.Patch}), reason: fault.PatchFailed, says: []string{"spec.render.patches[1]"}},
		"broken selector":          {options: second(overlay.Patch{Target: &overlay.Selector{Kind: "("}, Patch: good.Patch}), reason: fault.PatchFailed, says: []string{"spec.render.patches[1]", "no selector"}},
		"broken label selector":    {options: second(overlay.Patch{Target: &overlay.Selector{LabelSelector: "a in"}, Patch: good.Patch}), reason: fault.PatchFailed, says: []string{"spec.render.patches[1]", "no selector"}},
		"replicas of nothing":      {options: &overlay.Options{Replicas: []overlay.Replica{{Name: "web", Count: 1}, {Name: "none", Count: 1}}}, reason: fault.PatchFailed, says: []string{"spec.render.replicas[1]", "none"}},
		"replicas below zero":      {options: &overlay.Options{Replicas: []overlay.Replica{{Name: "web", Count: -1}}}, reason: fault.PatchFailed, says: []string{"spec.render.replicas[0]"}},
		"image without name":       {options: &overlay.Options{Images: []overlay.Image{{NewTag: "1"}}}, reason: fault.PatchFailed, says: []string{"spec.render.images[0]"}},
		"endless name":             {options: &overlay.Options{NamePrefix: strings.Repeat("x", 300)}, reason: fault.InvalidKustomization, says: []string{"spec.render: namePrefix"}},

		"bomb":             {options: second(overlay.Patch{Patch: bomb(12)}), reason: fault.TooLarge, says: []string{"spec.render.patches[1]"}},
		"deep":             {options: second(overlay.Patch{Target: deployment, Patch: "- {op: add, path: /spec/x, value: " + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + "}"}), reason: fault.TooDeep, says: []string{"spec.render.patches[1]"}},
		"doubling":         {options: second(overlay.Patch{Target: deployment, Patch: doubling(64)}), reason: fault.PatchFailed, says: []string{"spec.render.patches[1]"}},
		"a label, 1":       {options: &overlay.Options{Labels: map[string]string{"a": "b", "1": "x"}}, reason: fault.PatchFailed, says: []string{`spec.render.labels has the key "1"`}},
		"an annotation":    {options: &overlay.Options{Annotations: map[string]string{"true": "x"}}, reason: fault.PatchFailed, says: []string{`spec.render.annotations has the key "true"`}},
		"one by a patch":   {options: second(overlay.Patch{Target: deployment, Patch: "metadata: {name: x, annotations: {\"1\": x}}\napiVersion: v1\nkind: X"}), reason: fault.PatchFailed, says: []string{"spec.render.patches[1]", "Kustomize cannot write an annotation"}},
		"large, on many":   {options: &overlay.Options{Annotations: map[string]string{"a": strings.Repeat("x", 1<<10)}}, limits: limit.Limits{WorkBytes: 1 << 11}, reason: fault.TooLarge, says: []string{"spec.render"}},
		"too many objects": {options: &overlay.Options{NamePrefix: "x"}, limits: limit.Limits{Objects: 2}, reason: fault.TooManyObjects, says: []string{"spec.render"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := overlay.Apply(context.Background(), decode(t, shop), row.options, row.limits.OrDefault())
			var e *fault.Error
			if !errors.As(err, &e) || e.Reason != row.reason {
				t.Fatalf("%v, want %s", err, row.reason)
			}
			for _, part := range append(row.says, "spec.render") {
				if !strings.Contains(e.Error(), part) {
					t.Errorf("the error does not say %q: %v", part, e)
				}
			}
			for _, part := range []string{"example.org", "octal", "objects.yaml", "kustomization.yaml", "/repository"} {
				if strings.Contains(e.Error(), part) {
					t.Errorf("the error has %q: %v", part, e)
				}
			}
		})
	}
}

// TestSecretsStaySecret: a patch that fails on a Secret does not show it.
func TestSecretsStaySecret(t *testing.T) {
	secret := decode(t, "{apiVersion: v1, kind: Secret, metadata: {name: s}, stringData: {password: hunter2}, x: [null, 1]}")
	for name, patch := range map[string]string{
		"an operation":   "- {op: replace, path: /stringData/none/x, value: hunter2}",
		"a test":         "- {op: test, path: /stringData/password, value: other}",
		"a merge":        "{apiVersion: v1, kind: Secret, metadata: {name: s}, stringData: [hunter2]}",
		"not a patch":    "hunter2",
		"half an object": "{kind: Secret, stringData: {password: hunter2}}",
	} {
		o := &overlay.Options{Patches: []overlay.Patch{{Target: &overlay.Selector{Kind: "Secret"}, Patch: patch}}}
		_, err := overlay.Apply(context.Background(), secret, o, limit.Default())
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDeadline(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := overlay.Apply(ctx, decode(t, shop), &overlay.Options{NamePrefix: "x"}, limit.Default()); err == nil {
		t.Error("no error")
	}
}

// TestMany keeps the cost of many objects bounded by what is asked for.
func TestMany(t *testing.T) {
	var b strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&b, "---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: c%d}}\n", i)
	}
	out := apply(t, decode(t, b.String()), options(t, "labels: {a: b}"))
	if len(out) != 1000 || out[999].GetName() != "c999" || out[999].GetLabels()["a"] != "b" {
		t.Errorf("%d objects", len(out))
	}
}

// FuzzPatch: whatever a patch is, it is applied or refused.
func FuzzPatch(f *testing.F) {
	for _, s := range []string{"[{op: add, path: /spec/x, value: 1}]", "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}}", "$patch: delete", "- $patch: replace", "a: &a [*a]", "{", "[]", "---\n---\n", "apiVersion: builtin\nkind: PatchTransformer\nmetadata: {name: x}\npath: http://127.0.0.1/x"} {
		f.Add(s)
	}
	objects := decode(f, shop)
	f.Fuzz(func(t *testing.T, patch string) {
		for _, target := range []*overlay.Selector{nil, {Kind: "Deployment"}} {
			out, err := overlay.Apply(context.Background(), objects, &overlay.Options{Patches: []overlay.Patch{{Patch: patch, Target: target}}}, limit.Default())
			var e *fault.Error
			if err != nil && !errors.As(err, &e) {
				t.Errorf("%q: %v", patch, err)
			}
			if err != nil {
				continue
			}
			for _, o := range out.Objects {
				if o.Origin.File != "app/all.yaml" || o.Origin.Line == 0 {
					t.Errorf("%q: an object of %+v", patch, o.Origin)
				}
			}
		}
	})
}
