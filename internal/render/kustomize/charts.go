package kustomize

import (
	"cmp"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/api/types"
	"sigs.k8s.io/kustomize/kyaml/kio"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
	"sigs.k8s.io/kustomize/kyaml/yaml/merge2"
	"sigs.k8s.io/yaml"

	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/render/helm"
	"abide.dev/abide/internal/render/manifest"
	"abide.dev/abide/internal/render/remote"
	"abide.dev/abide/internal/snapshot"
)

// inflater renders the chart in a folder of the tree.
type inflater func(dir string, o helm.Options) (*helm.Output, error)

// The ways in which valuesInline and the values file come together.
const (
	valuesOverride = "override"
	valuesMerge    = "merge"
	valuesReplace  = "replace"
)

func helmRefused(file, what string) error {
	return fault.New(fault.HelmNotSupported, file, 0, "%s: a chart is rendered only where the kustomization itself names it", what).
		WithHint("list it under helmCharts")
}

// sameNamespace refuses to include a kustomization again for another namespace,
// if its charts take it: it was rendered once.
func (n *node) sameNamespace(namespace string) error {
	if !n.inherits || n.namespace == namespace {
		return nil
	}
	return fault.New(fault.InvalidKustomization, n.file, 0, "is included for the namespaces %s and %s, and its helmCharts have no namespace of their own",
		quote(n.namespace), quote(namespace)).
		WithHint("set namespace in helmCharts, or make two Apps")
}

