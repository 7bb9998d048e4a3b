package install_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/install"
)

func objects(t *testing.T, o install.Options) []*unstructured.Unstructured {
	t.Helper()
	objs, err := install.Objects(o)
	if err != nil {
		t.Fatal(err)
	}
	return objs
}

// names are Kind/name in the order of objs.
func names(objs []*unstructured.Unstructured) []string {
	var out []string
	for _, u := range objs {
		out = append(out, u.GetKind()+"/"+u.GetName())
	}
	return out
}

func find[T any](t *testing.T, objs []*unstructured.Unstructured, kind, name string) *T {
	t.Helper()
	for _, u := range objs {
		if u.GetKind() == kind && u.GetName() == name {
			out := new(T)
			if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, out); err != nil {
				t.Fatal(err)
			}
			return out
		}
	}
	t.Fatalf("no %s %s among %v", kind, name, names(objs))
	return nil
}

func TestManifestsAreOneStreamInApplyOrder(t *testing.T) {
	b, err := install.Manifests(install.Options{})
	if err != nil {
		t.Fatal(err)
	}
	again, err := install.Manifests(install.Options{})
	if err != nil || !bytes.Equal(b, again) {
		t.Fatalf("the same options give other bytes (%v)", err)
	}
	var kinds []string
	for _, doc := range bytes.Split(b, []byte("\n---\n")) {
		u := &unstructured.Unstructured{}
		if err := yaml.UnmarshalStrict(doc, &u.Object); err != nil {
			t.Fatal(err)
		}
		if _, ok := u.Object["status"]; ok || u.GetAPIVersion() == "" || u.GetName() == "" {
			t.Errorf("%s %q of %q has no apiVersion or name, or has a status", u.GetKind(), u.GetName(), u.GetAPIVersion())
		}
		if u.GetLabels()["app.kubernetes.io/name"] != "abide" {
			t.Errorf("%s %s does not say that it belongs to abide", u.GetKind(), u.GetName())
		}
		kinds = append(kinds, u.GetKind())
	}
	want := []string{
		"Namespace", "CustomResourceDefinition", "ServiceAccount", "ClusterRole", "Role", "ClusterRoleBinding",
		"RoleBinding", "ClusterRoleBinding", "ClusterRole", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding",
		"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "Service", "Deployment",
	}
	if diff := cmp.Diff(want, slices.Compact(kinds)); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

func TestCRDs(t *testing.T) {
	crds, err := install.CRDs()
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"CustomResourceDefinition/approvals.abide.dev", "CustomResourceDefinition/apps.abide.dev",
		"CustomResourceDefinition/gitrefs.abide.dev", "CustomResourceDefinition/healthrules.abide.dev",
		"CustomResourceDefinition/inventories.abide.dev", "CustomResourceDefinition/pauses.abide.dev",
		"CustomResourceDefinition/pins.abide.dev", "CustomResourceDefinition/releases.abide.dev",
		"CustomResourceDefinition/repositories.abide.dev",
	}
	if diff := cmp.Diff(want, names(crds)); diff != "" {
		t.Errorf("CRDs (-want +got):\n%s", diff)
	}
	var kinds []string
	for _, crd := range crds {
		kind, _, _ := unstructured.NestedString(crd.Object, "spec", "names", "kind")
		kinds = append(kinds, kind)
	}
	if all := slices.Sorted(slices.Values(v1alpha1.Kinds())); !slices.Equal(slices.Sorted(slices.Values(kinds)), all) {
		t.Errorf("defined are %v, and the kinds of the API are %v", kinds, all)
	}
	// They belong to the caller: what is done to them stays with him.
	crds[0].SetName("changed")
	if again, _ := install.CRDs(); again[0].GetName() == "changed" {
		t.Error("a second call returns the first one's objects")
	}
}

func TestOptions(t *testing.T) {
	all := names(objects(t, install.Options{}))
	for _, row := range []struct {
		why     string
		options install.Options
		more    []string
		less    []string
	}{
		{why: "cluster-admin is one binding more", options: install.Options{ClusterAdmin: true},
			more: []string{"ClusterRoleBinding/abide-cluster-admin"}},
		{why: "outside the cluster nothing runs in it", options: install.Options{NoWorkload: true},
			less: []string{"Deployment/abide", "Service/abide-metrics"}},
		{why: "who may not see all Secrets may not read them by name either", options: install.Options{Watch: []string{"configmaps"}},
			less: []string{"ClusterRoleBinding/abide-repository-secrets"}},
		{why: "who sees them all may", options: install.Options{Watch: []string{"configmaps", "secrets"}}},
	} {
		want := slices.DeleteFunc(slices.Clone(all), func(n string) bool { return slices.Contains(row.less, n) })
		want = append(want, row.more...)
		got := names(objects(t, row.options))
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.why, diff)
		}
	}
}

