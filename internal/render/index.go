package render

import (
	"path"
	"slices"
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
	traces map[K]numbered
	names  []K     // by number
	free   []int32 // numbers that nobody has
	paths  postings
	lists  postings // directories whose names and kinds were read
}

// numbered is a trace and the number of whose it is. A number takes an eighth
// of a name, and most paths are of one render only.
type numbered struct {
	Trace
	number int32
}

// postings are the numbers of the renders that looked at a path, ascending.
type postings map[string][]int32

func (p postings) add(path string, number int32) {
	at := p[path]
	if i, found := slices.BinarySearch(at, number); !found {
		p[path] = slices.Insert(at, i, number)
	}
}

func (p postings) remove(path string, number int32) {
	at := p[path]
	i, found := slices.BinarySearch(at, number)
	switch {
	case !found:
	case len(at) == 1:
		delete(p, path)
	default:
		p[path] = slices.Delete(at, i, i+1)
	}
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
	return &Index[K]{traces: map[K]numbered{}, paths: postings{}, lists: postings{}}
}

// Put notes what the render of k depends on, in place of what was noted before.
func (x *Index[K]) Put(k K, t Trace) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if was, ok := x.traces[k]; ok && slices.EqualFunc(was.Trace, t, samePlace) {
		x.traces[k] = numbered{t, was.number}
		return
	}
	x.remove(k)
	n := x.number(k)
	x.traces[k] = numbered{t, n}
	for _, a := range t {
		x.of(a.Op).add(a.Path, n)
	}
}

// samePlace tells whether two accesses differ in what was found at most, which
// the index does not look at.
func samePlace(a, b Access) bool { return a.Path == b.Path && a.Op == b.Op }

func (x *Index[K]) number(k K) int32 {
	if last := len(x.free) - 1; last >= 0 {
		n := x.free[last]
		x.free, x.names[n] = x.free[:last], k
		return n
	}
	x.names = append(x.names, k)
	return int32(len(x.names) - 1)
}

// of is where accesses of a kind are found.
func (x *Index[K]) of(op traced.Op) postings {
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
	t, ok := x.traces[k]
	if !ok {
		return
	}
	for _, a := range t.Trace {
		x.of(a.Op).remove(a.Path, t.number)
	}
	delete(x.traces, k)
	x.names[t.number] = *new(K)
	x.free = append(x.free, t.number)
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
		for _, n := range x.lists[p] { // a list depends on the kind of its path too
			out[x.names[n]] = true
		}
		if list {
			return
		}
		for _, n := range x.paths[p] {
			out[x.names[n]] = true
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
