package helm

import (
	"context"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"
	"text/template/parse"

	"helm.sh/helm/v4/pkg/chart/common"
	chart "helm.sh/helm/v4/pkg/chart/v2"

	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/render/manifest"
)

// chances is how often templates are executed again when the results may be
// alike by chance: two things in random order then stay unnoticed once in 128
// times.
const chances = 7

// orders is how often templates are executed again when they may take any of
// several files of one name. Which one they take is the order of a small map,
// which is far from even: one may win nine times in ten. So every other
// execution has the files in the reverse order, in which the other one wins as
// often: a pair of executions is like the first by chance once in four times
// at most, and all ten pairs once in a million times.
const orders = 20

// mixing stands for the two methods of .Files that take any of several files
// of one name.
const mixing = ".Files.AsConfig or .Files.AsSecrets"

// unstable executes the templates again if anything that they called makes
// that worth it, and names what comes out differently.
func (r *release) unstable(ctx context.Context, files map[string]string, made *calls, docs *documents) ([]Unstable, error) {
	times := 0
	if len(made.names) > 0 {
		times = 1
	}
	if made.chancy {
		times = chances
	}
	order := func(bool) {}
	if r.mixesFiles(r.Chart) {
		made.names[mixing] = true
		times = orders
		order = filesOf(r.Chart)
		defer order(false)
	}
	var found []Unstable
	for i := range times {
		order(i%2 == 0)
		again, _, err := r.execute(ctx, i+1)
		if err != nil {
			return nil, err
		}
		for _, name := range slices.Sorted(maps.Keys(files)) {
			if again[name] == files[name] {
				continue
			}
			for _, u := range r.compare(name, docs.byName[name], again[name], made) {
				if !slices.ContainsFunc(found, func(o Unstable) bool { return o.Object == u.Object && o.Template == u.Template }) {
					found = append(found, u)
				}
			}
		}
		if slices.ContainsFunc(found, func(u Unstable) bool { return !u.Hook }) {
			break // that is enough to refuse the chart; a hook alone is not
		}
	}
	slices.SortStableFunc(found, func(a, b Unstable) int { return strings.Compare(a.Template, b.Template) })
	return found, nil
}

// mixesFiles tells whether .Files of a chart has two files of one name, of
// which AsConfig and AsSecrets take any, and a template uses these.
func (r *release) mixesFiles(c *chart.Chart) bool {
	seen, twice := map[string]bool{}, false
	for _, f := range c.Files {
		base := path.Base(f.Name)
		twice = twice || seen[base]
		seen[base] = true
	}
	if twice {
		for _, text := range r.texts {
			if strings.Contains(text, "AsConfig") || strings.Contains(text, "AsSecrets") {
				return true
			}
		}
	}
	return slices.ContainsFunc(c.Dependencies(), r.mixesFiles)
}

// filesOf returns what puts the files of a chart and of those in it in the reverse
// order, or as they were.
func filesOf(c *chart.Chart) (order func(reverse bool)) {
	type files struct {
		of    *chart.Chart
		as    []*common.File
		other []*common.File
	}
	var all []files
	var add func(c *chart.Chart)
	add = func(c *chart.Chart) {
		// In a copy: an alias of the chart may have the same list. Of two files of one
		// whole name the last one counts, whatever the order.
		var other []*common.File
		seen := map[string]bool{}
		for _, f := range slices.Backward(c.Files) {
			if !seen[f.Name] {
				seen[f.Name] = true
				other = append(other, f)
			}
		}
		all = append(all, files{c, c.Files, other})
		for _, d := range c.Dependencies() {
			add(d)
		}
	}
	add(c)
	return func(reverse bool) {
		for _, f := range all {
			if f.of.Files = f.as; reverse {
				f.of.Files = f.other
			}
		}
	}
}

// compare names the objects of one template that another execution gives
// differently. Text that makes no object, such as a comment, does not count.
func (r *release) compare(name string, was []*document, again string, made *calls) []Unstable {
	objects := func(docs []*document) (all []manifest.Object) {
		for _, d := range docs {
			all = append(all, d.objects...)
		}
		return all
	}
	first := objects(was)
	var second []manifest.Object
	if docs, err := r.documents(map[string]string{name: again}); err == nil {
		second = objects(docs.byName[name])
	}
	functions, line := r.suspects(name, made)
	var found []Unstable
	for i := range max(len(first), len(second)) {
		if i < len(first) && i < len(second) && reflect.DeepEqual(first[i].Object, second[i].Object) {
			continue
		}
		list := first
		if i >= len(first) {
			list = second
		}
		o := list[i]
		found = append(found, Unstable{Object: named(o), Template: r.names[name], Line: line, Functions: functions, Hook: isHook(o)})
	}
	return found
}

