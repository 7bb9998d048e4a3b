// Package render turns a folder of a snapshot into Kubernetes objects.
//
// [Render] is a pure function of (tree, request): it reads nothing but the
// tree, not the network, the environment or the disk, runs no program, and
// gives the same result for the same input. All it takes and gives can be
// serialised, so that a worker process can serve it. Next to the objects it
// gives a [Trace] of all it read, listed and looked for in vain; while that is
// valid, rendering again would give an equal result.
//
// What a folder means is decided by its files:
//
//   - kustomization.yaml, kustomization.yml or Kustomization in it: it is built
//     as `kustomize build` would build it, byte for byte;
//   - Chart.yaml in it: it is rendered as `helm template` would render it, byte
//     for byte, with the [helm.Options] of the request. So is an archive of a
//     chart (*.tgz);
//   - *.jsonnet in it: each is evaluated as the jsonnet command would, in byte
//     order of the names; then the manifests beside them are read, without
//     those that the Jsonnet imports. Nothing below the folder is read but by
//     imports, since that is where libraries are. So is a path to such a file;
//   - otherwise every *.yaml, *.yml and *.json file below it is a manifest,
//     read in byte order of the paths. Hidden files and folders, and what
//     .abideignore names, are left out. A folder below that has a
//     kustomization or Jsonnet is a unit of its own: it is built by kustomize,
//     or read as said above, and its objects take the folder's place in the
//     order; a Component, which cannot be built by itself, is left out. A
//     chart below is refused, since nobody has said under which name to render
//     it. Links are followed inside the tree, submodules are not.
//
// What a renderer gives, a chart's hooks included, is then changed as the
// [overlay.Options] of the request say, and has its variables substituted as
// the [substitute.Options] say.
//
// YAML that is no Kubernetes object (neither apiVersion nor kind) is left out
// and reported in [Result.Ignored]. Everything doubtful is an error: text that
// does not parse, half an object, the same object twice, no object at all.
//
// A repository is hostile input. Every failure that it can cause is an
// [*Error]; none is a panic. [Limits] bound bytes, objects and depth. What a
// library call costs once it runs cannot be cut short from here: it is
// estimated before, and the context's deadline ends the wait for it.
//
// Nothing is persisted. [Cache] keeps results in memory.
package render

import (
	"cmp"
	"context"
	"errors"
	"path"
	"slices"

	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/render/helm"
	"abide.dev/abide/internal/render/jsonnet"
	"abide.dev/abide/internal/render/kustomize"
	"abide.dev/abide/internal/render/limit"
	"abide.dev/abide/internal/render/manifest"
	"abide.dev/abide/internal/render/overlay"
	"abide.dev/abide/internal/render/remote"
	"abide.dev/abide/internal/render/substitute"
	"abide.dev/abide/internal/render/traced"
	"abide.dev/abide/internal/snapshot"
)

// The names of the renderers.
const (
	Manifests = "manifests"
	Kustomize = "kustomize"
	Helm      = "helm"
	Jsonnet   = "jsonnet"
)

type (
	// Error says why a repository could not be rendered; see [fault.Error].
	Error = fault.Error
	// Limits bound one render; see [limit.Limits].
	Limits = limit.Limits
	// Object is a Kubernetes object and where it was written.
	Object = manifest.Object
	// Origin is a file and a line.
	Origin = manifest.Origin
	// Ignored is something that was found and left out, and why.
	Ignored = manifest.Ignored
	// Trace is what a render depends on; see [traced.Trace].
	Trace = traced.Trace
	// Access is one entry of a Trace.
	Access = traced.Access
	// Hook is an object of a chart that is not applied with the others.
	Hook = helm.Hook
	// Unstable is an object of a chart that each render gives differently.
	Unstable = helm.Unstable
	// Remote is what a kustomization names that is elsewhere. In the tree it is
	// a mount under its name (package snapshot/mount).
	Remote = remote.Spec
)

// Request is the parameters of a render. Equal requests on equal trees give
// equal results.
type Request struct {
	// Path is a folder or a file of the tree, as people write it.
	Path string `json:"path"`
	// Text asks for the exact text that [Result.YAML] returns to be kept.
	// Without it that text is made from the objects, which costs no memory and
	// may spell a number of a kustomize build differently (1 for 1.0).
	Text bool `json:"text,omitempty"`
	// Helm is how a chart is rendered. Where there is none, it does not matter.
	Helm *helm.Options `json:"helm,omitempty"`
	// Jsonnet is how Jsonnet is evaluated. Where there is none, it does not
	// matter.
	Jsonnet *jsonnet.Options `json:"jsonnet,omitempty"`
	// Overlay changes what the renderer gives, whichever it is.
	Overlay *overlay.Options `json:"overlay,omitempty"`
	// Substitute, if set, puts values in the place of ${NAME} in what came out
	// of that.
	Substitute *substitute.Options `json:"substitute,omitempty"`
	// Limits are the defaults where zero.
	Limits Limits `json:"limits,omitzero"`
}

