// Package helm renders a Helm chart of a snapshot, byte for byte as
// `helm template NAME DIR --include-crds` of the same version prints it on a
// clean checkout.
//
// It promises:
//
//   - Nothing but the tree is read. A chart is loaded from the tree into
//     memory by rules that are those of Helm's own loader (.helmignore, links,
//     archives in charts/), and Helm's library sees only that. A template has
//     no way to the network, the disk, the environment or a cluster: lookup
//     finds nothing, getHostByName gives nothing, env and expandenv do not
//     exist, and a schema that refers to a URL or a file is refused before it
//     is looked up.
//   - Equal input gives equal output. Where Helm's own output hangs on chance
//     that means nothing (the order of keys and values, of the API versions, of
//     the charts in charts/), an order is chosen. Where it hangs on time or
//     random numbers, the chart is rendered again under another time, and what
//     comes out differently is named in [Output.Unstable] and refused: to
//     apply it would be to apply it again at every render. Times are in UTC.
//   - Values given as [ValuesSource] may be secret: no error, warning or name
//     quotes one.
//
// Hooks and tests are no objects to apply: they come apart from them, with
// what their annotations ask for.
//
// A chart is hostile input: every failure that it causes is a [*fault.Error].
// Bytes, also those that archives hold, charts, documents, objects and depth
// are bounded, and so is what single template functions may make. What a
// template does in all cannot be bounded or stopped from here: when the context
// ends, [Render] returns, and the library's goroutine goes on until it is
// done. A bound that holds for certain takes a process of its own.
//
// Nothing is written and nothing is kept.
package helm

import (
	"context"
	"fmt"

	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/render/limit"
	"abide.dev/abide/internal/render/logguard"
	"abide.dev/abide/internal/render/manifest"
	"abide.dev/abide/internal/render/traced"
)

// ChartFile is the name of the file that makes a folder a chart.
const ChartFile = "Chart.yaml"

// CommandVersion is the version of the helm command that the library belongs
// to, that templates see as Capabilities.HelmVersion, and that output is
// compared with.
const CommandVersion = "v4.3.1"

// DefaultKubeVersion is the Kubernetes version that templates see where none
// is given, as the command has it.
const DefaultKubeVersion = "v1.37.0"

// The release name and the namespace where none is given, as the command has
// them.
const (
	DefaultReleaseName = "release-name"
	DefaultNamespace   = "default"
)

// Options are what `helm template` takes as flags. Values count in the order
// of the fields, the last one most: the chart's own, ValuesBase, ValuesFiles,
// ValuesFrom, Values.
type Options struct {
	// ReleaseName is Release.Name, DefaultReleaseName if empty; at most 53
	// characters.
	ReleaseName string `json:"releaseName,omitempty"`
	// NameTemplate is a template that gives the name of the release, if
	// ReleaseName is empty.
	NameTemplate string `json:"nameTemplate,omitempty"`
	// Namespace is Release.Namespace, DefaultNamespace if empty.
	Namespace string `json:"namespace,omitempty"`
	// ValuesBase are values in YAML that all others override but the chart's own.
	ValuesBase string `json:"valuesBase,omitempty"`
	// ValuesFiles are files of the tree, a later one overriding the former.
	ValuesFiles []ValuesFile `json:"valuesFiles,omitempty"`
	// ValuesFrom are values that the caller looked up, in the same way.
	ValuesFrom []ValuesSource `json:"valuesFrom,omitempty"`
	// Values are written in YAML or JSON.
	Values string `json:"values,omitempty"`
	// SkipCRDs leaves out what is in crds/.
	SkipCRDs bool `json:"skipCRDs,omitempty"`
	// KubeVersion is Capabilities.KubeVersion, DefaultKubeVersion if empty.
	KubeVersion string `json:"kubeVersion,omitempty"`
	// APIVersions are added to those that Helm itself knows, as "group/version"
	// or "group/version/Kind".
	APIVersions []string `json:"apiVersions,omitempty"`
	// Upgrade makes Release.IsUpgrade true instead of Release.IsInstall.
	Upgrade bool `json:"upgrade,omitempty"`
	// SkipTests leaves out the tests of the chart.
	SkipTests bool `json:"skipTests,omitempty"`
	// SkipHooks leaves out the hooks, tests included.
	SkipHooks bool `json:"skipHooks,omitempty"`
	// HooksAreObjects: the caller applies hooks like all else, so that one that
	// is another at each render is refused.
	HooksAreObjects bool `json:"hooksAreObjects,omitempty"`
	// SkipSchemaValidation takes values whatever values.schema.json says.
	SkipSchemaValidation bool `json:"skipSchemaValidation,omitempty"`
}

