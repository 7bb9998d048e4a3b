package render_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/snapshot/memtree"
)

// world notices programs that are run and connections that are made.
type world struct {
	addr     string
	connects atomic.Int64
	log      string
}

// newWorld puts a git that only records its calls in front of everything, and
// listens on loopback.
func newWorld(t *testing.T) *world {
	t.Helper()
	dir := t.TempDir()
	w := &world{log: filepath.Join(dir, "calls")}
	script := "#!/bin/sh\necho \"$0 $*\" >>" + w.log + "\nexit 1\n"
	for _, name := range []string{"git", "helm", "ssh", "docker", "starlark"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir)
	t.Setenv("HOME", dir)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	w.addr = l.Addr().String()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			w.connects.Add(1)
			c.Close()
		}
	}()
	return w
}

func (w *world) calls(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(w.log)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return string(b)
}

// pathFields has a kustomization for each field that takes a path; %s is the
// path. Files named in aux lie next to it.
var pathFields = map[string]string{
	"resources":                          "resources: [%s]",
	"resources in capitals":              "ReSources: [%s]",
	"bases":                              "bases: [%s]",
	"components":                         "components: [%s]",
	"crds":                               "resources: [r.yaml]\ncrds: [%s]",
	"configurations":                     "resources: [r.yaml]\nconfigurations: [%s]",
	"openapi":                            "resources: [r.yaml]\nopenapi: {path: %s}",
	"patches":                            "resources: [r.yaml]\npatches: [{path: %s}]",
	"patchesStrategicMerge":              "resources: [r.yaml]\npatchesStrategicMerge: [%s]",
	"patchesJson6902":                    "resources: [r.yaml]\npatchesJson6902: [{path: %s, target: {version: v1, kind: ConfigMap, name: r}}]",
	"replacements":                       "resources: [r.yaml]\nreplacements: [{path: %s}]",
	"generators":                         "generators: [%s]",
	"transformers":                       "resources: [r.yaml]\ntransformers: [%s]",
	"validators":                         "resources: [r.yaml]\nvalidators: [%s]",
	"configMapGenerator.files":           "configMapGenerator: [{name: a, files: [%s]}]",
	"configMapGenerator.files with key":  "configMapGenerator: [{name: a, files: [%k]}]",
	"configMapGenerator.envs":            "configMapGenerator: [{name: a, envs: [%s]}]",
	"configMapGenerator.env":             "configMapGenerator: [{name: a, env: %s}]",
	"secretGenerator.files":              "secretGenerator: [{name: a, files: [%s]}]",
	"secretGenerator.envs":               "secretGenerator: [{name: a, envs: [%s]}]",
	"PatchTransformer inline":            inlinePlugin("PatchTransformer", "path: %s\n  target: {kind: ConfigMap}"),
	"PatchTransformer inline, capitals":  inlinePlugin("PatchTransformer", "PATH: %s\n  target: {kind: ConfigMap}"),
	"PatchJson6902Transformer inline":    inlinePlugin("PatchJson6902Transformer", "path: %s\n  target: {version: v1, kind: ConfigMap, name: r}"),
	"PatchStrategicMerge inline":         inlinePlugin("PatchStrategicMergeTransformer", "paths: [%s]"),
	"ReplacementTransformer inline":      inlinePlugin("ReplacementTransformer", "replacements: [{path: %s}]"),
	"ValueAddTransformer inline":         inlinePlugin("ValueAddTransformer", "targetFilePath: %s"),
	"ConfigMapGenerator inline":          strings.Replace(inlinePlugin("ConfigMapGenerator", "files: [%s]"), "transformers", "generators", 1),
	"SecretGenerator inline":             strings.Replace(inlinePlugin("SecretGenerator", "envs: [%s]"), "transformers", "generators", 1),
	"PatchTransformer in a file":         "resources: [r.yaml]\ntransformers: [plugin.yaml]\n#FILE apiVersion: builtin\n#FILE kind: PatchTransformer\n#FILE metadata: {name: x}\n#FILE path: %s\n#FILE target: {kind: ConfigMap}",
	"PatchTransformer in a folder":       "resources: [r.yaml]\ntransformers: [folder]\n#FOLDER apiVersion: builtin\n#FOLDER kind: PatchTransformer\n#FOLDER metadata: {name: x}\n#FOLDER path: %s\n#FOLDER target: {kind: ConfigMap}",
	"PatchTransformer in a list":         "resources: [r.yaml]\ntransformers: [plugin.yaml]\n#FILE apiVersion: v1\n#FILE kind: List\n#FILE items:\n#FILE - apiVersion: builtin\n#FILE   kind: PatchTransformer\n#FILE   metadata: {name: x}\n#FILE   path: %s",
	"PatchTransformer behind an alias":   "resources: [r.yaml]\ntransformers: [plugin.yaml]\n#FILE apiVersion: builtin\n#FILE kind: PatchTransformer\n#FILE metadata: {name: x, labels: {l: &p %s}}\n#FILE path: *p",
	"a base's resources":                 "resources: [base]\n#BASE resources: [%s]",
	"a base's patches behind an alias":   "resources: [base]\n#BASE namePrefix: &x %s\n#BASE patches: [{path: *x}]",
	"a component's resources":            "resources: [r.yaml]\ncomponents: [base]\n#BASE kind: Component\n#BASE resources: [%s]",
	"a component's generator":            "resources: [r.yaml]\ncomponents: [base]\n#BASE kind: Component\n#BASE configMapGenerator: [{name: a, envs: [%s]}]",
	"a plugin folder's resources":        "resources: [r.yaml]\ntransformers: [base]\n#BASE resources: [%s]",
	"a plugin folder's generators":       "generators: [base]\n#BASE generators: [%s]",
	"a plugin folder's openapi":          "generators: [base]\n#BASE openapi: {path: %s}",
	"helmGlobals.chartHome":              "helmGlobals: {chartHome: %s}\nhelmCharts: [{name: x}]",
	"helmCharts.valuesFile":              "helmCharts: [{name: x, valuesFile: %s}]",
	"helmCharts.valuesFile with inline":  "helmCharts: [{name: x, valuesFile: %s, valuesInline: {a: b}}]",
	"helmCharts.additionalValuesFiles":   "helmCharts: [{name: x, additionalValuesFiles: [%s]}]",
	"helmChartInflationGenerator.values": "helmChartInflationGenerator: [{chartName: x, values: %s}]",
	"HelmChartInflationGenerator inline": strings.Replace(inlinePlugin("HelmChartInflationGenerator", "name: x\n  repo: %s"), "transformers", "generators", 1),
}

