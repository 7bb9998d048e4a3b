package overlay

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"abide.dev/abide/internal/render/manifest"
	"abide.dev/abide/internal/spelling"
)

// stream writes objects as documents of JSON, which says of every value what
// it is, where text in YAML depends on who reads it.
func stream(objects []manifest.Object, inside []int) (string, error) {
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	for n, i := range inside {
		if n > 0 {
			out.WriteString("---\n")
		}
		if err := enc.Encode(objects[i].Object); err != nil {
			return "", fmt.Errorf("writing %s %s as JSON: %w", objects[i].GetKind(), objects[i].GetName(), err)
		}
	}
	return readable(out.String()), nil
}

// readable escapes what JSON lets stand in a string and YAML does not, or takes
// for the end of a line.
func readable(s string) string {
	odd := func(r rune) bool { return r >= 0x7f && r <= 0x9f || r == 0xfeff || r == 0xfffe || r == 0xffff }
	if strings.IndexFunc(s, odd) < 0 {
		return s
	}
	var out strings.Builder
	for _, r := range s {
		if odd(r) {
			fmt.Fprintf(&out, `\u%04x`, r)
		} else {
			out.WriteRune(r)
		}
	}
	return out.String()
}

// merge gives each object of out the origin of the one it was, and puts those
// that Kustomize did not see back in their places.
func merge(objects []manifest.Object, inside []int, out []manifest.Object, o *Options) *Output {
	was := sources(objects, inside, out, o)
	merged := &Output{Objects: make([]manifest.Object, 0, len(objects)), From: make([]int, 0, len(objects))}
	next, known := 0, 0
	for i := range objects {
		if known < len(inside) && inside[known] == i {
			known++
			for ; next < len(out) && was[next] == i; next++ {
				out[next].Origin = objects[i].Origin
				merged.add(out[next], i)
			}
			continue
		}
		merged.add(objects[i], i)
	}
	return merged
}

func (o *Output) add(obj manifest.Object, from int) {
	o.Objects, o.From = append(o.Objects, obj), append(o.From, from)
}

// sources tells for each object of out which of objects it was, in rising
// order. Kustomize keeps the order and adds none; a patch may delete some, and
// where it also renames some the place is a guess among neighbours.
func sources(objects []manifest.Object, inside []int, out []manifest.Object, o *Options) []int {
	if len(out) == len(inside) {
		return inside
	}
	was := make([]int, len(out))
	from := 0
	for n, obj := range out {
		spare := len(inside) - from - (len(out) - n) // how many may still be skipped
		at := from
		for k := from; k <= from+spare; k++ {
			if same(objects[inside[k]], obj, o) {
				at = k
				break
			}
		}
		at = min(at, len(inside)-1)
		was[n] = inside[at]
		from = at + 1
	}
	return was
}

// same tells whether after is what becomes of before, unless a patch renames it.
func same(before, after manifest.Object, o *Options) bool {
	name := before.GetName()
	return before.GroupVersionKind() == after.GroupVersionKind() && before.GetNamespace() == after.GetNamespace() &&
		(after.GetName() == name || after.GetName() == o.NamePrefix+name+o.NameSuffix)
}

// noTarget says that a patch selects nothing, and what it may have meant.
func noTarget(i int, t *Selector, objects []manifest.Object, inside []int) error {
	e := failed(fmt.Sprintf("spec.render.patches[%d]", i), "has a target that selects no object")
	var near []string
	for _, k := range inside {
		o := objects[k]
		if t.Kind != "" && !strings.EqualFold(t.Kind, o.GetKind()) {
			continue
		}
		if t.Name == "" || len(t.Name) > 64 || len(o.GetName()) > 64 || spelling.Distance(t.Name, o.GetName()) <= 1+len(t.Name)/3 {
			near = append(near, o.GetKind()+" "+o.GetName())
		}
	}
	near = slices.Compact(near)
	if len(near) > 0 {
		return e.WithHint("there is %s", strings.Join(near[:min(len(near), 3)], ", "))
	}
	return e.WithHint("correct it, or remove the patch")
}

func clip(s string) string {
	s, _, _ = strings.Cut(strings.ToValidUTF8(s, "�"), "\n")
	if len(s) > 128 {
		s = strings.ToValidUTF8(s[:128], "") + "…"
	}
	return s
}
