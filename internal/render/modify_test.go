package render_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/render/overlay"
	"abide.dev/abide/internal/render/substitute"
	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/snapshot/memtree"
)

const deployment = `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: ${REPLICAS:=1}
  template:
    spec:
      containers:
      - name: web
        image: example.org/web:1
        envFrom: [{configMapRef: {name: conf}}]
`

const conf = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: conf}\ndata: {region: '${REGION}'}\n"

// hookTemplate is a hook that refers to an object of its chart.
const hookTemplate = `apiVersion: batch/v1
kind: Job
metadata: {name: migrate, annotations: {helm.sh/hook: pre-install, helm.sh/hook-weight: "3"}}
spec:
  template:
    spec:
      containers: [{name: m, image: example.org/web:1, env: [{name: REGION, value: "${REGION}"}], envFrom: [{configMapRef: {name: conf}}]}]
`

// sources have the same two objects for each renderer.
var sources = map[string]map[string]string{
	render.Manifests: {"app/a.yaml": deployment, "app/b.yaml": conf},
	render.Kustomize: {"app/kustomization.yaml": "resources: [a.yaml, b.yaml]\n", "app/a.yaml": deployment, "app/b.yaml": conf},
	render.Helm:      {"app/Chart.yaml": chartYAML, "app/templates/a.yaml": deployment, "app/templates/b.yaml": conf, "app/templates/hook.yaml": hookTemplate},
	render.Jsonnet:   {"app/m.jsonnet": "[std.parseYaml(importstr 'a.txt'), std.parseYaml(importstr 'b.txt')]", "app/a.txt": deployment, "app/b.txt": conf},
}

func variables(pairs ...string) *substitute.Options {
	o := &substitute.Options{Variables: map[string]substitute.Variable{}}
	for i := 0; i < len(pairs); i += 2 {
		o.Variables[pairs[i]] = substitute.Variable{Value: pairs[i+1], From: "Secret shop/vars, key " + pairs[i]}
	}
	return o
}

// value is what stands at a path of the object of a kind.
func value(objects []render.Object, kind string, fields ...any) any {
	for _, o := range objects {
		if o.GetKind() != kind {
			continue
		}
		var v any = o.Object
		for _, f := range fields {
			switch f := f.(type) {
			case string:
				m, _ := v.(map[string]any)
				v = m[f]
			case int:
				l, _ := v.([]any)
				if f >= len(l) {
					return nil
				}
				v = l[f]
			}
		}
		return v
	}
	return nil
}

// TestModify: the overlay and the variables change what any renderer gives, in
// that order, a chart's hooks included.
func TestModify(t *testing.T) {
	container := []any{"spec", "template", "spec", "containers", 0}
	image, ref := append(container, "image"), append(container, "envFrom", 0, "configMapRef", "name")
	for renderer, files := range sources {
		t.Run(renderer, func(t *testing.T) {
			tree := memtree.FromText(files)
			req := render.Request{
				Path: "app", Text: true,
				Overlay: &overlay.Options{
					NamePrefix: "eu-",
					Images:     []overlay.Image{{Name: "example.org/web", NewTag: "2"}},
					Patches:    []overlay.Patch{{Target: &overlay.Selector{Kind: "Deployment"}, Patch: "- {op: add, path: /metadata/annotations, value: {region: '${REGION}'}}"}},
				},
				Substitute: variables("REGION", "eu-1", "REPLICAS", "3"),
			}
			res, err := render.Render(context.Background(), tree, req)
			alike(t, tree, req, res, err)
			if err != nil {
				t.Fatal(err)
			}
			all := res.Objects
			for _, h := range res.Hooks {
				all = append(all, h.Object)
			}
			for what, row := range map[string]struct{ got, want any }{
				"renderer":                    {res.Renderer, renderer},
				"a number":                    {value(all, "Deployment", "spec", "replicas"), int64(3)},
				"an image":                    {value(all, "Deployment", image...), "example.org/web:2"},
				"a reference":                 {value(all, "Deployment", ref...), "eu-conf"},
				"a variable of the overlay":   {value(all, "Deployment", "metadata", "annotations", "region"), "eu-1"},
				"a variable":                  {value(all, "ConfigMap", "data", "region"), "eu-1"},
				"a name":                      {value(all, "ConfigMap", "metadata", "name"), "eu-conf"},
				"text, which is of before":    {len(res.Text), 0},
				"warnings":                    {len(res.Warnings), 0},
				"objects":                     {len(res.Objects), 2},
				"hooks":                       {len(res.Hooks), map[bool]int{true: 1}[renderer == render.Helm]},
				"the first, as the chart has": {res.Objects[0].Origin.File != "", true},
			} {
				if d := cmp.Diff(row.want, row.got); d != "" {
					t.Errorf("%s (-want +got):\n%s", what, d)
				}
			}
			if renderer != render.Helm {
				return
			}
			h := res.Hooks[0]
			env := append(container, "env", 0, "value")
			want := []any{"eu-migrate", "example.org/web:2", "eu-conf", "eu-1", 3, "[pre-install]", "app/templates/hook.yaml"}
			got := []any{value(all, "Job", "metadata", "name"), value(all, "Job", image...), value(all, "Job", ref...), value(all, "Job", env...), h.Weight, fmt.Sprint(h.Events), h.Object.Origin.File}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("the hook (-want +got):\n%s", d)
			}
		})
	}
}

