package pipeline

import (
	"context"
	"errors"
	"path"
	"slices"
	"weak"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/apply"
	"abide.dev/abide/internal/claims"
	"abide.dev/abide/internal/cluster"
	"abide.dev/abide/internal/desired"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/plan"
	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/snapshot"
)

// desiredState is what an App should be, without the objects themselves: they are
// rendered again when they are needed.
type desiredState struct {
	at         At // that it was last found to hold for
	generation int64
	renderer   string
	hash       string
	list       []plan.Desired                   // in the order of their keys
	keys       []object.Key                     // the same keys, for claims
	kinds      []cluster.Kind                   // each once
	index      map[object.Key]int               // in list, or behind all of it in hooks
	unknown    []schema.GroupVersionKind        // kinds that the API server does not have
	defines    map[schema.GroupVersionKind]bool // kinds that the App itself defines
	trace      render.Trace
	scopes     desired.Scopes
	// request is what was rendered; around is the hash of what it took from
	// outside of Git, empty if that was nothing.
	request render.Request
	around  string
	// partial names what a chart was told too little of.
	partial string
	remotes []render.Remote
	// hooks are what runs once, in the order in which it runs.
	hooks []hook
	// kept names the manifests that it was read from, where it is that of a
	// release; nil where it was rendered.
	kept []string
	// of finds in list what a rendered object came to, without keeping the
	// object: one that the next render gives again need not be looked at.
	of map[weak.Pointer[unstructured.Unstructured]]int
}

// item returns what is known of an object or a hook; nil if it is none.
func (d *desiredState) item(k object.Key) *plan.Desired {
	i, ok := d.index[k]
	switch {
	case !ok:
		return nil
	case i < len(d.list):
		return &d.list[i]
	}
	return &d.hooks[i-len(d.list)].Desired
}

// kind returns the kind of an object or a hook, as it is written.
func (d *desiredState) kind(k object.Key) schema.GroupVersionKind {
	if it := d.item(k); it != nil {
		return it.GroupVersionKind()
	}
	return schema.GroupVersionKind{}
}

// number numbers objects and hooks.
func (d *desiredState) number() {
	d.index = make(map[object.Key]int, len(d.list)+len(d.hooks))
	for i := range d.list {
		d.index[d.list[i].Key] = i
	}
	for i := range d.hooks {
		d.index[d.hooks[i].Key] = len(d.list) + i
	}
}

// before returns what the last render came to, if it holds for the App as it is.
func (r *run) before() *desiredState {
	if d := r.mem.desired; d != nil && d.generation == r.app.Generation {
		return d
	}
	return &desiredState{}
}

// known returns what a rendered object came to before.
func (d *desiredState) known(u *unstructured.Unstructured, scopes desired.Scopes) (plan.Desired, bool) {
	i, ok := d.of[weak.Make(u)]
	if !ok {
		return plan.Desired{}, false
	}
	gk := d.list[i].Key.GroupKind()
	then, knewThen := d.scopes[gk]
	now, knowNow := scopes[gk]
	return d.list[i], then == now && knewThen == knowNow
}

// fetch learns where the ref stands.
func (r *run) fetch(ctx context.Context) bool {
	if r.deleting {
		return true
	}
	r.out.Head = r.Source.Head(r.id)
	head := &r.out.Head
	if head.Commit == "" && r.pinnedAt() != nil {
		return true // what it is held at needs no Git
	}
	if head.Commit == "" {
		if head.Err != nil {
			r.Claims.Judge(r.id, claims.Judgement{Failed: true, Paused: r.in.Pause != nil})
			if !r.watch(ctx) {
				return false
			}
			// Git is looked at again by the source, which then wakes the App.
			r.out.Err = head.Err
			return r.stop(v1alpha1.StateFailed, ReasonOf(head.Err, ReasonSourceFailed), "%s", head.Err)
		}
		return r.pass(ReasonFetching, "fetching %s", origin(r.app))
	}
	return true
}

