package helm

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/loader/archive"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"

	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/render/limit"
	"abide.dev/abide/internal/render/manifest"
)

// maxChartDepth bounds how deep charts are nested in charts.
const maxChartDepth = 20

// chartTree is a chart with all below it, and where its files come from.
type chartTree struct {
	*chart.Chart
	at      string // the path of its folder or archive
	origins map[*common.File]string
	schemas map[*byte]string // by the first byte of the text
	lim     limit.Limits
}

// file is where people find a file of the root chart.
func (c *chartTree) file(name string) string { return path.Join(c.at, name) }

// builder makes a chart of files. Helm's own loader makes each single chart;
// the builder finds the charts below, since the loader takes them in random
// order and bounds each archive by itself only.
type builder struct {
	lim    limit.Limits
	left   int64 // bytes that archives may still hold
	charts int
	tree   chartTree
}

func newBuilder(lim limit.Limits) *builder {
	return &builder{lim: lim, left: lim.TotalBytes, tree: chartTree{
		origins: map[*common.File]string{}, schemas: map[*byte]string{}, lim: lim,
	}}
}

// root makes the chart that is rendered and checks what holds for it alone.
func (b *builder) root(files []*archive.BufferedFile, at string) (*chartTree, error) {
	c, err := b.build(files, at, 0)
	if err != nil {
		return nil, err
	}
	b.tree.Chart, b.tree.at = c, at
	file := path.Join(at, ChartFile)
	switch c.Metadata.APIVersion {
	case chart.APIVersionV1, chart.APIVersionV2:
	default:
		return nil, fault.New(fault.InvalidChart, file, 0, "has the apiVersion %q, and Helm %s renders v1 and v2", c.Metadata.APIVersion, CommandVersion)
	}
	if t := c.Metadata.Type; t != "" && t != "application" {
		return nil, fault.New(fault.InvalidChart, file, 0, "is a %s chart, which other charts use and which cannot be installed", t).
			WithHint("name the folder of a chart that depends on it")
	}
	if err := missingDependency(c, file); err != nil {
		return nil, err
	}
	return &b.tree, nil
}

// missingDependency names the first dependency of Chart.yaml that is not there.
func missingDependency(c *chart.Chart, file string) error {
	for _, want := range c.Metadata.Dependencies {
		if slices.ContainsFunc(c.Dependencies(), func(d *chart.Chart) bool { return d.Name() == want.Name }) {
			continue
		}
		which := strings.TrimSpace(want.Name + " " + want.Version)
		if want.Repository != "" {
			which += " from " + want.Repository
		}
		e := fault.New(fault.MissingDependency, file, 0, "depends on %s, which is not in charts/", which)
		switch {
		case c.Lock == nil:
			e.Hint = "run helm dependency update and commit charts/ and Chart.lock; look whether .gitignore names charts/ or *.tgz"
		default:
			e.Hint = "run helm dependency build and commit charts/; look whether .gitignore names charts/ or *.tgz"
		}
		return e
	}
	return nil
}

// build makes one chart and those in its charts/.
func (b *builder) build(files []*archive.BufferedFile, at string, depth int) (*chart.Chart, error) {
	if depth > maxChartDepth {
		return nil, fault.New(fault.TooDeep, at, 0, "charts are nested more than %d deep", maxChartDepth)
	}
	if b.charts++; b.charts > b.lim.Builds {
		return nil, fault.New(fault.TooLarge, at, 0, "with it there are more than %d charts", b.lim.Builds)
	}
	var own []*archive.BufferedFile
	below := map[string][]*archive.BufferedFile{}
	for _, f := range files {
		rest, sub := strings.CutPrefix(f.Name, "charts/")
		if !sub || path.Ext(f.Name) == ".prov" {
			own = append(own, f)
			continue
		}
		name, _, _ := strings.Cut(rest, "/")
		below[name] = append(below[name], &archive.BufferedFile{Name: rest, Data: f.Data})
	}
	c, err := b.single(own, at)
	if err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(below)) {
		if strings.IndexAny(name, "_.") == 0 {
			continue
		}
		sub, err := b.below(name, below[name], path.Join(at, "charts", name), depth+1)
		if err != nil {
			return nil, err
		}
		c.AddDependency(sub)
	}
	return c, nil
}

// below makes a chart of what charts/ has under one name.
func (b *builder) below(name string, files []*archive.BufferedFile, at string, depth int) (*chart.Chart, error) {
	if path.Ext(name) == ".tgz" {
		if files[0].Name != name {
			return nil, fault.New(fault.InvalidChart, at, 0, "is a folder, and what is named .tgz has to be an archive")
		}
		inside, err := b.unpack(files[0].Data, at)
		if err != nil {
			return nil, err
		}
		return b.build(inside, at, depth)
	}
	var inside []*archive.BufferedFile
	for _, f := range files {
		if _, rest, ok := strings.Cut(f.Name, "/"); ok {
			inside = append(inside, &archive.BufferedFile{Name: rest, Data: f.Data})
		}
	}
	if len(inside) == 0 {
		return nil, fault.New(fault.InvalidChart, at, 0, "is no chart, and Helm takes nothing else in charts/").
			WithHint("remove it, or name it in .helmignore")
	}
	return b.build(inside, at, depth)
}

