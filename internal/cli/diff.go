package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/apply"
	"abide.dev/abide/internal/cluster"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/plan"
)

type diffOptions struct {
	target
	app         string
	local, path string
	hosts       []string // from which to fetch
	exitCode    bool
	output      formatFlag
	limit       time.Duration
	random      io.Reader
}

func newDiff(s Streams) *cobra.Command {
	o := diffOptions{random: rand.Reader}
	c := &cobra.Command{
		Use:   "diff APP | diff APP#N APP#M",
		Short: "Show what differs between Git and the cluster, or between two releases",
		Long: "Show what abide would change of an App: what Git says against what is live, object by\n" +
			"object and field by field. The API server says what an apply would come to (a dry run,\n" +
			"under your own rights), so that defaults and admission count. It changes nothing.\n\n" +
			"The repository is fetched by this command, with the credentials of the App's Repository\n" +
			"if you may read them. With --local, a working copy takes its place: what would change if\n" +
			"it were pushed. Values of Secrets are shown as hashes, which mean nothing beyond one run.\n\n" +
			"With two releases, what the second one rendered is shown against the first, from what abide\n" +
			"has kept of them.",
		Example:           "  abide diff web\n  abide diff web --local . --exit-code\n  abide diff web#3 web#7",
		Args:              oneAppOrTwoReleases,
		ValidArgsFunction: o.completeApps,
		RunE: func(c *cobra.Command, args []string) error {
			o.app = args[0]
			cn, err := o.connect(s.Err)
			if err != nil {
				return err
			}
			if len(args) == 2 {
				return diffReleases(c.Context(), s, cn, &o, args)
			}
			return runDiff(c.Context(), s, cn, o)
		},
	}
	o.clusterFlags(c)
	o.namespaceFlag(c)
	o.ownNamespaceFlag(c)
	o.output.add(c, asYAML, asJSON)
	f := c.Flags()
	f.StringSliceVar(&o.hosts, "allow-remote-bases", nil, remoteHostsUsage+", besides what Repositories allow")
	f.StringVar(&o.local, "local", "", "`directory`: the root of a working copy to compare instead of Git")
	f.StringVar(&o.path, "path", "", "`path` in the repository, instead of the App's own")
	f.BoolVar(&o.exitCode, "exit-code", false, "exit with 4 if anything differs")
	f.DurationVar(&o.limit, "timeout", 5*time.Minute, "`time` that it may take")
	_ = c.MarkFlagDirname("local") // the flag exists
	return c
}

// oneAppOrTwoReleases are the arguments of diff.
func oneAppOrTwoReleases(c *cobra.Command, args []string) error {
	if len(args) != 2 {
		return oneApp(c, args)
	}
	return nil
}

func diffReleases(ctx context.Context, s Streams, c *conn, o *diffOptions, args []string) error {
	from, err := parseRelease(args[0])
	if err != nil {
		return err
	}
	to, err := parseRelease(args[1])
	if err != nil {
		return err
	}
	if from.number == 0 || o.local != "" || o.path != "" {
		return &exitError{exitUsage, errors.New("with two releases, diff takes the number of the first, and neither --local nor --path")}
	}
	return compareReleases(ctx, s, c, o, from, to)
}

// difference is what would happen to one object.
type difference struct {
	Object string             `json:"object"`
	Action plan.Action        `json:"action"`
	Why    string             `json:"why,omitempty"`
	File   string             `json:"file,omitempty"`
	Line   int                `json:"line,omitempty"`
	Fields []plan.FieldChange `json:"fields,omitempty"`
	// Whole is the object that would be created, as people may see it.
	Whole map[string]any `json:"whole,omitempty"`
	// Error is why the API server refuses it.
	Error string `json:"error,omitempty"`

	key object.Key
}

// changes tells whether anything would be done to the cluster.
func (d *difference) changes() bool { return d.Action != plan.Keep && d.Action != plan.Forget }

// differences are those of an App.
type differences struct {
	App     string               `json:"app"`
	From    string               `json:"from"`
	Commit  string               `json:"commit,omitempty"`
	Waiting *v1alpha1.PlanStatus `json:"waiting,omitempty"`
	Objects []difference         `json:"objects"`
	// Unchanged is how many objects are as they should be.
	Unchanged int `json:"unchanged"`
}

func runDiff(ctx context.Context, s Streams, c *conn, o diffOptions) error {
	ctx, cancel := context.WithTimeoutCause(ctx, o.limit, errTimeLimit)
	defer cancel()
	app, err := c.app(ctx, o.app)
	if err != nil {
		return err
	}
	d, err := o.compare(ctx, s, c, app)
	if timeIsUp(ctx) {
		return &exitError{exitTimeout, fmt.Errorf("the diff of App %s was not done after %s", o.app, o.limit)}
	}
	if err != nil {
		return c.explain(err)
	}
	if o.output.format != asTable {
		err = printValue(s.Out, o.output.format, d)
	} else {
		printDifferences(s.Out, styleOf(s.Out), app, d)
	}
	if err != nil {
		return err
	}
	changed := 0
	for i := range d.Objects {
		if d.Objects[i].Error != "" {
			return &exitError{exitFailed, errors.New("the API server refuses some of the objects")}
		}
		if d.Objects[i].changes() {
			changed++
		}
	}
	if changed > 0 && o.exitCode {
		return &exitError{exitDifferences, nil}
	}
	return nil
}

