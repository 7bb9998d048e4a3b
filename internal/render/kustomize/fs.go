package kustomize

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"sigs.k8s.io/kustomize/kyaml/filesys"

	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/render/traced"
	"abide.dev/abide/internal/snapshot"
)

// checkout is where the library sees the repository. It is not the root, so that
// "../.." that leads out of the repository leads to where nothing is, as on a
// checkout, and does not stop at the repository's own root.
const checkout = "/repository"

// errReadOnly is the answer to every attempt to write.
var errReadOnly = errors.New("the repository is read-only")

// treeFS shows a traced tree to the library: read-only, and only the files
// that were checked beforehand. Whatever else the library might come to ask
// for does not exist.
type treeFS struct {
	tree    *traced.Tree
	allowed map[string]bool // real paths of files that were checked
	// rewritten is read in the place of files; inflated are the folders that
	// have a component for their charts, and the names of their kustomizations.
	rewritten map[string][]byte
	remotes   *remotes
	inflated  map[string]string
	budget    atomic.Int64 // bytes that may still be read, repeats included
	refused   atomic.Pointer[fault.Error]
}

var _ filesys.FileSystem = (*treeFS)(nil)

// inTree turns a path of the library into one of the tree.
func inTree(p string) (string, error) {
	p = path.Clean(p)
	if p == checkout {
		return ".", nil
	}
	rel, ok := strings.CutPrefix(p, checkout+"/")
	if !ok {
		return "", &snapshot.EscapeError{Path: p, Target: p}
	}
	return rel, nil
}

func outside(p string) string { return path.Join(checkout, p) }

func (f *treeFS) resolve(p string) (string, snapshot.Kind, error) {
	rel, err := inTree(p)
	if err != nil {
		return "", 0, err
	}
	if at, ok := f.inRemote(rel); ok {
		return f.tree.Resolve(at)
	}
	if dir, rest, ok := f.inCharts(rel); ok {
		return f.chartsEntry(dir, rest)
	}
	return f.tree.Resolve(rel)
}

// content is what the library reads at a resolved path.
func (f *treeFS) content(real string) ([]byte, error) {
	if b, ok := f.rewritten[real]; ok {
		return b, nil
	}
	if dir, rest, ok := f.inCharts(real); ok {
		real = path.Join(dir, rest)
	}
	if !f.allowed[real] {
		f.refused.CompareAndSwap(nil, fault.New(fault.KustomizeFailed, real, 0, "kustomize asked for a file that no kustomization names"))
		return nil, &fs.PathError{Op: "open", Path: real, Err: fs.ErrPermission}
	}
	return f.tree.ReadFile(real)
}

func missing(p string) error { return &fs.PathError{Op: "open", Path: p, Err: fs.ErrNotExist} }

// CleanedAbs follows links, as the library's own file system does.
func (f *treeFS) CleanedAbs(p string) (filesys.ConfirmedDir, string, error) {
	real, kind, err := f.resolve(p)
	if err != nil {
		return "", "", fmt.Errorf("%s: %w", p, err)
	}
	if kind == snapshot.Dir {
		return filesys.ConfirmedDir(outside(real)), "", nil
	}
	if rel, err := inTree(p); err == nil {
		if _, ok := f.inRemote(rel); ok {
			real = rel
		}
	}
	return filesys.ConfirmedDir(outside(path.Dir(real))), path.Base(real), nil
}

// ReadFile returns a copy, since the library keeps and changes what it reads.
func (f *treeFS) ReadFile(p string) ([]byte, error) {
	real, kind, err := f.resolve(p)
	if err != nil {
		return nil, err
	}
	if kind == snapshot.Dir {
		return nil, fmt.Errorf("%s is a directory", p)
	}
	b, err := f.content(real)
	if err != nil {
		return nil, err
	}
	if f.budget.Add(-int64(len(b))) < 0 {
		e := fault.New(fault.TooLarge, real, 0, "is read so often that kustomize reads more than it may").
			WithHint("list it fewer times, or split the App")
		f.refused.CompareAndSwap(nil, e)
		return nil, e
	}
	return slices.Clone(b), nil
}

// Open is not used by builds.
func (f *treeFS) Open(string) (filesys.File, error) { return nil, errReadOnly }

// IsDir tells whether path is a directory.
func (f *treeFS) IsDir(p string) bool {
	_, kind, err := f.resolve(p)
	return err == nil && kind == snapshot.Dir
}

// Exists tells whether path exists.
func (f *treeFS) Exists(p string) bool {
	_, _, err := f.resolve(p)
	return err == nil
}

// ReadDir, Glob and Walk are not used by builds; what is not used is refused,
// so that no listing goes unchecked.
func (f *treeFS) ReadDir(string) ([]string, error) { return nil, errReadOnly }

// Glob is not used by builds.
func (f *treeFS) Glob(string) ([]string, error) { return nil, errReadOnly }

// Walk is not used by builds.
func (f *treeFS) Walk(string, filepath.WalkFunc) error { return errReadOnly }

// Create, Mkdir, MkdirAll, RemoveAll and WriteFile are refused.
func (f *treeFS) Create(string) (filesys.File, error) { return nil, errReadOnly }

// Mkdir is refused.
func (f *treeFS) Mkdir(string) error { return errReadOnly }

// MkdirAll is refused.
func (f *treeFS) MkdirAll(string) error { return errReadOnly }

// RemoveAll is refused.
func (f *treeFS) RemoveAll(string) error { return errReadOnly }

// WriteFile is refused.
func (f *treeFS) WriteFile(string, []byte) error { return errReadOnly }
