package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Inventory is a part of the list of objects that an App owns. abide writes an
// entry before it creates the object, and removes it only after the object is
// confirmed gone. An App has as many parts as its objects need.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Namespaced,path=inventories,categories={abide}
// +kubebuilder:selectablefield:JSONPath=`.app`
// +kubebuilder:printcolumn:name="App",type=string,JSONPath=`.app`
// +kubebuilder:printcolumn:name="Part",type=integer,JSONPath=`.part`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Inventory struct {
	metav1.TypeMeta `json:",inline"`
	// metadata has the name, the namespace, labels and annotations.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// app is the name of the App in this namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	App string `json:"app"`

	// part numbers the parts of one App from 0.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Part int32 `json:"part"`

	// entries are the objects.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=1000
	Entries []InventoryEntry `json:"entries,omitempty"`
}

// InventoryList is a list of Inventories.
//
// +kubebuilder:object:root=true
type InventoryList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Inventory `json:"items"`
}

// InventoryEntry is one object that an App owns, or is about to create.
type InventoryEntry struct {
	// group of the object's kind; empty for the core group.
	// +optional
	Group string `json:"group,omitempty"`
	// version it was last applied in.
	// +required
	Version string `json:"version"`
	// kind of the object.
	// +required
	Kind string `json:"kind"`
	// namespace of the object; empty for cluster-scoped kinds.
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// name of the object.
	// +required
	Name string `json:"name"`
	// uid of the object once it is known.
	// +optional
	UID types.UID `json:"uid,omitempty"`
	// hash of the object as rendered.
	// +optional
	Hash string `json:"hash,omitempty"`
	// fingerprint of the fields that abide owns in the live object.
	// +optional
	Fingerprint string `json:"fingerprint,omitempty"`
	// wave in which it was applied.
	// +optional
	Wave int32 `json:"wave,omitempty"`
	// flags are per-object rules that must be known after the object has left
	// Git: NoPrune, Hook, Finish.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=8
	Flags []string `json:"flags,omitempty"`
}

// The flags of an entry.
const (
	// FlagNoPrune marks an object that its annotation protects from pruning.
	FlagNoPrune = "NoPrune"
	// FlagHook marks the run of a hook: it is removed when it is of no use any
	// more, whatever the settings for pruning.
	FlagHook = "Hook"
	// FlagFinish marks the run of a hook that may end by itself before anything
	// newer begins.
	FlagFinish = "Finish"
)

// GitRef is the record of one followed ref: all Apps that follow it have been
// judged up to its commit. It lives in abide's own namespace.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Namespaced,categories={abide}
// +kubebuilder:printcolumn:name="URL",type=string,JSONPath=`.url`
// +kubebuilder:printcolumn:name="Ref",type=string,JSONPath=`.ref`
// +kubebuilder:printcolumn:name="Judged",type=string,JSONPath=`.judged`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type GitRef struct {
	metav1.TypeMeta `json:",inline"`
	// metadata has the name, the namespace, labels and annotations.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// url of the repository, in the one form that all its spellings have.
	// +required
	// +kubebuilder:validation:MaxLength=2048
	URL string `json:"url"`
	// follows is the ref as the Apps name it: default branch, branch main,
	// newest tag in >=1.2 and so on.
	// +required
	// +kubebuilder:validation:MaxLength=512
	Follows string `json:"follows"`
	// ref is the full name of the ref, or the commit where one is pinned.
	// +required
	// +kubebuilder:validation:MaxLength=512
	Ref string `json:"ref"`
	// judged is the newest commit up to which every App that follows this ref
	// has been judged: those it changes say so in their status.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Judged string `json:"judged,omitempty"`
	// recent are the commits that were judged, newest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=64
	Recent []string `json:"recent,omitempty"`
	// judgedAt is when judged was written.
	// +optional
	JudgedAt *metav1.Time `json:"judgedAt,omitempty"`
}

// GitRefList is a list of GitRefs.
//
// +kubebuilder:object:root=true
type GitRefList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []GitRef `json:"items"`
}
