// Package substitute puts values in the place of ${NAME} in the objects of any
// renderer.
//
// In every text of an object, the keys of mappings included,
//
//   - ${NAME} is the value of NAME; one that is not defined is an error;
//   - ${NAME:=default} and ${NAME:-default} are the value, or the default where
//     NAME is not defined or empty. The default reaches to the next } and is
//     taken as it is;
//   - $${ is a ${ that stays: $${NAME} becomes ${NAME};
//   - any other ${ is an error, and any other $ is a $. Nothing else of a shell
//     is known.
//
// A name is letters, digits and _, and begins with no digit. Values are not
// looked at again.
//
// A value cannot bring structure with it: it is put into a text that was parsed
// before, so whatever it holds, be it lines or colons, it makes no key, no item
// and no document. But a text that consists of placeholders alone
// (`replicas: ${N}`) may become a number, a boolean or null, since that is what
// people mean. What it becomes is decided by the field, and never by quotes,
// which not every renderer keeps:
//
//   - where Kubernetes has text it stays text: apiVersion, kind, all of
//     metadata, and wherever they are found labels, annotations, matchLabels,
//     nodeSelector and the value of an env;
//   - where the schema of a built-in kind gives a type it becomes that, or it
//     is an error;
//   - where no type is known, as in custom resources, it becomes what YAML makes
//     of the same plain text: 3 is a number, true a boolean, nothing is null;
//   - between two placeholders that each stand for one quote, as in
//     ${q}${N}${q}, it stays text, without the quotes; users of Flux know this.
//
// An object with the annotation abide.dev/substitute: disabled, or Flux's
// kustomize.toolkit.fluxcd.io/substitute: disabled as annotation or label, is
// left as it is. Any other value of abide's annotation but "enabled" is an error.
//
// Values may be secret. No error quotes one, and for what a Secret holds none
// quotes the text either. Nothing is kept, and what was given is not changed.
package substitute

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/render/limit"
	"abide.dev/abide/internal/render/manifest"
	"abide.dev/abide/internal/spelling"
)

// The annotations that switch substitution off for an object, where the value
// is Disabled. That of Flux may be a label as well.
const (
	Annotation     = "abide.dev/substitute"
	FluxAnnotation = "kustomize.toolkit.fluxcd.io/substitute"
	Disabled       = "disabled"
)

// Options are what names stand for. With none at all, defaults and escapes
// still work.
type Options struct {
	Variables map[string]Variable `json:"variables,omitempty"`
}

// Variable is a value.
type Variable struct {
	Value string `json:"value"`
	// From says where the value came from, for messages: "Secret shop/values, key
	// replicas".
	From string `json:"from,omitempty"`
}

