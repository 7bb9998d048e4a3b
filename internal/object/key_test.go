package object

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation"

	"abide.dev/abide/api/v1alpha1"
)

func TestKeyIsWithoutVersion(t *testing.T) {
	a := object(t, "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, namespace: shop}}")
	b := object(t, "{apiVersion: apps/v1beta1, kind: Deployment, metadata: {name: web, namespace: shop}}")
	want := Key{"apps", "Deployment", "shop", "web"}
	if KeyOf(a) != want || KeyOf(b) != want {
		t.Errorf("%v and %v, want %v: one object in two versions", KeyOf(a), KeyOf(b), want)
	}
	e := v1alpha1.InventoryEntry{Group: "apps", Version: "v1", Kind: "Deployment", Namespace: "shop", Name: "web"}
	if EntryKey(&e) != want {
		t.Errorf("%v of the entry, want %v", EntryKey(&e), want)
	}
	if want.GroupKind() != (schema.GroupKind{Group: "apps", Kind: "Deployment"}) {
		t.Errorf("group and kind %v", want.GroupKind())
	}
}

func TestKeyString(t *testing.T) {
	for want, k := range map[string]Key{
		"Deployment.apps web/shop": {"apps", "Deployment", "web", "shop"},
		"Namespace web":            {"", "Namespace", "", "web"},
		"ConfigMap a/b":            {"", "ConfigMap", "a", "b"},
	} {
		if k.String() != want {
			t.Errorf("%q, want %q", k, want)
		}
	}
}

func TestKeyOrder(t *testing.T) {
	inOrder := []Key{
		{"", "B", "a", "a"}, {"a", "A", "b", "a"}, {"a", "A", "b", "b"}, {"a", "A", "c", "a"}, {"a", "B", "", ""},
	}
	for i, a := range inOrder {
		for j, b := range inOrder {
			if got := a.Compare(b); got < 0 != (i < j) || got > 0 != (i > j) {
				t.Errorf("%v to %v: %d", a, b, got)
			}
		}
	}
}

func TestParseApp(t *testing.T) {
	for _, bad := range []string{"", "/", "a", "a/", "/b", "a/b/c", "//"} {
		if app, ok := ParseApp(bad); ok {
			t.Errorf("%q is App %v", bad, app)
		}
	}
	app, ok := ParseApp("shop/web")
	if !ok || app != (App{"shop", "web"}) || app.String() != "shop/web" {
		t.Errorf("%v, %t", app, ok)
	}
	if (App{"a", "z"}).Compare(App{"b", "a"}) >= 0 || (App{"a", "a"}).Compare(App{"a", "b"}) >= 0 {
		t.Error("Apps are ordered by namespace, then name")
	}
}

func TestLabel(t *testing.T) {
	long := strings.Repeat("a", 46)
	apps := []App{
		{"shop", "web"}, {"shop2", "web"}, {"shop", "web2"}, {"s", "hop-web"},
		{"shop", long + "-1"}, {"shop", long + "-2"}, {"shop", strings.Repeat("b", 45) + "-c"},
		{"shop", strings.Repeat("b", 44) + ".-c"}, {strings.Repeat("n", 63), strings.Repeat("m", 253)},
	}
	seen := map[string]App{}
	for _, a := range apps {
		l := a.Label()
		if errs := validation.IsValidLabelValue(l); len(errs) > 0 {
			t.Errorf("label %q of %s: %v", l, a, errs)
		}
		if other, dup := seen[l]; dup {
			t.Errorf("%s and %s have the label %q both", a, other, l)
		}
		seen[l] = a
		if !strings.HasPrefix(l, a.Name[:min(len(a.Name), 40)]) {
			t.Errorf("label %q does not begin as the name of %s", l, a)
		}
	}
}

func TestOwnerNeedsBothMarks(t *testing.T) {
	app := App{"shop", "web"}
	marked := func() *unstructured.Unstructured {
		u := object(t, "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, labels: {a: b}, annotations: {c: d}}}")
		Mark(u, app)
		return u
	}
	u := marked()
	if got, ok := Owner(u); !ok || got != app {
		t.Errorf("%v, %t of an object with both marks", got, ok)
	}
	if u.GetLabels()["a"] != "b" || u.GetAnnotations()["c"] != "d" {
		t.Error("the marks took the place of other labels and annotations")
	}
	spoil := map[string]func(*unstructured.Unstructured){
		"the label alone, as controllers copy it": func(u *unstructured.Unstructured) { u.SetAnnotations(nil) },
		"the annotation alone":                    func(u *unstructured.Unstructured) { u.SetLabels(nil) },
		"the label of another App": func(u *unstructured.Unstructured) {
			u.SetLabels(map[string]string{v1alpha1.LabelApp: App{"shop", "other"}.Label()})
		},
		"an annotation that names no App": func(u *unstructured.Unstructured) {
			u.SetAnnotations(map[string]string{v1alpha1.AnnotationOwner: "web"})
		},
	}
	for name, f := range spoil {
		u := marked()
		f(u)
		if got, ok := Owner(u); ok {
			t.Errorf("%s makes %v the owner", name, got)
		}
	}
	fresh := object(t, "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}}")
	Mark(fresh, app)
	if _, ok := Owner(fresh); !ok {
		t.Error("an object without labels and annotations is not marked")
	}
}

func TestGVKString(t *testing.T) {
	if got := GVKString(deployments); got != "apps/v1 Deployment" {
		t.Error(got)
	}
	if got := GVKString(configMaps); got != "v1 ConfigMap" {
		t.Error(got)
	}
}
