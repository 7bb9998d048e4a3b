package worker

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"sort"
	"strings"
	"sync"

	"abide.dev/abide/internal/snapshot"
)

// asker puts a question to the parent.
type asker func(ask) *answer

// newTree returns the tree of a request, and a cheaper or a truer one as the
// parent's own is.
func newTree(question asker, r request, known *listings) snapshot.Tree {
	t := &tree{
		question: question, hash: r.Hash, roots: r.Roots, known: known,
		entries: map[string]snapshot.Entry{}, listed: map[string][]snapshot.Entry{}, content: map[string][]byte{},
	}
	if r.Exact {
		return &exactTree{t}
	}
	t.walks = true
	return t
}

// tree is the parent's tree, seen from the child. One question at a time goes
// to the parent; what has been answered once is remembered as long as the
// render lasts. Listings of directories are kept by their hashes beyond that,
// so that of a commit the next render asks for what it changed.
type tree struct {
	question asker
	hash     string
	roots    []string // of trees in it
	known    *listings
	walks    bool // look names up in listings

	mu      sync.Mutex
	entries map[string]snapshot.Entry
	listed  map[string][]snapshot.Entry // what the renderer itself has listed
	content map[string][]byte           // read ahead
	missing string                      // the operation that the tree names where a path is missing
}

// Hash implements [snapshot.Tree].
func (t *tree) Hash() string { return t.hash }

// Root tells whether path is the root of a tree of its own, as the parent's tree
// does: package render/traced asks before it follows a link.
func (t *tree) Root(p string) bool { return p == "." || slices.Contains(t.roots, p) }

// Lookup implements [snapshot.Tree].
func (t *tree) Lookup(p string) (snapshot.Entry, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.lookup(p)
}

func (t *tree) lookup(p string) (snapshot.Entry, error) {
	if e, ok := t.entries[p]; ok {
		return e, nil
	}
	if e, ok, sure := t.walk(p); ok {
		t.entries[p] = e
		return e, nil
	} else if sure && t.missing != "" {
		return snapshot.Entry{}, &fs.PathError{Op: t.missing, Path: p, Err: fs.ErrNotExist}
	}
	a := t.question(ask{Op: opLookup, Path: p})
	if a.Err != nil {
		err := a.Err.toRender()
		if simple, ok := err.(*fs.PathError); ok && simple.Path == p {
			t.missing = simple.Op
		}
		return snapshot.Entry{}, err
	}
	t.entries[p] = a.Entry
	return a.Entry, nil
}

// walk looks p up in the listings of the folders above it. sure tells that it
// is not there: a tree may have at its root what it does not list, and the
// parent is asked for that.
func (t *tree) walk(p string) (e snapshot.Entry, ok, sure bool) {
	if !t.walks || !fs.ValidPath(p) || p == "." {
		return snapshot.Entry{}, false, false
	}
	if e, ok := t.inListing(path.Dir(p), path.Base(p)); ok {
		return e, true, true
	}
	dir := path.Dir(p)
	if dir == "." {
		return snapshot.Entry{}, false, false
	}
	above, err := t.lookup(dir)
	if err != nil {
		return snapshot.Entry{}, false, errors.Is(err, fs.ErrNotExist)
	}
	if above.Kind != snapshot.Dir {
		return snapshot.Entry{}, false, true
	}
	entries, ok := t.known.get(above.Hash)
	if !ok {
		a := t.question(ask{Op: opReadDir, Path: dir})
		if a.Err != nil {
			return snapshot.Entry{}, false, false
		}
		entries = a.Entries
		t.known.put(above.Hash, entries)
	}
	e, ok = find(entries, path.Base(p))
	return e, ok, true
}

// inListing looks a name up in what is known of a folder without a question.
func (t *tree) inListing(dir, name string) (snapshot.Entry, bool) {
	if entries, ok := t.listed[dir]; ok {
		return find(entries, name)
	}
	if dir == "." {
		if entries, ok := t.known.get(t.hash); ok {
			return find(entries, name)
		}
	}
	return snapshot.Entry{}, false
}

func find(entries []snapshot.Entry, name string) (snapshot.Entry, bool) {
	i := sort.Search(len(entries), func(i int) bool { return entries[i].Name >= name })
	if i == len(entries) || entries[i].Name != name {
		return snapshot.Entry{}, false
	}
	return entries[i], true
}

