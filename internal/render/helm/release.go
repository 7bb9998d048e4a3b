package helm

import (
	"context"
	"path"
	"runtime"
	"slices"
	"strings"
	"sync"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"

	"abide.dev/abide/internal/render/fault"
)

// notes is the template that speaks to people and gives no objects.
const notes = "NOTES.txt"

// release is a chart together with what it is rendered for.
type release struct {
	*chartTree
	opts   Options
	values *merged
	caps   *common.Capabilities
	names  map[string]string // path in the tree by the name that Helm gives a template
	texts  map[string]string // text of the templates, by that name
	first  common.Values     // what the first execution gets
}

// knownVersions are the API versions that Helm knows without a cluster. Its
// own order is another one in each process.
var knownVersions = sync.OnceValue(func() common.VersionSet {
	return slices.Sorted(slices.Values(common.DefaultCapabilities.APIVersions))
})

func (o Options) capabilities() *common.Capabilities {
	caps := common.DefaultCapabilities.Copy()
	if v, err := common.ParseKubeVersion(o.KubeVersion); err == nil {
		caps.KubeVersion = *v
	}
	caps.APIVersions = append(slices.Clone(knownVersions()), o.APIVersions...)
	caps.HelmVersion.Version = CommandVersion
	caps.HelmVersion.GoVersion = runtime.Version()
	caps.HelmVersion.KubeClientVersion = strings.TrimSuffix(DefaultKubeVersion, ".0")
	return caps
}

// release chooses among the dependencies and brings chart and values together.
// It may be called once for a chart, since the library changes it.
func (c *chartTree) release(o Options, values *merged) (*release, error) {
	r := &release{chartTree: c, opts: o, values: values, caps: o.capabilities(), names: map[string]string{}, texts: map[string]string{}}
	if want := c.Metadata.KubeVersion; want != "" && !chartutil.IsCompatibleRange(want, r.caps.KubeVersion.String()) {
		return nil, fault.New(fault.IncompatibleChart, c.file(ChartFile), 0, "is for Kubernetes %s, and this is %s", want, r.caps.KubeVersion.Version).
			WithHint("take a version of the chart that is for it, or set another Kubernetes version")
	}
	if err := chartutil.ProcessDependencies(c.Chart, values.all); err != nil {
		return nil, r.mismatch(err)
	}
	r.collect(c.Chart)
	var err error
	if r.first, err = r.renderValues(); err != nil {
		return nil, err
	}
	return r, r.checkSchemas()
}

// collect notes the names of the templates, with aliases as they are now.
func (r *release) collect(c *chart.Chart) {
	for _, t := range c.Templates {
		name := path.Join(c.ChartFullPath(), t.Name)
		r.names[name], r.texts[name] = r.origins[t], string(t.Data)
	}
	for _, d := range c.Dependencies() {
		r.collect(d)
	}
}

// renderValues makes what templates see as ".". Templates can change it, so
// each execution needs its own.
func (r *release) renderValues() (common.Values, error) {
	top, err := util.ToRenderValuesWithSchemaValidation(r.Chart, r.values.all, common.ReleaseOptions{
		Name:      r.opts.ReleaseName,
		Namespace: r.opts.Namespace,
		Revision:  1,
		IsInstall: !r.opts.Upgrade,
		IsUpgrade: r.opts.Upgrade,
	}, r.caps, true) // without the schemas, which would be looked up anywhere
	if err != nil {
		return nil, r.mismatch(err)
	}
	return top, nil
}

// mismatch explains why values and charts cannot be brought together: what has
// the name of a chart in charts/ is no mapping. The library's message has the
// name first, then the value.
func (r *release) mismatch(err error) error {
	rest, ok := strings.CutPrefix(err.Error(), "type mismatch on ")
	if !ok {
		return fault.New(fault.InvalidValues, r.file(ChartFile), 0, "the values do not fit the charts in charts/: %s", err)
	}
	name, _, _ := strings.Cut(rest, ": ")
	return r.refused("", []string{name}, "there is a chart of that name in charts/, so it has to be a mapping")
}

// execute runs all templates and gives the text of each by its name. shift
// counts the executions before; each has another time.
func (r *release) execute(ctx context.Context, shift int) (map[string]string, *calls, error) {
	top := r.first
	if shift > 0 {
		var err error
		if top, err = r.renderValues(); err != nil {
			return nil, nil, err
		}
	}
	made := newCalls(shift)
	files, err := engine.Engine{CustomTemplateFuncs: made.funcs(ctx)}.RenderWithContext(ctx, r.Chart, top)
	if err != nil {
		return nil, nil, r.explain(err, made)
	}
	var size int64
	for name, text := range files {
		if strings.HasSuffix(name, notes) || strings.HasPrefix(path.Base(name), "_") {
			delete(files, name)
			continue
		}
		if size += int64(len(text)); size > r.lim.TotalBytes {
			return nil, nil, fault.New(fault.TooLarge, r.names[name], 0, "with it the chart renders to more than %d bytes", r.lim.TotalBytes).
				WithHint("split it into several Apps")
		}
	}
	return files, made, nil
}