// render learns what the App should be. What Git says of an App that is held at a
// release matters only where it can be told.
func (r *run) render(ctx context.Context) bool {
	switch {
	case r.deleting:
		return r.deletes(ctx)
	case r.pinnedAt() == nil:
		return r.fromGit(ctx)
	case r.out.Head.Commit == "":
		return true
	case r.fromGit(ctx):
		return true
	case r.out.Passing:
		return false
	}
	r.desired, r.out.Err, r.out.Trouble = nil, nil, nil
	return true
}

// fromGit learns what Git says of the App, from memory if the commit changed
// nothing that the last render had looked at.
func (r *run) fromGit(ctx context.Context) bool {
	at := r.out.Head.At
	known, err := r.holds(ctx, r.mem.desired)
	if err != nil {
		return r.renderFailed(ctx, err)
	}
	if known && r.mem.desired.at == at {
		return r.want(r.mem.desired)
	}
	tree, err := r.Source.Tree(ctx, r.id, at)
	if err != nil {
		return r.unreadable(err)
	}
	if d := r.mem.desired; known {
		valid, err := d.trace.Valid(tree)
		if err != nil {
			return r.unreadable(err)
		}
		if valid {
			d.at = at
			return r.want(d)
		}
	}
	asking, done := r.interruptible(ctx, func(ctx context.Context) bool { return r.outdated(ctx, at, tree) })
	d, err := r.desire(asking, tree)
	if done() && err != nil {
		return r.interrupted()
	}
	if coming := r.need(ctx, &err); coming {
		return r.pass(ReasonFetching, "fetching what its kustomizations name")
	}
	if err != nil {
		return r.renderFailed(ctx, err)
	}
	if r.mem.desired == nil || r.mem.desired.hash != d.hash {
		r.mem.approved = approval{} // a new desired state starts afresh
		r.mem.tries, r.triesBefore = tries{}, tries{}
	}
	r.mem.desired = d
	r.Index.Put(r.id, d.trace)
	clear(r.mem.left)
	return r.want(d)
}

// need has followed what a render did not find, and tells whether that is on its
// way; else it says in err why it does not come.
func (r *run) need(ctx context.Context, err *error) (coming bool) {
	var e *render.Error
	if !errors.As(*err, &e) || len(e.Remotes) == 0 {
		return false
	}
	var denied interface{ Denied() bool }
	why := r.Remotes.Need(ctx, r.app, e.Remotes)
	if why == nil {
		return true
	}
	// Where nothing but a rule refuses it, the render says it better: it knows
	// the file, and its hint helps.
	if ruled := errors.As(why, &denied) && denied.Denied(); !ruled || len(e.Remotes) > 1 {
		*err = why
	}
	return false
}

// holds tells whether what was rendered before is what the App would be now if
// its files were the same.
func (r *run) holds(ctx context.Context, d *desiredState) (bool, error) {
	if d == nil || d.generation != r.app.Generation || len(d.unknown) > 0 {
		return false, nil
	}
	if d.around == "" {
		return true, nil
	}
	if d.partial != "" {
		if err := r.Cluster.Kinds.Refresh(ctx, r.Now().Add(-kindsPartial)); err != nil {
			return false, err
		}
	}
	a, err := r.around()
	return err == nil && d.around == a.Hash(), err
}

// around is what a chart depends on besides the App and its files.
func (r *run) around() (desired.Around, error) {
	if r.in.ValuesErr != nil {
		return desired.Around{}, r.in.ValuesErr
	}
	caps, err := r.Cluster.Kinds.Capabilities()
	return desired.Around{Capabilities: caps, Values: r.in.Values, Variables: r.in.Variables}, err
}

func (r *run) want(d *desiredState) bool {
	r.used(d)
	r.desired = d
	r.out.Desired = d.hash
	if !r.vanished() { // else what runs was not made by it, until the run is through
		r.out.Renderer = d.renderer
	}
	return true
}

