// Package dirtree shows a directory on disk as a snapshot, as if everything in
// it had just been committed: it is what `abide render DIR` and
// `abide diff --local` read.
//
// It keeps to Git's notion of a tree: .git is left out, so are empty
// directories and whatever is neither file, directory nor link; a directory
// with a .git of its own is a submodule; names, modes and content hash to the
// object names that Git (SHA-1 object format, no content filters) gives. Files
// that Git ignores are part of it, since they are in the working copy.
//
// A Tree remembers what it has read; make a new one to see later changes. It
// never follows a symbolic link and never reads above its directory. It writes
// nothing.
package dirtree

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"

	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/snapshot/objhash"
)

// maxFile is how large a file [Tree.ReadFile] reads, in bytes. Larger ones
// still count in the hashes.
const maxFile = 64 << 20

// Tree implements [snapshot.Tree] over a directory.
type Tree struct {
	root *os.Root

	mu   sync.Mutex
	top  *node
	hash string
	err  error // of hashing the whole tree
}

// node is one entry; children are read, and hashes computed, when first asked
// for, so that a render of one folder does not read the whole working copy.
type node struct {
	path     string
	entry    snapshot.Entry // Hash is empty until computed
	size     int64
	children []*node
	loaded   bool
}

// New opens dir. Close releases it.
func New(dir string) (*Tree, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the working copy: %w", err)
	}
	return &Tree{
		root: root,
		top:  &node{path: ".", entry: snapshot.Entry{Name: ".", Kind: snapshot.Dir}},
	}, nil
}

// Close releases the directory. The Tree must not be used afterwards.
func (t *Tree) Close() error { return t.root.Close() }

// Hash implements [snapshot.Tree]. It reads every file once. Where the
// directory cannot be read it is the zero hash, and [Tree.Err] says why.
func (t *Tree) Hash() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.hash == "" {
		if t.err = t.compute(t.top); t.err != nil {
			return objhash.Zero
		}
		t.hash = t.top.entry.Hash
	}
	return t.hash
}

// Err returns why Hash has no answer.
func (t *Tree) Err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

// Kind tells what is at path, without reading its content.
func (t *Tree) Kind(p string) (snapshot.Kind, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n, err := t.find(p)
	if err != nil {
		return 0, err
	}
	return n.entry.Kind, nil
}

// Lookup implements [snapshot.Tree]. Of a directory it reads all that is
// below, for the hash.
func (t *Tree) Lookup(p string) (snapshot.Entry, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n, err := t.find(p)
	if err != nil {
		return snapshot.Entry{}, err
	}
	if err := t.compute(n); err != nil {
		return snapshot.Entry{}, err
	}
	return n.entry, nil
}

// ReadDir implements [snapshot.Tree].
func (t *Tree) ReadDir(p string) ([]snapshot.Entry, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n, err := t.find(p)
	if err != nil {
		return nil, err
	}
	if n.entry.Kind != snapshot.Dir {
		return nil, notExist("readdir", p)
	}
	if err := t.compute(n); err != nil {
		return nil, err
	}
	out := make([]snapshot.Entry, len(n.children))
	for i, c := range n.children {
		out[i] = c.entry
	}
	return out, nil
}

// ReadFile implements [snapshot.Tree].
func (t *Tree) ReadFile(p string) ([]byte, error) {
	t.mu.Lock()
	n, err := t.find(p)
	t.mu.Unlock()
	if err != nil {
		return nil, err
	}
	switch n.entry.Kind {
	case snapshot.Symlink:
		target, err := t.root.Readlink(p)
		return []byte(target), err
	case snapshot.File, snapshot.Executable:
	default:
		return nil, notExist("read", p)
	}
	if n.size > maxFile {
		return nil, &snapshot.TooLargeError{Path: p, Size: n.size, Limit: maxFile}
	}
	f, err := t.open(p)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", p, err)
	}
	if len(b) > maxFile {
		return nil, &snapshot.TooLargeError{Path: p, Size: int64(len(b)), Limit: maxFile}
	}
	return b, nil
}

