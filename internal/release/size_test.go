package release

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/object"
)

// bytesPerApp is what docs/releases.md states of an App of ten objects with ten
// releases, each of which changes one of them: what the API server stores, within a
// tenth.
const bytesPerApp = 39_000

// TestBytesPerApp: ten thousand Apps do not fill etcd.
func TestBytesPerApp(t *testing.T) {
	app := object.App{Namespace: "team-payments", Name: "checkout-service"}
	s := &Store{namespace: "abide-system"}
	total := 0
	for n := range int64(10) {
		var objects []*unstructured.Unstructured
		for i := range 10 {
			objects = append(objects, typical(i, n))
		}
		parts, err := pack(app, objects, nil)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, data := range parts {
			p := hashPart([]byte("key"), app.String(), data)
			names = append(names, p.name(app))
			total += stored(t, s.secret(app, p, data))
		}
		spec, err := bounded(typicalRelease(app, n+1, names))
		if err != nil {
			t.Fatal(err)
		}
		total += stored(t, &v1alpha1.Release{ObjectMeta: metav1.ObjectMeta{Namespace: app.Namespace, Name: Name(app.Name, n+1), Labels: map[string]string{labelReleaseOf: app.Label()}}, Spec: *spec})
	}
	t.Logf("%d bytes", total)
	if total > bytesPerApp*11/10 || total < bytesPerApp*9/10 {
		t.Errorf("ten releases of an App take %d bytes, and the documentation says %d", total, bytesPerApp)
	}
}

// stored is about what the API server stores of an object, its own fields included.
func stored(t *testing.T, o any) int {
	t.Helper()
	b, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	return len(b) + 500 // uid, times, managedFields
}

// typical is an object of the size that people have: a Deployment among Services and
// ConfigMaps.
func typical(i int, release int64) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": fmt.Sprint("settings-", i), "namespace": "team-payments"},
		"data": map[string]any{},
	}}
	for k := range 20 {
		unstructured.SetNestedField(u.Object, fmt.Sprintf("https://service-%d.example.org/%d/api", k*i, k), "data", fmt.Sprint("SERVICE_URL_", k))
	}
	if i == 0 {
		u.Object["kind"], u.Object["apiVersion"] = "Deployment", "apps/v1"
		unstructured.SetNestedField(u.Object, fmt.Sprintf("registry.example.org/payments/checkout:1.0.%d", release), "spec", "image")
	}
	return u
}

func typicalRelease(app object.App, n int64, names []string) *v1alpha1.ReleaseSpec {
	at := metav1.NewMicroTime(time.Unix(1_700_000_000, 0))
	return &v1alpha1.ReleaseSpec{
		App: app.Name, AppUID: "01234567-89ab-cdef-0123-456789abcdef", Number: n, DesiredHash: "0123456789abcdef0123456789abcdef",
		Trigger: v1alpha1.TriggerCommit, Outcome: v1alpha1.OutcomeSucceeded, StartedAt: &at, FinishedAt: &at, Manifests: names, Healthy: new(true),
		Source: v1alpha1.SourceStatus{
			Commit: "0123456789abcdef0123456789abcdef01234567", Ref: "refs/heads/main", Revision: "main@01234567", Renderer: "kustomize",
			Author: "Ada Lovelace <ada.lovelace@example.org>", Committer: "Ada Lovelace <ada.lovelace@example.org>", Subject: "checkout: take the newer payment API",
		},
		Plan: v1alpha1.ReleasePlan{
			Digest: "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", Update: 1,
			Objects: []v1alpha1.ReleaseObject{{
				Object: "Deployment.apps team-payments/checkout-service", Action: "update", Result: v1alpha1.ResultApplied, At: &at, Took: 12, FieldCount: 1,
				Fields: []v1alpha1.FieldChange{{Path: "spec.template.spec.containers[name=checkout].image", From: "registry.example.org/payments/checkout:1.0.1", To: "registry.example.org/payments/checkout:1.0.2"}},
			}},
		},
	}
}
