package e2e

import (
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"abide.dev/abide/api/v1alpha1"
)

// TestDeleteApp: an App that is deleted takes with it what it owned, last stage
// first; one that says Orphan leaves it; what holds data waits for an approval.
func TestDeleteApp(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	w.repo.Write(map[string]string{
		"all/config.yaml": configMap("all", "1") + "---\n" + deployment("web"), "orphan/config.yaml": configMap("orphan", "1"),
		"data/config.yaml": configMap("data", "1") + claim("data"), "foreground/config.yaml": configMap("foreground", "1"),
	})
	commit := w.repo.Commit("all")
	w.run()
	all := w.ready(w.app("all", "all", ns), commit)
	orphan := w.ready(w.app("orphan", "orphan", ns, func(a *v1alpha1.App) { a.Spec.DeletionPolicy = v1alpha1.DeletionPolicyOrphan }), commit)
	foreground := w.ready(w.app("foreground", "foreground", ns), commit)
	data := w.app("data", "data", ns)
	w.state(data, v1alpha1.StateInSync)

	since := now()
	w.delete(all)
	w.gone(&v1alpha1.App{}, w.own, "all")
	if w.find(ns, "all") != nil || w.exists(&corev1.ServiceAccount{}, ns, "web") {
		t.Error("the App is gone, and something it owned is not")
	}
	deletes := about(w.writes(since), "delete ")
	if len(deletes) != 4 || deletes[0] != "delete deployments web" {
		t.Errorf("the deletes are %v, want the Deployment first, and the inventory last", deletes)
	}

	w.delete(orphan)
	w.gone(&v1alpha1.App{}, w.own, "orphan")
	if cm := w.find(ns, "orphan"); cm == nil || cm.DeletionTimestamp != nil {
		t.Error("an App with the policy Orphan took its object with it")
	}

	w.delete(foreground, client.PropagationPolicy(metav1.DeletePropagationForeground))
	// The finalizer that is left is for the garbage collector, which may take half
	// a minute to learn of a new kind.
	w.gone(&corev1.ConfigMap{}, ns, "foreground")
	eventually(t, "abide lets go of it", func() error {
		if now := (&v1alpha1.App{}); w.exists(now, w.own, "foreground") && slices.Contains(now.Finalizers, v1alpha1.Finalizer) {
			return fmt.Errorf("it has %v", now.Finalizers)
		}
		return nil
	})

	w.delete(data)
	p := w.waits(data, "ProtectedKinds")
	if !w.exists(&corev1.PersistentVolumeClaim{}, ns, "data") || w.find(ns, "data") == nil {
		t.Error("before the approval, something was removed")
	}
	// While it waits, the others of its repository go on: it wants nothing.
	w.repo.Write(map[string]string{"next/config.yaml": configMaps("next", 2, "1")})
	next := w.app("next", "next", ns)
	w.repo.Commit("two")
	w.refresh(next)
	w.ready(next, "")
	w.repo.Write(map[string]string{"next/config.yaml": configMaps("next", 1, "1")})
	commit = w.push(next, "one")
	w.ready(next, commit)
	w.gone(&corev1.ConfigMap{}, ns, "next-1")
	w.judged(commit)

	w.approve(data, p.Digest)
	w.gone(&v1alpha1.App{}, w.own, "data")
	w.gone(&corev1.PersistentVolumeClaim{}, ns, "data")
	var l v1alpha1.InventoryList
	must(t, w.client.List(t.Context(), &l, client.InNamespace(w.own)))
	for _, inv := range l.Items {
		if inv.App != "next" {
			t.Errorf("the inventory of App %s outlives it", inv.App)
		}
	}
}

// TestUninstallOrphans: where abide's own kinds are being deleted (kubectl delete
// -f install.yaml), what Apps own stays.
func TestUninstallOrphans(t *testing.T) {
	w := newWorld(t)
	defer installKinds(t, w.sandbox.Config())
	ns := w.sandbox.Namespace(t)
	w.repo.Write(map[string]string{"app/config.yaml": configMaps("config", 3, "1")})
	commit := w.repo.Commit("three")
	w.run()
	w.ready(w.app("app", "app", ns), commit)

	crd := &unstructured.Unstructured{}
	crd.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
	crd.SetName("apps." + v1alpha1.Group)
	w.delete(crd)
	w.gone(crd, "", crd.GetName())
	if n := len(w.configMaps(ns)); n != 3 {
		t.Errorf("abide's kind was deleted, and of 3 objects %d are left", n)
	}
	w.abide.kill()
}

// TestTenantNamespaceGoes: when the namespace of an App is deleted, what the App
// has elsewhere stays, and nothing holds the namespace up.
func TestTenantNamespaceGoes(t *testing.T) {
	w := newWorld(t)
	outside, tenant := w.sandbox.Namespace(t), w.fresh("tenant")
	must(t, w.client.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: tenant}}))
	w.tenant(tenant, tenant, outside)
	w.repo.Write(map[string]string{"app/config.yaml": configMap("inside", "1") +
		"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: outside, namespace: " + outside + "}\n"})
	commit := w.repo.Commit("two")
	w.run()
	w.ready(w.app("app", "app", tenant, inNamespace(tenant)), commit)
	w.delete(&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: tenant}})
	w.gone(&corev1.Namespace{}, "", tenant)
	if w.find(outside, "outside") == nil {
		t.Error("what the App had outside its namespace was removed")
	}
}
