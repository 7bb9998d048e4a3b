package object

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
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
		if e["manager"] == v1alpha1.FieldManager && e["operation"] == "Apply" && wholeObject(e) {
			own = fields
			p.APIVersion, _ = e["apiVersion"].(string)
			continue
		}
		others = append(others, fields)
	}
	if own == nil {
		return Print{}
	}
	e := encoders.Get().(*encoder)
	defer e.free()
	w := walk{encoder: e, b: e.walked[:0]}
	w.owned(own, u.Object, others)
	e.walked = w.b
	sum := sha256.Sum256(w.b)
	p.Fingerprint = hex.EncodeToString(sum[:16])
	return p
}

// wholeObject tells the entries of writes to the object itself from those of
// writes to a subresource, such as status and scale.
func wholeObject(entry map[string]any) bool {
	sub, _ := entry["subresource"].(string)
	return sub == ""
}

// walk collects what is hashed.
type walk struct {
	*encoder
	b []byte
}

// owned walks the tree of owned fields beside the value and adds what is hashed
// of it.
func (w *walk) owned(own map[string]any, v any, others []map[string]any) {
	list := newItems(v, w.encoder)
	from, to := w.sorted(own)
	for i := from; i < to; i++ {
		k := w.keys[i]
		w.b = binary.AppendUvarint(w.b, uint64(len(k)))
		w.b = append(w.b, k...)
		if k == "." {
			continue
		}
		child, present := child(v, &list, k)
		if !present {
			w.b = append(w.b, 'n')
			continue
		}
		below := descend(others, k)
		if sub, _ := own[k].(map[string]any); len(sub) > 0 {
			w.b = append(w.b, '{')
			w.owned(sub, child, below)
			w.b = append(w.b, '}')
			continue
		}
		text, err := w.value(without(child, below))
		if err != nil { // a value that came as JSON is JSON
			text = nil
		}
		w.b = append(w.b, '=')
		w.b = binary.AppendUvarint(w.b, uint64(len(text)))
		w.b = append(w.b, text...)
	}
	w.pop(from)
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

// child finds what a path element points at; list holds the items of v.
func child(v any, list *items, element string) (any, bool) {
	if name, ok := strings.CutPrefix(element, "f:"); ok {
		m, _ := v.(map[string]any)
		c, ok := m[name]
		return c, ok
	}
	if i, ok := list.find(element); ok {
		return list.list[i], true
	}
	return nil, false
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
			below := descend(trees, "f:"+k)
			rest := without(c, below)
			// The parents of an applied field are not marked as owned: they came
			// and go with what is below them.
			if len(below) > 0 && size(rest) == 0 && size(c) > 0 {
				continue
			}
			out[k] = rest
		}
		return out
	case []any:
		list, gone := newItems(v, new(encoder)), map[int]bool{}
		for _, t := range trees {
			for element := range t {
				if i, ok := list.find(element); ok {
					gone[i] = true
				}
			}
		}
		out := make([]any, 0, len(v))
		for i, item := range v {
			if !gone[i] {
				out = append(out, item)
			}
		}
		return out
	}
	return v
}

// size is the number of fields or items of v; -1 for a plain value.
func size(v any) int {
	switch v := v.(type) {
	case map[string]any:
		return len(v)
	case []any:
		return len(v)
	}
	return -1
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
