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
	"abide.dev/abide/internal/snapshot"
)

// maxReleaseName is how long the name of a release may be, as Helm has it.
const maxReleaseName = 53

// Around is what a chart depends on besides its App and the tree.
type Around struct {
	Capabilities cluster.Capabilities
	// Values are what the App's valuesFrom hold.
	Values []helm.ValuesSource
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
// asked only if there may be a chart.
func Request(app *v1alpha1.App, tree snapshot.Tree, at string, around func() (Around, error)) (render.Request, error) {
	req := render.Request{Path: at}
	chart, err := isChart(tree, at)
	if err != nil || !chart {
		return req, err
	}
	a, err := around()
	if err != nil {
		return req, err
	}
	o := helm.Options{
		ReleaseName: strings.TrimRight(app.Name[:min(len(app.Name), maxReleaseName)], "-."),
		Namespace:   cmp.Or(app.Spec.Target.Namespace, app.Namespace),
		KubeVersion: a.Capabilities.KubeVersion, APIVersions: a.Capabilities.APIVersions,
		ValuesFrom: a.Values,
	}
	if app.Spec.Render != nil && app.Spec.Render.Helm != nil {
		if err := fromSpec(&o, app.Spec.Render.Helm, folderOf(at)); err != nil {
			return req, err
		}
	}
	req.Helm = &o
	return req, nil
}

// fromSpec takes what an App says of its chart; dir is the folder that paths
// are relative to.
func fromSpec(o *helm.Options, h *v1alpha1.Helm, dir string) error {
	o.ReleaseName = cmp.Or(h.ReleaseName, o.ReleaseName)
	o.KubeVersion = cmp.Or(h.KubeVersion, o.KubeVersion)
	if len(h.APIVersions) > 0 {
		o.APIVersions = h.APIVersions
	}
	o.SkipCRDs = h.IncludeCRDs != nil && !*h.IncludeCRDs
	o.SkipSchemaValidation = h.SkipSchemaValidation != nil && *h.SkipSchemaValidation
	for _, f := range h.ValuesFiles {
		p := path.Join(dir, f.Path)
		if strings.HasPrefix(f.Path, "/") {
			p = strings.TrimLeft(f.Path, "/")
		}
		o.ValuesFiles = append(o.ValuesFiles, helm.ValuesFile{Path: p, Optional: f.Optional != nil && *f.Optional})
	}
	if h.Values != nil && len(h.Values.Raw) > 0 {
		y, err := yaml.JSONToYAML(h.Values.Raw)
		if err != nil {
			return fmt.Errorf("spec.render.helm.values: %w", err)
		}
		o.Values = string(y)
	}
	return nil
}

// folderOf is the folder of a path that may name an archive.
func folderOf(at string) string {
	if isArchive(at) {
		return path.Dir(at)
	}
	return at
}

func isArchive(p string) bool { return strings.HasSuffix(p, ".tgz") || strings.HasSuffix(p, ".tar.gz") }

// isChart tells whether Helm may have to render a path. It need not be exact:
// what is asked of Helm does not matter where there is no chart.
func isChart(tree snapshot.Tree, at string) (bool, error) {
	if isArchive(at) {
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