// open opens a file that was a regular one when its directory was read, and
// refuses what has taken its place since.
func (t *Tree) open(p string) (*os.File, error) {
	before, err := t.root.Lstat(p)
	if err != nil {
		return nil, err
	}
	if !before.Mode().IsRegular() {
		return nil, notExist("open", p)
	}
	f, err := t.root.Open(p)
	if err != nil {
		return nil, err
	}
	after, err := f.Stat()
	if err == nil && !os.SameFile(before, after) {
		err = fmt.Errorf("%s was replaced while it was read", p)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// find walks from the root through directories only, so that a link in the
// middle of a path is a missing path.
func (t *Tree) find(p string) (*node, error) {
	n := t.top
	if p == "." {
		return n, nil
	}
	for _, name := range strings.Split(p, "/") {
		if n.entry.Kind != snapshot.Dir {
			return nil, notExist("lookup", p)
		}
		if err := t.load(n); err != nil {
			return nil, err
		}
		i, ok := slices.BinarySearchFunc(n.children, name, func(c *node, name string) int {
			return strings.Compare(c.entry.Name, name)
		})
		if !ok {
			return nil, notExist("lookup", p)
		}
		n = n.children[i]
	}
	return n, nil
}

// load lists a directory.
func (t *Tree) load(n *node) error {
	if n.loaded {
		return nil
	}
	d, err := t.root.Open(n.path)
	if err != nil {
		return err
	}
	defer d.Close()
	infos, err := d.Readdir(-1)
	if err != nil {
		return fmt.Errorf("reading directory %s: %w", n.path, err)
	}
	for _, info := range infos {
		c, err := t.entry(path.Join(n.path, info.Name()), info)
		if err != nil {
			return err
		}
		if c != nil {
			n.children = append(n.children, c)
		}
	}
	slices.SortFunc(n.children, func(a, b *node) int { return strings.Compare(a.entry.Name, b.entry.Name) })
	n.loaded = true
	return nil
}

// entry makes the node for one name, or nil for what Git has no entry for.
func (t *Tree) entry(p string, info fs.FileInfo) (*node, error) {
	if strings.EqualFold(info.Name(), ".git") {
		return nil, nil
	}
	n := &node{path: p, entry: snapshot.Entry{Name: info.Name()}, size: info.Size()}
	switch mode := info.Mode(); {
	case mode.IsRegular() && mode&0o100 != 0:
		n.entry.Kind = snapshot.Executable
	case mode.IsRegular():
		n.entry.Kind = snapshot.File
	case mode&fs.ModeSymlink != 0:
		n.entry.Kind = snapshot.Symlink
	case mode.IsDir():
		if _, err := t.root.Lstat(path.Join(p, ".git")); err == nil {
			n.entry.Kind, n.entry.Hash = snapshot.Submodule, t.submoduleHead(p)
			return n, nil
		}
		n.entry.Kind = snapshot.Dir
		empty, err := t.empty(n)
		if err != nil || empty {
			return nil, err
		}
	default:
		return nil, nil
	}
	return n, nil
}

// empty tells whether nothing below n would be committed.
func (t *Tree) empty(n *node) (bool, error) {
	if err := t.load(n); err != nil {
		return false, err
	}
	return len(n.children) == 0, nil
}

// compute fills in the hash of n and of everything below.
func (t *Tree) compute(n *node) error {
	if n.entry.Hash != "" {
		return nil
	}
	switch n.entry.Kind {
	case snapshot.Dir:
		if err := t.load(n); err != nil {
			return err
		}
		entries := make([]snapshot.Entry, len(n.children))
		for i, c := range n.children {
			if err := t.compute(c); err != nil {
				return err
			}
			entries[i] = c.entry
		}
		hash, err := objhash.Tree(entries)
		if err != nil {
			return fmt.Errorf("hashing %s: %w", n.path, err)
		}
		n.entry.Hash = hash
	case snapshot.Symlink:
		target, err := t.root.Readlink(n.path)
		if err != nil {
			return err
		}
		n.entry.Hash = objhash.Blob([]byte(target))
	default:
		f, err := t.open(n.path)
		if err != nil {
			return err
		}
		defer f.Close()
		if n.entry.Hash, err = objhash.BlobFrom(f, n.size); err != nil {
			return fmt.Errorf("hashing %s: %w", n.path, err)
		}
	}
	return nil
}

func notExist(op, p string) error {
	return &fs.PathError{Op: op, Path: p, Err: fs.ErrNotExist}
}

var _ snapshot.Tree = (*Tree)(nil)

// errNoHead says that a submodule's commit cannot be told from its folder.
var errNoHead = errors.New("no commit is checked out")
