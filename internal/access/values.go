package access

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/render/helm"
)

// Values reads what an App takes from ConfigMaps and Secrets of its namespace,
// as the identity that the App acts as.
type Values struct {
	ConfigMaps *ConfigMaps
	Secrets    *Secrets
}

// ValuesError says that something an App takes values from can't be read.
type ValuesError struct {
	Source  string // Secret shop/values, key values.yaml
	Problem string
	// Waits: its watch tells when it comes.
	Waits bool
}

func (e *ValuesError) Error() string { return e.Source + ": " + e.Problem }

// Awaited tells whether the App is woken when it can be read.
func (e *ValuesError) Awaited() bool { return e.Waits }

// Reason is the reason for a condition.
func (e *ValuesError) Reason() string { return "ValuesUnavailable" }

// Of returns the values of an App, in order. Their content may be secret.
func (v *Values) Of(ctx context.Context, app *v1alpha1.App) ([]helm.ValuesSource, error) {
	user := object.App{Namespace: app.Namespace, Name: app.Name}.String()
	var refs []v1alpha1.ValuesReference
	if app.Spec.Render != nil && app.Spec.Render.Helm != nil {
		refs = app.Spec.Render.Helm.ValuesFrom
	}
	var (
		out     []helm.ValuesSource
		first   error
		configs []types.NamespacedName
		secrets []types.NamespacedName
	)
	for _, ref := range refs {
		name := types.NamespacedName{Namespace: app.Namespace, Name: ref.Name}
		if ref.Kind == v1alpha1.ValuesKindSecret {
			secrets = append(secrets, name)
		} else {
			configs = append(configs, name)
		}
		data, found, err := v.read(ctx, user, name, ref)
		switch {
		case err != nil && first == nil:
			first = err
		case found:
			out = append(out, helm.ValuesSource{Source: sourceOf(name, ref), Data: data, TargetPath: ref.TargetPath})
		}
	}
	v.ConfigMaps.Leave(user, configs...)
	v.Secrets.Leave(user, secrets...)
	return out, first
}

// Forget ends the watches of an App that is gone.
func (v *Values) Forget(app object.App) {
	v.ConfigMaps.Leave(app.String())
	v.Secrets.Leave(app.String())
}

func sourceOf(name types.NamespacedName, ref v1alpha1.ValuesReference) string {
	return fmt.Sprintf("%s %s, key %s", ref.Kind, name, ref.Key)
}

// read returns one value; found is false if it is missing and may be.
func (v *Values) read(ctx context.Context, user string, name types.NamespacedName, ref v1alpha1.ValuesReference) (data string, found bool, err error) {
	optional := ref.Optional != nil && *ref.Optional
	fault := func(waits bool, format string, args ...any) (string, bool, error) {
		return "", false, &ValuesError{Source: sourceOf(name, ref), Problem: fmt.Sprintf(format, args...), Waits: waits}
	}
	content, err := v.content(ctx, user, name, ref)
	switch {
	case apierrors.IsNotFound(err) && optional:
		return "", false, nil
	case apierrors.IsNotFound(err):
		return fault(true, "it does not exist: create it, or say optional: true in spec.render.helm.valuesFrom")
	case apierrors.IsForbidden(err):
		return fault(false, "the App may not read it: grant get, list and watch of it to ServiceAccount %s/%s, which the App acts as (%v)", name.Namespace, v1alpha1.ServiceAccount, err)
	case err != nil:
		return fault(false, "%v", err)
	}
	data, found = content[ref.Key]
	if !found && !optional {
		return fault(true, "it has no such key")
	}
	return data, found, nil
}

func (v *Values) content(ctx context.Context, user string, name types.NamespacedName, ref v1alpha1.ValuesReference) (map[string]string, error) {
	if ref.Kind == v1alpha1.ValuesKindSecret {
		s, err := v.Secrets.Get(ctx, user, name)
		if err != nil {
			return nil, err
		}
		return texts(s.Data), nil
	}
	c, err := v.ConfigMaps.Get(ctx, user, name)
	if err != nil {
		return nil, err
	}
	return both(c), nil
}

func texts(data map[string][]byte) map[string]string {
	out := make(map[string]string, len(data))
	for k, b := range data {
		out[k] = string(b)
	}
	return out
}

// both are data and binaryData, whose keys differ.
func both(c *corev1.ConfigMap) map[string]string {
	out := texts(c.BinaryData)
	for k, s := range c.Data {
		out[k] = s
	}
	return out
}
