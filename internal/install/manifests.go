package install

import (
	"bytes"
	"embed"
	"fmt"
	"sync"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"
)

// crdFiles are generated from api/v1alpha1; "make generate" writes them.
//
//go:embed crds/*.yaml
var crdFiles embed.FS

// CRDs returns the CustomResourceDefinitions of abide, in the order of their
// names. They belong to the caller.
func CRDs() ([]*unstructured.Unstructured, error) {
	files, err := crdFiles.ReadDir("crds")
	if err != nil {
		return nil, err
	}
	var crds []*unstructured.Unstructured
	for _, f := range files {
		b, err := crdFiles.ReadFile("crds/" + f.Name())
		if err != nil {
			return nil, err
		}
		u := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(b, &u.Object); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name(), err)
		}
		// Nothing reads which version of the generator made it.
		unstructured.RemoveNestedField(u.Object, "metadata", "annotations")
		u.SetLabels(labels())
		crds = append(crds, u)
	}
	return crds, nil
}

// Objects returns all of what o asks for, in an order in which each can be
// applied. They belong to the caller. The error is an [*OptionError] where o is
// wrong.
func Objects(o Options) ([]*unstructured.Unstructured, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	crds, err := CRDs()
	if err != nil {
		return nil, err
	}
	ns, err := convert(namespace(o))
	if err != nil {
		return nil, err
	}
	objs := append([]*unstructured.Unstructured{ns}, crds...)
	var rest []runtime.Object
	rest = append(rest, controllerRBAC(o)...)
	rest = append(rest, peopleRBAC()...)
	rest = append(rest, admission(o)...)
	if !o.NoWorkload {
		rest = append(rest, workload(o)...)
	}
	for _, r := range rest {
		u, err := convert(r)
		if err != nil {
			return nil, err
		}
		objs = append(objs, u)
	}
	return objs, nil
}

// Manifests returns what [Objects] returns as one YAML stream.
func Manifests(o Options) ([]byte, error) {
	objs, err := Objects(o)
	if err != nil {
		return nil, err
	}
	return YAML(objs)
}

// YAML writes objs as one stream of documents in the order given. Equal objects
// give equal bytes.
func YAML(objs []*unstructured.Unstructured) ([]byte, error) {
	var out bytes.Buffer
	for i, u := range objs {
		b, err := yaml.Marshal(u.Object)
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", u.GetKind(), u.GetName(), err)
		}
		if i > 0 {
			out.WriteString("---\n")
		}
		out.Write(b)
	}
	return out.Bytes(), nil
}

// labels are on every object that is installed. The caller owns the map.
func labels() map[string]string {
	return map[string]string{"app.kubernetes.io/name": "abide", "app.kubernetes.io/part-of": "abide"}
}

func meta(name, namespace string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: namespace, Labels: labels()}
}

// convert turns a typed object into the form that is printed: with its
// apiVersion and kind, and without what only a server fills in.
func convert(obj runtime.Object) (*unstructured.Unstructured, error) {
	kinds, _, err := scheme().ObjectKinds(obj)
	if err != nil {
		return nil, err
	}
	m, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
	if err != nil {
		return nil, err
	}
	u := &unstructured.Unstructured{Object: m}
	u.SetGroupVersionKind(kinds[0])
	unstructured.RemoveNestedField(m, "status")
	prune(m)
	return u, nil
}

// prune removes nulls and empty maps below m, which typed objects have where a
// field has no omitempty. An emptyDir is empty and means something.
func prune(m map[string]any) {
	for k, v := range m {
		switch v := v.(type) {
		case nil:
			delete(m, k)
		case map[string]any:
			prune(v)
			if len(v) == 0 && k != "emptyDir" {
				delete(m, k)
			}
		case []any:
			for _, e := range v {
				if e, ok := e.(map[string]any); ok {
					prune(e)
				}
			}
		}
	}
}

// scheme knows the kinds that are installed, to give each its apiVersion. It is
// made on first use, so that a command that installs nothing does not pay for it.
var scheme = sync.OnceValue(func() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		admissionv1.AddToScheme, appsv1.AddToScheme, corev1.AddToScheme, rbacv1.AddToScheme,
	} {
		if err := add(s); err != nil {
			panic(err) // a Go type registered twice: no input can cause it
		}
	}
	return s
})
