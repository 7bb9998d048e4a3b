package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// valueKey is the annotation that probes change and watch.
const valueKey = "example.com/value"

// shape is what the repository of a scenario looks like. Each App is a folder.
type shape interface {
	// objects are an App's as the first commit has them, without a namespace.
	objects(app int) []*unstructured.Unstructured
	// shared are the files that all Apps have in common, by path.
	shared() map[string]string
	// files are an App's own files.
	files(app int) map[string]string
	// change gives an object of an App another value. All shapes can change their
	// first object.
	change(app, object int, value string) map[string]string
}

func appName(app int) string { return fmt.Sprintf("app-%04d", app) }

func folder(app int) string { return "apps/" + appName(app) }

// resource is where the API has objects of this kind; it serves the few kinds
// that shapes have.
func resource(u *unstructured.Unstructured) schema.GroupVersionResource {
	gvk := u.GroupVersionKind()
	plural := strings.ToLower(gvk.Kind) + "s"
	if gvk.Kind == "Ingress" {
		plural = "ingresses"
	}
	return gvk.GroupVersion().WithResource(plural)
}

// text is the object as a file. JSON is YAML.
func text(u *unstructured.Unstructured) string {
	b, err := json.MarshalIndent(u.Object, "", "  ")
	if err != nil { // it is made of maps and strings by this program
		panic(err)
	}
	return string(b) + "\n"
}

func object(apiVersion, kind, name string, rest map[string]any) *unstructured.Unstructured {
	u := &unstructured.Unstructured{Object: map[string]any{"apiVersion": apiVersion, "kind": kind}}
	u.SetName(name)
	u.SetAnnotations(map[string]string{valueKey: "first"})
	for k, v := range rest {
		u.Object[k] = v
	}
	return u
}

func configMap(name string) *unstructured.Unstructured {
	return object("v1", "ConfigMap", name, map[string]any{"data": map[string]any{"filling": strings.Repeat("x", 200)}})
}

// manifests are ConfigMaps, a file each.
type manifests struct{ n int }

func (m manifests) objects(app int) []*unstructured.Unstructured {
	out := make([]*unstructured.Unstructured, m.n)
	for i := range out {
		out[i] = configMap(fmt.Sprintf("%s-cm-%04d", appName(app), i))
	}
	return out
}

func (manifests) shared() map[string]string { return nil }

func (m manifests) files(app int) map[string]string { return perObject(app, m.objects(app)) }

func (m manifests) change(app, i int, value string) map[string]string {
	return changed(app, m.objects(app)[i], value)
}

func perObject(app int, objects []*unstructured.Unstructured) map[string]string {
	out := map[string]string{}
	for _, u := range objects {
		out[file(app, u)] = text(u)
	}
	return out
}

func changed(app int, u *unstructured.Unstructured, value string) map[string]string {
	u.SetAnnotations(map[string]string{valueKey: value})
	return map[string]string{file(app, u): text(u)}
}

func file(app int, u *unstructured.Unstructured) string {
	return folder(app) + "/" + strings.ToLower(u.GetKind()) + "-" + u.GetName() + ".yaml"
}

// overlays are ConfigMaps of one base, with an overlay for each App that names
// them and patches the first.
type overlays struct{ n int }

func (overlays) base(i int) *unstructured.Unstructured { return configMap(fmt.Sprintf("cm-%02d", i)) }

func (o overlays) objects(app int) []*unstructured.Unstructured {
	out := make([]*unstructured.Unstructured, o.n)
	for i := range out {
		out[i] = o.base(i)
		out[i].SetName(appName(app) + "-" + out[i].GetName())
	}
	return out
}

func (o overlays) shared() map[string]string {
	out := map[string]string{}
	list := "resources:\n"
	for i := range o.n {
		u := o.base(i)
		out["base/"+u.GetName()+".yaml"] = text(u)
		list += "- " + u.GetName() + ".yaml\n"
	}
	out["base/kustomization.yaml"] = list
	return out
}

func (o overlays) files(app int) map[string]string {
	out := o.change(app, 0, "first")
	out[folder(app)+"/kustomization.yaml"] = "resources:\n- ../../base\nnamePrefix: " + appName(app) + "-\npatches:\n- path: value.yaml\n"
	return out
}

func (o overlays) change(app, _ int, value string) map[string]string {
	return map[string]string{folder(app) + "/value.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: cm-00\n  annotations:\n    " +
		valueKey + ": " + value + "\n"}
}

// workloads are what a small service has. Its Deployment has no replicas, so
// that pods cost nobody anything.
type workloads struct{}

func (workloads) objects(app int) []*unstructured.Unstructured {
	name := appName(app)
	labels := map[string]any{"app": name}
	return []*unstructured.Unstructured{
		object("v1", "Service", name, map[string]any{"spec": map[string]any{
			"selector": labels, "ports": []any{map[string]any{"port": int64(80), "name": "http"}},
		}}),
		object("v1", "ServiceAccount", name, nil),
		object("apps/v1", "Deployment", name, map[string]any{"spec": map[string]any{
			"replicas": int64(0), "selector": map[string]any{"matchLabels": labels},
			"template": map[string]any{
				"metadata": map[string]any{"labels": labels},
				"spec": map[string]any{
					"serviceAccountName": name,
					"containers": []any{map[string]any{
						"name": "web", "image": "example.com/web:1", "ports": []any{map[string]any{"containerPort": int64(8080)}},
						"env": []any{map[string]any{"name": "MODE", "value": "production"}},
					}},
				},
			},
		}}),
		object("networking.k8s.io/v1", "Ingress", name, map[string]any{"spec": map[string]any{
			"rules": []any{map[string]any{"host": name + ".example.com", "http": map[string]any{"paths": []any{map[string]any{
				"path": "/", "pathType": "Prefix",
				"backend": map[string]any{"service": map[string]any{"name": name, "port": map[string]any{"name": "http"}}},
			}}}}},
		}}),
	}
}

func (workloads) shared() map[string]string { return nil }

func (w workloads) files(app int) map[string]string { return perObject(app, w.objects(app)) }

func (w workloads) change(app, i int, value string) map[string]string {
	return changed(app, w.objects(app)[i], value)
}
