package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"abide.dev/abide/api/v1alpha1"
)

// definition is a CustomResourceDefinition of the kind Thing in a group.
func definition(group string) string {
	return fmt.Sprintf(`apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.%[1]s}
spec:
  group: %[1]s
  scope: Cluster
  names: {kind: Thing, plural: things}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {size: {type: integer}}}}}}
`, group)
}

func thing(group, name, size string) string {
	return fmt.Sprintf("apiVersion: %s/v1\nkind: Thing\nmetadata: {name: %s}\nspec: {size: %s}\n", group, name, size)
}

// undefine removes a definition at the end of the test.
func (w *world) undefine(group string) *unstructured.Unstructured {
	crd := &unstructured.Unstructured{}
	crd.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
	crd.SetName("things." + group)
	w.t.Cleanup(func() { w.client.Delete(context.WithoutCancel(w.t.Context()), crd) })
	return crd
}

// TestOrder: what others need comes first, of whatever file; and what can block
// others comes last.
func TestOrder(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	group := w.own + ".example.org"
	w.undefine(group)
	hook := w.own + "-hook"
	w.repo.Write(map[string]string{
		"app/1.yaml": "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingWebhookConfiguration\nmetadata: {name: " + hook + "}\nwebhooks: []\n",
		"app/2.yaml": thing(group, "one", "1") + "---\n" + deployment("web"),
		"app/3.yaml": "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: bind}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: role}\nsubjects: []\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: role}\nrules: []\n",
		"app/4.yaml": definition(group) + "---\n" + configMap("config", "1"),
	})
	commit := w.repo.Commit("all")
	since := now()
	w.run()
	app := w.ready(w.app("app", "app", ns), commit)
	var order []string
	for _, s := range w.writes(since) {
		if _, rest, ok := strings.Cut(s, "patch "); ok && !strings.Contains(s, "dry run") && !strings.Contains(s, "app") {
			resource, _, _ := strings.Cut(rest, " ")
			order = append(order, resource)
		}
	}
	at := map[string]int{}
	for i, resource := range order {
		at[resource] = i
	}
	for _, pair := range [][2]string{
		{"customresourcedefinitions", "things"}, {"serviceaccounts", "deployments"}, {"configmaps", "deployments"},
		{"roles", "rolebindings"}, {"deployments", "validatingwebhookconfigurations"}, {"things", "validatingwebhookconfigurations"},
	} {
		if at[pair[0]] >= at[pair[1]] {
			t.Errorf("%s come not before %s: %v", pair[0], pair[1], order)
		}
	}
	w.delete(app)
	w.approve(app, w.waits(app, "ProtectedKinds").Digest) // the definition
	w.gone(&v1alpha1.App{}, w.own, "app")
	if w.exists(&corev1.ServiceAccount{}, ns, "web") {
		t.Error("the App is gone, and its ServiceAccount is not")
	}
}

// TestUnknownKind: an object whose kind nobody has defined holds up its stage,
// says so, and goes on when the definition comes from elsewhere. A kind that
// another definition of the same group does not bring is no different.
func TestUnknownKind(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	group, other := "a."+w.own+".example.org", "b."+w.own+".example.org"
	w.undefine(group)
	w.undefine(other)
	w.repo.Write(map[string]string{
		"instance/1.yaml": configMap("config", "1"), "instance/2.yaml": thing(group, "one", "1"),
		"definition/1.yaml": definition(group),
		"typo/1.yaml":       definition(other) + "---\n" + strings.Replace(thing(other, "one", "1"), "Thing", "Think", 1),
	})
	commit := w.repo.Commit("all")
	w.run()
	app := w.app("instance", "instance", ns)
	w.says(app, "KindUnknown", group+"/v1 Thing", "instance/2.yaml:1", "install its definition")
	w.state(app, v1alpha1.StateWaiting)
	w.has(ns, "config", "1") // an earlier stage
	typo := w.app("typo", "typo", ns)
	w.says(typo, "KindUnknown", other+"/v1 Think", "typo/1.yaml", "repair apiVersion and kind")
	w.ready(w.app("definition", "definition", ns), commit)
	w.ready(app, commit)
}

// TestStageIsWhole: an object that the server refuses keeps the others of its
// stage, and later ones, from being touched.
func TestStageIsWhole(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	w.repo.Write(map[string]string{"app/1.yaml": configMaps("config", 5, "1"), "app/2.yaml": deployment("web"), "app/3.yaml": configMap("same", "1")})
	commit := w.repo.Commit("well")
	w.run()
	app := w.ready(w.app("app", "app", ns), commit)
	since := now()
	w.repo.Write(map[string]string{
		"app/1.yaml": configMaps("config", 5, "2") + "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: Not_A_Name}\n",
		"app/2.yaml": strings.Replace(deployment("web"), "replicas: 2", "replicas: 3", 1),
	})
	w.push(app, "one is bad")
	w.says(app, "ApplyFailed", "Not_A_Name", "app/1.yaml:")
	toObjects, _ := split(w.writes(since))
	if got := without(toObjects, "dry run"); len(got) != 0 {
		t.Errorf("one object of the stage is refused, and abide sent %q", got)
	}
	w.has(ns, "config-0", "1")
	// What the commit leaves as it was is healed all the same.
	w.patch(cmNamed(ns, "same"), "meddler", `{"data":{"value":"drifted"}}`)
	w.has(ns, "same", "1")
	w.repo.Write(map[string]string{"app/1.yaml": configMaps("config", 5, "2")})
	w.ready(app, w.push(app, "repaired"))
	w.has(ns, "config-4", "2")
}
