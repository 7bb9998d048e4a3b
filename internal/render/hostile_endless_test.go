package render_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/snapshot/memtree"
	"abide.dev/abide/internal/worker"
)

// endless are repositories whose rendering never ends, eats memory or overflows
// the stack, whatever is counted before. Only a process with bounds ends it, so
// none of them may be rendered in the process of a test.
func endless() map[string]map[string]memtree.Node {
	jsonnet := func(text string) map[string]memtree.Node {
		return map[string]memtree.Node{"app/m.jsonnet": memtree.File(text)}
	}
	with := func(nodes map[string]memtree.Node, file, text string) map[string]memtree.Node {
		nodes["app/"+file] = memtree.File(text)
		return nodes
	}
	return map[string]map[string]memtree.Node{
		"helm: loops over one list":           template("v: {{ $l := until 900000 }}{{ range $l }}{{ range $l }}{{ range $l }}{{ end }}{{ end }}{{ end }}"),
		"helm: a text that doubles":           template("v: {{ $s := \"xxxxxxxxxxxxxxxx\" }}{{ range until 60 }}{{ $s = print $s $s }}{{ end }}"),
		"helm: a file that doubles":           with(template("v: {{ $s := .Files.Get \"f\" }}{{ range until 60 }}{{ $s = cat $s $s }}{{ end }}"), "f", "xxxxxxxxxxxxxxxx"),
		"helm: a list that doubles":           template("v: {{ $l := list 1 2 3 4 }}{{ range until 60 }}{{ $l = concat $l $l }}{{ end }}"),
		"helm: a text that is replaced":       template("v: {{ $s := \"x\" }}{{ range until 60 }}{{ $s = replace \"x\" \"xxxx\" $s }}{{ end }}"),
		"helm: expressions that multiply":     template("v: {{ regexReplaceAll \"\" (repeat 1000000 \"x\") (repeat 1000000 \"y\") | len }}"),
		"helm: a text much larger than it is": template("v: {{ $d := dict \"a\" \"b\" }}{{ range until 60 }}{{ $d = dict \"a\" $d \"b\" $d }}{{ end }}{{ toYaml $d | len }}"),
		"helm: a value in itself":             template("v: {{ $d := dict }}{{ $_ := set $d \"d\" $d }}{{ print $d }}"),
		"helm: the values in themselves":      template("v: {{ $_ := set .Values \"v\" .Values }}{{ mergeOverwrite .Values (deepCopy .Values) | toYaml }}"),
		"helm: a template that is its own":    with(template("v: {{ tpl .Values.t . }}"), "values.yaml", "t: '{{ tpl .Values.t . }}'"),
		"helm: a schema that multiplies":      with(template("v: x"), "values.schema.json", schemas(60)),
		"helm: an include in what tpl has":    with(template("v: x"), "templates/b.yaml", "{{ define \"x\" }}{{ tpl \"{{ include \\\"x\\\" . }}\" . }}{{ end }}{{ include \"x\" . }}"),
		"helm: conditions in conditions":      with(template("v: x"), "templates/b.yaml", strings.Repeat("{{ if true }}", 1<<18)+strings.Repeat("{{ end }}", 1<<18)),
		"kustomize: lists that are merged": {
			"app/kustomization.yaml": memtree.File("resources: [a.yaml]\npatches: [{path: p.yaml}]\n"),
			"app/a.yaml":             memtree.File(containers(30000, "a")),
			"app/p.yaml":             memtree.File(containers(30000, "b")),
		},
		"kustomize: names of very many": {
			"app/kustomization.yaml": memtree.File("resources: [a.yaml]\nnamePrefix: x-\n"),
			"app/a.yaml":             memtree.File(strings.Join(numbered(20000, "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: c%d}\n"), "")),
		},
		"jsonnet: calls that never end":    jsonnet("local f(x) = f(x + 1) tailstrict; f(0)"),
		"jsonnet: calls in calls":          jsonnet("local f(x) = f(x + 1) tailstrict; local g(x) = [f(x), g(x + 1) tailstrict]; g(0)"),
		"jsonnet: a text that doubles":     jsonnet("local f(s, n) = if n == 0 then s else f(s + s, n - 1); {a: f('xxxxxxxxxxxxxxxx', 60)}"),
		"jsonnet: a text that is repeated": jsonnet("std.length(std.repeat(std.repeat('x', 1000000), 1000000))"),
		"jsonnet: a list that is long":     jsonnet("std.length(std.makeArray(2000000000, function(i) i))"),
		"jsonnet: a list of lists":         jsonnet("[[x, y, z] for x in std.range(1, 10000) for y in std.range(1, 10000) for z in std.range(1, 10000)]"),
		"jsonnet: objects in objects":      jsonnet("local f(n) = if n == 0 then 'x' else {a: f(n - 1), b: f(n - 1), c: f(n - 1)}; std.length(std.toString(f(60)))"),
	}
}

// containers is a Deployment of n containers.
func containers(n int, image string) string {
	return "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec: {template: {spec: {containers: [" +
		strings.Join(numbered(n, "{name: c%d, image: "+image+"}"), ", ") + "]}}}\n"
}

func numbered(n int, format string) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprintf(format, i)
	}
	return out
}

// schemas is a JSON schema of which each part needs the next twice.
func schemas(n int) string {
	var b strings.Builder
	b.WriteString(`{"$ref": "#/$defs/s0", "$defs": {`)
	for i := range n {
		fmt.Fprintf(&b, `"s%d": {"allOf": [{"$ref": "#/$defs/s%d"}, {"$ref": "#/$defs/s%d"}]}, `, i, i+1, i+1)
	}
	fmt.Fprintf(&b, `"s%d": {"type": "object"}}}`, n)
	return b.String()
}

// TestWithoutEnd wants each to end in an error that says what it took too much
// of, and the next render of the same tenant to work.
func TestWithoutEnd(t *testing.T) {
	if testing.Short() {
		t.Skip("it fills the memory of workers")
	}
	pool, err := worker.New(worker.Options{Memory: 128 << 20, Time: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	for name, nodes := range endless() {
		t.Run(name, func(t *testing.T) {
			_, err := pool.Render(context.Background(), name, memtree.New(nodes), render.Request{Path: "app"})
			e := wantAny(t, err)
			switch e.Reason {
			case fault.RenderOutOfMemory, fault.DeadlineExceeded, fault.RendererCrashed:
			default:
				t.Errorf("%s: %v", e.Reason, e)
			}
			if e.File == "" || e.Hint == "" && e.Reason != fault.DeadlineExceeded || len(e.Error()) > 1000 {
				t.Errorf("the error is of no use: %v", e)
			}
			t.Log(e)
			good := memtree.FromText(map[string]string{"app/a.yaml": configMap("a")})
			if _, err := pool.Render(context.Background(), name, good, render.Request{Path: "app"}); err != nil {
				t.Errorf("what the tenant renders next: %v", err)
			}
		})
	}
}
