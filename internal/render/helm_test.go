package render_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
	"helm.sh/helm/v4/pkg/chart/common/util"

	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/render/helm"
	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/snapshot/memtree"
)

const chartYAML = "apiVersion: v2\nname: app\nversion: 1.0.0\n"

// chartOf is a chart in the folder app, of files named from there.
func chartOf(files map[string]string) map[string]memtree.Node {
	nodes := map[string]memtree.Node{"app/Chart.yaml": memtree.File(chartYAML)}
	for name, text := range files {
		nodes["app/"+name] = memtree.File(text)
	}
	return nodes
}

// template is a chart of one template, which gives a ConfigMap with data.
func template(data string) map[string]memtree.Node {
	return chartOf(map[string]string{"templates/a.yaml": configMap("a") + "data:\n  " + data + "\n"})
}

func renderChart(nodes map[string]memtree.Node, o helm.Options) (*render.Result, error) {
	return render.Render(context.Background(), memtree.New(nodes), render.Request{Path: "app", Text: true, Helm: &o})
}

// data is the data of the first object.
func data(t *testing.T, res *render.Result, err error) map[string]any {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	m, _ := res.Objects[0].Object["data"].(map[string]any)
	return m
}

func TestChart(t *testing.T) {
	var hooks archive
	for _, a := range chartArchives(t) {
		if a.name == "hooks" {
			hooks = a
		}
	}
	res, err := renderChart(hooks.nodes, helm.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if res.Renderer != render.Helm || res.Why != "there is a Chart.yaml in it" {
		t.Errorf("rendered by %s: %s", res.Renderer, res.Why)
	}
	want := []string{"bees.example.com@app/crds/b.yaml:1", "wasps.example.com@app/crds/b.yaml:5",
		"cats.example.com@app/crds/c.json:1", "ants.example.com@app/crds/deep/a.yml:2", "kept@app/templates/hooks.yaml:0"}
	if d := cmp.Diff(want, summary(res)); d != "" {
		t.Errorf("objects, definitions first (-want +got):\n%s", d)
	}
	var got []string
	for _, h := range res.Hooks {
		got = append(got, fmt.Sprint(h.Object.GetKind(), " ", h.Object.GetName(), h.Object.GetGenerateName(), " ", h.Object.Origin.File, " ", h.Events, " ", h.Weight, " ", h.DeletePolicies))
	}
	want = []string{
		"ConfigMap script app/templates/hooks.yaml [pre-install] 0 []",
		"Pod ask app/templates/tests/test.yaml [test] 0 []",
		"Pod ask-as-of-old app/templates/tests/test.yaml [test] 0 []",
		"Job migrate app/templates/hooks.yaml [pre-install pre-upgrade] -5 [before-hook-creation hook-succeeded]",
		"Job after- app/templates/hooks.yaml [post-install] 0 []",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("hooks (-want +got):\n%s", d)
	}
	if len(res.Ignored) != 1 || res.Ignored[0].Path != "app/templates/hooks.yaml" || !strings.Contains(res.Ignored[0].Reason, "ConfigMap strange is a hook of an event that Helm does not know") {
		t.Errorf("ignored: %+v", res.Ignored)
	}
	if y, err := res.YAML(); err != nil || string(y) != string(res.Text) {
		t.Errorf("the text is not what was asked for: %v", err)
	}
	if _, err := json.Marshal(res); err != nil {
		t.Errorf("the result cannot be sent to another process: %v", err)
	}
	res, err = renderChart(hooks.nodes, helm.Options{SkipTests: true, SkipCRDs: true})
	if err != nil || len(res.Hooks) != 3 || len(res.Objects) != 1 {
		t.Errorf("without tests and definitions: %d hooks, %d objects, %v", len(res.Hooks), len(res.Objects), err)
	}
}

// TestChartOrigins: aliases and archives lead back to the files that are there.
func TestChartOrigins(t *testing.T) {
	for _, a := range chartArchives(t) {
		if a.name != "subcharts" {
			continue
		}
		res, err := render.Render(context.Background(), memtree.New(a.nodes), render.Request{Path: "umbrella"})
		if err != nil {
			t.Fatal(err)
		}
		got := summary(res)
		slices.Sort(got)
		want := []string{
			"release-name-admin@umbrella/charts/web/templates/web.yaml:0",
			"release-name-cache@umbrella/charts/cache-2.1.0.tgz/templates/cache.yaml:0",
			"release-name-umbrella-charts-admin-charts-inner-templates@umbrella/charts/web/charts/inner/templates/inner.yaml:0",
			"release-name-umbrella-charts-web-charts-inner-templates@umbrella/charts/web/charts/inner/templates/inner.yaml:0",
			"release-name-umbrella@umbrella/templates/all.yaml:0",
			"release-name-web@umbrella/charts/web/templates/web.yaml:0",
			"unlisted@umbrella/charts/unlisted/templates/u.yaml:0",
			"webs.example.com@umbrella/charts/web/crds/web.yaml:1",
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
	}
}

// TestChartOfArchive: the path may be an archive, and its Chart.yaml a folder.
func TestChartOfArchive(t *testing.T) {
	files := map[string]string{"app/Chart.yaml": chartYAML, "app/templates/a.yaml": configMap("a")}
	tree := memtree.FromText(map[string]string{"charts/app-1.0.0.tgz": pack(t, files)})
	res, err := render.Render(context.Background(), tree, render.Request{Path: "charts/app-1.0.0.tgz"})
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"a@charts/app-1.0.0.tgz/templates/a.yaml:0"}, summary(res)); d != "" {
		t.Error(d)
	}
}

