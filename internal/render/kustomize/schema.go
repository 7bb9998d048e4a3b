package kustomize

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"k8s.io/kube-openapi/pkg/validation/spec"
	"sigs.k8s.io/yaml"

	"abide.dev/abide/internal/render/fault"
)

// maxDefinitionPaths bounds how many ways lead through the definitions of a
// crds file; the library walks each of them.
const maxDefinitionPaths = 100_000

// checkDefinitions refuses a crds file whose definitions contain themselves:
// the library would follow them until the stack of the process overflows,
// which nothing can recover from.
func checkDefinitions(file string, content []byte) error {
	var defs map[string]struct{ Schema spec.Schema }
	var err error
	if content[0] == '{' {
		err = json.Unmarshal(content, &defs)
	} else {
		err = yaml.Unmarshal(content, &defs)
	}
	if err != nil {
		e := fault.New(fault.InvalidYAML, file, 0, "holds no definitions of types: %s", shorten(err.Error()))
		e.Err = err
		return e
	}
	const open = -1
	paths := map[string]int{} // ways from a definition on
	var count func(name string) (int, bool)
	count = func(name string) (int, bool) {
		if n, ok := paths[name]; ok {
			return n, n != open
		}
		paths[name] = open
		total := 1
		for _, p := range defs[name].Schema.Properties {
			if total++; p.Ref.GetURL() == nil {
				continue
			}
			n, ok := count(p.Ref.String())
			if !ok {
				return 0, false
			}
			total = min(total+n, maxDefinitionPaths+1)
		}
		paths[name] = total
		return total, true
	}
	total := 0
	for _, name := range slices.Sorted(maps.Keys(defs)) { // so that the same fault is named each time
		n, ok := count(name)
		if !ok {
			return fault.New(fault.InvalidKustomization, file, 0, "has a definition that contains itself (%s)", shorten(name)).
				WithHint("list only the types whose fields refer to other objects")
		}
		if total += n; total > maxDefinitionPaths {
			return fault.New(fault.TooLarge, file, 0, "its definitions refer to each other in more than %d ways", maxDefinitionPaths)
		}
	}
	return nil
}

const definitionPrefix = "#/definitions/"

// checkSchema refuses an openapi file with a reference that leads only to
// other references and back, which the library would follow for ever, or to
// another place than a definition.
func checkSchema(file string, content []byte) error {
	var doc struct {
		Definitions map[string]json.RawMessage `json:"definitions"`
	}
	if err := yaml.Unmarshal(content, &doc); err != nil {
		e := fault.New(fault.InvalidYAML, file, 0, "is no OpenAPI document: %s", shorten(err.Error()))
		e.Err = err
		return e
	}
	next := map[string]string{} // definitions that are nothing but a reference
	for _, name := range slices.Sorted(maps.Keys(doc.Definitions)) {
		var d any
		if err := json.Unmarshal(doc.Definitions[name], &d); err != nil {
			return fault.New(fault.InvalidYAML, file, 0, "has a definition that does not parse (%s)", shorten(name))
		}
		if err := checkRefs(file, d); err != nil {
			return err
		}
		if m, ok := d.(map[string]any); ok {
			if ref, ok := m["$ref"].(string); ok {
				next[name] = strings.TrimPrefix(ref, definitionPrefix)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(next)) {
		at := name
		for range len(next) + 1 {
			to, ok := next[at]
			if !ok {
				at = ""
				break
			}
			at = to
		}
		if at != "" {
			return fault.New(fault.InvalidKustomization, file, 0, "has a definition that refers to itself (%s)", shorten(name))
		}
	}
	return nil
}

func checkRefs(file string, v any) error {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			item := v[k]
			if ref, ok := item.(string); ok && k == "$ref" {
				name, ok := strings.CutPrefix(ref, definitionPrefix)
				if !ok || strings.ContainsAny(name, "/~%") {
					return fault.New(fault.InvalidKustomization, file, 0, "has a reference to %s, and only those to %sNAME are followed", quote(ref), definitionPrefix)
				}
			}
			if err := checkRefs(file, item); err != nil {
				return err
			}
		}
	case []any:
		for _, item := range v {
			if err := checkRefs(file, item); err != nil {
				return err
			}
		}
	}
	return nil
}
