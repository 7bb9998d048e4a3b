// Package jsonnet renders Jsonnet files of a snapshot, as the jsonnet command
// of the same version evaluates them, into Kubernetes objects.
//
// A file is evaluated by itself. Its result is read as follows:
//
//   - a mapping with apiVersion or kind is a Kubernetes object; a v1 List, or
//     the List of a kind, stands for its items;
//   - any other mapping holds results under names of its own, and is read in
//     order of the names, by bytes; an array is read in its order. Both may be
//     nested in each other. So `{ web: { deployment: {…}, service: {…} } }` is
//     two objects, as users of Tanka know, and `[ {…}, {…} ]` as users of
//     Argo CD know;
//   - an Environment of Tanka (tanka.dev/v1alpha1) stands for its data; where it
//     says the objects belong is not looked at;
//   - null is nothing, so that `if enabled then {…}` works;
//   - anything else is an error.
//
// `import`, `importstr` and `importbin` read the traced tree and nothing else.
// A path is looked for next to the file that imports it, then in the library
// paths, the last one first as with -J, then in the folder that is rendered. A
// path that leads out of the tree is refused. So that vendored libraries of
// jsonnet-bundler are found, name its vendor folder as a library path.
//
// There are no native functions, no environment and no clock. What std.trace
// says is dropped. External variables and top-level arguments are in [Options];
// those that came from elsewhere ([Var.From]) may be secret, and no error
// quotes them.
//
// Files are hostile: their nesting is bounded before they are parsed (see
// scan.go), calls are bounded as in the command (500), the size of the output
// and how deep it is nested by [limit.Limits]. The library cannot be stopped:
// when the context ends, the wait for it does, and its goroutine goes on. The
// time and memory of an evaluation are not bounded here, and an endless
// recursion by tailstrict, which counts as one call, ends in an overflow of the
// stack that nothing can recover from: a bound that holds takes a process of
// its own.
//
// Nothing is kept beyond one render, and nothing is written.
package jsonnet

import (
	"context"
	"fmt"
	"io"
	"maps"
	"path"
	"regexp"
	"slices"

	library "github.com/google/go-jsonnet"
	"github.com/google/go-jsonnet/ast"

	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/render/limit"
	"abide.dev/abide/internal/render/manifest"
	"abide.dev/abide/internal/render/traced"
	"abide.dev/abide/internal/snapshot"
)

// maxCalls is how deep calls are nested, as in the command.
const maxCalls = 500

// Options are the parameters of a render, in the words of the command.
type Options struct {
	// ExtVars are what std.extVar gives.
	ExtVars map[string]Var `json:"extVars,omitempty"`
	// TLAs are the arguments of a file that is a function.
	TLAs map[string]Var `json:"tlas,omitempty"`
	// LibraryPaths are folders of the tree that imports are looked for in, the
	// last one first.
	LibraryPaths []string `json:"libraryPaths,omitempty"`
}

// Var is a value: a string, or Jsonnet code.
type Var struct {
	Value string `json:"value"`
	Code  bool   `json:"code,omitempty"`
	// From says where the value came from, if that is a ConfigMap or a Secret.
	// Such a value is not quoted in errors.
	From string `json:"from,omitempty"`
}

// IsFileName tells whether a file of that name is rendered. A .libsonnet is a
// library: it is imported only.
func IsFileName(name string) bool { return path.Ext(name) == ".jsonnet" }

// IsSettings tells whether o is an Environment of Tanka, which describes a folder
// of Jsonnet (spec.json) and is no object for a cluster.
func IsSettings(o manifest.Object) bool {
	return o.GetAPIVersion() == environmentVersion && o.GetKind() == environmentKind
}

// Renderer renders files of one folder. It is not safe for concurrent use, and
// of no use after an error.
type Renderer struct {
	vm       *library.VM
	imports  *importer
	opts     Options
	lim      limit.Limits
	problems error // of the options
}

// New returns a Renderer for files of tree that belong to the folder dir.
func New(tree *traced.Tree, dir string, opts *Options, lim limit.Limits) *Renderer {
	r := &Renderer{lim: lim}
	if opts != nil {
		r.opts = *opts
	}
	r.imports = newImporter(tree, dir, r.opts.LibraryPaths)
	r.vm = library.MakeVM()
	r.vm.MaxStack = maxCalls
	r.vm.SetTraceOut(io.Discard)
	r.vm.Importer(r.imports)
	r.problems = r.variables()
	return r
}

