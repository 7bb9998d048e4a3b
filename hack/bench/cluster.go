package main

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/install"
)

var (
	apps       = v1alpha1.GroupVersion.WithResource("apps")
	configMaps = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
	namespaces = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	crds       = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
)

// fleet is the Apps of one scenario, seen by the cluster's administrator.
type fleet struct {
	client dynamic.Interface
	repo   string
}

func newFleet(cfg *rest.Config, repo string) (*fleet, error) {
	client, err := dynamic.NewForConfig(cfg)
	return &fleet{client: client, repo: repo}, err
}

// prepare makes what the controller wants to be there: its CRDs, served, and its
// own namespace.
func (f *fleet) prepare(ctx context.Context, p *process) error {
	own := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace"}}
	own.SetName(install.DefaultNamespace)
	if _, err := f.client.Resource(namespaces).Create(ctx, own, metav1.CreateOptions{}); err != nil {
		return err
	}
	all, err := install.CRDs()
	if err != nil {
		return err
	}
	for _, crd := range all {
		if _, err := f.client.Resource(crds).Create(ctx, crd, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	return until(ctx, p, "Apps are served", func() (bool, error) {
		_, err := f.client.Resource(apps).List(ctx, metav1.ListOptions{})
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil, err
	})
}

// create makes the Apps, in the namespace whose Apps act as the controller.
func (f *fleet) create(ctx context.Context, n int) error {
	for i := range n {
		u := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": v1alpha1.GroupVersion.String(), "kind": "App",
			"metadata": map[string]any{"name": folder(i), "namespace": install.DefaultNamespace},
			"spec": map[string]any{
				"source": map[string]any{"repo": f.repo, "path": folder(i)},
				"target": map[string]any{"namespace": folder(i)},
			},
		}}
		if _, err := f.client.Resource(apps).Namespace(install.DefaultNamespace).Create(ctx, u, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// ready reports whether all n Apps are.
func (f *fleet) ready(ctx context.Context, n int) (bool, error) {
	// Any version does: the question is asked again.
	list, err := f.client.Resource(apps).List(ctx, metav1.ListOptions{ResourceVersion: "0"})
	if err != nil {
		return false, err
	}
	count := 0
	for _, u := range list.Items {
		conditions, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
		for _, c := range conditions {
			if c, ok := c.(map[string]any); ok && c["type"] == v1alpha1.ConditionReady && c["status"] == "True" {
				count++
			}
		}
	}
	return count == n, nil
}

// changes watches one ConfigMap of an App and returns when it has the value.
// Change is called once the watch stands; the time is from its end on.
func (f *fleet) changes(ctx context.Context, app, object int, value string, change func() error) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	name := fmt.Sprintf("cm-%04d", object)
	client := f.client.Resource(configMaps).Namespace(folder(app))
	// From this version on, the watch says what changes and not what is there.
	live, err := client.Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return 0, err
	}
	w, err := client.Watch(ctx, metav1.ListOptions{
		FieldSelector: "metadata.name=" + name, ResourceVersion: live.GetResourceVersion(),
	})
	if err != nil {
		return 0, err
	}
	defer w.Stop()
	if err := change(); err != nil {
		return 0, err
	}
	began := time.Now()
	for e := range w.ResultChan() {
		u, ok := e.Object.(*unstructured.Unstructured)
		if !ok {
			continue
		}
		if got, _, _ := unstructured.NestedString(u.Object, "data", "value"); got == value {
			return time.Since(began), nil
		}
	}
	return 0, fmt.Errorf("%s of %s did not get the value %q", name, folder(app), value)
}

// refresh asks for an immediate look at Git.
func (f *fleet) refresh(ctx context.Context, app int, token string) error {
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.AnnotationRefresh, token)
	_, err := f.client.Resource(apps).Namespace(install.DefaultNamespace).
		Patch(ctx, folder(app), types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}

// drift changes a ConfigMap behind abide's back.
func (f *fleet) drift(ctx context.Context, app, object int) error {
	_, err := f.client.Resource(configMaps).Namespace(folder(app)).
		Patch(ctx, fmt.Sprintf("cm-%04d", object), types.MergePatchType, []byte(`{"data":{"value":"drifted"}}`), metav1.PatchOptions{})
	return err
}
