package cluster

import (
	"context"
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"abide.dev/abide/api/v1alpha1"
)

// Client acts on one API server as somebody. Errors of the API server are
// returned as they are, for apierrors to tell apart.
type Client struct {
	// Namespace of the ServiceAccount that it acts as; empty for the controller.
	Namespace string
	rest      rest.Interface
}

// Applied is the answer to an apply.
type Applied struct {
	// Object is the object as it is now, or for a dry run would be.
	Object *unstructured.Unstructured
	// Created tells that there was none before.
	Created bool
}

func (c *Client) at(r *rest.Request, k Kind, namespace, name string) *rest.Request {
	if k.Group == "" {
		r = r.AbsPath("/api", k.Version)
	} else {
		r = r.AbsPath("/apis", k.Group, k.Version)
	}
	return r.NamespaceIfScoped(namespace, k.Namespaced).Resource(k.Resource).Name(name)
}

// Get reads an object.
func (c *Client) Get(ctx context.Context, k Kind, namespace, name string) (*unstructured.Unstructured, error) {
	raw, err := body(c.at(c.rest.Get(), k, namespace, name).Do(ctx))
	if err != nil {
		return nil, err
	}
	return decode(raw)
}

// Mode is how an object is applied.
type Mode int

const (
	// DryRun has the server do all but store the object.
	DryRun Mode = iota
	// Checking refuses fields that the kind does not have.
	Checking
	// Checked is for an object that has just passed a dry run: that found out of
	// unknown and repeated fields, for which the server decodes it a second time.
	Checked
)

// Apply applies an object server-side, conflicts forced.
func (c *Client) Apply(ctx context.Context, k Kind, u *unstructured.Unstructured, mode Mode) (Applied, error) {
	manifest, err := json.Marshal(u.Object)
	if err != nil {
		return Applied{}, fmt.Errorf("encoding: %w", err)
	}
	validation := "Strict"
	if mode == Checked {
		validation = "Ignore"
	}
	r := c.at(c.rest.Patch(types.ApplyPatchType), k, u.GetNamespace(), u.GetName()).
		Param("fieldManager", v1alpha1.FieldManager).
		Param("force", "true").
		Param("fieldValidation", validation).
		Body(manifest)
	if mode == DryRun {
		r = r.Param("dryRun", metav1.DryRunAll)
	}
	var code int
	raw, err := body(r.Do(ctx).StatusCode(&code))
	if err != nil {
		return Applied{}, err
	}
	out, err := decode(raw)
	return Applied{Object: out, Created: code == 201}, err
}

// Replace puts the object in the place of the live one, which must still have
// the resourceVersion that u carries.
func (c *Client) Replace(ctx context.Context, k Kind, u *unstructured.Unstructured, dryRun bool) (*unstructured.Unstructured, error) {
	manifest, err := json.Marshal(u.Object)
	if err != nil {
		return nil, fmt.Errorf("encoding: %w", err)
	}
	r := c.at(c.rest.Put(), k, u.GetNamespace(), u.GetName()).
		Param("fieldManager", v1alpha1.FieldManager).
		Param("fieldValidation", "Strict").
		Body(manifest)
	if dryRun {
		r = r.Param("dryRun", metav1.DryRunAll)
	}
	raw, err := body(r.Do(ctx))
	if err != nil {
		return nil, err
	}
	return decode(raw)
}

// SetManagedFields replaces the managedFields of the object that was read as
// live; a change in between is a conflict.
func (c *Client) SetManagedFields(ctx context.Context, k Kind, live *unstructured.Unstructured, fields []any) error {
	patch, err := json.Marshal([]map[string]any{
		{"op": "replace", "path": "/metadata/managedFields", "value": fields},
		{"op": "replace", "path": "/metadata/resourceVersion", "value": live.GetResourceVersion()},
	})
	if err != nil {
		return fmt.Errorf("encoding: %w", err)
	}
	return c.at(c.rest.Patch(types.JSONPatchType), k, live.GetNamespace(), live.GetName()).
		Param("fieldManager", v1alpha1.FieldManager).
		Body(patch).Do(ctx).Error()
}

// Mark gives the object that was read as live the marks of abide that another
// one has; a change in between is a conflict.
func (c *Client) Mark(ctx context.Context, k Kind, live, marked *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"resourceVersion": live.GetResourceVersion(),
		"labels":          map[string]string{v1alpha1.LabelApp: marked.GetLabels()[v1alpha1.LabelApp]},
		"annotations":     map[string]string{v1alpha1.AnnotationOwner: marked.GetAnnotations()[v1alpha1.AnnotationOwner]},
	}})
	if err != nil {
		return nil, fmt.Errorf("encoding: %w", err)
	}
	raw, err := body(c.at(c.rest.Patch(types.MergePatchType), k, live.GetNamespace(), live.GetName()).
		Param("fieldManager", v1alpha1.FieldManager).
		Body(patch).Do(ctx))
	if err != nil {
		return nil, err
	}
	return decode(raw)
}

// Delete deletes the object with this uid, what it owns following in the
// background or, with foreground, going first. It returns true when the server says that the object is gone, and
// false when it is only on its way (a finalizer, a grace period). An object that
// is not there counts as gone; one with another uid is a conflict.
func (c *Client) Delete(ctx context.Context, k Kind, namespace, name string, uid types.UID, foreground bool) (gone bool, err error) {
	if uid == "" {
		return false, fmt.Errorf("a delete without the uid of the object is refused")
	}
	policy := metav1.DeletePropagationBackground
	if foreground {
		policy = metav1.DeletePropagationForeground
	}
	options, err := json.Marshal(metav1.DeleteOptions{
		TypeMeta:          metav1.TypeMeta{APIVersion: "v1", Kind: "DeleteOptions"},
		Preconditions:     &metav1.Preconditions{UID: &uid},
		PropagationPolicy: &policy,
	})
	if err != nil {
		return false, fmt.Errorf("encoding: %w", err)
	}
	raw, err := body(c.at(c.rest.Delete(), k, namespace, name).
		SetHeader("Content-Type", "application/json").Body(options).Do(ctx))
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	u, err := decode(raw)
	if err != nil {
		return false, err
	}
	// The server answers with a Status when the object is gone, and with the
	// object when something still holds it. For some kinds (Service, ServiceAccount
	// and PersistentVolumeClaim among them) it answers with the object as it was
	// last: that one is not marked as being deleted.
	return u.GetKind() == "Status" && u.GetAPIVersion() == "v1" || u.GetDeletionTimestamp() == nil, nil
}

// CreateNamespace creates a namespace; one that is there already is fine.
func (c *Client) CreateNamespace(ctx context.Context, name string) error {
	manifest, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": name},
	})
	if err != nil {
		return fmt.Errorf("encoding: %w", err)
	}
	err = c.rest.Post().AbsPath("/api/v1/namespaces").
		Param("fieldManager", v1alpha1.FieldManager).Body(manifest).Do(ctx).Error()
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// body returns the bytes of an answer. The error is the API server's own
// Status where it sent one, which Result.Raw alone would not decode.
func body(r rest.Result) ([]byte, error) {
	if err := r.Error(); err != nil {
		return nil, err
	}
	return r.Raw()
}

func decode(raw []byte) (*unstructured.Unstructured, error) {
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(raw); err != nil {
		return nil, fmt.Errorf("decoding the API server's answer: %w", err)
	}
	return u, nil
}
