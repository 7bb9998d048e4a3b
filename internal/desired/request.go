package desired

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"sigs.k8s.io/yaml"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/cluster"
	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/render/helm"
	"abide.dev/abide/internal/render/jsonnet"
	"abide.dev/abide/internal/render/overlay"
	"abide.dev/abide/internal/render/substitute"
	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/snapshot/mount"
)

const (
	// maxReleaseName is how long the name of a release may be, as Helm has it.
	maxReleaseName = 53
	// mountedChart is where a tree has the chart of a repository or registry.
	mountedChart = mount.Prefix + "chart"
)

// Variables are what a ConfigMap or Secret defines.
type Variables struct {
	Source string // ConfigMap shop/settings
	Data   map[string]string
}

// Around is what an App depends on besides itself and its tree.
type Around struct {
	// Capabilities are those of the cluster; they matter to a chart.
	Capabilities cluster.Capabilities
	// Values are what the App's valuesFrom hold, and Variables what its
	// variablesFrom do. They may be secret.
	Values    []helm.ValuesSource
	Variables []Variables
}

// Hash tells two of them apart.
func (a Around) Hash() string {
	b, err := json.Marshal(a)
	if err != nil { // it is made of strings
		return ""
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}

// Request is how an App is rendered from a tree, at a path of it. around is
// asked only if the result depends on it; outside tells whether it does.
func Request(app *v1alpha1.App, tree snapshot.Tree, at string, around func() (Around, error)) (req render.Request, outside bool, err error) {
	req.Path = at
	if app.Spec.Source.Chart != nil {
		req.Path = mountedChart
	}
	chart, err := isChart(tree, req.Path)
	if err != nil {
		return req, false, err
	}
	spec := &v1alpha1.Render{}
	if app.Spec.Render != nil {
		spec = app.Spec.Render
	}
	var a Around
	if outside = chart || spec.Substitute != nil && len(spec.Substitute.VariablesFrom) > 0; outside {
		if a, err = around(); err != nil {
			return req, true, err
		}
	}
	dir := folderOf(at)
	if chart {
		if req.Helm, err = chartOptions(app, spec.Helm, dir, a); err != nil {
			return req, true, err
		}
	}
	if spec.Jsonnet != nil {
		req.Jsonnet = jsonnetOptions(spec.Jsonnet, dir)
	}
	req.Overlay = overlayOptions(spec)
	if spec.Substitute != nil {
		req.Substitute = variables(spec.Substitute, a.Variables)
	}
	return req, outside, nil
}

func chartOptions(app *v1alpha1.App, h *v1alpha1.Helm, dir string, a Around) (*helm.Options, error) {
	o := &helm.Options{
		ReleaseName: strings.TrimRight(app.Name[:min(len(app.Name), maxReleaseName)], "-."),
		Namespace:   cmp.Or(app.Spec.Target.Namespace, app.Namespace),
		KubeVersion: a.Capabilities.KubeVersion, APIVersions: a.Capabilities.APIVersions,
		ValuesFrom: a.Values,
	}
	if h == nil {
		return o, nil
	}
	o.ReleaseName = cmp.Or(h.ReleaseName, o.ReleaseName)
	o.KubeVersion = cmp.Or(h.KubeVersion, o.KubeVersion)
	if len(h.APIVersions) > 0 {
		o.APIVersions = h.APIVersions
	}
	o.SkipCRDs = h.IncludeCRDs != nil && !*h.IncludeCRDs
	o.SkipSchemaValidation = isTrue(h.SkipSchemaValidation)
	for _, f := range h.ValuesFiles {
		o.ValuesFiles = append(o.ValuesFiles, helm.ValuesFile{Path: inTree(dir, f.Path), Optional: isTrue(f.Optional)})
	}
	if h.Values != nil && len(h.Values.Raw) > 0 {
		y, err := yaml.JSONToYAML(h.Values.Raw)
		if err != nil {
			return nil, fmt.Errorf("spec.render.helm.values: %w", err)
		}
		o.Values = string(y)
	}
	return o, nil
}

func isTrue(b *bool) bool { return b != nil && *b }

// inTree is where a path of an App leads to: from a folder, with a leading slash
// from the root, or in a further repository, whose name begins with a $.
func inTree(dir, p string) string {
	switch {
	case strings.HasPrefix(p, "/"):
		return cmp.Or(strings.TrimLeft(p, "/"), ".")
	case strings.HasPrefix(p, mount.Prefix):
		return p
	}
	return path.Join(dir, p)
}

func jsonnetOptions(j *v1alpha1.Jsonnet, dir string) *jsonnet.Options {
	o := &jsonnet.Options{ExtVars: jsonnetVars(j.ExtVars), TLAs: jsonnetVars(j.TLAs)}
	for _, p := range j.LibraryPaths {
		o.LibraryPaths = append(o.LibraryPaths, inTree(dir, p))
	}
	return o
}

func jsonnetVars(list []v1alpha1.JsonnetVariable) map[string]jsonnet.Var {
	if len(list) == 0 {
		return nil
	}
	out := make(map[string]jsonnet.Var, len(list))
	for _, v := range list {
		out[v.Name] = jsonnet.Var{Value: v.Value, Code: isTrue(v.Code)}
	}
	return out
}

func overlayOptions(s *v1alpha1.Render) *overlay.Options {
	o := &overlay.Options{NamePrefix: s.NamePrefix, NameSuffix: s.NameSuffix, Labels: s.Labels, Annotations: s.Annotations}
	if l := s.LabelOptions; l != nil {
		o.LabelOptions = overlay.LabelOptions{IncludeSelectors: isTrue(l.IncludeSelectors), IncludeTemplates: isTrue(l.IncludeTemplates)}
	}
	for _, p := range s.Patches {
		patch := overlay.Patch{Patch: p.Patch}
		if t := p.Target; t != nil {
			patch.Target = &overlay.Selector{
				Group: t.Group, Version: t.Version, Kind: t.Kind, Name: t.Name, Namespace: t.Namespace,
				LabelSelector: t.LabelSelector, AnnotationSelector: t.AnnotationSelector,
			}
		}
		o.Patches = append(o.Patches, patch)
	}
	for _, r := range s.Replicas {
		o.Replicas = append(o.Replicas, overlay.Replica{Name: r.Name, Count: int64(r.Count)})
	}
	for _, i := range s.Images {
		o.Images = append(o.Images, overlay.Image{Name: i.Name, NewName: i.NewName, NewTag: i.NewTag, Digest: i.Digest})
	}
	if o.Empty() {
		return nil
	}
	return o
}

// variables are those of the App, before those that were looked up, of which
// the later override the former.
func variables(s *v1alpha1.Substitute, from []Variables) *substitute.Options {
	o := &substitute.Options{Variables: map[string]substitute.Variable{}}
	for _, v := range from {
		for name, value := range v.Data {
			o.Variables[name] = substitute.Variable{Value: value, From: v.Source + ", key " + name}
		}
	}
	for name, value := range s.Variables {
		o.Variables[name] = substitute.Variable{Value: value}
	}
	return o
}

// folderOf is the folder of a path that may name a file.
func folderOf(at string) string {
	if path.Ext(at) != "" && (isArchive(at) || jsonnet.IsFileName(at)) {
		return path.Dir(at)
	}
	return at
}

func isArchive(p string) bool { return path.Ext(p) == ".tgz" }

// isChart tells whether Helm may have to render a path. It need not be exact:
// what is asked of Helm does not matter where there is no chart.
func isChart(tree snapshot.Tree, at string) (bool, error) {
	if isArchive(at) || at == mountedChart {
		return true, nil
	}
	_, _, err := snapshot.Resolve(tree, path.Join(at, helm.ChartFile), nil)
	var escape *snapshot.EscapeError
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, snapshot.ErrLinkLoop), errors.As(err, &escape):
		return false, nil // the render says what is wrong
	}
	return false, err
}