func TestChartValues(t *testing.T) {
	nodes := template("v: {{ toJson .Values | quote }}")
	nodes["app/values.yaml"] = memtree.File("a: chart\nb: chart\nc: chart\nd: chart\nl: [{x: 1}, {x: 2}]\n")
	nodes["v/one.yaml"] = memtree.File("b: one\nc: one\nd: one\n")
	nodes["v/two.yaml"] = memtree.File("b: two\n")
	nodes["$other/three.yaml"] = memtree.File("b: three\n")
	for name, row := range map[string]struct {
		options helm.Options
		want    string
	}{
		"the chart's own": {helm.Options{}, `{"a":"chart","b":"chart","c":"chart","d":"chart","l":[{"x":1},{"x":2}]}`},
		"each overrides the former": {helm.Options{
			ValuesFiles: []helm.ValuesFile{{Path: "v/one.yaml"}, {Path: "v/gone.yaml", Optional: true}, {Path: "v/two.yaml"}},
			ValuesFrom:  []helm.ValuesSource{{Source: "s", Data: "c: from\nd: from\n"}},
			Values:      `{"d": "inline"}`,
		}, `{"a":"chart","b":"two","c":"from","d":"inline","l":[{"x":1},{"x":2}]}`},
		"the order of files counts": {helm.Options{
			ValuesFiles: []helm.ValuesFile{{Path: "v/two.yaml"}, {Path: "./v/../v/one.yaml"}},
		}, `{"a":"chart","b":"one","c":"one","d":"one","l":[{"x":1},{"x":2}]}`},
		"a file of another source": {helm.Options{
			ValuesFiles: []helm.ValuesFile{{Path: "$other/three.yaml"}},
		}, `{"a":"chart","b":"three","c":"chart","d":"chart","l":[{"x":1},{"x":2}]}`},
		"null takes a value away": {helm.Options{Values: "a: null\nl: null"}, `{"b":"chart","c":"chart","d":"chart"}`},
		"a string in its place, whatever is in it": {helm.Options{
			ValuesFrom: []helm.ValuesSource{{Source: "s", TargetPath: `e.f\.g.h[1]`, Data: "1, {x}=[y]\nz: \"w\""}, {Source: "s", TargetPath: "a", Data: "true"}},
		}, `{"a":"true","b":"chart","c":"chart","d":"chart","e":{"f.g":{"h":[null,"1, {x}=[y]\nz: \"w\""]}},"l":[{"x":1},{"x":2}]}`},
		"a string in a list of an earlier source": {helm.Options{
			Values:     "d: 4",
			ValuesFrom: []helm.ValuesSource{{Source: "s", Data: "l: [{x: 8}, {x: 9}]"}, {Source: "t", TargetPath: "l[1].x", Data: "here"}},
		}, `{"a":"chart","b":"chart","c":"chart","d":4,"l":[{"x":8},{"x":"here"}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			res, err := renderChart(nodes, row.options)
			if d := cmp.Diff(row.want, data(t, res, err)["v"]); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestChartErrors(t *testing.T) {
	secret := func(data, at string) helm.Options {
		return helm.Options{ValuesFrom: []helm.ValuesSource{{Source: "Secret shop/v, key k", Data: data, TargetPath: at}}}
	}
	for name, row := range map[string]struct {
		nodes   map[string]memtree.Node
		options helm.Options
		reason  string
		says    []string // parts of the message
	}{
		"a helper, used by a template": {
			chartOf(map[string]string{"templates/_h.tpl": "{{ define \"h\" }}\n{{ .Values.a.b.c }}{{ end }}", "templates/a.yaml": "a: b\nc: {{ include \"h\" . }}\n"}),
			helm.Options{}, fault.HelmFailed,
			[]string{"app/templates/_h.tpl:2: ", "at <.Values.a.b.c>: nil pointer evaluating interface {}.b", "used by app/templates/a.yaml:2", "a value on the way to it is not set"}},
		"what the chart asks for": {
			template("v: {{ required \"set the colour\" .Values.colour }}"), helm.Options{}, fault.HelmFailed,
			[]string{"app/templates/a.yaml:6: set the colour; ", "set the value that it asks for"}},
		"a failing chart below, under its alias": {
			map[string]memtree.Node{
				"app/Chart.yaml":                memtree.File(chartYAML + "dependencies: [{name: sub, alias: other, version: 1.0.0}]"),
				"app/charts/sub/Chart.yaml":     memtree.File("apiVersion: v2\nname: sub\nversion: 1.0.0\n"),
				"app/charts/sub/templates/x.js": memtree.File("{{ fail \"no\" }}"),
			}, helm.Options{}, fault.HelmFailed, []string{"app/charts/sub/templates/x.js:1: no"}},
		"text given to tpl": {
			template("v: {{ tpl .Values.t . }}"), helm.Options{Values: "t: '{{ .Values.x.y }} and much more'"}, fault.HelmFailed,
			[]string{"app/templates/a.yaml:6: ", "nil pointer"}},
		"no YAML comes out": {
			chartOf(map[string]string{"templates/a.yaml": configMap("a") + "---\n" + configMap("b") + "data:\n  x: {{ \"y\\nz: w\" }}\n   v: u\n"}), helm.Options{}, fault.InvalidYAML,
			[]string{"app/templates/a.yaml: ", "line 13 of it", "nindent"}},
		"no object comes out": {
			chartOf(map[string]string{"templates/a.yaml": "some: thing\n"}), helm.Options{}, fault.InvalidObject,
			[]string{"app/templates/a.yaml: ", "neither apiVersion nor kind"}},
		"half an object comes out": {
			chartOf(map[string]string{"templates/a.yaml": "kind: ConfigMap\n"}), helm.Options{}, fault.InvalidObject, []string{"app/templates/a.yaml: ", "no apiVersion"}},
		"annotations that are a list": {
			chartOf(map[string]string{"templates/a.yaml": configMap("a") + "  annotations: [a]"}), helm.Options{}, fault.InvalidObject,
			[]string{"app/templates/a.yaml: ", "quote them"}},
		"a name made by the server": {
			chartOf(map[string]string{"templates/a.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: a-}\n"}), helm.Options{}, fault.InvalidObject, []string{"generateName"}},
		"the same object twice": {
			chartOf(map[string]string{"templates/a.yaml": configMap("a"), "templates/b.yaml": configMap("a")}), helm.Options{}, fault.DuplicateObject, []string{"app/templates/b.yaml: ", "also in app/templates/a.yaml"}},
		"nothing comes out": {chartOf(map[string]string{"templates/a.yaml": "{{ if false }}x{{ end }}"}), helm.Options{}, fault.NoObjects, []string{"with these values"}},
		"nothing but a hook": {
			chartOf(map[string]string{"templates/a.yaml": configMap("a") + "  annotations: {helm.sh/hook: test}"}), helm.Options{}, fault.NoObjects, []string{"1 hooks or tests"}},
		"a chart that is missing, and locked": {
			chartOf(map[string]string{"Chart.yaml": chartYAML + "dependencies: [{name: redis, version: 18.x, repository: 'https://charts.example'}]", "Chart.lock": "dependencies: [{name: redis, version: 18.1.0}]"}),
			helm.Options{}, fault.MissingDependency, []string{"app/Chart.yaml: ", "redis 18.x from https://charts.example", "helm dependency build"}},
		"values that do not parse": {
			chartOf(map[string]string{"v.yaml": "a: b\nc: d: e\n"}), helm.Options{ValuesFiles: []helm.ValuesFile{{Path: "app/v.yaml"}}}, fault.InvalidValues, []string{"app/v.yaml:2: "}},
		"values that are not there": {
			chartOf(nil), helm.Options{ValuesFiles: []helm.ValuesFile{{Path: "prod.yaml"}}}, fault.PathNotFound, []string{"prod.yaml: ", "from the root of the repository", "optional"}},
		"values that are a folder": {chartOf(map[string]string{"v/a": ""}), helm.Options{ValuesFiles: []helm.ValuesFile{{Path: "app/v"}}}, fault.InvalidValues, []string{"app/v: is no file"}},
		"values outside":           {chartOf(nil), helm.Options{ValuesFiles: []helm.ValuesFile{{Path: "../v.yaml"}}}, fault.EscapesRepository, []string{"../v.yaml"}},
		"values of the App":        {chartOf(nil), helm.Options{Values: "a: b: c"}, fault.InvalidValues, []string{"the values of the App, line 1: "}},
		"values of a Secret":       {chartOf(nil), secret("- a", ""), fault.InvalidValues, []string{"Secret shop/v, key k, line 1: "}},
		"a place that is none":     {chartOf(nil), secret("x", "a..b["), fault.InvalidValues, []string{"Secret shop/v, key k: ", `"a..b["`}},
		"a place inside of a number": {chartOf(map[string]string{"v.yaml": "a: 5"}), helm.Options{
			ValuesFiles: []helm.ValuesFile{{Path: "app/v.yaml"}}, ValuesFrom: []helm.ValuesSource{{Source: "Secret s", Data: "x", TargetPath: "a.b"}},
		}, fault.InvalidValues, []string{"Secret s: the values have no place"}},
		"a place in a list that is too long": {
			chartOf(nil), secret("x", "a[99999999]"), fault.InvalidValues, []string{"no place"}},
		"a value that the schema refuses": {
			chartOf(map[string]string{"values.schema.json": `{"properties": {"size": {"type": "integer"}}}`}), helm.Options{Values: "size: x"}, fault.InvalidValues,
			[]string{"the value of size does not fit the schema app/values.schema.json (it comes from the values of the App)", "want integer"}},
		"a value of the chart that its schema refuses": {
			chartOf(map[string]string{"values.yaml": "size: x", "values.schema.json": `{"properties": {"size": {"type": "integer"}}}`}), helm.Options{}, fault.InvalidValues, []string{"app/values.yaml: the value of size"}},
		"a value where a chart has its values": {
			chartOf(map[string]string{"charts/sub/Chart.yaml": "apiVersion: v2\nname: sub\nversion: 1.0.0\n"}), helm.Options{Values: "sub: 5"}, fault.InvalidValues,
			[]string{"the value of sub does not fit (it comes from the values of the App)", "a mapping"}},
		"a release name": {chartOf(nil), helm.Options{ReleaseName: strings.Repeat("a", 54)}, fault.InvalidHelmOptions, []string{"at most 53"}},
		"a version":      {chartOf(nil), helm.Options{KubeVersion: "new"}, fault.InvalidHelmOptions, []string{`"new"`}},
		"another Kubernetes": {
			chartOf(map[string]string{"Chart.yaml": chartYAML + "kubeVersion: <1.30.0"}), helm.Options{}, fault.IncompatibleChart, []string{"app/Chart.yaml: ", "<1.30.0", helm.DefaultKubeVersion}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := renderChart(row.nodes, row.options)
			e := wantReason(t, err, row.reason)
			for _, part := range row.says {
				if !strings.Contains(e.Error(), part) {
					t.Errorf("the message does not say %q: %v", part, e)
				}
			}
			if strings.Contains(e.Hint, ".abideignore") && e.Reason != fault.DuplicateObject {
				t.Errorf("the hint is of no use for a chart: %v", e)
			}
		})
	}
}

// TestChartSecretsAreNotQuoted has a chart fail in every way in which its
// values can come into a message.
func TestChartSecretsAreNotQuoted(t *testing.T) {
	const secret = "hunter2-swordfish"
	for name, row := range map[string]struct {
		files map[string]string
		data  string
	}{
		"a template says it":            {map[string]string{"templates/a.yaml": "{{ fail (print \"it is \" .Values.s) }}"}, "s: " + secret},
		"coded":                         {map[string]string{"templates/a.yaml": "{{ fail (print \"it is \" (b64enc .Values.s)) }}"}, "s: " + secret},
		"a function quotes it":          {map[string]string{"templates/a.yaml": "{{ index .Values.s \"x\" }}{{ mustToDate \"2006\" .Values.s }}"}, "s: " + secret},
		"tpl quotes it":                 {map[string]string{"templates/a.yaml": "{{ tpl .Values.s . }}"}, "s: '{{ bad " + secret + "'"},
		"a line of it":                  {map[string]string{"templates/a.yaml": "{{ fail (.Values.s | splitList \"\\n\" | last) }}"}, "s: |-\n  one\n  " + secret},
		"a schema quotes it":            {map[string]string{"values.schema.json": `{"properties": {"s": {"enum": ["x"], "pattern": "^y$", "const": "z"}}}`}, "s: " + secret},
		"a schema quotes its name":      {map[string]string{"values.schema.json": `{"properties": {"s": {"additionalProperties": {"pattern": "y"}}}}`}, "s: {a: " + secret + "}"},
		"it is no mapping":              {map[string]string{}, secret},
		"it does not parse":             {map[string]string{}, "a: " + secret + ": b"},
		"it is a list":                  {map[string]string{}, "[" + secret + "]"},
		"it is nested where a chart is": {map[string]string{"charts/sub/Chart.yaml": "apiVersion: v2\nname: sub\nversion: 1.0.0\n"}, "sub: " + secret},
		"it makes no YAML":              {map[string]string{"templates/a.yaml": configMap("a") + "{{ .Values.s }}: {{ .Values.s }}: x"}, "s: " + secret},
		"it makes a key twice":          {map[string]string{"templates/a.yaml": configMap("a") + "data: { {{ .Values.s }}: a, {{ .Values.s }}: b}"}, "s: " + secret},
		"it is a number":                {map[string]string{"templates/a.yaml": "{{ fail (print .Values.s) }}"}, "s: 123456789"},
		"it is the event of a hook":     {map[string]string{"templates/a.yaml": configMap("a") + "  annotations: {helm.sh/hook: {{ .Values.s }}}\n---\n" + configMap("b")}, "s: " + secret},
	} {
		t.Run(name, func(t *testing.T) {
			o := helm.Options{ValuesFrom: []helm.ValuesSource{{Source: "Secret x", Data: row.data}}}
			res, err := renderChart(chartOf(row.files), o)
			said := fmt.Sprint(err, res.Warnings, res.Ignored, res.Trace, res.Why)
			if err == nil && len(res.Warnings)+len(res.Ignored) == 0 {
				t.Fatal("nothing is said, so that the test proves nothing")
			}
			for _, part := range []string{secret, "swordfish", "aHVudGVyMi1zd29yZGZpc2g", "123456789", "1.23456789"} {
				if strings.Contains(said, part) {
					t.Errorf("it is quoted: %s", said)
				}
			}
			if err != nil {
				if e := wantAny(t, err); e.Err != nil && strings.Contains(e.Err.Error(), secret) {
					t.Errorf("the cause quotes it: %v", e.Err)
				}
			}
		})
	}
}

// TestChartsThatChange has charts whose output is another each time, and some
// that only look so.
func TestChartsThatChange(t *testing.T) {
	refused := func(data, function string) unstableRow {
		return unstableRow{nodes: template(data), says: []string{"app/templates/a.yaml:6: ", "ConfigMap a", "calls " + function, "set the value that the chart makes up"}}
	}
	sameNames := chartOf(map[string]string{
		"one/f.ini": "1", "two/f.ini": "2",
		"templates/a.yaml": configMap("a") + "data: {{ (.Files.Glob \"*/f.ini\").AsConfig | nindent 2 }}\n",
	})
	besideHook := chartOf(map[string]string{
		"one/f.ini": "1", "two/f.ini": "2",
		"templates/a.yaml": configMap("a") + "data: {{ (.Files.Glob \"*/f.ini\").AsConfig | nindent 2 }}\n",
		"templates/h.yaml": configMap("h") + "  annotations: {helm.sh/hook: test, v: {{ uuidv4 }}}\n",
	})
	helper := template("v: {{ include \"h\" . }}")
	helper["app/templates/other.yaml"] = memtree.File(configMap("b") + "data: {w: \"{{ uuidv4 | len }}\"}\n")
	helper["app/templates/_h.tpl"] = memtree.File("{{ define \"h\" }}{{ template \"i\" . }}{{ end }}{{ define \"i\" }}{{ randAlpha 20 }}{{ end }}")
	hook := template("v: x\n---\n" + configMap("h") + "  annotations: {helm.sh/hook: test, v: {{ uuidv4 }}}")
	for name, row := range map[string]unstableRow{
		"a password":           refused("v: {{ randAlphaNum 20 }}", "randAlphaNum"),
		"few random letters":   refused("v: {{ randAlpha 2 }}", "randAlpha"),
		"one of two":           refused("v: \"{{ randInt 0 2 }}{{ randInt 0 2 }}{{ randInt 0 2 }}\"", "randInt"),
		"an order":             refused("v: {{ shuffle \"abcdef\" }}", "shuffle"),
		"a time":               refused("v: {{ now | unixEpoch | quote }}", "now"),
		"a day":                refused("v: {{ now | date \"2006-01-02\" }}", "now"),
		"a year":               refused("v: {{ now | htmlDate | trunc 4 | quote }}", "now"),
		"the date of nothing":  refused("v: {{ date \"2006-01-02\" \"\" }}", "date"),
		"how long ago":         refused("v: {{ ago (int64 0) }}", "ago"),
		"a hash with salt":     refused("v: {{ htpasswd \"a\" \"b\" }}", "htpasswd"),
		"a cipher":             refused("v: {{ encryptAES \"k\" \"b\" }}", "encryptAES"),
		"text of the values":   {nodes: template("v: {{ tpl .Values.t . }}"), options: helm.Options{Values: "t: '{{ uuidv4 }}'"}, says: []string{"app/templates/a.yaml: ", "ConfigMap a", "calls uuidv4"}},
		"two files of a name":  {nodes: sameNames, says: []string{"AsConfig"}},
		"beside a hook":        {nodes: besideHook, says: []string{"app/templates/a.yaml", "AsConfig"}, others: 1},
		"a helper, not others": {nodes: helper, says: []string{"app/templates/a.yaml: ", "randAlpha"}},
		"in a comment":         {nodes: template("v: x # {{ uuidv4 }}"), stable: true},
		"in a hook":            {nodes: hook, stable: true},
		"given":                {nodes: template("v: {{ default uuidv4 .Values.v }}"), options: helm.Options{Values: "v: x"}, stable: true},
		"in no order":          {nodes: template("v: {{ keys .Values | join \",\" }}{{ values .Values | toJson }}"), options: helm.Options{Values: "{a: 1, b: 2, c: 3, d: 4, e: 5, f: 6}"}, stable: true},
		"the API versions":     {nodes: template("v: {{ .Capabilities.APIVersions | join \",\" }}"), stable: true},
		"the time zone":        {nodes: template("v: {{ date \"15:04 MST\" (int64 0) }} {{ toDate \"2006\" \"2020\" }}"), stable: true},
		"one order of files":   {nodes: template("v: {{ (.Files.Glob \"*\").AsConfig | quote }}"), stable: true},
	} {
		t.Run(name, func(t *testing.T) {
			res, err := renderChart(row.nodes, row.options)
			if row.stable {
				if err != nil {
					t.Fatal(err)
				}
				for range 10 {
					again, err := renderChart(row.nodes, row.options)
					if err != nil || len(again.Objects) != 1 || !cmp.Equal(again.Objects[0].Object, res.Objects[0].Object) {
						t.Fatalf("another time it is another: %v", err)
					}
				}
				return
			}
			e := wantReason(t, err, fault.UnstableRender)
			for _, part := range row.says {
				if !strings.Contains(e.Error(), part) {
					t.Errorf("the message does not say %q: %v", part, e)
				}
			}
			if len(res.Unstable) != 1+row.others || res.Unstable[0].Object != "ConfigMap a" || res.Unstable[0].Template != "app/templates/a.yaml" || len(res.Unstable[0].Functions) != 1 {
				t.Errorf("unstable: %+v", res.Unstable)
			}
		})
	}
	res, err := renderChart(hook, helm.Options{})
	if err != nil || len(res.Unstable) != 1 || !res.Unstable[0].Hook {
		t.Errorf("a hook that changes is named and does no harm: %+v, %v", res.Unstable, err)
	}
}

type unstableRow struct {
	nodes   map[string]memtree.Node
	options helm.Options
	stable  bool
	says    []string
	others  int // hooks that change as well
}

// TestChartReachesNothing has charts that try to get at the network, the disk
// and the environment.
func TestChartReachesNothing(t *testing.T) {
	w := newWorld(t)
	t.Setenv("ABIDE_TEST_SECRET", "from-the-environment")
	url := "http://" + w.addr + "/schema.json"

	// The library does look schemas up: without this, the test would prove
	// nothing.
	_ = util.ValidateAgainstSingleSchema(map[string]any{"a": 1}, []byte(`{"$ref": "`+url+`"}`))
	before := w.connects.Load()
	if before == 0 {
		t.Fatal("the library did not connect")
	}

	for name, schema := range map[string]string{
		"a URL":               `{"$ref": "` + url + `"}`,
		"a URL below":         `{"properties": {"a": {"$ref": "` + url + `#/x"}}}`,
		"a URL as base":       `{"$id": "` + url + `", "properties": {"a": {"$ref": "other.json"}}}`,
		"a URL as metaschema": `{"$schema": "` + url + `"}`,
		"a URL with TLS":      `{"$ref": "https://` + w.addr + `/x"}`,
		"a file":              `{"$ref": "file:///etc/passwd"}`,
		"a file beside it":    `{"$ref": "etc/passwd"}`,
		"a dynamic one":       `{"$dynamicRef": "` + url + `#x"}`,
		"another scheme":      `{"$ref": "ftp://` + w.addr + `/x"}`,
	} {
		_, err := renderChart(chartOf(map[string]string{"values.schema.json": schema, "values.yaml": "a: 1", "templates/a.yaml": configMap("a")}), helm.Options{})
		e := wantReason(t, err, fault.RemoteSchemaNotAllowed)
		if !strings.HasPrefix(e.Error(), "app/values.schema.json: refers to ") {
			t.Errorf("%s: %v", name, e)
		}
	}
	for _, call := range []string{`{{ env "ABIDE_TEST_SECRET" }}`, `{{ expandenv "$ABIDE_TEST_SECRET" }}`} {
		_, err := renderChart(template("v: "+call), helm.Options{})
		wantReason(t, err, fault.HelmFailed)
	}
	for _, call := range []string{
		`{{ getHostByName "localhost" }}`, `{{ (lookup "v1" "Secret" "kube-system" "").items }}`,
		`{{ .Files.Get "/etc/passwd" }}{{ .Files.Get "../outside" }}{{ .Files.Get "../../etc/passwd" }}{{ range $n, $f := .Files.Glob "../**" }}{{ $n }}{{ end }}`,
		`{{ tpl "{{ .Files.Get \"../outside\" }}" . }}`,
	} {
		nodes := template("v: " + `"` + call + `"`)
		nodes["outside"] = memtree.File("outside")
		res, err := renderChart(nodes, helm.Options{})
		if got := data(t, res, err)["v"]; got != "" {
			t.Errorf("%s gives %v", call, got)
		}
	}
	if w.connects.Load() != before || w.calls(t) != "" {
		t.Errorf("%d connections, programs: %s", w.connects.Load()-before, w.calls(t))
	}
}

func TestCacheTellsChartsApart(t *testing.T) {
	ctx, c := context.Background(), render.NewCache(render.CacheLimits{}, render.Here)
	tree := memtree.New(template("v: {{ .Values.v }}"))
	get := func(o *helm.Options) (*render.Result, bool, error) {
		return c.Get(ctx, "repo", tree, render.Request{Path: "app", Helm: o})
	}
	for i, row := range []struct {
		values string
		hit    bool
	}{{"v: a", false}, {"v: a", true}, {"v: b", false}, {"v: b", true}} {
		res, hit, err := get(&helm.Options{Values: row.values})
		if got := data(t, res, err)["v"]; "v: "+got.(string) != row.values || hit != row.hit {
			t.Errorf("%d: %v, hit %v", i, got, hit)
		}
	}
}

// endingTree ends a context when a file is read.
type endingTree struct {
	snapshot.Tree
	at  string
	end context.CancelFunc
}

func (e endingTree) ReadFile(p string) ([]byte, error) {
	if p == e.at {
		e.end()
	}
	return e.Tree.ReadFile(p)
}

// TestChartDeadline ends the context before the templates run, which would take
// long otherwise.
func TestChartDeadline(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	loops := "v: {{ range until 1000 }}{{ range until 1000 }}{{ derivePassword 1 \"long\" \"a\" \"b\" \"c\" }}{{ end }}{{ end }}"
	tree := endingTree{memtree.New(template(loops)), "app/templates/a.yaml", cancel}
	_, err := render.Render(ctx, tree, render.Request{Path: "app"})
	wantReason(t, err, fault.DeadlineExceeded)
}

// TestHelmExample runs the example of docs/rendering.md, with the flags and the
// files that stand there.
func TestHelmExample(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "rendering.md"))
	if err != nil {
		t.Fatal(err)
	}
	ar, err := txtar.ParseFile(filepath.Join("testdata", "docs", "helm.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	_, line, ok := strings.Cut(string(page), "    abide render charts/shop ")
	if !ok {
		t.Fatal("the page has no such example")
	}
	line, _, _ = strings.Cut(line, "\n")
	files, want := map[string]string{}, ""
	for _, f := range ar.Files {
		if f.Name == "WANT" {
			want = string(f.Data)
			continue
		}
		files[f.Name] = string(f.Data)
		if !strings.Contains(string(page), "    "+f.Name) {
			t.Errorf("the page does not name %s", f.Name)
		}
	}
	res, err := render.Render(context.Background(), memtree.FromText(files), helmRequest("charts/shop "+line))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, strings.TrimRight(string(res.Text), "\n")+"\n"); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
