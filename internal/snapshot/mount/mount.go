// Package mount shows several snapshots as one: a root, and other trees that
// stand in it at $NAME.
//
// An App with more than one source is rendered from such a composite, so that
// trace, cache and index need not know of sources. It promises that
//
//   - $NAME and what is below it are the mount of that name, whatever the root
//     has there: a file or folder of the root called $NAME is not to be seen;
//   - listing the root does not show a mount, so that a walk of the root does
//     not enter one;
//   - the hash covers the root and every mount under its name;
//   - links and ".." do not lead from one tree into another: [Tree.Root] says
//     where one begins, and who follows links (package render/traced) refuses
//     to cross that. A mount is reached by its name alone.
//
// Nothing is kept but the trees given, and nothing is read before it is asked
// for: the hash of a working copy costs reading all of it.
package mount

import (
	"crypto/sha1" //nolint:gosec // a name as long as that of a Git object, not a signature
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"abide.dev/abide/internal/snapshot"
)

// Prefix is what the name of a mount begins with in a path.
const Prefix = "$"

// Tree is a root with mounts. It implements [snapshot.Tree].
type Tree struct {
	root   snapshot.Tree // nil for an empty one
	mounts map[string]snapshot.Tree
}

// New returns root with each of mounts at $ and its key. A nil tree, be it the
// root or a mount, is an empty folder. A key that is no single path element
// cannot be reached. Of a root that has mounts itself, these stay where they are.
func New(root snapshot.Tree, mounts map[string]snapshot.Tree) snapshot.Tree {
	t := &Tree{root: root, mounts: make(map[string]snapshot.Tree, len(mounts))}
	if inner, ok := root.(*Tree); ok {
		t.root = inner.root
		maps.Copy(t.mounts, inner.mounts)
	}
	for name, m := range mounts {
		t.mounts[Prefix+name] = m
	}
	return t
}

// Root tells whether path is the root of a tree of its own: a mount, or the
// root of all.
func (t *Tree) Root(path string) bool {
	_, ok := t.mounts[path]
	return ok || path == "."
}

// Roots are the paths of the mounts, in byte order.
func (t *Tree) Roots() []string { return slices.Sorted(maps.Keys(t.mounts)) }

// at finds the tree that path is in, and the path in there.
func (t *Tree) at(path string) (snapshot.Tree, string) {
	name, rest, below := strings.Cut(path, "/")
	m, ok := t.mounts[name]
	switch {
	case !ok:
		return t.root, path
	case !below:
		return m, "."
	}
	return m, rest
}

// Hash implements [snapshot.Tree].
func (t *Tree) Hash() string {
	h := sha1.New() //nolint:gosec // see the import
	fmt.Fprintf(h, "root %s\x00", hash(t.root))
	for _, name := range slices.Sorted(maps.Keys(t.mounts)) {
		fmt.Fprintf(h, "%d %s %s\x00", len(name), name, hash(t.mounts[name]))
	}
	return hex.EncodeToString(h.Sum(nil))
}

func hash(t snapshot.Tree) string {
	if t == nil {
		return "empty"
	}
	return t.Hash()
}

// Lookup implements [snapshot.Tree].
func (t *Tree) Lookup(path string) (snapshot.Entry, error) {
	if path == "." {
		return snapshot.Entry{Name: ".", Kind: snapshot.Dir, Hash: t.Hash()}, nil
	}
	in, rest := t.at(path)
	if in == nil {
		if rest == "." {
			return snapshot.Entry{Name: path, Kind: snapshot.Dir, Hash: hash(nil)}, nil
		}
		return snapshot.Entry{}, missing("lookup", path)
	}
	e, err := in.Lookup(rest)
	if err == nil && rest == "." {
		e.Name = path
	}
	return e, err
}

// Kind tells what is at path, without a hash where the tree can do that.
func (t *Tree) Kind(path string) (snapshot.Kind, error) {
	in, rest := t.at(path)
	if rest == "." {
		return snapshot.Dir, nil
	}
	if k, ok := in.(interface {
		Kind(path string) (snapshot.Kind, error)
	}); ok {
		return k.Kind(rest)
	}
	e, err := t.Lookup(path)
	return e.Kind, err
}

// ReadDir implements [snapshot.Tree].
func (t *Tree) ReadDir(path string) ([]snapshot.Entry, error) {
	in, rest := t.at(path)
	if in == nil {
		if rest == "." {
			return nil, nil
		}
		return nil, missing("readdir", path)
	}
	entries, err := in.ReadDir(rest)
	hidden := func(e snapshot.Entry) bool { _, ok := t.mounts[e.Name]; return ok }
	if err != nil || path != "." || !slices.ContainsFunc(entries, hidden) {
		return entries, err
	}
	return slices.DeleteFunc(slices.Clone(entries), hidden), nil
}

// ReadFile implements [snapshot.Tree].
func (t *Tree) ReadFile(path string) ([]byte, error) {
	in, rest := t.at(path)
	if in == nil || rest == "." {
		return nil, missing("read", path)
	}
	return in.ReadFile(rest)
}

func missing(op, path string) error { return &fs.PathError{Op: op, Path: path, Err: fs.ErrNotExist} }