func (o *diffOptions) compare(ctx context.Context, s Streams, c *conn, app *v1alpha1.App) (*differences, error) {
	path := o.path
	if path == "" {
		path = app.Spec.Source.Path
	}
	kube, err := cluster.New(c.config)
	if err != nil {
		return nil, err
	}
	if err := kube.Kinds.Refresh(ctx, time.Time{}); err != nil {
		return nil, err
	}
	hosts, err := hostNames(o.hosts)
	if err != nil {
		return nil, &exitError{exitUsage, err}
	}
	repositories, err := repositoriesOf(c, o.abideNamespace, hosts)
	if err != nil {
		return nil, err
	}
	var r rendered
	if do := rendering(kube, app, path, allowRepositories(repositories, app.Namespace), o.local != "" || local(c.config.Host)); o.local != "" {
		r, err = fromWorkingCopy(ctx, s, c, app, o, do)
	} else {
		r, err = fromGit(ctx, s, c, app, o.abideNamespace, do)
	}
	if err != nil {
		return nil, err
	}
	key := make([]byte, 32)
	if _, err := io.ReadFull(o.random, key); err != nil {
		return nil, fmt.Errorf("reading randomness: %w", err)
	}
	// As whoever the kubeconfig says: the user.
	user, err := kube.AsController()
	if err != nil {
		return nil, err
	}
	objects, err := prepare(ctx, kube.Kinds, app, r.objects)
	if err != nil {
		return nil, err
	}
	entries, err := inventoryOf(ctx, c, app)
	if err != nil {
		return nil, err
	}
	cmp := comparer{user: user, kinds: kube.Kinds, app: app, redactor: plan.NewRedactor(key)}
	d := &differences{App: app.Namespace + "/" + app.Name, From: r.from, Commit: r.commit}
	if o.local == "" {
		d.Waiting = app.Status.Plan
	}
	if d.Objects, err = cmp.all(ctx, objects, entries); err != nil {
		return nil, err
	}
	d.Unchanged = cmp.unchanged
	return d, nil
}

// inventoryOf reads what an App owns.
func inventoryOf(ctx context.Context, c client.Client, app *v1alpha1.App) ([]v1alpha1.InventoryEntry, error) {
	var l v1alpha1.InventoryList
	if err := c.List(ctx, &l, client.InNamespace(app.Namespace)); err != nil {
		return nil, err
	}
	var out []v1alpha1.InventoryEntry
	for i := range l.Items {
		if l.Items[i].App == app.Name {
			out = append(out, l.Items[i].Entries...)
		}
	}
	return out, nil
}

// atOnce is how many objects are compared at a time.
const atOnce = 8

// comparer compares objects with the cluster.
type comparer struct {
	user      *cluster.Client
	kinds     *cluster.Kinds
	app       *v1alpha1.App
	redactor  plan.Redactor
	unchanged int
}

