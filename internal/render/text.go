package render

import (
	"bytes"
	"fmt"

	"sigs.k8s.io/yaml"
)

const separator = "---\n"

// YAML returns the objects as one stream, their keys sorted. For a kustomize
// build or a chart that kept its text ([Request.Text]) it is byte for byte what
// `kustomize build` or `helm template` prints, hooks included.
func (r *Result) YAML() ([]byte, error) {
	if r.Text != nil {
		return r.Text, nil
	}
	var out bytes.Buffer
	for i, o := range r.Objects {
		if i > 0 {
			out.WriteString(separator)
		}
		b, err := yaml.Marshal(o.Object)
		if err != nil {
			return nil, fmt.Errorf("writing %s of %s: %w", o.GetName(), place(o.Origin), err)
		}
		out.Write(b)
	}
	return out.Bytes(), nil
}

// place is how an origin is shown.
func place(o Origin) string {
	if o.Line == 0 {
		return o.File
	}
	return fmt.Sprintf("%s:%d", o.File, o.Line)
}
