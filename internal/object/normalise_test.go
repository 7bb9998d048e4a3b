package object

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func TestNormalise(t *testing.T) {
	tests := map[string]struct{ in, want, why string }{
		"server fields": {
			`{apiVersion: v1, kind: ConfigMap, metadata: {name: c, uid: u, resourceVersion: "1", generation: 2, creationTimestamp: null,
				managedFields: [], selfLink: x, deletionTimestamp: "2026-01-01T00:00:00Z", deletionGracePeriodSeconds: 1, ownerReferences: [], finalizers: [a/b]}, status: {x: 1}, data: {a: b}}`,
			`{apiVersion: v1, kind: ConfigMap, metadata: {name: c, ownerReferences: [], finalizers: [a/b]}, data: {a: b}}`,
			"manifests copied from a cluster carry them",
		},
		"empty labels and annotations": {
			`{apiVersion: v1, kind: ConfigMap, metadata: {name: c, labels: {}, annotations: null}}`,
			`{apiVersion: v1, kind: ConfigMap, metadata: {name: c}}`, "they say nothing",
		},
		"stringData": {
			`{apiVersion: v1, kind: Secret, metadata: {name: s}, data: {a: b2xk, b: b2xk}, stringData: {a: new, c: ""}}`,
			`{apiVersion: v1, kind: Secret, metadata: {name: s}, data: {a: bmV3, b: b2xk, c: ""}}`,
			"stringData wins over data, as on the server",
		},
		"stringData alone": {
			`{apiVersion: v1, kind: Secret, metadata: {name: s}, data: null, stringData: {a: new}}`,
			`{apiVersion: v1, kind: Secret, metadata: {name: s}, data: {a: bmV3}}`, "there was no data",
		},
		"empty stringData": {
			`{apiVersion: v1, kind: Secret, metadata: {name: s}, stringData: null}`,
			`{apiVersion: v1, kind: Secret, metadata: {name: s}}`, "it says nothing",
		},
		"stringData of another kind": {
			`{apiVersion: example.com/v1, kind: Secret, metadata: {name: s}, stringData: {a: b}}`,
			`{apiVersion: example.com/v1, kind: Secret, metadata: {name: s}, stringData: {a: b}}`,
			"only the Secret of the core group has that field",
		},
	}
	for name, tc := range tests {
		u := object(t, tc.in)
		if err := Normalise(u); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(object(t, tc.want).Object, u.Object); diff != "" {
			t.Errorf("%s (%s): %s", name, tc.why, diff)
		}
	}
}

func TestNormaliseRefuses(t *testing.T) {
	tests := map[string]struct{ in, want string }{
		"a number in stringData": {`{apiVersion: v1, kind: Secret, stringData: {b: x, a: 1}}`, "stringData.a is not a string: put it in quotes"},
		"stringData is a list":   {`{apiVersion: v1, kind: Secret, stringData: [a]}`, "stringData of a Secret is a map of strings"},
		"data is no map":         {`{apiVersion: v1, kind: Secret, data: x, stringData: {a: b}}`, "data of a Secret is a map of strings"},
		// One such value hides all the others from whoever reads the map, and with
		// them abide.dev/prune: never.
		"a number in annotations": {`{apiVersion: v1, kind: ConfigMap, metadata: {annotations: {abide.dev/prune: never, a: 1}}}`,
			`metadata.annotations: the value of "a" is not a string: put it in quotes`},
		"no value in labels": {`{apiVersion: v1, kind: ConfigMap, metadata: {labels: {a: }}}`,
			`metadata.labels: the value of "a" is not a string: put it in quotes`},
		"a list of labels": {`{apiVersion: v1, kind: ConfigMap, metadata: {labels: [a]}}`, "metadata.labels is not a map of strings"},
	}
	for name, tc := range tests {
		err := Normalise(object(t, tc.in))
		if err == nil || err.Error() != tc.want {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}

func TestHash(t *testing.T) {
	hash := func(manifest string) string {
		t.Helper()
		h, err := Hash(object(t, manifest))
		if err != nil || len(h) != 32 {
			t.Fatalf("%q, %v", h, err)
		}
		return h
	}
	base := hash(`{apiVersion: v1, kind: X, a: {x: 1, z: [1, 2]}, b: s}`)
	same := map[string]string{
		"another order of fields": `{b: s, a: {z: [1, 2], x: 1}, kind: X, apiVersion: v1}`,
		"a float that is whole":   `{apiVersion: v1, kind: X, a: {x: 1.0, z: [1, 2]}, b: s}`,
	}
	for name, m := range same {
		if hash(m) != base {
			t.Errorf("%s changes the hash", name)
		}
	}
	other := map[string]string{
		"another order of items": `{apiVersion: v1, kind: X, a: {x: 1, z: [2, 1]}, b: s}`,
		"a string for a number":  `{apiVersion: v1, kind: X, a: {x: "1", z: [1, 2]}, b: s}`,
		"a fraction":             `{apiVersion: v1, kind: X, a: {x: 1.5, z: [1, 2]}, b: s}`,
		"a field more":           `{apiVersion: v1, kind: X, a: {x: 1, z: [1, 2]}, b: s, c: null}`,
		"another kind":           `{apiVersion: v1, kind: W, a: {x: 1, z: [1, 2]}, b: s}`,
	}
	for name, m := range other {
		if hash(m) == base {
			t.Errorf("%s leaves the hash as it was", name)
		}
	}
	if _, err := Hash(&unstructured.Unstructured{Object: map[string]any{"a": math.NaN()}}); err == nil {
		t.Error("a value that is not JSON has a hash")
	}
}

func TestSetHash(t *testing.T) {
	type pair struct {
		k Key
		h string
	}
	hash := func(list ...pair) string {
		return SetHash(len(list), func(i int) (Key, string) { return list[i].k, list[i].h })
	}
	a, b := pair{Key{"", "A", "n", "a"}, "1"}, pair{Key{"", "A", "n", "b"}, "2"}
	base := hash(a, b)
	for name, other := range map[string]string{
		"none":           hash(),
		"one":            hash(a),
		"another hash":   hash(a, pair{b.k, "3"}),
		"another key":    hash(a, pair{Key{"", "A", "m", "b"}, "2"}),
		"shifted fields": hash(a, pair{Key{"A", "", "n", "b"}, "2"}),
	} {
		if other == base {
			t.Errorf("%s: the same hash", name)
		}
	}
	if hash(a, b) != base {
		t.Error("equal sets differ")
	}
}

func BenchmarkHash(b *testing.B) {
	u := object(b, web)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Hash(u); err != nil {
			b.Fatal(err)
		}
	}
}
