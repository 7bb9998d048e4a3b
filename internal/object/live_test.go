package object

import (
	"encoding/json"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/util/managedfields/managedfieldstest"
	"k8s.io/client-go/applyconfigurations"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"
)

var deployments = schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"}

// server is what an API server does to the managedFields of one object: the
// real field manager, without defaults and without storage.
type server struct {
	t       testing.TB
	manager managedfieldstest.TestFieldManager
}

// types is the schema of the kinds that every cluster has.
var types = sync.OnceValue(func() managedfields.TypeConverter {
	return applyconfigurations.NewTypeConverter(scheme.Scheme)
})

func newServer(t testing.TB, gvk schema.GroupVersionKind) *server {
	return &server{t, managedfieldstest.NewTestFieldManager(types(), gvk)}
}

func (s *server) apply(manager, manifest string) {
	s.t.Helper()
	if err := s.manager.Apply(object(s.t, manifest), manager, true); err != nil {
		s.t.Fatalf("apply by %s: %v", manager, err)
	}
}

// update writes the object as changed by f, as kubectl edit and controllers do.
func (s *server) update(manager string, f func(map[string]any)) {
	s.t.Helper()
	u := s.live()
	f(u.Object)
	if err := s.manager.Update(u, manager); err != nil {
		s.t.Fatalf("update by %s: %v", manager, err)
	}
}

// live is the object as it comes over the wire.
func (s *server) live() *unstructured.Unstructured {
	s.t.Helper()
	m, err := runtime.DefaultUnstructuredConverter.ToUnstructured(s.manager.Live())
	if err != nil {
		s.t.Fatal(err)
	}
	b, err := json.Marshal(m)
	if err != nil {
		s.t.Fatal(err)
	}
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(b); err != nil {
		s.t.Fatal(err)
	}
	return u
}

func (s *server) fingerprint() string {
	s.t.Helper()
	p := Fingerprint(s.live())
	if p.Fingerprint == "" || p.APIVersion == "" {
		s.t.Fatalf("no fingerprint: %+v of %v", p, s.live().GetManagedFields())
	}
	return p.Fingerprint
}

func object(t testing.TB, manifest string) *unstructured.Unstructured {
	t.Helper()
	j, err := yaml.YAMLToJSON([]byte(manifest))
	if err != nil {
		t.Fatal(err)
	}
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(j); err != nil {
		t.Fatalf("%v in %s", err, j)
	}
	return u
}

// set sets a field below a path of field names.
func set(m map[string]any, v any, path ...string) {
	for _, p := range path[:len(path)-1] {
		next, ok := m[p].(map[string]any)
		if !ok {
			next = map[string]any{}
			m[p] = next
		}
		m = next
	}
	m[path[len(path)-1]] = v
}

// at returns what is at a path of field names.
func at(m map[string]any, path ...string) map[string]any {
	for _, p := range path {
		m, _ = m[p].(map[string]any)
	}
	return m
}

func containers(m map[string]any) []any {
	list, _ := at(m, "spec", "template", "spec")["containers"].([]any)
	return list
}