// identifier is what a parameter of a function can be called.
var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// variables gives the variables to the library, and checks the options.
func (r *Renderer) variables() error {
	for _, p := range r.opts.LibraryPaths {
		if _, err := snapshot.Clean(p); err != nil {
			e := fault.New(fault.EscapesRepository, "", 0, "spec.render.jsonnet.libraryPaths has %q, which leads out of the repository", clip(p))
			e.Err = err
			return e.WithHint("name a folder by its path from source.path, or with a slash from the root of the repository")
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.opts.ExtVars)) {
		v := r.opts.ExtVars[name]
		if !v.Code {
			r.vm.ExtVar(name, v.Value)
			continue
		}
		if err := r.code("extVars", name, v); err != nil {
			return err
		}
		r.vm.ExtCode(name, v.Value)
	}
	for _, name := range slices.Sorted(maps.Keys(r.opts.TLAs)) {
		v := r.opts.TLAs[name]
		if !identifier.MatchString(name) {
			return fault.New(fault.JsonnetFailed, "", 0, "spec.render.jsonnet.tlas has %q, and no parameter of a function can have that name", clip(name)).
				WithHint("use letters, digits and _")
		}
		if !v.Code {
			r.vm.TLAVar(name, v.Value)
			continue
		}
		if err := r.code("tlas", name, v); err != nil {
			return err
		}
		r.vm.TLACode(name, v.Value)
	}
	return nil
}

// code checks a variable that is code.
func (r *Renderer) code(field, name string, v Var) error {
	found := scan(v.Value)
	e := fault.New(fault.JsonnetFailed, "", 0, "spec.render.jsonnet.%s: %s is no Jsonnet code", field, clip(name)).
		WithHint("a string is written in quotes, or without code: true")
	if v.From != "" {
		e.Msg += " (its value is from " + v.From + ")"
	}
	if found.tooDeep() {
		e.Reason, e.Hint, e.Msg = fault.TooDeep, "", fmt.Sprintf("spec.render.jsonnet.%s: the code of %s is nested too deep", field, clip(name))
		return e
	}
	r.imports.fromCode(found)
	var err error
	func() {
		defer recovered(&err)
		_, err = library.SnippetToAST(name, v.Value)
	}()
	if err == nil {
		return nil
	}
	if v.From == "" {
		msg, loc := static(err)
		e.Msg += fmt.Sprintf(": line %d: %s", loc.Begin.Line, clip(msg))
	}
	return e
}

// File renders one file. Errors that the repository or the options caused are
// [*fault.Error].
func (r *Renderer) File(ctx context.Context, file string) ([]manifest.Object, error) {
	if r.problems != nil {
		return nil, r.problems
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	type result struct {
		text string
		err  error
	}
	done := make(chan result, 1)
	go func() {
		var out result
		out.text, out.err = r.evaluate(file)
		done <- out
	}()
	select {
	case out := <-done:
		if out.err != nil {
			return nil, r.explain(file, out.err)
		}
		objects, err := decode(file, out.text, r.lim)
		return objects, r.discreet(err)
	case <-ctx.Done():
		e := fault.New(fault.DeadlineExceeded, file, 0, "jsonnet was still evaluating it when its time was up").
			WithHint("a function that calls itself without end, or a list or an object in many others, takes for ever")
		e.Err = context.Cause(ctx)
		return nil, e
	}
}

// Imported tells whether one of the files rendered so far imports the file at p,
// as code or as data.
func (r *Renderer) Imported(p string) bool {
	_, ok := r.imports.contents[p]
	return ok
}

// evaluate gives what the command prints for file.
func (r *Renderer) evaluate(file string) (text string, err error) {
	defer recovered(&err)
	r.imports.begin(file)
	var node ast.Node
	if node, _, err = r.vm.ImportAST("", file); err != nil {
		return "", err
	}
	return r.vm.Evaluate(node)
}

// recovered makes a panic of the library an error.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fault.New(fault.RendererCrashed, "", 0, "jsonnet crashed: %s", clip(fmt.Sprint(p)))
	}
}