// used has nothing followed but what a render has used. What it has not, is no
// part of the state any more, nor is what is wrong with it.
func (r *run) used(d *desiredState) {
	dropped := r.Remotes.Used(r.id, d.remotes)
	if len(dropped) == 0 {
		return
	}
	now := r.Source.Head(r.id)
	if now.At != r.out.Head.At.without(dropped) {
		return // it has moved as well, which wakes the App
	}
	r.out.Head, d.at = now, now.At
	r.Claims.Target(r.id, Standing(r.Source, r.id))
}

// vanished tells whether the folder has lost what made it more than a folder of
// files, such as its kustomization: as plain files it is other objects, for which
// those there are would go.
func (r *run) vanished() bool {
	s := &r.app.Status
	return s.ObservedGeneration == r.app.Generation && s.Source.Renderer != "" &&
		s.Source.Renderer != render.Manifests && r.desired.renderer == render.Manifests
}

// ended are the reasons of renders that had to be ended: how far they get hangs on
// the machine as well.
var ended = []string{fault.DeadlineExceeded, fault.RenderOutOfMemory, fault.RendererCrashed}

// renderFailed ends a run whose commit can't be rendered. What runs stays.
func (r *run) renderFailed(ctx context.Context, err error) bool {
	if later(err) {
		if !r.watch(ctx) {
			return false
		}
		r.again(r.backoff())
		return r.pass(ReasonOf(err, ReasonRenderFailed), "%s", err)
	}
	r.Claims.Judge(r.id, claims.Judgement{Commit: r.out.Head.At.String(), Failed: true, Paused: r.in.Pause != nil})
	r.out.Reported = r.out.Head.Commit
	if !r.watch(ctx) {
		return false
	}
	var re *render.Error
	var oe *apply.ObjectError
	var comes interface{ Awaited() bool }
	if !errors.As(err, &re) && !errors.As(err, &oe) && !(errors.As(err, &comes) && comes.Awaited()) {
		return r.fail(ReasonRenderFailed, err)
	}
	// The fault is in the repository, or in what is watched: the App is woken. But
	// a render that had to be ended may get through another time.
	r.out.Err = err
	if re != nil && slices.Contains(ended, re.Reason) {
		r.out.Again = r.backoff()
	}
	return r.stop(v1alpha1.StateFailed, ReasonOf(err, ReasonInvalidObject), "%s", err)
}

// watch makes sure that the records of what the App owns are there, for a run
// that gets no further: it still has to say how that is doing.
func (r *run) watch(ctx context.Context) bool {
	r.desired = &desiredState{}
	return r.observe(ctx)
}

// judge tells the other Apps what this one wants.
func (r *run) judge(context.Context) bool {
	if r.deleting {
		r.Claims.Judge(r.id, claims.Judgement{})
		return true
	}
	r.mem.now = r.desired
	r.Claims.Judge(r.id, claims.Judgement{Commit: r.desired.at.String(), Wants: r.desired.keys, Paused: r.in.Pause != nil})
	r.out.Reported = r.desired.at.Commit
	return true
}

// rendered renders a tree, or takes what is cached of it.
func (r *run) rendered(ctx context.Context, tree snapshot.Tree, req render.Request) (*render.Result, error) {
	scope := origin(r.app)
	if r.ownRender() {
		scope += "\x00" + r.app.Namespace // what its namespace alone may see stays there
	}
	res, _, err := r.Renders.Get(ctx, scope, tree, req)
	return res, err
}

// origin is the repository of an App, or its chart if it has no other.
func origin(app *v1alpha1.App) string {
	if s := &app.Spec.Source; s.Repo == "" && s.Chart != nil {
		return s.Chart.Repo + " " + s.Chart.Name
	}
	return app.Spec.Source.Repo
}

// ownRender tells that a render shows more than the App's repository: what the
// App itself says, its ConfigMaps and Secrets, or what it is made of besides.
// Such a render shares neither results nor a process with other namespaces.
func (r *run) ownRender() bool {
	return r.app.Spec.Render != nil || r.app.Spec.Source.Chart != nil || r.out.Head.Beside != ""
}

