// Package overlay changes the objects of any renderer by patches, images,
// replicas, names, labels and annotations: what an overlay of Kustomize does,
// with Kustomize's own names of fields, code and meaning.
//
// It puts a kustomization together in memory that lists the objects, and has
// package kustomize build it, with all its checks, its bounds and its care for
// the library's state. Nothing else is in that kustomization's tree, so there
// is no path that a patch could lead to.
//
// What always holds:
//
//   - objects keep the order of the renderer, and their origin;
//   - a patch that does not parse, cannot be applied or matches nothing is an
//     error that names it. Kustomize lets a target that selects nothing pass; a
//     patch in an App that does nothing is a mistake;
//   - objects that Kustomize would drop (with the annotation
//     config.kubernetes.io/local-config), take apart (kinds that end in List
//     and have items) or refuse (hooks of a chart without a name, or with that
//     of another; annotations whose keys look like numbers; keys that are no
//     keys to YAML) stay as they are, and a warning says so;
//   - errors do not quote objects.
//
// Nothing is kept, and what was given is not changed.
package overlay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strconv"
	"strings"

	yamlv3 "go.yaml.in/yaml/v3"
	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/resid"
	"sigs.k8s.io/yaml"

	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/render/kustomize"
	"abide.dev/abide/internal/render/limit"
	"abide.dev/abide/internal/render/manifest"
	"abide.dev/abide/internal/render/traced"
	"abide.dev/abide/internal/snapshot/memtree"
)

// Options say what to change. They are applied in the order that Kustomize has:
// patches, then names, labels, annotations, replicas and images.
type Options struct {
	// Patches are applied one after the other.
	Patches []Patch `json:"patches,omitempty"`
	// Images replaces names and tags of container images.
	Images []Image `json:"images,omitempty"`
	// Replicas sets the number of replicas by name.
	Replicas []Replica `json:"replicas,omitempty"`
	// NamePrefix and NameSuffix are added to all names and references to them.
	NamePrefix string `json:"namePrefix,omitempty"`
	NameSuffix string `json:"nameSuffix,omitempty"`
	// Labels are set on all objects.
	Labels map[string]string `json:"labels,omitempty"`
	// LabelOptions say where else Labels are set.
	LabelOptions LabelOptions `json:"labelOptions,omitzero"`
	// Annotations are set on all objects, and on the templates in them.
	Annotations map[string]string `json:"annotations,omitempty"`
}

// Patch is a strategic merge patch or a list of JSON 6902 operations, in YAML or
// JSON. Without a target it applies to the object that it names itself.
type Patch struct {
	Patch  string    `json:"patch"`
	Target *Selector `json:"target,omitempty"`
	// AllowNameChange and AllowKindChange let it change what it names.
	AllowNameChange bool `json:"allowNameChange,omitempty"`
	AllowKindChange bool `json:"allowKindChange,omitempty"`
}

// Selector selects objects by all of its fields that are set. Group to
// Namespace are regular expressions for the whole value.
type Selector struct {
	Group              string `json:"group,omitempty"`
	Version            string `json:"version,omitempty"`
	Kind               string `json:"kind,omitempty"`
	Name               string `json:"name,omitempty"`
	Namespace          string `json:"namespace,omitempty"`
	LabelSelector      string `json:"labelSelector,omitempty"`
	AnnotationSelector string `json:"annotationSelector,omitempty"`
}

// Image replaces parts of the image of a name.
type Image struct {
	Name      string `json:"name"`
	NewName   string `json:"newName,omitempty"`
	TagSuffix string `json:"tagSuffix,omitempty"`
	NewTag    string `json:"newTag,omitempty"`
	Digest    string `json:"digest,omitempty"`
}

// Replica sets the replicas of the objects of a name.
type Replica struct {
	Name  string `json:"name"`
	Count int64  `json:"count"`
}

