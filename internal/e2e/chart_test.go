package e2e

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"abide.dev/abide/api/v1alpha1"
)

// chart is a small one. Its migration is a hook, which is not applied.
var chart = map[string]string{
	"charts/shop/Chart.yaml":  "apiVersion: v2\nname: shop\nversion: 1.0.0\n",
	"charts/shop/values.yaml": "colour: red\nsize: small\ntaste: none\ncount: 1\n",
	"charts/shop/templates/config.yaml": `apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ .Release.Name }}"}
data:
  value: "{{ .Values.colour }} {{ .Values.size }} {{ .Values.taste }} {{ .Values.count }}"
  namespace: "{{ .Release.Namespace }}"
  serves: "{{ .Capabilities.APIVersions.Has "abide.dev/v1alpha1/App" }}"
  kubernetes: "{{ .Capabilities.KubeVersion.Major }}"
`,
	"charts/shop/templates/migrate.yaml": `apiVersion: v1
kind: ConfigMap
metadata: {name: "{{ .Release.Name }}-migrate", annotations: {helm.sh/hook: "pre-install,pre-upgrade"}}
`,
	"envs/prod.yaml": "size: large\n",
}

// TestChart: a chart is rendered with values from everywhere they may come from,
// the last one counting most, and again when one of them changes.
func TestChart(t *testing.T) {
	w := newWorld(t)
	shop := w.sandbox.Namespace(t)
	w.asInstalled()
	w.repo.Write(chart)
	commit := w.repo.Commit("a chart")
	w.account(shop)
	must(t, w.client.Create(t.Context(), &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: "deployer"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"*"}}},
	}))
	must(t, w.client.Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: "deployer"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "deployer"},
		Subjects:   []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: shop, Name: v1alpha1.ServiceAccount}},
	}))
	w.run()
	yes := true
	app := w.app("red", "charts/shop", shop, inNamespace(shop), func(a *v1alpha1.App) {
		a.Spec.Render = &v1alpha1.Render{Helm: &v1alpha1.Helm{
			ReleaseName: "boutique",
			ValuesFiles: []v1alpha1.ValuesFile{{Path: "/envs/prod.yaml"}, {Path: "none.yaml", Optional: &yes}},
			ValuesFrom: []v1alpha1.ValuesReference{
				{Kind: v1alpha1.ValuesKindConfigMap, Name: "settings", Key: "values.yaml"},
				{Kind: v1alpha1.ValuesKindSecret, Name: "taste", Key: "is", TargetPath: "taste"},
				{Kind: v1alpha1.ValuesKindSecret, Name: "nothing", Key: "is", Optional: &yes},
			},
			Values: &runtime.RawExtension{Raw: []byte(`{"count": 3}`)},
		}}
	})
	w.says(app, "ValuesUnavailable", "ConfigMap "+shop+"/settings", "create it")
	must(t, w.client.Create(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: "settings"},
		Data:       map[string]string{"values.yaml": "colour: green\nsize: never seen\n", "unused": "1"},
	}))
	// What the App may not read as itself, it may not read through abide.
	w.says(app, "ValuesUnavailable", "Secret "+shop+"/taste", "grant get, list and watch")
	w.grant(shop, shop)
	must(t, w.client.Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: shop, Name: "taste"}, Data: map[string][]byte{"is": []byte("sweet")},
	}))
	w.refresh(app)
	app = w.ready(app, commit)
	cm := w.has(shop, "boutique", "green never seen sweet 3")
	if cm.Data["namespace"] != shop || cm.Data["serves"] != "true" || cm.Data["kubernetes"] != "1" {
		t.Errorf("what the chart found of its release and the cluster: %v", cm.Data)
	}
	if s := app.Status; s.Source.Renderer != "helm" || s.Release == nil || s.Release.Number != 1 {
		t.Errorf("the status says renderer %q, release %+v", s.Source.Renderer, s.Release)
	}
	if w.find(shop, "boutique-migrate") == nil {
		t.Error("the hook did not run")
	}

	w.patch(cmNamed(shop, "settings"), "somebody", `{"data":{"values.yaml":"colour: blue"}}`)
	w.has(shop, "boutique", "blue large sweet 3")
	var secret corev1.Secret
	if !w.exists(&secret, shop, "taste") {
		t.Fatal("the Secret is gone")
	}
	w.patch(&secret, "somebody", `{"stringData":{"is":"sour"}}`)
	w.has(shop, "boutique", "blue large sour 3")

	w.repo.Write(map[string]string{"envs/prod.yaml": "size: huge\n"})
	w.push(app, "larger")
	w.has(shop, "boutique", "blue huge sour 3")
}

// TestChartTests: the tests of a chart run when all of a release is healthy, if the
// App asks for that, and one that fails fails the release. Hooks of a first install
// and of an upgrade are told apart.
func TestChartTests(t *testing.T) {
	w := newWorld(t)
	ns := w.sandbox.Namespace(t)
	hook := func(events, policy string) map[string]string {
		return map[string]string{"helm.sh/hook": events, "helm.sh/hook-delete-policy": policy}
	}
	w.repo.Write(map[string]string{
		"chart/Chart.yaml":               "apiVersion: v2\nname: shop\nversion: 1.0.0\n",
		"chart/values.yaml":              "value: one\n",
		"chart/templates/a.yaml":         configMap("a", "{{ .Values.value }}"),
		"chart/templates/install.yaml":   job("on-install", hook("pre-install", ""), completes),
		"chart/templates/upgrade.yaml":   job("on-upgrade", hook("post-upgrade", "hook-succeeded"), completes),
		"chart/templates/tests/one.yaml": job("check", hook("test", ""), completes),
	})
	w.repo.Commit("one")
	since := now()
	w.run()
	quiet := w.app("quiet", "chart", ns)
	w.outcome(quiet, 1, v1alpha1.OutcomeSucceeded)
	if made := w.created(since, "jobs"); len(made) != 1 || !strings.HasPrefix(made[0], "on-install-1-") {
		t.Errorf("the first release ran %v", made)
	}
	w.delete(quiet)
	w.gone(&v1alpha1.App{}, w.own, "quiet")

	since = now()
	app := w.app("app", "chart", ns, func(a *v1alpha1.App) {
		a.Spec.Render = &v1alpha1.Render{Helm: &v1alpha1.Helm{RunTests: new(true)}}
	})
	rel := w.outcome(app, 1, v1alpha1.OutcomeSucceeded)
	if len(rel.Hooks) != 2 || rel.Hooks[1].Hook != "Job.batch "+ns+"/check" || rel.Hooks[1].When != "post-sync" {
		t.Errorf("the first release ran %+v", rel.Hooks)
	}
	w.repo.Write(map[string]string{"chart/values.yaml": "value: two\n", "chart/templates/tests/one.yaml": job("check", hook("test", ""), fails)})
	w.push(app, "two")
	w.says(app, "ReleaseFailed", "release 2 failed", "post-sync hook", "check-2-")
	w.has(ns, "a", "two")
	if made := w.created(since, "jobs"); len(made) != 4 || !strings.HasPrefix(made[2], "on-upgrade-2-") {
		t.Errorf("the releases ran %v", made)
	}
	w.repo.Write(map[string]string{"chart/templates/tests/one.yaml": job("check", hook("test", ""), completes)})
	w.ready(app, w.push(app, "mended"))
	w.outcome(app, 3, v1alpha1.OutcomeSucceeded)
}
