package health

import (
	"errors"
	"fmt"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// maxConditions is how many conditions an object may have, so that a function is
// cheap whatever the object is.
const maxConditions = 256

// functions are those that abide adds to CEL. All are called on an object or on a
// part of it. What is absent is the empty text, 0, false or an empty list; what is
// there and of another type is an error.
func functions() []cel.EnvOption {
	object, text := cel.DynType, cel.StringType
	one := func(name string, result *cel.Type, f func(o map[string]any, arg string) (any, error)) cel.EnvOption {
		return cel.Function(name, cel.MemberOverload("abide_"+name, []*cel.Type{object, text}, result,
			cel.BinaryBinding(func(self, arg ref.Val) ref.Val { return answer(self, arg, f) })))
	}
	return []cel.EnvOption{
		one("condition", cel.MapType(text, text), conditionOf),
		one("is", cel.BoolType, conditionHas("True")),
		one("isNot", cel.BoolType, conditionHas("False")),
		one("reason", text, func(o map[string]any, kind string) (any, error) {
			c, err := find(o, kind)
			return c.reason, err
		}),
		one("why", text, conditionWhy),
		one("text", text, func(o map[string]any, path string) (any, error) { return at[string](o, path, "text") }),
		one("flag", cel.BoolType, func(o map[string]any, path string) (any, error) { return at[bool](o, path, "true or false") }),
		one("list", cel.ListType(cel.DynType), func(o map[string]any, path string) (any, error) {
			l, err := at[[]any](o, path, "a list")
			if l == nil {
				l = []any{}
			}
			return l, err
		}),
		one("annotation", text, func(o map[string]any, name string) (any, error) { return metadataOf(o, "annotations", name) }),
		one("label", text, func(o map[string]any, name string) (any, error) { return metadataOf(o, "labels", name) }),
		cel.Function("number",
			cel.MemberOverload("abide_number", []*cel.Type{object, text}, cel.IntType,
				cel.BinaryBinding(func(self, arg ref.Val) ref.Val { return answer(self, arg, numberOr(0)) })),
			cel.MemberOverload("abide_number_or", []*cel.Type{object, text, cel.IntType}, cel.IntType,
				cel.FunctionBinding(func(args ...ref.Val) ref.Val {
					otherwise, ok := args[2].(types.Int)
					if !ok {
						return types.MaybeNoSuchOverloadErr(args[2])
					}
					return answer(args[0], args[1], numberOr(int64(otherwise)))
				}))),
	}
}

// answer calls a function on an object.
func answer(self, arg ref.Val, f func(map[string]any, string) (any, error)) ref.Val {
	o, ok := self.Value().(map[string]any)
	if !ok {
		return types.WrapErr(fmt.Errorf("%s is no object with fields", self.Type().TypeName()))
	}
	name, ok := arg.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(arg)
	}
	v, err := f(o, string(name))
	if err != nil {
		return types.WrapErr(err)
	}
	return types.DefaultTypeAdapter.NativeToValue(v)
}

// field returns what is at a path of names with dots between them; nil if there is
// nothing.
func field(o map[string]any, path string) (any, error) {
	for rest := path; ; {
		name, more, found := strings.Cut(rest, ".")
		v := o[name]
		if v == nil || !found {
			return v, nil
		}
		m, ok := v.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("%s: %s has no fields", path, name)
		}
		o, rest = m, more
	}
}

// at returns what is at a path and of a type, or the zero value.
func at[T any](o map[string]any, path, what string) (v T, err error) {
	raw, err := field(o, path)
	if raw == nil || err != nil {
		return v, err
	}
	v, ok := raw.(T)
	if !ok {
		return v, fmt.Errorf("%s is not %s", path, what)
	}
	return v, nil
}

func numberOr(otherwise int64) func(map[string]any, string) (any, error) {
	return func(o map[string]any, path string) (any, error) {
		raw, err := field(o, path)
		if err != nil {
			return nil, err
		}
		switch n := raw.(type) {
		case nil:
			return otherwise, nil
		case int64:
			return n, nil
		case float64:
			return int64(n), nil
		}
		return nil, fmt.Errorf("%s is not a number", path)
	}
}

func metadataOf(o map[string]any, which, name string) (any, error) {
	all, err := at[map[string]any](o, "metadata."+which, "a map")
	if err != nil {
		return nil, err
	}
	v, _ := all[name].(string)
	return v, nil
}

// condition is one of an object's conditions.
type condition struct{ kind, status, reason, message string }

// find looks for a condition in status.conditions or, in a part of a status, in
// conditions; without it all of it is empty. One about an older generation of the
// object has no status any more.
func find(o map[string]any, kind string) (c condition, err error) {
	all, err := conditionsOf(o)
	if err != nil {
		return c, err
	}
	if len(all) > maxConditions {
		return c, fmt.Errorf("it has more than %d conditions", maxConditions)
	}
	for _, raw := range all {
		m, ok := raw.(map[string]any)
		if !ok {
			return c, errors.New("a condition has no fields")
		}
		if m["type"] != kind {
			continue
		}
		c.kind = kind
		c.status, _ = m["status"].(string)
		c.reason, _ = m["reason"].(string)
		c.message, _ = m["message"].(string)
		seen, known := m["observedGeneration"].(int64)
		md, _ := o["metadata"].(map[string]any)
		if generation, ok := md["generation"].(int64); ok && known && seen > 0 && seen < generation {
			c.status = ""
		}
		return c, nil
	}
	return c, nil
}

// conditionsOf are the conditions of an object, or of a part of one.
func conditionsOf(o map[string]any) ([]any, error) {
	path := "status.conditions"
	if _, part := o["conditions"]; part {
		path = "conditions"
	}
	return at[[]any](o, path, "a list")
}

func conditionOf(o map[string]any, kind string) (any, error) {
	c, err := find(o, kind)
	if err != nil {
		return nil, err
	}
	return map[string]string{"type": c.kind, "status": c.status, "reason": c.reason, "message": c.message}, nil
}

func conditionHas(status string) func(map[string]any, string) (any, error) {
	return func(o map[string]any, kind string) (any, error) {
		c, err := find(o, kind)
		return c.status == status, err
	}
}

// conditionWhy is what a condition says: "Reason: message".
func conditionWhy(o map[string]any, kind string) (any, error) {
	c, err := find(o, kind)
	switch {
	case err != nil:
		return nil, err
	case c.kind == "":
		return "it has no condition " + kind + " yet", nil
	case c.reason == "" && c.message == "":
		return kind + " is " + c.status, nil
	case c.message == "":
		return c.reason, nil
	case c.reason == "":
		return c.message, nil
	}
	return c.reason + ": " + c.message, nil
}
