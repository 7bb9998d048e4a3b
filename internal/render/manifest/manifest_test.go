package manifest

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"

	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/render/limit"
)

var samples = []string{
	"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n",
	"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\n# c\n...\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: b}\ndata: {a: !!binary aGk=}\n",
	"apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: {name: a}\n",
	"%YAML 1.1\n---\napiVersion: v1\nkind: X\nmetadata: {name: a}\nv: [1.0, 1e3, -0.0, 1e21, 123456789012345678901, 0o17, 0b11, ~, yes, 1_000, .5]\n",
	"apiVersion: v1\nkind: X\nmetadata: {name: a}\nbase: &b {x: 1, y: 2}\nover: {<<: *b, y: 3, z: 4}\n",
	"apiVersion: v1\nkind: X\nmetadata: {name: a}\nkeys: {1: a, true: b, 1.5: c, ~: d}\n",
	"--- {apiVersion: v1, kind: X, metadata: {name: a}}\n",
	"a: |\n  ---\n  x\n",
	"\"---\n",
}

// TestValuesAreKubectls compares with the way that kubectl takes: YAML to JSON
// to Kubernetes' JSON decoder.
func TestValuesAreKubectls(t *testing.T) {
	for _, s := range append(samples[:5:5], "a: {b: [1, {c: 2.5}], d: 'x'}\ne: 2001-01-01T00:00:00Z\nf: 1e-7\ng: 1e20\nh: -1e20\ni: 9007199254740993.0\nj: on\n") {
		for _, doc := range splitDocuments([]byte(s)) {
			got, err := decodeYAML("f", doc, limit.Default(), nil)
			if err != nil {
				t.Fatalf("%s: %v", s, err)
			}
			j, err := yaml.YAMLToJSON(doc.text)
			if err != nil {
				t.Fatal(err)
			}
			var want map[string]any
			if err := utiljson.Unmarshal(j, &want); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(any(want), got); d != "" {
				t.Errorf("%s (-kubectl +abide):\n%s", s, d)
			}
		}
	}
}

func TestSplit(t *testing.T) {
	type doc struct {
		Start, First int
		Text         string
	}
	for text, want := range map[string][]doc{
		"":                              nil,
		"# x\n":                         nil,
		"a: b":                          {{1, 1, "a: b"}},
		"\n# x\na: b\n---\nc: d\n":      {{1, 3, "\n# x\na: b\n"}, {4, 5, "---\nc: d\n"}},
		"---\n---\na: b\n":              {{2, 3, "---\na: b\n"}},
		"a: b\n...\nc: d\n":             {{1, 1, "a: b\n"}, {3, 3, "c: d\n"}},
		"--- # x\na: b\n":               {{1, 2, "--- # x\na: b\n"}},
		"--- a\n":                       {{1, 1, "--- a\n"}},
		"---a: b\n":                     {{1, 1, "---a: b\n"}},
		"a: |\n  ---\n  x\n":            {{1, 1, "a: |\n  ---\n  x\n"}},
		"%YAML 1.1\n---\na: b\n":        {{1, 3, "%YAML 1.1\n---\na: b\n"}},
		"a: b\r\n---\r\nc: d\r\n":       {{1, 1, "a: b\r\n"}, {2, 3, "---\r\nc: d\r\n"}},
		"a: b\n---":                     {{1, 1, "a: b\n"}},
		"a: b\n...\n# only a comment\n": {{1, 1, "a: b\n"}},
	} {
		var got []doc
		for _, d := range splitDocuments([]byte(text)) {
			got = append(got, doc{d.start, d.first, string(d.text)})
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%q (-want +got):\n%s", text, d)
		}
	}
}

func TestMergedKeys(t *testing.T) {
	object := "apiVersion: v1\nkind: X\nmetadata: {name: a}\nbase: &b {x: 1, z: 2}\n"
	objects, _, err := Decode("f.yaml", []byte(object+"over: {<<: *b, z: 3}\n"), limit.Default())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(map[string]any{"x": int64(1), "z": int64(3)}, objects[0].Object["over"]); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	_, _, err = Decode("f.yaml", []byte(object+"over:\n  <<: *b\n  z: 3\n  z: 4\n"), limit.Default())
	var e *fault.Error
	if !errors.As(err, &e) || e.Reason != fault.InvalidYAML || e.Line != 8 {
		t.Errorf("a key given twice next to a merge: %v", err)
	}
}

