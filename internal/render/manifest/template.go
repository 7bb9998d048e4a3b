package manifest

import (
	"bytes"
	"errors"
	"unicode/utf8"

	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/render/limit"
)

// DecodeTemplated is [Decode] for the text that a template gave, which is YAML
// whatever the name of the file. It is more lenient, since people have charts
// that do so and that install: of a key that is written twice the last one
// holds, and what was repeated is returned, as faults; and an object may have
// a generateName and no name, which is common for hooks. Lines are those of
// the text, not of the template.
func DecodeTemplated(file string, content []byte, lim limit.Limits) (objects []Object, ignored []Ignored, repeated []*fault.Error, err error) {
	content = bytes.TrimPrefix(content, utf8BOM)
	if !utf8.Valid(content) {
		return nil, nil, nil, fault.New(fault.InvalidYAML, file, invalidLine(content), "is not valid UTF-8")
	}
	d := decoder{file: file, lim: lim, templated: true, repeated: func(e *fault.Error) { repeated = append(repeated, e) }}
	err = d.yaml(content)
	return d.objects, d.ignored, repeated, err
}

// SyntaxError returns what makes text no YAML of mappings, with its line, or
// nil if it is such YAML. It is for text that another decoder refused.
func SyntaxError(file string, content []byte, lim limit.Limits) *fault.Error {
	content = bytes.TrimPrefix(content, utf8BOM)
	if !utf8.Valid(content) {
		return fault.New(fault.InvalidYAML, file, invalidLine(content), "is not valid UTF-8")
	}
	for _, doc := range splitDocuments(content) {
		v, err := decodeYAML(file, doc, lim, func(*fault.Error) {})
		var e *fault.Error
		if errors.As(err, &e) {
			return e
		}
		if _, ok := v.(map[string]any); v != nil && !ok {
			return fault.New(fault.InvalidYAML, file, doc.first, "is no mapping of names to values")
		}
	}
	return nil
}