// LabelOptions are those of Kustomize's labels.
type LabelOptions struct {
	// IncludeSelectors also sets them in selectors, and in templates. Selectors
	// of most kinds cannot be changed once they exist.
	IncludeSelectors bool `json:"includeSelectors,omitempty"`
	// IncludeTemplates also sets them in templates of Pods.
	IncludeTemplates bool `json:"includeTemplates,omitempty"`
}

// Empty tells whether o changes nothing.
func (o *Options) Empty() bool {
	return o == nil || len(o.Patches)+len(o.Images)+len(o.Replicas)+len(o.Labels)+len(o.Annotations) == 0 &&
		o.NamePrefix == "" && o.NameSuffix == ""
}

// Output is what Apply gives.
type Output struct {
	Objects []manifest.Object
	// From tells of each object which one of those given it was, by its index.
	From []int
	// Warnings say what was left as it is.
	Warnings []string
}

// Apply returns the objects as o changes them. Errors that the objects or o
// caused are [*fault.Error].
func Apply(ctx context.Context, objects []manifest.Object, o *Options, lim limit.Limits) (*Output, error) {
	if o.Empty() {
		return merge(objects, nil, nil, o), nil
	}
	if err := o.check(lim); err != nil {
		return nil, err
	}
	inside, warnings := split(objects)
	if len(inside) == 0 {
		out := merge(objects, nil, nil, o)
		out.Warnings = warnings
		return out, nil
	}
	r := run{lim: lim}
	var err error
	if r.stream, err = stream(objects, inside); err != nil {
		return nil, err
	}
	if err := r.targets(ctx, objects, inside, o); err != nil {
		return nil, err
	}
	built, err := r.build(ctx, o)
	if err != nil {
		return nil, r.explain(ctx, o, err)
	}
	out := merge(objects, inside, built, o)
	out.Warnings = warnings
	return out, nil
}

// check refuses what makes no sense whatever the objects are.
func (o *Options) check(lim limit.Limits) error {
	for i, p := range o.Patches {
		at := fmt.Sprintf("spec.render.patches[%d]", i)
		if strings.TrimSpace(p.Patch) == "" {
			return failed(at, "is empty").WithHint("write a strategic merge patch, or a list of JSON 6902 operations")
		}
		// The library's parser takes aliases; what they expand to is checked there.
		var doc yamlv3.Node
		if err := yamlv3.Unmarshal([]byte(p.Patch), &doc); err != nil {
			return failed(at, "does not parse: %s", strings.TrimPrefix(err.Error(), "yaml: "))
		}
		if p.Target == nil {
			continue
		}
		if *p.Target == (Selector{}) {
			return failed(at, "has a target that selects everything").WithHint("name a kind at least; kind: .* is every object")
		}
		if _, err := newMatcher(p.Target); err != nil {
			return failed(at, "has a target that is no selector: %s", clip(err.Error()))
		}
	}
	for _, f := range []struct {
		name string
		keys map[string]string
	}{{"labels", o.Labels}, {"annotations", o.Annotations}} {
		if key, odd := oddKey(f.keys); odd {
			return failed("spec.render."+f.name, "has the key %q, which Kustomize cannot write", clip(key)).
				WithHint("use one that YAML does not take for a number, a boolean or null")
		}
	}
	for i, m := range o.Images {
		if m.Name == "" {
			return failed(fmt.Sprintf("spec.render.images[%d]", i), "has no name")
		}
	}
	for i, r := range o.Replicas {
		if r.Name == "" || r.Count < 0 {
			return failed(fmt.Sprintf("spec.render.replicas[%d]", i), "needs a name, and a count that is not negative")
		}
	}
	return nil
}

func failed(at, format string, args ...any) *fault.Error {
	return fault.New(fault.PatchFailed, "", 0, "%s %s", at, fmt.Sprintf(format, args...))
}

