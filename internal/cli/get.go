package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"abide.dev/abide/api/v1alpha1"
)

type getOptions struct {
	target
	output formatFlag
	watch  bool
	kind   string
	names  []string
	now    func() time.Time
}

// column is a column of the table of a kind.
type column struct {
	name string
	wide bool // only with -o wide
	text func(o client.Object, now time.Time) string
}

// kindTable is a kind that get knows.
type kindTable struct {
	names   []string // as people type them; the first is the plural
	list    func() client.ObjectList
	one     func() client.Object
	columns []column
}

func field[T client.Object](name string, text func(T) string) column {
	return column{name: name, text: func(o client.Object, _ time.Time) string { return text(o.(T)) }}
}

func wideField[T client.Object](name string, text func(T) string) column {
	c := field(name, text)
	c.wide = true
	return c
}

var ageColumn = column{name: "AGE", text: func(o client.Object, now time.Time) string {
	return age(now, o.GetCreationTimestamp().Time)
}}

// kindTables are the kinds of abide.
func kindTables() []kindTable { return slices.Concat(basicTables(), actTables()) }

// actTables are acts of people, and what became of them.
func actTables() []kindTable {
	return []kindTable{
		{
			names: []string{"approvals", "approval"},
			list:  func() client.ObjectList { return &v1alpha1.ApprovalList{} },
			one:   func() client.Object { return &v1alpha1.Approval{} },
			columns: []column{
				field("APP", func(a *v1alpha1.Approval) string { return a.Spec.App }),
				field("PLAN", func(a *v1alpha1.Approval) string { return shortDigest(a.Spec.Plan) }),
				field("BY", func(a *v1alpha1.Approval) string { return a.Spec.By }),
				ageColumn,
				field("REASON", func(a *v1alpha1.Approval) string { return a.Spec.Reason }),
			},
		},
		{
			names: []string{"pauses", "pause"},
			list:  func() client.ObjectList { return &v1alpha1.PauseList{} },
			one:   func() client.Object { return &v1alpha1.Pause{} },
			columns: []column{
				field("BY", func(p *v1alpha1.Pause) string { return p.Spec.By }),
				ageColumn,
				field("REASON", func(p *v1alpha1.Pause) string { return p.Spec.Reason }),
			},
		},
		{
			names: []string{"pins", "pin"},
			list:  func() client.ObjectList { return &v1alpha1.PinList{} },
			one:   func() client.Object { return &v1alpha1.Pin{} },
			columns: []column{
				field("RELEASE", func(p *v1alpha1.Pin) string { return fmt.Sprint(p.Spec.Release) }),
				field("BY", func(p *v1alpha1.Pin) string { return p.Spec.By }),
				ageColumn,
				field("REASON", func(p *v1alpha1.Pin) string { return p.Spec.Reason }),
			},
		},
		{
			names: []string{"releases", "release"},
			list:  func() client.ObjectList { return &v1alpha1.ReleaseList{} },
			one:   func() client.Object { return &v1alpha1.Release{} },
			columns: []column{
				field("APP", func(r *v1alpha1.Release) string { return r.Spec.App }),
				field("NUMBER", func(r *v1alpha1.Release) string { return fmt.Sprint(r.Spec.Number) }),
				field("OUTCOME", func(r *v1alpha1.Release) string { return string(r.Spec.Outcome) }),
				field("COMMIT", func(r *v1alpha1.Release) string { return r.Spec.Source.Revision }),
				ageColumn,
			},
		},
	}
}

