package desired

import (
	"errors"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/apply"
	"abide.dev/abide/internal/render"
)

// rendered makes an object as it comes out of a render.
func rendered(t *testing.T, manifest string) render.Object {
	t.Helper()
	j, err := yaml.YAMLToJSON([]byte(manifest))
	if err != nil {
		t.Fatal(err)
	}
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(j); err != nil {
		t.Fatal(err)
	}
	return render.Object{Unstructured: u, Origin: render.Origin{File: "x.yaml", Line: 7}}
}

var scopes = Scopes{{Kind: "ConfigMap"}: true, {Kind: "Namespace"}: false}

func app(namespace string) *v1alpha1.App {
	a := &v1alpha1.App{}
	a.Spec.Target.Namespace = namespace
	return a
}

func TestNamespace(t *testing.T) {
	for _, tt := range []struct {
		why, manifest, target, want, fault string
	}{
		{"filled in", `{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}`, "web", "web", ""},
		{"its own is kept", `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: own}}`, "web", "own", ""},
		{"none, and none to fill in", `{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}`, "", "", "set spec.target.namespace"},
		{"a cluster-scoped object has none", `{apiVersion: v1, kind: Namespace, metadata: {name: a, namespace: stray}}`, "web", "", ""},
		{"a kind that nobody knows gets the target's", `{apiVersion: example.com/v1, kind: X, metadata: {name: a}}`, "web", "web", ""},
		{"and without one is left alone", `{apiVersion: example.com/v1, kind: X, metadata: {name: a}}`, "", "", ""},
	} {
		in := rendered(t, tt.manifest)
		before := in.DeepCopy()
		out, err := Objects(app(tt.target), []render.Object{in}, scopes)
		if tt.fault != "" {
			if err == nil || !strings.Contains(err.Error(), tt.fault) || !strings.Contains(err.Error(), "x.yaml:7") {
				t.Errorf("%s: %v, want a fault at x.yaml:7 that says %q", tt.why, err, tt.fault)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tt.why, err)
			continue
		}
		if got := out[0].GetNamespace(); got != tt.want || out[0].Key.Namespace != tt.want {
			t.Errorf("%s: %q, want %q", tt.why, got, tt.want)
		}
		if in.GetNamespace() != before.GetNamespace() {
			t.Errorf("%s: the rendered object was changed", tt.why)
		}
	}
}

// A record of abide's own that is in a repository is refused.
func TestRecords(t *testing.T) {
	for _, kind := range []string{"Inventory", "GitRef"} {
		_, err := Objects(app("web"), []render.Object{rendered(t, `{apiVersion: abide.dev/v1alpha1, kind: `+kind+`, metadata: {name: shop-0}}`)}, scopes)
		if err == nil || !strings.Contains(err.Error(), "record that abide itself keeps") || !strings.Contains(err.Error(), "x.yaml:7") {
			t.Errorf("%s: %v", kind, err)
		}
	}
	if _, err := Objects(app("web"), []render.Object{rendered(t, `{apiVersion: abide.dev/v1alpha1, kind: App, metadata: {name: child}}`)}, scopes); err != nil {
		t.Errorf("an App of Apps: %v", err)
	}
}

// Two objects can turn out to be one only once their namespace is filled in.
func TestTwice(t *testing.T) {
	_, err := Objects(app("web"), []render.Object{
		rendered(t, `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: web}}`),
		rendered(t, `{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}`),
	}, scopes)
	var oe *apply.ObjectError
	if !errors.As(err, &oe) || oe.Key.Name != "a" || !strings.Contains(err.Error(), "twice") {
		t.Errorf("%v, want a fault that says the object is there twice", err)
	}
}

func TestRulesThatAreNone(t *testing.T) {
	_, err := Objects(app("web"), []render.Object{
		rendered(t, `{apiVersion: v1, kind: ConfigMap, metadata: {name: a, annotations: {abide.dev/prune: nevr}}}`),
	}, scopes)
	if err == nil || !strings.Contains(err.Error(), "nevr") {
		t.Errorf("%v, want a fault that quotes the typing mistake", err)
	}
}

func TestDefinitions(t *testing.T) {
	crd := rendered(t, `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: Widget, plural: widgets}
  versions: [{name: v1, served: true}, {name: v1beta1, served: false}]
`)
	gk, namespaced, ok := Defines(crd.Unstructured)
	if want := (schema.GroupKind{Group: "example.com", Kind: "Widget"}); gk != want || !namespaced || !ok {
		t.Errorf("Defines: %v, %v, %v", gk, namespaced, ok)
	}
	if got := Serves(crd.Unstructured); len(got) != 1 || got[0] != gk.WithVersion("v1") {
		t.Errorf("Serves: %v", got)
	}
	other := rendered(t, `{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}`)
	if _, _, ok := Defines(other.Unstructured); ok || Serves(other.Unstructured) != nil {
		t.Error("a ConfigMap defines nothing")
	}
}
