package fault

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestReasonsAreDocumented: each reason has its line in docs/concepts.md.
func TestReasonsAreDocumented(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "concepts.md"))
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), "fault.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	reasons := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		reasons++
		lit, ok := spec.Values[0].(*ast.BasicLit)
		if !ok || lit.Value != `"`+spec.Names[0].Name+`"` {
			t.Errorf("%s is not its own name", spec.Names[0])
		}
		if !strings.Contains(string(page), "`"+spec.Names[0].Name+"`") {
			t.Errorf("docs/concepts.md does not have %s", spec.Names[0])
		}
		return true
	})
	if reasons < 20 {
		t.Errorf("only %d reasons are found", reasons)
	}
}
