package helm

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	chart "helm.sh/helm/v4/pkg/chart/v2"

	"abide.dev/abide/internal/render/fault"
)

// checkSchemas compares the values with the schema of the chart and of those
// below it, as Helm does. It is not Helm's own check, which opens URLs and
// files that a schema names.
func (r *release) checkSchemas() error {
	values, ok := r.first["Values"].(interface{ AsMap() map[string]any })
	if r.opts.SkipSchemaValidation || !ok {
		return nil
	}
	return r.checkSchema(r.Chart, values.AsMap(), nil)
}

func (r *release) checkSchema(c *chart.Chart, values map[string]any, at []string) error {
	if c.Schema != nil {
		if err := r.validate(c.Schema, values, at); err != nil {
			return err
		}
	}
	for _, d := range c.Dependencies() {
		raw, ok := values[d.Name()]
		if !ok || raw == nil {
			continue
		}
		below := append(slices.Clip(at), d.Name())
		v, ok := raw.(map[string]any)
		if !ok {
			return r.refused("", below, "a mapping is needed for the chart of that name")
		}
		if err := r.checkSchema(d, v, below); err != nil {
			return err
		}
	}
	return nil
}

// schemaURL is where the library thinks that a schema is.
const schemaURL = "file:///values.schema.json"

func (r *release) validate(text []byte, values map[string]any, at []string) (err error) {
	file := r.file("values.schema.json")
	if len(text) > 0 {
		file = r.schemas[&text[0]]
	}
	defer func() {
		if p := recover(); p != nil {
			err = fault.New(fault.RendererCrashed, file, 0, "the check of the values crashed: %v", p)
		}
	}()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return fault.New(fault.InvalidChart, file, 0, "is no JSON: %s", err)
	}
	if deeper(doc, r.lim.Depth) {
		return fault.New(fault.TooDeep, file, 0, "is nested more than %d levels deep", r.lim.Depth)
	}
	loader := &nothing{file: file}
	compiler := jsonschema.NewCompiler()
	compiler.UseLoader(loader)
	if err := compiler.AddResource(schemaURL, doc); err != nil {
		return fault.New(fault.InvalidChart, file, 0, "%s", plain(err))
	}
	schema, err := compiler.Compile(schemaURL)
	if loader.refused != nil {
		return loader.refused
	}
	if err != nil {
		return fault.New(fault.InvalidChart, file, 0, "is no JSON schema: %s", plain(err))
	}
	var invalid *jsonschema.ValidationError
	if err := schema.Validate(values); errors.As(err, &invalid) {
		return r.refused(file, append(slices.Clip(at), first(invalid).InstanceLocation...), plain(invalid))
	} else if err != nil {
		return fault.New(fault.InvalidValues, file, 0, "%s", plain(err))
	}
	return nil
}

// refused names the source of the value at path.
func (r *release) refused(schema string, at []string, why string) error {
	what := "the values do not fit"
	if len(at) > 0 {
		what = fmt.Sprintf("the value of %s does not fit", strings.Join(at, "."))
	}
	if schema != "" {
		what += " the schema " + schema
	}
	l, ok := r.values.origin(at)
	switch {
	case !ok && len(at) > 0:
		l.file = r.file("values.yaml")
	case ok && l.file == "":
		what += fmt.Sprintf(" (it comes from %s)", l.name)
	}
	return fault.New(fault.InvalidValues, l.file, 0, "%s: %s", what, why).
		WithHint("correct the value, or leave it out")
}

// first returns the cause that is deepest, the first of several.
func first(e *jsonschema.ValidationError) *jsonschema.ValidationError {
	for len(e.Causes) > 0 {
		e = e.Causes[0]
	}
	return e
}

// plain makes one line of the library's message.
func plain(err error) string {
	msg := strings.TrimPrefix(err.Error(), "jsonschema validation failed with '"+schemaURL+"#'\n")
	var parts []string
	for line := range strings.Lines(msg) {
		if line = strings.TrimLeft(strings.TrimSpace(line), "- "); line != "" {
			parts = append(parts, line)
		}
	}
	return strings.Join(parts, "; ")
}

// nothing is asked for whatever a schema refers to, but for what the library
// carries with it, and has nothing.
type nothing struct {
	file    string
	refused error
}

// Load implements [jsonschema.URLLoader].
func (n *nothing) Load(url string) (any, error) {
	// Helm takes a name that it cannot look up for a schema that fits all.
	if strings.HasPrefix(url, "urn:") {
		return true, nil
	}
	what, local := strings.CutPrefix(url, "file://")
	hint := "copy that schema into $defs of this one"
	if local {
		what = path.Clean(what)
	}
	n.refused = fault.New(fault.RemoteSchemaNotAllowed, n.file, 0, "refers to %s, and a schema may refer to itself only", what).WithHint("%s", hint)
	return nil, n.refused
}
