package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// HealthRule says how healthy objects of some kinds are, for every App of the
// installation. It counts in abide's own namespace only. It is tried before the
// rules that abide brings along, and after those of the App (spec.health.rules);
// several for one kind are tried in the order of their names.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,categories={abide}
// +kubebuilder:printcolumn:name="Group",type=string,JSONPath=`.spec.group`
// +kubebuilder:printcolumn:name="Kinds",type=string,JSONPath=`.spec.kinds`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
type HealthRule struct {
	metav1.TypeMeta `json:",inline"`
	// metadata has the name, the namespace, labels and annotations.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the kinds, and what is said of their objects.
	// +required
	Spec KindHealth `json:"spec"`

	// status is what abide found.
	// +optional
	Status HealthRuleStatus `json:"status,omitempty"`
}

// HealthRuleList is a list of HealthRules.
//
// +kubebuilder:object:root=true
type HealthRuleList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []HealthRule `json:"items"`
}

// KindHealth says how healthy objects of some kinds are.
//
// +kubebuilder:validation:XValidation:rule="!self.kinds.exists(k, k == '*') || (self.kinds.size() == 1 && has(self.group))",message="kinds takes \"*\" alone, for every kind of a group; the core group has its kinds named"
type KindHealth struct {
	// group of the kinds. "*.example.com" is every group that ends so; the core
	// group is left out.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^([*][.])?[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",message="group is an API group such as example.com, or *.example.com for all that end so"
	Group string `json:"group,omitempty"`

	// kinds are names such as Database; "*" alone is every kind of the group.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	Kinds []string `json:"kinds"`

	// versions of the API, such as v1; without them, every version.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	Versions []string `json:"versions,omitempty"`

	// rules are tried in their order, and the first whose condition holds decides.
	// Where none holds, others are asked.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=32
	Rules []HealthExpression `json:"rules"`
}

// HealthExpression is a health, and when it is that.
//
// +kubebuilder:validation:XValidation:rule="(self.health == 'Healthy') != has(self.message)",message="message says why an object is not healthy: what is Healthy has none, all else has one"
type HealthExpression struct {
	// when is a condition in CEL, with the object as self: self.is('Ready'). Write
	// "true", in quotes, for what always holds.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=8192
	When string `json:"when"`

	// health is what the object is then.
	// +required
	// +kubebuilder:validation:Enum=Healthy;Progressing;Degraded;Suspended;Unknown
	Health Health `json:"health"`

	// message is an expression in CEL that gives the text that says why:
	// self.why('Ready').
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=8192
	Message string `json:"message,omitempty"`
}

// HealthRuleStatus is what abide found.
type HealthRuleStatus struct {
	// observedGeneration is the generation of the spec that this status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// conditions has Ready: whether the rules are in force, and what is wrong with
	// them.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// AppHealth says how healthy objects of one App are.
type AppHealth struct {
	// rules are tried before those of the installation, on objects of this App
	// alone.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Rules []KindHealth `json:"rules,omitempty"`
}
