package install_test

import (
	"bytes"
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"sigs.k8s.io/yaml"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/install"
	"abide.dev/abide/internal/sandboxtest"
)

func TestMain(m *testing.M) { os.Exit(sandboxtest.RunMain(m)) }

// patience is how long a real control plane may take for what it does by itself:
// aggregate a role, take up a policy, start a Pod.
const patience = time.Minute

var once sync.Once

// installed is the package's sandbox with the printed manifests applied to it.
func installed(t *testing.T) *sandboxtest.Sandbox {
	t.Helper()
	sb := sandboxtest.Shared(t)
	once.Do(func() {
		applyManifests(t, sb.Config())
		// The CRDs are served a moment after they are there.
		eventually(t, "abide.dev/v1alpha1 is served", func() bool {
			list, err := discovery.NewDiscoveryClientForConfigOrDie(sb.Config()).ServerResourcesForGroupVersion("abide.dev/v1alpha1")
			return err == nil && len(list.APIResources) >= 10 // seven kinds, three statuses
		})
	})
	return sb
}

// applyManifests applies each document in the order in which they are printed,
// as kubectl apply --server-side does, and returns what the server answered.
func applyManifests(t *testing.T, cfg *rest.Config) []*unstructured.Unstructured {
	t.Helper()
	b, err := install.Manifests(install.Options{})
	if err != nil {
		t.Fatal(err)
	}
	client, err := dynamic.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(discovery.NewDiscoveryClientForConfigOrDie(cfg)))
	var out []*unstructured.Unstructured
	for _, doc := range bytes.Split(b, []byte("\n---\n")) {
		u := &unstructured.Unstructured{}
		if err := yaml.UnmarshalStrict(doc, &u.Object); err != nil {
			t.Fatal(err)
		}
		gvk := u.GroupVersionKind()
		mapping, err := mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
		if err != nil {
			t.Fatal(err)
		}
		var target dynamic.ResourceInterface = client.Resource(mapping.Resource)
		if mapping.Scope.Name() == meta.RESTScopeNameNamespace {
			target = client.Resource(mapping.Resource).Namespace(u.GetNamespace())
		}
		got, err := target.Apply(t.Context(), u.GetName(), u, metav1.ApplyOptions{FieldManager: "install"})
		if err != nil {
			t.Fatalf("%s %s: %v", u.GetKind(), u.GetName(), err)
		}
		out = append(out, got)
	}
	return out
}

// kinds maps the kinds of abide to their resources.
var kinds = map[string]string{
	"App": "apps", "Repository": "repositories", "Approval": "approvals",
	"Pause": "pauses", "Pin": "pins", "Release": "releases", "Inventory": "inventories", "GitRef": "gitrefs", "HealthRule": "healthrules",
}

// resource is how cfg's user reaches the objects of one kind of abide.
func resource(t *testing.T, cfg *rest.Config, kind, namespace string) dynamic.ResourceInterface {
	t.Helper()
	client, err := dynamic.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return client.Resource(v1alpha1.GroupVersion.WithResource(kinds[kind])).Namespace(namespace)
}

// object reads YAML. The kind is of abide unless it says otherwise.
func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	u := &unstructured.Unstructured{}
	b, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &u.Object); err != nil { // whole numbers become int64
		t.Fatal(err)
	}
	if u.GetAPIVersion() == "" {
		u.SetAPIVersion(v1alpha1.GroupVersion.String())
	}
	return u
}

// eventually waits for what the control plane does by itself.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}

var dryRun = metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
