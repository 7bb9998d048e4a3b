// Package manifest turns the text of one YAML or JSON file into Kubernetes
// objects, each with the line it starts at.
//
// Values mean what they mean to kubectl: YAML 1.1 with the JSON types of
// Kubernetes, so that 1 is an int64 and 1.5 a float64. What kubectl lets pass
// silently is an error here: a key given twice, and a document that is only
// half an object. A document that has neither apiVersion nor kind is no
// Kubernetes object; it is left out and said to be.
//
// Input is hostile: its size is bounded by the caller, its depth and what its
// aliases expand to by [limit.Limits]. Nothing is read but the text given.
package manifest

import (
	"bytes"
	"path"
	"strings"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/render/limit"
)

// Origin is where an object was written.
type Origin struct {
	// File is the path in the repository.
	File string `json:"file"`
	// Line counts from 1; 0 means that it is not known.
	Line int `json:"line,omitempty"`
}

// Object is a Kubernetes object and where it was written.
type Object struct {
	*unstructured.Unstructured
	Origin Origin
}

// Ignored is something that was found and left out, and why.
type Ignored struct {
	Path   string `json:"path"`
	Line   int    `json:"line,omitempty"`
	Reason string `json:"reason"`
}

// IsManifestName tells whether a file of that name is read for objects.
func IsManifestName(name string) bool {
	switch path.Ext(name) {
	case ".yaml", ".yml", ".json":
		return true
	}
	return false
}

var utf8BOM = []byte("\xef\xbb\xbf")

// Decode returns the objects in content, which was read from file, in order.
// Lists are expanded. Errors are [*fault.Error].
func Decode(file string, content []byte, lim limit.Limits) ([]Object, []Ignored, error) {
	content = bytes.TrimPrefix(content, utf8BOM)
	if !utf8.Valid(content) {
		return nil, nil, fault.New(fault.InvalidYAML, file, invalidLine(content), "is not valid UTF-8").
			WithHint("save the file as UTF-8, or name it in .abideignore")
	}
	d := decoder{file: file, lim: lim}
	var err error
	if path.Ext(file) == ".json" {
		err = d.json(content)
	} else {
		err = d.yaml(content)
	}
	return d.objects, d.ignored, err
}

// invalidLine is the line of the first byte that is not UTF-8.
func invalidLine(content []byte) int {
	line := 1
	for len(content) > 0 {
		r, size := utf8.DecodeRune(content)
		if r == utf8.RuneError && size == 1 {
			return line
		}
		if r == '\n' {
			line++
		}
		content = content[size:]
	}
	return line
}

type decoder struct {
	file    string
	lim     limit.Limits
	objects []Object
	ignored []Ignored
	// templated: see DecodeTemplated, which is told of repeated keys.
	templated bool
	repeated  func(*fault.Error)
}

func (d *decoder) yaml(content []byte) error {
	for _, doc := range splitDocuments(content) {
		v, err := decodeYAML(d.file, doc, d.lim, d.repeated)
		if err != nil {
			return err
		}
		items := func() []int { return itemLines(doc) }
		if err := d.document(v, doc.first, items); err != nil {
			return err
		}
	}
	return nil
}

// document takes one decoded document; itemLines is asked for the lines of
// list items only when there is a list.
func (d *decoder) document(v any, line int, itemLines func() []int) error {
	if v == nil {
		return nil
	}
	m, ok := v.(map[string]any)
	if !ok {
		return d.ignore(line, "not a Kubernetes object: the document is no mapping")
	}
	_, hasVersion := m["apiVersion"]
	_, hasKind := m["kind"]
	if !hasVersion && !hasKind {
		return d.ignore(line, "not a Kubernetes object: it has neither apiVersion nor kind")
	}
	if items, ok := listItems(m); ok {
		return d.list(m, items, line, itemLines())
	}
	return d.object(m, line)
}

// ignore leaves a document out, and keeps to the limit: what is left out is kept
// for people to see.
func (d *decoder) ignore(line int, reason string) error {
	if len(d.ignored) >= d.lim.Objects {
		return fault.New(fault.TooManyObjects, d.file, line, "holds more than %d documents that are no Kubernetes objects", d.lim.Objects).
			WithHint("name the file in .abideignore if it is no Kubernetes manifest")
	}
	d.ignored = append(d.ignored, Ignored{Path: d.file, Line: line, Reason: reason})
	return nil
}

