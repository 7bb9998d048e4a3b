package object

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"hash"
	"io"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"abide.dev/abide/api/v1alpha1"
)

// Print is what can be told of a live object from its own managedFields.
type Print struct {
	// Fingerprint is the hash of the fields that abide owns, and their values;
	// empty when abide owns none.
	Fingerprint string
	// APIVersion is the version in which abide applied the object. A fingerprint
	// can only be taken from the object as seen in that version.
	APIVersion string
}

// Fingerprint takes the fingerprint of a live object. It hashes the set of
// fields that the manager "abide" owns, and the value of each: a field that has
// owned fields below it counts by those, an owned leaf counts whole, minus what
// other managers own below it (a map that was applied empty and one that is
// atomic look alike in managedFields). A change to a field that abide does not
// own leaves the fingerprint as it is; a field taken from abide changes it.
//
// The format of managedFields is that of the server-side apply KEP (sigs.k8s.io
// structured-merge-diff, FieldsV1): f: a field, k: an item by its keys, v: an
// item by its value, i: an item by its index, "." the thing itself.
func Fingerprint(u *unstructured.Unstructured) Print {
	var (
		own    map[string]any
		others []map[string]any
		p      Print
	)
	meta, _ := u.Object["metadata"].(map[string]any)
	entries, _ := meta["managedFields"].([]any)
	for _, raw := range entries {
		e, _ := raw.(map[string]any)
		fields, _ := e["fieldsV1"].(map[string]any)
		if fields == nil {
			continue
		}
		if e["manager"] == v1alpha1.FieldManager && e["operation"] == "Apply" && e["subresource"] == nil {
			own = fields
			p.APIVersion, _ = e["apiVersion"].(string)
			continue
		}
		others = append(others, fields)
	}
	if own == nil {
		return Print{}
	}
	h := sha256.New()
	hashOwned(h, own, u.Object, others)
	p.Fingerprint = hex.EncodeToString(h.Sum(nil)[:16])
	return p
}

// hashOwned walks the tree of owned fields beside the value.
func hashOwned(h hash.Hash, own map[string]any, v any, others []map[string]any) {
	for _, k := range slices.Sorted(maps.Keys(own)) {
		io.WriteString(h, k)
		if k == "." {
			h.Write([]byte{1})
			continue
		}
		child, present := child(v, k)
		if !present {
			h.Write([]byte{2})
			continue
		}
		below := descend(others, k)
		if sub, _ := own[k].(map[string]any); len(sub) > 0 {
			h.Write([]byte{3})
			hashOwned(h, sub, child, below)
			h.Write([]byte{4})
			continue
		}
		h.Write([]byte{5})
		b, err := json.Marshal(without(child, below))
		if err != nil { // a value that came as JSON is JSON
			continue
		}
		h.Write(b)
	}
}

// descend returns what the trees hold below k.
func descend(trees []map[string]any, k string) []map[string]any {
	var out []map[string]any
	for _, t := range trees {
		if sub, ok := t[k].(map[string]any); ok && len(sub) > 0 {
			out = append(out, sub)
		}
	}
	return out
}

// child finds what a path element points at.
func child(v any, element string) (any, bool) {
	kind, rest, ok := strings.Cut(element, ":")
	if !ok {
		return nil, false
	}
	if kind == "f" {
		m, _ := v.(map[string]any)
		c, ok := m[rest]
		return c, ok
	}
	list, ok := v.([]any)
	if !ok {
		return nil, false
	}
	if kind == "i" {
		i, err := strconv.Atoi(rest)
		if err != nil || i < 0 || i >= len(list) {
			return nil, false
		}
		return list[i], true
	}
	for _, item := range list {
		if matches(item, kind, rest) {
			return item, true
		}
	}
	return nil, false
}

// matches tells whether an item of a list is the one that k:… or v:… names.
func matches(item any, kind, rest string) bool {
	var want any
	if err := json.Unmarshal([]byte(rest), &want); err != nil {
		return false
	}
	if kind == "v" {
		return equal(item, want)
	}
	keys, ok := want.(map[string]any)
	m, isMap := item.(map[string]any)
	if !ok || !isMap {
		return false
	}
	for k, w := range keys {
		if !equal(m[k], w) {
			return false
		}
	}
	return true
}

// equal compares JSON values that may have come through different decoders:
// one keeps integers apart, the other does not.
func equal(a, b any) bool {
	fa, oka := number(a)
	fb, okb := number(b)
	if oka || okb {
		return oka && okb && fa == fb
	}
	return reflect.DeepEqual(a, b)
}

func number(v any) (float64, bool) {
	switch n := v.(type) {
	case int64:
		return float64(n), true
	case float64:
		return n, true
	}
	return 0, false
}

// without returns v less what the trees name below it. v is not changed.
func without(v any, trees []map[string]any) any {
	if len(trees) == 0 {
		return v
	}
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, c := range v {
			if owned(trees, "f:"+k) {
				continue
			}
			out[k] = without(c, descend(trees, "f:"+k))
		}
		return out
	case []any:
		out := make([]any, 0, len(v))
	items:
		for i, item := range v {
			for _, t := range trees {
				for element := range t {
					kind, rest, _ := strings.Cut(element, ":")
					switch {
					case kind == "i" && rest == strconv.Itoa(i), (kind == "k" || kind == "v") && matches(item, kind, rest):
						continue items
					}
				}
			}
			out = append(out, item)
		}
		return out
	}
	return v
}

// owned tells whether one of the trees holds k itself, not only parts of it.
func owned(trees []map[string]any, k string) bool {
	for _, t := range trees {
		sub, ok := t[k].(map[string]any)
		if !ok {
			continue
		}
		if _, dot := sub["."]; dot || len(sub) == 0 {
			return true
		}
	}
	return false
}

// LastWriter returns the field manager, other than abide, that wrote to the
// object most recently, status aside; empty if there is none.
func LastWriter(u *unstructured.Unstructured) string {
	meta, _ := u.Object["metadata"].(map[string]any)
	entries, _ := meta["managedFields"].([]any)
	var name, at string
	for _, raw := range entries {
		e, _ := raw.(map[string]any)
		manager, _ := e["manager"].(string)
		t, _ := e["time"].(string) // RFC 3339 in UTC: text order is time order
		if manager == v1alpha1.FieldManager || e["subresource"] == "status" || t < at {
			continue
		}
		name, at = manager, t
	}
	return name
}