// ValuesFile is a file of values.
type ValuesFile struct {
	// Path is that in the tree, from its root.
	Path string `json:"path"`
	// Optional lets it be missing.
	Optional bool `json:"optional,omitempty"`
}

// ValuesSource is values from outside of the tree. They may be secret.
type ValuesSource struct {
	// Source names them in messages: "Secret shop/values, key values.yaml".
	Source string `json:"source"`
	// Data is a YAML document, or with TargetPath a single string.
	Data string `json:"data"`
	// TargetPath is where Data goes as a string: "auth.password",
	// "hosts[0].name". A dot in a name is written "\.".
	TargetPath string `json:"targetPath,omitempty"`
}

// Output is what a chart renders to.
type Output struct {
	// Objects are those to apply, in Helm's order, CRDs first. Each has the
	// template as its origin, without a line; what is in crds/ has one.
	Objects []manifest.Object
	// Hooks are in Helm's order; tests are among them.
	Hooks []Hook
	// Text is what the command prints, hooks included, if asked for.
	Text []byte
	// Ignored are hooks of an event that Helm does not know.
	Ignored []manifest.Ignored
	// Warnings say what is odd and counts nevertheless.
	Warnings []string
	// Unstable is not empty if and only if the chart is refused for it, or if
	// only hooks change.
	Unstable []Unstable
}

// Hook is an object that is applied at some event and not as part of the whole.
type Hook struct {
	Object manifest.Object `json:"object"`
	// Events are Helm's names, such as "pre-install", "post-upgrade", "test".
	Events []string `json:"events"`
	// Weight orders the hooks of an event, the lowest first.
	Weight int `json:"weight,omitempty"`
	// DeletePolicies are Helm's names, such as "hook-succeeded"; none means
	// "before-hook-creation".
	DeletePolicies []string `json:"deletePolicies,omitempty"`
}

// Unstable is an object that another render of the same input gives
// differently.
type Unstable struct {
	// Object is its kind and name.
	Object string `json:"object"`
	// Template is the path in the repository.
	Template string `json:"template"`
	// Line is where the template calls one of Functions; 0 if it is not known.
	Line int `json:"line,omitempty"`
	// Functions are those that can have caused it, in order of name.
	Functions []string `json:"functions,omitempty"`
	// Hook tells that it is a hook, which does no harm.
	Hook bool `json:"hook,omitempty"`
}

// Render renders the chart in dir, which is a resolved path of tree and a
// folder or an archive. Errors that the repository or the options caused are
// [*fault.Error]. text asks for [Output.Text]. The output is not nil if the
// chart was refused since it is unstable; then it has nothing but that.
func Render(ctx context.Context, tree *traced.Tree, dir string, o Options, lim limit.Limits, text bool) (*Output, error) {
	logguard.Install()
	hide := secrets(o.ValuesFrom)
	type result struct {
		out *Output
		err error
	}
	done := make(chan result, 1)
	go func() {
		var r result
		defer func() {
			if p := recover(); p != nil {
				r = result{err: fault.New(fault.RendererCrashed, dir, 0, "helm crashed: %s", shorten(fmt.Sprint(p)))}
			}
			done <- r
		}()
		r.out, r.err = render(ctx, tree, dir, o, lim, text)
	}()
	select {
	case r := <-done:
		return hide.output(r.out), hide.error(r.err)
	case <-ctx.Done():
		e := fault.New(fault.DeadlineExceeded, dir, 0, "helm was still rendering when its time was up").
			WithHint("a template that ranges over very much, or includes itself, takes for ever")
		e.Err = context.Cause(ctx)
		return nil, e
	}
}

// render does the work, step by step.
func render(ctx context.Context, tree *traced.Tree, dir string, o Options, lim limit.Limits, text bool) (*Output, error) {
	if err := o.nameByTemplate(ctx); err != nil {
		return nil, err
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	c, err := load(tree, dir, lim)
	if err != nil {
		return nil, err
	}
	values, err := o.values(tree, lim)
	if err != nil {
		return nil, err
	}
	r, err := c.release(o, values)
	if err != nil {
		return nil, err
	}
	files, calls, err := r.execute(ctx, 0)
	if err != nil {
		return nil, err
	}
	docs, err := r.documents(files)
	if err != nil {
		return nil, err
	}
	unstable, err := r.unstable(ctx, files, calls, docs)
	if err != nil {
		return nil, err
	}
	if err := refuseUnstable(unstable, o.HooksAreObjects); err != nil {
		return &Output{Unstable: unstable}, err
	}
	out, err := r.output(files, docs, text)
	if err != nil {
		return nil, err
	}
	out.Unstable = unstable
	return out, nil
}
