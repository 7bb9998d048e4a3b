package depend

import (
	"maps"
	"slices"
	"strings"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/object"
)

// Graph is which App depends on which, in both directions. An edge to an App of
// another namespace counts only if that App allows it. The zero value is empty; it
// is not safe for concurrent use.
type Graph struct {
	nodes map[object.App]*node
	// dependents are the Apps that name an App, allowed or not.
	dependents map[object.App]map[object.App]bool
	version    uint64
}

// Version changes whenever the graph does.
func (g *Graph) Version() uint64 { return g.version }

type node struct {
	on      []object.App
	allowed []string
	leaving bool
	owner   object.App // the App that made it, if one did
}

// Put takes over an App as it is now.
func (g *Graph) Put(app *v1alpha1.App) {
	if g.nodes == nil {
		g.nodes, g.dependents = map[object.App]*node{}, map[object.App]map[object.App]bool{}
	}
	id := ID(app)
	n := &node{allowed: slices.Clone(app.Spec.AllowedDependents), leaving: app.DeletionTimestamp != nil}
	n.owner, _ = object.ParseApp(app.Annotations[v1alpha1.AnnotationOwner])
	for i := range app.Spec.DependsOn {
		n.on = append(n.on, Of(&app.Spec.DependsOn[i], app.Namespace))
	}
	if old := g.nodes[id]; old != nil && old.equal(n) {
		return
	}
	g.Delete(id)
	g.version++
	for _, on := range n.on {
		if g.dependents[on] == nil {
			g.dependents[on] = map[object.App]bool{}
		}
		g.dependents[on][id] = true
	}
	g.nodes[id] = n
}

func (n *node) equal(o *node) bool {
	return n.leaving == o.leaving && n.owner == o.owner && slices.Equal(n.on, o.on) && slices.Equal(n.allowed, o.allowed)
}

// Delete takes out an App that does not exist any more.
func (g *Graph) Delete(id object.App) {
	n := g.nodes[id]
	if n == nil {
		return
	}
	for _, on := range n.on {
		delete(g.dependents[on], id)
		if len(g.dependents[on]) == 0 {
			delete(g.dependents, on)
		}
	}
	delete(g.nodes, id)
	g.version++
}

// on are the Apps that an App depends on and may.
func (g *Graph) on(id object.App) []object.App {
	n := g.nodes[id]
	if n == nil {
		return nil
	}
	var out []object.App
	for _, on := range n.on {
		if d := g.nodes[on]; d != nil && allows(on.Namespace, d.allowed, id.Namespace) {
			out = append(out, on)
		}
	}
	return out
}

// CycleError says that an App waits for itself.
type CycleError struct {
	// Apps are the cycle, the first being the last again.
	Apps []object.App
	// Made: the App before the last made the last, and is healthy only when that is.
	Made bool
}

func (e *CycleError) Error() string {
	names := make([]string, len(e.Apps))
	for i, a := range e.Apps {
		names[i] = a.String()
	}
	m := "the dependencies go in a circle: " + strings.Join(names, " → ")
	if e.Made {
		return m + " (" + names[len(names)-2] + " made it, and is healthy only when it is): take one out of spec.dependsOn"
	}
	return m + ": take one out of spec.dependsOn"
}

// Reason is the reason for a condition.
func (e *CycleError) Reason() string { return "DependencyCycle" }

// Cycle returns the shortest circle of dependencies that an App is part of; nil if
// there is none. An App also waits for itself if it depends on one that made it,
// since that one is healthy only when it is. What an App says of who made it counts
// for that App alone: it could be anything.
func (g *Graph) Cycle(id object.App) *CycleError {
	makers := g.makers(id)
	from := map[object.App]object.App{}
	queue := []object.App{id}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		for _, next := range g.on(at) {
			if next == id {
				return &CycleError{Apps: append(path(from, id, at), id)}
			}
			if _, seen := from[next]; seen {
				continue
			}
			from[next] = at
			if makers[next] {
				return &CycleError{Apps: append(path(from, id, next), id), Made: true}
			}
			queue = append(queue, next)
		}
	}
	return nil
}

// path is the way from one App to another that a search took.
func path(from map[object.App]object.App, start, end object.App) []object.App {
	way := []object.App{end}
	for end != start {
		end = from[end]
		way = append(way, end)
	}
	slices.Reverse(way)
	return way
}

// makers are the App that made an App, the one that made that, and so on.
func (g *Graph) makers(id object.App) map[object.App]bool {
	out := map[object.App]bool{}
	for n := g.nodes[id]; n != nil && n.owner != (object.App{}) && n.owner != id && !out[n.owner]; n = g.nodes[n.owner] {
		out[n.owner] = true
	}
	return out
}

// Leaving are the Apps that depend on an App and are being deleted, in order: it
// is removed after them. Those that it depends on itself, by a circle, are left
// out: each would wait for the other.
func (g *Graph) Leaving(id object.App) []object.App {
	out := g.dependentsOf(id, true)
	if len(out) == 0 {
		return nil
	}
	circle := g.reached(id)
	return slices.DeleteFunc(out, func(a object.App) bool { return circle[a] })
}

// Staying are the Apps that depend on an App and are not being deleted, in order.
func (g *Graph) Staying(id object.App) []object.App { return g.dependentsOf(id, false) }

func (g *Graph) dependentsOf(id object.App, leaving bool) []object.App {
	n := g.nodes[id]
	if n == nil {
		return nil
	}
	var out []object.App
	for _, a := range slices.SortedFunc(maps.Keys(g.dependents[id]), object.App.Compare) {
		if a != id && g.nodes[a].leaving == leaving && allows(id.Namespace, n.allowed, a.Namespace) {
			out = append(out, a)
		}
	}
	return out
}

// reached are the Apps that an App depends on, directly or not.
func (g *Graph) reached(id object.App) map[object.App]bool {
	out := map[object.App]bool{}
	queue := []object.App{id}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		for _, next := range g.on(at) {
			if !out[next] {
				out[next] = true
				queue = append(queue, next)
			}
		}
	}
	return out
}