// Result is what a render gives. It is shared by all who ask a [Cache] and
// must not be changed, the objects included.
type Result struct {
	// Renderer is Manifests, Kustomize, Helm or Jsonnet.
	Renderer string `json:"renderer"`
	// Why says in a sentence how the renderer was chosen.
	Why string `json:"why"`
	// Objects are in the order they were written, or in the order that
	// kustomize or Helm gives them.
	Objects []Object `json:"objects"`
	// Trace is set also when the render failed.
	Trace Trace `json:"trace"`
	// Hooks are those of a chart, its tests among them, in Helm's order. They
	// are no objects to apply.
	Hooks []Hook `json:"hooks,omitempty"`
	// Unstable are the objects for which a chart was refused
	// ([fault.UnstableRender]); of a chart that was not, hooks only.
	Unstable []Unstable `json:"unstable,omitempty"`
	// Ignored is in order of path, then line.
	Ignored []Ignored `json:"ignored,omitempty"`
	// Warnings are what kustomize warns of (deprecated fields), and what is odd
	// about a chart, once each; and what an overlay left as it is.
	Warnings []string `json:"warnings,omitempty"`
	// Remotes are what kustomizations name that is elsewhere, in order of their
	// names, each once. What of it is not in the tree is named in
	// [Error.Remotes] instead.
	Remotes []Remote `json:"remotes,omitempty"`
	// Text is the exact text, if the request asked for it and nothing changed
	// what the renderer gave.
	Text []byte `json:"text,omitempty"`

	// manifests are what the files of a small render gave, by the path that
	// people see, for the next one of the same request.
	manifests map[string]*decoded
	// decoded is how many bytes the objects take, by estimate, where that is known
	// from when the manifests were read.
	decoded int64
}

// Files returns the paths of the files that were read, links included, in
// byte order.
func (r *Result) Files() []string {
	var out []string
	for _, a := range r.Trace {
		if a.Op == traced.Read {
			out = append(out, a.Path)
		}
	}
	return out
}

// Render renders req.Path of tree. An error that the repository caused is an
// [*Error]; any other is a failure of the tree or the end of ctx. The result
// is not nil even then: its Trace says what the failure depends on.
func Render(ctx context.Context, tree snapshot.Tree, req Request) (*Result, error) {
	return newRenderer(tree, req).run(ctx)
}

func newRenderer(tree snapshot.Tree, req Request) *renderer {
	req.Limits = req.Limits.OrDefault()
	return &renderer{
		tree: traced.New(tree, req.Limits.FileBytes, req.Limits.TotalBytes), req: req,
		res: &Result{},
	}
}

func (r *renderer) run(ctx context.Context) (*Result, error) {
	err := r.render(ctx)
	r.res.Trace = r.tree.Trace()
	if err != nil {
		return &Result{Renderer: r.res.Renderer, Why: r.res.Why, Trace: r.res.Trace, Ignored: r.res.Ignored, Unstable: r.res.Unstable}, err
	}
	return r.res, nil
}

// renderer is one run of Render.
type renderer struct {
	tree   *traced.Tree
	req    Request
	res    *Result
	before map[string]*decoded // of the render before
	// small: the render takes no library but the decoder, and little of that.
	small bool
	fresh int64 // bytes that were decoded
	most  int64 // of them, if small
	seen  int   // files and folders so far
}

func (r *renderer) render(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if r.small && r.req.modifies() {
		return errNotSmall
	}
	dir, kind, err := r.root()
	if err != nil {
		return err
	}
	if kind != snapshot.Dir {
		switch name := path.Base(dir); {
		case kustomize.IsKustomizationName(name), name == helm.ChartFile:
			dir = path.Dir(dir)
		case path.Ext(name) == ".tgz":
			return r.chart(ctx, dir, "it is an archive of a chart")
		default:
			if err := r.singleFile(ctx, dir); err != nil {
				return err
			}
			return r.finish(ctx)
		}
	}
	name, err := r.marker(dir)
	switch {
	case err != nil:
		return err
	case name == helm.ChartFile:
		return r.chart(ctx, dir, "there is a "+name+" in it")
	case name != "":
		r.res.Renderer, r.res.Why = Kustomize, "there is a "+name+" in it"
		err = r.kustomize(ctx, dir)
	default:
		r.res.Renderer, r.res.Why = Manifests, "it has no kustomization, no Chart.yaml and no Jsonnet"
		err = r.folder(ctx, dir)
	}
	if err != nil {
		return err
	}
	return r.finish(ctx)
}

// chart renders a Helm chart.
func (r *renderer) chart(ctx context.Context, dir, why string) error {
	if r.small {
		return errNotSmall
	}
	r.res.Renderer, r.res.Why = Helm, why
	var options helm.Options
	if r.req.Helm != nil {
		options = *r.req.Helm
	}
	out, err := helm.Render(ctx, r.tree, dir, options, r.req.Limits, r.req.Text)
	if out != nil {
		r.res.Hooks, r.res.Unstable, r.res.Text = out.Hooks, out.Unstable, out.Text
		r.res.Warnings, r.res.Ignored = out.Warnings, append(r.res.Ignored, out.Ignored...)
	}
	if err != nil {
		return err
	}
	if err := r.add(dir, out.Objects); err != nil {
		return err
	}
	return r.finish(ctx)
}