// suspects returns which of the functions that were called a template can
// reach, and the line of the first call in it. A template that can reach
// anything, by tpl or an include whose name is computed, can have called all.
func (r *release) suspects(name string, made *calls) (functions []string, line int) {
	reach := r.reach(name)
	for _, f := range slices.Sorted(maps.Keys(made.names)) {
		if reach.functions[f] || f == mixing && reach.mixes {
			functions = append(functions, f)
		}
	}
	if len(functions) == 0 {
		functions = slices.Sorted(maps.Keys(made.names))
	}
	for _, f := range functions {
		if at := reach.lines[f]; at > 0 && (line == 0 || at < line) {
			line = at
		}
	}
	return functions, line
}

// reached is what a template can call, itself or by way of others.
type reached struct {
	functions map[string]bool
	lines     map[string]int // of the first call in the template itself
	mixes     bool           // it has AsConfig or AsSecrets
}

func (r *release) reach(name string) reached {
	trees := map[string]*parse.Tree{}
	for _, n := range slices.Sorted(maps.Keys(r.texts)) {
		t := parse.New(n)
		t.Mode = parse.SkipFuncCheck
		if _, err := t.Parse(r.texts[n], "", "", trees); err != nil {
			continue // the engine has parsed all of them
		}
	}
	out := reached{functions: map[string]bool{}, lines: map[string]int{}}
	queue, seen := []string{name}, map[string]bool{name: true}
	next := func(n string) {
		if !seen[n] {
			seen[n] = true
			queue = append(queue, n)
		}
	}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		t := trees[at]
		if t == nil || t.Root == nil {
			continue
		}
		inspect(t.Root, func(n parse.Node) {
			switch n := n.(type) {
			case *parse.IdentifierNode:
				out.functions[n.Ident] = true
				if at == name && out.lines[n.Ident] == 0 {
					out.lines[n.Ident] = 1 + strings.Count(r.texts[name][:min(int(n.Position()), len(r.texts[name]))], "\n")
				}
			case *parse.FieldNode:
				out.mixes = out.mixes || mixesNames(n.Ident)
			case *parse.VariableNode: // $.Files.AsConfig
				out.mixes = out.mixes || mixesNames(n.Ident)
			case *parse.ChainNode: // (.Files.Glob "*").AsConfig
				out.mixes = out.mixes || mixesNames(n.Field)
			case *parse.TemplateNode:
				next(n.Name)
			case *parse.StringNode: // include "name", wherever it stands
				next(n.Text)
			}
		})
	}
	return out
}

func mixesNames(fields []string) bool {
	return slices.Contains(fields, "AsConfig") || slices.Contains(fields, "AsSecrets")
}

// inspect visits a node of a template and all below it.
func inspect(n parse.Node, visit func(parse.Node)) {
	if v := reflect.ValueOf(n); !v.IsValid() || v.IsNil() {
		return
	}
	visit(n)
	branch := func(b *parse.BranchNode) {
		inspect(b.Pipe, visit)
		inspect(b.List, visit)
		inspect(b.ElseList, visit)
	}
	switch n := n.(type) {
	case *parse.ListNode:
		for _, c := range n.Nodes {
			inspect(c, visit)
		}
	case *parse.ActionNode:
		inspect(n.Pipe, visit)
	case *parse.PipeNode:
		for _, c := range n.Cmds {
			inspect(c, visit)
		}
	case *parse.CommandNode:
		for _, c := range n.Args {
			inspect(c, visit)
		}
	case *parse.ChainNode:
		inspect(n.Node, visit)
	case *parse.TemplateNode:
		inspect(n.Pipe, visit)
	case *parse.IfNode:
		branch(&n.BranchNode)
	case *parse.RangeNode:
		branch(&n.BranchNode)
	case *parse.WithNode:
		branch(&n.BranchNode)
	}
}

// refuseUnstable is the error for what would be applied again and again.
func refuseUnstable(all []Unstable, hooks bool) error {
	var objects []Unstable
	for _, u := range all {
		if hooks || !u.Hook {
			objects = append(objects, u)
		}
	}
	if len(objects) == 0 {
		return nil
	}
	u := objects[0]
	msg := "gives the " + u.Object + " with another content at each render"
	if len(objects) > 1 {
		msg = "gives the " + u.Object + ", one of several, with another content at each render"
	}
	if len(u.Functions) > 0 {
		msg += ": it calls " + strings.Join(u.Functions, ", ")
	}
	return fault.New(fault.UnstableRender, u.Template, u.Line, "%s", msg).
		WithHint("it would be applied again at every sync: set the value that the chart makes up where it is missing (a password, a certificate, the name of a Secret that exists), or take that call out of the template")
}
