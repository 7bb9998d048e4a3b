package jsonnet

import (
	"errors"
	"io/fs"
	"path"
	"slices"

	library "github.com/google/go-jsonnet"

	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/render/traced"
	"abide.dev/abide/internal/snapshot"
)

// importer gives the library what it imports, from the tree. Paths are those
// that were written, before links are followed, as in the command: what a file
// imports is looked for next to its name, not next to what that is a link to.
type importer struct {
	tree     *traced.Tree
	dir      string   // of the App
	search   []string // folders to look in after that of the file, in order
	entry    string   // the file that is rendered
	contents map[string]library.Contents
	known    map[string]scanned // files read as code
	vars     []scanned          // code that is in no file
	failed   error              // the first import that went wrong
}

var _ library.Importer = (*importer)(nil)

func newImporter(tree *traced.Tree, dir string, libraries []string) *importer {
	search := slices.Clone(libraries)
	slices.Reverse(search)
	return &importer{
		tree: tree, dir: dir, search: append(search, dir),
		contents: map[string]library.Contents{}, known: map[string]scanned{},
	}
}

// begin says which file is rendered next.
func (i *importer) begin(file string) { i.entry = file }

// fromCode notes what code that is in no file imports.
func (i *importer) fromCode(s scanned) { i.vars = append(i.vars, s) }

// Import implements the library's interface. from is empty for the file that is
// rendered, and for variables that are code.
func (i *importer) Import(from, p string) (library.Contents, string, error) {
	found, content, err := i.find(from, p)
	if err != nil && i.failed == nil {
		i.failed = err
	}
	return content, found, err
}

func (i *importer) find(from, p string) (string, library.Contents, error) {
	if from == "" && p == i.entry {
		content, err := i.read(p)
		if err == nil {
			err = i.checkCode(p, content)
		}
		return p, content, err
	}
	here := i.dir
	if from != "" {
		here = path.Dir(from)
	}
	if path.IsAbs(p) {
		return "", library.Contents{}, fault.New(fault.EscapesRepository, "", 0, "imports the absolute path %q", clip(p)).
			WithHint("use a path relative to the file, or to a library path")
	}
	for n, dir := range append([]string{here}, i.search...) {
		at, err := i.tree.Join(dir, p)
		if err != nil && n == 0 {
			return "", library.Contents{}, escape(p)
		}
		if err != nil { // above a library path there is nothing to look for
			continue
		}
		content, err := i.read(at)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil && !i.asText(from, p) {
			err = i.checkCode(at, content)
		}
		return at, content, err
	}
	return "", library.Contents{}, i.notFound(here, p)
}

func escape(p string) error {
	return fault.New(fault.EscapesRepository, "", 0, "imports %q, which leads out of the repository", clip(p)).
		WithHint("only files inside the repository are read: move it there")
}

// read returns the content of a file once and for all: the library insists on
// getting the same each time.
func (i *importer) read(at string) (library.Contents, error) {
	if c, ok := i.contents[at]; ok {
		return c, nil
	}
	real, kind, err := i.tree.Resolve(at)
	if err != nil {
		return library.Contents{}, notThere(at, err)
	}
	if kind != snapshot.File && kind != snapshot.Executable {
		return library.Contents{}, fault.New(fault.InvalidPath, "", 0, "imports %s, which is a %s and must be a file", at, kind)
	}
	b, err := i.tree.ReadFile(real)
	if err != nil {
		return library.Contents{}, notThere(at, err)
	}
	c := library.MakeContentsRaw(b)
	i.contents[at] = c
	return c, nil
}

// notThere keeps "does not exist" apart from what is wrong with a path.
func notThere(at string, err error) error {
	var known *fault.Error
	if errors.Is(err, fs.ErrNotExist) && !errors.As(err, &known) {
		return err
	}
	return fault.FromTree(at, err)
}

// asText tells whether from imports p as text and not as code.
func (i *importer) asText(from, p string) bool {
	if from != "" {
		return i.known[from].isText(p)
	}
	code := slices.ContainsFunc(i.vars, func(s scanned) bool { return s.code[p] || s.escaped })
	text := slices.ContainsFunc(i.vars, func(s scanned) bool { return s.text[p] })
	return text && !code
}

// checkCode refuses code that the library must not see.
func (i *importer) checkCode(at string, content library.Contents) error {
	s, ok := i.known[at]
	if !ok {
		s = scan(content.String())
		i.known[at] = s
	}
	if s.tooDeep() {
		return fault.New(fault.TooDeep, at, 0, "is code nested too deep: more than %d brackets, or %d tokens without a comma", maxBrackets, maxTokens).
			WithHint("split it into several files")
	}
	return nil
}

// notFound says where a path was looked for, and guesses what is missing.
func (i *importer) notFound(here, p string) error {
	e := fault.New(fault.PathNotFound, "", 0, "imports %q, which is neither next to it nor in a library path", clip(p))
	e.Err = fs.ErrNotExist
	for dir := here; ; dir = path.Dir(dir) {
		vendor := path.Join(dir, vendorDir)
		if _, _, err := i.tree.Resolve(path.Join(vendor, p)); err == nil {
			return e.WithHint("it is in %s: add /%s to spec.render.jsonnet.libraryPaths", vendor, vendor)
		}
		if dir == "." || dir == "/" {
			break
		}
	}
	for _, dir := range i.search {
		if _, _, err := i.tree.Resolve(dir); err != nil {
			return e.WithHint("spec.render.jsonnet.libraryPaths has %s, and there is no such folder", clip(dir))
		}
	}
	return e.WithHint("correct the path, or add the folder that has it to spec.render.jsonnet.libraryPaths")
}

// vendorDir is where jsonnet-bundler puts libraries.
const vendorDir = "vendor"
