package render

import (
	"path"
	"sync"

	"abide.dev/abide/internal/render/traced"
)

// Index finds the renders that a change of files can concern, so that a commit
// is looked at once and not once for every App. It is safe for concurrent use.
//
// It errs on one side only: a render whose trace is no longer valid after the
// changes is always among those found; one that is found may turn out to be
// valid still, which [Trace.Valid] tells.
type Index[K comparable] struct {
	mu     sync.RWMutex
	traces map[K]Trace
	paths  map[string]map[K]struct{} // what was read or looked for
	lists  map[string]map[K]struct{} // directories whose names and kinds were read
}

// Changed is one path at which two trees differ: a file or link, not a
// directory.
type Changed struct {
	Path string
	// Listing: it came, went, or is of another kind, so that the directory it is
	// in, and maybe those above, list something else.
	Listing bool
	// Top is the path, this one or one above it, at which the trees begin to
	// differ in kind: above it both have directories. Where it is empty and
	// Listing is set, all directories above count as come or gone.
	Top string
}

// NewIndex returns an empty index.
func NewIndex[K comparable]() *Index[K] {
	return &Index[K]{
		traces: map[K]Trace{},
		paths:  map[string]map[K]struct{}{},
		lists:  map[string]map[K]struct{}{},
	}
}

// Put notes what the render of k depends on, in place of what was noted before.
func (x *Index[K]) Put(k K, t Trace) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.remove(k)
	x.traces[k] = t
	for _, a := range t {
		byPath := x.of(a.Op)
		at := byPath[a.Path]
		if at == nil {
			at = map[K]struct{}{}
			byPath[a.Path] = at
		}
		at[k] = struct{}{}
	}
}

// of is the map that holds accesses of a kind.
func (x *Index[K]) of(op traced.Op) map[string]map[K]struct{} {
	if op == traced.List {
		return x.lists
	}
	return x.paths
}

// Delete forgets the render of k.
func (x *Index[K]) Delete(k K) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.remove(k)
}

func (x *Index[K]) remove(k K) {
	for _, a := range x.traces[k] {
		byPath := x.of(a.Op)
		at := byPath[a.Path]
		if delete(at, k); len(at) == 0 {
			delete(byPath, a.Path)
		}
	}
	delete(x.traces, k)
}

// Concerned returns the renders that the changes can concern.
func (x *Index[K]) Concerned(changes []Changed) map[K]bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	out := map[K]bool{}
	type asked struct {
		path string
		list bool
	}
	seen := map[asked]bool{}
	take := func(p string, list bool) {
		if seen[asked{p, list}] {
			return
		}
		seen[asked{p, list}] = true
		for k := range x.lists[p] { // a list depends on the kind of its path too
			out[k] = true
		}
		if list {
			return
		}
		for k := range x.paths[p] {
			out[k] = true
		}
	}
	for _, c := range changes {
		take(c.Path, false)
		if !c.Listing {
			continue
		}
		// What lies between the path and the top came or went with it; the
		// directory that the top is in lists something else, and no more.
		p := c.Path
		for p != c.Top && p != "." {
			p = path.Dir(p)
			take(p, false)
		}
		take(path.Dir(p), true)
	}
	return out
}