// Apply returns the objects with values in the place of names. Errors that the
// objects or the options caused are [*fault.Error].
func Apply(ctx context.Context, objects []manifest.Object, o *Options, lim limit.Limits) ([]manifest.Object, error) {
	if o == nil {
		return objects, nil
	}
	left := lim.ExpandedBytes
	out := make([]manifest.Object, len(objects))
	for i, obj := range objects {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		out[i] = obj
		w := walker{variables: o.Variables, object: obj, left: &left, limit: lim.ExpandedBytes}
		if off, err := w.disabled(); err != nil {
			return nil, err
		} else if off {
			continue
		}
		v, changed, err := w.value(ctx, obj.Object)
		if err != nil {
			return nil, err
		}
		if !changed {
			continue
		}
		out[i].Unstructured = &unstructured.Unstructured{Object: v.(map[string]any)}
		if err := w.identity(out[i]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// walker goes through one object.
type walker struct {
	variables map[string]Variable
	object    manifest.Object
	path      []any  // names of fields and indices
	left      *int64 // bytes that may still be written
	limit     int64
}

// disabled tells whether the object is to be left as it is. As with abide's
// other annotations, a value that is not known is an error: a typing mistake
// must not pass for nothing.
func (w *walker) disabled() (bool, error) {
	a := w.object.GetAnnotations()
	switch v := a[Annotation]; v {
	case Disabled:
		return true, nil
	case "", "enabled":
	default:
		return false, w.fault(fault.InvalidObject, "annotation %s is %q", Annotation, clip(v)).
			WithHint("it takes %q or %q", Disabled, "enabled")
	}
	return a[FluxAnnotation] == Disabled || w.object.GetLabels()[FluxAnnotation] == Disabled, nil
}

// value returns v with values in the place of names, and whether that is
// another than v. Parts that stay as they are, are shared with v: text with
// aliases has them in several places already.
func (w *walker) value(ctx context.Context, v any) (any, bool, error) {
	switch v := v.(type) {
	case string:
		return w.text(ctx, v)
	case []any:
		var out []any
		for i, item := range v {
			n, changed, err := w.below(ctx, i, item)
			if err != nil {
				return nil, false, err
			}
			if changed && out == nil {
				out = slices.Clone(v)
			}
			if changed {
				out[i] = n
			}
		}
		if out == nil {
			return v, false, nil
		}
		return out, true, nil
	case map[string]any:
		return w.mapping(ctx, v)
	}
	return v, false, nil
}

func (w *walker) below(ctx context.Context, name, v any) (any, bool, error) {
	w.path = append(w.path, name)
	defer func() { w.path = w.path[:len(w.path)-1] }()
	return w.value(ctx, v)
}

func (w *walker) mapping(ctx context.Context, m map[string]any) (any, bool, error) {
	out := make(map[string]any, len(m))
	any := false
	// In order, so that of several faults it is always the same one.
	for _, name := range slices.Sorted(maps.Keys(m)) {
		key, renamed, err := w.key(name)
		if err != nil {
			return nil, false, err
		}
		v, changed, err := w.below(ctx, name, m[name]) // the key may have a secret in it
		if err != nil {
			return nil, false, err
		}
		if _, twice := out[key]; twice {
			return nil, false, w.fault(fault.InvalidPlaceholder, "two of its keys become the same").WithHint("rename one of them")
		}
		out[key] = v
		any = any || renamed || changed
	}
	if !any {
		return m, false, nil
	}
	return out, true, nil
}

// key substitutes in a key, which is always text.
func (w *walker) key(name string) (string, bool, error) {
	if !strings.Contains(name, "${") {
		return name, false, nil
	}
	parts, err := w.parse(name)
	if err != nil {
		return "", false, err
	}
	s, err := w.join(parts)
	return s, true, err
}

// text substitutes in a value that is text.
func (w *walker) text(ctx context.Context, s string) (any, bool, error) {
	if !strings.Contains(s, "${") {
		return s, false, nil
	}
	parts, err := w.parse(s)
	if err != nil {
		return nil, false, err
	}
	joined, err := w.join(parts)
	if err != nil {
		return nil, false, err
	}
	if slices.ContainsFunc(parts, func(p part) bool { return p.name == "" }) {
		return joined, true, nil
	}
	if inner, ok := w.betweenQuotes(parts); ok {
		return inner, true, nil
	}
	v, err := w.typed(ctx, joined, parts)
	return v, true, err
}

// parse cuts a text into its parts.
func (w *walker) parse(s string) ([]part, error) {
	parts, bad := split(s)
	if bad == "" {
		return parts, nil
	}
	return nil, w.fault(fault.InvalidPlaceholder, "%s", bad).
		WithHint("write $${ for a ${ that stays, or give the object the annotation %s: %s", Annotation, Disabled)
}

// join puts the parts together, and keeps to the limit.
func (w *walker) join(parts []part) (string, error) {
	var out strings.Builder
	for _, p := range parts {
		s, err := w.resolve(p)
		if err != nil {
			return "", err
		}
		if *w.left -= int64(len(s)); *w.left < 0 {
			return "", w.fault(fault.TooLarge, "with it substitution has written more than %d bytes", w.limit).
				WithHint("use shorter values, or fewer of them")
		}
		out.WriteString(s)
	}
	return out.String(), nil
}

// resolve is what one part stands for.
func (w *walker) resolve(p part) (string, error) {
	if p.name == "" {
		return p.text, nil
	}
	v, ok := w.variables[p.name]
	switch {
	case p.hasDefault && v.Value == "":
		return p.text, nil
	case ok:
		return v.Value, nil
	case w.secret():
		return "", w.fault(fault.UndefinedVariable, "has a ${…} whose variable is not defined").WithHint("%s", undefined)
	}
	e := w.fault(fault.UndefinedVariable, "has ${%s}, and there is no such variable", clip(p.name))
	if near := w.near(p.name); near != "" {
		return "", e.WithHint("did you mean %s?", near)
	}
	return "", e.WithHint("%s", undefined)
}

const undefined = "define it in spec.render.substitute, give it a default with ${NAME:=default}, or write $${NAME} for what is to stay"

// maxNear is how many names a hint gives.
const maxNear = 3

// near lists names that are spelt like the one that is missing, best first.
func (w *walker) near(name string) string {
	if len(name) > 64 {
		return ""
	}
	cost := map[string]int{}
	var names []string
	for _, have := range slices.Sorted(maps.Keys(w.variables)) {
		if len(have) > 64 {
			continue
		}
		if d := spelling.Distance(strings.ToLower(name), strings.ToLower(have)); d <= 1+len(name)/3 {
			cost[have] = d
			names = append(names, have)
		}
	}
	slices.SortStableFunc(names, func(a, b string) int { return cost[a] - cost[b] })
	for i := range names {
		names[i] = "${" + names[i] + "}"
	}
	return strings.Join(names[:min(len(names), maxNear)], " or ")
}

// betweenQuotes is the text between two placeholders that each stand for one
// and the same quote.
func (w *walker) betweenQuotes(parts []part) (string, bool) {
	if len(parts) < 2 {
		return "", false
	}
	value := func(p part) string {
		s, _ := w.resolve(p) // resolved before
		return s
	}
	first, last := value(parts[0]), value(parts[len(parts)-1])
	if first != last || first != `"` && first != `'` {
		return "", false
	}
	var out strings.Builder
	for _, p := range parts[1 : len(parts)-1] {
		out.WriteString(value(p))
	}
	return out.String(), true
}

// identity checks that what makes an object one is still there.
func (w *walker) identity(o manifest.Object) error {
	for _, f := range []struct{ name, value string }{
		{"apiVersion", o.GetAPIVersion()}, {"kind", o.GetKind()}, {"metadata.name", o.GetName() + o.GetGenerateName()},
	} {
		if f.value == "" {
			return fault.New(fault.InvalidObject, o.Origin.File, o.Origin.Line, "%s has no %s once its variables have values", w.title(), f.name)
		}
	}
	return nil
}

// secret tells whether the text at hand is that of a Secret.
func (w *walker) secret() bool {
	if w.object.GetKind() != "Secret" || len(w.path) == 0 {
		return false
	}
	return w.path[0] == "data" || w.path[0] == "stringData"
}

func (w *walker) title() string {
	return clip(w.object.GetKind() + " " + w.object.GetName())
}

// fault names file, object and field.
func (w *walker) fault(reason, format string, args ...any) *fault.Error {
	at := w.object.Origin
	e := fault.New(reason, at.File, at.Line, format, args...)
	if field := w.field(); field != "" {
		e.Msg = field + " " + e.Msg
	}
	e.Msg = w.title() + ": " + e.Msg
	return e
}

// field is the path at hand as people write it.
func (w *walker) field() string {
	var out strings.Builder
	for _, p := range w.path {
		switch p := p.(type) {
		case int:
			fmt.Fprintf(&out, "[%d]", p)
		case string:
			if strings.Trim(p, letters) != "" || p == "" {
				fmt.Fprintf(&out, "[%s]", strconv.Quote(clip(p)))
				continue
			}
			if out.Len() > 0 {
				out.WriteByte('.')
			}
			out.WriteString(clip(p))
		}
	}
	return out.String()
}

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

func clip(s string) string {
	s = strings.ToValidUTF8(s, "�")
	if len(s) > 128 {
		s = strings.ToValidUTF8(s[:128], "") + "…"
	}
	return s
}
