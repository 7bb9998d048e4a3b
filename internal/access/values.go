package access

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/desired"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/render/helm"
)

// Values reads what an App takes from ConfigMaps and Secrets of its namespace,
// as the identity that the App acts as.
type Values struct {
	ConfigMaps *ConfigMaps
	Secrets    *Secrets
	// Identity tells why nothing may be read in a namespace: its identity does not
	// exist, as which the API server would let abide read all the same. It may be
	// nil.
	Identity func(ctx context.Context, namespace string) error
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

// Of returns the values and the variables of an App, in order. Their content may
// be secret.
func (v *Values) Of(ctx context.Context, app *v1alpha1.App) ([]helm.ValuesSource, []desired.Variables, error) {
	r := reading{Values: v, user: object.App{Namespace: app.Namespace, Name: app.Name}.String(), namespace: app.Namespace}
	var values []helm.ValuesSource
	var variables []desired.Variables
	render := app.Spec.Render
	if render != nil && takes(render) && v.Identity != nil {
		if err := v.Identity(ctx, app.Namespace); err != nil {
			return nil, nil, err
		}
	}
	if render != nil {
		if render.Helm != nil {
			values = r.values(ctx, render.Helm.ValuesFrom)
		}
		if render.Substitute != nil {
			variables = r.variables(ctx, render.Substitute.VariablesFrom)
		}
	}
	v.ConfigMaps.Leave(r.user, r.configs...)
	v.Secrets.Leave(r.user, r.secrets...)
	return values, variables, r.err
}

// takes tells whether an App takes anything from ConfigMaps and Secrets.
func takes(r *v1alpha1.Render) bool {
	return r.Helm != nil && len(r.Helm.ValuesFrom) > 0 || r.Substitute != nil && len(r.Substitute.VariablesFrom) > 0
}

// reading is one look at what an App takes values from.
type reading struct {
	*Values
	user, namespace  string
	configs, secrets []types.NamespacedName // in use
	err              error                  // the first
}

func (r *reading) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *reading) values(ctx context.Context, refs []v1alpha1.ValuesReference) (out []helm.ValuesSource) {
	for _, ref := range refs {
		source, content, found := r.content(ctx, ref.Kind, ref.Name, isTrue(ref.Optional), "spec.render.helm.valuesFrom")
		if !found {
			continue
		}
		source += ", key " + ref.Key
		switch data, there := content[ref.Key]; {
		case there:
			out = append(out, helm.ValuesSource{Source: source, Data: data, TargetPath: ref.TargetPath})
		case !isTrue(ref.Optional):
			r.fail(&ValuesError{Source: source, Problem: "it has no such key", Waits: true})
		}
	}
	return out
}

func (r *reading) variables(ctx context.Context, refs []v1alpha1.VariablesReference) (out []desired.Variables) {
	for _, ref := range refs {
		if source, content, found := r.content(ctx, ref.Kind, ref.Name, isTrue(ref.Optional), "spec.render.substitute.variablesFrom"); found {
			out = append(out, desired.Variables{Source: source, Data: content})
		}
	}
	return out
}

func isTrue(b *bool) bool { return b != nil && *b }

// Forget ends the watches of an App that is gone.
func (v *Values) Forget(app object.App) {
	v.ConfigMaps.Leave(app.String())
	v.Secrets.Leave(app.String())
}

// content reads a ConfigMap or Secret; found is false if it can't be read, which
// is an error unless it is missing and may be.
func (r *reading) content(ctx context.Context, kind v1alpha1.ValuesKind, name string, optional bool, field string) (source string, content map[string]string, found bool) {
	full := types.NamespacedName{Namespace: r.namespace, Name: name}
	source = fmt.Sprintf("%s %s", kind, full)
	var err error
	waits := r.ConfigMaps.Watched
	if kind == v1alpha1.ValuesKindSecret {
		r.secrets, waits = append(r.secrets, full), r.Secrets.Watched
		var s *corev1.Secret
		if s, err = r.Secrets.Get(ctx, r.user, full); err == nil {
			return source, texts(s.Data), true
		}
	} else {
		r.configs = append(r.configs, full)
		var c *corev1.ConfigMap
		if c, err = r.ConfigMaps.Get(ctx, r.user, full); err == nil {
			return source, both(c), true
		}
	}
	switch {
	case apierrors.IsNotFound(err) && optional:
	case apierrors.IsNotFound(err):
		r.fail(&ValuesError{Source: source, Problem: "it does not exist: create it, or say optional: true in " + field, Waits: waits(full)})
	case apierrors.IsForbidden(err):
		r.fail(&ValuesError{Source: source, Problem: fmt.Sprintf(
			"the App may not read it: grant get, list and watch of it to ServiceAccount %s/%s, which the App acts as (%v)", r.namespace, v1alpha1.ServiceAccount, err)})
	default:
		r.fail(&ValuesError{Source: source, Problem: err.Error()})
	}
	return source, nil, false
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
