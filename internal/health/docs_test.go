package health

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	sigsyaml "sigs.k8s.io/yaml"

	"abide.dev/abide/api/v1alpha1"
)

var update = flag.Bool("update", false, "write the table of docs/health.md")

// TestDocumented: docs/health.md has the table of the rules that are shipped.
func TestDocumented(t *testing.T) {
	const page, begin, end = "../../docs/health.md", "<!-- shipped: written by go test ./internal/health -update -->\n", "<!-- end -->"
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	have, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no place for the table", page)
	}
	want := shippedTable()
	if *update {
		if err := os.WriteFile(page, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("%s is stale, run go test ./internal/health -update (-want +have):\n%s", page, diff)
	}
}

// TestExamples: the rules on the page are right, and say what the page says of them.
func TestExamples(t *testing.T) {
	text, err := os.ReadFile("../../docs/health.md")
	if err != nil {
		t.Fatal(err)
	}
	var rule v1alpha1.HealthRule
	var app v1alpha1.App
	files := 0
	for _, block := range strings.Split(string(text), "\n\n") {
		if !strings.HasPrefix(block, "    ") {
			continue
		}
		var lines []string
		for line := range strings.Lines(block) {
			lines = append(lines, strings.TrimPrefix(line, "    "))
		}
		code, into := strings.Join(lines, ""), any(nil)
		switch {
		case strings.HasPrefix(code, "health:\n"):
			files++
			if _, err := Parse("example", []byte(code)); err != nil {
				t.Error(err)
			}
			continue
		case strings.Contains(code, "kind: HealthRule"):
			into = &rule
		case strings.Contains(code, "kind: App"):
			into = &app
		default:
			continue
		}
		if err := sigsyaml.UnmarshalStrict([]byte(code), into); err != nil {
			t.Errorf("%v in\n%s", err, code)
		}
	}
	if files != 1 || rule.Name == "" || app.Name == "" {
		t.Fatalf("%d files, HealthRule %q, App %q", files, rule.Name, app.Name)
	}
	shared, err := OfHealthRule(&rule)
	if err != nil {
		t.Fatal(err)
	}
	own, err := OfApp(&app)
	if err != nil || own.Check() != nil {
		t.Fatal(err, own.Check())
	}
	e := NewEvaluator(own).Before(NewEvaluator(shared.Before(Shipped())))
	for _, c := range []struct {
		object string
		want   v1alpha1.Health
		why    string
	}{
		{`metadata: {labels: {tier: scratch}}, status: {phase: Failed, error: disk}`, v1alpha1.HealthHealthy, ""},
		{`metadata: {name: x}, status: {phase: Failed, error: disk}`, v1alpha1.HealthDegraded, "disk"},
		{`metadata: {name: x}, status: {phase: Running}`, v1alpha1.HealthHealthy, ""},
		{`metadata: {name: x}, status: {phase: Copying}`, v1alpha1.HealthProgressing, "it is Copying"},
	} {
		if h, why := e.Of(object(t, "{apiVersion: example.com/v1, kind: Database, "+c.object+"}")); h != c.want || why != c.why {
			t.Errorf("%s: %s %q, want %s %q", c.object, h, why, c.want, c.why)
		}
	}
}

// shippedTable is a row for the kinds that share rules.
func shippedTable() string {
	var b strings.Builder
	b.WriteString("| file | group | kinds | may be |\n| --- | --- | --- | --- |\n")
	type kind struct{ file, group, name string }
	var order []kind
	healths := map[kind][]string{}
	for _, e := range Shipped().entries {
		file := strings.TrimPrefix(e.rules[0].at[:strings.LastIndex(e.rules[0].at, ":")], "shipped/")
		for _, k := range e.kinds {
			at := kind{file, e.group, k}
			if healths[at] == nil {
				order = append(order, at)
			}
			for _, r := range e.rules {
				if !slices.Contains(healths[at], string(r.health)) {
					healths[at] = append(healths[at], string(r.health))
				}
			}
		}
	}
	for i := 0; i < len(order); {
		first, names := order[i], []string{}
		slices.Sort(healths[first])
		may := strings.Join(healths[first], ", ")
		for ; i < len(order) && order[i].file == first.file && order[i].group == first.group; i++ {
			slices.Sort(healths[order[i]])
			if strings.Join(healths[order[i]], ", ") != may {
				break
			}
			name := order[i].name
			if name == "*" {
				name = "all"
			}
			names = append(names, name)
		}
		group := "`" + first.group + "`"
		if first.group == "" {
			group = "core"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", first.file, group, strings.Join(names, ", "), may)
	}
	return b.String()
}