// FuzzDecode: no input crashes, errors name the file and a line that exists,
// and objects survive a round through JSON.
func FuzzDecode(f *testing.F) {
	for _, s := range samples {
		f.Add([]byte(s), false)
	}
	f.Add([]byte(`{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"A","metadata":{"name":"a"},"x":1.0}]}`), true)
	lim := limit.Limits{Objects: 100, Depth: 50, ExpandedBytes: 1 << 20}.OrDefault()
	f.Fuzz(func(t *testing.T, content []byte, asJSON bool) {
		name := "f.yaml"
		if asJSON {
			name = "f.json"
		}
		objects, ignored, err := Decode(name, content, lim)
		lines := strings.Count(string(content), "\n") + 1
		if err != nil {
			var e *fault.Error
			if !errors.As(err, &e) {
				t.Fatalf("not an error for people: %v", err)
			}
			if e.File != name || e.Line < 0 || e.Line > lines+1 {
				t.Fatalf("%s:%d of %d lines: %v", e.File, e.Line, lines, err)
			}
			return
		}
		for _, i := range ignored {
			if i.Reason == "" || i.Line < 1 || i.Line > lines {
				t.Fatalf("%+v", i)
			}
		}
		for _, o := range objects {
			if o.GetName() == "" || o.GetKind() == "" || o.GetAPIVersion() == "" {
				t.Fatalf("half an object: %v", o.Object)
			}
			if o.Origin.Line < 1 || o.Origin.Line > lines {
				t.Fatalf("line %d of %d", o.Origin.Line, lines)
			}
			j, err := json.Marshal(o.Object)
			if err != nil {
				t.Fatal(err)
			}
			var back map[string]any
			if err := utiljson.Unmarshal(j, &back); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(back, o.Object) {
				t.Fatalf("changed by a round through JSON:\n%s", cmp.Diff(o.Object, back))
			}
			o.DeepCopy()
		}
	})
}

func TestTemplated(t *testing.T) {
	for name, row := range map[string]struct {
		text     string
		want     string // the value of data.a
		repeated int
		reason   string
	}{
		"a repeated key counts as Helm takes it":  {"data: {a: one, a: two}\n", "two", 1, ""},
		"so does one beside a merge":              {"x: &x {c: d}\ndata:\n  <<: *x\n  a: one\n  a: two\n", "two", 1, ""},
		"a key that overrides a merged one is ok": {"x: &x {a: one}\ndata: {<<: *x, a: two}\n", "two", 0, ""},
		"what does not parse stays an error":      {"data: {a: one\nb: [\n", "", 0, fault.InvalidYAML},
		"so does what is no text":                 {"data: {a: \xff}\n", "", 0, fault.InvalidYAML},
		"and what is nested too deep":             {"data: {a: one, a: " + strings.Repeat("[", 300) + strings.Repeat("]", 300) + "}\n", "", 1, fault.TooDeep},
	} {
		t.Run(name, func(t *testing.T) {
			text := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: web}\n" + row.text
			objects, _, repeated, err := DecodeTemplated("f", []byte(text), limit.Default())
			if len(repeated) != row.repeated {
				t.Errorf("repeated: %v", repeated)
			}
			if row.reason != "" {
				var e *fault.Error
				if !errors.As(err, &e) || e.Reason != row.reason {
					t.Errorf("want %s, got %v", row.reason, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := objects[0].Object["data"].(map[string]any)["a"]; got != row.want {
				t.Errorf("a is %v, want %s", got, row.want)
			}
		})
	}
}

func TestSyntaxError(t *testing.T) {
	for name, row := range map[string]struct {
		text string
		line int
	}{
		"a mapping":            {"a: b\n---\nc: d\n", -1},
		"a list":               {"# note\n- a\n", 2},
		"a broken second text": {"a: b\n---\nc: d: e\n", 3},
		"no text":              {"a: b\nc: \xff\n", 2},
	} {
		e := SyntaxError("f", []byte(row.text), limit.Default())
		if (e == nil) != (row.line < 0) || e != nil && e.Line != row.line {
			t.Errorf("%s: %v, want line %d", name, e, row.line)
		}
	}
}
