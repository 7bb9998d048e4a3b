package render

import (
	"path"
	"sync"
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
	byPath map[string]map[K]struct{}
}

// Changed is one path at which two trees differ: a file or link, not a
// directory.
type Changed struct {
	Path string
	// Listing: it came, went, or is of another kind, so that the directory it is
	// in, and maybe those above, list something else.
	Listing bool
}

// NewIndex returns an empty index.
func NewIndex[K comparable]() *Index[K] {
	return &Index[K]{traces: map[K]Trace{}, byPath: map[string]map[K]struct{}{}}
}

// Put notes what the render of k depends on, in place of what was noted before.
func (x *Index[K]) Put(k K, t Trace) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.remove(k)
	x.traces[k] = t
	for _, a := range t {
		at := x.byPath[a.Path]
		if at == nil {
			at = map[K]struct{}{}
			x.byPath[a.Path] = at
		}
		at[k] = struct{}{}
	}
}

// Delete forgets the render of k.
func (x *Index[K]) Delete(k K) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.remove(k)
}

func (x *Index[K]) remove(k K) {
	for _, a := range x.traces[k] {
		at := x.byPath[a.Path]
		if delete(at, k); len(at) == 0 {
			delete(x.byPath, a.Path)
		}
	}
	delete(x.traces, k)
}

// Concerned returns the renders that the changes can concern.
func (x *Index[K]) Concerned(changes []Changed) map[K]bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	out := map[K]bool{}
	seen := map[string]bool{}
	take := func(p string) {
		if seen[p] {
			return
		}
		seen[p] = true
		for k := range x.byPath[p] {
			out[k] = true
		}
	}
	for _, c := range changes {
		take(c.Path)
		if !c.Listing {
			continue
		}
		for dir := path.Dir(c.Path); ; dir = path.Dir(dir) {
			take(dir)
			if dir == "." {
				break
			}
		}
	}
	return out
}
