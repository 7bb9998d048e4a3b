package object

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// serverFields are the fields of metadata that only the server sets. They turn
// up in manifests that were copied from a cluster, and must not be applied.
var serverFields = []string{
	"creationTimestamp", "deletionGracePeriodSeconds", "deletionTimestamp",
	"generation", "managedFields", "resourceVersion", "selfLink", "uid",
}

// Normalise changes a rendered object into what is applied: without the fields
// that only the server sets, and with the stringData of a Secret folded into
// its data (the server does that fold after it has noted who owns what, so
// that a Secret applied with stringData would hide foreign changes). The
// object is changed in place.
func Normalise(u *unstructured.Unstructured) error {
	if meta, ok := u.Object["metadata"].(map[string]any); ok {
		for _, f := range serverFields {
			delete(meta, f)
		}
		for _, f := range []string{"labels", "annotations"} {
			if err := checkStrings(meta, f); err != nil {
				return err
			}
		}
	}
	delete(u.Object, "status")
	if u.GetAPIVersion() == "v1" && u.GetKind() == "Secret" {
		return foldStringData(u)
	}
	return nil
}

// checkStrings refuses labels and annotations that are not a map of strings.
// Readers of such a map see none at all, and would so miss what the others among
// them ask for, a protection from pruning for one. An empty map goes.
func checkStrings(meta map[string]any, field string) error {
	raw, present := meta[field]
	if !present {
		return nil
	}
	m, ok := raw.(map[string]any)
	if raw != nil && !ok {
		return fmt.Errorf("metadata.%s is not a map of strings", field)
	}
	if len(m) == 0 {
		delete(meta, field)
		return nil
	}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		if _, ok := m[k].(string); !ok {
			return fmt.Errorf("metadata.%s: the value of %q is not a string: put it in quotes", field, k)
		}
	}
	return nil
}

func foldStringData(u *unstructured.Unstructured) error {
	raw, ok := u.Object["stringData"]
	if !ok {
		return nil
	}
	delete(u.Object, "stringData")
	if raw == nil {
		return nil
	}
	plain, ok := raw.(map[string]any)
	if !ok {
		return fmt.Errorf("stringData of a Secret is a map of strings")
	}
	data, ok := u.Object["data"].(map[string]any)
	if !ok && u.Object["data"] != nil {
		return fmt.Errorf("data of a Secret is a map of strings")
	}
	if data == nil {
		data = make(map[string]any, len(plain))
	}
	for _, k := range slices.Sorted(maps.Keys(plain)) {
		s, ok := plain[k].(string)
		if !ok {
			return fmt.Errorf("stringData.%s is not a string: put it in quotes", k)
		}
		data[k] = base64.StdEncoding.EncodeToString([]byte(s))
	}
	u.Object["data"] = data
	return nil
}

// Hash is the hash of an object's content: equal for equal JSON values,
// whatever the order of their fields was.
func Hash(u *unstructured.Unstructured) (string, error) {
	e := encoders.Get().(*encoder)
	defer e.free()
	b, err := e.value(u.Object) // map keys are sorted
	if err != nil {
		return "", fmt.Errorf("hash of %s: %w", KeyOf(u), err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16]), nil
}

// SetHash is the hash of a set of objects, given as pairs of key and hash in
// the order of their keys.
func SetHash(n int, at func(i int) (Key, string)) string {
	h := sha256.New()
	for i := range n {
		k, hash := at(i)
		fmt.Fprintf(h, "%q %q %q %q %s\n", k.Group, k.Kind, k.Namespace, k.Name, hash)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