// urlFields has one for each field that takes a URL only.
var urlFields = map[string]string{
	"helmCharts":                  "helmCharts: [{name: absent, repo: %s}]",
	"helmCharts with a version":   "helmCharts: [{name: absent, version: 1.0.0, repo: %s}]",
	"helmChartInflationGenerator": "helmChartInflationGenerator: [{chartName: absent, chartRepoUrl: %s}]",
}

func inlinePlugin(kind, fields string) string {
	return "resources: [r.yaml]\ntransformers:\n- |-\n  apiVersion: builtin\n  kind: " + kind + "\n  metadata: {name: x}\n  " + fields
}

const someConfigMap = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: r}\ndata: {a: b}\n"

// hostile makes the repository of one row of pathFields.
func hostile(text, value string) map[string]memtree.Node {
	text = strings.ReplaceAll(text, "%s", strconv.Quote(value))
	text = strings.ReplaceAll(text, "%k", strconv.Quote("k="+value))
	files := map[string]string{
		"app/r.yaml":              someConfigMap,
		"app/charts/x/Chart.yaml": "apiVersion: v2\nname: x\nversion: 1.0.0\n", "app/charts/x/values.yaml": "a: 1\n",
	}
	for line := range strings.Lines(text + "\n") {
		name := "app/kustomization.yaml"
		for prefix, file := range map[string]string{
			"#FILE ": "app/plugin.yaml", "#FOLDER ": "app/folder/plugin.yaml", "#BASE ": "app/base/kustomization.yaml",
		} {
			if rest, ok := strings.CutPrefix(line, prefix); ok {
				name, line = file, rest
			}
		}
		files[name] += line
	}
	if _, ok := files["app/folder/plugin.yaml"]; ok {
		files["app/folder/kustomization.yaml"] = "resources: [plugin.yaml]\n"
	}
	if b, ok := files["app/base/kustomization.yaml"]; ok && strings.Contains(b, "Component") {
		files["app/base/kustomization.yaml"] = "apiVersion: kustomize.config.k8s.io/v1alpha1\n" + b
	}
	nodes := map[string]memtree.Node{}
	for p, c := range files {
		nodes[p] = memtree.File(c)
	}
	return nodes
}

