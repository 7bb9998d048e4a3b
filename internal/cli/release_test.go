package cli

import (
	"context"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/install"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/release"
)

// releaseOfTest writes a release as the controller would.
func (w *world) releaseOfTest(t *testing.T, app string, number int64, texts ...string) {
	t.Helper()
	s, id := release.New(w, install.DefaultNamespace, time.Now), object.App{Namespace: w.ns, Name: app}
	all := map[object.Key]*unstructured.Unstructured{}
	var items []release.Item
	for _, text := range texts {
		u := parseYAML(t, text)
		if err := object.Normalise(u); err != nil {
			t.Fatal(err)
		}
		k := object.KeyOf(u)
		all[k] = u
		items = append(items, release.Item{Key: k})
	}
	r := v1alpha1.ReleaseSpec{Number: number, Trigger: v1alpha1.TriggerCommit, Outcome: v1alpha1.OutcomeSucceeded}
	if len(items) > 0 {
		names, err := s.Keep(t.Context(), id, items, func(context.Context, map[object.Key]bool) (map[object.Key]*unstructured.Unstructured, error) {
			return all, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		r.Manifests = names
	}
	if err := s.Write(t.Context(), id, &r); err != nil {
		t.Fatal(err)
	}
}

// TestReleasesOfACluster: history, show, manifests and diff read what the
// controller keeps, show no value of a Secret unasked, and say what is wrong.
func TestReleasesOfACluster(t *testing.T) {
	w := newWorld(t)
	w.app(t, "web", inSync)
	w.abide(t, "history", "web").want(t, 1, "App web has no release yet")
	w.abide(t, "history", "wbe").want(t, 1, "there is web")
	w.releaseOfTest(t, "web", 1, configMap("a", "{k: one}"), configMap("gone", "{a: b}"), secretNamed("login", secretValue))
	w.releaseOfTest(t, "web", 2, configMap("a", "{k: two}"), configMap("new", "{a: b}"), secretNamed("login", secretValue+"-next"))
	w.releaseOfTest(t, "web", 3)

	w.abide(t, "history", "web").want(t, 0, "web#3", "web#2", "web#1", "Succeeded", "Commit")
	w.abide(t, "history", "web", "-o", "json").want(t, 0, `"kind": "List"`)
	w.abide(t, "show", "web#2").want(t, 0, "web#2")
	w.abide(t, "show", "web#9").want(t, 1, "App web has no release 9 on record: there are 1 to 3")

	w.abide(t, "manifests", "web#2", "--show-secrets").want(t, 0, "k: two\n", "Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5")
	hidden := w.abide(t, "manifests", "web#2")
	hidden.want(t, 0, "kind: ConfigMap", "k: two\n", "password: <secret ")
	differs := w.abide(t, "diff", "web#1", "web#2", "--exit-code")
	differs.want(t, exitDifferences, "~ update ConfigMap a\n  data.k\n  - one\n  + two\n", "- delete ConfigMap gone\n", "+ create ConfigMap new\n",
		"~ update Secret login\n  data.password\n  - <secret ", "0 unchanged")
	if text := hidden.out + differs.out; strings.Contains(text, secretValue) || strings.Contains(text, "Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5") {
		t.Errorf("the value of a Secret is shown:\n%s", text)
	}
	w.abide(t, "diff", "web#1", "web#1", "--exit-code").want(t, 0, "3 unchanged")
	w.abide(t, "diff", "web", "web#1").want(t, 2, "takes the number of the first")
	w.abide(t, "manifests", "web#3").want(t, 1, "what web#3 rendered is not kept")
}

// TestManifestsAreNotForEverybody: whoever may see Apps sees records, and what was
// rendered only with the right to abide's own Secrets; nobody sees another App's
// through a record that is made up.
func TestManifestsAreNotForEverybody(t *testing.T) {
	w := newWorld(t)
	w.app(t, "web", inSync)
	w.releaseOfTest(t, "web", 1, configMap("a", "{k: one}"))
	rbac := kubernetes.NewForConfigOrDie(w.Config()).RbacV1()
	if _, err := rbac.RoleBindings(w.ns).Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "eve"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: install.RoleView},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: "eve"}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eve := w.UserKubeconfig(t, "eve")
	run(t, "history", "web", "-n", w.ns, "--kubeconfig", eve).want(t, 0, "web#1")
	run(t, "manifests", "web#1", "-n", w.ns, "--kubeconfig", eve).want(t, 1, "you may not read them", install.DefaultNamespace, "eve")

	var r v1alpha1.Release
	if err := w.Get(t.Context(), client.ObjectKey{Namespace: w.ns, Name: "web-1"}, &r); err != nil {
		t.Fatal(err)
	}
	forged := &v1alpha1.Release{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "api-1"}, Spec: r.Spec}
	forged.Spec.App = "api"
	copied := &v1alpha1.Release{ObjectMeta: metav1.ObjectMeta{Namespace: w.ns, Name: "a-copy"}, Spec: r.Spec}
	copied.Spec.Number = 77
	for _, o := range []client.Object{forged, copied} {
		if err := w.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	w.abide(t, "manifests", "api#1").want(t, 1, "does not hold manifests of App "+w.ns+"/api")
	if a := w.abide(t, "history", "web"); strings.Contains(a.out, "77") {
		t.Errorf("a copy passes for a release:\n%s", a.out)
	}
}