// singleFile renders a path that names a file.
func (r *renderer) singleFile(ctx context.Context, file string) error {
	if jsonnet.IsFileName(file) {
		return r.jsonnetAlone(ctx, file)
	}
	r.res.Renderer, r.res.Why = Manifests, "it is a file"
	if !manifest.IsManifestName(file) {
		return fault.New(fault.InvalidPath, r.req.Path, 0, "is a file, and its name does not end in .yaml, .yml, .json or .jsonnet").
			WithHint("name a folder, a manifest or a Jsonnet file")
	}
	return r.file(file, file, nil)
}

// finish changes what the renderer gave as the request asks, and checks what
// holds for all objects together, before and after.
func (r *renderer) finish(ctx context.Context) error {
	slices.SortStableFunc(r.res.Ignored, func(a, b Ignored) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line))
	})
	if err := r.together(); err != nil || !r.req.modifies() {
		return err
	}
	if err := r.modify(ctx); err != nil {
		return err
	}
	if len(r.res.Objects) == 0 {
		return fault.New(fault.NoObjects, r.req.Path, 0, "the patches of spec.render delete every object in it").WithHint("delete fewer, or the App")
	}
	return r.duplicates()
}

func (r *renderer) together() error {
	if len(r.res.Objects) == 0 {
		return r.noObjects()
	}
	return r.duplicates()
}

func (r *renderer) noObjects() error {
	e := fault.New(fault.NoObjects, r.req.Path, 0, "there is no Kubernetes object in it")
	switch {
	case r.res.Renderer == Kustomize:
		e.Hint = "list some resources in its kustomization"
	case r.res.Renderer == Helm:
		e.Hint = "with these values the chart gives nothing to apply"
		if n := len(r.res.Hooks); n > 0 {
			e.WithHint("with these values the chart gives nothing but %d hooks or tests", n)
		}
	case r.res.Renderer == Jsonnet && len(r.res.Ignored) == 0:
		e.Hint = "its Jsonnet evaluates to null, or to something empty"
	case len(r.res.Ignored) > 0:
		first := r.res.Ignored[0]
		e.WithHint("%d were left out, the first of them %s (%s)", len(r.res.Ignored), first.Path, first.Reason)
	default:
		e.Hint = "manifests are files that end in .yaml, .yml or .json"
	}
	return e
}

// objectKey is what makes two objects the same one in a cluster.
type objectKey struct{ group, kind, namespace, name string }

func (r *renderer) duplicates() error {
	seen := make(map[objectKey]int, len(r.res.Objects))
	for i, o := range r.res.Objects {
		gk := o.GroupVersionKind().GroupKind()
		k := objectKey{gk.Group, gk.Kind, o.GetNamespace(), o.GetName()}
		first, twice := seen[k]
		if !twice {
			seen[k] = i
			continue
		}
		at := r.res.Objects[first].Origin
		name := k.name
		if k.namespace != "" {
			name = k.namespace + "/" + k.name
		}
		return fault.New(fault.DuplicateObject, o.Origin.File, o.Origin.Line, "%s %s is also in %s", k.kind, name, place(at)).
			WithHint("keep one of the two, or name a file in .abideignore")
	}
	return nil
}

// add takes the objects of one unit and keeps to the limit.
func (r *renderer) add(file string, objects []Object) error {
	r.res.Objects = append(r.res.Objects, objects...)
	if len(r.res.Objects) > r.req.Limits.Objects {
		return fault.New(fault.TooManyObjects, file, 0, "with it there are more than %d objects", r.req.Limits.Objects).
			WithHint("split the folder into several Apps")
	}
	return nil
}

// kustomize builds dir and adds its objects.
func (r *renderer) kustomize(ctx context.Context, dir string) error {
	if r.small {
		return errNotSmall
	}
	out, err := kustomize.Build(ctx, r.tree, dir, r.req.Limits, r.req.Text)
	if err != nil {
		return err
	}
	for _, w := range out.Warnings {
		if !slices.Contains(r.res.Warnings, w) {
			r.res.Warnings = append(r.res.Warnings, w)
		}
	}
	r.res.Remotes = append(r.res.Remotes, out.Remotes...)
	slices.SortFunc(r.res.Remotes, func(a, b Remote) int { return cmp.Compare(a.Name(), b.Name()) })
	r.res.Remotes = slices.Compact(r.res.Remotes)
	if r.res.Renderer == Kustomize {
		r.res.Text = out.Text
	}
	return r.add(dir, out.Objects)
}

// isFault tells whether err is the repository's fault.
func isFault(err error) bool {
	var e *Error
	return errors.As(err, &e)
}
