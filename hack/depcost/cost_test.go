package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestModuleOf(t *testing.T) {
	known := map[string]bool{"k8s.io/api": true, "k8s.io/apimachinery": true, "sigs.k8s.io/yaml": true, "go.yaml.in/yaml/v2": true, "abide.dev/abide": true, "gopkg.in/inf.v0": true}
	for name, want := range map[string]string{
		"k8s.io/api/core/v1.(*Pod).Marshal":                           "k8s.io/api",
		"k8s.io/apimachinery/pkg/util/sets.Set[go.shape.string].Has":  "k8s.io/apimachinery",
		"sigs.k8s.io/yaml.init":                                       "sigs.k8s.io/yaml",
		"go.yaml.in/yaml/v2.yaml_parser_parse":                        "go.yaml.in/yaml/v2",
		"gopkg.in/inf%2ev0.(*Dec).Set":                                "gopkg.in/inf.v0",
		"type:.eq.k8s.io/api/core/v1.Taint":                           "k8s.io/api",
		"go:itab.*k8s.io/api/core/v1.Pod,k8s.io/apimachinery/pkg/run": "k8s.io/api",
		"slices.SortFunc[go.shape.[]k8s.io/api/core/v1.Pod]":          goItself,
		"runtime.pclntab":                                             goItself,
		"abide.dev/abide.main":                                        "abide.dev/abide",
		"main.main":                                                   goItself,
		"":                                                            goItself,
	} {
		if got := moduleOf(name, known); got != want {
			t.Errorf("%s is of %s, want %s", name, got, want)
		}
	}
}

func TestPage(t *testing.T) {
	direct := directOf("module x\nrequire a.b/single v1\nrequire (\n\ta.b/c v1.0.0\n\ta.b/d v1.0.0 // indirect\n)\n")
	if d := cmp.Diff(map[string]bool{"a.b/single": true, "a.b/c": true}, direct); d != "" {
		t.Errorf("direct (-want +got):\n%s", d)
	}
	all := costs([]symbol{{"a.b/c.F", 50_000}, {"a.b/d.G", 2_000_000}, {"a.b/d/e.H", 500_000}, {"a.b/f.I", 10}, {"runtime.x", 7_000_000}, {"x.main", 1_000_000}},
		[]string{"x", "a.b/c", "a.b/d", "a.b/f"})
	_, table, _ := strings.Cut(page(all, direct, "x", 40_000_000), "| --- | --- | --- |\n")
	want := `| Go: standard library and runtime |  | 7.00 MB |
| ` + "`a.b/d`" + ` | by way of others | 2.50 MB |
| abide itself |  | 1.00 MB |
| ` + "`a.b/c`" + ` | direct | 0.05 MB |
| 1 smaller ones | by way of others | 0.00 MB |
| tables of functions, lines and types, which are of all of them | | 29.45 MB |
| together | | 40.00 MB |
`
	if d := cmp.Diff(want, table); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
