// Package memtree is a snapshot held in memory, for tests and for content
// that a program carries with it. Hashes equal those of the same tree in Git.
package memtree

import (
	"io/fs"
	"path"
	"slices"
	"strings"

	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/snapshot/objhash"
)

// Node is the content at one path: a file, a link or a submodule.
type Node struct {
	Kind    snapshot.Kind
	Content string // a link's target, a submodule's commit in hexadecimal
}

// File is a regular file.
func File(content string) Node { return Node{snapshot.File, content} }

// Exec is an executable file.
func Exec(content string) Node { return Node{snapshot.Executable, content} }

// Link is a symbolic link.
func Link(target string) Node { return Node{snapshot.Symlink, target} }

// Submodule is a submodule at a commit.
func Submodule(commit string) Node { return Node{snapshot.Submodule, commit} }

// Tree implements [snapshot.Tree].
type Tree struct {
	entries map[string]snapshot.Entry
	dirs    map[string][]snapshot.Entry
	content map[string][]byte
}

// FromText makes a Tree of regular files.
func FromText(files map[string]string) *Tree {
	nodes := make(map[string]Node, len(files))
	for p, c := range files {
		nodes[p] = File(c)
	}
	return New(nodes)
}

// New makes a Tree. Paths are cleaned and slash-separated; a path below
// another path that is no directory panics, since only a programmer can cause
// it.
func New(nodes map[string]Node) *Tree {
	t := &Tree{
		entries: map[string]snapshot.Entry{},
		dirs:    map[string][]snapshot.Entry{".": nil},
		content: map[string][]byte{},
	}
	children := map[string]map[string]bool{".": {}}
	for p, n := range nodes {
		hash := objhash.Blob([]byte(n.Content))
		if n.Kind == snapshot.Submodule {
			hash = n.Content
		}
		t.entries[p] = snapshot.Entry{Name: path.Base(p), Kind: n.Kind, Hash: hash}
		t.content[p] = []byte(n.Content)
		for p != "." {
			dir := path.Dir(p)
			if _, ok := nodes[dir]; ok {
				panic("memtree: " + dir + " is a file and has " + p + " below it")
			}
			if children[dir] == nil {
				children[dir] = map[string]bool{}
			}
			children[dir][p] = true
			p = dir
		}
	}
	t.build(".", children)
	return t
}

func (t *Tree) build(dir string, children map[string]map[string]bool) {
	var list []snapshot.Entry
	for p := range children[dir] {
		if _, ok := children[p]; ok {
			t.build(p, children)
		}
		list = append(list, t.entries[p])
	}
	slices.SortFunc(list, func(a, b snapshot.Entry) int { return strings.Compare(a.Name, b.Name) })
	hash, err := objhash.Tree(list)
	if err != nil {
		panic("memtree: " + err.Error())
	}
	t.dirs[dir] = list
	t.entries[dir] = snapshot.Entry{Name: path.Base(dir), Kind: snapshot.Dir, Hash: hash}
}

// Hash implements [snapshot.Tree].
func (t *Tree) Hash() string { return t.entries["."].Hash }

// Lookup implements [snapshot.Tree].
func (t *Tree) Lookup(p string) (snapshot.Entry, error) {
	e, ok := t.entries[p]
	if !ok {
		return snapshot.Entry{}, &fs.PathError{Op: "lookup", Path: p, Err: fs.ErrNotExist}
	}
	return e, nil
}

// ReadDir implements [snapshot.Tree].
func (t *Tree) ReadDir(p string) ([]snapshot.Entry, error) {
	list, ok := t.dirs[p]
	if !ok {
		return nil, &fs.PathError{Op: "readdir", Path: p, Err: fs.ErrNotExist}
	}
	return list, nil
}

// ReadFile implements [snapshot.Tree].
func (t *Tree) ReadFile(p string) ([]byte, error) {
	e, ok := t.entries[p]
	if !ok || e.Kind == snapshot.Dir || e.Kind == snapshot.Submodule {
		return nil, &fs.PathError{Op: "read", Path: p, Err: fs.ErrNotExist}
	}
	return t.content[p], nil
}