func basicTables() []kindTable {
	return []kindTable{
		{
			names: []string{"apps", "app"},
			list:  func() client.ObjectList { return &v1alpha1.AppList{} },
			one:   func() client.Object { return &v1alpha1.App{} },
			columns: []column{
				field("STATUS", func(a *v1alpha1.App) string { return string(a.Status.State) }),
				field("HEALTH", func(a *v1alpha1.App) string { return string(a.Status.Health) }),
				field("COMMIT", func(a *v1alpha1.App) string { return a.Status.Source.Revision }),
				ageColumn,
				wideField("OBJECTS", func(a *v1alpha1.App) string {
					return fmt.Sprintf("%d/%d", a.Status.Objects.InSync, a.Status.Objects.Total)
				}),
				wideField("REPO", func(a *v1alpha1.App) string {
					if c := a.Spec.Source.Chart; c != nil && a.Spec.Source.Repo == "" {
						return c.Repo
					}
					return a.Spec.Source.Repo
				}),
				wideField("PATH", func(a *v1alpha1.App) string { return a.Spec.Source.Path }),
				field("MESSAGE", message),
			},
		},
		{
			names: []string{"repositories", "repository", "repo", "repos"},
			list:  func() client.ObjectList { return &v1alpha1.RepositoryList{} },
			one:   func() client.Object { return &v1alpha1.Repository{} },
			columns: []column{
				field("URL", func(r *v1alpha1.Repository) string { return r.Spec.URL }),
				field("READY", func(r *v1alpha1.Repository) string { return string(readyOf(r.Status.Conditions).Status) }),
				wideField("INTERVAL", func(r *v1alpha1.Repository) string { return r.Spec.Interval }),
				wideField("ALLOWED", func(r *v1alpha1.Repository) string { return strings.Join(r.Spec.AllowedNamespaces, ",") }),
				ageColumn,
				field("MESSAGE", func(r *v1alpha1.Repository) string { return readyOf(r.Status.Conditions).Message }),
			},
		},
		{
			names: []string{"healthrules", "healthrule"},
			list:  func() client.ObjectList { return &v1alpha1.HealthRuleList{} },
			one:   func() client.Object { return &v1alpha1.HealthRule{} },
			columns: []column{
				field("GROUP", func(r *v1alpha1.HealthRule) string { return r.Spec.Group }),
				field("KINDS", func(r *v1alpha1.HealthRule) string { return strings.Join(r.Spec.Kinds, ",") }),
				field("READY", func(r *v1alpha1.HealthRule) string { return string(readyOf(r.Status.Conditions).Status) }),
				ageColumn,
				field("MESSAGE", func(r *v1alpha1.HealthRule) string { return readyOf(r.Status.Conditions).Message }),
			},
		},
		{
			names: []string{"inventories", "inventory"},
			list:  func() client.ObjectList { return &v1alpha1.InventoryList{} },
			one:   func() client.Object { return &v1alpha1.Inventory{} },
			columns: []column{
				field("APP", func(i *v1alpha1.Inventory) string { return i.App }),
				field("PART", func(i *v1alpha1.Inventory) string { return fmt.Sprint(i.Part) }),
				field("OBJECTS", func(i *v1alpha1.Inventory) string { return fmt.Sprint(len(i.Entries)) }),
				ageColumn,
			},
		},
		{
			names: []string{"gitrefs", "gitref"},
			list:  func() client.ObjectList { return &v1alpha1.GitRefList{} },
			one:   func() client.Object { return &v1alpha1.GitRef{} },
			columns: []column{
				field("URL", func(r *v1alpha1.GitRef) string { return r.URL }),
				field("FOLLOWS", func(r *v1alpha1.GitRef) string { return r.Follows }),
				field("JUDGED", func(r *v1alpha1.GitRef) string { return shorten(r.Judged, 12) }),
				ageColumn,
			},
		},
	}
}

// readyOf is the Ready condition, empty if there is none.
func readyOf(conditions []metav1.Condition) metav1.Condition {
	if c := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady); c != nil {
		return *c
	}
	return metav1.Condition{}
}

func newGet(s Streams) *cobra.Command {
	o := getOptions{now: time.Now}
	var plurals []string
	for _, k := range kindTables() {
		plurals = append(plurals, k.names[0])
	}
	c := &cobra.Command{
		Use:     "get KIND [NAME...]",
		Short:   "List Apps, Repositories and what else abide keeps",
		Long:    "List objects of a kind: " + strings.Join(plurals, ", ") + ".\nGitRefs are in abide's own namespace: add -A.",
		Example: "  abide get apps\n  abide get apps -A --watch\n  abide get app web -o yaml",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &exitError{exitUsage, fmt.Errorf("%s takes a kind: %s", c.CommandPath(), strings.Join(plurals, ", "))}
			}
			return nil
		},
		ValidArgsFunction: func(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 0 {
				return plurals, cobra.ShellCompDirectiveNoFileComp
			}
			k, ok := kindNamed(args[0])
			if !ok {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return o.completeNames(c, k.list())
		},
		RunE: func(c *cobra.Command, args []string) error {
			o.kind, o.names = args[0], args[1:]
			return runGet(c.Context(), s, o)
		},
	}
	o.clusterFlags(c)
	o.namespaceFlag(c)
	o.allFlag(c)
	o.output.add(c, asWide, asName, asYAML, asJSON)
	c.Flags().BoolVarP(&o.watch, "watch", "w", false, "after the list, print each object that changes, until stopped")
	return c
}

func kindNamed(name string) (kindTable, bool) {
	name = strings.TrimSuffix(strings.ToLower(name), "."+v1alpha1.Group)
	for _, k := range kindTables() {
		if slices.Contains(k.names, name) {
			return k, true
		}
	}
	return kindTable{}, false
}

func runGet(ctx context.Context, s Streams, o getOptions) error {
	k, ok := kindNamed(o.kind)
	switch {
	case !ok:
		return &exitError{exitUsage, fmt.Errorf("abide has no kind %q; see abide get --help", o.kind)}
	case o.all && len(o.names) > 0:
		return &exitError{exitUsage, fmt.Errorf("a name and -A do not go together: name the namespace with -n")}
	case o.watch && o.output.format != asTable && o.output.format != asWide && o.output.format != asName:
		return &exitError{exitUsage, fmt.Errorf("--watch goes with a table or -o name")}
	}
	c, err := o.connect(s.Err)
	if err != nil {
		return err
	}
	if o.all {
		c.namespace = ""
	}
	g := getter{conn: c, s: s, o: o, kind: k}
	if err := g.list(ctx); err != nil {
		return err
	}
	if o.watch {
		return g.follow(ctx)
	}
	return nil
}

