package substitute

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/render/limit"
	"abide.dev/abide/internal/render/manifest"
)

func decode(t testing.TB, text string) []manifest.Object {
	t.Helper()
	objects, _, err := manifest.Decode("app/a.yaml", []byte(text), limit.Default())
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

func values(pairs ...string) *Options {
	o := &Options{Variables: map[string]Variable{}}
	for i := 0; i < len(pairs); i += 2 {
		o.Variables[pairs[i]] = Variable{Value: pairs[i+1]}
	}
	return o
}

func apply(t testing.TB, text string, o *Options) ([]manifest.Object, error) {
	t.Helper()
	return Apply(context.Background(), decode(t, text), o, limit.Default())
}

// custom is an object of a kind without a schema that has body in its spec.
func custom(body string) string {
	return "apiVersion: x.io/v1\nkind: Thing\nmetadata: {name: t}\nspec:\n  " + strings.ReplaceAll(body, "\n", "\n  ") + "\n"
}

func TestText(t *testing.T) {
	o := values("A", "one", "B", "two words", "EMPTY", "", "DOLLAR", "${A}", "_x1", "y", "LINES", "a\nkind: Evil\n---\nb: c", "COLON", "x: y", "BRACE", "{a: b}", "ITEM", "- a")
	for in, want := range map[string]string{
		"${A}!":                "one!",
		"${A}${B}":             "onetwo words",
		"x ${A} y ${B} z":      "x one y two words z",
		"${_x1}.":              "y.",
		"${NONE:=d}.":          "d.",
		"${NONE:-d}.":          "d.",
		"${NONE:=}.":           ".",
		"${A:=d}.":             "one.",
		"${EMPTY:=d}.":         "d.",
		"${EMPTY}.":            ".",
		"${NONE:=a b:=c:-d$}.": "a b:=c:-d$.",
		"${NONE:=$x}.":         "$x.",
		"${DOLLAR}.":           "${A}.",
		"$${A}":                "${A}",
		"$${A}${A}":            "${A}one",
		"$$${A}":               "$${A}",
		"$${":                  "${",
		"$A $ $$ $(A) $1 }":    "$A $ $$ $(A) $1 }",
		"${A}$":                "one$",
		"no placeholder":       "no placeholder",
		"${LINES}":             "a\nkind: Evil\n---\nb: c",
		"${COLON}":             "x: y",
		"${BRACE}":             "{a: b}",
		"${ITEM}":              "- a",
		"${A:=${B":             "", // see TestErrors
	} {
		b, err := json.Marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		out, err := apply(t, custom("v: "+string(b)), o)
		if want == "" {
			if err == nil {
				t.Errorf("%q: no error", in)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", in, err)
			continue
		}
		if d := cmp.Diff(map[string]any{"v": want}, out[0].Object["spec"]); d != "" {
			t.Errorf("%q (-want +got):\n%s", in, d)
		}
	}
}

// TestTypes: what a text of placeholders alone becomes is decided by its field.
func TestTypes(t *testing.T) {
	o := values("N", "3", "F", "1.5", "T", "true", "NULL", "", "TEXT", "abc", "P", "http", "q", `"`, "Q", "'", "BIG", "12345678901234567890123", "DATE", "2001-01-01", "MARK", "---", "TIME", "12:30:00", "HEX", "0x10", "TAG", "!!int")
	deployment := func(spec string) string {
		return "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec: " + spec + "\n"
	}
	for name, row := range map[string]struct {
		object string
		want   any // of spec
	}{
		"an integer":                {deployment("{replicas: '${N}'}"), map[string]any{"replicas": int64(3)}},
		"a default":                 {deployment("{replicas: '${NONE:=5}'}"), map[string]any{"replicas": int64(5)}},
		"nothing":                   {deployment("{replicas: '${NULL}'}"), map[string]any{"replicas": nil}},
		"a boolean":                 {deployment("{paused: '${T}'}"), map[string]any{"paused": true}},
		"a port as number":          {"apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{targetPort: '${N}', port: '${N}'}]}", map[string]any{"ports": []any{map[string]any{"targetPort": int64(3), "port": int64(3)}}}},
		"a port as text":            {"apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{targetPort: '${P}'}]}", map[string]any{"ports": []any{map[string]any{"targetPort": "http"}}}},
		"a quantity":                {"apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: s}\nspec: {hard: {cpu: '${N}'}}", map[string]any{"hard": map[string]any{"cpu": "3"}}},
		"an env":                    {"apiVersion: v1\nkind: Pod\nmetadata: {name: s}\nspec: {containers: [{args: ['${N}'], env: [{name: A, value: '${N}'}]}]}", map[string]any{"containers": []any{map[string]any{"args": []any{"3"}, "env": []any{map[string]any{"name": "A", "value": "3"}}}}}},
		"an env of a custom kind":   {custom("{env: [{name: A, value: '${N}'}], value: '${N}'}"), map[string]any{"env": []any{map[string]any{"name": "A", "value": "3"}}, "value": int64(3)}},
		"labels of a custom kind":   {custom("{template: {metadata: {labels: {a: '${T}'}, annotations: {b: '${N}'}}}, selector: {matchLabels: {a: '${N}'}}}"), map[string]any{"template": map[string]any{"metadata": map[string]any{"labels": map[string]any{"a": "true"}, "annotations": map[string]any{"b": "3"}}}, "selector": map[string]any{"matchLabels": map[string]any{"a": "3"}}}},
		"a custom kind":             {custom("{a: '${N}', b: '${F}', c: '${T}', d: '${NULL}', e: '${TEXT}', f: '${N}${N}', g: 'v${N}'}"), map[string]any{"a": int64(3), "b": 1.5, "c": true, "d": nil, "e": "abc", "f": int64(33), "g": "v3"}},
		"odd values":                {custom("{a: '${BIG}', b: '${DATE}', c: '${MARK}', d: '${TIME}', e: '${HEX}', f: '${TAG}'}"), map[string]any{"a": 12345678901234567890123.0, "b": "2001-01-01", "c": "---", "d": "12:30:00", "e": int64(16), "f": "!!int"}},
		"between quotes":            {custom("{a: '${q}${N}${q}', b: '${Q}${T}${Q}', c: '${q}${q}', d: '${q}${N}', e: '${q}${N}${Q}', f: 'x${q}${N}${q}'}"), map[string]any{"a": "3", "b": "true", "c": "", "d": `"3`, "e": `"3'`, "f": `x"3"`}},
		"a number that was one":     {custom("{a: 5, b: '5', c: true}"), map[string]any{"a": int64(5), "b": "5", "c": true}},
		"an item":                   {custom("[1, '${N}', '${TEXT}']"), []any{int64(1), int64(3), "abc"}},
		"an escape is no value":     {custom("{a: '$${N}'}"), map[string]any{"a": "${N}"}},
		"text of a known kind":      {"apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {clusterIP: '${N}'}", map[string]any{"clusterIP": "3"}},
		"the same alias everywhere": {custom("{a: &x {v: '${N}', d: '$${N}'}, b: *x}"), map[string]any{"a": map[string]any{"v": int64(3), "d": "${N}"}, "b": map[string]any{"v": int64(3), "d": "${N}"}}},
	} {
		out, err := apply(t, row.object, o)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if d := cmp.Diff(row.want, out[0].Object["spec"]); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

func TestWholeObjects(t *testing.T) {
	text := `apiVersion: v1
kind: ConfigMap
metadata: {name: "${NAME}", namespace: "${NS}", labels: {"${KEY}": "${N}", count: "${N}"}}
data: {"${NAME}.json": "${N}", other: plain}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: disabled, annotations: {abide.dev/substitute: disabled}}
data: {a: "${UNDEFINED} ${"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: flux, annotations: {kustomize.toolkit.fluxcd.io/substitute: disabled}}
data: {a: "${UNDEFINED}"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: flux-label, labels: {kustomize.toolkit.fluxcd.io/substitute: disabled}}
data: {a: "${UNDEFINED}"}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: other, annotations: {abide.dev/substitute: enabled}}
data: {a: "${N}"}
`
	in := decode(t, text)
	before, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	out, err := Apply(context.Background(), in, values("NAME", "1", "NS", "shop", "KEY", "team", "N", "7"), limit.Default())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{"name": "1", "namespace": "shop", "labels": map[string]any{"team": "7", "count": "7"}},
		"data":     map[string]any{"1.json": "7", "other": "plain"},
	}
	if d := cmp.Diff(want, out[0].Object); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	for i := 1; i <= 3; i++ {
		if d := cmp.Diff(in[i].Object, out[i].Object); d != "" {
			t.Errorf("%s is not left as it is:\n%s", in[i].GetName(), d)
		}
	}
	if got := out[4].Object["data"].(map[string]any)["a"]; got != "7" {
		t.Errorf("another value of the annotation: %v", got)
	}
	for i := range out {
		if out[i].Origin != in[i].Origin {
			t.Errorf("object %d is of %+v", i, out[i].Origin)
		}
	}
	after, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(before), string(after)); d != "" {
		t.Errorf("what was given is changed:\n%s", d)
	}
}

func TestOff(t *testing.T) {
	out, err := apply(t, custom("a: '${NONE}'"), nil)
	if err != nil || out[0].Object["spec"].(map[string]any)["a"] != "${NONE}" {
		t.Errorf("%v, %v", out, err)
	}
}

func TestErrors(t *testing.T) {
	o := values("REPLICAS", "3", "REGION", "eu", "TEXT", "abc", "EMPTY", "", "LONG", strings.Repeat("x", 1000), "ONE", "k", "TWO", "k")
	deep := "\"" + strings.Repeat("${A:=", 10000) + strings.Repeat("}", 10000) + "\""
	for name, row := range map[string]struct {
		object string
		reason string
		says   []string
	}{
		"undefined":         {"# x\n" + custom("a:\n- b: '${RELPICAS}'"), fault.UndefinedVariable, []string{"app/a.yaml:2: ", "Thing t", "spec.a[0].b", "${RELPICAS}", "did you mean ${REPLICAS}?"}},
		"like nothing":      {custom("a: '${SOMETHING_ELSE}'"), fault.UndefinedVariable, []string{"spec.render.substitute", "$${NAME}"}},
		"in a key":          {custom("'${NONE}': 1"), fault.UndefinedVariable, []string{"Thing t: spec has ${NONE}"}},
		"in an odd path":    {custom("a.b/c: {'': '${NONE}'}"), fault.UndefinedVariable, []string{`spec["a.b/c"][""]`}},
		"never closed":      {custom("a: '${REPLICAS'"), fault.InvalidPlaceholder, []string{"spec.a", "never closed", "$${"}},
		"no name":           {custom("a: '${}'"), fault.InvalidPlaceholder, []string{"no name"}},
		"a digit first":     {custom("a: '${1A}'"), fault.InvalidPlaceholder, []string{"no name"}},
		"a dot":             {custom("a: '${a.b}'"), fault.InvalidPlaceholder, []string{"neither ${NAME}", "abide.dev/substitute: disabled"}},
		"other operators":   {custom("a: '${A##*/}'"), fault.InvalidPlaceholder, nil},
		"error if unset":    {custom("a: '${A:?x}'"), fault.InvalidPlaceholder, nil},
		"plain dash":        {custom("a: '${A-x}'"), fault.InvalidPlaceholder, nil},
		"a space":           {custom("a: '${ A }'"), fault.InvalidPlaceholder, nil},
		"nested":            {custom("a: '${A:=${B}}'"), fault.InvalidPlaceholder, []string{"within another"}},
		"nested, in name":   {custom("a: '${${A}}'"), fault.InvalidPlaceholder, []string{"within another"}},
		"nested very deep":  {custom("a: " + deep), fault.InvalidPlaceholder, nil},
		"open many times":   {custom("a: '" + strings.Repeat("${", 100000) + "'"), fault.InvalidPlaceholder, nil},
		"no integer":        {"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec: {replicas: '${TEXT}'}", fault.InvalidPlaceholder, []string{"Deployment d: spec.replicas takes an integer, and what ${TEXT} stands for is none"}},
		"no boolean":        {"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec: {paused: '${REPLICAS}'}", fault.InvalidPlaceholder, []string{"takes a boolean"}},
		"no mapping":        {"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec: {template: '${TEXT}'}", fault.InvalidPlaceholder, []string{"takes an object", "write the rest into the file"}},
		"no name left":      {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: '${EMPTY}'}", fault.InvalidObject, []string{"metadata.name"}},
		"a typing mistake":  {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, annotations: {abide.dev/substitute: disable}}", fault.InvalidObject, []string{"ConfigMap a: annotation abide.dev/substitute is \"disable\"", `takes "disabled"`}},
		"no kind left":      {"apiVersion: v1\nkind: '${EMPTY}'\nmetadata: {name: a}", fault.InvalidObject, []string{"kind"}},
		"keys the same":     {custom("{'${ONE}': 1, '${TWO}': 2}"), fault.InvalidPlaceholder, []string{"spec two of its keys become the same"}},
		"key that is there": {custom("{'${ONE}': 1, k: 2}"), fault.InvalidPlaceholder, nil},
	} {
		_, err := apply(t, row.object, o)
		var e *fault.Error
		if !errors.As(err, &e) || e.Reason != row.reason || e.File != "app/a.yaml" || e.Line == 0 {
			t.Errorf("%s: %+v, want %s", name, err, row.reason)
			continue
		}
		for _, part := range row.says {
			if !strings.Contains(e.Error(), part) {
				t.Errorf("%s: the error does not say %q: %v", name, part, e)
			}
		}
		if len(e.Error()) > 1000 {
			t.Errorf("%s: the error has %d bytes", name, len(e.Error()))
		}
	}
}