// charts renders helmCharts, which the library would run the helm command for.
func (c *checker) charts(n *node) error {
	for i := range n.kust.HelmCharts {
		chart := n.kust.HelmCharts[i]
		if chart.Namespace == "" && n.kust.Namespace == "" {
			n.inherits = true
		}
		chart.Namespace = cmp.Or(chart.Namespace, n.kust.Namespace, n.namespace)
		if n.cost.builds++; n.cost.builds > int64(c.lim.Builds) {
			return c.tooManyBuilds(n)
		}
		if err := c.chart(n, &chart); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) chart(n *node, chart *types.HelmChart) error {
	at := place{n.file, "helmCharts"}
	if chart.Name == "" {
		return fault.New(fault.InvalidKustomization, n.file, 0, "an element of helmCharts has no name").WithHint("name the chart")
	}
	if strings.HasPrefix(chart.Name, "-") || strings.HasPrefix(chart.ReleaseName, "-") {
		return fault.New(fault.InvalidKustomization, n.file, 0, "helmCharts has the name %s, and none begins with -", quote(cmp.Or(chart.ReleaseName, chart.Name)))
	}
	dir, home, err := c.chartFolder(n, at, chart)
	if err != nil || dir == "" || n.lacks {
		return err
	}
	options := helm.Options{
		ReleaseName: chart.ReleaseName, NameTemplate: chart.NameTemplate, Namespace: chart.Namespace,
		KubeVersion: chart.KubeVersion, APIVersions: chart.ApiVersions,
		SkipCRDs: !chart.IncludeCRDs, SkipTests: chart.SkipTests, SkipHooks: chart.SkipHooks, HooksAreObjects: !chart.SkipHooks,
	}
	if err := c.chartValues(n, chart, home, &options); err != nil {
		return err
	}
	out, err := c.inflate(dir, options)
	if err != nil {
		var e *fault.Error
		if errors.As(err, &e) && e.File == "" {
			named := *e
			named.File, named.Msg = n.file, "helmCharts "+quote(chart.Name)+": "+e.Msg
			return &named
		}
		return err
	}
	return c.addChart(n, dir, out)
}

// chartFolder finds the folder of a chart, where the library has it, and the
// one that the default values file is looked for in; "" if the chart is
// elsewhere and not there.
func (c *checker) chartFolder(n *node, at place, chart *types.HelmChart) (dir, home string, err error) {
	home = types.HelmDefaultHome
	if g := n.kust.HelmGlobals; g != nil && g.ChartHome != "" {
		home = g.ChartHome
	}
	if chart.Repo != "" && chart.Version != "" {
		home = path.Join(home, chart.Name+"-"+chart.Version)
	}
	home = path.Join(home, chart.Name)
	joined, err := c.local(place{at.file, "helmGlobals.chartHome"}, n.dir, home)
	if err != nil {
		return "", "", err
	}
	dir, kind, err := c.tree.Resolve(joined)
	switch {
	case err == nil && kind == snapshot.Dir:
		return dir, home, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return "", "", fault.FromTree(joined, err)
	case chart.Repo != "":
		return c.chartElsewhere(n, chart, home)
	}
	return "", "", fault.New(fault.PathNotFound, n.file, 0, "helmCharts has %s, and there is no chart in %s", quote(chart.Name), joined).
		WithHint("put it there with helm pull --untar, or correct helmGlobals.chartHome")
}

// chartElsewhere is chartFolder for a chart that helm would pull.
func (c *checker) chartElsewhere(n *node, chart *types.HelmChart, home string) (dir, values string, err error) {
	if !isRemote(chart.Repo) {
		return "", "", fault.New(fault.RemoteBaseNotAllowed, n.file, 0, "helmCharts has the repo %s, which is no URL", quote(chart.Repo)).
			WithHint("write https://HOST/PATH or oci://HOST/PATH")
	}
	spec := remote.Spec{Kind: remote.Chart, URL: strings.TrimSuffix(chart.Repo, "/"), Chart: chart.Name, Version: chart.Version}
	if spec.Version == "" && chart.Devel {
		spec.Version = ">0.0.0-0" // as the command has it
	}
	if remote.HasPassword(spec.URL) {
		return "", "", fault.New(fault.RemoteBaseNotAllowed, n.file, 0, "helmCharts has a repo with credentials in its URL, and abide takes none from there").
			WithHint("name them in the secretRef of a Repository")
	}
	at, there, err := c.mount(n, "helmCharts", spec)
	if err != nil || !there {
		return "", "", err
	}
	if chart.ValuesFile != "" { // it may be one of those that helm would have pulled
		if rest, ok := strings.CutPrefix(path.Clean(chart.ValuesFile), home+"/"); ok {
			chart.ValuesFile = path.Join(at, rest)
		}
	}
	return at, at, nil
}

// chartValues reads the values of a chart, in the library's order.
func (c *checker) chartValues(n *node, chart *types.HelmChart, home string, o *helm.Options) error {
	for _, value := range chart.AdditionalValuesFiles {
		p, _, err := c.valuesFile(n, "additionalValuesFiles", value)
		if err != nil {
			return err
		}
		o.ValuesFiles = append(o.ValuesFiles, helm.ValuesFile{Path: p})
	}
	how := cmp.Or(chart.ValuesMerge, valuesOverride)
	if !slices.Contains([]string{valuesOverride, valuesMerge, valuesReplace}, how) {
		return fault.New(fault.InvalidKustomization, n.file, 0, "valuesMerge of helmCharts is %s", quote(how)).
			WithHint("take %s, %s or %s", valuesOverride, valuesMerge, valuesReplace)
	}
	inline := chart.ValuesInline
	if len(inline) == 0 || how != valuesReplace {
		p, b, err := c.valuesFile(n, "valuesFile", cmp.Or(chart.ValuesFile, path.Join(home, "values.yaml")))
		if err != nil {
			return err
		}
		if len(inline) == 0 {
			o.ValuesFiles = slices.Insert(o.ValuesFiles, 0, helm.ValuesFile{Path: p})
			return nil
		}
		if inline, err = mergeValues(string(b), inline, how); err != nil {
			e := fault.New(fault.InvalidValues, p, 0, "cannot be merged with valuesInline of %s: %s", n.file, shorten(readable(err.Error())))
			e.Err = err
			return e
		}
	}
	b, err := yaml.Marshal(inline)
	if err != nil {
		return fault.New(fault.InvalidValues, n.file, 0, "valuesInline of helmCharts: %s", shorten(err.Error()))
	}
	o.ValuesBase = string(b)
	return nil
}

// valuesFile reads a file of values, from where the library takes files.
func (c *checker) valuesFile(n *node, field, value string) (string, []byte, error) {
	p, b, err := c.file(place{n.file, "helmCharts." + field}, n.dir, value)
	if err != nil {
		return "", nil, err
	}
	_, elsewhere := c.remotes.mounted(value)
	if n.dir != "." && !elsewhere && !strings.HasPrefix(p, n.dir+"/") {
		return "", nil, fault.New(fault.InvalidPath, n.file, 0, "helmCharts.%s has %s, and kustomize takes files from below the kustomization only", field, quote(value)).
			WithHint("move it there")
	}
	return p, b, c.parsed(p, b)
}

// mergeValues brings the values of a file and those of the kustomization
// together by the library's own means.
func mergeValues(file string, inline map[string]any, how string) (map[string]any, error) {
	values, err := kyaml.Parse(file)
	if err != nil {
		return nil, err
	}
	from, into := values, values
	if from, err = kyaml.FromMap(inline); err != nil {
		return nil, err
	}
	if how == valuesMerge {
		from, into = into, from
	}
	merged, err := merge2.Merge(from, into, kyaml.MergeOptions{})
	if err != nil {
		return nil, err
	}
	return merged.Map()
}

// addChart takes what a chart renders to.
func (c *checker) addChart(n *node, dir string, out *helm.Output) error {
	for _, w := range out.Warnings {
		if !slices.Contains(c.warnings, w) {
			c.warnings = append(c.warnings, w)
		}
	}
	m, err := c.resourcesOf(out.Text)
	if err != nil {
		e := fault.New(fault.KustomizeFailed, dir, 0, "kustomize cannot take what the chart renders to: %s", readable(err.Error()))
		e.Err = err
		return e
	}
	var text strings.Builder
	for _, res := range m.Resources() {
		// By this the library knows them: it leaves their namespace to Helm.
		if err := res.PipeE(kyaml.SetAnnotation(konfig.HelmGeneratedAnnotation, "true")); err != nil {
			return err
		}
		one, err := res.RNode.String()
		if err != nil {
			return err
		}
		text.WriteString("---\n" + one)
	}
	docs, err := c.scan(dir, []byte(text.String()))
	if err != nil {
		return err
	}
	if c.made += int64(text.Len()); c.made > c.lim.TotalBytes {
		return fault.New(fault.TooLarge, n.file, 0, "its charts render to more than %d bytes, together with those of its bases", c.lim.TotalBytes).
			WithHint("split it into several Apps")
	}
	n.charts = append(n.charts, text.String()...)
	n.cost.add(docs, int64(text.Len()))
	for _, o := range out.Objects {
		n.sources = append(n.sources, sourceOf(o))
	}
	for _, h := range out.Hooks {
		n.sources = append(n.sources, sourceOf(h.Object))
	}
	return nil
}

// sourceOf describes an object of a chart, which is written in its template.
func sourceOf(o manifest.Object) source {
	return source{
		group: o.GroupVersionKind().Group, kind: o.GetKind(), namespace: o.GetNamespace(), name: o.GetName(),
		file: o.Origin.File, line: o.Origin.Line,
	}
}

// resourcesOf parses the text of charts in the two ways of the library.
func (c *checker) resourcesOf(text []byte) (resmap.ResMap, error) {
	m, err := c.factory.NewResMapFromBytes(text)
	if err == nil {
		return m, nil
	}
	nodes, readErr := (&kio.ByteReader{Reader: strings.NewReader(string(text)), OmitReaderAnnotations: true}).Read()
	if readErr != nil || len(nodes) == 0 {
		return nil, err
	}
	return c.factory.NewResMapFromRNodeSlice(nodes)
}