// desire renders the App and reduces the objects to what a plan needs.
func (r *run) desire(ctx context.Context, tree snapshot.Tree) (*desiredState, error) {
	var a desired.Around
	req, outside, err := desired.Request(r.app, tree, r.app.Spec.Source.Path, func() (around desired.Around, err error) {
		a, err = r.around()
		return a, err
	})
	if err != nil {
		return nil, err
	}
	res, err := r.rendered(ctx, tree, req)
	if err != nil {
		return nil, err
	}
	objects := everything(res)
	scopes, unknown, err := r.scopes(ctx, objects)
	if err != nil {
		return nil, err
	}
	d := &desiredState{
		request: req, remotes: res.Remotes,
		at: r.out.Head.At, generation: r.app.Generation,
		renderer: res.Renderer, trace: res.Trace, unknown: unknown, scopes: scopes,
	}
	if outside { // as it was asked for: the kinds may have changed since
		d.around = a.Hash()
	}
	if req.Helm != nil {
		d.partial = a.Capabilities.Partial
	}
	if r.rendering, err = r.reduce(d, objects, unsteady(res)); err != nil {
		return nil, err
	}
	return d, nil
}

// everything is what a render gives, hooks of a chart included.
func everything(res *render.Result) []render.Object {
	if len(res.Hooks) == 0 {
		return res.Objects
	}
	all := slices.Clone(res.Objects)
	for i := range res.Hooks {
		// One of an event that Helm does not know never runs.
		if rules, err := object.RulesOf(res.Hooks[i].Object.Unstructured); err != nil || rules.Hook != nil {
			all = append(all, res.Hooks[i].Object)
		}
	}
	return all
}

// unsteady are the hooks that each render gives differently: what they are says
// nothing of what the App should be.
func unsteady(res *render.Result) map[string]bool {
	out := map[string]bool{}
	for _, u := range res.Unstable {
		if u.Hook {
			out[u.Object] = true
		}
	}
	return out
}

// hookName is what a render calls a hook.
func hookName(u *unstructured.Unstructured) string {
	name := path.Join(u.GetNamespace(), u.GetName())
	if name == "" {
		name = u.GetGenerateName() + "*"
	}
	return u.GetKind() + " " + name
}

// reduce fills in what a plan needs of the rendered objects, hashes them, and
// returns which of them each is.
func (r *run) reduce(d *desiredState, objects []render.Object, unsteady map[string]bool) (*rendition, error) {
	before := r.before()
	d.list = make([]plan.Desired, 0, len(objects))
	d.defines = map[schema.GroupVersionKind]bool{}
	kinds := map[schema.GroupVersionKind]bool{}
	at := make(map[object.Key]int, len(objects))
	for i := range objects {
		o := &objects[i]
		one, known := before.known(o.Unstructured, d.scopes)
		if !known {
			var err error
			if one, err = r.assess(o, d.scopes); err != nil {
				return nil, err
			}
		}
		if _, twice := at[one.Key]; twice {
			return nil, desired.Twice(one.Key, o)
		}
		at[one.Key] = i
		switch {
		case one.Rules.Hook == nil:
			d.list = append(d.list, one)
		case !r.concerns(one.Rules.Hook):
			continue
		default:
			if unsteady[hookName(o.Unstructured)] {
				one.Hash = ""
			}
			d.hooks = append(d.hooks, hook{Desired: one})
		}
		if one.Key.GroupKind() == cluster.CustomResourceDefinitions.GroupKind() {
			for _, v := range desired.Serves(o.Unstructured) {
				d.defines[v] = true
			}
		}
		gvk := one.GroupVersionKind()
		if _, seen := kinds[gvk]; !seen {
			kind, ok := r.Cluster.Kinds.Lookup(gvk)
			if kinds[gvk] = ok; ok {
				d.kinds = append(d.kinds, kind)
			}
		}
	}
	slices.SortFunc(d.list, func(a, b plan.Desired) int { return a.Key.Compare(b.Key) })
	arrange(d.hooks)
	d.keys = make([]object.Key, len(d.list))
	d.of = make(map[weak.Pointer[unstructured.Unstructured]]int, len(d.list))
	for i := range d.list {
		d.keys[i] = d.list[i].Key
		d.of[weak.Make(objects[at[d.keys[i]]].Unstructured)] = i
	}
	d.number()
	d.hash = object.SetHash(len(d.list)+len(d.hooks), func(i int) (object.Key, string) {
		if i < len(d.list) {
			return d.list[i].Key, d.list[i].Hash
		}
		h := &d.hooks[i-len(d.list)]
		return h.Key, h.Hash
	})
	return &rendition{of: d, objects: objects, scopes: d.scopes, at: at}, nil
}