// single has Helm's loader make one chart without those below it.
func (b *builder) single(files []*archive.BufferedFile, at string) (*chart.Chart, error) {
	for _, f := range files {
		switch f.Name {
		case ChartFile, "Chart.lock", "requirements.yaml", "requirements.lock", "values.yaml":
			if err := manifest.CheckAliases(path.Join(at, f.Name), f.Data, b.lim); err != nil {
				return nil, err
			}
		}
	}
	c, err := loader.LoadFiles(files)
	if err != nil {
		return nil, b.explain(files, at, err)
	}
	if err := checkDepth(path.Join(at, "values.yaml"), c.Values, b.lim.Depth); err != nil {
		return nil, err
	}
	for _, list := range [][]*common.File{c.Templates, c.Files} {
		for _, f := range list {
			b.tree.origins[f] = path.Join(at, f.Name)
		}
	}
	if len(c.Schema) > 0 {
		b.tree.schemas[&c.Schema[0]] = path.Join(at, "values.schema.json")
	}
	return c, nil
}

// explain finds the file and line of what the loader refused.
func (b *builder) explain(files []*archive.BufferedFile, at string, err error) error {
	file, msg := path.Join(at, ChartFile), err.Error()
	if !slices.ContainsFunc(files, func(f *archive.BufferedFile) bool { return f.Name == ChartFile }) {
		return fault.New(fault.InvalidChart, at, 0, "has no Chart.yaml, so it is no chart")
	}
	if rest, ok := strings.CutPrefix(msg, "cannot load "); ok {
		name, rest, _ := strings.Cut(rest, ": ")
		file, msg = path.Join(at, name), rest
		for _, f := range files {
			if f.Name != name {
				continue
			}
			if e := manifest.SyntaxError(file, f.Data, b.lim); e != nil {
				e.Reason, e.Err = fault.InvalidChart, err
				return e.WithHint("correct the YAML")
			}
		}
	}
	e := fault.New(fault.InvalidChart, file, 0, "%s", shorten(strings.TrimPrefix(msg, "validation: ")))
	e.Err = err
	return e
}

// unpack reads an archive after it was measured, so that a small one that
// stands for a large one costs no memory.
func (b *builder) unpack(data []byte, at string) ([]*archive.BufferedFile, error) {
	size, err := measure(data, b.left)
	if errors.Is(err, errTooLarge) {
		return nil, fault.New(fault.TooLarge, at, 0, "holds more than %d bytes, together with the other archives of the chart", b.lim.TotalBytes)
	}
	var files []*archive.BufferedFile
	if err == nil {
		b.left -= size
		files, err = archive.LoadArchiveFiles(bytes.NewReader(data))
	}
	if err != nil {
		e := fault.New(fault.InvalidChart, at, 0, "is no archive of a chart: %s", shorten(err.Error()))
		e.Err = err
		return nil, e.WithHint("make it with helm package or helm dependency build")
	}
	return files, nil
}

var errTooLarge = errors.New("too large")

// measure returns what an archive comes to once it is unpacked, in bytes.
// Holes of sparse files count as what they stand for.
func measure(data []byte, most int64) (int64, error) {
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return 0, err
	}
	defer z.Close()
	raw := &io.LimitedReader{R: z, N: most + 1}
	archived := tar.NewReader(raw)
	var size int64
	for {
		h, err := archived.Next()
		if raw.N <= 0 {
			return 0, errTooLarge
		}
		if errors.Is(err, io.EOF) {
			return max(size, most+1-raw.N), nil
		}
		if err != nil {
			return 0, fmt.Errorf("reading its table of contents: %w", err)
		}
		if h.Size < 0 || h.Size > most-size {
			return 0, errTooLarge
		}
		size += h.Size
	}
}

// checkDepth bounds how deep values are nested.
func checkDepth(file string, v any, most int) error {
	if deeper(v, most) {
		return fault.New(fault.TooDeep, file, 0, "is nested more than %d levels deep", most)
	}
	return nil
}

func deeper(v any, most int) bool {
	if most < 0 {
		return true
	}
	switch v := v.(type) {
	case map[string]any:
		for _, item := range v {
			if deeper(item, most-1) {
				return true
			}
		}
	case []any:
		for _, item := range v {
			if deeper(item, most-1) {
				return true
			}
		}
	}
	return false
}