// split returns the indices of the objects that Kustomize can take as they are,
// and says of the others why it cannot.
func split(objects []manifest.Object) (inside []int, warnings []string) {
	type id struct{ version, kind, namespace, name string }
	seen := map[id]bool{}
	for i, o := range objects {
		key := id{o.GetAPIVersion(), o.GetKind(), cmp.Or(o.GetNamespace(), resid.DefaultNamespace), o.GetName()}
		local, isLocal := o.GetAnnotations()[konfig.IgnoredByKustomizeAnnotation]
		_, hasItems := o.Object["items"]
		why := ""
		switch {
		case isLocal && local != "false":
			why = "with the annotation " + konfig.IgnoredByKustomizeAnnotation + " Kustomize would drop it"
		case strings.HasSuffix(key.kind, "List") && hasItems:
			why = "Kustomize would take it for a list of objects"
		case key.name == "":
			why = "it has no name, only the beginning of one"
		case seen[key]:
			why = "Kustomize would take it for another one of that name"
		default:
			if key, odd := oddKey(o.GetAnnotations()); odd {
				why = fmt.Sprintf("Kustomize cannot write its annotation %q", clip(key))
			} else if key, lost := lostKey(o.Object); lost {
				why = fmt.Sprintf("Kustomize cannot read its key %q", clip(key))
			}
		}
		if why != "" {
			warnings = append(warnings, fmt.Sprintf("spec.render does not change %s %s: %s", key.kind, cmp.Or(key.name, o.GetGenerateName()), why))
			continue
		}
		seen[key] = true
		inside = append(inside, i)
	}
	return inside, warnings
}

// oddKey returns the first key that YAML takes for a number, a boolean or the
// like where it is not quoted. The library writes keys of labels and annotations
// without quotes, and fails to read them again.
func oddKey(m map[string]string) (string, bool) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		n := yamlv3.Node{Kind: yamlv3.ScalarNode, Value: k}
		if n.ShortTag() != "!!str" {
			return k, true
		}
	}
	return "", false
}

// longestKey is how long a key may be; YAML takes no more than 1,024 characters
// for one.
const longestKey = 1000

// lostKey returns a key that the library loses, since it takes it for a merge,
// or cannot read.
func lostKey(v any) (string, bool) {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			if k == "<<" || len(k) > longestKey/10 && len(strconv.QuoteToASCII(k)) > longestKey {
				return k, true
			}
			if found, ok := lostKey(v[k]); ok {
				return found, true
			}
		}
	case []any:
		for _, item := range v {
			if found, ok := lostKey(item); ok {
				return found, true
			}
		}
	}
	return "", false
}

// The files of the kustomization.
const (
	objectsFile = "objects.yaml"
	kustFile    = "kustomization.yaml"
)

// run is one call of Apply.
type run struct {
	lim    limit.Limits
	stream string // of the objects
}

// build has the kustomization of o built.
func (r run) build(ctx context.Context, o *Options) ([]manifest.Object, error) {
	k, err := yaml.Marshal(o.kustomization())
	if err != nil {
		return nil, fmt.Errorf("writing the kustomization of spec.render: %w", err)
	}
	tree := memtree.FromText(map[string]string{kustFile: string(k), objectsFile: r.stream})
	// All objects stand in one file here, so only the bound of all files holds.
	out, err := kustomize.Build(ctx, traced.New(tree, r.lim.TotalBytes, r.lim.TotalBytes), ".", r.lim, false)
	if err != nil {
		return nil, err
	}
	return out.Objects, nil
}

// kustomization is o as Kustomize takes it.
func (o *Options) kustomization() types.Kustomization {
	k := types.Kustomization{
		TypeMeta:          types.TypeMeta{APIVersion: types.KustomizationVersion, Kind: types.KustomizationKind},
		Resources:         []string{objectsFile},
		SortOptions:       &types.SortOptions{Order: types.FIFOSortOrder},
		NamePrefix:        o.NamePrefix,
		NameSuffix:        o.NameSuffix,
		CommonAnnotations: o.Annotations,
	}
	if len(o.Labels) > 0 {
		k.Labels = []types.Label{{
			Pairs:            o.Labels,
			IncludeSelectors: o.LabelOptions.IncludeSelectors,
			IncludeTemplates: o.LabelOptions.IncludeTemplates,
		}}
	}
	for _, p := range o.Patches {
		patch := types.Patch{Patch: p.Patch, Target: p.Target.kustomize()}
		if p.AllowNameChange || p.AllowKindChange {
			patch.Options = &types.PatchArgs{AllowNameChange: p.AllowNameChange, AllowKindChange: p.AllowKindChange}
		}
		k.Patches = append(k.Patches, patch)
	}
	for _, m := range o.Images {
		k.Images = append(k.Images, types.Image(m))
	}
	for _, r := range o.Replicas {
		k.Replicas = append(k.Replicas, types.Replica(r))
	}
	return k
}

