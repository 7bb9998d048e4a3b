package render_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/render/helm"
	"abide.dev/abide/internal/render/jsonnet"
	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/snapshot/memtree"
)

func configMap(name string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: " + name + "\n"
}

// printed is a result as YAML.
func printed(t *testing.T, res interface{ YAML() ([]byte, error) }) string {
	t.Helper()
	y, err := res.YAML()
	if err != nil {
		t.Fatal(err)
	}
	return string(y)
}

// summary is "name@file:line" of each object.
func summary(res *render.Result) []string {
	var out []string
	for _, o := range res.Objects {
		out = append(out, fmt.Sprintf("%s@%s:%d", o.GetName(), o.Origin.File, o.Origin.Line))
	}
	return out
}

func ignoredPaths(res *render.Result) []string {
	var out []string
	for _, i := range res.Ignored {
		out = append(out, i.Path)
	}
	return out
}

func TestFolder(t *testing.T) {
	for name, row := range map[string]struct {
		nodes    map[string]memtree.Node
		path     string
		want     []string
		ignored  []string
		renderer string
	}{
		"order is by path, then document": {
			nodes: map[string]memtree.Node{
				"a/b.yaml":   memtree.File("# head\n\n" + configMap("ab1") + "---\n# note\n" + configMap("ab2")),
				"a.yaml":     memtree.File(configMap("a")),
				"a-b.yml":    memtree.File(configMap("a-b")),
				"z/c/d.json": memtree.File(`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"d"}}`),
			},
			path: "./",
			want: []string{"a-b@a-b.yml:1", "a@a.yaml:1", "ab1@a/b.yaml:3", "ab2@a/b.yaml:9", "d@z/c/d.json:1"},
		},
		"other files, hidden ones and what is no object do not count": {
			nodes: map[string]memtree.Node{
				"a.yaml":              memtree.File(configMap("a")),
				"values.yaml":         memtree.File("replicas: 1\n"),
				"list.yaml":           memtree.File("- op: add\n"),
				"empty.yaml":          memtree.File("\n---\n# nothing\n---\n"),
				"README.md":           memtree.File("x"),
				".hidden.yaml":        memtree.File("{"),
				".github/wf.yaml":     memtree.File("on: push"),
				"vendor":              memtree.Submodule("0123456789012345678901234567890123456789"),
				"dangling":            memtree.Link("nowhere"),
				"docker-compose.yaml": memtree.File("services: {}\n"),
			},
			path:    ".",
			want:    []string{"a@a.yaml:1"},
			ignored: []string{"dangling", "docker-compose.yaml", "list.yaml", "values.yaml", "vendor"},
		},
		"ignore files": {
			nodes: map[string]memtree.Node{
				".abideignore":       memtree.File("*.tmp.yaml\n/only-root.yaml\n"),
				"app/.abideignore":   memtree.File("secret/\n!keep.tmp.yaml\n"),
				"app/a.yaml":         memtree.File(configMap("a")),
				"app/b.tmp.yaml":     memtree.File("{broken"),
				"app/keep.tmp.yaml":  memtree.File(configMap("keep")),
				"app/only-root.yaml": memtree.File(configMap("only-root")),
				"app/secret/x.yaml":  memtree.File("{broken"),
				"app/link.tmp.yaml":  memtree.Link("/etc/passwd"),
			},
			path:    "app",
			want:    []string{"a@app/a.yaml:1", "keep@app/keep.tmp.yaml:1", "only-root@app/only-root.yaml:1"},
			ignored: []string{"app/b.tmp.yaml", "app/link.tmp.yaml", "app/secret"},
		},
		"ignore files that can be executed count, links do not": {
			nodes: map[string]memtree.Node{
				".abideignore":         memtree.Exec("*.tmp.yaml\n"),
				"app/.abideignore":     memtree.Link("../ignore"),
				"app/sub/.abideignore": memtree.Exec("b.yaml\n"),
				"app/sub/a.yaml":       memtree.File(configMap("a")),
				"app/sub/b.yaml":       memtree.File("{broken"),
				"app/sub/c.tmp.yaml":   memtree.File("{broken"),
				"ignore":               memtree.File("*.yaml\n"),
			},
			path:    "app/sub",
			want:    []string{"a@app/sub/a.yaml:1"},
			ignored: []string{"app/sub/b.yaml", "app/sub/c.tmp.yaml"},
		},
		"a kustomization below is built": {
			nodes: map[string]memtree.Node{
				"a.yaml":                  memtree.File(configMap("a")),
				"k/kustomization.yaml":    memtree.File("namePrefix: k-\nresources: [r.yaml]\n"),
				"k/r.yaml":                memtree.File(configMap("r")),
				"k/sub/patch.yaml":        memtree.File("not: used"),
				"k/values.yaml":           memtree.File("{broken"),
				"comp/kustomization.yaml": memtree.File("apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nnamePrefix: x\n"),
				"z.yaml":                  memtree.File(configMap("z")),
			},
			path:    ".",
			want:    []string{"a@a.yaml:1", "k-r@k/r.yaml:1", "z@z.yaml:1"},
			ignored: []string{"comp"},
		},
		"lists": {
			nodes: map[string]memtree.Node{
				"a.yaml": memtree.File("apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: one}\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: two}\n"),
				"b.yaml": memtree.File("apiVersion: v1\nkind: ConfigMapList\nitems:\n- metadata: {name: three}\n"),
				"c.yaml": memtree.File("apiVersion: x.io/v1\nkind: AllowList\nmetadata: {name: four}\nitems: [{cidr: x}]\n"),
				"d.json": memtree.File("{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[\n{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"five\"}}]}"),
				"e.yaml": memtree.File("apiVersion: v1\nkind: List\nitems: []\n"),
			},
			path: ".",
			want: []string{"one@a.yaml:4", "two@a.yaml:7", "three@b.yaml:4", "four@c.yaml:1", "five@d.json:2"},
		},
		"links inside the tree": {
			nodes: map[string]memtree.Node{
				"shared/s.yaml": memtree.File(configMap("s")),
				"app/l.yaml":    memtree.Link("../shared/s.yaml"),
				"other/d":       memtree.Link("../app"),
			},
			path: "other",
			want: []string{"s@other/d/l.yaml:1"},
		},
		"a path through a link": {
			nodes: map[string]memtree.Node{
				"real/s.yaml": memtree.File(configMap("s")),
				"alias":       memtree.Link("real"),
			},
			path: "alias",
			want: []string{"s@real/s.yaml:1"},
		},
		"one file": {
			nodes: map[string]memtree.Node{"a.yaml": memtree.File(configMap("a")), "b.yaml": memtree.File("{broken")},
			path:  "a.yaml",
			want:  []string{"a@a.yaml:1"},
		},
		"a kustomization by its file": {
			nodes:    map[string]memtree.Node{"k/kustomization.yaml": memtree.File("resources: [a.yaml]"), "k/a.yaml": memtree.File(configMap("a"))},
			path:     "k/kustomization.yaml",
			want:     []string{"a@k/a.yaml:1"},
			renderer: render.Kustomize,
		},
		"Windows line ends and a byte order mark": {
			nodes: map[string]memtree.Node{"a.yaml": memtree.File("\ufeff" + strings.ReplaceAll(configMap("a")+"---\n"+configMap("b"), "\n", "\r\n"))},
			path:  ".",
			want:  []string{"a@a.yaml:1", "b@a.yaml:6"},
		},
		"same name, other kind or namespace": {
			nodes: map[string]memtree.Node{"a.yaml": memtree.File(configMap("a") + "---\n" + configMap("a") + "  namespace: x\n---\n" + strings.Replace(configMap("a"), "ConfigMap", "Secret", 1))},
			path:  ".",
			want:  []string{"a@a.yaml:1", "a@a.yaml:6", "a@a.yaml:12"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			res, err := render.Render(context.Background(), memtree.New(row.nodes), render.Request{Path: row.path})
			alike(t, memtree.New(row.nodes), render.Request{Path: row.path}, res, err)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(row.want, summary(res)); d != "" {
				t.Errorf("objects (-want +got):\n%s", d)
			}
			if d := cmp.Diff(row.ignored, ignoredPaths(res)); d != "" {
				t.Errorf("ignored (-want +got):\n%s", d)
			}
			if want := row.renderer; want != "" && res.Renderer != want {
				t.Errorf("renderer %s (%s)", res.Renderer, res.Why)
			}
			if _, err := json.Marshal(res); err != nil {
				t.Errorf("the result cannot be sent to another process: %v", err)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	one := func(name, text string) map[string]memtree.Node {
		return map[string]memtree.Node{name: memtree.File(text)}
	}
	for name, row := range map[string]struct {
		nodes  map[string]memtree.Node
		path   string
		reason string
		says   []string // parts of the message
	}{
		"missing path":       {nodes: one("apps/shop/a.yaml", configMap("a")), path: "apps/shpo", reason: fault.PathNotFound, says: []string{"apps/shpo", `did you mean "shop"`}},
		"missing deep path":  {nodes: one("apps/shop/a.yaml", configMap("a")), path: "x/y/z", reason: fault.PathNotFound, says: []string{"the root of the repository", `"x"`}},
		"path into a file":   {nodes: one("a.yaml", configMap("a")), path: "a.yaml/x", reason: fault.PathNotFound, says: []string{"a.yaml is no folder"}},
		"absolute path":      {nodes: one("a.yaml", configMap("a")), path: "/etc", reason: fault.EscapesRepository},
		"path above":         {nodes: one("a.yaml", configMap("a")), path: "../x", reason: fault.EscapesRepository},
		"path is a link out": {nodes: map[string]memtree.Node{"l": memtree.Link("../../etc")}, path: "l", reason: fault.EscapesRepository},
		"submodule":          {nodes: map[string]memtree.Node{"m": memtree.Submodule(strings.Repeat("1", 40))}, path: "m", reason: fault.SubmoduleNotSupported},
		"inside a submodule": {nodes: map[string]memtree.Node{"m": memtree.Submodule(strings.Repeat("1", 40))}, path: "m/x", reason: fault.PathNotFound, says: []string{"submodule"}},
		"other file":         {nodes: one("README.md", "x"), path: "README.md", reason: fault.InvalidPath},
		"git folder":         {nodes: one(".git/a.yaml", configMap("a")), path: ".git", reason: fault.ForbiddenPath},
		"chart below":        {nodes: map[string]memtree.Node{"c/Chart.yaml": memtree.File("name: x")}, path: ".", reason: fault.NestedChart, says: []string{"c/Chart.yaml", "make an App of it"}},
		"nothing":            {nodes: one("README.md", "x"), path: ".", reason: fault.NoObjects},
		"nothing but values": {nodes: one("values.yaml", "a: b"), path: ".", reason: fault.NoObjects, says: []string{"values.yaml"}},
		"kustomize nothing":  {nodes: one("kustomization.yaml", "namePrefix: x"), path: ".", reason: fault.NoObjects},
		"broken YAML":        {nodes: one("a.yaml", configMap("a")+"---\na: b\nc: d: e\n"), path: ".", reason: fault.InvalidYAML, says: []string{"a.yaml:7: "}},
		"tab":                {nodes: one("a.yaml", "a: b\n\tc: d\n"), path: ".", reason: fault.InvalidYAML, says: []string{"a.yaml:2: "}},
		"broken JSON":        {nodes: one("a.json", "{\"a\": 1,\n \"b\": }\n"), path: ".", reason: fault.InvalidYAML, says: []string{"a.json:2: "}},
		"unfinished JSON":    {nodes: one("a.json", "{\"a\": 1,\n"), path: ".", reason: fault.InvalidYAML, says: []string{"ends too early"}},
		"duplicate key":      {nodes: one("a.yaml", "\n# x\n"+configMap("a")+"kind: Secret\n"), path: ".", reason: fault.InvalidYAML, says: []string{"a.yaml:7: ", "kind"}},
		"duplicate JSON key": {nodes: one("a.json", "{\"apiVersion\": \"v1\",\n\"kind\": \"A\",\n\"kind\": \"B\"}"), path: ".", reason: fault.InvalidYAML, says: []string{"a.json:3: ", "kind"}},
		"no kind":            {nodes: one("a.yaml", "# x\napiVersion: v1\nmetadata: {name: a}\n"), path: ".", reason: fault.InvalidObject, says: []string{"a.yaml:2: ", "no kind"}},
		"no apiVersion":      {nodes: one("a.yaml", "kind: ConfigMap\nmetadata: {name: a}\n"), path: ".", reason: fault.InvalidObject, says: []string{"no apiVersion", ".abideignore"}},
		"no name":            {nodes: one("a.yaml", "apiVersion: v1\nkind: ConfigMap\n"), path: ".", reason: fault.InvalidObject, says: []string{"a.yaml:1: ", "metadata.name"}},
		"name is a number":   {nodes: one("a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: 1}\n"), path: ".", reason: fault.InvalidObject},
		"generateName":       {nodes: one("a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: a-}\n"), path: ".", reason: fault.InvalidObject, says: []string{"generateName"}},
		"kind is a list":     {nodes: one("a.yaml", "apiVersion: v1\nkind: []\nmetadata: {name: a}\n"), path: ".", reason: fault.InvalidObject},
		"metadata is a list": {nodes: one("a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: []\n"), path: ".", reason: fault.InvalidObject},
		"half an item":       {nodes: one("a.yaml", "apiVersion: v1\nkind: List\nitems:\n- kind: ConfigMap\n"), path: ".", reason: fault.InvalidObject, says: []string{"a.yaml:4: "}},
		"twice":              {nodes: map[string]memtree.Node{"a.yaml": memtree.File(configMap("x")), "b/c.yaml": memtree.File("---\n" + configMap("x"))}, path: ".", reason: fault.DuplicateObject, says: []string{"b/c.yaml:2: ", "ConfigMap x", "a.yaml:1"}},
		"twice, API version": {nodes: one("a.yaml", "apiVersion: a.io/v1\nkind: A\nmetadata: {name: x}\n---\napiVersion: a.io/v2\nkind: A\nmetadata: {name: x}\n"), path: ".", reason: fault.DuplicateObject},
		"link out":           {nodes: map[string]memtree.Node{"a.yaml": memtree.Link("/etc/passwd")}, path: ".", reason: fault.EscapesRepository, says: []string{"a.yaml"}},
		"folder link out":    {nodes: map[string]memtree.Node{"a": memtree.Link("../..")}, path: ".", reason: fault.EscapesRepository},
		"link loop":          {nodes: map[string]memtree.Node{"a.yaml": memtree.Link("b.yaml"), "b.yaml": memtree.Link("a.yaml")}, path: ".", reason: fault.LinkLoop},
		"link to its folder": {nodes: map[string]memtree.Node{"d/a.yaml": memtree.File(configMap("a")), "d/up": memtree.Link("..")}, path: ".", reason: fault.LinkLoop},
		"dangling manifest":  {nodes: map[string]memtree.Node{"a.yaml": memtree.Link("nothing")}, path: ".", reason: fault.PathNotFound, says: []string{"a.yaml"}},
		"large ignore file":  {nodes: map[string]memtree.Node{".abideignore": memtree.File(strings.Repeat("a\n", 5000)), "a.yaml": memtree.File(configMap("a"))}, path: ".", reason: fault.InvalidIgnoreFile, says: []string{".abideignore"}},
	} {
		t.Run(name, func(t *testing.T) {
			res, err := render.Render(context.Background(), memtree.New(row.nodes), render.Request{Path: row.path})
			alike(t, memtree.New(row.nodes), render.Request{Path: row.path}, res, err)
			e := wantReason(t, err, row.reason)
			for _, part := range row.says {
				if !strings.Contains(e.Error(), part) {
					t.Errorf("the error does not say %q: %v", part, e)
				}
			}
			if res == nil || len(res.Objects) > 0 {
				t.Errorf("a failed render gives %+v", res)
			}
		})
	}
}

// TestNumbers keeps the types that Kubernetes gives to numbers.
func TestNumbers(t *testing.T) {
	text := configMap("a") + `v: [1, -2, 1.5, 1.0, 1e3, 0x10, 9223372036854775807, 18446744073709551615, 1e30, true, yes, "1", 012, null, 2001-01-01]
`
	tree := memtree.FromText(map[string]string{"a.yaml": text})
	res, err := render.Render(context.Background(), tree, render.Request{Path: "."})
	alike(t, tree, render.Request{Path: "."}, res, err)
	if err != nil {
		t.Fatal(err)
	}
	want := []any{int64(1), int64(-2), 1.5, int64(1), int64(1000), int64(16), int64(9223372036854775807), 18446744073709551615.0, 1e30, true, true, "1", int64(10), nil, "2001-01-01"}
	if d := cmp.Diff(want, res.Objects[0].Object["v"]); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestTraceIsComplete edits a repository at random: where the trace of a
// result is still valid, rendering again has to give the same.
func TestTraceIsComplete(t *testing.T) {
	base := map[string]memtree.Node{
		"plain/a.yaml":                  memtree.File(configMap("a")),
		"plain/sub/b.yaml":              memtree.File(configMap("b")),
		"plain/k/kustomization.yaml":    memtree.File("resources: [../../base]\nnamePrefix: k-\n"),
		"plain/link.yaml":               memtree.Link("../shared/l.yaml"),
		"shared/l.yaml":                 memtree.File(configMap("l")),
		"base/kustomization.yaml":       memtree.File("resources: [r.yaml]\n"),
		"base/r.yaml":                   memtree.File(configMap("r")),
		"overlay/kustomization.yaml":    memtree.File("resources: [../base, dir]\nconfigMapGenerator: [{name: g, files: [f.txt]}]\n"),
		"overlay/f.txt":                 memtree.File("x"),
		"overlay/dir":                   memtree.Link("../shared/k"),
		"shared/k/kustomization.yaml":   memtree.File("resources: [s.yaml]\n"),
		"shared/k/s.yaml":               memtree.File(configMap("s")),
		"unused/x.yaml":                 memtree.File(configMap("x")),
		"overlay2/kustomization.yaml":   memtree.File("resources: [../base]\ncomponents: [../comp]\n"),
		"comp/kustomization.yaml":       memtree.File("apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nnameSuffix: -c\n"),
		"overlay3/kustomization.yaml":   memtree.File("resources: [missing.yaml]\n"),
		"overlay4/deep/x/manifest.yaml": memtree.File(configMap("deep")),
		"chart/Chart.yaml":              memtree.File(chartYAML),
		"chart/.helmignore":             memtree.File("README.md\n"),
		"chart/templates/a.yaml":        memtree.File(configMap("{{ .Values.name }}") + "data: {files: {{ range $n, $_ := .Files.Glob \"**\" }}{{ $n }}{{ end }}}\n"),
		"chart/templates/dir":           memtree.Link("../../shared"),
		"chart/charts/sub/Chart.yaml":   memtree.File("apiVersion: v2\nname: sub\nversion: 1.0.0\n"),
		"shared/values.yaml":            memtree.File("name: shared\n"),
		"jsonnet/m.jsonnet":             memtree.File("[import 'o.libsonnet', import 'a.json'] + (import 'l.libsonnet')"),
		"jsonnet/o.libsonnet":           memtree.File(object("o")),
		"jsonnet/a.json":                memtree.File(object("json")),
		"jsonnet/b.yaml":                memtree.File(configMap("b")),
		"jsonnet/lib/l.libsonnet":       memtree.File("[importstr '../../shared/l.yaml', 1]"),
		"shared/lib/l.libsonnet":        memtree.File("[]"),
	}
	libraries := &jsonnet.Options{LibraryPaths: []string{"jsonnet/lib", "shared/lib"}}
	options := &helm.Options{ValuesFiles: []helm.ValuesFile{{Path: "shared/values.yaml"}, {Path: "shared/k/README.md", Optional: true}}}
	contents := []memtree.Node{
		memtree.File(configMap("new")), memtree.File("{broken"), memtree.File("resources: [r.yaml]\n"), memtree.File(""),
		memtree.Exec(configMap("a")), memtree.Link("../base"), memtree.Link("r.yaml"), memtree.Link("../../x"), memtree.File("*.yaml\n"),
		memtree.File("namePrefix: p-\nresources: [a.yaml]\n"), memtree.File("name: other\n"),
		memtree.File(object("new")), memtree.File("[]"),
	}
	names := []string{".abideignore", "kustomization.yaml", "kustomization.yml", "Chart.yaml", "a.yaml", "z.yaml", "README.md", "missing.yaml", "sub", "dir", "f.txt", "r.yaml", ".helmignore", "values.yaml", "m.jsonnet", "l.libsonnet", "o.libsonnet"}
	dirs := []string{"", "plain/", "plain/sub/", "plain/k/", "shared/", "shared/k/", "base/", "overlay/", "overlay2/", "overlay3/", "overlay4/", "overlay4/deep/", "comp/", "unused/", "nowhere/", "chart/", "chart/templates/", "chart/charts/sub/", "jsonnet/", "jsonnet/lib/", "shared/lib/"}
	paths := []string{"plain", "overlay", "overlay2", "overlay3", "base", "overlay4", "nowhere/at/all", "plain/a.yaml", "overlay/dir", "chart", "jsonnet", "jsonnet/m.jsonnet"}
	rng := rand.New(rand.NewPCG(1, 2))

	outcome := func(tree snapshot.Tree, p string) (string, render.Trace) {
		req := render.Request{Path: p, Text: true, Helm: options, Jsonnet: libraries}
		res, err := render.Render(context.Background(), tree, req)
		alike(t, tree, req, res, err)
		if err != nil {
			return "error: " + err.Error(), res.Trace
		}
		return fmt.Sprint(printed(t, res), summary(res), res.Ignored, res.Renderer), res.Trace
	}
	type kept struct {
		text  string
		trace render.Trace
	}
	valid, invalid, spared := 0, 0, 0
	for range 60 {
		nodes := map[string]memtree.Node{}
		for p, n := range base {
			nodes[p] = n
		}
		before := map[string]kept{}
		tree := memtree.New(nodes)
		index := render.NewIndex[string]()
		for _, p := range paths {
			text, trace := outcome(tree, p)
			before[p] = kept{text, trace}
			index.Put(p, trace)
		}
		was := maps.Clone(nodes)
		for range 1 + rng.IntN(4) {
			edit(rng, nodes, dirs, names, contents)
		}
		tree = memtree.New(nodes)
		concerned := index.Concerned(changes(was, nodes))
		for _, p := range paths {
			ok, err := before[p].trace.Valid(tree)
			if err != nil {
				t.Fatal(err)
			}
			after, trace := outcome(tree, p)
			if ok {
				valid++
				if d := cmp.Diff(before[p].text, after); d != "" {
					t.Fatalf("the trace of %s is valid and the result another:\n%s\ntrace %+v", p, d, before[p].trace)
				}
			} else {
				invalid++
				if !concerned[p] {
					t.Fatalf("the changes %v make the trace of %s invalid, and the index does not find it", changes(was, nodes), p)
				}
			}
			if !concerned[p] {
				spared++
			}
			if again, err := trace.Valid(tree); err != nil || !again {
				t.Fatalf("the trace of %s is not valid for the tree it was made from: %v", p, err)
			}
			if !slices.IsSortedFunc(trace, func(a, b render.Access) int {
				return strings.Compare(a.Path+"\x00"+string(a.Op), b.Path+"\x00"+string(b.Op))
			}) {
				t.Fatalf("the trace of %s is not in order", p)
			}
		}
	}
	if valid < 50 || invalid < 50 || spared < valid/2 {
		t.Errorf("the test is lopsided: %d valid, %d not, %d spared by the index", valid, invalid, spared)
	}
}

// changes lists where two trees differ, as a comparison of two commits does.
func changes(was, now map[string]memtree.Node) []render.Changed {
	var out []render.Changed
	for p, n := range now {
		if old, there := was[p]; !there || old != n {
			out = append(out, render.Changed{Path: p, Listing: !there || old.Kind != n.Kind})
		}
	}
	for p := range was {
		if _, there := now[p]; !there {
			out = append(out, render.Changed{Path: p, Listing: true})
		}
	}
	return out
}

// edit adds, changes or removes one path.
func edit(rng *rand.Rand, nodes map[string]memtree.Node, dirs, names []string, contents []memtree.Node) {
	p := dirs[rng.IntN(len(dirs))] + names[rng.IntN(len(names))]
	if rng.IntN(3) == 0 {
		all := make([]string, 0, len(nodes))
		for q := range nodes {
			all = append(all, q)
		}
		slices.Sort(all)
		p = all[rng.IntN(len(all))]
		if rng.IntN(2) == 0 {
			delete(nodes, p)
			return
		}
	}
	for q := range nodes { // a file takes the place of a folder, and the other way round
		if strings.HasPrefix(q, p+"/") || strings.HasPrefix(p, q+"/") {
			delete(nodes, q)
		}
	}
	nodes[p] = contents[rng.IntN(len(contents))]
}

func TestTracePrecision(t *testing.T) {
	files := map[string]string{
		"app/kustomization.yaml": "resources: [../base]\n", "base/kustomization.yaml": "resources: [r.yaml]\n",
		"base/r.yaml": configMap("r"), "base/README.md": "x", "plain/a.yaml": configMap("a"), "other/b.yaml": configMap("b"),
		"jsonnet/m.jsonnet": "import 'l.libsonnet'", "jsonnet/sub/a.yaml": configMap("a"), "lib/l.libsonnet": object("l"),
	}
	for name, row := range map[string]struct {
		path string
		edit map[string]memtree.Node
		want bool
	}{
		"another folder":                    {"app", map[string]memtree.Node{"other/b.yaml": memtree.File("x")}, true},
		"a file no kustomization names":     {"app", map[string]memtree.Node{"base/README.md": memtree.File("y"), "base/n.yaml": memtree.File("x")}, true},
		"a base's file":                     {"app", map[string]memtree.Node{"base/r.yaml": memtree.File(configMap("q"))}, false},
		"only its mode":                     {"app", map[string]memtree.Node{"base/r.yaml": memtree.Exec(configMap("r"))}, false},
		"a second kustomization":            {"app", map[string]memtree.Node{"base/Kustomization": memtree.File("x")}, false},
		"a chart next to it is not read":    {"app", map[string]memtree.Node{"app/Chart.yaml": memtree.File("x")}, true},
		"a file more in a plain folder":     {"plain", map[string]memtree.Node{"plain/b.yaml": memtree.File("x")}, false},
		"an ignore file at the root":        {"plain", map[string]memtree.Node{".abideignore": memtree.File("x")}, false},
		"Jsonnet in a plain folder":         {"plain", map[string]memtree.Node{"plain/m.jsonnet": memtree.File("x")}, false},
		"a library nobody imports":          {"jsonnet", map[string]memtree.Node{"lib/other.libsonnet": memtree.File("x"), "jsonnet/sub/x.yaml": memtree.File("x")}, true},
		"a library":                         {"jsonnet", map[string]memtree.Node{"lib/l.libsonnet": memtree.File("{}")}, false},
		"a library nearer by":               {"jsonnet", map[string]memtree.Node{"jsonnet/l.libsonnet": memtree.File("{}")}, false},
		"a kustomization in a plain folder": {"plain", map[string]memtree.Node{"plain/kustomization.yaml": memtree.File("x")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			nodes := map[string]memtree.Node{}
			for p, c := range files {
				nodes[p] = memtree.File(c)
			}
			res, err := render.Render(context.Background(), memtree.New(nodes), render.Request{Path: row.path, Jsonnet: &jsonnet.Options{LibraryPaths: []string{"lib"}}})
			if err != nil {
				t.Fatal(err)
			}
			for p, n := range row.edit {
				nodes[p] = n
			}
			got, err := res.Trace.Valid(memtree.New(nodes))
			if err != nil || got != row.want {
				t.Errorf("valid is %v (%v), want %v; trace %+v", got, err, row.want, res.Trace)
			}
		})
	}
}

func TestKustomizeOrigins(t *testing.T) {
	tree := memtree.FromText(map[string]string{
		"app/kustomization.yaml":  "namePrefix: p-\nresources: [../base, own.yaml]\nconfigMapGenerator: [{name: g, literals: [a=b]}]\npatches:\n- patch: '[{\"op\": \"replace\", \"path\": \"/metadata/name\", \"value\": \"renamed\"}]'\n  target: {name: own, kind: ConfigMap}\n",
		"app/own.yaml":            "# note\n\n" + configMap("own"),
		"base/kustomization.yaml": "nameSuffix: -s\nresources: [r.yaml]\n",
		"base/r.yaml":             configMap("one") + "---\n" + configMap("two") + "  namespace: x\n",
	})
	res, err := render.Render(context.Background(), tree, render.Request{Path: "app"})
	if err != nil {
		t.Fatal(err)
	}
	got := summary(res)
	for i, s := range got {
		if strings.HasPrefix(s, "p-g-") { // its hash is not what this is about
			got[i] = "p-g" + s[strings.Index(s, "@"):]
		}
	}
	slices.Sort(got)
	want := []string{"p-g@app/kustomization.yaml:0", "p-one-s@base/r.yaml:1", "p-renamed@app/kustomization.yaml:0", "p-two-s@base/r.yaml:6"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if res.Warnings != nil {
		t.Errorf("warnings %v", res.Warnings)
	}
}
