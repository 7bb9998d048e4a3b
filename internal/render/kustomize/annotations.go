package kustomize

import (
	"path"
	"strings"

	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/resource"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"

	"abide.dev/abide/internal/render/remote"
	"abide.dev/abide/internal/snapshot/mount"
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

func (f *treeFS) misplaced(text string) bool {
	return strings.Contains(text, chartsFolder) || strings.Contains(text, mount.Prefix+remote.Prefix)
}

// placeOrigin corrects one origin, of an object that was built from dir.
func (f *treeFS) placeOrigin(o *resource.Origin, dir string) {
	if before, rest, ok := strings.Cut(o.ConfiguredIn, chartsFolder+"/"); ok {
		o.ConfiguredIn = before + rest
	}
	o.ConfiguredIn = f.placeRemote(o, o.ConfiguredIn)
	if p := f.placeRemote(o, o.Path); p != o.Path {
		if o.Path = p; o.Path == "." {
			o.Path = ""
		}
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

// placeRemote names the repository in an origin, for a path in a mount, and
// returns the path in there. The library takes a file for the last part of a
// repository's path.
func (f *treeFS) placeRemote(o *resource.Origin, p string) string {
	i := strings.LastIndex(p, mount.Prefix+remote.Prefix)
	if i < 0 {
		return p
	}
	s, ok := f.remotes.mounted(p[i:])
	if !ok {
		return p
	}
	_, inside, _ := strings.Cut(p[i:], "/")
	if s.Kind == remote.File {
		as, dir, err := remote.Parse(s.URL, remote.Folders)
		if err != nil {
			return s.URL
		}
		s, inside = as, dir
	}
	o.Repo, o.Ref = s.URL, s.Ref
	return inside
}
