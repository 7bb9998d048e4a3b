package health

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"abide.dev/abide/api/v1alpha1"
)

// specimen is an object of testdata and what has to be said of it.
type specimen struct {
	name   string
	object *unstructured.Unstructured
	health v1alpha1.Health
	says   string
}

// heading is the first line of each document: the health, what the message says,
// and what the object is.
var heading = regexp.MustCompile(`^# (Healthy|Progressing|Degraded|Suspended|Unknown)(?: "(.+)")?: (.+)$`)

// specimens reads testdata, by file.
func specimens(t testing.TB) map[string][]specimen {
	t.Helper()
	out := map[string][]specimen{}
	names, err := filepath.Glob("testdata/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, doc := range strings.Split(string(content), "\n---\n") {
			first, rest, _ := strings.Cut(strings.TrimLeft(doc, "\n"), "\n")
			m := heading.FindStringSubmatch(first)
			if m == nil {
				t.Fatalf("%s: %q is no heading", name, first)
			}
			if h := v1alpha1.Health(m[1]); (h == v1alpha1.HealthHealthy) != (m[2] == "") {
				t.Fatalf("%s: %q: each but a healthy one says what its message has", name, first)
			}
			out[filepath.Base(name)] = append(out[filepath.Base(name)], specimen{
				name: filepath.Base(name) + ": " + m[3], object: object(t, rest), health: v1alpha1.Health(m[1]), says: m[2],
			})
		}
	}
	return out
}

// check tells whether a verdict is what a specimen wants.
func (s *specimen) check(v Verdict) bool {
	return v.Health == s.health && strings.Contains(v.Message, s.says) && (v.Message == "") == (s.says == "")
}

// TestShipped: each specimen is told as its heading says.
func TestShipped(t *testing.T) {
	e := NewEvaluator(Shipped())
	for _, all := range specimens(t) {
		for _, s := range all {
			if v := e.Explain(s.object); !s.check(v) {
				t.Errorf("%s: it is %s %q by %q, want %s %q", s.name, v.Health, v.Message, v.Rule, s.health, s.says)
			}
		}
	}
}

// TestShippedCompile: every rule that is shipped would pass as somebody's own.
func TestShippedCompile(t *testing.T) {
	names, err := filepath.Glob("rules/*.yaml")
	if err != nil || len(names) < 20 {
		t.Fatalf("%d files, %v", len(names), err)
	}
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(name, content); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(filepath.Join("testdata", filepath.Base(name))); err != nil {
			t.Errorf("%s has no specimens: %v", name, err)
		}
	}
}

// TestEachRuleIsNeeded: without a rule, one of the specimens would be told
// otherwise. So each has one that fails without it.
func TestEachRuleIsNeeded(t *testing.T) {
	all := specimens(t)
	rules := Shipped()
	e := NewEvaluator(rules)
	for i, of := range rules.entries {
		for j, r := range of.rules {
			file := strings.TrimPrefix(r.at[:strings.LastIndex(r.at, ":")], "shipped/")
			fewer := slices.Clone(rules.entries)
			fewer[i] = &entry{group: of.group, kinds: of.kinds, versions: of.versions,
				rules: slices.Concat(of.rules[:j:j], of.rules[j+1:])}
			without := NewEvaluator(Rules{fewer})
			if !slices.ContainsFunc(all[file], func(s specimen) bool {
				with := e.Explain(s.object)
				return with.Rule == r.at && !s.check(without.Explain(s.object))
			}) {
				t.Errorf("%s (%s, %s): no specimen of testdata/%s needs it", r.at, of.group, r.when, file)
			}
		}
	}
}

// TestEachKindIsTold: of each kind there is a specimen that is healthy and one
// that is not.
func TestEachKindIsTold(t *testing.T) {
	type seen struct{ well, unwell bool }
	kinds := map[string]*seen{}
	for _, all := range specimens(t) {
		for _, s := range all {
			gvk := s.object.GroupVersionKind()
			name := gvk.GroupKind().String()
			if kinds[name] == nil {
				kinds[name] = &seen{}
			}
			if s.health == v1alpha1.HealthHealthy {
				kinds[name].well = true
			} else {
				kinds[name].unwell = true
			}
		}
	}
	for _, kind := range Shipped().Kinds() {
		if strings.HasPrefix(kind, "*.") {
			continue // its specimens are needed by its rules
		}
		if k := kinds[kind]; k == nil || !k.well || !k.unwell {
			t.Errorf("%s has no healthy or no other specimen", kind)
		}
	}
}
