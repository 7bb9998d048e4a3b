// Package claims knows which App wants which object, and up to which commit
// every App has been judged. It is what lets an object move from one App to
// another without being deleted on the way:
//
//   - An App prunes only when every App of its repository has been judged at
//     the commit that it now stands at ([Claims.Barrier]).
//   - What an App no longer wants and another one wants, the other takes
//     ([Claims.Wanter], [Claims.Wants]).
//
// To judge an App is to render it and so to know what it wants; that is long
// before anything is applied. To report it is to have written to its status
// what the commit means for it. When every App that follows a ref has been
// reported at a commit, the ref is judged up to that commit, and the reported
// function is told.
//
// All of it is held in memory and built anew after a restart: Apps are known
// before the first of them is worked on, and an App that is known and not yet
// judged holds back every prune of its repository.
package claims

import (
	"maps"
	"slices"
	"sync"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/object"
)

// Following is what an App follows.
type Following struct {
	Repo string // URL as the App has it
	Ref  string // what it follows there, in a form that is equal for equal refs
}

// Judgement is what an App turned out to want.
type Judgement struct {
	Commit string
	// Wants are the keys of the desired objects in order (object.Key.Compare).
	// They are ignored if Failed.
	Wants []object.Key
	// Failed: what the App wants at this commit could not be told. What it
	// wanted before stands.
	Failed bool
	// Paused: the App wants it, and does nothing about it.
	Paused bool
}

// Claims is safe for concurrent use.
type Claims struct {
	notify func(object.App)

	mu      sync.Mutex
	apps    map[object.App]*claim
	repos   map[string]map[object.App]bool
	waiting map[object.App]bool // to be told at every change
}

type claim struct {
	following Following
	target    string // commit that the ref stands at; "" while not known
	judged    string
	reported  string
	failed    bool
	paused    bool
	wants     []object.Key
	children  []object.App // Apps among wants
}

// New returns claims that tell waiting Apps through notify, which is called
// without a lock held and must not block.
func New(notify func(object.App)) *Claims {
	return &Claims{
		notify:  notify,
		apps:    map[object.App]*claim{},
		repos:   map[string]map[object.App]bool{},
		waiting: map[object.App]bool{},
	}
}

// Know says that an App exists and what it follows.
func (c *Claims) Know(app object.App, f Following) {
	c.mu.Lock()
	cl := c.apps[app]
	if cl != nil && cl.following == f {
		c.mu.Unlock()
		return
	}
	if cl == nil {
		cl = &claim{}
		c.apps[app] = cl
	} else {
		c.leaveRepo(app, cl)
		cl.target, cl.judged, cl.reported = "", "", ""
	}
	cl.following = f
	if c.repos[f.Repo] == nil {
		c.repos[f.Repo] = map[object.App]bool{}
	}
	c.repos[f.Repo][app] = true
	c.unlockAndTell()
}

func (c *Claims) leaveRepo(app object.App, cl *claim) {
	m := c.repos[cl.following.Repo]
	delete(m, app)
	if len(m) == 0 {
		delete(c.repos, cl.following.Repo)
	}
}

// Forget says that an App no longer exists.
func (c *Claims) Forget(app object.App) {
	c.mu.Lock()
	if cl := c.apps[app]; cl != nil {
		c.leaveRepo(app, cl)
		delete(c.apps, app)
	}
	delete(c.waiting, app)
	c.unlockAndTell()
}

// Target says which commit the ref that an App follows stands at.
func (c *Claims) Target(app object.App, commit string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cl := c.apps[app]; cl != nil {
		cl.target = commit
	}
}

// Judge says what an App wants.
func (c *Claims) Judge(app object.App, j Judgement) {
	c.mu.Lock()
	cl := c.apps[app]
	if cl == nil {
		c.mu.Unlock()
		return
	}
	cl.judged, cl.failed, cl.paused = j.Commit, j.Failed, j.Paused
	if !j.Failed {
		cl.wants, cl.children = j.Wants, children(j.Wants)
	}
	c.unlockAndTell()
}

