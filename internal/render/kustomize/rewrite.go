package kustomize

import (
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/yaml"

	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/snapshot"
)

// A kustomization that names URLs is shown to the library with paths in their
// place: $remote-… below its own folder. There treeFS shows a folder of a mount as
// what it is, so that the library goes on from there, and a file as one of the
// kustomization's folder, since the library takes files from there only.
//
// A kustomization with helmCharts is shown without them. In their
// place stands a component, made up here, that lists what they render to: it
// comes where the library would run the generator of charts, behind the
// resources and the other generators of the kustomization and before its
// components. External generators come behind the charts, so they move into the
// component as well; its folder shows the files of the kustomization's own, so
// that their paths lead where they did.
const (
	// chartsFolder is the name of the component, below the kustomization. What a
	// repository has under that name is not seen.
	chartsFolder = "$helm-charts"
	chartsFile   = "$helm-charts.yaml"
)

// rewrite makes what the library reads in the place of the kustomization.
func (c *checker) rewrite(n *node) error {
	charts := len(n.kust.HelmCharts) > 0
	if n.lacks || !charts && !n.rewritten {
		return nil
	}
	shown := n.kust
	if charts {
		if err := c.component(n); err != nil {
			return err
		}
		shown.HelmCharts, shown.HelmGlobals, shown.Generators = nil, nil, nil
		shown.Components = slices.Concat([]string{chartsFolder}, n.kust.Components)
	}
	real, _, err := c.tree.Resolve(n.file)
	if err != nil {
		return fault.FromTree(n.file, err)
	}
	return c.show(real, n.file, shown)
}

// component makes the component that stands for the charts of n.
func (c *checker) component(n *node) error {
	folder := path.Join(n.dir, chartsFolder)
	c.inflated[n.dir] = path.Base(n.file)
	c.rewritten[path.Join(folder, chartsFile)] = n.charts
	return c.show(path.Join(folder, FileNames()[0]), n.file, types.Kustomization{
		TypeMeta:   types.TypeMeta{APIVersion: types.ComponentVersion, Kind: types.ComponentKind},
		Resources:  []string{chartsFile},
		Generators: n.kust.Generators,
	})
}

// show writes a kustomization that the library reads at p. It has to read what
// was meant, whatever a field of a later version is written as.
func (c *checker) show(p, file string, k types.Kustomization) error {
	b, err := yaml.Marshal(k)
	var back types.Kustomization
	if err == nil {
		err = back.Unmarshal(b)
	}
	if err != nil || textOf(k) != textOf(back) {
		e := fault.New(fault.KustomizeFailed, file, 0, "its helmCharts or URLs cannot be put beside what else it has")
		e.Err = err
		return e
	}
	c.rewritten[p] = b
	return nil
}

// textOf is a kustomization as text, in which a list of nothing is as none.
func textOf(k types.Kustomization) string {
	b, err := yaml.Marshal(k)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// inCharts tells whether a path of the tree is below the folder of a component
// that stands for charts, and whose.
func (f *treeFS) inCharts(rel string) (dir, rest string, ok bool) {
	names := strings.Split(rel, "/")
	i := slices.Index(names, chartsFolder)
	if i < 0 {
		return "", "", false
	}
	dir = path.Join(append([]string{"."}, names[:i]...)...)
	return dir, path.Join(append([]string{"."}, names[i+1:]...)...), f.inflated[dir] != ""
}

// inRemote returns the path of a mount that a URL was replaced with, if rel is in
// one below a kustomization.
func (f *treeFS) inRemote(rel string) (string, bool) {
	names := strings.Split(rel, "/")
	for i, name := range names[1:] {
		if _, ok := f.remotes.mounted(name); ok {
			return path.Join(names[i+1:]...), true
		}
	}
	return "", false
}

// chartsEntry resolves a path of such a component: a file that was made up, or
// one of the kustomization's folder, which keeps its place in the component's.
func (f *treeFS) chartsEntry(dir, rest string) (string, snapshot.Kind, error) {
	folder := path.Join(dir, chartsFolder)
	switch {
	case rest == ".":
		return folder, snapshot.Dir, nil
	case rest == chartsFile || rest == FileNames()[0]:
		return path.Join(folder, rest), snapshot.File, nil
	case IsKustomizationName(rest):
		return "", 0, missing(rest)
	}
	real, kind, err := f.tree.Resolve(path.Join(dir, rest))
	if err != nil || kind == snapshot.Dir {
		return real, kind, err
	}
	if below, ok := strings.CutPrefix(real, dir+"/"); ok {
		real = path.Join(folder, below)
	} else if dir == "." {
		real = path.Join(folder, real)
	}
	return real, kind, nil
}
