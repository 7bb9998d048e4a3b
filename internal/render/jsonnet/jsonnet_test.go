package jsonnet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/render/limit"
	"abide.dev/abide/internal/render/manifest"
	"abide.dev/abide/internal/render/traced"
	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/snapshot/memtree"
	"abide.dev/abide/internal/snapshot/mount"
)

func render(tree snapshot.Tree, file string, opts *Options, lim limit.Limits) ([]manifest.Object, traced.Trace, error) {
	lim = lim.OrDefault()
	traced := traced.New(tree, lim.FileBytes, lim.TotalBytes)
	objects, err := New(traced, ".", opts, lim).File(context.Background(), file)
	return objects, traced.Trace(), err
}

func names(objects []manifest.Object) []string {
	var out []string
	for _, o := range objects {
		out = append(out, o.GetKind()+"/"+o.GetName())
	}
	return out
}

// object is the Jsonnet of a ConfigMap.
func object(name string) string {
	return "{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: '" + name + "' } }"
}

func TestResults(t *testing.T) {
	for name, row := range map[string]struct {
		code string
		want []string
	}{
		"one object":          {object("a"), []string{"ConfigMap/a"}},
		"an array":            {"[" + object("b") + "," + object("a") + "]", []string{"ConfigMap/b", "ConfigMap/a"}},
		"arrays in arrays":    {"[[" + object("b") + "],[[" + object("a") + "]]]", []string{"ConfigMap/b", "ConfigMap/a"}},
		"names, in order":     {"{ z: " + object("a") + ", b: " + object("c") + ", B: " + object("d") + " }", []string{"ConfigMap/d", "ConfigMap/c", "ConfigMap/a"}},
		"names in names":      {"{ web: { svc: " + object("s") + ", all: [" + object("a") + "] }, api: " + object("p") + " }", []string{"ConfigMap/p", "ConfigMap/a", "ConfigMap/s"}},
		"a List":              {"{ apiVersion: 'v1', kind: 'List', items: [" + object("a") + "," + object("b") + "] }", []string{"ConfigMap/a", "ConfigMap/b"}},
		"a List of a kind":    {"{ apiVersion: 'v1', kind: 'ConfigMapList', items: [{metadata: {name: 'a'}}] }", []string{"ConfigMap/a"}},
		"nothing":             {"{}", nil},
		"nothing in an array": {"[null, [], {}, if false then 1]", nil},
		"hidden fields":       {"{ lib:: 'text', a: " + object("a") + " }", []string{"ConfigMap/a"}},
		"a Tanka environment": {"{ apiVersion: 'tanka.dev/v1alpha1', kind: 'Environment', metadata: { name: 'e' }, spec: {}, data: { a: " + object("a") + " } }", []string{"ConfigMap/a"}},
		"trailing assertion":  {"{ assert true, a: " + object("a") + " }", []string{"ConfigMap/a"}},
	} {
		objects, _, err := render(memtree.FromText(map[string]string{"m.jsonnet": row.code}), "m.jsonnet", nil, limit.Limits{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if d := cmp.Diff(row.want, names(objects)); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
		for _, o := range objects {
			if o.Origin.File != "m.jsonnet" {
				t.Errorf("%s: the origin is %+v", name, o.Origin)
			}
		}
	}
}

func TestNumbers(t *testing.T) {
	code := "{ apiVersion: 'v1', kind: 'X', metadata: { name: 'x' }, v: [1, -2, 1.5, 1.0, 9007199254740991, '1', true, null] }"
	objects, _, err := render(memtree.FromText(map[string]string{"m.jsonnet": code}), "m.jsonnet", nil, limit.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	want := []any{int64(1), int64(-2), 1.5, int64(1), int64(9007199254740991), "1", true, nil}
	if d := cmp.Diff(want, objects[0].Object["v"]); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestErrors: each names the file and line, says what is wrong, and what to do.
func TestErrors(t *testing.T) {
	for name, row := range map[string]struct {
		files  map[string]string
		opts   Options
		limits limit.Limits
		reason string
		says   []string
	}{
		"does not parse":        {files: map[string]string{"m.jsonnet": "{\n  a: 1\n  b: 2\n}"}, reason: fault.JsonnetFailed, says: []string{"m.jsonnet:3: "}},
		"unknown variable":      {files: map[string]string{"m.jsonnet": "{\n  a: nothing,\n}"}, reason: fault.JsonnetFailed, says: []string{"m.jsonnet:2: ", "nothing"}},
		"broken library":        {files: map[string]string{"m.jsonnet": "import 'd/l.libsonnet'", "d/l.libsonnet": "\n\n{"}, reason: fault.JsonnetFailed, says: []string{"d/l.libsonnet:3: "}},
		"error":                 {files: map[string]string{"m.jsonnet": "(import 'l.libsonnet').f(0)", "l.libsonnet": "{\n  f(x)::\n    if x < 1 then error 'too few replicas' else x }"}, reason: fault.JsonnetFailed, says: []string{"l.libsonnet:3: ", "too few replicas"}},
		"assertion":             {files: map[string]string{"m.jsonnet": "{ n:: 0,\n assert self.n > 0 : 'n must be positive', a: 1 }"}, reason: fault.JsonnetFailed, says: []string{"m.jsonnet:", "n must be positive"}},
		"extVar":                {files: map[string]string{"m.jsonnet": "{ a:\n std.extVar('relpicas') }"}, opts: Options{ExtVars: map[string]Var{"replicas": {Value: "1"}, "image": {Value: "x"}}}, reason: fault.JsonnetFailed, says: []string{"m.jsonnet:2: ", "spec.render.jsonnet.extVars", "there is replicas"}},
		"argument":              {files: map[string]string{"m.jsonnet": "function(name) {}"}, reason: fault.JsonnetFailed, says: []string{"m.jsonnet", "name", "spec.render.jsonnet.tlas"}},
		"function":              {files: map[string]string{"m.jsonnet": "{ f(x): x }"}, reason: fault.JsonnetFailed, says: []string{"m.jsonnet", "hide it with ::"}},
		"ends nowhere":          {files: map[string]string{"m.jsonnet": "local f(x) = 1 + f(x);\nf(1)"}, reason: fault.JsonnetFailed, says: []string{"m.jsonnet:1: ", "needs itself"}},
		"itself":                {files: map[string]string{"m.jsonnet": "{ a: $ }"}, reason: fault.JsonnetFailed, says: []string{"m.jsonnet", "needs itself"}},
		"itself in an array":    {files: map[string]string{"m.jsonnet": "local a = [a]; a"}, reason: fault.JsonnetFailed},
		"import":                {files: map[string]string{"m.jsonnet": "\nimport 'x.libsonnet'"}, reason: fault.PathNotFound, says: []string{"m.jsonnet:2: ", "libraryPaths"}},
		"vendored":              {files: map[string]string{"m.jsonnet": "import 'k/x.libsonnet'", "vendor/k/x.libsonnet": "1"}, reason: fault.PathNotFound, says: []string{"it is in vendor: add /vendor to"}},
		"import of import":      {files: map[string]string{"m.jsonnet": "import 'd/a.libsonnet'", "d/a.libsonnet": "{\nx: import '../b.libsonnet'\n}"}, reason: fault.PathNotFound, says: []string{"d/a.libsonnet:2: "}},
		"a string":              {files: map[string]string{"m.jsonnet": "std.manifestYamlDoc({})"}, reason: fault.InvalidObject, says: []string{"m.jsonnet", "a string"}},
		"a number in a map":     {files: map[string]string{"m.jsonnet": "{ web: [{}, { port: 80 }] }"}, reason: fault.InvalidObject, says: []string{"web[1].port", "a number", "::"}},
		"half an object":        {files: map[string]string{"m.jsonnet": "{ web: { kind: 'Service', metadata: { name: 'a' } } }"}, reason: fault.InvalidObject, says: []string{"web of its result", "no apiVersion"}},
		"no name":               {files: map[string]string{"m.jsonnet": "{ apiVersion: 'v1', kind: 'Service' }"}, reason: fault.InvalidObject, says: []string{"metadata.name"}},
		"code that is none":     {files: map[string]string{"m.jsonnet": "{}"}, opts: Options{ExtVars: map[string]Var{"v": {Value: "{", Code: true}}}, reason: fault.JsonnetFailed, says: []string{"spec.render.jsonnet.extVars", "v is no Jsonnet code", "line 1"}},
		"argument that is none": {files: map[string]string{"m.jsonnet": "{}"}, opts: Options{TLAs: map[string]Var{"a-b": {}}}, reason: fault.JsonnetFailed, says: []string{"a-b"}},

		"absolute path":         {files: map[string]string{"m.jsonnet": "importstr '/etc/passwd'"}, reason: fault.EscapesRepository, says: []string{"m.jsonnet:1: "}},
		"above":                 {files: map[string]string{"m.jsonnet": "importstr '../../etc/passwd'"}, reason: fault.EscapesRepository, says: []string{"m.jsonnet:1: "}},
		"above, on a detour":    {files: map[string]string{"m.jsonnet": "import 'd/../../x.libsonnet'", "d/x": ""}, reason: fault.EscapesRepository},
		"above a library":       {files: map[string]string{"m.jsonnet": "import 'd/l.libsonnet'", "d/l.libsonnet": "import '../../../x'"}, opts: Options{LibraryPaths: []string{"d"}}, reason: fault.EscapesRepository},
		"Git's folder":          {files: map[string]string{"m.jsonnet": "importstr '.git/config'", ".git/config": "secret"}, reason: fault.ForbiddenPath},
		"from a variable":       {files: map[string]string{"m.jsonnet": "std.extVar('x')"}, opts: Options{ExtVars: map[string]Var{"x": {Value: "importstr '/etc/passwd'", Code: true}}}, reason: fault.EscapesRepository},
		"a library path out":    {files: map[string]string{"m.jsonnet": "import 'passwd'"}, opts: Options{LibraryPaths: []string{"lib", "../../etc"}}, reason: fault.EscapesRepository, says: []string{"spec.render.jsonnet.libraryPaths", "../../etc"}},
		"an absolute one":       {files: map[string]string{"m.jsonnet": "import 'passwd'"}, opts: Options{LibraryPaths: []string{"/etc"}}, reason: fault.EscapesRepository},
		"no library path":       {files: map[string]string{"m.jsonnet": "import 'x'"}, opts: Options{LibraryPaths: []string{"lbi"}}, reason: fault.PathNotFound, says: []string{"lbi, and there is no such folder"}},
		"native function":       {files: map[string]string{"m.jsonnet": "std.native('run')('id')"}, reason: fault.JsonnetFailed},
		"brackets":              {files: map[string]string{"m.jsonnet": strings.Repeat("[", 1<<20)}, reason: fault.TooDeep, says: []string{"m.jsonnet"}},
		"brackets in a library": {files: map[string]string{"m.jsonnet": "import 'l.libsonnet'", "l.libsonnet": strings.Repeat("{a:", 1<<20)}, reason: fault.TooDeep, says: []string{"l.libsonnet"}},
		"brackets, as text too": {files: map[string]string{"m.jsonnet": "[importstr 'l', import 'l']", "l": strings.Repeat("{a:", 1<<20)}, reason: fault.TooDeep},
		"brackets, escaped":     {files: map[string]string{"m.jsonnet": `[importstr 'l', import '\u006c']`, "l": strings.Repeat("{a:", 1<<20)}, reason: fault.TooDeep},
		"brackets, verbatim":    {files: map[string]string{"m.jsonnet": `[importstr "l'", import @'l''']`, "l'": strings.Repeat("{a:", 1<<20)}, reason: fault.TooDeep},
		"brackets after blocks": {files: map[string]string{"m.jsonnet": "{ a: |||\n  |||\n   ' \" /* {\n|||, b: " + strings.Repeat("[", 1<<20)}, reason: fault.TooDeep},
		"brackets in code":      {files: map[string]string{"m.jsonnet": "{}"}, opts: Options{ExtVars: map[string]Var{"v": {Value: strings.Repeat("(", 1<<20), Code: true}}}, reason: fault.TooDeep},
		"operators":             {files: map[string]string{"m.jsonnet": strings.Repeat("!", 1<<20) + "true"}, reason: fault.TooDeep},
		"locals":                {files: map[string]string{"m.jsonnet": strings.Repeat("local a = 1; ", 1<<18) + "1"}, reason: fault.TooDeep},
		"conditions":            {files: map[string]string{"m.jsonnet": strings.Repeat("if true then ", 1<<18) + "1"}, reason: fault.TooDeep},
		"a sum":                 {files: map[string]string{"m.jsonnet": strings.Repeat("1 + ", 1<<18) + "1"}, reason: fault.TooDeep},
		"output":                {files: map[string]string{"m.jsonnet": "std.repeat('x', 1000)"}, limits: limit.Limits{ExpandedBytes: 500}, reason: fault.TooLarge},
		"output, doubling":      {files: map[string]string{"m.jsonnet": "local d(s, n) = if n == 0 then s else d(s + s, n - 1); d('x', 22)"}, limits: limit.Limits{ExpandedBytes: 1 << 20}, reason: fault.TooLarge},
		"deep output":           {files: map[string]string{"m.jsonnet": "local d(n) = if n == 0 then {} else { a: d(n - 1) }; d(100)"}, limits: limit.Limits{Depth: 50}, reason: fault.TooDeep},
		"objects":               {files: map[string]string{"m.jsonnet": "[" + object("a") + " for i in std.range(1, 100)]"}, limits: limit.Limits{Objects: 50}, reason: fault.TooManyObjects},
		"objects in lists":      {files: map[string]string{"m.jsonnet": "[{ apiVersion: 'v1', kind: 'List', items: [" + object("a") + "] } for i in std.range(1, 100)]"}, limits: limit.Limits{Objects: 50}, reason: fault.TooManyObjects},
		"a large file":          {files: map[string]string{"m.jsonnet": "importstr 'big'", "big": strings.Repeat("x", 1000)}, limits: limit.Limits{FileBytes: 500}, reason: fault.TooLarge},
		"bytes":                 {files: map[string]string{"m.jsonnet": "{ a: importstr 'b' }", "b": "\xff\xfe"}, reason: fault.InvalidObject},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := render(memtree.FromText(row.files), "m.jsonnet", &row.opts, row.limits)
			var e *fault.Error
			if !errors.As(err, &e) || e.Reason != row.reason {
				t.Fatalf("%+v, want %s", err, row.reason)
			}
			for _, part := range row.says {
				if !strings.Contains(e.Error(), part) {
					t.Errorf("the error does not say %q: %v", part, e)
				}
			}
			if len(e.Error()) > 1000 {
				t.Errorf("the error has %d bytes", len(e.Error()))
			}
		})
	}
}

func TestLinks(t *testing.T) {
	tree := memtree.New(map[string]memtree.Node{
		"m.jsonnet": memtree.File("import 'l.libsonnet'"), "l.libsonnet": memtree.Link("/etc/passwd"),
		"n.jsonnet": memtree.File("importstr 'd/passwd'"), "d": memtree.Link("../../etc"),
		"o.jsonnet": memtree.File("import 'o.libsonnet'"), "o.libsonnet": memtree.Link("o.libsonnet"),
	})
	for file, reason := range map[string]string{"m.jsonnet": fault.EscapesRepository, "n.jsonnet": fault.EscapesRepository, "o.jsonnet": fault.LinkLoop} {
		_, _, err := render(tree, file, nil, limit.Limits{})
		var e *fault.Error
		if !errors.As(err, &e) || e.Reason != reason {
			t.Errorf("%s: %v, want %s", file, err, reason)
		}
	}
}

// TestMounts: a library of another source is reached by a library path, and
// cannot reach back.
func TestMounts(t *testing.T) {
	lib := memtree.FromText(map[string]string{
		"vendor/lib.libsonnet": "{ a: import 'part.libsonnet' }", "vendor/part.libsonnet": object("from-lib"),
		"vendor/back.libsonnet": "import '../../m.jsonnet'",
	})
	root := memtree.FromText(map[string]string{
		"m.jsonnet": "import 'lib.libsonnet'", "back.jsonnet": "import 'back.libsonnet'", "direct.jsonnet": "import '$lib/vendor/lib.libsonnet'",
	})
	tree := mount.New(root, map[string]snapshot.Tree{"lib": lib})
	opts := &Options{LibraryPaths: []string{"$lib/vendor"}}
	objects, trace, err := render(tree, "m.jsonnet", opts, limit.Limits{})
	if err != nil || len(objects) != 1 || objects[0].GetName() != "from-lib" {
		t.Errorf("%v, %v", names(objects), err)
	}
	changed := mount.New(root, map[string]snapshot.Tree{"lib": memtree.FromText(map[string]string{"vendor/lib.libsonnet": "{}"})})
	if ok, err := trace.Valid(changed); ok || err != nil {
		t.Errorf("valid over another library: %t, %v", ok, err)
	}
	for _, file := range []string{"back.jsonnet", "direct.jsonnet"} {
		_, _, err := render(tree, file, opts, limit.Limits{})
		var e *fault.Error
		if !errors.As(err, &e) || e.Reason != fault.EscapesRepository {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// TestTrace: what was looked for in vain is part of the trace, since it would
// be found first.
func TestTrace(t *testing.T) {
	files := map[string]string{"m.jsonnet": "(import 'd/l.libsonnet') + {}", "d/l.libsonnet": "import 'x.libsonnet'", "one/x.libsonnet": object("one"), "unread": ""}
	opts := &Options{LibraryPaths: []string{"one", "two"}}
	_, trace, err := render(memtree.FromText(files), "m.jsonnet", opts, limit.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]bool{"unread": true, "m.jsonnet": false, "one/x.libsonnet": false, "two/x.libsonnet": false, "d/x.libsonnet": false, "x.libsonnet": true} {
		more := map[string]string{}
		for k, v := range files {
			more[k] = v
		}
		more[file] = object("other")
		if ok, err := trace.Valid(memtree.FromText(more)); err != nil || ok != want {
			t.Errorf("with another %s the trace is valid: %t, %v", file, ok, err)
		}
	}
}

// TestSecretsStaySecret: what came from a Secret is in no error, however the
// code puts it there.
func TestSecretsStaySecret(t *testing.T) {
	const secret = "hunter2-and-more: {x"
	for name, code := range map[string]string{
		"error":      "error 'it is ' + std.extVar('s')",
		"part of it": "error 'it begins with ' + std.extVar('s')[0:12]",
		"assertion":  "assert std.extVar('s') == 'x' : 'it is %s' % std.extVar('s'); {}",
		"parsed":     "std.parseJson(std.extVar('s'))",
		"as YAML":    "std.parseYaml(std.extVar('s'))",
		"field":      "{}[std.extVar('s')]",
		"as a name":  "{ [std.extVar('s')]: 1 }",
		"as import":  "{ [std.extVar('s')]: error std.extVar('s') }",
	} {
		opts := &Options{ExtVars: map[string]Var{"s": {Value: secret, From: "Secret shop/s, key s"}}}
		_, _, err := render(memtree.FromText(map[string]string{"m.jsonnet": code}), "m.jsonnet", opts, limit.Limits{})
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		for i := 0; i+shared <= len(secret); i++ {
			if strings.Contains(err.Error(), secret[i:i+shared]) {
				t.Errorf("%s: the error has %q of the secret: %v", name, secret[i:i+shared], err)
				break
			}
		}
	}
	for field, opts := range map[string]*Options{
		"extVars": {ExtVars: map[string]Var{"s": {Value: "{ hunter2 hunter2", Code: true, From: "Secret shop/s, key s"}}},
		"tlas":    {TLAs: map[string]Var{"s": {Value: "{ hunter2 hunter2", Code: true, From: "Secret shop/s, key s"}}},
	} {
		_, _, err := render(memtree.FromText(map[string]string{"m.jsonnet": "{}"}), "m.jsonnet", opts, limit.Limits{})
		if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "Secret shop/s, key s") {
			t.Errorf("%s: %v", field, err)
		}
	}
}

// TestTraceIsSilent: std.trace writes nothing to the process's own output.
func TestTraceIsSilent(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	before := os.Stderr
	os.Stderr = w
	_, _, err = render(memtree.FromText(map[string]string{"m.jsonnet": "std.trace('loud', {})"}), "m.jsonnet", nil, limit.Limits{})
	os.Stderr = before
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r); err != nil || len(b) > 0 {
		t.Errorf("stderr has %q, %v", b, err)
	}
}

// slow is a tree that does not answer for one file until it is told to.
type slow struct {
	snapshot.Tree
	asked, answer chan struct{}
}

func (s slow) ReadFile(p string) ([]byte, error) {
	if p == "slow.libsonnet" {
		close(s.asked)
		<-s.answer
	}
	return s.Tree.ReadFile(p)
}

// TestDeadline: the end of the context ends the wait.
func TestDeadline(t *testing.T) {
	tree := slow{memtree.FromText(map[string]string{"m.jsonnet": "import 'slow.libsonnet'", "slow.libsonnet": "{}"}), make(chan struct{}), make(chan struct{})}
	ctx, cancel := context.WithCancelCause(context.Background())
	go func() {
		<-tree.asked
		cancel(errors.New("time is up"))
	}()
	lim := limit.Default()
	_, err := New(traced.New(tree, lim.FileBytes, lim.TotalBytes), ".", nil, lim).File(ctx, "m.jsonnet")
	close(tree.answer)
	var e *fault.Error
	if !errors.As(err, &e) || e.Reason != fault.DeadlineExceeded || e.File != "m.jsonnet" {
		t.Errorf("%v", err)
	}
}

// broken is a tree that fails for reasons of its own.
type broken struct{ snapshot.Tree }

var errBroken = errors.New("the mirror is gone")

func (broken) ReadFile(string) ([]byte, error) { return nil, errBroken }

// TestTreeFails: that is not the repository's fault.
func TestTreeFails(t *testing.T) {
	_, _, err := render(broken{memtree.FromText(map[string]string{"m.jsonnet": "{}"})}, "m.jsonnet", nil, limit.Limits{})
	var e *fault.Error
	if !errors.Is(err, errBroken) || errors.As(err, &e) {
		t.Errorf("%v", err)
	}
}

// TestScan: what people write is far below the bounds, and what they import is
// found.
func TestScan(t *testing.T) {
	for name, row := range map[string]struct {
		code             string
		brackets, tokens int
	}{
		"nothing":              {"  \n", 0, 0},
		"brackets":             {"([{}])", 3, 6},
		"commas":               {"[1, 2, 3, 4, 5, 6, 7, 8]", 1, 4},
		"comments":             {"1 // ((((\n # [[[[\n /* {{{{ */ + 2", 0, 3},
		"strings":              {`["(((", '[[[\'[[', @"a""((", @'b''((']`, 1, 4},
		"blocks":               {"{ a: |||\n   ((((\n    |||\n\n   )))\n|||,\n b: |||-\n\n\t[[[\n||| }", 1, 7},
		"open string":          {`"abc`, 0, 1},
		"open comment":         {"1 /* ", 0, 1},
		"open block":           {"|||\n  x", 0, 1},
		"closing too often":    {"))))", 0, 1},
		"a backslash, the end": {`'\`, 0, 1},
		"a verbatim, the end":  {`@'`, 0, 1},
	} {
		got := scan(row.code)
		if got.brackets != row.brackets || got.tokens > row.tokens || got.tokens < row.tokens-2 {
			t.Errorf("%s: %+v, want %d brackets and about %d tokens", name, got, row.brackets, row.tokens)
		}
	}
	got := scan("[import 'a', importstr \"b\", importbin @'c', import /* x */ 'd', importstr 'a', 'e', imports 'f']")
	for p, text := range map[string]bool{"a": false, "b": true, "c": true, "d": false, "e": false, "f": false} {
		if got.isText(p) != text {
			t.Errorf("%s is imported as text: %t", p, !text)
		}
	}
}

// FuzzScan: whatever the text, the scanner ends; and what it lets pass, the
// library can parse without the process ending.
func FuzzScan(f *testing.F) {
	for _, s := range []string{"{a:1}", "|||\n a\n|||", "@'a''b'", "/* */", "'\\'", "[[[[", "import 'x'", "#", "@", "|||", "||||", "a!-~b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, code string) {
		if scan(code).tooDeep() {
			return
		}
		_, _, err := render(memtree.FromText(map[string]string{"m.jsonnet": "function(x) importstr 'l'", "l": code}), "m.jsonnet", nil, limit.Limits{})
		if err == nil {
			t.Error("a function without its argument")
		}
		var r Renderer
		r.imports = newImporter(nil, ".", nil)
		_ = r.code("tlas", "x", Var{Value: code, Code: true})
	})
}

// FuzzDecode: whatever an evaluation gives, it ends in objects or in an error
// for people.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{`{}`, `[]`, `null`, `"x"`, `1e999`, `{"a":[{"apiVersion":"v1","kind":"List","items":[{"kind":7}]}]}`,
		`{"apiVersion":"tanka.dev/v1alpha1","kind":"Environment","data":{"a":{"apiVersion":"v1","kind":"A","metadata":{"name":"a"}}}}`,
		`{"kind":"XList","apiVersion":"v1","items":[{}]}`, "\xff", `{"apiVersion":{}}`, `[[[[[[[[`, `{"a":{"a":{"a":1}}}`} {
		f.Add(s)
	}
	lim := limit.Limits{Depth: 20, Objects: 10, ExpandedBytes: 1 << 16}.OrDefault()
	f.Fuzz(func(t *testing.T, text string) {
		objects, err := decode("m.jsonnet", text, lim)
		var e *fault.Error
		if err != nil && !errors.As(err, &e) {
			t.Errorf("%q: %v", text, err)
		}
		for _, o := range objects {
			if err == nil && (o.GetName() == "" || o.GetKind() == "" || o.Origin.File != "m.jsonnet") {
				t.Errorf("%q gives %+v", text, o)
			}
		}
		if len(objects) > lim.Objects+1 {
			t.Errorf("%d objects", len(objects))
		}
	})
}

func ExampleIsFileName() {
	fmt.Println(IsFileName("main.jsonnet"), IsFileName("lib.libsonnet"))
	// Output: true false
}
