package arch

import (
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strings"
)

// Rule is one rule of the house.
type Rule struct {
	Name  string
	Why   string
	Check func(*Tree) []Violation
}

// values are the packages that hold values: pure, with no I/O, clock or logger.
// What lies below one of them is a package of its own and not meant.
var values = []string{
	"internal/object", "internal/snapshot", "internal/health", "internal/plan", "internal/policy", "internal/report",
	"internal/depend",
}

// Rules are all rules.
var Rules = []Rule{
	{"values have no effects", "a value can be saved, replayed and compared", valuesAreImports},
	{"values have no clock", "time and randomness are parameters", valuesHaveNoClock},
	{"api imports apimachinery only", "clients import it without the engine's dependencies", apiImports},
	{"render reaches nothing", "a repository is untrusted input", renderImports},
	{"edges are imported from above", "commands and the composition root sit on top", edges},
	{"one place runs programs", "what starts processes is easy to review", runsPrograms},
	{"names say what is inside", "a package called util collects what has no home", packageNames},
	{"context comes from the caller", "a context made half way cannot be cancelled", contextBackground},
	{"no context in a struct", "a stored context outlives its call", contextStored},
	{"nothing sleeps", "a sleep is a race or a delay", sleeps},
	{"no weak randomness", "math/rand must never make a secret", weakRandomness},
	{"exported names are documented", "the documentation is the contract", documented},
	{"packages say what they promise", "the package comment is the specification", packageComments},
	{"functions fit a screen or two", "one purpose each", functionLength},
	{"errors have no 'failed to' chains", "an error says what failed, where and why", errorTexts},
	{"nothing is left to do", "an open end is an issue, not a comment", openEnds},
}

func valuesAreImports(t *Tree) []Violation {
	return t.imports(
		func(f *File) bool { return !f.Test() && slices.Contains(values, f.Dir()) },
		func(p string) string {
			if within(p, "os", "net", "log", "syscall", "k8s.io/client-go", "sigs.k8s.io/controller-runtime",
				Module+"/internal/cluster", Module+"/internal/source") {
				return "a package of values does no I/O and logs nothing"
			}
			return ""
		})
}

func valuesHaveNoClock(t *Tree) []Violation {
	var out []Violation
	for _, f := range t.Files {
		if f.Test() || !slices.Contains(values, f.Dir()) {
			continue
		}
		out = append(out, t.uses(f, "time", "Now", "Since", "Until", "Sleep", "After", "Tick", "NewTimer", "NewTicker", "AfterFunc")...)
		for i, p := range f.Imports() {
			if p == "crypto/rand" || within(p, "math/rand") {
				out = append(out, t.at(f, f.AST.Imports[i], "imports %s", p))
			}
		}
	}
	return out
}

func apiImports(t *Tree) []Violation {
	return t.imports(
		func(f *File) bool { return !f.Test() && within(f.Dir(), "api") },
		func(p string) string {
			if standard(p) || within(p, "k8s.io/apimachinery", Module+"/api") {
				return ""
			}
			return "API types need nothing but apimachinery"
		})
}

func renderImports(t *Tree) []Violation {
	return t.imports(
		func(f *File) bool { return !f.Test() && within(f.Dir(), "internal/render") },
		func(p string) string {
			if within(p, "net", "os/exec", "plugin", "k8s.io/client-go", Module+"/internal/cluster", Module+"/internal/source") && p != "net/url" {
				return "a render reads the snapshot and nothing else"
			}
			return ""
		})
}

// above says who may import a package at the edge.
var above = map[string][]string{
	"internal/cli":        {"cmd", "internal/cli", "hack"},
	"internal/engine":     {"cmd", "internal/cli", "internal/engine", "hack"},
	"internal/controller": {"internal/engine", "internal/controller"},
	"internal/coldstart":  {"cmd"}, // see there
	"internal/arch":       {},
}

func edges(t *Tree) []Violation {
	var out []Violation
	for edge, importers := range above {
		out = append(out, t.imports(
			func(f *File) bool { return !f.Test() && !within(f.Dir(), importers...) },
			func(p string) string {
				if within(p, Module+"/"+edge) {
					return edge + " is imported by " + strings.Join(importers, ", ") + " only"
				}
				return ""
			})...)
	}
	return out
}

func runsPrograms(t *Tree) []Violation {
	return t.imports(
		func(f *File) bool { return !f.Test() && !within(f.Dir(), "hack") },
		func(p string) string {
			if p == "os/exec" {
				return "ask a package that runs programs already"
			}
			return ""
		})
}

func packageNames(t *Tree) []Violation {
	bad := []string{"util", "utils", "common", "helper", "helpers", "manager", "pkg", "misc", "shared", "lib"}
	var out []Violation
	for _, f := range t.Files {
		if slices.Contains(bad, f.AST.Name.Name) || slices.Contains(bad, path.Base(f.Dir())) {
			out = append(out, t.at(f, f.AST.Name, "package %s in %s: name it after what is inside", f.AST.Name.Name, f.Dir()))
		}
	}
	return out
}

func contextBackground(t *Tree) []Violation {
	var out []Violation
	for _, f := range t.Files {
		if !f.Test() && !f.Main() {
			out = append(out, t.uses(f, "context", "Background", "TODO")...)
		}
	}
	return out
}

