package kustomize

import (
	"context"

	"sigs.k8s.io/kustomize/kyaml/openapi"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// IntOrString is the type of a field that takes a number or a string.
const IntOrString = "int-or-string"

// FieldType returns the type that the library's built-in schema gives a field of
// an object: "string", "integer", "number", "boolean", "object", "array" or
// [IntOrString]; empty if it does not know. The elements of path are names of
// fields (string) and indices (int).
func FieldType(ctx context.Context, apiVersion, kind string, path []any) (string, error) {
	var found string
	var err error
	look := func() {
		defer recovered(&err)
		found = fieldType(openapi.SchemaForResourceType(yaml.TypeMeta{APIVersion: apiVersion, Kind: kind}), path)
	}
	if held := ordinary(ctx, look); held != nil {
		return "", held
	}
	return found, err
}

func fieldType(s *openapi.ResourceSchema, path []any) string {
	for _, p := range path {
		if s.IsMissingOrNull() {
			return ""
		}
		if name, ok := p.(string); ok {
			s = s.Field(name)
		} else {
			s = s.Elements()
		}
	}
	switch {
	case s.IsMissingOrNull() || len(s.Schema.Type) != 1:
		return ""
	case s.Schema.Format == IntOrString:
		return IntOrString
	}
	return s.Schema.Type[0]
}
