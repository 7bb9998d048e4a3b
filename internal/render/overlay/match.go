package overlay

import (
	"context"

	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/resid"

	"abide.dev/abide/internal/render/manifest"
)

// matcher tells whether a target selects an object. It says yes to a little
// more than Kustomize where the scope of a kind matters, which is not known
// here: it only finds targets that select nothing.
type matcher struct {
	regex               *types.SelectorRegex
	labels, annotations labels.Selector
}

func newMatcher(s *Selector) (*matcher, error) {
	m := &matcher{}
	var err error
	if m.regex, err = types.NewSelectorRegex(s.kustomize()); err != nil {
		return nil, err
	}
	if m.labels, err = labels.Parse(s.LabelSelector); err != nil {
		return nil, err
	}
	m.annotations, err = labels.Parse(s.AnnotationSelector)
	return m, err
}

func (m *matcher) match(o manifest.Object) bool {
	gvk := o.GroupVersionKind()
	namespaces := []string{o.GetNamespace()}
	if namespaces[0] == "" {
		namespaces = append(namespaces, resid.DefaultNamespace, resid.TotallyNotANamespace)
	}
	inNamespace := false
	for _, ns := range namespaces {
		inNamespace = inNamespace || m.regex.MatchNamespace(ns)
	}
	return inNamespace && m.regex.MatchName(o.GetName()) &&
		m.regex.MatchGvk(resid.Gvk{Group: gvk.Group, Version: gvk.Version, Kind: gvk.Kind}) &&
		m.labels.Matches(labels.Set(o.GetLabels())) && m.annotations.Matches(labels.Set(o.GetAnnotations()))
}

// targets refuses a patch whose target selects nothing: neither of the objects
// as they are, nor as the patches before it leave them.
func (r run) targets(ctx context.Context, objects []manifest.Object, inside []int, o *Options) error {
	for i, p := range o.Patches {
		if p.Target == nil {
			continue
		}
		m, err := newMatcher(p.Target)
		if err != nil {
			return err
		}
		found := false
		for _, k := range inside {
			found = found || m.match(objects[k])
		}
		if !found && i > 0 {
			before := &Options{Patches: o.Patches[:i]}
			out, err := r.build(ctx, before)
			if err != nil {
				return r.explain(ctx, before, err)
			}
			for _, obj := range out {
				found = found || m.match(obj)
			}
		}
		if !found {
			return noTarget(i, p.Target, objects, inside)
		}
	}
	return nil
}
