package object

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"abide.dev/abide/api/v1alpha1"
)

// Rules are what the annotations of one object ask for.
type Rules struct {
	// NoPrune keeps the object when it leaves Git.
	NoPrune bool
	// CreateOnly creates the object when it is missing and never changes it.
	CreateOnly bool
	// Replace replaces the whole object instead of applying it.
	Replace bool
	// Ignore leaves the object alone altogether.
	Ignore bool
	// Wave in which it is applied; each waits until the one before is healthy.
	Wave int
	// Hook says when it runs, if it is a hook; nil if it is not.
	Hook *Hook
	// Recreate says what a change of a field that can't be changed comes to:
	// "replace", "fail", or empty for what the App says.
	Recreate string
}

// helmPolicy is the annotation with which charts protect an object: "keep" is
// the only value that Helm knows, and others mean nothing to it either
// (https://helm.sh/docs/howto/charts_tips_and_tricks/).
const helmPolicy = "helm.sh/resource-policy"

// RulesOf reads the annotations abide.dev/prune and abide.dev/apply, and
// Helm's helm.sh/resource-policy, which counts where abide.dev/prune is not
// set, and those of waves and hooks, abide's, Argo CD's and Helm's. A value of
// abide's that is not known is an error: a typing mistake in a protection must not
// pass for no protection.
func RulesOf(u *unstructured.Unstructured) (Rules, error) {
	var r Rules
	a := u.GetAnnotations()
	switch v := a[v1alpha1.AnnotationPrune]; v {
	case "":
		r.NoPrune = strings.EqualFold(strings.TrimSpace(a[helmPolicy]), "keep")
	case "always":
	case "never":
		r.NoPrune = true
	default:
		return r, fmt.Errorf("annotation %s is %q; it takes \"never\" or \"always\"", v1alpha1.AnnotationPrune, v)
	}
	switch v := a[v1alpha1.AnnotationApply]; v {
	case "", "apply":
	case "create-only":
		r.CreateOnly = true
	case "replace":
		r.Replace = true
	case "ignore":
		r.Ignore = true
	default:
		return r, fmt.Errorf("annotation %s is %q; it takes \"apply\", \"create-only\", \"replace\" or \"ignore\"", v1alpha1.AnnotationApply, v)
	}
	switch v := a[v1alpha1.AnnotationOnImmutable]; v {
	case "", "fail", "replace":
		r.Recreate = v
	default:
		return r, fmt.Errorf("annotation %s is %q; it takes \"fail\" or \"replace\"", v1alpha1.AnnotationOnImmutable, v)
	}
	hook, skip, err := hookOf(u)
	if err != nil {
		return r, err
	}
	r.Hook, r.Ignore = hook, r.Ignore || skip
	r.Wave, err = waveOf(u, hook != nil)
	return r, err
}

// HoldsStorage tells of kinds whose objects hold data: they are never deleted to
// be created anew.
func HoldsStorage(gk schema.GroupKind) bool {
	return gk == schema.GroupKind{Kind: "PersistentVolumeClaim"} || gk == schema.GroupKind{Kind: "PersistentVolume"} ||
		gk == schema.GroupKind{Group: "apps", Kind: "StatefulSet"} || protected[gk]
}

// protected are the kinds whose deletion takes more with it than the object:
// deleting one waits for an approval, whatever the budget.
var protected = map[schema.GroupKind]bool{
	{Kind: "Namespace"}:             true,
	{Kind: "PersistentVolume"}:      true,
	{Kind: "PersistentVolumeClaim"}: true,
	{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}: true,
	{Group: v1alpha1.Group, Kind: "App"}:                              true,
}

// Protected tells whether deleting an object of this kind waits for an approval.
func Protected(gk schema.GroupKind) bool { return protected[gk] }

// Stage is a step of the derived order: a stage is validated and applied as a
// whole before the next one begins, and deleted in reverse.
type Stage int

// The stages in the order in which they are applied.
const (
	StageDefinitions Stage = iota // namespaces and definitions of kinds
	StageIdentities               // identities, config, storage, limits
	StageBindings                 // what grants rights: the server looks up the role
	StageWorkloads                // everything else
	StageAdmission                // what can block others: webhooks, aggregated APIs, policy bindings
)

// Stages is the number of stages.
const Stages = int(StageAdmission) + 1

func (s Stage) String() string {
	return [...]string{"definitions", "identities and config", "bindings", "workloads", "admission"}[s]
}

var stages = map[schema.GroupKind]Stage{
	{Kind: "Namespace"}: StageDefinitions,
	{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}: StageDefinitions,

	{Kind: "ServiceAccount"}:                                   StageIdentities,
	{Kind: "ConfigMap"}:                                        StageIdentities,
	{Kind: "Secret"}:                                           StageIdentities,
	{Kind: "LimitRange"}:                                       StageIdentities,
	{Kind: "ResourceQuota"}:                                    StageIdentities,
	{Kind: "PersistentVolume"}:                                 StageIdentities,
	{Kind: "PersistentVolumeClaim"}:                            StageIdentities,
	{Group: "rbac.authorization.k8s.io", Kind: "Role"}:         StageIdentities,
	{Group: "rbac.authorization.k8s.io", Kind: "ClusterRole"}:  StageIdentities,
	{Group: "storage.k8s.io", Kind: "StorageClass"}:            StageIdentities,
	{Group: "storage.k8s.io", Kind: "CSIDriver"}:               StageIdentities,
	{Group: "scheduling.k8s.io", Kind: "PriorityClass"}:        StageIdentities,
	{Group: "node.k8s.io", Kind: "RuntimeClass"}:               StageIdentities,
	{Group: "networking.k8s.io", Kind: "IngressClass"}:         StageIdentities,
	{Group: "networking.k8s.io", Kind: "NetworkPolicy"}:        StageIdentities,
	{Group: "gateway.networking.k8s.io", Kind: "GatewayClass"}: StageIdentities,

	{Group: "rbac.authorization.k8s.io", Kind: "RoleBinding"}:        StageBindings,
	{Group: "rbac.authorization.k8s.io", Kind: "ClusterRoleBinding"}: StageBindings,

	{Group: "apiregistration.k8s.io", Kind: "APIService"}:                             StageAdmission,
	{Group: "admissionregistration.k8s.io", Kind: "MutatingWebhookConfiguration"}:     StageAdmission,
	{Group: "admissionregistration.k8s.io", Kind: "ValidatingWebhookConfiguration"}:   StageAdmission,
	{Group: "admissionregistration.k8s.io", Kind: "MutatingAdmissionPolicyBinding"}:   StageAdmission,
	{Group: "admissionregistration.k8s.io", Kind: "ValidatingAdmissionPolicyBinding"}: StageAdmission,
}

// StageOf returns the stage of a kind.
func StageOf(gk schema.GroupKind) Stage {
	if s, ok := stages[gk]; ok {
		return s
	}
	return StageWorkloads
}