func (c *comparer) all(ctx context.Context, objects []wanted, entries []v1alpha1.InventoryEntry) ([]difference, error) {
	desired := map[object.Key]bool{}
	for i := range objects {
		desired[objects[i].Key] = true
	}
	var leaving []v1alpha1.InventoryEntry
	for _, e := range entries {
		if !desired[object.EntryKey(&e)] && !slices.Contains(e.Flags, v1alpha1.FlagHook) {
			leaving = append(leaving, e)
		}
	}
	found := make([]*difference, len(objects)+len(leaving))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for i := range objects {
		g.Go(func() (err error) { found[i], err = c.one(ctx, &objects[i]); return err })
	}
	for i := range leaving {
		g.Go(func() (err error) { found[len(objects)+i], err = c.leaves(ctx, &leaving[i]); return err })
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	out := []difference{}
	for i, d := range found {
		if d != nil {
			out = append(out, *d)
		} else if i < len(objects) {
			c.unchanged++
		}
	}
	slices.SortStableFunc(out, func(a, b difference) int {
		sa, sb := object.StageOf(a.key.GroupKind()), object.StageOf(b.key.GroupKind())
		if gone := func(d difference) bool { return d.Action == plan.Delete }; gone(a) != gone(b) {
			if gone(a) {
				return 1
			}
			return -1
		}
		if sa != sb {
			return int(sa) - int(sb)
		}
		return a.key.Compare(b.key)
	})
	return out, nil
}

// one compares one object; nil if it is as it should be.
func (c *comparer) one(ctx context.Context, w *wanted) (*difference, error) {
	if w.Rules.Ignore || w.Rules.Hook != nil {
		return nil, nil
	}
	d := &difference{Object: w.Key.String(), File: w.Origin.File, Line: w.Origin.Line, key: w.Key}
	create := func(why string) *difference {
		d.Action, d.Why, d.Whole = plan.Create, why, c.redactor.Show(w.Unstructured).Object
		return d
	}
	if !w.served {
		return create("the API server does not have its kind yet, so this is not checked by it"), nil
	}
	live, err := c.user.Get(ctx, w.kind, w.GetNamespace(), w.GetName())
	missing := apierrors.IsNotFound(err)
	if err != nil && !missing {
		return refused(d, plan.Update, err)
	}
	if !missing && w.Rules.CreateOnly {
		return nil, nil
	}
	after, err := c.dryRun(ctx, w, live, missing)
	switch {
	case c.makesNamespace(err):
		return create("namespace " + w.GetNamespace() + " is created for it, so this is not checked by the API server"), nil
	case err != nil && missing:
		return refused(d, plan.Create, err)
	case err != nil:
		return refused(d, plan.Update, err)
	case missing:
		d.Action, d.Whole = plan.Create, c.redactor.Show(after).Object
		return d, nil
	}
	d.Action = plan.Update
	owner, owned := object.Owner(live)
	switch {
	case owned && owner != object.App{Namespace: c.app.Namespace, Name: c.app.Name}:
		d.Action, d.Why = plan.Take, "App "+owner.String()+" owns it, and has to let go of it first"
	case !owned && object.Tracker(live) != "":
		d.Action, d.Why = plan.Convert, object.Tracker(live)+": waits for an approval"
	case !owned:
		d.Action, d.Why = plan.Adopt, "it exists already, and nobody tracks it"
	}
	if d.Fields = plan.Diff(live, after, c.redactor); len(d.Fields) == 0 && d.Action == plan.Update {
		return nil, nil
	}
	return d, nil
}

// dryRun asks the API server what the object would be.
func (c *comparer) dryRun(ctx context.Context, w *wanted, live *unstructured.Unstructured, missing bool) (*unstructured.Unstructured, error) {
	if w.Rules.Replace && !missing {
		u := w.DeepCopy()
		u.SetResourceVersion(live.GetResourceVersion())
		return c.user.Replace(ctx, w.kind, u, true)
	}
	a, err := c.user.Apply(ctx, w.kind, w.Unstructured, cluster.DryRun)
	return a.Object, err
}

// makesNamespace tells whether all that is missing is the namespace that abide
// creates for the App.
func (c *comparer) makesNamespace(err error) bool {
	t := c.app.Spec.Target
	var status apierrors.APIStatus
	if t.Namespace == "" || t.CreateNamespace != nil && !*t.CreateNamespace || !apierrors.IsNotFound(err) || !errors.As(err, &status) {
		return false
	}
	d := status.Status().Details
	return d != nil && d.Kind == "namespaces" && d.Name == t.Namespace
}

// refused notes what the API server has against an object. Other errors end
// the diff.
func refused(d *difference, action plan.Action, err error) (*difference, error) {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return nil, err
	}
	d.Action = action
	d.Error = (&apply.ObjectError{Key: d.key, File: d.File, Line: d.Line, Err: err}).Error()
	if apierrors.IsForbidden(err) {
		d.Error = fmt.Sprintf("%s: you may not try it: %v", d.key, err)
	}
	return d, nil
}

// leaves says what happens to an object that is no longer desired; nil if it is
// gone already.
func (c *comparer) leaves(ctx context.Context, e *v1alpha1.InventoryEntry) (*difference, error) {
	k := object.EntryKey(e)
	d := &difference{Object: k.String(), key: k, Action: plan.Delete, Why: "it is no longer in Git"}
	kind, ok := c.kinds.Lookup(schema.GroupVersionKind{Group: e.Group, Version: e.Version, Kind: e.Kind})
	if !ok {
		kind, ok = c.kinds.AnyVersion(k.GroupKind())
	}
	if !ok {
		return nil, nil // with its kind, all its objects are gone
	}
	live, err := c.user.Get(ctx, kind, k.Namespace, k.Name)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return refused(d, plan.Delete, err)
	}
	self := object.App{Namespace: c.app.Namespace, Name: c.app.Name}
	owner, owned := object.Owner(live)
	prune := c.app.Spec.Sync.Prune
	switch {
	case slices.Contains(e.Flags, v1alpha1.FlagNoPrune):
		d.Action, d.Why = plan.Forget, "it is no longer in Git, and stays: its annotation says never to prune it"
	case owned && owner != self:
		d.Action, d.Why = plan.Forget, "App "+owner.String()+" owns it now"
	case prune != nil && !*prune:
		d.Action, d.Why = plan.Keep, "it is no longer in Git, and stays: spec.sync.prune is off"
	}
	return d, nil
}
