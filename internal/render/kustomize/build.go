// Package kustomize builds a kustomization of a snapshot, byte for byte as the
// kustomize command of the same version builds it on a clean checkout.
//
// The library behind it runs git and HTTP for whatever looks like a URL, even
// over a file system in memory. So before it runs, every kustomization it can
// reach is read the way it reads them, and every field that takes a path is
// checked; then the library sees only the files found in that way. Plugins that
// are not built in are refused.
//
// Charts in helmCharts are rendered by package helm before, with the meaning
// that the library's generator of charts gives the fields, and the library finds
// the result where it would run that generator: it sees another kustomization
// than is written (see rewrite.go). What is elsewhere (remote bases, charts that
// are not vendored) is taken from mounts of the tree, under the names that package
// remote gives them; what is not there is named in [fault.Error.Remotes]. The
// library is shown paths where URLs were.
//
// The library also keeps global state (see state.go), can panic, which becomes
// an error here, and cannot be stopped: when the context ends, Build returns
// and the library's goroutine goes on until it is done. What a build may cost
// is therefore estimated before it starts (see cost.go); a bound on memory and
// time that holds for certain takes a process of its own.
//
// Nothing is written, and nothing is kept but the library's own state.
package kustomize

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/provenance"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/yaml"

	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/render/helm"
	"abide.dev/abide/internal/render/limit"
	"abide.dev/abide/internal/render/logguard"
	"abide.dev/abide/internal/render/manifest"
	"abide.dev/abide/internal/render/remote"
	"abide.dev/abide/internal/render/traced"
)

// maxCopied bounds what the "copy" operations of one JSON patch may add, in
// bytes. A patch that copies a value into itself doubles it each time.
const maxCopied = 4 << 20

func init() {
	// The library's only way to bound it is this variable. It concerns JSON
	// patches applied in this process, all of which come from repositories.
	jsonpatch.AccumulatedCopySizeLimit = maxCopied
}

// Output is what a build gives.
type Output struct {
	Objects  []manifest.Object
	Text     []byte // what `kustomize build` prints, if asked for
	Warnings []string
	// Remotes are what it names that is elsewhere, in order of their names.
	Remotes []remote.Spec
}

// FileNames returns the names that make a folder a kustomization.
func FileNames() []string { return konfig.RecognizedKustomizationFileNames() }

// IsKustomizationName tells whether a file of that name makes its folder a
// kustomization.
func IsKustomizationName(name string) bool {
	for _, n := range FileNames() {
		if n == name {
			return true
		}
	}
	return false
}

// Build builds the kustomization in dir, which is a resolved path of tree.
// Errors that the repository caused are [*fault.Error]. text asks for
// [Output.Text].
func Build(ctx context.Context, tree *traced.Tree, dir string, lim limit.Limits, text bool) (*Output, error) {
	logguard.Install()
	c := newChecker(tree, lim, func(dir string, o helm.Options) (*helm.Output, error) {
		return helm.Render(ctx, tree, dir, o, lim, true)
	})
	var plan *node
	var err error
	// The library decodes plugins here, and that looks at its global state.
	check := func() {
		defer recovered(&err)
		plan, err = c.check(dir)
	}
	if held := ordinary(ctx, check); held != nil {
		return nil, held
	}
	if err != nil {
		var e *fault.Error
		if errors.As(err, &e) && e.File == "" {
			e.File = dir
		}
		return nil, c.remotes.named(err)
	}
	fsys := &treeFS{tree: tree, allowed: c.allowed, remotes: c.remotes, rewritten: c.rewritten, inflated: c.inflated}
	fsys.budget.Store(lim.TotalBytes)

	type result struct {
		out *Output
		err error
	}
	done := make(chan result, 1)
	go func() {
		var r result
		build := func() { r.out, r.err = run(fsys, dir, lim, text) }
		lock := ordinary
		if c.openapi {
			lock = alone
		}
		if err := lock(ctx, build); err != nil {
			r.err = err
		}
		done <- r
	}()
	select {
	case r := <-done:
		if r.err != nil {
			return nil, c.remotes.named(explain(r.err, fsys, plan.file))
		}
		r.out.Warnings, r.out.Remotes = c.warnings, c.remotes.all()
		c.origins.set(r.out.Objects, plan.file)
		for i := range r.out.Objects {
			r.out.Objects[i].Origin.File = c.remotes.name(r.out.Objects[i].Origin.File)
		}
		return r.out, nil
	case <-ctx.Done():
		e := fault.New(fault.DeadlineExceeded, plan.file, 0, "kustomize was still building when its time was up")
		e.Err = context.Cause(ctx)
		return nil, e
	}
}

