package helm

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"

	"helm.sh/helm/v4/pkg/chart/v2/loader"

	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/render/limit"
	"abide.dev/abide/internal/render/manifest"
	"abide.dev/abide/internal/render/traced"
	"abide.dev/abide/internal/snapshot"
)

// The names of values in messages that are in no file.
const (
	inlineValues = "the values of the App"
	baseValues   = "the values for the chart"
	maxSources   = 100
)

// check refuses options that Helm does not take.
func (o *Options) check() error {
	if o.ReleaseName == "" {
		o.ReleaseName = DefaultReleaseName
	}
	if o.Namespace == "" {
		o.Namespace = DefaultNamespace
	}
	if o.KubeVersion == "" {
		o.KubeVersion = DefaultKubeVersion
	}
	if chartutil.ValidateReleaseName(o.ReleaseName) != nil {
		return fault.New(fault.InvalidHelmOptions, "", 0, "%q cannot be the name of a Helm release: it has to be lower-case letters, digits, - and ., at most 53 of them", o.ReleaseName).
			WithHint("set another release name")
	}
	if _, err := common.ParseKubeVersion(o.KubeVersion); err != nil {
		return fault.New(fault.InvalidHelmOptions, "", 0, "%q is no version of Kubernetes", o.KubeVersion).
			WithHint("write it as v1.37.0")
	}
	if n := len(o.ValuesFiles) + len(o.ValuesFrom); n > maxSources {
		return fault.New(fault.InvalidHelmOptions, "", 0, "values come from %d places, and at most %d are read", n, maxSources)
	}
	return nil
}

// layer is the values of one source.
type layer struct {
	name   string // for messages
	file   string // in the tree, if it is one
	values map[string]any
}

// merged is the user's values and where they come from, the strongest last.
type merged struct {
	all    map[string]any
	layers []layer
}

// values reads and merges all values that are not the chart's own.
func (o Options) values(tree *traced.Tree, lim limit.Limits) (*merged, error) {
	m := &merged{all: map[string]any{}}
	add := func(l layer) {
		m.layers = append(m.layers, l)
		m.all = loader.MergeMaps(m.all, l.values)
	}
	if o.ValuesBase != "" {
		v, err := parseValues("", []byte(o.ValuesBase), lim)
		if err != nil {
			return nil, inSource(baseValues, err, true)
		}
		add(layer{name: baseValues, values: v})
	}
	for _, f := range o.ValuesFiles {
		real, kind, err := tree.Resolve(f.Path)
		switch {
		case errors.Is(err, fs.ErrNotExist) && f.Optional:
			continue
		case err != nil:
			return nil, missingValues(f.Path, err)
		case kind != snapshot.File && kind != snapshot.Executable:
			return nil, fault.New(fault.InvalidValues, f.Path, 0, "is no file").WithHint("name a file of values")
		}
		b, err := tree.ReadFile(real)
		if err != nil {
			return nil, fault.FromTree(f.Path, err)
		}
		v, err := parseValues(f.Path, b, lim)
		if err != nil {
			return nil, err
		}
		add(layer{name: f.Path, file: f.Path, values: v})
	}
	for _, s := range o.ValuesFrom {
		if s.TargetPath != "" {
			if err := s.place(m); err != nil {
				return nil, err
			}
			continue
		}
		v, err := parseValues("", []byte(s.Data), lim)
		if err != nil {
			return nil, inSource(s.Source, err, false)
		}
		add(layer{name: s.Source, values: v})
	}
	v, err := parseValues("", []byte(o.Values), lim)
	if err != nil {
		return nil, inSource(inlineValues, err, true)
	}
	add(layer{name: inlineValues, values: v})
	return m, nil
}

func missingValues(file string, err error) error {
	err = fault.FromTree(file, err)
	var e *fault.Error
	if errors.As(err, &e) && e.Reason == fault.PathNotFound {
		return e.WithHint("values files are named from the root of the repository; one that may be missing can be marked optional")
	}
	return err
}

// parseValues reads values as Helm does.
func parseValues(file string, text []byte, lim limit.Limits) (map[string]any, error) {
	if err := manifest.CheckAliases(file, text, lim); err != nil {
		return nil, err
	}
	v, err := loader.LoadValues(strings.NewReader(string(text)))
	if err != nil {
		e := manifest.SyntaxError(file, text, lim)
		if e == nil {
			e = fault.New(fault.InvalidValues, file, 0, "%s", err)
		}
		e.Reason, e.Err = fault.InvalidValues, err
		return nil, e.WithHint("values are a YAML mapping of names to values")
	}
	return v, checkDepth(file, v, lim.Depth)
}

// inSource makes an error about text that is in no file one about its source.
// What is quoted may be left out.
func inSource(source string, err error, quote bool) error {
	var e *fault.Error
	if !errors.As(err, &e) {
		return err
	}
	where := source
	if e.Line > 0 {
		where = fmt.Sprintf("%s, line %d", source, e.Line)
	}
	msg := "values have to be a YAML mapping, not nested too deep"
	if quote {
		msg = e.Msg
	}
	return fault.New(e.Reason, "", 0, "%s: %s", where, msg).WithHint("%s", e.Hint)
}

// place puts the data of a source where it belongs. That is done in what is
// there already, since a path may lead into a list.
func (s ValuesSource) place(m *merged) error {
	path, ok := parsePath(s.TargetPath)
	if ok {
		all, fits := placed(m.all, path, s.Data)
		alone, _ := placed(nil, path, s.Data)
		if fits && alone != nil {
			m.all = all.(map[string]any)
			m.layers = append(m.layers, layer{name: s.Source, values: alone.(map[string]any)})
			return nil
		}
	}
	return fault.New(fault.InvalidValues, "", 0, "%s: the values have no place %q where a string could go", s.Source, s.TargetPath).
		WithHint("a path is names with dots between them, such as auth.password or hosts[0].name")
}

// origin returns the strongest layer that has a value at path.
func (m *merged) origin(path []string) (layer, bool) {
	for _, l := range slices.Backward(m.layers) {
		if has(l.values, path) {
			return l, true
		}
	}
	return layer{}, false
}

// has tells whether there is a value at path; what is inside of a list belongs
// to the list.
func has(v any, path []string) bool {
	for _, name := range path {
		m, ok := v.(map[string]any)
		if !ok {
			_, isList := v.([]any)
			return isList
		}
		if v, ok = m[name]; !ok {
			return false
		}
	}
	return len(path) > 0
}
