package object

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"

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
			if m, present := meta[f]; present && isEmpty(m) {
				delete(meta, f)
			}
		}
	}
	delete(u.Object, "status")
	if u.GetAPIVersion() == "v1" && u.GetKind() == "Secret" {
		return foldStringData(u)
	}
	return nil
}

func isEmpty(v any) bool {
	m, ok := v.(map[string]any)
	return v == nil || ok && len(m) == 0
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
	data, _ := u.Object["data"].(map[string]any)
	if data == nil {
		data = map[string]any{}
	}
	for k, v := range plain {
		s, ok := v.(string)
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
	b, err := json.Marshal(u.Object) // map keys are sorted
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
