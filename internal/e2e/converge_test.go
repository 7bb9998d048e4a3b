package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"abide.dev/abide/api/v1alpha1"
)

// fresh is the name of a namespace that does not exist yet, and is removed with
// the test.
func (w *world) fresh(suffix string) string {
	w.t.Helper()
	name := w.own + "-" + suffix
	w.t.Cleanup(func() {
		w.client.Delete(context.WithoutCancel(w.t.Context()), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
	})
	return name
}

func deployment(name string) string {
	return fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s}
spec:
  replicas: 2
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec:
      serviceAccountName: %[1]s
      containers: [{name: main, image: "example.org/nothing:1"}]
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: %[1]s}
`, name)
}

// TestConverge: what lies in Git comes to be, wherever it belongs, and the App
// says when it is there and healthy.
func TestConverge(t *testing.T) {
	w := newWorld(t)
	target, elsewhere := w.fresh("target"), w.fresh("elsewhere")
	role := w.own + "-reader"
	t.Cleanup(func() {
		w.client.Delete(context.WithoutCancel(t.Context()), &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: role}})
	})
	w.repo.Write(map[string]string{
		"app/config.yaml":     configMap("config", "1"),
		"app/other.yaml":      "apiVersion: v1\nkind: Namespace\nmetadata: {name: " + elsewhere + "}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: config, namespace: " + elsewhere + "}\ndata: {value: other}\n",
		"app/role.yaml":       "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: " + role + ", namespace: ignored}\nrules: []\n",
		"app/secret.yaml":     "apiVersion: v1\nkind: Secret\nmetadata: {name: secret}\nstringData: {password: not-a-real-one}\n",
		"app/deployment.yaml": deployment("web"),
	})
	commit := w.repo.Commit("everything")
	w.run()
	app := w.ready(w.app("app", "app", target), commit)

	s := app.Status
	if s.State != v1alpha1.StateInSync || s.Health != v1alpha1.HealthHealthy || s.Objects.Total != 7 || s.Objects.InSync != 7 || s.Objects.Healthy != 7 || len(s.Objects.Attention) != 0 {
		t.Errorf("the status of a ready App is %+v", s)
	}
	if s.ObservedGeneration != app.Generation || s.AppliedHash != s.DesiredHash || s.DesiredHash == "" {
		t.Errorf("observedGeneration %d of %d, desired hash %q, applied %q", s.ObservedGeneration, app.Generation, s.DesiredHash, s.AppliedHash)
	}
	if s.Source.Ref != "refs/heads/main" || s.Source.Revision != "main@"+commit[:8] || s.Source.Subject != "everything" || s.Source.Author != "Ada <ada@example.org>" {
		t.Errorf("the source is %+v", s.Source)
	}
	for _, c := range []string{v1alpha1.ConditionReady, v1alpha1.ConditionSynced, v1alpha1.ConditionHealthy} {
		if got := meta.FindStatusCondition(s.Conditions, c); got == nil || got.Status != metav1.ConditionTrue || got.ObservedGeneration != app.Generation {
			t.Errorf("condition %s is %+v", c, got)
		}
	}
	var d appsv1.Deployment
	if !w.exists(&d, target, "web") || d.Status.AvailableReplicas != 2 {
		t.Errorf("the App is ready, and its Deployment is not available: %+v", d.Status)
	}
	if cm := w.find(elsewhere, "config"); cm == nil || cm.Data["value"] != "other" {
		t.Errorf("an object with a namespace of its own did not go there: %+v", cm)
	}
	if !w.exists(&rbacv1.ClusterRole{}, "", role) {
		t.Error("a cluster-scoped object with a namespace in its file was not created")
	}
	var secret corev1.Secret
	if !w.exists(&secret, target, "secret") || string(secret.Data["password"]) != "not-a-real-one" {
		t.Error("stringData did not become data")
	}
	var ns corev1.Namespace
	if !w.exists(&ns, "", target) || ns.Labels[v1alpha1.LabelApp] != "" {
		t.Errorf("the target namespace was created for the App and is not part of it: %+v", ns.ObjectMeta)
	}
	w.columns(app, commit)

	// It was made for the App, and is not the App's to remove.
	w.delete(app)
	w.approve(app, w.waits(app, "ProtectedKinds").Digest) // the namespace that is in Git
	w.gone(&v1alpha1.App{}, app.Namespace, app.Name)
	if !w.exists(&ns, "", target) || ns.DeletionTimestamp != nil {
		t.Error("the target namespace went with the App")
	}
}

// columns checks what kubectl get apps shows.
func (w *world) columns(app *v1alpha1.App, commit string) {
	w.t.Helper()
	clients, err := kubernetes.NewForConfig(w.sandbox.Config())
	must(w.t, err)
	raw, err := clients.RESTClient().Get().AbsPath("/apis/abide.dev/v1alpha1/namespaces", app.Namespace, "apps", app.Name).
		SetHeader("Accept", "application/json;as=Table;g=meta.k8s.io;v=v1").DoRaw(w.t.Context())
	must(w.t, err)
	var table metav1.Table
	must(w.t, json.Unmarshal(raw, &table))
	cells := map[string]any{}
	for i, c := range table.ColumnDefinitions {
		cells[c.Name] = table.Rows[0].Cells[i]
	}
	delete(cells, "Age")
	want := map[string]any{
		"Name": app.Name, "Status": "InSync", "Health": "Healthy", "Commit": "main@" + commit[:8],
		"Message": "7 objects in sync and healthy",
	}
	if fmt.Sprint(cells) != fmt.Sprint(want) {
		w.t.Errorf("kubectl get apps shows %v, want %v", cells, want)
	}
}

// TestNotReadyBeforeItIs: an App whose objects are applied and not healthy is
// not Ready, and says which one is missing and why; a change of its spec is not
// answered by the status of the spec before.
func TestNotReadyBeforeItIs(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	w.repo.Write(map[string]string{
		"sick/pod.yaml": "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: never}\nspec: {accessModes: [ReadWriteOnce], storageClassName: none-of-that-name, resources: {requests: {storage: 1Gi}}}\n",
		"well/cm.yaml":  configMap("config", "1"),
	})
	w.repo.Commit("one that is never bound")
	w.run()
	app := w.app("app", "sick", ns)
	w.says(app, "Progressing", "PersistentVolumeClaim", "never")
	sick := w.state(app, v1alpha1.StateInSync)
	if sick.Status.Health != v1alpha1.HealthProgressing || len(sick.Status.Objects.Attention) != 1 {
		t.Errorf("the status is %+v", sick.Status)
	}
	w.patch(app, "tester", `{"spec":{"source":{"path":"well"},"sync":{"prune":false}}}`)
	eventually(t, "the new spec is what the status is about", func() error {
		now := w.get(app)
		if now.Status.ObservedGeneration != now.Generation || w.find(ns, "config") == nil {
			return fmt.Errorf("generation %d, status %+v", now.Generation, now.Status)
		}
		return nil
	})
}

// TestNamespaceIsMissing: without createNamespace a missing namespace is an
// error that says what to do, and the App goes on once it is there.
func TestNamespaceIsMissing(t *testing.T) {
	w := newWorld(t)
	target := w.fresh("target")
	w.repo.Write(map[string]string{"app/config.yaml": configMap("config", "1")})
	commit := w.repo.Commit("one")
	w.run()
	app := w.app("app", "app", target, func(a *v1alpha1.App) { a.Spec.Target.CreateNamespace = new(bool) })
	w.says(app, "ApplyFailed", target, "config.yaml:1", "create that namespace")
	if w.exists(&corev1.Namespace{}, "", target) {
		t.Fatal("the namespace was created against the App's word")
	}
	must(t, w.client.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: target}}))
	w.ready(app, commit)
}
