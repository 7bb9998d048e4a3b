package health

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
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