func contextStored(t *Tree) []Violation {
	var out []Violation
	for _, f := range t.Files {
		if f.Test() {
			continue
		}
		ast.Inspect(f.AST, func(n ast.Node) bool {
			s, ok := n.(*ast.StructType)
			if !ok {
				return true
			}
			for _, field := range s.Fields.List {
				if sel, ok := field.Type.(*ast.SelectorExpr); ok {
					if x, ok := sel.X.(*ast.Ident); ok && x.Name == "context" && sel.Sel.Name == "Context" {
						out = append(out, t.at(f, field, "stores a context"))
					}
				}
			}
			return true
		})
	}
	return out
}

func sleeps(t *Tree) []Violation {
	var out []Violation
	for _, f := range t.Files {
		// In a bubble of synctest a sleep is a step of its clock.
		if !slices.Contains(f.Imports(), "testing/synctest") {
			out = append(out, t.uses(f, "time", "Sleep")...)
		}
	}
	return out
}

func weakRandomness(t *Tree) []Violation {
	return t.imports(
		func(f *File) bool { return !f.Test() },
		func(p string) string {
			if within(p, "math/rand") {
				return "use crypto/rand, or take the source of randomness as a parameter"
			}
			return ""
		})
}

// wellKnown are methods whose meaning an interface of the standard library or of
// apimachinery gives.
var wellKnown = []string{
	"String", "Error", "Unwrap", "Is", "As", "MarshalJSON", "UnmarshalJSON", "MarshalText", "UnmarshalText",
	"Len", "Less", "Swap", "Read", "Write", "Close", "ServeHTTP", "LogValue", "Format",
}

func documented(t *Tree) []Violation {
	var out []Violation
	for _, f := range t.Files {
		if strings.HasSuffix(f.Path, "_test.go") || f.Generated || f.Main() {
			continue
		}
		for _, d := range f.AST.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Doc == nil && d.Name.IsExported() && exportedReceiver(d) &&
					(d.Recv == nil || !slices.Contains(wellKnown, d.Name.Name)) {
					out = append(out, t.at(f, d, "%s has no comment", d.Name.Name))
				}
			case *ast.GenDecl:
				out = append(out, t.undocumentedSpecs(f, d)...)
			}
		}
	}
	return out
}

// exportedReceiver reports whether callers of another package can name the type
// of the method. A plain function has none and counts.
func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return true
	}
	e := d.Recv.List[0].Type
	for {
		switch x := e.(type) {
		case *ast.StarExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.IndexListExpr:
			e = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return true
		}
	}
}

// undocumentedSpecs takes the comment of a group for all in it.
func (t *Tree) undocumentedSpecs(f *File, d *ast.GenDecl) []Violation {
	if d.Tok == token.IMPORT || d.Doc != nil {
		return nil
	}
	var out []Violation
	for _, s := range d.Specs {
		switch s := s.(type) {
		case *ast.TypeSpec:
			if s.Doc == nil && s.Name.IsExported() {
				out = append(out, t.at(f, s, "%s has no comment", s.Name.Name))
			}
		case *ast.ValueSpec:
			for _, n := range s.Names {
				if s.Doc == nil && s.Comment == nil && n.IsExported() {
					out = append(out, t.at(f, s, "%s has no comment", n.Name))
				}
			}
		}
	}
	return out
}

func packageComments(t *Tree) []Violation {
	has := map[string]bool{}
	first := map[string]*File{}
	for _, f := range t.Files {
		if strings.HasSuffix(f.Path, "_test.go") {
			continue
		}
		if first[f.Dir()] == nil {
			first[f.Dir()] = f
		}
		if f.AST.Doc != nil {
			has[f.Dir()] = true
		}
	}
	var out []Violation
	for _, f := range t.Files {
		if first[f.Dir()] == f && !has[f.Dir()] {
			out = append(out, t.at(f, f.AST.Name, "package %s has no comment in any file", f.AST.Name.Name))
		}
	}
	return out
}

// maxLines is how long a function may be, comments included.
const maxLines = 110

func functionLength(t *Tree) []Violation {
	var out []Violation
	for _, f := range t.Files {
		if f.Test() || f.Generated {
			continue
		}
		for _, d := range f.AST.Decls {
			fn, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := t.Fset.Position(fn.End()).Line - t.Fset.Position(fn.Pos()).Line + 1; n > maxLines {
				out = append(out, t.at(f, fn, "%s has %d lines, at most %d", fn.Name.Name, n, maxLines))
			}
		}
	}
	return out
}

func errorTexts(t *Tree) []Violation {
	var out []Violation
	for _, f := range t.Files {
		if f.Test() || within(f.Dir(), "internal/arch") {
			continue
		}
		ast.Inspect(f.AST, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || (sel.Sel.Name != "Errorf" && sel.Sel.Name != "New") {
				return true
			}
			lit, ok := call.Args[0].(*ast.BasicLit)
			if ok && lit.Kind == token.STRING && strings.Contains(lit.Value, "failed to ") {
				out = append(out, t.at(f, lit, "says %s", lit.Value))
			}
			return true
		})
	}
	return out
}

func openEnds(t *Tree) []Violation {
	var out []Violation
	for _, f := range t.Files {
		for _, g := range f.AST.Comments {
			for _, c := range g.List {
				text := strings.TrimSpace(strings.TrimLeft(c.Text, "/*"))
				for _, mark := range []string{"TODO", "FIXME", "XXX", "HACK"} {
					if strings.HasPrefix(text, mark) {
						out = append(out, t.at(f, c, "has a %s", mark))
					}
				}
			}
		}
	}
	return out
}

// standard reports whether p is a package of the standard library: its first
// element has no dot.
func standard(p string) bool {
	first, _, _ := strings.Cut(p, "/")
	return !strings.Contains(first, ".")
}