// TestNotModified: what asks for no change gets none, the exact text included.
func TestNotModified(t *testing.T) {
	for renderer, files := range sources {
		t.Run(renderer, func(t *testing.T) {
			tree := memtree.FromText(files)
			plain, err := render.Render(context.Background(), tree, render.Request{Path: "app", Text: true})
			if err != nil {
				t.Fatal(err)
			}
			if got := value(plain.Objects, "ConfigMap", "data", "region"); got != "${REGION}" {
				t.Errorf("nobody asked for variables, and it is %v", got)
			}
			for name, req := range map[string]render.Request{
				"an empty overlay":     {Overlay: &overlay.Options{}},
				"options of no labels": {Overlay: &overlay.Options{LabelOptions: overlay.LabelOptions{IncludeSelectors: true}}},
			} {
				req.Path, req.Text = "app", true
				res, err := render.Render(context.Background(), tree, req)
				alike(t, tree, req, res, err)
				if d := cmp.Diff(outcomeOf(plain, nil), outcomeOf(res, err), unexported); d != "" {
					t.Errorf("%s (-want +got):\n%s", name, d)
				}
			}
		})
	}
	// Variables that are nowhere used leave the text.
	tree := memtree.FromText(map[string]string{"app/kustomization.yaml": "resources: [a.yaml]\n", "app/a.yaml": configMap("a")})
	res, err := render.Render(context.Background(), tree, render.Request{Path: "app", Text: true, Substitute: variables("A", "b")})
	if err != nil || len(res.Text) == 0 {
		t.Errorf("%s, %v", res.Text, err)
	}
}

func TestModifyErrors(t *testing.T) {
	files := map[string]string{"app/a.yaml": configMap("a") + "data: {v: '${UNDEFINED}'}\n", "app/b.yaml": configMap("b") + "data: {v: '${NAME:=c}'}\n"}
	deleted := overlay.Patch{Target: &overlay.Selector{Kind: ".*"}, Patch: "{apiVersion: v1, kind: X, metadata: {name: x}, $patch: delete}"}
	for name, row := range map[string]struct {
		files  map[string]string
		req    render.Request
		reason string
		says   []string
	}{
		"an undefined variable":       {files, render.Request{Substitute: variables("UNDEFINEDS", "x")}, fault.UndefinedVariable, []string{"app/a.yaml:1: ", "ConfigMap a", "data.v", "${UNDEFINEDS}"}},
		"a variable makes two of one": {map[string]string{"app/a.yaml": configMap("a"), "app/b.yaml": configMap("${NAME}")}, render.Request{Substitute: variables("NAME", "a")}, fault.DuplicateObject, []string{"app/b.yaml:1: ", "app/a.yaml:1"}},
		"a patch makes two of one":    {files, render.Request{Overlay: &overlay.Options{Patches: []overlay.Patch{{Target: &overlay.Selector{Name: "b"}, Patch: "- {op: replace, path: /metadata/name, value: a}"}}}}, fault.PatchFailed, []string{"spec.render.patches[0]: makes two objects the same one: ConfigMap", "give one of them another name"}},
		"a patch that matches none":   {files, render.Request{Overlay: &overlay.Options{Patches: []overlay.Patch{{Target: &overlay.Selector{Name: "z"}, Patch: "- {op: remove, path: /data}"}}}}, fault.PatchFailed, []string{"spec.render.patches[0]"}},
		"patches delete everything":   {files, render.Request{Overlay: &overlay.Options{Patches: []overlay.Patch{deleted}}}, fault.NoObjects, []string{"the patches of spec.render delete every object"}},
		"two of one, before":          {map[string]string{"app/a.yaml": configMap("a"), "app/b.yaml": configMap("a")}, render.Request{Overlay: &overlay.Options{NamePrefix: "x-"}}, fault.DuplicateObject, []string{"app/b.yaml:1: "}},
		"nothing, before":             {map[string]string{"app/a.txt": ""}, render.Request{Overlay: &overlay.Options{NamePrefix: "x-"}}, fault.NoObjects, []string{"manifests are files"}},
		"a patch that reads a file":   {files, render.Request{Overlay: &overlay.Options{Patches: []overlay.Patch{{Patch: "app/a.yaml"}}}}, fault.PatchFailed, nil},
		"values that swell":           {map[string]string{"app/a.yaml": configMap("a") + "data: {v: '" + strings.Repeat("${A}", 1000) + "'}\n"}, render.Request{Substitute: variables("A", strings.Repeat("x", 1000)), Limits: render.Limits{ExpandedBytes: 100_000}}, fault.TooLarge, []string{"data.v"}},
	} {
		t.Run(name, func(t *testing.T) {
			row.req.Path = "app"
			tree := memtree.FromText(row.files)
			res, err := render.Render(context.Background(), tree, row.req)
			alike(t, tree, row.req, res, err)
			e := wantReason(t, err, row.reason)
			for _, part := range row.says {
				if !strings.Contains(e.Error(), part) {
					t.Errorf("the error does not say %q: %v", part, e)
				}
			}
			if len(res.Trace) == 0 || len(res.Objects) > 0 {
				t.Errorf("a failed render gives %+v", res)
			}
		})
	}
}

