package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Group is the API group of every kind in this package.
const Group = "abide.dev"

// GroupVersion is abide.dev/v1alpha1.
var GroupVersion = schema.GroupVersion{Group: Group, Version: "v1alpha1"}

// Kinds are the kinds of this package, all of them namespaced.
func Kinds() []string {
	return []string{"App", "Repository", "Approval", "Pause", "Pin", "Release", "Inventory", "GitRef", "HealthRule"}
}

// AddToScheme registers the kinds of this package.
func AddToScheme(s *runtime.Scheme) error {
	s.AddKnownTypes(GroupVersion,
		&App{}, &AppList{},
		&Repository{}, &RepositoryList{},
		&Inventory{}, &InventoryList{},
		&GitRef{}, &GitRefList{},
		&Approval{}, &ApprovalList{},
		&Pause{}, &PauseList{},
		&HealthRule{}, &HealthRuleList{},
		&Pin{}, &PinList{},
		&Release{}, &ReleaseList{},
	)
	metav1.AddToGroupVersion(s, GroupVersion)
	return nil
}