func TestLimit(t *testing.T) {
	o := values("LONG", strings.Repeat("x", 1000))
	lim := limit.Limits{ExpandedBytes: 5000}.OrDefault()
	objects := decode(t, custom("a: '"+strings.Repeat("${LONG}", 4)+"'")+"---\n"+custom("a: '"+strings.Repeat("${LONG}", 4)+"'"))
	_, err := Apply(context.Background(), objects, o, lim)
	var e *fault.Error
	if !errors.As(err, &e) || e.Reason != fault.TooLarge {
		t.Errorf("%v", err)
	}
	if _, err := Apply(context.Background(), objects[:1], o, lim); err != nil {
		t.Error(err)
	}
}

// TestSecretsStaySecret: no error has a value in it, nor the text of a Secret.
func TestSecretsStaySecret(t *testing.T) {
	const secret = "hunter2"
	o := &Options{Variables: map[string]Variable{"S": {Value: secret, From: "Secret shop/s, key s"}, "E": {}}}
	for name, object := range map[string]string{
		"a type that does not fit": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec: {replicas: '${S}'}",
		"beside one undefined":     custom("a: '${S} ${NONE}'"),
		"below a key":              custom("{'${S}': {a: '${NONE}'}}"),
		"keys the same":            custom("{'${S}': 1, hunter2: 2}"),
		"a name":                   "apiVersion: v1\nkind: '${E}'\nmetadata: {name: '${S}'}",
		"a Secret's text":          "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {p: 'x${hunter2}x'}",
		"a Secret's odd text":      "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {p: '${hunter2'}",
	} {
		_, err := apply(t, object, o)
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		// What the file itself says in a key is no secret.
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := apply(t, "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec: {replicas: '${S}'}", o)
	if err == nil || !strings.Contains(err.Error(), "Secret shop/s, key s") {
		t.Errorf("the error does not say where the value is from: %v", err)
	}
}

func TestDeadline(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Apply(ctx, decode(t, custom("a: '${A:=1}'")), &Options{}, limit.Default()); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// FuzzSplit: whatever a text is, its parts put together are the text again, but
// for escapes; and a text that is escaped stays what it was.
func FuzzSplit(f *testing.F) {
	for _, s := range []string{"${A}", "$${A}", "${A:=b}", "${A:-}", "${", "$$${A}", "${A${B}}", "a$b", "${A}}", "$${${A}", "${a.b}"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		parts, bad := split(s)
		if bad != "" {
			if !strings.Contains(s, "${") || strings.Contains(bad, s) && len(s) > 3 {
				t.Errorf("%q: %s", s, bad)
			}
		} else {
			var again strings.Builder
			for _, p := range parts {
				switch {
				case p.name == "":
					again.WriteString(strings.ReplaceAll(p.text, "${", "$${"))
				case p.hasDefault:
					fmt.Fprintf(&again, "${%s:=%s}", p.name, p.text)
				default:
					fmt.Fprintf(&again, "${%s}", p.name)
				}
			}
			if second, bad := split(again.String()); bad != "" || cmp.Diff(parts, second, cmp.AllowUnexported(part{})) != "" {
				t.Errorf("%q is %+v, and that as text %q is %+v, %s", s, parts, again.String(), second, bad)
			}
		}
		escaped := strings.ReplaceAll(s, "${", "$${")
		parts, bad = split(escaped)
		if bad != "" || len(parts) > 1 || len(parts) == 1 && (parts[0].name != "" || parts[0].text != s) || len(parts) == 0 && s != "" {
			t.Errorf("%q, escaped, is %+v, %s", s, parts, bad)
		}
	})
}

// FuzzValue: a value makes no structure: only the one field it is for changes,
// and only into text, a number, a boolean or null.
func FuzzValue(f *testing.F) {
	for _, s := range []string{"a", "1", "true", "", "a: b", "a\nb: c", "[1]", "{a: b}", "&a", "*a", "!!binary x", "---", "...", "# x", "'", "\"x\"", "<<", "1e999", ".nan", "0b1", "1:20", "\x00"} {
		f.Add(s)
	}
	objects := decode(f, custom("{a: '${V}', b: 'x${V}', c: {d: 1}}"))
	f.Fuzz(func(t *testing.T, s string) {
		out, err := Apply(context.Background(), objects, values("V", s), limit.Default())
		if err != nil {
			t.Fatal(err)
		}
		spec := out[0].Object["spec"].(map[string]any)
		if len(spec) != 3 || spec["b"] != "x"+s || cmp.Diff(map[string]any{"d": int64(1)}, spec["c"]) != "" {
			t.Errorf("%q gives %v", s, spec)
		}
		switch spec["a"].(type) {
		case nil, bool, int64, float64:
		case string:
			if spec["a"] != s {
				t.Errorf("%q became %q", s, spec["a"])
			}
		default:
			t.Errorf("%q became a %T", s, spec["a"])
		}
	})
}
