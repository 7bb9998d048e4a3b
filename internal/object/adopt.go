package object

import (
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"abide.dev/abide/api/v1alpha1"
)

// declarative are the field managers of tools that apply whole manifests, as
// abide does. What they own of an adopted object becomes abide's, so that
// removing a field from Git removes it from the object. A person's edits
// (kubectl-edit, kubectl-patch) stay theirs.
var declarative = map[string]bool{
	"kubectl":                       true,
	"kubectl-client-side-apply":     true,
	"kubectl-create":                true,
	"kubectl-replace":               true,
	"before-first-apply":            true,
	"helm":                          true,
	"Helm":                          true,
	"kustomize-controller":          true,
	"helm-controller":               true,
	"flux":                          true,
	"argocd-controller":             true,
	"argocd-application-controller": true,
}

// AdoptedFields returns the managedFields that a live object has once what
// other declarative tools own in it is abide's; changed is false if there is
// nothing of theirs. Entries in another apiVersion than the object is read in
// stay as they are, since their paths may mean something else.
func AdoptedFields(live *unstructured.Unstructured) (fields []any, changed bool) {
	meta, _ := live.Object["metadata"].(map[string]any)
	entries, _ := meta["managedFields"].([]any)
	var own map[string]any
	var trees []map[string]any
	for _, raw := range entries {
		e, _ := raw.(map[string]any)
		tree, _ := e["fieldsV1"].(map[string]any)
		manager, _ := e["manager"].(string)
		ours := manager == v1alpha1.FieldManager && e["operation"] == "Apply"
		// What abide wrote by other means than an apply (a replace) counts as well:
		// else removing a field from Git would leave that other claim on it.
		theirs := declarative[manager] || manager == v1alpha1.FieldManager
		switch {
		case !wholeObject(e) || e["apiVersion"] != live.GetAPIVersion() || !ours && !theirs:
			fields = append(fields, raw)
		case ours:
			own = e
			trees = append(trees, tree)
		default:
			changed = true
			trees = append(trees, tree)
		}
	}
	if !changed {
		return nil, false
	}
	entry := map[string]any{
		"manager": v1alpha1.FieldManager, "operation": "Apply",
		"apiVersion": live.GetAPIVersion(), "fieldsType": "FieldsV1",
		"fieldsV1": union(trees),
	}
	if t, ok := own["time"]; ok {
		entry["time"] = t
	}
	return append([]any{entry}, fields...), true
}

// union merges trees of owned fields.
func union(trees []map[string]any) map[string]any {
	out := map[string]any{}
	for _, t := range trees {
		for k, v := range t {
			sub, _ := v.(map[string]any)
			have, seen := out[k].(map[string]any)
			if !seen {
				out[k] = maps.Clone(sub)
				if sub == nil {
					out[k] = map[string]any{}
				}
				continue
			}
			merged := union([]map[string]any{have, sub})
			// A leaf is an empty tree; beside a tree with children it needs the
			// mark that the field itself is owned too.
			if (len(have) == 0) != (len(sub) == 0) {
				merged["."] = map[string]any{}
			}
			out[k] = merged
		}
	}
	return out
}

// Tracker says in words which other tool tracks a live object by its labels
// and annotations; empty if none that abide knows does.
func Tracker(u *unstructured.Unstructured) string {
	a, l := u.GetAnnotations(), u.GetLabels()
	switch {
	case a["meta.helm.sh/release-name"] != "":
		return "Helm release " + a["meta.helm.sh/release-namespace"] + "/" + a["meta.helm.sh/release-name"] + " tracks it"
	case l["kustomize.toolkit.fluxcd.io/name"] != "":
		return "Flux Kustomization " + l["kustomize.toolkit.fluxcd.io/namespace"] + "/" + l["kustomize.toolkit.fluxcd.io/name"] + " tracks it"
	case l["helm.toolkit.fluxcd.io/name"] != "":
		return "Flux HelmRelease " + l["helm.toolkit.fluxcd.io/namespace"] + "/" + l["helm.toolkit.fluxcd.io/name"] + " tracks it"
	case a["argocd.argoproj.io/tracking-id"] != "":
		name, _, _ := strings.Cut(a["argocd.argoproj.io/tracking-id"], ":")
		return "Argo CD Application " + name + " tracks it"
	case a["config.k8s.io/owning-inventory"] != "":
		return "a kpt or Config Sync inventory tracks it"
	case l["kapp.k14s.io/app"] != "":
		return "kapp tracks it"
	}
	for _, raw := range u.GetOwnerReferences() {
		if raw.Controller != nil && *raw.Controller {
			return raw.Kind + " " + raw.Name + " controls it"
		}
	}
	return ""
}

// KnownTools returns the names of the field managers that adoption replaces,
// in order, for the documentation.
func KnownTools() []string { return slices.Sorted(maps.Keys(declarative)) }
