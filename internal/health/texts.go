package health

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// maxText is how long a text may be that one of these functions takes or gives,
// in bytes. The functions of this sort that CEL's own extension has make texts of
// any length out of short ones; their cost is counted when it is too late.
const maxText = 64 << 10

// maxItems is how many items a list may have that one of these functions takes or
// gives.
const maxItems = 4096

var errTooLong = fmt.Errorf("a text has more than %d bytes", maxText)

// texts are functions on texts, named as in CEL's extension for strings and doing
// the same within the bounds above.
func texts() []cel.EnvOption {
	text, list := cel.StringType, cel.ListType(cel.StringType)
	unary := func(name string, f func(string) string) cel.EnvOption {
		return cel.Function(name, cel.MemberOverload("abide_"+name, []*cel.Type{text}, text,
			cel.UnaryBinding(func(self ref.Val) ref.Val {
				s, err := textOf(self)
				if err != nil {
					return types.WrapErr(err)
				}
				return types.String(f(s))
			})))
	}
	return []cel.EnvOption{
		unary("trim", strings.TrimSpace),
		unary("lowerAscii", asciiCase('A', 'a')),
		unary("upperAscii", asciiCase('a', 'A')),
		cel.Function("join",
			cel.MemberOverload("abide_join", []*cel.Type{list}, text,
				cel.UnaryBinding(func(l ref.Val) ref.Val { return join(l, types.String("")) })),
			cel.MemberOverload("abide_join_by", []*cel.Type{list, text}, text, cel.BinaryBinding(join))),
		cel.Function("split", cel.MemberOverload("abide_split", []*cel.Type{text, text}, list, cel.BinaryBinding(split))),
		cel.Function("replace", cel.MemberOverload("abide_replace", []*cel.Type{text, text, text}, text, cel.FunctionBinding(replace))),
		cel.Function("format", cel.MemberOverload("abide_format", []*cel.Type{text, cel.ListType(cel.DynType)}, text, cel.BinaryBinding(format))),
	}
}

// textOf is a text, if it is not too long.
func textOf(v ref.Val) (string, error) {
	s, ok := v.(types.String)
	switch {
	case !ok:
		return "", fmt.Errorf("%s is not text", v.Type().TypeName())
	case len(s) > maxText:
		return "", errTooLong
	}
	return string(s), nil
}

// asciiCase moves the letters from the alphabet that begins with one letter to
// that which begins with the other.
func asciiCase(from, to rune) func(string) string {
	return func(s string) string {
		return strings.Map(func(r rune) rune {
			if r >= from && r < from+26 {
				return r - from + to
			}
			return r
		}, s)
	}
}

// items are those of a list, which may be longer than what its maker paid for.
func items(v ref.Val) ([]ref.Val, error) {
	l, ok := v.(traits.Lister)
	if !ok {
		return nil, fmt.Errorf("%s is not a list", v.Type().TypeName())
	}
	var out []ref.Val
	for it := l.Iterator(); it.HasNext() == types.True; {
		if len(out) == maxItems {
			return nil, fmt.Errorf("a list has more than %d items", maxItems)
		}
		out = append(out, it.Next())
	}
	return out, nil
}

func join(list, by ref.Val) ref.Val {
	all, err := items(list)
	if err != nil {
		return types.WrapErr(err)
	}
	separator, err := textOf(by)
	if err != nil {
		return types.WrapErr(err)
	}
	var b strings.Builder
	for i, v := range all {
		s, err := textOf(v)
		if err != nil {
			return types.WrapErr(err)
		}
		if i > 0 {
			b.WriteString(separator)
		}
		b.WriteString(s)
		if b.Len() > maxText {
			return types.WrapErr(errTooLong)
		}
	}
	return types.String(b.String())
}

func split(self, by ref.Val) ref.Val {
	s, err := textOf(self)
	if err != nil {
		return types.WrapErr(err)
	}
	separator, err := textOf(by)
	if err != nil {
		return types.WrapErr(err)
	}
	parts := strings.SplitN(s, separator, maxItems+1)
	if len(parts) > maxItems {
		return types.WrapErr(fmt.Errorf("a text has more than %d parts", maxItems))
	}
	return types.NewStringList(types.DefaultTypeAdapter, parts)
}

func replace(args ...ref.Val) ref.Val {
	var s [3]string
	for i := range s {
		var err error
		if s[i], err = textOf(args[i]); err != nil {
			return types.WrapErr(err)
		}
	}
	if len(s[0])+strings.Count(s[0], s[1])*(len(s[2])-len(s[1])) > maxText {
		return types.WrapErr(errTooLong)
	}
	return types.String(strings.ReplaceAll(s[0], s[1], s[2]))
}

// format puts arguments into a text: %s takes a text, a number or a truth, %d a
// whole number, %% is a percent sign.
func format(self, list ref.Val) ref.Val {
	pattern, err := textOf(self)
	if err != nil {
		return types.WrapErr(err)
	}
	args, err := items(list)
	if err != nil {
		return types.WrapErr(err)
	}
	var b strings.Builder
	for {
		before, after, found := strings.Cut(pattern, "%")
		b.WriteString(before)
		if !found {
			break
		}
		verb := after[:min(1, len(after))]
		if verb == "%" {
			b.WriteByte('%')
		} else {
			if len(args) == 0 {
				return types.WrapErr(fmt.Errorf("format: no argument for %%%s", verb))
			}
			s, err := formatted(verb, args[0])
			if err != nil {
				return types.WrapErr(err)
			}
			b.WriteString(s)
			args = args[1:]
		}
		if b.Len() > maxText {
			return types.WrapErr(errTooLong)
		}
		pattern = after[1:]
	}
	if len(args) > 0 {
		return types.WrapErr(errors.New("format: more arguments than places for them"))
	}
	return types.String(b.String())
}

// formatted is an argument as a verb wants it.
func formatted(verb string, v ref.Val) (string, error) {
	switch v := v.(type) {
	case types.String:
		if verb == "s" {
			return textOf(v)
		}
	case types.Bool:
		if verb == "s" {
			return strconv.FormatBool(bool(v)), nil
		}
	case types.Double:
		if verb == "s" {
			return strconv.FormatFloat(float64(v), 'g', -1, 64), nil
		}
	case types.Int:
		if verb == "s" || verb == "d" {
			return strconv.FormatInt(int64(v), 10), nil
		}
	case types.Uint:
		if verb == "s" || verb == "d" {
			return strconv.FormatUint(uint64(v), 10), nil
		}
	}
	if verb != "s" && verb != "d" {
		return "", fmt.Errorf("format: it knows %%s, %%d and %%%%, not %%%s", verb)
	}
	return "", fmt.Errorf("format: %%%s does not take %s", verb, v.Type().TypeName())
}
