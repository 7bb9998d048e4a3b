package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	apiextv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// Page returns the reference page of a CRD, from the version that is stored.
func Page(crd *apiextv1.CustomResourceDefinition) (string, error) {
	i := slices.IndexFunc(crd.Spec.Versions, func(v apiextv1.CustomResourceDefinitionVersion) bool { return v.Storage })
	if i < 0 || crd.Spec.Versions[i].Schema == nil || crd.Spec.Versions[i].Schema.OpenAPIV3Schema == nil {
		return "", errors.New("no stored version with a schema")
	}
	version := crd.Spec.Versions[i]
	root := version.Schema.OpenAPIV3Schema
	names := crd.Spec.Names

	var w strings.Builder
	w.WriteString("<!-- Generated from api/v1alpha1 by make generate: change the comments there. -->\n\n")
	fmt.Fprintf(&w, "# %s\n\n%s\n\n", names.Kind, paragraphs(root.Description))
	fmt.Fprintf(&w, "`apiVersion: %s/%s`, `kind: %s`, %s. With kubectl: `%s`.\n",
		crd.Spec.Group, version.Name, names.Kind, strings.ToLower(string(crd.Spec.Scope)),
		strings.Join(append([]string{names.Plural}, names.ShortNames...), "`, `"))
	writeRules(&w, "\n", root.XValidations)

	sections := slices.SortedFunc(maps.Keys(root.Properties), func(a, b string) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), strings.Compare(a, b))
	})
	plain := apiextv1.JSONSchemaProps{Properties: map[string]apiextv1.JSONSchemaProps{}, Required: root.Required}
	for _, name := range sections {
		switch name {
		case "apiVersion", "kind", "metadata":
		case "spec", "status":
			s := root.Properties[name]
			fmt.Fprintf(&w, "\n## %s\n\n%s\n", name, paragraphs(s.Description))
			writeRules(&w, "\n", s.XValidations)
			writeFields(&w, name+".", s)
		default:
			plain.Properties[name] = root.Properties[name]
		}
	}
	if len(plain.Properties) > 0 {
		w.WriteString("\n## Fields\n")
		writeFields(&w, "", plain)
	}
	writeColumns(&w, version)
	return w.String(), nil
}

// rank puts what people write before what abide answers.
func rank(name string) int {
	return slices.Index([]string{"spec", "status"}, name)
}

// writeFields writes one section per field of s, those of objects in it right
// after it. The prefix is the path of s.
func writeFields(w *strings.Builder, prefix string, s apiextv1.JSONSchemaProps) {
	for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
		f := s.Properties[name]
		path := prefix + name
		fmt.Fprintf(w, "\n### %s\n\n", path)
		fmt.Fprintf(w, "*%s*\n", strings.Join(facts(f, slices.Contains(s.Required, name)), ", "))
		if f.Description != "" {
			fmt.Fprintf(w, "\n%s\n", paragraphs(f.Description))
		}
		writeRules(w, "\n", f.XValidations)
		switch {
		case name == "conditions":
			w.WriteString("\nEach is a condition as Kubernetes has them: type, status, reason, message,\nobservedGeneration and lastTransitionTime.\n")
		case f.Items != nil && f.Items.Schema != nil:
			writeFields(w, path+"[].", *f.Items.Schema)
		case isObject(f):
			writeFields(w, path+".", f)
		}
	}
}

func isObject(s apiextv1.JSONSchemaProps) bool { return len(s.Properties) > 0 }

// facts are what the API server checks of a field, in a fixed order.
func facts(f apiextv1.JSONSchemaProps, required bool) []string {
	out := []string{typeName(f)}
	if required {
		out = append(out, "required")
	}
	if f.Default != nil {
		if d := string(f.Default.Raw); d != "{}" {
			out = append(out, "default `"+d+"`")
		}
	}
	if len(f.Enum) > 0 {
		var values []string
		for _, e := range f.Enum {
			values = append(values, "`"+strings.Trim(string(e.Raw), `"`)+"`")
		}
		out = append(out, "one of "+strings.Join(values, ", "))
	}
	out = append(out, bounds(f)...)
	if f.Pattern != "" {
		out = append(out, "pattern `"+f.Pattern+"`")
	}
	return out
}

// bounds are the limits on a length, a value or a number of items.
func bounds(f apiextv1.JSONSchemaProps) []string {
	var out []string
	limits := func(lo, hi *int64, unit string) {
		switch {
		case lo != nil && hi != nil:
			out = append(out, fmt.Sprintf("%d to %d %s", *lo, *hi, unit))
		case hi != nil:
			out = append(out, fmt.Sprintf("at most %d %s", *hi, unit))
		case lo != nil:
			out = append(out, fmt.Sprintf("at least %d %s", *lo, unit))
		}
	}
	limits(f.MinLength, f.MaxLength, "characters")
	limits(f.MinItems, f.MaxItems, "items")
	number := func(n float64) string { return strconv.FormatFloat(n, 'f', -1, 64) }
	switch {
	case f.Minimum != nil && f.Maximum != nil:
		out = append(out, number(*f.Minimum)+" to "+number(*f.Maximum))
	case f.Minimum != nil:
		out = append(out, "at least "+number(*f.Minimum))
	case f.Maximum != nil:
		out = append(out, "at most "+number(*f.Maximum))
	}
	return out
}

func typeName(f apiextv1.JSONSchemaProps) string {
	switch {
	case f.Type == "array" && f.Items != nil && f.Items.Schema != nil:
		return "list of " + typeName(*f.Items.Schema)
	case f.Format == "date-time":
		return "time"
	}
	return f.Type
}

// writeRules writes the message of each CEL rule, which is written for people.
func writeRules(w *strings.Builder, before string, rules apiextv1.ValidationRules) {
	for i, r := range rules {
		if i == 0 {
			w.WriteString(before)
		}
		fmt.Fprintf(w, "- %s\n", cmp.Or(r.Message, "`"+r.Rule+"`"))
	}
}

func writeColumns(w *strings.Builder, v apiextv1.CustomResourceDefinitionVersion) {
	if len(v.AdditionalPrinterColumns) > 0 {
		w.WriteString("\n## Columns of kubectl get\n\n| column | from |\n| --- | --- |\n")
		for _, c := range v.AdditionalPrinterColumns {
			fmt.Fprintf(w, "| %s | `%s` |\n", c.Name, c.JSONPath)
		}
	}
	if len(v.SelectableFields) > 0 {
		var paths []string
		for _, f := range v.SelectableFields {
			paths = append(paths, "`"+strings.TrimPrefix(f.JSONPath, ".")+"`")
		}
		fmt.Fprintf(w, "\nField selectors: %s.\n", strings.Join(paths, ", "))
	}
}

// paragraphs joins the lines of a comment. Angle brackets would be taken for
// HTML.
func paragraphs(text string) string {
	return strings.NewReplacer("<", "&lt;", ">", "&gt;").Replace(strings.TrimSpace(text))
}
