package plan

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// FieldChange is one field that differs between two forms of an object.
type FieldChange struct {
	// Path of the field, such as spec.template.spec.containers[name=web].image.
	// Items of lists are named by what tells them apart, where they have that,
	// and else by their index.
	Path string `json:"path"`
	// Before and After are the values; Had and Has tell whether the field was
	// there at all.
	Before any  `json:"before,omitempty"`
	After  any  `json:"after,omitempty"`
	Had    bool `json:"had"`
	Has    bool `json:"has"`
}

// Redactor shows the values of Secrets as short hashes under a key. Within the
// life of one Redactor equal values have equal hashes; nothing can be compared
// beyond that, nor guessed without the key.
type Redactor struct {
	// hash stands for a value.
	hash func(value []byte) string
}

// NewRedactor returns a Redactor with a key, which should be random, and which
// it keeps.
func NewRedactor(key []byte) Redactor {
	return Redactor{func(value []byte) string {
		m := hmac.New(sha256.New, key)
		m.Write(value)
		return "<secret " + hex.EncodeToString(m.Sum(nil)[:6]) + ">"
	}}
}

// Redacting returns a Redactor that shows what secret makes of a value, for those
// who have a key that lasts.
func Redacting(secret func(value string) string) Redactor {
	return Redactor{func(value []byte) string { return secret(string(value)) }}
}

// lastApplied is where kubectl keeps a copy of the whole object, of a Secret
// with its values.
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration"

// Show returns a copy of an object as people may see it: without what only the
// server keeps (managedFields, resourceVersion, status and the like), and with
// the values of a Secret redacted.
func (r Redactor) Show(u *unstructured.Unstructured) *unstructured.Unstructured {
	out := u.DeepCopy()
	delete(out.Object, "status")
	if meta, ok := out.Object["metadata"].(map[string]any); ok {
		for _, f := range []string{"managedFields", "resourceVersion", "generation", "uid", "creationTimestamp", "selfLink"} {
			delete(meta, f)
		}
	}
	if out.GetKind() == "Secret" && out.GroupVersionKind().Group == "" {
		r.redact(out)
	}
	return out
}

func (r Redactor) redact(u *unstructured.Unstructured) {
	for _, field := range []string{"data", "stringData"} {
		values, ok := u.Object[field].(map[string]any)
		if !ok {
			if v, present := u.Object[field]; present && v != nil {
				u.Object[field] = r.hash(fmt.Append(nil, v))
			}
			continue
		}
		for k, v := range values {
			values[k] = r.hash(secretBytes(field, v))
		}
	}
	annotations, _, _ := unstructured.NestedMap(u.Object, "metadata", "annotations")
	if v, ok := annotations[lastApplied]; ok {
		annotations[lastApplied] = r.hash(fmt.Append(nil, v))
		_ = unstructured.SetNestedMap(u.Object, annotations, "metadata", "annotations") // they were a map
	}
}

// secretBytes is the value itself, so that stringData and data compare.
func secretBytes(field string, v any) []byte {
	s, ok := v.(string)
	if !ok {
		b, err := json.Marshal(v)
		if err != nil {
			return fmt.Append(nil, v)
		}
		return b
	}
	if field == "data" {
		if b, err := base64.StdEncoding.DecodeString(s); err == nil {
			return b
		}
	}
	return []byte(s)
}

// Diff compares two forms of an object, field by field, in the order of the
// paths. What only the server keeps is left out, and the values of Secrets are
// redacted.
func Diff(before, after *unstructured.Unstructured, r Redactor) []FieldChange {
	var d differ
	d.compareMaps("", r.Show(before).Object, r.Show(after).Object)
	return d.changes
}

// differ collects the changes of one object.
type differ struct{ changes []FieldChange }

func (d *differ) add(path string, before any, had bool, after any, has bool) {
	d.changes = append(d.changes, FieldChange{Path: path, Before: before, After: after, Had: had, Has: has})
}

