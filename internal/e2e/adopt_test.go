package e2e

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"abide.dev/abide/api/v1alpha1"
)

// TestAdopt: what is there before its App comes becomes the App's: at once if
// nobody tracks it, and a field of it that Git does not have goes; after an
// approval if another tool does.
func TestAdopt(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	applied := cmNamed(ns, "applied")
	applied.Data = map[string]string{"value": "0", "old": "field"}
	// As kubectl apply leaves it without --server-side.
	applied.Annotations = map[string]string{corev1.LastAppliedConfigAnnotation: `{"apiVersion":"v1","kind":"ConfigMap","data":{"value":"0","old":"field"},"metadata":{"name":"applied"}}`}
	must(t, w.client.Create(t.Context(), applied, client.FieldOwner("kubectl-client-side-apply")))
	w.patch(cmNamed(ns, "applied"), "somebody", `{"data":{"foreign":"field"}}`)
	released := cmNamed(ns, "released")
	released.Data = map[string]string{"value": "0"}
	released.Annotations = map[string]string{"meta.helm.sh/release-name": "shop", "meta.helm.sh/release-namespace": "default"}
	must(t, w.client.Create(t.Context(), released, client.FieldOwner("helm")))

	w.repo.Write(map[string]string{
		"kubectl/config.yaml": configMap("applied", "1"),
		"helm/config.yaml":    configMap("released", "1") + "---\n" + configMap("new", "1"),
	})
	commit := w.repo.Commit("what is there")
	w.run()
	w.ready(w.app("kubectl", "kubectl", ns), commit)
	cm := w.find(ns, "applied")
	if cm.UID != applied.UID || cm.Data["value"] != "1" || cm.Labels[v1alpha1.LabelApp] == "" {
		t.Errorf("the adopted object is %+v", cm)
	}
	if _, there := cm.Data["old"]; there {
		t.Error("a field that kubectl had applied, and that is not in Git, is still there")
	}
	if cm.Data["foreign"] != "field" {
		t.Error("a field of somebody who does not apply manifests was removed")
	}

	app := w.app("helm", "helm", ns)
	p := w.waits(app, "TrackedByOthers")
	w.says(app, "TrackedByOthers", "Helm release default/shop")
	if p.Adopt != 1 || p.Create != 1 {
		t.Errorf("the plan is %+v", p)
	}
	if cm := w.find(ns, "released"); cm.Data["value"] != "0" || cm.Labels[v1alpha1.LabelApp] != "" {
		t.Errorf("an object of a Helm release was changed without an approval: %+v", cm)
	}
	if w.find(ns, "new") != nil {
		t.Error("a part of a plan that waits was carried out")
	}
	w.approve(app, p.Digest)
	w.ready(app, commit)
	if cm := w.find(ns, "released"); cm.UID != released.UID || cm.Data["value"] != "1" {
		t.Errorf("after the approval, it is %+v", cm)
	}
}