// getter is one run of get.
type getter struct {
	*conn
	s      Streams
	o      getOptions
	kind   kindTable
	widths []int
	since  string // resourceVersion of the list
}

func (g *getter) list(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	objects, err := g.read(ctx)
	if err != nil {
		return err
	}
	switch g.o.output.format {
	case asTable, asWide:
	default:
		return printObjects(g.s.Out, g.o.output.format, objects, len(g.o.names) == 1)
	}
	if len(objects) == 0 {
		where := "in namespace " + g.namespace + "; -A looks everywhere"
		if g.namespace == "" {
			where = "in any namespace"
		}
		fmt.Fprintf(g.s.Err, "There are no %s %s.\n", g.kind.names[0], where)
		return nil
	}
	g.print(objects, true)
	return nil
}

func (g *getter) read(ctx context.Context) ([]client.Object, error) {
	if len(g.o.names) == 0 {
		l := g.kind.list()
		if err := g.List(ctx, l, client.InNamespace(g.namespace)); err != nil {
			return nil, g.explain(err)
		}
		g.since = l.GetResourceVersion()
		return itemsOf(l)
	}
	var out []client.Object
	for _, name := range g.o.names {
		o := g.kind.one()
		err := g.Get(ctx, client.ObjectKey{Namespace: g.namespace, Name: name}, o)
		if apierrors.IsNotFound(err) && !notServed(err) && g.kind.names[0] == "apps" {
			return nil, g.noSuchApp(ctx, name)
		}
		if err != nil {
			return nil, g.explain(err)
		}
		out = append(out, o)
	}
	return out, nil
}

func (g *getter) columns() []column {
	name := func(o client.Object, _ time.Time) string { return o.GetName() }
	columns := []column{{name: "NAME", text: name}}
	if g.namespace == "" {
		columns = []column{{name: "NAMESPACE", text: func(o client.Object, _ time.Time) string { return o.GetNamespace() }}, {name: "NAME", text: name}}
	}
	for _, c := range g.kind.columns {
		if !c.wide || g.o.output.format == asWide {
			columns = append(columns, c)
		}
	}
	return columns
}

// messageWidth bounds a message in a table that is not wide.
const messageWidth = 100

func (g *getter) print(objects []client.Object, head bool) {
	columns := g.columns()
	t := table{}
	for _, c := range columns {
		t.head = append(t.head, c.name)
	}
	now := g.o.now()
	for _, o := range objects {
		var row []string
		for _, c := range columns {
			text := c.text(o, now)
			if g.o.output.format != asWide && c.name == "MESSAGE" {
				text = shorten(text, messageWidth)
			}
			row = append(row, text)
		}
		t.add(row...)
	}
	st := styleOf(g.s.Out)
	t.paint = func(row, column int, text string) string {
		switch {
		case row < 0:
			return st.dim(text)
		case t.head[column] == "STATUS" || t.head[column] == "HEALTH":
			return st.state(text)
		}
		return text
	}
	g.widths = t.print(g.s.Out, g.widths, head)
}

// state paints a word of an App's status.
func (s style) state(word string) string {
	switch word {
	case string(v1alpha1.StateInSync), string(v1alpha1.HealthHealthy):
		return s.green(word)
	case string(v1alpha1.StateFailed), string(v1alpha1.HealthDegraded):
		return s.red(word)
	case string(v1alpha1.StateWaiting), string(v1alpha1.StateDrifted), string(v1alpha1.StatePaused), string(v1alpha1.StateDeleting),
		string(v1alpha1.HealthSuspended):
		return s.yellow(word)
	case string(v1alpha1.StateProgressing):
		return s.cyan(word)
	}
	return word
}

// follow prints what changes until ctx ends.
func (g *getter) follow(ctx context.Context) error {
	opts := []client.ListOption{client.InNamespace(g.namespace)}
	if len(g.o.names) == 0 && g.since != "" {
		opts = append(opts, &client.ListOptions{Namespace: g.namespace, Raw: &metav1.ListOptions{ResourceVersion: g.since}})
	}
	w, err := g.Watch(ctx, g.kind.list(), opts...)
	if err != nil {
		return g.explain(err)
	}
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, open := <-w.ResultChan():
			if !open {
				if ctx.Err() != nil {
					return nil
				}
				return fmt.Errorf("the API server ended the watch: run the command again")
			}
			if e.Type == watch.Error {
				return g.explain(apierrors.FromObject(e.Object))
			}
			o, ok := e.Object.(client.Object)
			if !ok || e.Type == watch.Bookmark || len(g.o.names) > 0 && !slices.Contains(g.o.names, o.GetName()) {
				continue
			}
			if g.o.output.format == asName {
				if err := printObjects(g.s.Out, asName, []client.Object{o}, true); err != nil {
					return err
				}
				continue
			}
			g.print([]client.Object{o}, false)
		}
	}
}

// shortDigest is the part of a plan's digest that people compare.
func shortDigest(d string) string {
	return shorten(strings.TrimPrefix(d, "sha256:"), 13)
}