func (d *differ) compare(path string, before, after any) {
	switch b := before.(type) {
	case map[string]any:
		if a, ok := after.(map[string]any); ok {
			d.compareMaps(path, b, a)
			return
		}
	case []any:
		if a, ok := after.([]any); ok {
			d.compareLists(path, b, a)
			return
		}
	}
	if !same(before, after) {
		d.add(path, before, true, after, true)
	}
}

func (d *differ) compareMaps(path string, before, after map[string]any) {
	keys := slices.Collect(maps.Keys(before))
	for k := range after {
		if _, ok := before[k]; !ok {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		b, had := before[k]
		a, has := after[k]
		p := join(path, k)
		if had && has {
			d.compare(p, b, a)
		} else {
			d.add(p, b, had, a, has)
		}
	}
}

// identities are the fields that tell items of the lists of Kubernetes apart,
// in the order in which they are tried.
var identities = []string{"name", "containerPort", "port", "mountPath", "devicePath", "key", "type", "ip", "topologyKey", "uid", "host"}

func (d *differ) compareLists(path string, before, after []any) {
	id := identity(before, after)
	if id == "" {
		for i := range max(len(before), len(after)) {
			p := fmt.Sprintf("%s[%d]", path, i)
			switch {
			case i >= len(before):
				d.add(p, nil, false, after[i], true)
			case i >= len(after):
				d.add(p, before[i], true, nil, false)
			default:
				d.compare(p, before[i], after[i])
			}
		}
		return
	}
	was, is := byIdentity(id, before), byIdentity(id, after)
	for _, k := range was.order {
		p := fmt.Sprintf("%s[%s=%s]", path, id, k)
		if a, has := is.items[k]; has {
			d.compare(p, was.items[k], a)
		} else {
			d.add(p, was.items[k], true, nil, false)
		}
	}
	for _, k := range is.order {
		if _, had := was.items[k]; !had {
			d.add(fmt.Sprintf("%s[%s=%s]", path, id, k), nil, false, is.items[k], true)
		}
	}
	common := func(from, other identified) []any {
		var out []any
		for _, k := range from.order {
			if _, ok := other.items[k]; ok {
				out = append(out, k)
			}
		}
		return out
	}
	if b, a := common(was, is), common(is, was); !reflect.DeepEqual(b, a) {
		d.add(path+" (order)", b, true, a, true)
	}
}

// identity returns the field that tells the items of both lists apart; empty if
// none does.
func identity(lists ...[]any) string {
	for _, id := range identities {
		if slices.ContainsFunc(lists, func(l []any) bool { return !tellsApart(id, l) }) {
			continue
		}
		if len(lists[0])+len(lists[1]) > 0 {
			return id
		}
	}
	return ""
}

func tellsApart(id string, list []any) bool {
	seen := map[string]bool{}
	for _, item := range list {
		m, ok := item.(map[string]any)
		if !ok {
			return false
		}
		var k string
		switch v := m[id].(type) {
		case string, int64, float64:
			k = fmt.Sprint(v)
		default:
			return false
		}
		if k == "" || seen[k] {
			return false
		}
		seen[k] = true
	}
	return true
}

// identified is a list whose items have names.
type identified struct {
	order []string
	items map[string]any
}

func byIdentity(id string, list []any) identified {
	out := identified{items: map[string]any{}}
	for _, item := range list {
		m, _ := item.(map[string]any)
		k := fmt.Sprint(m[id])
		out.order = append(out.order, k)
		out.items[k] = item
	}
	return out
}

// same compares two leaves; one decoder keeps integers apart, another does not.
func same(a, b any) bool {
	fa, oka := number(a)
	fb, okb := number(b)
	if oka && okb {
		return fa == fb
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

var plainKey = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)

// join adds a key to a path; one with dots or worse stands in quotes.
func join(path, key string) string {
	switch {
	case !plainKey.MatchString(key):
		return fmt.Sprintf("%s[%q]", path, key)
	case path == "":
		return key
	}
	return path + "." + key
}