// TestHooksThatKustomizeCannotTake stay as they are, and are named.
func TestHooksThatKustomizeCannotTake(t *testing.T) {
	hook := func(name, event string) string {
		return "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {" + name + ", annotations: {helm.sh/hook: " + event + "}}\ndata: {v: '${A:=b}'}\n"
	}
	tree := memtree.New(chartOf(map[string]string{"templates/a.yaml": configMap("a") + hook("name: a", "pre-install") + hook("generateName: g-", "post-install") + hook("name: h", "pre-upgrade")}))
	req := render.Request{Path: "app", Overlay: &overlay.Options{NamePrefix: "p-"}, Substitute: &substitute.Options{}}
	res, err := render.Render(context.Background(), tree, req)
	alike(t, tree, req, res, err)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, h := range res.Hooks {
		got = append(got, fmt.Sprint(h.Object.GetName(), h.Object.GetGenerateName(), " ", h.Events, " ", value([]render.Object{h.Object}, "ConfigMap", "data", "v")))
	}
	if d := cmp.Diff([]string{"a [pre-install] b", "g- [post-install] b", "p-h [pre-upgrade] b"}, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if len(res.Warnings) != 2 || !strings.Contains(res.Warnings[0], "ConfigMap a") || !strings.Contains(res.Warnings[1], "ConfigMap g-") {
		t.Errorf("warnings %q", res.Warnings)
	}
}

// TestCacheTellsModificationsApart: a value or a patch is another request, and
// none of them is rendered in process.
func TestCacheTellsModificationsApart(t *testing.T) {
	rendered := 0
	c := render.NewCache(render.CacheLimits{}, func(ctx context.Context, _ string, tree snapshot.Tree, req render.Request) (*render.Result, error) {
		rendered++
		return render.Render(ctx, tree, req)
	})
	tree := memtree.FromText(map[string]string{"app/a.yaml": configMap("a") + "data: {v: '${V:=none}'}\n", "j/m.jsonnet": object("m")})
	for i, row := range []struct {
		req  render.Request
		want any
		hit  bool
		far  int // renders by the Func so far
	}{
		{render.Request{Path: "app"}, "${V:=none}", false, 0},
		{render.Request{Path: "app", Overlay: &overlay.Options{}}, "${V:=none}", false, 0},
		{render.Request{Path: "app", Substitute: variables("V", "1")}, "1", false, 1},
		{render.Request{Path: "app", Substitute: variables("V", "1")}, "1", true, 1},
		{render.Request{Path: "app", Substitute: variables("V", "2")}, "2", false, 2},
		{render.Request{Path: "app", Substitute: &substitute.Options{}}, "none", false, 3},
		{render.Request{Path: "app", Overlay: &overlay.Options{Labels: map[string]string{"a": "b"}}}, "${V:=none}", false, 4},
		{render.Request{Path: "app", Overlay: &overlay.Options{Labels: map[string]string{"a": "c"}}}, "${V:=none}", false, 5},
		{render.Request{Path: "j"}, nil, false, 6},
		{render.Request{Path: "j/m.jsonnet"}, nil, false, 7},
		{render.Request{Path: "."}, "${V:=none}", false, 8},
	} {
		res, hit, err := c.Get(context.Background(), "repo", tree, row.req)
		if err != nil {
			t.Fatal(err)
		}
		if got := value(res.Objects, "ConfigMap", "data", "v"); got != row.want || hit != row.hit || rendered != row.far {
			t.Errorf("row %d: %v, hit %v, rendered %d times", i, got, hit, rendered)
		}
	}
}
