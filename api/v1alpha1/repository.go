package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Repository holds settings for a Git URL, or for every URL below a prefix:
// the credentials and which namespaces may use them, and how often to look.
// An App needs none for a public repository.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,shortName=repo,categories={abide}
// +kubebuilder:printcolumn:name="URL",type=string,JSONPath=`.spec.url`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
type Repository struct {
	metav1.TypeMeta `json:",inline"`
	// metadata has the name, the namespace, labels and annotations.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what people set.
	// +required
	Spec RepositorySpec `json:"spec"`

	// status is what abide found.
	// +optional
	Status RepositoryStatus `json:"status,omitempty"`
}

// RepositoryList is a list of Repositories.
//
// +kubebuilder:object:root=true
type RepositoryList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Repository `json:"items"`
}

// RepositorySpec is what people set.
type RepositorySpec struct {
	// url is a Git URL, or that of a chart repository (https://) or registry
	// (oci://), or a prefix of one. It matches on scheme, host and whole
	// path segments: https://example.com/team matches
	// https://example.com/team/config.git and not https://example.com/teamwork.
	// The longest match wins, and among equals the one in the App's namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="!self.matches('[[:space:][:cntrl:]]') && !self.startsWith('-')",message="url is a Git URL or a prefix of one; it has no spaces and does not start with a dash"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^[a-zA-Z0-9+.-]+::')",message="url must not name a Git remote helper (such as ext::): use https:// or ssh://"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^[a-zA-Z][a-zA-Z0-9+.-]*://[^/@]*:[^/@]*@')",message="url must not contain a password: put it in a Secret and name that Secret in spec.secretRef"
	URL string `json:"url"`

	// secretRef names a Secret in the namespace of this Repository. Its keys:
	// username and password, or token (sent as a bearer token); sshPrivateKey
	// (with password for its passphrase) and knownHosts; caBundle (PEM); proxy
	// (a URL); for charts also tls.crt and tls.key of a client certificate, and
	// .dockerconfigjson. The names that kubernetes.io/basic-auth and
	// kubernetes.io/ssh-auth use are taken too.
	// +optional
	SecretRef *SecretReference `json:"secretRef,omitempty"`

	// allowedNamespaces are the namespaces, besides its own, whose Apps may use
	// this Repository; "*" means all. Only a Repository in abide's own namespace
	// may allow others.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.all(n, n == '*' || n.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$'))",message="allowedNamespaces holds names of namespaces, or \"*\" for all"
	AllowedNamespaces []string `json:"allowedNamespaces,omitempty"`

	// charts are settings for a chart repository or registry.
	// +optional
	Charts *ChartSettings `json:"charts,omitempty"`

	// remoteBases lets a kustomization of an App that may use this Repository
	// name what its url covers: Git repositories and https files as resources,
	// components and the like, and charts in helmCharts. They are read with the
	// credentials of this Repository.
	// +optional
	RemoteBases *bool `json:"remoteBases,omitempty"`

	// interval is how often to look for new commits, such as 30s or 5m; between
	// 5s and 24h. For charts, five minutes is the shortest.
	// +optional
	// +kubebuilder:default="30s"
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule=`self.matches('^([0-9]{1,5}([.][0-9]{1,3})?(s|m|h))+$') && duration(self) >= duration('5s') && duration(self) <= duration('24h')`,message="interval is a duration between 5s and 24h, such as 30s, 5m or 1h"
	Interval string `json:"interval,omitempty"`
}

// ChartSettings are settings for a chart repository or registry.
//
// +kubebuilder:validation:MinProperties=1
type ChartSettings struct {
	// plainHTTP speaks http to a registry, and allows http:// of a chart
	// repository. No credentials are sent over it but to this machine itself.
	// +optional
	PlainHTTP *bool `json:"plainHTTP,omitempty"`

	// passCredentials sends the credentials also to other hosts that the index of
	// a chart repository names for its archives.
	// +optional
	PassCredentials *bool `json:"passCredentials,omitempty"`
}

// SecretReference names a Secret in the same namespace.
type SecretReference struct {
	// name of the Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// RepositoryStatus is what abide found.
type RepositoryStatus struct {
	// observedGeneration is the generation of the spec that this status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// refresh answers the annotation abide.dev/refresh.
	// +optional
	Refresh RefreshStatus `json:"refresh,omitempty"`
	// conditions has Ready: whether the credentials could be read.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}
