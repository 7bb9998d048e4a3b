package arch

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Module is the path of the module that the rules are about.
const Module = "abide.dev/abide"

// File is one parsed Go file.
type File struct {
	// Path is relative to the root of the repository, with slashes.
	Path string
	AST  *ast.File
	// Generated files are held to the rules on imports only.
	Generated bool
}

// Dir is the folder of the file: "internal/plan".
func (f *File) Dir() string { return path.Dir(f.Path) }

// Test reports whether only tests compile the file: by its name, or as a package
// made for tests (gittest, sandboxtest).
func (f *File) Test() bool {
	return strings.HasSuffix(f.Path, "_test.go") || strings.HasSuffix(path.Base(f.Dir()), "test")
}

// Main reports whether the file belongs to a program.
func (f *File) Main() bool { return f.AST.Name.Name == "main" }

// Imports are the paths the file imports.
func (f *File) Imports() []string {
	var out []string
	for _, i := range f.AST.Imports {
		if p, err := strconv.Unquote(i.Path.Value); err == nil {
			out = append(out, p)
		}
	}
	return out
}

// Tree is the parsed Go files of one module.
type Tree struct {
	Fset  *token.FileSet
	Files []*File
}

// Parse reads every Go file of the module at the root of fsys. Folders that hold
// modules of their own, test data and hidden folders are left out.
func Parse(fsys fs.FS) (*Tree, error) {
	t := &Tree{Fset: token.NewFileSet()}
	err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if p == "." {
				return nil
			}
			name := d.Name()
			if strings.HasPrefix(name, ".") || name == "testdata" || name == "bin" || name == "node_modules" {
				return fs.SkipDir
			}
			if _, err := fs.Stat(fsys, path.Join(p, "go.mod")); err == nil {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") {
			return nil
		}
		src, err := fs.ReadFile(fsys, p)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(t.Fset, p, src, parser.ParseComments)
		if err != nil {
			return err
		}
		t.Files = append(t.Files, &File{Path: p, AST: parsed, Generated: ast.IsGenerated(parsed)})
		return nil
	})
	return t, err
}

// Violation is one place that breaks a rule.
type Violation struct {
	Path string // with the line where there is one
	Text string // what is wrong there
	key  string // what an exception names: the file or folder
}

func (v Violation) String() string { return v.Path + ": " + v.Text }

// at makes a violation at a node of f.
func (t *Tree) at(f *File, n ast.Node, format string, args ...any) Violation {
	return Violation{
		Path: fmt.Sprintf("%s:%d", f.Path, t.Fset.Position(n.Pos()).Line),
		Text: fmt.Sprintf(format, args...),
		key:  f.Path,
	}
}

// importer finds the imports of the files that pick takes which bad names.
func (t *Tree) imports(pick func(*File) bool, bad func(imported string) (why string)) []Violation {
	var out []Violation
	for _, f := range t.Files {
		if !pick(f) {
			continue
		}
		for i, p := range f.Imports() {
			if why := bad(p); why != "" {
				out = append(out, t.at(f, f.AST.Imports[i], "imports %s: %s", p, why))
			}
		}
	}
	return out
}

// uses finds selections such as time.Now of a package that the file imports.
func (t *Tree) uses(f *File, importPath string, names ...string) []Violation {
	local := ""
	for i, p := range f.Imports() {
		if p == importPath {
			local = path.Base(p)
			if n := f.AST.Imports[i].Name; n != nil {
				local = n.Name
			}
		}
	}
	if local == "" {
		return nil
	}
	var out []Violation
	ast.Inspect(f.AST, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := sel.X.(*ast.Ident); ok && x.Name == local && slices.Contains(names, sel.Sel.Name) {
			out = append(out, t.at(f, n, "uses %s.%s", importPath, sel.Sel.Name))
		}
		return true
	})
	return out
}

// within reports whether p is one of the roots or below one.
func within(p string, roots ...string) bool {
	return slices.ContainsFunc(roots, func(r string) bool { return p == r || strings.HasPrefix(p, r+"/") })
}
