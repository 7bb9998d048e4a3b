// Package object holds what abide knows about a Kubernetes object without
// asking anybody: its identity, its place in the order of things, its hash,
// the rules its annotations set, how it is shown to people, and the fingerprint
// of the fields that abide owns in it. Everything here is a pure function.
package object

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"abide.dev/abide/api/v1alpha1"
)

// Key names an object in a cluster. The version is left out: apps/v1 and
// apps/v1beta1 of a Deployment are one object.
type Key struct {
	Group, Kind, Namespace, Name string
}

// KeyOf returns the key of an object.
func KeyOf(u *unstructured.Unstructured) Key {
	gvk := u.GroupVersionKind()
	return Key{Group: gvk.Group, Kind: gvk.Kind, Namespace: u.GetNamespace(), Name: u.GetName()}
}

// EntryKey returns the key of an inventory entry.
func EntryKey(e *v1alpha1.InventoryEntry) Key {
	return Key{Group: e.Group, Kind: e.Kind, Namespace: e.Namespace, Name: e.Name}
}

// GroupKind returns the kind of the object.
func (k Key) GroupKind() schema.GroupKind { return schema.GroupKind{Group: k.Group, Kind: k.Kind} }

// String is how people see the object: Deployment.apps web/shop, Namespace web.
func (k Key) String() string {
	var b strings.Builder
	b.WriteString(k.Kind)
	if k.Group != "" {
		b.WriteByte('.')
		b.WriteString(k.Group)
	}
	b.WriteByte(' ')
	if k.Namespace != "" {
		b.WriteString(k.Namespace)
		b.WriteByte('/')
	}
	b.WriteString(k.Name)
	return b.String()
}

// Compare orders keys by group, kind, namespace and name.
func (k Key) Compare(o Key) int {
	return cmp.Or(cmp.Compare(k.Group, o.Group), cmp.Compare(k.Kind, o.Kind),
		cmp.Compare(k.Namespace, o.Namespace), cmp.Compare(k.Name, o.Name))
}

// App names an App in the cluster that abide runs in.
type App struct {
	Namespace, Name string
}

// ParseApp reads the form that String writes; ok is false for anything else.
func ParseApp(s string) (app App, ok bool) {
	ns, name, found := strings.Cut(s, "/")
	if !found || ns == "" || name == "" || strings.Contains(name, "/") {
		return App{}, false
	}
	return App{Namespace: ns, Name: name}, true
}

// String is namespace/name, the value of the owner annotation.
func (a App) String() string { return a.Namespace + "/" + a.Name }

// Compare orders Apps by namespace and name.
func (a App) Compare(o App) int {
	return cmp.Or(cmp.Compare(a.Namespace, o.Namespace), cmp.Compare(a.Name, o.Name))
}

// Label is the value of the label abide.dev/app: a readable prefix and a hash
// of namespace/name, at most 63 characters, the bound on a label's value. It
// filters watches; it proves nothing, since controllers copy labels to the
// objects they make.
func (a App) Label() string {
	sum := sha256.Sum256([]byte(a.String()))
	prefix := a.Name
	if len(prefix) > 46 {
		prefix = strings.TrimRight(prefix[:46], "-.")
	}
	return prefix + "-" + hex.EncodeToString(sum[:8])
}

// Mark puts the label and the owner annotation of app on an object.
func Mark(u *unstructured.Unstructured, app App) {
	labels := u.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[v1alpha1.LabelApp] = app.Label()
	u.SetLabels(labels)
	annotations := u.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[v1alpha1.AnnotationOwner] = app.String()
	u.SetAnnotations(annotations)
}

// Owner returns the App that an object's own marks name. Both marks must
// agree: an object that only carries the label was copied from one of ours.
func Owner(u *unstructured.Unstructured) (App, bool) {
	app, ok := ParseApp(u.GetAnnotations()[v1alpha1.AnnotationOwner])
	if !ok || u.GetLabels()[v1alpha1.LabelApp] != app.Label() {
		return App{}, false
	}
	return app, true
}

// GVKString is apiVersion and kind as people write them: apps/v1 Deployment.
func GVKString(gvk schema.GroupVersionKind) string {
	return fmt.Sprintf("%s %s", gvk.GroupVersion(), gvk.Kind)
}
