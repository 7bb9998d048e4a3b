package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Approval lets one plan of one App go on. It names the plan by its digest, so
// it can never let through anything but what was looked at. Its author is
// proved by the API server: an admission policy requires spec.by to be the
// user who creates it.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Namespaced,categories={abide}
// +kubebuilder:selectablefield:JSONPath=`.spec.app`
// +kubebuilder:printcolumn:name="App",type=string,JSONPath=`.spec.app`
// +kubebuilder:printcolumn:name="Plan",type=string,JSONPath=`.spec.plan`
// +kubebuilder:printcolumn:name="By",type=string,JSONPath=`.spec.by`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Approval struct {
	metav1.TypeMeta `json:",inline"`
	// metadata has the name, the namespace, labels and annotations.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what was approved, and by whom. It never changes.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="an Approval never changes: delete it and approve the plan that you see now (abide approve APP)"
	Spec ApprovalSpec `json:"spec"`
}

// ApprovalList is a list of Approvals.
//
// +kubebuilder:object:root=true
type ApprovalList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Approval `json:"items"`
}

// ApprovalSpec is what was approved, and by whom.
type ApprovalSpec struct {
	// app is the name of the App in this namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	App string `json:"app"`
	// plan is the digest of the plan, from the App's status.plan.digest.
	// +required
	// +kubebuilder:validation:XValidation:rule="self.matches('^sha256:[0-9a-f]{64}$')",message="plan is the digest of a plan, sha256: and 64 hexadecimal digits, as abide status shows it"
	// +kubebuilder:validation:MaxLength=71
	Plan string `json:"plan"`
	// by is the user name of the one who approves.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	By string `json:"by"`
	// reason is for those who read the record later.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Reason string `json:"reason,omitempty"`
}

// Pause stops abide from changing anything of one App for as long as it
// exists. It has the name of the App. Its author is proved like an Approval's.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Namespaced,categories={abide}
// +kubebuilder:printcolumn:name="By",type=string,JSONPath=`.spec.by`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.spec.reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Pause struct {
	metav1.TypeMeta `json:",inline"`
	// metadata has the name, the namespace, labels and annotations.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says who paused the App, and why. It never changes.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a Pause never changes: delete it (abide resume APP) and make a new one"
	Spec PauseSpec `json:"spec"`
}

// PauseList is a list of Pauses.
//
// +kubebuilder:object:root=true
type PauseList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Pause `json:"items"`
}

// PauseSpec says who paused an App, and why.
type PauseSpec struct {
	// by is the user name of the one who pauses.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	By string `json:"by"`
	// reason is for those who wonder later.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Reason string `json:"reason,omitempty"`
}

// Pin holds one App at one of its releases until what Git says of the App is
// something else than what it skips. It has the name of the App. Its author is
// proved like an Approval's.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Namespaced,categories={abide}
// +kubebuilder:printcolumn:name="Release",type=integer,JSONPath=`.spec.release`
// +kubebuilder:printcolumn:name="By",type=string,JSONPath=`.spec.by`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.spec.reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Pin struct {
	metav1.TypeMeta `json:",inline"`
	// metadata has the name, the namespace, labels and annotations.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what the App is held at, by whom, and why. It never changes.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a Pin never changes: delete it (abide unpin APP) and make a new one (abide rollback APP)"
	Spec PinSpec `json:"spec"`
}

// PinList is a list of Pins.
//
// +kubebuilder:object:root=true
type PinList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Pin `json:"items"`
}

// PinSpec is what an App is held at, by whom, and why.
type PinSpec struct {
	// release is the number of the release.
	// +required
	// +kubebuilder:validation:Minimum=1
	Release int64 `json:"release"`
	// skips is the desired hash that is not to be brought about: the App's
	// status.desiredHash. When Git says something else, the Pin ends.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Skips string `json:"skips,omitempty"`
	// by is the user name of the one who pins.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	By string `json:"by"`
	// reason is for those who wonder later.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Reason string `json:"reason,omitempty"`
}