// TestNothingIsFetchedOrRun puts URLs of every form into every field that
// takes a path.
func TestNothingIsFetchedOrRun(t *testing.T) {
	w := newWorld(t)

	// The library does fetch: without this, the test would prove nothing.
	fsys := filesys.MakeFsInMemory()
	for _, url := range []string{"http://" + w.addr + "/x.yaml", "git@" + w.addr + ":a/b"} {
		if err := fsys.WriteFile("/kustomization.yaml", []byte("resources: ['"+url+"']")); err != nil {
			t.Fatal(err)
		}
		if _, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(fsys, "/"); err == nil {
			t.Fatalf("the library by itself took %s", url)
		}
	}
	if w.connects.Load() == 0 || w.calls(t) == "" {
		t.Fatalf("the test cannot see what the library does: %d connections, calls %q", w.connects.Load(), w.calls(t))
	}
	w.connects.Store(0)
	if err := os.Remove(w.log); err != nil {
		t.Fatal(err)
	}

	urls := []string{
		"http://ADDR/x.yaml", "HTTP://ADDR/x.yaml", "http:ADDR", "https://ADDR/x", "http://ADDR/a/b?ref=main",
		"ssh://git@ADDR/a/b", "git::http://ADDR/a/b", "git::git::ssh://ADDR/a/b", "git@ADDR:a/b.git", "user-1@ADDR/a/b",
		"github.com/a/b", "GitHub.com/a/b//c?ref=x", "github.com:a/b", "git@github.com:a/b", "file:///etc", "FILE:///tmp/x.git",
		" http://ADDR/x.yaml", "http://ADDR/x - y", "http://ADDR/x\n", "https:/ADDR/x",
	}
	fields := maps.Clone(pathFields)
	maps.Copy(fields, urlFields)
	for field, text := range fields {
		for _, url := range urls {
			url = strings.ReplaceAll(url, "ADDR", w.addr)
			t.Run(field+" "+url, func(t *testing.T) {
				_, err := render.Render(context.Background(), memtree.New(hostile(text, url)), render.Request{Path: "app"})
				var e *render.Error
				if !errors.As(err, &e) {
					t.Fatalf("want an error of the repository, got %v", err)
				}
				switch e.Reason {
				case fault.RemoteBaseNotAllowed, fault.HelmNotSupported, fault.PluginNotAllowed:
				default:
					t.Errorf("reason %s: %v", e.Reason, err)
				}
				if e.File == "" {
					t.Errorf("the error names no file: %v", err)
				}
			})
		}
	}
	if n := w.connects.Load(); n > 0 {
		t.Errorf("%d connections were made", n)
	}
	if c := w.calls(t); c != "" {
		t.Errorf("programs were run:\n%s", c)
	}
}

