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

// Judgement is what an App turned out to want. The zero Judgement is that of an
// App which is being deleted: it wants nothing, at whatever commit.
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
	repos   map[string]*repo
	refs    map[Following]*ref
	waiting map[object.App]bool // to be told at the next change
}

// repo is what is kept of the Apps of one repository, so that asking about all
// of them does not mean to look at each.
type repo struct {
	apps    int
	holding map[object.App]bool // those that keep others from pruning
	parents map[object.App]bool // those that want Apps
}

// ref is what is kept of the Apps that follow one ref.
type ref struct {
	apps     map[object.App]bool
	reported map[string]int // Apps by the commit that they have been reported at
	told     string         // commit up to which it is known to be judged
}

func (r *ref) complete(commit string) bool {
	return commit != "" && commit != r.told && r.reported[commit] == len(r.apps)
}

type claim struct {
	following Following
	// former is the repository that the App followed before, until it has let go
	// of everything that it no longer wants: others there may take it over.
	former   string
	target   string // commit that the ref stands at; "" while not known
	moves    int    // how often the ref has been seen to move
	judged   string
	reported string
	failed   bool
	paused   bool
	leaving  bool // being deleted
	wants    []object.Key
	children []object.App // Apps among wants
}

// settled tells whether what the App wants at its commit is known.
func (cl *claim) settled() bool {
	return cl.leaving || cl.judged != "" && cl.judged == cl.target && !cl.failed
}

// New returns claims that tell waiting Apps through notify, which is called
// without a lock held and must not block.
func New(notify func(object.App)) *Claims {
	return &Claims{
		notify:  notify,
		apps:    map[object.App]*claim{},
		repos:   map[string]*repo{},
		refs:    map[Following]*ref{},
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
	var behind []object.App
	if cl == nil {
		cl = &claim{}
		c.apps[app] = cl
	} else {
		if cl.following.Repo != f.Repo && cl.former == "" {
			cl.former = cl.following.Repo
		}
		behind = c.leave(app, cl)
		cl.target, cl.judged, cl.reported = "", "", ""
	}
	cl.following = f
	if c.repos[f.Repo] == nil {
		c.repos[f.Repo] = &repo{holding: map[object.App]bool{}, parents: map[object.App]bool{}}
	}
	c.repos[f.Repo].apps++
	if !cl.leaving {
		c.joinRef(app, cl)
	}
	c.place(app, cl)
	c.unlockAndTell(behind...)
}

// joinRef makes a ref wait for the reports of an App.
func (c *Claims) joinRef(app object.App, cl *claim) {
	f := c.refs[cl.following]
	if f == nil {
		f = &ref{apps: map[object.App]bool{}, reported: map[string]int{}}
		c.refs[cl.following] = f
	}
	f.apps[app] = true
	f.count(cl.reported, +1)
}

// place puts an App among those of its repository that hold others back or want
// Apps, or takes it off.
func (c *Claims) place(app object.App, cl *claim) {
	r := c.repos[cl.following.Repo]
	put := func(set map[object.App]bool, in bool) {
		if in {
			set[app] = true
		} else {
			delete(set, app)
		}
	}
	put(r.holding, !cl.settled())
	put(r.parents, len(cl.children) > 0 && !cl.paused)
}

// leave takes an App off what it follows. It returns the Apps that have to be
// told of that, as leaveRef does.
func (c *Claims) leave(app object.App, cl *claim) []object.App {
	r := c.repos[cl.following.Repo]
	delete(r.holding, app)
	delete(r.parents, app)
	if r.apps--; r.apps == 0 {
		delete(c.repos, cl.following.Repo)
	}
	return c.leaveRef(app, cl)
}

// leaveRef makes a ref no longer wait for the reports of an App. It returns an
// App that has to be told: if the one that left was the last that had not been
// reported, nobody else would find out that the ref is now judged.
func (c *Claims) leaveRef(app object.App, cl *claim) []object.App {
	f := c.refs[cl.following]
	if f == nil || !f.apps[app] {
		return nil
	}
	delete(f.apps, app)
	f.count(cl.reported, -1)
	if len(f.apps) == 0 {
		delete(c.refs, cl.following)
		return nil
	}
	for other := range f.apps {
		if f.complete(c.apps[other].reported) {
			return []object.App{other}
		}
		break // it is complete when all of them are at one commit
	}
	return nil
}

// count adds n to the Apps that have been reported at a commit.
func (r *ref) count(commit string, n int) {
	if commit == "" {
		return
	}
	if r.reported[commit] += n; r.reported[commit] <= 0 {
		delete(r.reported, commit)
	}
}

// Forget says that an App no longer exists.
func (c *Claims) Forget(app object.App) {
	c.mu.Lock()
	delete(c.waiting, app)
	cl := c.apps[app]
	if cl == nil {
		c.mu.Unlock()
		return
	}
	behind := c.leave(app, cl)
	delete(c.apps, app)
	c.unlockAndTell(behind...)
}

// Target takes over which commit the ref that an App follows stands at, which at
// tells. It is asked again if the ref is seen to move meanwhile: what it told
// before would pass for where the ref stands.
func (c *Claims) Target(app object.App, at func() string) {
	for {
		c.mu.Lock()
		cl := c.apps[app]
		if cl == nil {
			c.mu.Unlock()
			return
		}
		moves := cl.moves
		c.mu.Unlock()
		if c.setTarget(app, at(), moves) {
			return
		}
	}
}

// setTarget returns false if the ref has moved since it had moved that often.
func (c *Claims) setTarget(app object.App, commit string, moves int) bool {
	c.mu.Lock()
	cl := c.apps[app]
	if cl != nil && cl.moves != moves {
		c.mu.Unlock()
		return false
	}
	if cl == nil || cl.target == commit {
		c.mu.Unlock()
		return true
	}
	before := cl.settled()
	cl.target = commit
	c.place(app, cl)
	if cl.settled() == before {
		c.mu.Unlock()
		return true
	}
	c.unlockAndTell()
	return true
}

// Moving says that what an App follows has moved, before anybody can see where
// to: until Target or a run of the App says that, it is not known what the App
// wants, and nobody prunes.
func (c *Claims) Moving(app object.App) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cl := c.apps[app]; cl != nil {
		cl.target = ""
		cl.moves++
		c.place(app, cl)
	}
}

