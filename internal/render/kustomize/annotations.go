package kustomize

import (
	"path"
	"strings"

	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
)

// The annotations that buildMetadata asks for.
const (
	originAnnotation         = "config.kubernetes.io/origin"
	transformationAnnotation = "alpha.config.kubernetes.io/transformations"
)

// placeOrigins corrects the annotations that say where an object was written:
// the library has read some files elsewhere than they are (see rewrite.go).
func (f *treeFS) placeOrigins(m resmap.ResMap, dir string) error {
	if len(f.rewritten) == 0 {
		return nil
	}
	for _, res := range m.Resources() {
		all := res.GetAnnotations(originAnnotation, transformationAnnotation)
		changed := map[string]string{}
		if text := all[originAnnotation]; f.misplaced(text) {
			var o resource.Origin
			if err := kyaml.Unmarshal([]byte(text), &o); err != nil {
				continue // a repository's own text
			}
			f.placeOrigin(&o, dir)
			text, err := o.String()
			if err != nil {
				return err
			}
			changed[originAnnotation] = text
		}
		if text := all[transformationAnnotation]; f.misplaced(text) {
			var list resource.Transformations
			if err := kyaml.Unmarshal([]byte(text), &list); err != nil {
				continue
			}
			for _, o := range list {
				f.placeOrigin(o, dir)
			}
			text, err := list.String()
			if err != nil {
				return err
			}
			changed[transformationAnnotation] = text
		}
		if len(changed) == 0 {
			continue
		}
		every := res.GetAnnotations()
		for k, v := range changed {
			every[k] = v
		}
		if err := res.SetAnnotations(every); err != nil {
			return err
		}
	}
	return nil
}

func (f *treeFS) misplaced(text string) bool { return strings.Contains(text, chartsFolder) }

// placeOrigin corrects one origin, of an object that was built from dir.
func (f *treeFS) placeOrigin(o *resource.Origin, dir string) {
	if before, rest, ok := strings.Cut(o.ConfiguredIn, chartsFolder+"/"); ok {
		o.ConfiguredIn = before + rest
	}
	before, rest, ok := strings.Cut(o.Path, chartsFolder+"/")
	if !ok {
		return
	}
	if rest != chartsFile {
		o.Path = before + rest
		return
	}
	name := FileNames()[0]
	if real, _, err := f.tree.Resolve(path.Join(dir, before)); err == nil && f.inflated[real] != "" {
		name = f.inflated[real]
	}
	o.Path, o.ConfiguredIn = "", before+name
	o.ConfiguredBy.APIVersion, o.ConfiguredBy.Kind = "builtin", "HelmChartInflationGenerator"
}