func (s *Selector) kustomize() *types.Selector {
	if s == nil {
		return nil
	}
	return &types.Selector{
		ResId: resid.ResId{
			Gvk:  resid.Gvk{Group: s.Group, Version: s.Version, Kind: s.Kind},
			Name: s.Name, Namespace: s.Namespace,
		},
		LabelSelector:      s.LabelSelector,
		AnnotationSelector: s.AnnotationSelector,
	}
}

// explain finds the field that made a build fail. Patches are tried again, the
// first half of them, then more or fewer, which costs a few builds.
func (r run) explain(ctx context.Context, o *Options, err error) error {
	var e *fault.Error
	if !errors.As(err, &e) {
		return err
	}
	e.File, e.Line = "", 0 // those of the kustomization in memory
	if ctx.Err() != nil || e.Reason == fault.DeadlineExceeded {
		return e
	}
	e.Msg = strings.TrimPrefix(e.Msg, "kustomize: ")
	if e.Reason == fault.KustomizeFailed {
		e.Reason = fault.PatchFailed
	}
	if _, id, ok := strings.Cut(e.Msg, sameID); ok { // the library panics
		e.Reason, e.Msg, e.Hint = fault.PatchFailed, "makes two objects the same one: "+clip(id), "give one of them another name"
	}
	n := len(o.Patches)
	first := sort.Search(n, func(k int) bool {
		_, err := r.build(ctx, &Options{Patches: o.Patches[:k+1]})
		return err != nil
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if first < n {
		if _, none := r.build(ctx, &Options{Annotations: map[string]string{"a": "b"}}); none != nil {
			first = n // the objects themselves are what Kustomize refuses
		}
	}
	if first < n {
		e.Msg = fmt.Sprintf("spec.render.patches[%d]: %s", first, e.Msg)
		e.Hint = cmp.Or(e.Hint, patchHint(e.Msg))
		return e
	}
	for i, rep := range o.Replicas {
		if strings.Contains(e.Msg, "resource with name "+rep.Name+" does not match") {
			return failed(fmt.Sprintf("spec.render.replicas[%d]", i), "names %s, and no object of that name has replicas that Kustomize knows", clip(rep.Name)).
				WithHint("use the name before namePrefix and nameSuffix, or a patch")
		}
	}
	e.Msg = "spec.render: " + e.Msg
	return e
}

// sameID is what the library says when a name was changed to one that is there.
const sameID = "may not add resource with an already registered id: "

// patchHint says what to do about the library's commonest messages.
func patchHint(msg string) string {
	switch {
	case strings.Contains(msg, "no resource matches strategic merge patch"):
		return "the apiVersion, kind, name and namespace of the patch have to be those of an object; or give it a target"
	case strings.Contains(msg, "unable to parse SM or JSON patch"):
		return "it needs apiVersion, kind and metadata.name, or is a list of operations; a list that begins with [ has to be JSON"
	case strings.Contains(msg, "must specify a target for JSON patch"):
		return "say with target which objects it is for"
	case strings.Contains(msg, "json: unsupported type"):
		return "Kustomize cannot write an annotation whose key YAML takes for a number, a boolean or null"
	case strings.Contains(msg, "missing path"), strings.Contains(msg, "missing key"), strings.Contains(msg, "Unable to access invalid index"):
		return "the object has no such field: add what is above it first"
	}
	return ""
}