// list adds the items of a list, which may be lists again.
func (d *decoder) list(m map[string]any, items []any, line int, lines []int) error {
	kind := strings.TrimSuffix(m["kind"].(string), "List")
	for i, it := range items {
		at := line
		if i < len(lines) {
			at = lines[i]
		}
		item, ok := it.(map[string]any)
		if !ok {
			return d.invalid(at, "item %d of the %s is no object", i, m["kind"])
		}
		if kind != "" && item["apiVersion"] == nil && item["kind"] == nil {
			item["apiVersion"], item["kind"] = m["apiVersion"], kind
		}
		if inner, ok := listItems(item); ok {
			if err := d.list(item, inner, at, nil); err != nil {
				return err
			}
			continue
		}
		if err := d.object(item, at); err != nil {
			return err
		}
	}
	return nil
}

// listItems tells whether m is a list to expand. A v1 List is one; so is any
// other kind that ends in "List", has no name and holds objects of the kind
// that it says it lists. Everything else is an object, whatever its name.
func listItems(m map[string]any) ([]any, bool) {
	kind, _ := m["kind"].(string)
	version, _ := m["apiVersion"].(string)
	if kind == "List" && version == "v1" {
		items, ok := m["items"].([]any)
		return items, ok || m["items"] == nil
	}
	of, isList := strings.CutSuffix(kind, "List")
	items, ok := m["items"].([]any)
	if !isList || of == "" || !ok || version == "" {
		return nil, false
	}
	if meta, ok := m["metadata"].(map[string]any); ok && meta["name"] != nil {
		return nil, false
	}
	for _, it := range items {
		item, ok := it.(map[string]any)
		if !ok {
			return nil, false
		}
		if item["apiVersion"] == nil && item["kind"] == nil {
			continue
		}
		if item["apiVersion"] != version || item["kind"] != of {
			return nil, false
		}
	}
	return items, true
}

// object adds one object after checking that it has what identifies it.
func (d *decoder) object(m map[string]any, line int) error {
	version, hint := m["apiVersion"], "add it, or name the file in .abideignore if it is no Kubernetes manifest"
	if s, ok := version.(string); !ok || s == "" {
		return d.invalidHint(line, hint, "has kind %s and no apiVersion", text(m["kind"]))
	}
	if s, ok := m["kind"].(string); !ok || s == "" {
		return d.invalidHint(line, hint, "has apiVersion %s and no kind", text(version))
	}
	kind := m["kind"].(string)
	meta, ok := m["metadata"].(map[string]any)
	if !ok && m["metadata"] != nil {
		return d.invalid(line, "%s has a metadata that is no mapping", kind)
	}
	name, ok := meta["name"].(string)
	if !ok || name == "" {
		if generated, _ := meta["generateName"].(string); (d.templated || isHook(meta)) && meta["name"] == nil && generated != "" {
			return d.add(m, line)
		}
		if meta["generateName"] != nil {
			return d.invalidHint(line, "set metadata.name: what is in Git must have the same name at every sync",
				"%s has metadata.generateName and no metadata.name", kind)
		}
		return d.invalidHint(line, "set metadata.name to a string, or name the file in .abideignore if it is no Kubernetes manifest",
			"%s has no metadata.name", kind)
	}
	if ns, has := meta["namespace"]; has && ns != nil {
		if _, ok := ns.(string); !ok {
			return d.invalid(line, "%s %s has a metadata.namespace that is no string", kind, name)
		}
	}
	return d.add(m, line)
}

// isHook tells of an object that runs once, under a name that abide gives each
// run.
func isHook(meta map[string]any) bool {
	annotations, _ := meta["annotations"].(map[string]any)
	for _, name := range []string{"abide.dev/hook", "argocd.argoproj.io/hook", "helm.sh/hook"} {
		if v, _ := annotations[name].(string); v != "" {
			return true
		}
	}
	return false
}

// add takes an object and keeps to the limit.
func (d *decoder) add(m map[string]any, line int) error {
	if len(d.objects) >= d.lim.Objects {
		return fault.New(fault.TooManyObjects, d.file, line, "holds more than %d objects", d.lim.Objects).
			WithHint("split it into several Apps")
	}
	d.objects = append(d.objects, Object{
		Unstructured: &unstructured.Unstructured{Object: m},
		Origin:       Origin{File: d.file, Line: line},
	})
	return nil
}

func (d *decoder) invalid(line int, format string, args ...any) error {
	return fault.New(fault.InvalidObject, d.file, line, format, args...)
}

func (d *decoder) invalidHint(line int, hint, format string, args ...any) error {
	return fault.New(fault.InvalidObject, d.file, line, format, args...).WithHint("%s", hint)
}

// text shows a value in an error; long or structured ones are not quoted.
func text(v any) string {
	s, ok := v.(string)
	if !ok || len(s) > 64 {
		return "(not a short string)"
	}
	return s
}