func TestWrongOptions(t *testing.T) {
	for _, row := range []struct {
		options install.Options
		want    string
	}{
		{install.Options{Namespace: "Abide"}, `namespace "Abide": want a namespace name of at most 63 lower-case letters, digits and dashes`},
		{install.Options{Namespace: strings.Repeat("a", 64)}, "at most 63"},
		{install.Options{Image: "-x y"}, `image "-x y": want an image reference such as registry.example.com/abide:v1.0.0`},
		{install.Options{AuditLog: "audit.jsonl"}, `audit log "audit.jsonl": want the absolute path of a file, or - for standard output`},
		{install.Options{Watch: []string{"apps/deployments"}}, `watched kind "apps/deployments": want the plural name with its group, such as configmaps or deployments.apps`},
		{install.Options{Watch: []string{"*"}}, `watched kind "*"`},
	} {
		_, err := install.Objects(row.options)
		var wrong *install.OptionError
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%+v: %v, want %q", row.options, err, row.want)
		}
	}
}

func TestNamespaceReachesEverything(t *testing.T) {
	b, err := install.Manifests(install.Options{Namespace: "gitops", ClusterAdmin: true})
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(b, []byte(install.DefaultNamespace)) {
		t.Errorf("%s is still there", install.DefaultNamespace)
	}
}

func TestWatchIsNarrowed(t *testing.T) {
	role := find[rbacv1.ClusterRole](t, objects(t, install.Options{
		Watch: []string{"configmaps", "deployments.apps", "services"},
	}), "ClusterRole", install.RoleWatchShipped)
	want := []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"configmaps", "services"}, Verbs: []string{"list", "watch"}},
		{APIGroups: []string{"apps"}, Resources: []string{"deployments"}, Verbs: []string{"list", "watch"}},
	}
	if diff := cmp.Diff(want, role.Rules); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
}

// What a reviewer of the manifests looks for first.
func TestRolesHoldNoMoreThanTheySay(t *testing.T) {
	for _, u := range objects(t, install.Options{}) {
		if u.GetKind() != "ClusterRole" && u.GetKind() != "Role" {
			continue
		}
		var role rbacv1.ClusterRole
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &role); err != nil {
			t.Fatal(err)
		}
		for _, r := range role.Rules {
			for _, verb := range []string{"*", "escalate", "bind"} {
				if slices.Contains(r.Verbs, verb) {
					t.Errorf("%s grants the verb %s", role.Name, verb)
				}
			}
			if slices.Contains(r.Resources, "*") {
				if role.Name != install.RoleWatchShipped {
					t.Errorf("%s grants all resources", role.Name)
				}
				// get on "*" reaches nodes/proxy and pods/exec.
				if diff := cmp.Diff([]string{"list", "watch"}, r.Verbs); diff != "" {
					t.Errorf("%s on all resources:\n%s", role.Name, diff)
				}
			}
			if slices.Contains(r.Verbs, "impersonate") {
				if diff := cmp.Diff([]string{"abide"}, r.ResourceNames); diff != "" {
					t.Errorf("%s impersonates others:\n%s", role.Name, diff)
				}
			}
		}
	}
}

func TestDeployment(t *testing.T) {
	d := find[appsv1.Deployment](t, objects(t, install.Options{Image: "registry.example.com/abide:v1"}), "Deployment", install.Deployment)
	if d.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType || *d.Spec.Replicas != 1 {
		t.Error("two controllers could run at a time")
	}
	c := d.Spec.Template.Spec.Containers[0]
	want := []string{
		"controller", "--namespace=abide-system", "--cache-dir=/var/cache/abide",
		"--metrics-bind-address=:8080", "--health-probe-bind-address=:8081", "--leader-elect",
	}
	if diff := cmp.Diff(want, c.Args); diff != "" {
		t.Errorf("args (-want +got):\n%s", diff)
	}
	if c.Image != "registry.example.com/abide:v1" {
		t.Errorf("image is %s", c.Image)
	}
	for _, a := range []string{"/healthz", "/readyz"} {
		if c.LivenessProbe.HTTPGet.Path != a && c.ReadinessProbe.HTTPGet.Path != a {
			t.Errorf("no probe of %s", a)
		}
	}
	if !*c.SecurityContext.ReadOnlyRootFilesystem {
		t.Error("the root file system can be written")
	}
	for k, v := range d.Spec.Selector.MatchLabels {
		if d.Spec.Template.Labels[k] != v {
			t.Errorf("the Pods do not carry %s=%s, which the selector wants", k, v)
		}
	}
}
