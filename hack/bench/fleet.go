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

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/install"
)

var (
	apps         = v1alpha1.GroupVersion.WithResource("apps")
	repositories = v1alpha1.GroupVersion.WithResource("repositories")
	gitRefs      = v1alpha1.GroupVersion.WithResource("gitrefs")
	namespaces   = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	crds         = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
)

// repositoryName is the Repository whose refresh wakes all Apps.
const repositoryName = "config"

// teams is how many namespaces the Apps of a scenario share.
const teams = 10

func team(prefix string, app int) string { return fmt.Sprintf("%s-%d", prefix, app%teams) }

// fleet is the Apps of one scenario, seen by the cluster's administrator.
type fleet struct {
	client dynamic.Interface
	url    string
	s      scenario
}

// prepare makes what a user has before the first App: abide's CRDs, served, its
// namespace, namespaces for the objects, and a Repository.
func (f *fleet) prepare(ctx context.Context, p *process) error {
	if err := f.namespace(ctx, install.DefaultNamespace); err != nil {
		return err
	}
	for i := range min(teams, f.s.apps) {
		if err := f.namespace(ctx, team("team", i)); err != nil {
			return err
		}
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
	// The first list of a new kind may be put off for a second, which would count
	// as abide's.
	err = parallel(ctx, len(all), len(all), func(ctx context.Context, i int) error { return f.served(ctx, p, all[i]) })
	if err != nil {
		return err
	}
	repo := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": v1alpha1.GroupVersion.String(), "kind": "Repository",
		"metadata": map[string]any{"name": repositoryName, "namespace": install.DefaultNamespace},
		"spec":     map[string]any{"url": f.url},
	}}
	_, err = f.client.Resource(repositories).Namespace(install.DefaultNamespace).Create(ctx, repo, metav1.CreateOptions{})
	return err
}

// served waits until objects of a definition can be listed.
func (f *fleet) served(ctx context.Context, p *process, crd *unstructured.Unstructured) error {
	plural, _, _ := unstructured.NestedString(crd.Object, "spec", "names", "plural")
	return p.until(ctx, 20*time.Millisecond, plural+" are served", func() (bool, error) {
		_, err := f.client.Resource(v1alpha1.GroupVersion.WithResource(plural)).List(ctx, metav1.ListOptions{})
		if apierrors.IsNotFound(err) || apierrors.IsTooManyRequests(err) {
			return false, nil
		}
		return err == nil, err
	})
}

func (f *fleet) namespace(ctx context.Context, name string) error {
	u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Namespace"}}
	u.SetName(name)
	_, err := f.client.Resource(namespaces).Create(ctx, u, metav1.CreateOptions{})
	return err
}

// create makes the Apps, in the namespace whose Apps act as the controller.
func (f *fleet) create(ctx context.Context) error {
	return parallel(ctx, f.s.apps, 8, func(ctx context.Context, i int) error {
		u := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": v1alpha1.GroupVersion.String(), "kind": "App",
			"metadata": map[string]any{"name": appName(i), "namespace": install.DefaultNamespace},
			"spec": map[string]any{
				"source": map[string]any{"repo": f.url, "path": folder(i)},
				"target": map[string]any{"namespace": team("team", i)},
			},
		}}
		_, err := f.client.Resource(apps).Namespace(install.DefaultNamespace).Create(ctx, u, metav1.CreateOptions{})
		return err
	})
}

// refresh asks for an immediate look at Git, as a webhook would: it wakes every
// App of the repository.
func (f *fleet) refresh(ctx context.Context, token string) error {
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.AnnotationRefresh, token)
	_, err := f.client.Resource(repositories).Namespace(install.DefaultNamespace).
		Patch(ctx, repositoryName, types.MergePatchType, patch, metav1.PatchOptions{})
	return err
}

// judged waits until every App has been judged at a commit and has said so.
func (f *fleet) judged(ctx context.Context, p *process, commit string) error {
	return p.until(ctx, 10*time.Millisecond, "all Apps are judged at "+commit, func() (bool, error) {
		list, err := f.client.Resource(gitRefs).Namespace(install.DefaultNamespace).List(ctx, metav1.ListOptions{ResourceVersion: "0"})
		if err != nil {
			return false, err
		}
		for _, u := range list.Items {
			if u.Object["judged"] == commit {
				return true, nil
			}
		}
		return false, nil
	})
}

// target is one object of the fleet.
type target struct {
	client dynamic.ResourceInterface
	name   string
}

func (f *fleet) target(app, object int) target {
	u := f.s.shape.objects(app)[object]
	return target{client: f.client.Resource(resource(u)).Namespace(team("team", app)), name: u.GetName()}
}

// annotate changes an annotation behind abide's back.
func (t target) annotate(ctx context.Context, key, value string) error {
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, key, value)
	_, err := t.client.Patch(ctx, t.name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: "somebody"})
	return err
}

func (t target) delete(ctx context.Context) error {
	return t.client.Delete(ctx, t.name, metav1.DeleteOptions{})
}

// condition is the status of a condition, "" without it.
func condition(u *unstructured.Unstructured, kind string) string {
	conditions, _, _ := unstructured.NestedSlice(u.Object, "status", "conditions")
	for _, c := range conditions {
		if c, ok := c.(map[string]any); ok && c["type"] == kind {
			s, _ := c["status"].(string)
			return s
		}
	}
	return ""
}