// ReadDir implements [snapshot.Tree].
func (t *tree) ReadDir(p string) ([]snapshot.Entry, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if entries, ok := t.listed[p]; ok {
		return entries, nil
	}
	hash := ""
	if t.walks {
		hash = t.hash
		if p != "." {
			hash = ""
			if e, err := t.lookup(p); err == nil && e.Kind == snapshot.Dir {
				hash = e.Hash
			}
		}
	}
	entries, ok := t.known.get(hash)
	if !ok {
		a := t.question(ask{Op: opReadDir, Path: p})
		if a.Err != nil {
			return nil, a.Err.toRender()
		}
		entries = a.Entries
		t.known.put(hash, entries)
	}
	t.listed[p] = entries
	return entries, nil
}

// ReadFile implements [snapshot.Tree]. Where the renderer has listed a folder,
// it is about to read what is in it: the files after this one that are named
// alike are asked for with it.
func (t *tree) ReadFile(p string) ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if b, ok := t.content[p]; ok {
		return b, nil
	}
	more := t.next(p)
	a := t.question(ask{Op: opReadFile, Path: p, More: more})
	if a.Err != nil {
		return nil, a.Err.toRender()
	}
	if len(a.Content) <= maxAhead { // larger ones are not read twice
		t.content[p] = a.Content
	}
	for i, b := range a.Ahead[:min(len(a.Ahead), len(more))] {
		t.content[more[i]] = b
	}
	return a.Content, nil
}

// next are the files that come after p in a folder that was listed.
func (t *tree) next(p string) []string {
	dir, ext := path.Dir(p), path.Ext(p)
	entries := t.listed[dir]
	i, found := slices.BinarySearchFunc(entries, path.Base(p), func(e snapshot.Entry, name string) int {
		return strings.Compare(e.Name, name)
	})
	if !found {
		return nil
	}
	var out []string
	for _, e := range entries[i+1:] {
		q := path.Join(dir, e.Name)
		if _, have := t.content[q]; !have && (e.Kind == snapshot.File || e.Kind == snapshot.Executable) && path.Ext(e.Name) == ext {
			if out = append(out, q); len(out) == maxMore {
				break
			}
		}
	}
	return out
}

// exactTree asks the parent for nothing that the renderer did not ask for but
// kinds, which it can tell.
type exactTree struct{ *tree }

// Kind tells what is at path.
func (t *exactTree) Kind(p string) (snapshot.Kind, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e, ok := t.inListing(path.Dir(p), path.Base(p)); ok && p != "." {
		return e.Kind, nil
	}
	a := t.question(ask{Op: opKind, Path: p})
	if a.Err != nil {
		return 0, a.Err.toRender()
	}
	return a.Kind, nil
}

// Hash implements [snapshot.Tree]. Of a working copy it means reading all of it.
func (t *exactTree) Hash() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.hash == "" {
		t.hash = t.question(ask{Op: opHash}).Entry.Hash
	}
	return t.hash
}

// Lookup implements [snapshot.Tree].
func (t *exactTree) Lookup(p string) (snapshot.Entry, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e, ok := t.inListing(path.Dir(p), path.Base(p)); ok && p != "." {
		return e, nil
	}
	return t.lookup(p)
}

// maxListed is how many entries of directories a child keeps between renders.
const maxListed = 20_000

// listings keeps what is in directories, by their hashes. When it is full it
// begins anew.
type listings struct {
	byHash map[string][]snapshot.Entry
	held   int
}

func newListings() *listings { return &listings{byHash: map[string][]snapshot.Entry{}} }

func (l *listings) get(hash string) ([]snapshot.Entry, bool) {
	entries, ok := l.byHash[hash]
	return entries, ok && hash != ""
}

func (l *listings) put(hash string, entries []snapshot.Entry) {
	if _, ok := l.byHash[hash]; ok || hash == "" || len(entries) > maxListed {
		return
	}
	if l.held += len(entries) + 1; l.held > maxListed {
		l.byHash, l.held = map[string][]snapshot.Entry{}, len(entries)+1
	}
	l.byHash[hash] = entries
}