// Judge says what an App wants. Those that wait are told only if that is news:
// two waiting Apps would otherwise wake each other for ever.
func (c *Claims) Judge(app object.App, j Judgement) {
	c.mu.Lock()
	cl := c.apps[app]
	if cl == nil {
		c.mu.Unlock()
		return
	}
	leaving := j.Commit == "" && !j.Failed
	news := cl.judged != j.Commit || cl.failed != j.Failed || cl.paused != j.Paused || cl.leaving != leaving
	var behind []object.App
	switch {
	case leaving && !cl.leaving:
		behind = c.leaveRef(app, cl)
	case cl.leaving && !leaving:
		c.joinRef(app, cl)
	}
	cl.judged, cl.failed, cl.paused, cl.leaving = j.Commit, j.Failed, j.Paused, leaving
	if !j.Failed && !slices.Equal(cl.wants, j.Wants) {
		news = true
		cl.wants, cl.children = j.Wants, children(j.Wants)
	}
	if !news {
		c.mu.Unlock()
		return
	}
	c.place(app, cl)
	c.unlockAndTell(behind...)
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
// true, once for a commit, when every App that follows the same ref has been
// reported at it.
func (c *Claims) Report(app object.App, commit string) (complete bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cl := c.apps[app]
	if cl == nil {
		return false
	}
	f := c.refs[cl.following]
	if f == nil || !f.apps[app] {
		return false // it is being deleted: the ref does not wait for it
	}
	if cl.reported != commit {
		f.count(cl.reported, -1)
		f.count(commit, +1)
		cl.reported = commit
	}
	if !f.complete(commit) {
		return false
	}
	f.told = commit
	return true
}

// unlockAndTell releases the lock and wakes every App that waits, and some
// others.
func (c *Claims) unlockAndTell(others ...object.App) {
	apps := append(slices.Collect(maps.Keys(c.waiting)), others...)
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

// Moved says that an App has got hold of objects: who waited for it to take
// something over can see now whether it has.
func (c *Claims) Moved() {
	c.mu.Lock()
	c.unlockAndTell()
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
	out := c.blockers(app, c.repos[cl.following.Repo])
	if former := c.repos[cl.former]; former != nil && cl.former != cl.following.Repo {
		out = append(out, c.blockers(app, former)...)
	}
	slices.SortFunc(out, func(a, b Blocker) int { return a.App.Compare(b.App) })
	return out
}

// blockers are the Apps of one repository that keep an App from pruning.
func (c *Claims) blockers(app object.App, r *repo) (out []Blocker) {
	for parent := range r.parents {
		for _, child := range c.apps[parent].children {
			if c.apps[child] == nil {
				out = append(out, Blocker{App: child})
			}
		}
	}
	for other := range r.holding {
		if o := c.apps[other]; other != app {
			out = append(out, Blocker{App: other, Failed: o.failed && o.judged == o.target})
		}
	}
	return out
}

// Settled says that an App has let go of everything that it does not want.
func (c *Claims) Settled(app object.App) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cl := c.apps[app]; cl != nil {
		cl.former = ""
	}
}

// Wants tells whether an App wants an object. An App that is known and has not
// been judged at its commit wants everything, to be on the safe side; one that
// does not exist or is being deleted wants nothing.
func (c *Claims) Wants(app object.App, k object.Key) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	cl := c.apps[app]
	if cl == nil {
		return false
	}
	return !cl.settled() || cl.has(k)
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
