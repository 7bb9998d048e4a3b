package substitute

import (
	"context"
	"math"
	"slices"
	"strings"

	yamlv2 "go.yaml.in/yaml/v2"

	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/render/kustomize"
)

// typed gives the value of a field that consists of placeholders alone.
func (w *walker) typed(ctx context.Context, s string, parts []part) (any, error) {
	if w.alwaysText() {
		return s, nil
	}
	field, err := kustomize.FieldType(ctx, w.object.GetAPIVersion(), w.object.GetKind(), w.path)
	if err != nil {
		return nil, err
	}
	v := scalar(s)
	fits := true
	switch field {
	case "":
		return v, nil
	case "string":
		return s, nil
	case kustomize.IntOrString:
		if _, ok := v.(int64); ok {
			return v, nil
		}
		return s, nil
	case "integer":
		_, fits = v.(int64)
	case "number":
		_, isInt := v.(int64)
		_, isFloat := v.(float64)
		fits = isInt || isFloat
	case "boolean":
		_, fits = v.(bool)
	default:
		fits = v == nil
	}
	if !fits && v != nil {
		return nil, w.misfit(field, parts)
	}
	return v, nil
}

// misfit says that a value is not of the type of its field, without the value.
func (w *walker) misfit(field string, parts []part) error {
	var names []string
	for _, p := range parts {
		n := "${" + clip(p.name) + "}"
		if from := w.variables[p.name].From; from != "" {
			n += " (from " + from + ")"
		}
		names = append(names, n)
	}
	article := "a"
	if strings.ContainsRune("aeiou", rune(field[0])) {
		article = "an"
	}
	e := w.fault(fault.InvalidPlaceholder, "takes %s %s, and what %s stands for is none", article, field, strings.Join(names[:min(len(names), maxNear)], ""))
	if field == "object" || field == "array" {
		return e.WithHint("a value is one text, number or boolean: write the rest into the file")
	}
	return e.WithHint("correct the value")
}

// textFields hold mappings of text to text wherever they are found.
var textFields = []string{"labels", "annotations", "matchLabels", "nodeSelector"}

// alwaysText tells whether Kubernetes has text at the path at hand, whatever the
// kind.
func (w *walker) alwaysText() bool {
	switch w.path[0] {
	case "apiVersion", "kind", "metadata":
		return true
	}
	n := len(w.path)
	if n >= 3 && w.path[n-1] == "value" && w.path[n-3] == "env" {
		_, item := w.path[n-2].(int)
		return item
	}
	parent, ok := "", n >= 2
	if ok {
		parent, ok = w.path[n-2].(string)
	}
	return ok && slices.Contains(textFields, parent)
}

// scalar is what YAML makes of a plain text that stands alone, as kubectl reads
// it; text, if it would make anything else of it than a number, a boolean or
// null.
func scalar(s string) any {
	const special = " \t\r\n:#&*!|>%@{}[],`\"'?\\"
	if strings.ContainsAny(s, special) || len(s) > 64 {
		return s
	}
	var v any
	if err := yamlv2.Unmarshal([]byte(s), &v); err != nil {
		return s
	}
	switch v := v.(type) {
	case nil:
		if slices.Contains([]string{"", "~", "null", "Null", "NULL"}, s) { // and not a mark of a document
			return nil
		}
	case bool, int64:
		return v
	case int:
		return int64(v)
	case uint64:
		return float64(v)
	case float64:
		switch {
		case math.IsNaN(v) || math.IsInf(v, 0):
			return s
		case v == math.Trunc(v) && math.Abs(v) < 1<<63:
			return int64(v)
		}
		return v
	}
	return s
}
