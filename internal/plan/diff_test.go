package plan

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

func parse(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	j, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(j); err != nil {
		t.Fatal(err)
	}
	return u
}

const head = "apiVersion: v1\nkind: Thing\nmetadata:\n  name: a\n"

func TestDiff(t *testing.T) {
	tests := []struct {
		why           string
		before, after string
		want          []string // path before→after
	}{
		{"equal objects do not differ", "spec: {a: 1}", "spec: {a: 1}", nil},
		{"a value", "spec: {a: 1}", "spec: {a: 2}", []string{"spec.a 1→2"}},
		{"a field that comes and one that goes", "spec: {a: 1}", "spec: {b: 2}", []string{"spec.a 1→", "spec.b →2"}},
		{"null is not the same as missing", "spec: {a: null}", "spec: {}", []string{"spec.a null→"}},
		{"another type", "spec: {a: {b: 1}}", "spec: {a: [1]}", []string{`spec.a {"b":1}→[1]`}},
		{"a key with dots stands in quotes", `spec: {"a.b/c": v}`, `spec: {"a.b/c": w}`, []string{`spec["a.b/c"] "v"→"w"`}},
		{"items are told apart by their names",
			"spec: {l: [{name: a, v: 1}, {name: b, v: 2}]}", "spec: {l: [{name: b, v: 3}]}",
			[]string{`spec.l[name=a] {"name":"a","v":1}→`, "spec.l[name=b].v 2→3"}},
		{"an item that comes first does not change the others",
			"spec: {l: [{name: b, v: 2}]}", "spec: {l: [{name: a, v: 1}, {name: b, v: 2}]}",
			[]string{`spec.l[name=a] →{"name":"a","v":1}`}},
		{"ports have no names, but numbers",
			"spec: {ports: [{port: 80, t: 1}]}", "spec: {ports: [{port: 80, t: 2}]}", []string{"spec.ports[port=80].t 1→2"}},
		{"names that are there twice tell nothing apart",
			"spec: {l: [{name: a, v: 1}, {name: a, v: 2}]}", "spec: {l: [{name: a, v: 1}, {name: a, v: 3}]}", []string{"spec.l[1].v 2→3"}},
		{"the order of named items is a change of its own",
			"spec: {l: [{name: a}, {name: b}]}", "spec: {l: [{name: b}, {name: a}]}", []string{`spec.l (order) ["a","b"]→["b","a"]`}},
		{"plain lists go by index", "spec: {l: [a, b]}", "spec: {l: [a, c, d]}", []string{`spec.l[1] "b"→"c"`, `spec.l[2] →"d"`}},
		{"status is not of Git", "status: {a: 1}", "status: {a: 2}", nil},
	}
	for _, tt := range tests {
		t.Run(tt.why, func(t *testing.T) {
			var got []string
			for _, c := range Diff(parse(t, head+tt.before), parse(t, head+tt.after), Redactor{}) {
				line := c.Path + " "
				if c.Had {
					line += text(t, c.Before)
				}
				line += "→"
				if c.Has {
					line += text(t, c.After)
				}
				got = append(got, line)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func text(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// What only the server keeps is noise: a dry run changes it always.
func TestDiffLeavesOutWhatTheServerKeeps(t *testing.T) {
	before := parse(t, head+"  uid: a\n  resourceVersion: '1'\n  generation: 1\n  creationTimestamp: '2026-01-01T00:00:00Z'\n  managedFields: []\n")
	after := parse(t, head+"  uid: b\n  resourceVersion: '2'\n  generation: 2\n  managedFields: [{manager: x}]\n")
	if got := Diff(before, after, Redactor{}); len(got) > 0 {
		t.Errorf("got %v", got)
	}
	if before.GetUID() != "a" {
		t.Error("the object was changed")
	}
}

// The value of a Secret is in no output, whichever way it got into the object.
func TestDiffRedactsSecrets(t *testing.T) {
	const plain, other = "correct horse battery", "staple"
	b64 := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	secret := func(data, stringData string) *unstructured.Unstructured {
		u := parse(t, "apiVersion: v1\nkind: Secret\nmetadata:\n  name: a\n  annotations: {"+
			`"kubectl.kubernetes.io/last-applied-configuration": '{"data":{"k":"`+b64(plain)+`"}}'}`+"\n"+data+"\n"+stringData)
		return u
	}
	before := secret("data: {k: "+b64(plain)+", same: "+b64(plain)+", gone: "+b64(plain)+"}", "")
	after := secret("data: {k: "+b64(other)+", same: "+b64(plain)+"}", "stringData: {new: "+plain+"}")
	r := NewRedactor([]byte("key"))
	changes := Diff(before, after, r)
	all := text(t, changes) + text(t, r.Show(before).Object) + text(t, r.Show(after).Object)
	for _, s := range []string{plain, other, b64(plain), b64(other)} {
		if strings.Contains(all, s) {
			t.Errorf("%q is shown in %s", s, all)
		}
	}
	var paths []string
	for _, c := range changes {
		paths = append(paths, c.Path)
	}
	if d := cmp.Diff([]string{"data.gone", "data.k", "stringData"}, paths); d != "" {
		t.Error(d)
	}

	// Equal values look equal within one run, in data and in stringData, and
	// different under another key.
	values := func(r Redactor, u *unstructured.Unstructured, field string) map[string]any {
		m, _ := r.Show(u).Object[field].(map[string]any)
		return m
	}
	b := values(r, before, "data")
	if b["k"] != b["same"] || b["k"] != values(r, after, "stringData")["new"] {
		t.Error("equal values look different")
	}
	if b["k"] == values(NewRedactor([]byte("another")), before, "data")["k"] {
		t.Error("the hash does not depend on the key")
	}
}

// A Secret that is not one must not slip through.
func TestDiffRedactsOddSecrets(t *testing.T) {
	for _, data := range []string{"data: topsecret", "data: [topsecret]", "data: {k: [topsecret]}", "data: {k: {a: topsecret}}", "stringData: {k: 7, l: topsecret}"} {
		u := parse(t, "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n"+data)
		if got := text(t, NewRedactor(nil).Show(u).Object); strings.Contains(got, "topsecret") {
			t.Errorf("%s is shown as %s", data, got)
		}
	}
}

func FuzzDiff(f *testing.F) {
	f.Add(`{"spec":{"l":[{"name":"a"}]}}`, `{"spec":{"l":[{"name":"b"},1]}}`)
	f.Add(`{"kind":"Secret","apiVersion":"v1","data":{"a":"Yg=="}}`, `{"data":null}`)
	f.Fuzz(func(t *testing.T, before, after string) {
		var b, a map[string]any
		if json.Unmarshal([]byte(before), &b) != nil || json.Unmarshal([]byte(after), &a) != nil {
			t.Skip()
		}
		bu, au := &unstructured.Unstructured{Object: b}, &unstructured.Unstructured{Object: a}
		_ = Diff(bu, au, NewRedactor(nil))
		if d := Diff(bu, bu, NewRedactor(nil)); len(d) > 0 {
			t.Errorf("it differs from itself: %v", d)
		}
	})
}
