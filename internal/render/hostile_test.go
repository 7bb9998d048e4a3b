package render_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/snapshot/memtree"
)

// bomb is a YAML document whose aliases stand for 10^levels strings.
func bomb(levels int, head string) string {
	var b strings.Builder
	b.WriteString(head)
	b.WriteString("a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n")
	for i := 1; i < levels; i++ {
		ref := fmt.Sprintf("*a%d", i-1)
		fmt.Fprintf(&b, "a%d: &a%d [%s]\n", i, i, strings.Join([]string{ref, ref, ref, ref, ref, ref, ref, ref, ref, ref}, ", "))
	}
	return b.String()
}

func deep(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

// doubling is a kustomization whose n replacements each copy the spec of an
// object into itself.
func doubling(n int) string {
	var b strings.Builder
	b.WriteString("resources: [r.yaml]\nreplacements:\n")
	for i := range n {
		fmt.Fprintf(&b, "- source: {kind: Thing, name: t, fieldPath: spec}\n  targets: [{select: {kind: Thing}, fieldPaths: [spec.x%d], options: {create: true}}]\n", i)
	}
	return b.String()
}

func joining(n int) string {
	var b strings.Builder
	b.WriteString("resources: [r.yaml]\nreplacements:\n")
	for range n {
		b.WriteString("- source: {kind: Thing, name: t, fieldPath: spec.s}\n  targets: [{select: {kind: Thing}, fieldPaths: [spec.s], options: {delimiter: \"/\", index: -1}}]\n")
	}
	return b.String()
}

func copies(n int) string {
	var b strings.Builder
	b.WriteString("resources: [r.yaml]\npatches:\n- target: {kind: Thing}\n  patch: |-\n")
	for i := range n {
		fmt.Fprintf(&b, "    - {op: copy, from: /spec, path: /spec/x%d}\n", i)
	}
	return b.String()
}

// fan is a lattice of kustomizations: each level includes both of the next.
func fan(levels int) map[string]string {
	files := map[string]string{"kustomization.yaml": "resources: [l0a, l0b]"}
	for i := range levels {
		for _, side := range []string{"a", "b"} {
			text := fmt.Sprintf("namePrefix: %s\nresources: [../l%da, ../l%db]\n", side, i+1, i+1)
			if i == levels-1 {
				text = "namePrefix: x\n"
			}
			files[fmt.Sprintf("l%d%s/kustomization.yaml", i, side)] = text
		}
	}
	return files
}

const thing = "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: t}\nspec: {s: a}\n"

func manyObjects(n int) string {
	return strings.Repeat("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n", n)
}

// merges is a chain of maps of which each merges the one before many times.
func merges(n int) string {
	var b strings.Builder
	b.WriteString("m0: &m0 {k0: v, l: [lol, lol, lol, lol]}\n")
	for i := 1; i < n; i++ {
		fmt.Fprintf(&b, "m%d: &m%d {<<: *m%d, a: *m%d, b: *m%d}\n", i, i, i-1, i-1, i-1)
	}
	return b.String()
}

func TestHostileInput(t *testing.T) {
	cm := func(rest string) string { return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n" + rest }
	kust := func(more map[string]string) map[string]string {
		more["r.yaml"] = thing
		return more
	}
	for name, row := range map[string]struct {
		files  map[string]string
		limits render.Limits
		reason string
	}{
		"plain: alias bomb":             {files: map[string]string{"a.yaml": bomb(12, cm(""))}, reason: fault.TooLarge},
		"plain: long string many times": {files: map[string]string{"a.yaml": cm("s: &s " + strings.Repeat("x", 1<<20) + "\nl: [" + strings.Repeat("*s, ", 1000) + "]\n")}, reason: fault.TooLarge},
		"plain: alias in itself":        {files: map[string]string{"a.yaml": cm("a: &a [*a]\n")}, reason: fault.InvalidYAML},
		"plain: deep":                   {files: map[string]string{"a.yaml": cm("a: " + deep(5000) + "\n")}, reason: fault.TooDeep},
		"plain: deeper than parsers go": {files: map[string]string{"a.yaml": cm("a: " + deep(200000) + "\n")}, reason: fault.InvalidYAML},
		"plain: deep JSON":              {files: map[string]string{"a.json": `{"a":` + deep(5000) + `}`}, reason: fault.TooDeep},
		"plain: deep by aliases":        {files: map[string]string{"a.yaml": cm("x: [&a " + deep(200) + ", &b " + deep(100) + "]\ny: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[*a]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]\n")}, reason: fault.TooDeep},
		"plain: huge file":              {files: map[string]string{"a.yaml": cm("a: " + strings.Repeat("x", 1<<20))}, limits: render.Limits{FileBytes: 1 << 18}, reason: fault.TooLarge},
		"plain: huge in total":          {files: map[string]string{"a.yaml": cm("a: " + strings.Repeat("x", 1<<18)), "b.yaml": cm("a: " + strings.Repeat("y", 1<<18))}, limits: render.Limits{TotalBytes: 1 << 18}, reason: fault.TooLarge},
		"plain: million objects":        {files: map[string]string{"a.yaml": manyObjects(200000)}, reason: fault.TooManyObjects},
		"plain: objects over files":     {files: map[string]string{"a.yaml": cm(""), "b.yaml": strings.Replace(cm(""), "name: a", "name: b", 1)}, limits: render.Limits{Objects: 1}, reason: fault.TooManyObjects},
		"plain: duplicate key":          {files: map[string]string{"a.yaml": cm("data: {a: b, a: c}")}, reason: fault.InvalidYAML},
		"plain: key twice by type":      {files: map[string]string{"a.yaml": cm("data: {1: b, \"1\": c}")}, reason: fault.InvalidYAML},
		"plain: duplicate JSON key":     {files: map[string]string{"a.json": `{"apiVersion":"v1","kind":"ConfigMap","kind":"Secret","metadata":{"name":"a"}}`}, reason: fault.InvalidYAML},
		"plain: invalid UTF-8":          {files: map[string]string{"a.yaml": cm("a: \xff\xfe")}, reason: fault.InvalidYAML},
		"plain: infinite number":        {files: map[string]string{"a.yaml": cm("a: .inf")}, reason: fault.InvalidYAML},
		"plain: control characters":     {files: map[string]string{"a.yaml": cm("a: \x01")}, reason: fault.InvalidYAML},
		"plain: merges that multiply":   {files: map[string]string{"a.yaml": cm(merges(40))}, reason: fault.TooLarge},
		"plain: key twice by an escape": {files: map[string]string{"a.json": `{"apiVersion":"v1","kind":"ConfigMap","\u006bind":"Secret","metadata":{"name":"a"}}`}, reason: fault.InvalidYAML},
		"plain: key twice by an alias":  {files: map[string]string{"a.yaml": cm("data: {&k a: b, *k : c}")}, reason: fault.InvalidYAML},
		"plain: text in UTF-16":         {files: map[string]string{"a.yaml": "\xff\xfea\x00:\x00 \x00b\x00"}, reason: fault.InvalidYAML},
		"plain: a surrogate alone":      {files: map[string]string{"a.yaml": cm("a: \"\\ud800\"")}, reason: fault.InvalidYAML},
		"plain: a number without end":   {files: map[string]string{"a.json": `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"x":1e999999999}`}, reason: fault.InvalidYAML},
		"plain: a million documents":    {files: map[string]string{"a.yaml": strings.Repeat("---\na: b\n", 1000000)}, reason: fault.TooManyObjects},
		"plain: documents over files":   {files: map[string]string{"a.yaml": "a: b", "b.yaml": "a: b", "c.yaml": cm("")}, limits: render.Limits{Objects: 1}, reason: fault.TooManyObjects},
		"plain: a million items":        {files: map[string]string{"a.yaml": "apiVersion: v1\nkind: List\nitems:\n" + strings.Repeat("- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n", 30000)}, reason: fault.TooManyObjects},
		"plain: lists in lists":         {files: map[string]string{"a.yaml": "apiVersion: v1\nkind: List\nitems: [" + strings.Repeat("{apiVersion: v1, kind: List, items: [", 200) + strings.Repeat("]}", 200) + "]\n"}, reason: fault.TooDeep},

		"kustomize: alias bomb in a resource":      {files: map[string]string{"kustomization.yaml": "resources: [a.yaml]", "a.yaml": bomb(12, cm(""))}, reason: fault.TooLarge},
		"kustomize: alias bomb in the file":        {files: map[string]string{"kustomization.yaml": bomb(12, "resources: []\n")}, reason: fault.TooLarge},
		"kustomize: alias bomb in a second doc":    {files: map[string]string{"kustomization.yaml": "resources: [a.yaml]", "a.yaml": cm("") + "---\n" + bomb(12, cm(""))}, reason: fault.TooLarge},
		"kustomize: alias bomb with CRLF":          {files: map[string]string{"kustomization.yaml": "resources: [a.yaml]", "a.yaml": strings.ReplaceAll(cm("")+"--- # x\n"+bomb(12, cm("")), "\n", "\r\n")}, reason: fault.TooLarge},
		"kustomize: alias bomb in a patch":         {files: kust(map[string]string{"kustomization.yaml": "resources: [r.yaml]\npatches: [{path: p.yaml}]", "p.yaml": bomb(12, thing)}), reason: fault.TooLarge},
		"kustomize: alias bomb in an inline patch": {files: kust(map[string]string{"kustomization.yaml": "resources: [r.yaml]\npatches:\n- patch: |-\n    " + strings.ReplaceAll(bomb(12, thing), "\n", "\n    ")}), reason: fault.TooLarge},
		"kustomize: alias in itself":               {files: map[string]string{"kustomization.yaml": "resources: [a.yaml]", "a.yaml": cm("a: &a [*a]\n")}, reason: fault.InvalidYAML},
		"kustomize: merge of itself":               {files: map[string]string{"kustomization.yaml": "resources: [a.yaml]", "a.yaml": cm("a: &a {<<: *a}\n")}, reason: fault.InvalidYAML},
		"kustomize: deep":                          {files: map[string]string{"kustomization.yaml": "resources: [a.yaml]", "a.yaml": cm("a: " + deep(5000))}, reason: fault.TooDeep},
		"kustomize: deep patch":                    {files: kust(map[string]string{"kustomization.yaml": "resources: [r.yaml]\npatches: [{path: p.json, target: {kind: Thing}}]", "p.json": `[{"op":"add","path":"/a","value":` + deep(5000) + `}]`}), reason: fault.TooDeep},
		"kustomize: million objects":               {files: map[string]string{"kustomization.yaml": "resources: [a.yaml]", "a.yaml": manyObjects(200000)}, reason: fault.TooManyObjects},
		"kustomize: objects by inclusion":          {files: map[string]string{"kustomization.yaml": "resources: [a, b]", "a/kustomization.yaml": "namePrefix: a\nresources: [../c]", "b/kustomization.yaml": "namePrefix: b\nresources: [../c]", "c/kustomization.yaml": "resources: [r.yaml]", "c/r.yaml": thing}, limits: render.Limits{Objects: 1}, reason: fault.TooManyObjects},
		"kustomize: file read many times":          {files: map[string]string{"kustomization.yaml": "configMapGenerator: [{name: a, files: [" + strings.Repeat("k=big, ", 100) + "]}]", "big": strings.Repeat("x", 1<<20)}, limits: render.Limits{TotalBytes: 10 << 20}, reason: fault.TooLarge},
		"kustomize: lattice of bases":              {files: fan(40), reason: fault.TooLarge},
		"kustomize: cycle":                         {files: map[string]string{"kustomization.yaml": "resources: [a]", "a/kustomization.yaml": "resources: [../b]", "b/kustomization.yaml": "resources: [../a]"}, reason: fault.KustomizationCycle},
		"kustomize: cycle by components":           {files: map[string]string{"kustomization.yaml": "components: [a]", "a/kustomization.yaml": "kind: Component\ncomponents: [../a]"}, reason: fault.KustomizationCycle},
		"kustomize: cycle by plugins":              {files: map[string]string{"kustomization.yaml": "generators: [a]", "a/kustomization.yaml": "resources: [../a]"}, reason: fault.KustomizationCycle},
		"kustomize: doubling replacements":         {files: kust(map[string]string{"kustomization.yaml": doubling(64)}), reason: fault.TooLarge},
		"kustomize: joining replacements":          {files: kust(map[string]string{"kustomization.yaml": joining(64)}), reason: fault.TooLarge},
		"kustomize: doubling copies":               {files: kust(map[string]string{"kustomization.yaml": copies(64)}), reason: fault.KustomizeFailed},
		"kustomize: endless name":                  {files: kust(map[string]string{"kustomization.yaml": "resources: [r.yaml]\nnamePrefix: " + strings.Repeat("x", 1000)}), reason: fault.InvalidKustomization},
		"kustomize: large labels on many":          {files: map[string]string{"kustomization.yaml": "resources: [a.yaml]\ncommonAnnotations: {a: " + strings.Repeat("x", 1<<20) + "}", "a.yaml": manyObjects(5000)}, reason: fault.TooLarge},
		"kustomize: definitions in themselves":     {files: kust(map[string]string{"kustomization.yaml": "resources: [r.yaml]\ncrds: [c.json]", "c.json": `{"a.A":{"Schema":{"properties":{"kind":{},"apiVersion":{},"metadata":{},"x":{"$ref":"a.A"}}}}}`}), reason: fault.InvalidKustomization},
		"kustomize: empty crds":                    {files: kust(map[string]string{"kustomization.yaml": "resources: [r.yaml]\ncrds: [c.json]", "c.json": ""}), reason: fault.InvalidYAML},
		"kustomize: schema that refers to itself":  {files: kust(map[string]string{"kustomization.yaml": "resources: [r.yaml]\nopenapi: {path: s.json}\npatches: [{patch: '" + `{"apiVersion":"example.com/v1","kind":"Thing","metadata":{"name":"t"},"spec":{"l":[{"a":1}]}}` + "'}]", "s.json": `{"definitions":{"T":{"x-kubernetes-group-version-kind":[{"group":"example.com","version":"v1","kind":"Thing"}],"properties":{"spec":{"$ref":"#/definitions/A"}}},"A":{"$ref":"#/definitions/B"},"B":{"$ref":"#/definitions/A"}}}`}), reason: fault.InvalidKustomization},
		"kustomize: schema that panics":            {files: kust(map[string]string{"kustomization.yaml": "resources: [r.yaml]\nopenapi: {path: s.json}\npatches: [{patch: '" + `{"apiVersion":"example.com/v1","kind":"Thing","metadata":{"name":"t"},"spec":{"l":[{"a":1}]}}` + "'}]", "s.json": `{"definitions":{"T":{"x-kubernetes-group-version-kind":[{"group":1,"version":2,"kind":3}]}}}`}), reason: fault.RendererCrashed},
		"kustomize: duplicate key in a resource":   {files: map[string]string{"kustomization.yaml": "resources: [a.yaml]", "a.yaml": cm("data: {a: b, a: c}")}, reason: fault.KustomizeFailed},
		"kustomize: invalid UTF-8":                 {files: map[string]string{"kustomization.yaml": "resources: [a.yaml]", "a.yaml": cm("a: \xff\xfe")}, reason: fault.InvalidYAML},
		"kustomize: generator folder that patches": {files: map[string]string{"kustomization.yaml": "generators: [g]", "g/kustomization.yaml": "resources: [g.yaml]\npatches: [{patch: '[{op: replace, path: /envs/0, value: \"http://x\"}]', target: {kind: ConfigMapGenerator}}]", "g/g.yaml": "apiVersion: builtin\nkind: ConfigMapGenerator\nmetadata: {name: x}\nenvs: [a]"}, reason: fault.PluginNotAllowed},
	} {
		t.Run(name, func(t *testing.T) {
			req := render.Request{Path: ".", Limits: row.limits}
			res, err := render.Render(context.Background(), memtree.FromText(row.files), req)
			alike(t, memtree.FromText(row.files), req, res, err)
			e := wantReason(t, err, row.reason)
			if e.File == "" && e.Reason != fault.NoObjects {
				t.Errorf("the error names no file: %v", e)
			}
			if len(e.Error()) > 3000 {
				t.Errorf("the error has %d bytes", len(e.Error()))
			}
		})
	}
}

// TestHostileNames has files with names that Git allows and that are no text, or
// are too much of it: the error that names them says what is wrong with the file.
func TestHostileNames(t *testing.T) {
	for why, name := range map[string]string{
		"no UTF-8": "\xff\xfe", "a new line": "a\nb", "a sequence for terminals": "\x1b]0;x\x07", "from right to left": "\u202egnp",
		"a name that is long": strings.Repeat("x", 3000), "a backslash": `..\..\x`, "a drive": "c:", "a device": "nul", "a space": " ", "a variable": "${HOME}",
	} {
		for kind, files := range map[string]map[string]string{
			"a manifest":   {"app/" + name + ".yaml": "{"},
			"a folder":     {"app/" + name + "/a.yaml": "{"},
			"a Jsonnet":    {"app/" + name + ".jsonnet": "{"},
			"a template":   {"app/Chart.yaml": chartYAML, "app/templates/" + name + ".yaml": "{{"},
			"of a chart":   {"app/Chart.yaml": chartYAML, "app/charts/" + name + "/Chart.yaml": "{"},
			"a kustomized": {"app/kustomization.yaml": "resources: [" + strconv.Quote(strings.ToValidUTF8(name, "x")) + "]", "app/" + strings.ToValidUTF8(name, "x"): "{"},
		} {
			t.Run(kind+", "+why, func(t *testing.T) {
				tree, req := memtree.FromText(files), render.Request{Path: "app"}
				res, err := render.Render(context.Background(), tree, req)
				alike(t, tree, req, res, err)
				if e := wantAny(t, err); len(e.Error()) > 16<<10 {
					t.Errorf("the error has %d bytes", len(e.Error()))
				}
			})
		}
	}
}

// robotRepo has an ordinary kustomization whose patch merges containers by
// name, and a hostile one that makes lists be replaced.
func robotRepo() *memtree.Tree {
	files := map[string]string{
		"good/kustomization.yaml": "resources: [d.yaml]\npatches: [{path: p.yaml}]\n",
		"good/d.yaml":             "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec: {template: {spec: {containers: [{name: a, image: 'a:1'}, {name: b, image: 'b:1'}]}}}\n",
		"good/p.yaml":             "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec: {template: {spec: {containers: [{name: b, image: 'b:2'}]}}}\n",
		"bad/kustomization.yaml":  "openapi: {path: s.json}\nresources: [../good]\n",
		"bad/s.json": `{"definitions":{"io.k8s.api.apps.v1.Deployment":{
			"x-kubernetes-group-version-kind":[{"group":"apps","version":"v1","kind":"Deployment"}],
			"properties":{"spec":{"type":"object"}}}}}`,
		"panics/kustomization.yaml": "openapi: {path: s.json}\nresources: [../good]\n",
		"panics/s.json":             `{"definitions":{"T":{"x-kubernetes-group-version-kind":[{"group":1,"version":2,"kind":3}]}}}`,
		"nested/kustomization.yaml": "resources: [../bad]\nnamePrefix: n-\n",
	}
	files["version/kustomization.yaml"] = "openapi: {version: v1.21.2}\nresources: [../good]\n"
	files["unknown/kustomization.yaml"] = "openapi: {version: v0.0.0}\nresources: [../good]\n"
	files["configured/kustomization.yaml"] = "configurations: [c.yaml]\nresources: [../good]\nnamePrefix: c-\nimages: [{name: a, newTag: '3'}]\n"
	files["configured/c.yaml"] = "namePrefix: [{path: spec/template/spec/containers/name}]\nimages: [{path: spec/none}]\n"
	files["prefixed/kustomization.yaml"] = "resources: [../good]\nnamePrefix: c-\nimages: [{name: a, newTag: '3'}]\n"
	files["defined/kustomization.yaml"] = "crds: [d.json]\nresources: [../good]\nnamePrefix: c-\n"
	files["defined/d.json"] = `{"io.k8s.api.apps.v1.Deployment":{"Schema":{"properties":{"apiVersion":{"type":"string"},"kind":{"type":"string"},"metadata":{"type":"object"},
		"spec":{"x-kubernetes-object-ref-api-version":"apps/v1","x-kubernetes-object-ref-kind":"Deployment","x-kubernetes-object-ref-name-key":"paused"}}}}}`
	return memtree.FromText(files)
}

// TestSchemaDoesNotLeak renders good, hostile, good.
func TestSchemaDoesNotLeak(t *testing.T) {
	tree := robotRepo()
	text := func(path string) string {
		t.Helper()
		res, err := render.Render(context.Background(), tree, render.Request{Path: path, Text: true})
		if err != nil {
			t.Fatal(err)
		}
		return string(res.Text)
	}
	before := text("good")
	if strings.Count(before, "image:") != 2 {
		t.Fatalf("the patch was not merged:\n%s", before)
	}
	for _, hostile := range []string{"bad", "nested"} {
		if got := text(hostile); strings.Count(got, "image:") != 1 {
			t.Fatalf("%s does not change how lists merge, so the test proves nothing:\n%s", hostile, got)
		}
		if d := cmp.Diff(before, text("good")); d != "" {
			t.Errorf("after %s another App renders differently:\n%s", hostile, d)
		}
	}
	prefixed := text("prefixed")
	for _, hostile := range []string{"panics", "version", "unknown", "configured", "defined"} {
		_, err := render.Render(context.Background(), tree, render.Request{Path: hostile, Text: true})
		if hostile == "panics" && err == nil {
			t.Error("a schema that is none was taken")
		}
		if d := cmp.Diff(before, text("good")) + cmp.Diff(prefixed, text("prefixed")); d != "" {
			t.Errorf("after %s another App renders differently:\n%s", hostile, d)
		}
	}
	if d := cmp.Diff(before, text("good")); d != "" {
		t.Errorf("after a crash another App renders differently:\n%s", d)
	}
}

// TestConcurrentRenders runs everything of testdata side by side, the builds
// that change global state among them, and wants what each gives alone. Run
// with -race.
func TestConcurrentRenders(t *testing.T) {
	type job struct {
		tree  *memtree.Tree
		build string
		want  string
	}
	var jobs []job
	for _, a := range archives(t, "build") {
		tree := memtree.New(a.nodes)
		for _, b := range a.builds {
			jobs = append(jobs, job{tree: tree, build: b})
		}
	}
	for _, p := range []string{"good", "bad", "nested"} {
		jobs = append(jobs, job{tree: robotRepo(), build: p})
	}
	outcome := func(j job) string {
		res, err := render.Render(context.Background(), j.tree, render.Request{Path: j.build, Text: true})
		if err != nil {
			var e *render.Error
			if !errors.As(err, &e) {
				return err.Error()
			}
			return e.Reason
		}
		return string(res.Text)
	}
	for i := range jobs {
		jobs[i].want = outcome(jobs[i])
	}
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := range jobs {
				j := jobs[(i+worker*7)%len(jobs)]
				if got := outcome(j); got != j.want {
					t.Errorf("%s gives something else when others render:\n%s", j.build, cmp.Diff(j.want, got))
				}
			}
		})
	}
	wg.Wait()
}

func TestDeadline(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := render.Render(ctx, robotRepo(), render.Request{Path: "good"})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled render says %v", err)
	}
}
