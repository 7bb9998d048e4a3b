package e2e

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/install"
	"abide.dev/abide/internal/sandboxtest"
)

// tenant makes the identity of a tenant's Apps and lets it edit in namespaces.
func (w *world) tenant(namespace string, edits ...string) {
	w.t.Helper()
	w.account(namespace)
	for _, ns := range edits {
		w.grant(namespace, ns)
	}
}

func (w *world) account(namespace string) {
	w.t.Helper()
	must(w.t, w.client.Create(w.t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: v1alpha1.ServiceAccount}}))
}

// grant lets the identity of a namespace edit in another.
func (w *world) grant(namespace, in string) {
	w.t.Helper()
	must(w.t, w.client.Create(w.t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: in, Name: "abide-of-" + namespace},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "edit"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: namespace, Name: v1alpha1.ServiceAccount}},
	}))
}

// asInstalled has the controller run with the rights of an installation, and not
// with all there are.
func (w *world) asInstalled() (user string) {
	w.t.Helper()
	objects, err := install.Objects(install.Options{Namespace: w.own, NoWorkload: true})
	must(w.t, err)
	for _, u := range objects {
		if k := u.GetKind(); k == "CustomResourceDefinition" || k == "Namespace" {
			continue
		}
		must(w.t, w.client.Apply(w.t.Context(), client.ApplyConfigurationFromUnstructured(u), client.FieldOwner("tester"), client.ForceOwnership))
		w.t.Cleanup(func() { w.client.Delete(context.WithoutCancel(w.t.Context()), u) })
	}
	user = "system:serviceaccount:" + w.own + ":" + install.ServiceAccount
	w.kubeconfig = w.sandbox.UserKubeconfig(w.t, user)
	return user
}

// TestTenants: an App outside abide's own namespace acts as the ServiceAccount
// abide of its namespace, and can do what that can; the controller, as it is
// installed, can do nothing of that by itself.
func TestTenants(t *testing.T) {
	w := newWorld(t)
	red, blue := w.sandbox.Namespace(t), w.sandbox.Namespace(t)
	user := w.asInstalled()
	w.repo.Write(map[string]string{
		"red/config.yaml": configMaps("config", 2, "1"),
		// One in the namespace of another tenant, and one that another App has.
		"thief/config.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: config-0, namespace: " + red + "}\n",
		"spy/config.yaml":   "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: spy, namespace: " + w.own + "}\n",
	})
	commit := w.repo.Commit("all")
	w.run()

	app := w.app("app", "red", red, inNamespace(red))
	w.says(app, "IdentityMissing", "kubectl create serviceaccount abide -n "+red)
	w.account(red)
	w.refresh(app)
	w.says(app, "ApplyFailed", "cannot patch", "configmaps", "grant it", "rolebinding")
	if n := len(w.configMaps(red)); n != 0 {
		t.Errorf("without a right, %d objects were created", n)
	}
	w.grant(red, red)
	w.refresh(app)
	w.ready(app, commit)
	w.impersonated(user, red, "config-0")

	w.account(blue)
	w.grant(blue, blue)
	thief := w.app("thief", "thief", blue, inNamespace(blue))
	spy := w.app("spy", "spy", blue, inNamespace(blue))
	w.says(thief, "OwnedByAnotherApp", "App "+red+"/app owns it")
	w.says(spy, "ApplyFailed", "cannot", w.own)
	// Not even what its App has let go of.
	w.repo.Write(map[string]string{"red/config.yaml": configMap("config-1", "2")})
	w.push(app, "config-0 goes")
	w.says(thief, "ApplyFailed", "cannot", red)
	w.has(red, "config-1", "2")
	if cm := w.find(red, "config-0"); cm != nil && cm.Annotations[v1alpha1.AnnotationOwner] != red+"/app" {
		t.Errorf("another tenant has got hold of the object: %+v", cm)
	}
	w.delete(thief)
	w.gone(&v1alpha1.App{}, blue, "thief")
	w.gone(&corev1.ConfigMap{}, red, "config-0")

	// What it deletes, it deletes as itself too.
	w.delete(app)
	w.gone(&v1alpha1.App{}, red, "app")
	w.gone(&corev1.ConfigMap{}, red, "config-1")
	w.impersonated(user, red, "config-1")
}

// impersonated checks that whatever the controller did to a ConfigMap, it did as
// the tenant.
func (w *world) impersonated(user, namespace, name string) {
	w.t.Helper()
	seen := 0
	for _, e := range w.sandbox.Requests(w.t, user) {
		if e.Stage != sandboxtest.StageComplete || e.Resource != "configmaps" || e.Namespace != namespace || e.Name != name {
			continue
		}
		seen++
		if e.Impersonated != "system:serviceaccount:"+namespace+":abide" {
			w.t.Errorf("%s %s was sent as %q", e.Verb, name, e.Impersonated)
		}
	}
	if seen == 0 {
		w.t.Errorf("the audit log has no request of %s about %s", user, name)
	}
}
