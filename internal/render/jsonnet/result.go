package jsonnet

import (
	"fmt"
	"maps"
	"slices"
	"unicode/utf8"

	utiljson "k8s.io/apimachinery/pkg/util/json"

	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/render/limit"
	"abide.dev/abide/internal/render/manifest"
)

// decode reads the objects in what file evaluated to.
func decode(file, text string, lim limit.Limits) ([]manifest.Object, error) {
	if int64(len(text)) > lim.ExpandedBytes {
		return nil, fault.New(fault.TooLarge, file, 0, "gives %d bytes, and at most %d are rendered", len(text), lim.ExpandedBytes).
			WithHint("split it into several files")
	}
	if !utf8.ValidString(text) {
		return nil, fault.New(fault.InvalidObject, file, 0, "gives text that is not valid UTF-8").
			WithHint("import bytes with importbin and encode them with std.base64")
	}
	if depth(text) > lim.Depth {
		return nil, fault.New(fault.TooDeep, file, 0, "gives values nested more than %d levels deep", lim.Depth)
	}
	var v any
	if err := utiljson.Unmarshal([]byte(text), &v); err != nil {
		e := fault.New(fault.InvalidObject, file, 0, "gives no valid JSON")
		e.Err = err
		return nil, e
	}
	d := decoder{file: file, lim: lim}
	if err := d.value("", v); err != nil {
		return nil, err
	}
	return d.objects, nil
}

// depth is how deep JSON is nested: how many brackets are open, outside of
// strings.
func depth(text string) int {
	open, deepest, quoted := 0, 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			open++
			deepest = max(deepest, open)
		case c == '}' || c == ']':
			open--
		}
	}
	return deepest
}

// An Environment of Tanka holds objects in its data and is none for a cluster.
const (
	environmentVersion = "tanka.dev/v1alpha1"
	environmentKind    = "Environment"
)

type decoder struct {
	file    string
	lim     limit.Limits
	objects []manifest.Object
}

// value reads what stands at a path of the result, which is empty for all.
func (d *decoder) value(at string, v any) error {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		for i, item := range v {
			if err := d.value(fmt.Sprintf("%s[%d]", at, i), item); err != nil {
				return err
			}
		}
		return nil
	case map[string]any:
		if v["apiVersion"] == environmentVersion && v["kind"] == environmentKind {
			return d.value(join(at, "data"), v["data"])
		}
		if v["apiVersion"] != nil || v["kind"] != nil {
			return d.object(at, v)
		}
		for _, name := range slices.Sorted(maps.Keys(v)) {
			if err := d.value(join(at, name), v[name]); err != nil {
				return err
			}
		}
		return nil
	case string:
		return d.noObject(at, "a string").WithHint("give objects, not their text: leave std.manifestYamlDoc and the like out")
	case bool:
		return d.noObject(at, "a boolean")
	}
	return d.noObject(at, "a number")
}

func (d *decoder) noObject(at, what string) *fault.Error {
	e := fault.New(fault.InvalidObject, d.file, 0, "its result is %s, where a Kubernetes object must be", what)
	if at != "" {
		e.Msg = fmt.Sprintf("%s of its result is %s, where a Kubernetes object must be", clip(at), what)
	}
	return e.WithHint("hide what is no object with ::, or make the file a .libsonnet if it is a library")
}

func (d *decoder) object(at string, v map[string]any) error {
	found, err := manifest.FromValue(manifest.Origin{File: d.file}, v, d.lim)
	if err != nil {
		if e, ok := err.(*fault.Error); ok && at != "" {
			e.Msg = clip(at) + " of its result: " + e.Msg
		}
		return err
	}
	d.objects = append(d.objects, found...)
	if len(d.objects) > d.lim.Objects {
		return fault.New(fault.TooManyObjects, d.file, 0, "gives more than %d objects", d.lim.Objects).
			WithHint("split it into several Apps")
	}
	return nil
}

func join(at, name string) string {
	if len(name) > 64 {
		name = name[:64]
	}
	if at == "" {
		return name
	}
	return at + "." + name
}