// children picks the Apps among keys.
func children(keys []object.Key) []object.App {
	var out []object.App
	for _, k := range keys {
		if k.Group == v1alpha1.Group && k.Kind == "App" {
			out = append(out, object.App{Namespace: k.Namespace, Name: k.Name})
		}
	}
	return out
}

// Report says that an App's status tells what a commit means for it. It returns
// true when with this every App that follows the same ref has been reported at
// the commit.
func (c *Claims) Report(app object.App, commit string) (complete bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cl := c.apps[app]
	if cl == nil || cl.reported == commit {
		return false
	}
	cl.reported = commit
	for other := range c.repos[cl.following.Repo] {
		o := c.apps[other]
		if o.following == cl.following && o.reported != commit {
			return false
		}
	}
	return true
}

// unlockAndTell releases the lock and wakes every App that waits.
func (c *Claims) unlockAndTell() {
	apps := slices.Collect(maps.Keys(c.waiting))
	clear(c.waiting)
	c.mu.Unlock()
	for _, a := range apps {
		c.notify(a)
	}
}

// Wait has the App told at the next change. It has to be asked for again after
// that.
func (c *Claims) Wait(app object.App) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting[app] = true
}

// Blocker is an App that keeps others of its repository from pruning.
type Blocker struct {
	App object.App
	// Failed: it has been looked at, and what it wants can't be told.
	Failed bool
}

// Barrier returns the Apps of the same repository that have not been judged at
// the commit their ref stands at, in order, and those that Git says should exist
// and that do not yet. None means that the App may prune.
func (c *Claims) Barrier(app object.App) []Blocker {
	c.mu.Lock()
	defer c.mu.Unlock()
	cl := c.apps[app]
	if cl == nil {
		return nil
	}
	var out []Blocker
	for other := range c.repos[cl.following.Repo] {
		o := c.apps[other]
		for _, child := range o.children {
			if c.apps[child] == nil && !o.paused {
				out = append(out, Blocker{App: child})
			}
		}
		switch {
		case other == app:
		case o.judged == "" || o.judged != o.target:
			// One that never had anything and can't be fetched has no claim to
			// hand over, but nothing says so before it was looked at.
			out = append(out, Blocker{App: other, Failed: o.failed && o.judged == o.target})
		case o.failed:
			out = append(out, Blocker{App: other, Failed: true})
		}
	}
	slices.SortFunc(out, func(a, b Blocker) int { return a.App.Compare(b.App) })
	return out
}

// Wants tells whether an App wants an object. An App that is known and has not
// been judged at its commit wants everything, to be on the safe side; one that
// does not exist wants nothing.
func (c *Claims) Wants(app object.App, k object.Key) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	cl := c.apps[app]
	if cl == nil {
		return false
	}
	if cl.judged == "" || cl.judged != cl.target || cl.failed {
		return true
	}
	return cl.has(k)
}

func (cl *claim) has(k object.Key) bool {
	_, ok := slices.BinarySearchFunc(cl.wants, k, object.Key.Compare)
	return ok
}

// Taker is an App that wants an object which another one lets go of.
type Taker struct {
	App object.App
	// Unable says in a word why it does not take it now: Failed or Paused.
	Unable string
}

// Wanter returns an App other than this one that wants an object; the first in
// order, if several do.
func (c *Claims) Wanter(app object.App, k object.Key) (Taker, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var best object.App
	for other, cl := range c.apps {
		if other != app && cl.has(k) && (best == object.App{} || other.Compare(best) < 0) {
			best = other
		}
	}
	cl := c.apps[best]
	if cl == nil {
		return Taker{}, false
	}
	t := Taker{App: best}
	switch {
	case cl.paused:
		t.Unable = "Paused"
	case cl.failed:
		t.Unable = "Failed"
	}
	return t, true
}
