package render_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/render/jsonnet"
	"abide.dev/abide/internal/snapshot/memtree"
)

// object is Jsonnet for a ConfigMap.
func object(name string) string {
	return `{apiVersion: "v1", kind: "ConfigMap", metadata: {name: "` + name + `"}}`
}

// TestJsonnetFolders: what is evaluated, what is read beside it, what is left
// out, and who is said to have rendered it.
func TestJsonnetFolders(t *testing.T) {
	for name, row := range map[string]struct {
		files         map[string]string
		links         map[string]string
		path          string
		options       *jsonnet.Options
		want, ignored []string
		renderer, why string
	}{
		"a folder, its files in order": {
			files: map[string]string{"app/b.jsonnet": object("b"), "app/a.jsonnet": "[" + object("a1") + ", " + object("a2") + "]", "app/lib.libsonnet": "error 'a library'"},
			path:  "app", want: []string{"a1@app/a.jsonnet:0", "a2@app/a.jsonnet:0", "b@app/b.jsonnet:0"},
			renderer: render.Jsonnet, why: "there is a a.jsonnet in it",
		},
		"manifests beside it, behind the Jsonnet": {
			files: map[string]string{"app/z.jsonnet": object("z"), "app/a.yaml": configMap("a"), "app/jsonnetfile.json": `{"version": 1}`},
			path:  "app", want: []string{"z@app/z.jsonnet:0", "a@app/a.yaml:1"}, ignored: []string{"app/jsonnetfile.json"},
			renderer: render.Jsonnet, why: "there is a z.jsonnet in it",
		},
		"what is imported is no manifest, in whichever way": {
			files: map[string]string{
				"app/m.jsonnet": `[import 'data.json', std.parseYaml(importstr './data.yaml')[0], ` + object("m") + `]`,
				"app/data.json": object("from-json"), "app/data.yaml": "- " + strings.ReplaceAll(configMap("from-yaml"), "\n", "\n  "), "app/other.yaml": configMap("other"),
			},
			path: "app", want: []string{"from-json@app/m.jsonnet:0", "from-yaml@app/m.jsonnet:0", "m@app/m.jsonnet:0", "other@app/other.yaml:1"},
			ignored: []string{"app/data.json", "app/data.yaml"},
		},
		"nothing below is read but by imports": {
			files: map[string]string{
				"app/m.jsonnet": `import 'vendor/lib/x.jsonnet'`, "app/vendor/lib/x.jsonnet": object("x"), "app/vendor/lib/test.jsonnet": "error 'a test'",
				"app/vendor/lib/m.yaml": configMap("never"), "app/lib/Chart.yaml": "a chart of a library", "app/lib/kustomization.yaml": "{",
			},
			links: map[string]string{"app/also": "vendor"},
			path:  "app", want: []string{"x@app/m.jsonnet:0"}, ignored: []string{"app/also", "app/lib", "app/vendor"},
		},
		"an environment of Tanka": {
			files: map[string]string{
				"environments/prod/main.jsonnet": `(import 'shop.libsonnet') + {db: (import 'db/db.libsonnet')}`,
				"environments/prod/spec.json":    `{"apiVersion": "tanka.dev/v1alpha1", "kind": "Environment", "metadata": {"name": "prod"}, "spec": {"namespace": "shop"}}`,
				"lib/shop.libsonnet":             `{web: ` + object("web") + `}`, "vendor/db/db.libsonnet": object("db"), "jsonnetfile.json": "{}",
			},
			options: &jsonnet.Options{LibraryPaths: []string{"vendor", "lib"}},
			path:    "environments/prod", want: []string{"db@environments/prod/main.jsonnet:0", "web@environments/prod/main.jsonnet:0"}, ignored: []string{"environments/prod/spec.json"},
		},
		"a file": {
			files: map[string]string{"app/a.jsonnet": object("a"), "app/b.jsonnet": "error 'not asked for'", "app/c.yaml": "{"},
			path:  "app/a.jsonnet", want: []string{"a@app/a.jsonnet:0"}, renderer: render.Jsonnet, why: "it is a Jsonnet file",
		},
		"a folder below manifests, in its place": {
			files: map[string]string{"a.yaml": configMap("a"), "j/m.jsonnet": object("m"), "j/n.yaml": configMap("near"), "j/lib/x.yaml": configMap("never"), "k/x.yaml": configMap("x"), "l/o.jsonnet": object("o"), "z.yaml": configMap("z")},
			path:  ".", want: []string{"a@a.yaml:1", "m@j/m.jsonnet:0", "near@j/n.yaml:1", "x@k/x.yaml:1", "o@l/o.jsonnet:0", "z@z.yaml:1"}, ignored: []string{"j/lib"},
			renderer: render.Manifests, why: "it has no kustomization, no Chart.yaml and no Jsonnet",
		},
		"a kustomization or a chart comes first": {
			files: map[string]string{"app/m.jsonnet": "{", "app/kustomization.yaml": "resources: [a.yaml]", "app/a.yaml": configMap("a")},
			path:  "app", want: []string{"a@app/a.yaml:1"}, renderer: render.Kustomize,
		},
		"hidden, ignored and of another kind": {
			files: map[string]string{
				".abideignore": "dev.jsonnet\n", "app/.m.jsonnet": "{", "app/dev.jsonnet": "{", "app/folder.jsonnet/x.yaml": configMap("x"), "app/a.yaml": configMap("a"),
			},
			path: "app", want: []string{"a@app/a.yaml:1", "x@app/folder.jsonnet/x.yaml:1"}, ignored: []string{"app/dev.jsonnet"}, renderer: render.Manifests,
		},
		"ignored beside one that is not": {
			files: map[string]string{"app/.abideignore": "dev.jsonnet\nb.yaml\n", "app/dev.jsonnet": "{", "app/m.jsonnet": object("m"), "app/b.yaml": "{"},
			path:  "app", want: []string{"m@app/m.jsonnet:0"}, ignored: []string{"app/b.yaml", "app/dev.jsonnet"}, why: "there is a m.jsonnet in it",
		},
		"links": {
			files: map[string]string{"shared/s.jsonnet": "import 'near.libsonnet'", "app/near.libsonnet": object("near"), "shared/near.libsonnet": object("far")},
			links: map[string]string{"app/l.jsonnet": "../shared/s.jsonnet", "alias": "app"},
			path:  "alias", want: []string{"near@app/l.jsonnet:0"}, why: "there is a l.jsonnet in it",
		},
		"variables": {
			files: map[string]string{"app/m.jsonnet": `function(n) {apiVersion: "v1", kind: "ConfigMap", metadata: {name: std.extVar("a") + n}}`},
			options: &jsonnet.Options{
				ExtVars: map[string]jsonnet.Var{"a": {Value: "x"}}, TLAs: map[string]jsonnet.Var{"n": {Value: "1 + 1", Code: true, From: "Secret a/b, key c"}},
			},
			path: "app", want: []string{"x2@app/m.jsonnet:0"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			nodes := map[string]memtree.Node{}
			for p, text := range row.files {
				nodes[p] = memtree.File(text)
			}
			for p, to := range row.links {
				nodes[p] = memtree.Link(to)
			}
			req := render.Request{Path: row.path, Jsonnet: row.options}
			res, err := render.Render(context.Background(), memtree.New(nodes), req)
			alike(t, memtree.New(nodes), req, res, err)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(row.want, summary(res)); d != "" {
				t.Errorf("objects (-want +got):\n%s", d)
			}
			if d := cmp.Diff(row.ignored, ignoredPaths(res)); d != "" {
				t.Errorf("ignored (-want +got):\n%s", d)
			}
			if row.renderer != "" && res.Renderer != row.renderer || row.why != "" && res.Why != row.why {
				t.Errorf("rendered by %s: %s", res.Renderer, res.Why)
			}
		})
	}
}