// run calls the library and takes its objects out.
func run(fsys *treeFS, dir string, lim limit.Limits, text bool) (out *Output, err error) {
	defer recovered(&err)
	// The options of the command, which are not the library's defaults: the
	// legacy order unless sortOptions says otherwise. Plugins are off and files
	// come from below the kustomization only, as in both.
	options := krusty.MakeDefaultOptions()
	options.Reorder = krusty.ReorderOptionUnspecified
	m, err := krusty.MakeKustomizer(options).Run(fsys, outside(dir))
	if err != nil {
		return nil, err
	}
	if m.Size() > lim.Objects {
		return nil, fault.New(fault.TooManyObjects, "", 0, "gives %d objects, and at most %d are rendered", m.Size(), lim.Objects).
			WithHint("split it into several Apps")
	}
	if err := nameCommand(m); err != nil {
		return nil, err
	}
	if err := fsys.placeOrigins(m, dir); err != nil {
		return nil, err
	}
	return take(m, text)
}

// CommandVersion is the version of the kustomize command that the library
// belongs to, and that builds are compared with.
const CommandVersion = "v5.8.2"

// nameCommand corrects the label that buildMetadata's managedByLabel adds. The
// library puts the version of the program it is linked into there.
func nameCommand(m resmap.ResMap) error {
	library := "kustomize-" + provenance.GetProvenance().Semver()
	for _, res := range m.Resources() {
		labels := res.GetLabels()
		if labels[konfig.ManagedbyLabelKey] != library {
			continue
		}
		labels[konfig.ManagedbyLabelKey] = "kustomize-" + CommandVersion
		if err := res.SetLabels(labels); err != nil {
			return err
		}
	}
	return nil
}

// recovered makes a panic of the library an error. The library's own locks are
// released by defers, so it is usable afterwards.
func recovered(err *error) {
	if p := recover(); p != nil {
		*err = fault.New(fault.RendererCrashed, "", 0, "kustomize crashed: %s", shorten(readable(fmt.Sprint(p))))
	}
}

// take turns the library's resources into objects and, if asked for, text. The
// text is that of ResMap.AsYaml, made from JSON that the objects need as well.
func take(m resmap.ResMap, text bool) (*Output, error) {
	out := &Output{Objects: make([]manifest.Object, 0, m.Size())}
	var buf bytes.Buffer
	for i, res := range m.Resources() {
		j, err := res.MarshalJSON()
		if err != nil {
			return nil, err
		}
		if text {
			y, err := yaml.JSONToYAML(j)
			if err != nil {
				return nil, err
			}
			if i > 0 {
				buf.WriteString("---\n")
			}
			buf.Write(y)
		}
		var obj map[string]any
		if err := utiljson.Unmarshal(j, &obj); err != nil {
			return nil, err
		}
		out.Objects = append(out.Objects, manifest.Object{Unstructured: &unstructured.Unstructured{Object: obj}})
	}
	if text {
		out.Text = buf.Bytes()
	}
	return out, nil
}

// explain makes the library's error one for people.
func explain(err error, fsys *treeFS, file string) error {
	if refused := fsys.refused.Load(); refused != nil {
		return refused
	}
	var known *fault.Error
	if errors.As(err, &known) {
		if known.File == "" {
			known.File = file
		}
		return known
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		e := fault.New(fault.DeadlineExceeded, file, 0, "the build did not get its turn in time")
		e.Err = err
		return e
	}
	e := fault.New(fault.KustomizeFailed, file, 0, "kustomize: %s", readable(err.Error()))
	e.Err = err
	return e
}

// The library quotes whole configurations, patches and objects in its errors.
// Secrets may be among them, and errors go where Secrets must not.
var (
	quotedConfig = regexp.MustCompile("(?s) with config: `.*`:")
	quotedPatch  = regexp.MustCompile(`(?s)\[patch: ".*"\]`)
	quotedPairs  = regexp.MustCompile(`(?s)(literal sources?|env source files: \[[^\]]*\]).*`)
	quotedNode   = regexp.MustCompile(`(?s):? node contents:.*`)
	quotedObject = regexp.MustCompile(`(?s)(\{"|\{apiVersion|apiVersion: |map\[|&resource\.|&yaml\.|"apiVersion).*`)
)

// readable makes the library's message fit for people: paths as in the
// repository, no contents, not too long.
func readable(msg string) string {
	msg = strings.ReplaceAll(strings.TrimSpace(msg), checkout+"/", "")
	msg = strings.ReplaceAll(msg, checkout, ".")
	msg = quotedConfig.ReplaceAllString(msg, ":")
	msg = quotedPatch.ReplaceAllString(msg, "[an inline patch]")
	msg = quotedPairs.ReplaceAllString(msg, "$1: not all of them are KEY=value in UTF-8")
	msg = quotedNode.ReplaceAllString(msg, "")
	msg = quotedObject.ReplaceAllString(msg, "…")
	const most = 1000
	if len(msg) > most {
		msg = strings.ToValidUTF8(msg[:most], "") + "…"
	}
	return strings.TrimSpace(msg)
}