// TestNothingOutsideIsRead puts paths that leave the repository into every
// field that takes one, directly and by way of links.
func TestNothingOutsideIsRead(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret.yaml")
	if err := os.WriteFile(secret, []byte(someConfigMap), 0o644); err != nil {
		t.Fatal(err)
	}
	ways := map[string]struct {
		value string
		link  string
	}{
		"absolute path":      {value: secret},
		"above the root":     {value: "../../../" + secret},
		"up and to itself":   {value: "../../repository/app/r.yaml"},
		"absolute link":      {value: "out", link: secret},
		"relative link":      {value: "out", link: "../../" + secret},
		"link through a dir": {value: "out/secret.yaml", link: filepath.Dir(secret)},
		"link to itself":     {value: "out", link: "out"},
		"through .git":       {value: ".git/config"},
		"missing":            {value: "nothing-here"},
	}
	for field, text := range pathFields {
		for way, w := range ways {
			t.Run(field+" "+way, func(t *testing.T) {
				nodes := hostile(text, w.value)
				if w.link != "" {
					nodes["app/out"] = memtree.Link(w.link)
					nodes["app/base/out"] = memtree.Link(w.link)
					if _, ok := nodes["app/base/kustomization.yaml"]; !ok {
						delete(nodes, "app/base/out")
					}
				}
				nodes["app/.git/config"] = memtree.File("x")
				_, err := render.Render(context.Background(), memtree.New(nodes), render.Request{Path: "app"})
				var e *render.Error
				if !errors.As(err, &e) {
					t.Fatalf("want an error of the repository, got %v", err)
				}
				switch e.Reason {
				case fault.EscapesRepository, fault.LinkLoop, fault.ForbiddenPath, fault.PathNotFound,
					fault.HelmNotSupported, fault.PluginNotAllowed:
				default:
					t.Errorf("reason %s: %v", e.Reason, err)
				}
			})
		}
	}
}

// TestPluginsAreRefused has every way to name a program.
func TestPluginsAreRefused(t *testing.T) {
	w := newWorld(t)
	function := func(body string) string {
		return "apiVersion: example.com/v1\nkind: Fn\nmetadata:\n  name: f\n  annotations:\n    config.kubernetes.io/function: |\n      " + body
	}
	for name, plugin := range map[string]string{
		"exec plugin":        "apiVersion: someteam.example.com/v1\nkind: ExecMe\nmetadata: {name: x}\nargsOneLiner: x",
		"exec function":      function("exec: {path: /bin/true}"),
		"container function": function("container: {image: x}"),
		"starlark function":  function("starlark: {path: x.star, name: x}"),
		"starlark by URL":    function("starlark: {url: 'http://" + w.addr + "/x', name: x}"),
		"unknown builtin":    "apiVersion: builtin\nkind: RunIt\nmetadata: {name: x}",
		"group builtin":      "apiVersion: builtin/v1\nkind: PatchTransformer\nmetadata: {name: x}",
	} {
		for _, field := range []string{"generators", "transformers", "validators"} {
			t.Run(field+" "+name, func(t *testing.T) {
				tree := memtree.FromText(map[string]string{
					"kustomization.yaml": fmt.Sprintf("resources: [r.yaml]\n%s: [p.yaml]\n", field),
					"r.yaml":             someConfigMap,
					"p.yaml":             plugin,
				})
				_, err := render.Render(context.Background(), tree, render.Request{Path: "."})
				wantReason(t, err, fault.PluginNotAllowed)
			})
		}
	}
	if n, c := w.connects.Load(), w.calls(t); n > 0 || c != "" {
		t.Errorf("%d connections, calls %q", n, c)
	}
}

func wantReason(t *testing.T, err error, reason string) *render.Error {
	t.Helper()
	e := wantAny(t, err)
	if e.Reason != reason {
		t.Errorf("want %s, got %s: %v", reason, e.Reason, err)
	}
	return e
}

// wantAny wants an error for people.
func wantAny(t *testing.T, err error) *render.Error {
	t.Helper()
	var e *render.Error
	if !errors.As(err, &e) {
		t.Fatalf("want an error of the repository, got %v", err)
	}
	return e
}