// assess tells what a plan needs to know of a rendered object.
func (r *run) assess(o *render.Object, scopes desired.Scopes) (plan.Desired, error) {
	p, err := desired.Prepare(r.app, o, scopes)
	if err != nil {
		return plan.Desired{}, err
	}
	hash, err := object.Hash(p.Unstructured)
	return plan.Desired{Key: p.Key, Version: o.GroupVersionKind().Version, Hash: hash, Rules: p.Rules}, err
}

// scopes tells which kinds are namespaced, and names those that the API server
// does not have.
func (r *run) scopes(ctx context.Context, objects []render.Object) (desired.Scopes, []schema.GroupVersionKind, error) {
	return desired.ScopesOf(ctx, r.Cluster.Kinds, r.Now().Add(-kindsFresh), objects)
}

// objects returns the objects of some keys, ready to be applied.
func (r *run) objects(ctx context.Context, keys map[object.Key]bool) (map[object.Key]*desired.Object, error) {
	out, err := r.prepared(ctx, keys)
	if err != nil {
		return nil, err
	}
	for _, o := range out {
		object.Mark(o.Unstructured, r.id)
	}
	return out, nil
}

// prepared returns the objects of some keys as they are applied, all but the marks.
func (r *run) prepared(ctx context.Context, keys map[object.Key]bool) (map[object.Key]*desired.Object, error) {
	all, err := r.rendition(ctx)
	if err != nil {
		return nil, err
	}
	out := make(map[object.Key]*desired.Object, len(keys))
	for k := range keys {
		i, ok := all.at[k]
		if !ok {
			continue
		}
		o, err := desired.Prepare(r.app, &all.objects[i], all.scopes)
		if err != nil {
			return nil, err
		}
		out[k] = &o
	}
	return out, nil
}

// rendition is what a desired state was made from. It is held while a run lasts,
// and no longer: between runs the cache of renders decides what stays in memory.
type rendition struct {
	of      *desiredState
	objects []render.Object
	scopes  desired.Scopes
	at      map[object.Key]int // where each object is
}

// rendition returns what this run has rendered, or renders the App again, or reads
// what is kept of a release, once in a run: what is applied and what is kept of it
// are the same.
func (r *run) rendition(ctx context.Context) (*rendition, error) {
	if r.rendering != nil && r.rendering.of == r.desired {
		return r.rendering, nil
	}
	objects, err := r.renderAgain(ctx)
	if err != nil {
		return nil, err
	}
	scopes, _, err := r.scopes(ctx, objects)
	if err != nil {
		return nil, err
	}
	all := &rendition{of: r.desired, objects: objects, scopes: scopes, at: make(map[object.Key]int, len(objects))}
	for i := range objects {
		all.at[desired.Key(r.app, &objects[i], scopes)] = i
	}
	r.rendering = all
	return all, nil
}

// renderAgain returns the objects that the desired state was made from.
func (r *run) renderAgain(ctx context.Context) ([]render.Object, error) {
	if r.desired.kept != nil {
		return r.keptObjects(ctx, r.desired.kept)
	}
	tree, err := r.Source.Tree(ctx, r.id, r.desired.at)
	if err != nil {
		return nil, err
	}
	res, err := r.rendered(ctx, tree, r.desired.request)
	if err != nil {
		return nil, err
	}
	return everything(res), nil
}