// TestBadJsonnet has what a repository can do wrong or mean ill by Jsonnet.
func TestBadJsonnet(t *testing.T) {
	one := func(text string) map[string]memtree.Node {
		return map[string]memtree.Node{"app/m.jsonnet": memtree.File(text)}
	}
	with := func(text, p string, n memtree.Node) map[string]memtree.Node {
		nodes := one(text)
		nodes[p] = n
		return nodes
	}
	secret := &jsonnet.Options{ExtVars: map[string]jsonnet.Var{"password": {Value: "hunter2", From: "Secret shop/db, key password"}}}
	for name, row := range map[string]struct {
		nodes   map[string]memtree.Node
		options *jsonnet.Options
		limits  render.Limits
		reason  string
		says    []string
	}{
		"does not parse":                  {nodes: one("{\n  a: 1\n  b: 2\n}"), reason: fault.JsonnetFailed, says: []string{"app/m.jsonnet:3: "}},
		"an error of its own":             {nodes: one("{\n  a: error 'no region',\n}"), reason: fault.JsonnetFailed, says: []string{"app/m.jsonnet:2: ", "no region"}},
		"in what it imports":              {nodes: with("import '../lib/l.libsonnet'", "lib/l.libsonnet", memtree.File("\n{a: b}")), reason: fault.JsonnetFailed, says: []string{"lib/l.libsonnet:2: "}},
		"an undefined variable":           {nodes: one("std.extVar('passwort')"), options: secret, reason: fault.JsonnetFailed, says: []string{"spec.render.jsonnet.extVars", "there is password"}},
		"a secret in an error":            {nodes: one("error 'x' + std.extVar('password')"), options: secret, reason: fault.JsonnetFailed},
		"a secret that is no object":      {nodes: one("std.extVar('password')"), options: secret, reason: fault.InvalidObject},
		"no such import":                  {nodes: one("\nimport 'nothing.libsonnet'"), reason: fault.PathNotFound, says: []string{"app/m.jsonnet:2: ", "nothing.libsonnet"}},
		"a vendored library":              {nodes: with("import 'l/l.libsonnet'", "vendor/l/l.libsonnet", memtree.File("{}")), reason: fault.PathNotFound, says: []string{"add /vendor to spec.render.jsonnet.libraryPaths"}},
		"above the root":                  {nodes: one("importstr '../../etc/passwd'"), reason: fault.EscapesRepository},
		"an absolute path":                {nodes: one("importstr '/etc/passwd'"), reason: fault.EscapesRepository},
		"a library path above":            {nodes: one("{}"), options: &jsonnet.Options{LibraryPaths: []string{"../lib"}}, reason: fault.EscapesRepository},
		"a link out":                      {nodes: with("importstr 'l'", "app/l", memtree.Link("/etc/passwd")), reason: fault.EscapesRepository},
		"a file that is a link out":       {nodes: with("{}", "app/l.jsonnet", memtree.Link("../../l.jsonnet")), reason: fault.EscapesRepository},
		"a file that is a dead link":      {nodes: with("{}", "app/l.jsonnet", memtree.Link("nothing")), reason: fault.PathNotFound, says: []string{"app/l.jsonnet"}},
		"links without end":               {nodes: with("import 'l'", "app/l", memtree.Link("l")), reason: fault.LinkLoop},
		"Git's own folder":                {nodes: with("importstr '.git/config'", "app/.git/config", memtree.File("x")), reason: fault.ForbiddenPath},
		"a URL":                           {nodes: one("import 'http://127.0.0.1/x'"), reason: fault.PathNotFound},
		"imports itself":                  {nodes: one("import 'm.jsonnet'"), reason: fault.JsonnetFailed},
		"a library path that is absolute": {nodes: one("{}"), options: &jsonnet.Options{LibraryPaths: []string{"/etc"}}, reason: fault.EscapesRepository},
		"a library path in Git's folder":  {nodes: with("importstr 'config'", ".git/config", memtree.File("x")), options: &jsonnet.Options{LibraryPaths: []string{".git"}}, reason: fault.ForbiddenPath},
		"YAML that is a bomb":             {nodes: with("std.parseYaml(importstr 'b')", "app/b", memtree.File(bomb(12, ""))), reason: fault.JsonnetFailed},
		"JSON nested deep":                {nodes: with("std.parseJson(importstr 'b')", "app/b", memtree.File(strings.Repeat("[", 1<<20))), reason: fault.JsonnetFailed},
		"an object in itself":             {nodes: one("local o = {o: o}; o"), reason: fault.JsonnetFailed},
		"imports in a circle":             {nodes: with("import 'n.libsonnet'", "app/n.libsonnet", memtree.File("import 'm.jsonnet'")), reason: fault.JsonnetFailed},
		"calls without end":               {nodes: one("local f(x) = f(x + 1) + 1; f(0)"), reason: fault.JsonnetFailed, says: []string{"500"}},
		"code nested deep":                {nodes: one(strings.Repeat("[", 100000) + strings.Repeat("]", 100000)), reason: fault.TooDeep},
		"deep by operators":               {nodes: one("{a: " + strings.Repeat("-", 1000000) + "1}"), reason: fault.TooDeep},
		"values nested deep":              {nodes: one("std.foldl(function(a, i) [a], std.range(1, 400), null)"), reason: fault.TooDeep},
		"large":                           {nodes: one(`{apiVersion: "v1", kind: "ConfigMap", metadata: {name: "a"}, data: {a: std.repeat("x", 2000)}}`), limits: render.Limits{ExpandedBytes: 1000}, reason: fault.TooLarge},
		"many objects":                    {nodes: one(`[` + object("a") + ` + {metadata: {name: "a" + i}} for i in std.range(1, 100)]`), limits: render.Limits{Objects: 50}, reason: fault.TooManyObjects},
		"many over several files":         {nodes: with("["+object("a")+", "+object("b")+"]", "app/n.jsonnet", memtree.File(object("c"))), limits: render.Limits{Objects: 2}, reason: fault.TooManyObjects},
		"an import that is large":         {nodes: with("importstr 'l'", "app/l", memtree.File(strings.Repeat("x", 2000))), limits: render.Limits{FileBytes: 1000}, reason: fault.TooLarge},
		"no UTF-8":                        {nodes: one("{a: '\xff'}"), reason: fault.InvalidObject},
		"the same object twice":           {nodes: with(object("a"), "app/a.yaml", memtree.File(configMap("a"))), reason: fault.DuplicateObject, says: []string{"app/a.yaml:1: ", "app/m.jsonnet"}},
		"half an object":                  {nodes: one("{a: {kind: 'ConfigMap'}}"), reason: fault.InvalidObject, says: []string{"a of its result"}},
		"nothing":                         {nodes: one("{a: null, b: []}"), reason: fault.NoObjects, says: []string{"evaluates to null"}},
		"text":                            {nodes: one("std.manifestYamlDoc({})"), reason: fault.InvalidObject, says: []string{"leave std.manifestYamlDoc"}},
		"a native function":               {nodes: one("std.native('exec')('true')"), reason: fault.JsonnetFailed},
	} {
		t.Run(name, func(t *testing.T) {
			req := render.Request{Path: "app", Jsonnet: row.options, Limits: row.limits}
			res, err := render.Render(context.Background(), memtree.New(row.nodes), req)
			alike(t, memtree.New(row.nodes), req, res, err)
			e := wantReason(t, err, row.reason)
			for _, part := range row.says {
				if !strings.Contains(e.Error(), part) {
					t.Errorf("the error does not say %q: %v", part, e)
				}
			}
			if strings.Contains(e.Error(), "hunter2") || len(e.Error()) > 1000 {
				t.Errorf("the error is too long, or has a secret: %v", e)
			}
			if len(res.Trace) == 0 {
				t.Error("there is no trace")
			}
		})
	}
}

// TestJsonnetReachesNothing: no connection, no program, no variable of the
// environment.
func TestJsonnetReachesNothing(t *testing.T) {
	w := newWorld(t)
	t.Setenv("ABIDE_TEST_SECRET", "hunter2")
	for _, text := range []string{
		"import 'http://" + w.addr + "/x.libsonnet'", "importstr 'https://" + w.addr + "/x'", "importbin 'git::http://" + w.addr + "/x'",
		"import 'file:///etc/passwd'", "std.extVar('ABIDE_TEST_SECRET')", "std.native('helmTemplate')('a', 'b', {})", "std.native('kustomizeBuild')('.')",
	} {
		tree := memtree.FromText(map[string]string{"app/m.jsonnet": text})
		_, err := render.Render(context.Background(), tree, render.Request{Path: "app"})
		if e := wantAny(t, err); strings.Contains(e.Error(), "hunter2") {
			t.Errorf("%s: %v", text, e)
		}
	}
	if n, c := w.connects.Load(), w.calls(t); n > 0 || c != "" {
		t.Errorf("%d connections, programs %q", n, c)
	}
}
