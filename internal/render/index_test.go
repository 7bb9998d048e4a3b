package render_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/snapshot/memtree"
)

// TestConcerned asks the index of three Apps whom a change concerns.
func TestConcerned(t *testing.T) {
	tree := memtree.FromText(map[string]string{
		"apps/a/a.yaml":             configMap("a"),
		"apps/b/b.yaml":             configMap("b"),
		"apps/k/kustomization.yaml": "resources: [../../base/k]\n",
		"base/k/kustomization.yaml": "resources: [r.yaml]\n",
		"base/k/r.yaml":             configMap("r"),
		"base/other/x.txt":          "x",
	})
	index := render.NewIndex[string]()
	for _, name := range []string{"a", "b", "k", "none"} {
		res, err := render.Render(context.Background(), tree, render.Request{Path: "apps/" + name})
		if (err != nil) != (name == "none") {
			t.Fatal(err)
		}
		index.Put(name, res.Trace)
	}
	came := func(p, top string) render.Changed { return render.Changed{Path: p, Listing: true, Top: top} }
	all := []string{"a", "b", "k", "none"}
	for name, row := range map[string]struct {
		change render.Changed
		want   []string
	}{
		"a file of one App":                     {render.Changed{Path: "apps/a/a.yaml"}, []string{"a"}},
		"one more file in its folder":           {came("apps/a/n.yaml", "apps/a/n.yaml"), []string{"a"}},
		"a folder in its folder":                {came("apps/a/n/deep/n.yaml", "apps/a/n"), []string{"a"}},
		"its folder went":                       {came("apps/a/a.yaml", "apps/a"), []string{"a", "none"}},
		"all of them went":                      {came("apps/a/a.yaml", "apps"), all},
		"an App more, beside one that is wrong": {came("apps/new/n.yaml", "apps/new"), []string{"none"}},
		"the one that was missing":              {came("apps/none/n.yaml", "apps/none"), []string{"none"}},
		"a folder at the root":                  {came("new/n.yaml", "new"), nil},
		"a base":                                {render.Changed{Path: "base/k/r.yaml"}, []string{"k"}},
		"a file beside a base":                  {came("base/k/n.yaml", "base/k/n.yaml"), nil},
		"a folder beside a base":                {came("base/n/n.yaml", "base/n"), nil},
		"a second kustomization in a base":      {came("base/k/Kustomization", "base/k/Kustomization"), []string{"k"}},
		"an ignore file above":                  {came("apps/.abideignore", "apps/.abideignore"), []string{"a", "b", "none"}},
		"a mode":                                {came("apps/a/a.yaml", "apps/a/a.yaml"), []string{"a"}},
		"nothing known of the folders":          {came("apps/a/n.yaml", ""), all},
	} {
		t.Run(name, func(t *testing.T) {
			got := slices.Sorted(maps.Keys(index.Concerned([]render.Changed{row.change})))
			if d := cmp.Diff(row.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
	index.Delete("a")
	index.Put("b", nil)
	if got := index.Concerned([]render.Changed{{Path: "apps/a/a.yaml"}, {Path: "apps/b/b.yaml"}}); len(got) > 0 {
		t.Errorf("what was taken out is found: %v", got)
	}
	index.Put("new", render.Trace{{Path: "apps/a/a.yaml", Op: "Read", Hash: "f:1"}})
	if got := index.Concerned([]render.Changed{{Path: "apps/a/a.yaml"}}); len(got) != 1 || !got["new"] {
		t.Errorf("what came in the place of one that was taken out: %v", got)
	}
}

// monorepo is an index of n Apps that share a base.
func monorepo(n int) *render.Index[int] {
	index := render.NewIndex[int]()
	for i := range n {
		index.Put(i, appTrace(i))
	}
	return index
}

func appTrace(i int) render.Trace {
	dir := fmt.Sprintf("apps/app%05d", i)
	return render.Trace{
		{Path: "apps", Op: "Stat", Hash: "d"}, {Path: dir, Op: "Stat", Hash: "d"},
		{Path: dir + "/Kustomization", Op: "Stat"}, {Path: dir + "/kustomization.yaml", Op: "Read", Hash: "f:1"}, {Path: dir + "/kustomization.yml", Op: "Stat"},
		{Path: dir + "/patch.yaml", Op: "Read", Hash: "f:2"},
		{Path: "base", Op: "Stat", Hash: "d"}, {Path: "base/kustomization.yaml", Op: "Read", Hash: "f:3"}, {Path: "base/all.yaml", Op: "Read", Hash: "f:4"},
	}
}

func BenchmarkConcerned10000Apps(b *testing.B) {
	index := monorepo(10_000)
	for _, row := range []struct {
		name   string
		change render.Changed
		want   int
	}{
		{"edit", render.Changed{Path: "apps/app00007/patch.yaml"}, 1},
		{"add", render.Changed{Path: "apps/app00007/new.yaml", Listing: true, Top: "apps/app00007/new.yaml"}, 0},
		{"base", render.Changed{Path: "base/all.yaml"}, 10_000},
	} {
		b.Run(row.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if got := index.Concerned([]render.Changed{row.change}); len(got) != row.want {
					b.Fatal(len(got))
				}
			}
		})
	}
}

// BenchmarkIndexPut notes a trace that has other paths than the one before, and
// one that has the same.
func BenchmarkIndexPut(b *testing.B) {
	index, traces := monorepo(10_000), []render.Trace{appTrace(7), appTrace(8)}
	for name, other := range map[string]int{"same": 0, "other": 1} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				index.Put(7, traces[n%2*other])
			}
		})
	}
}
