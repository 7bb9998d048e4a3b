package v1alpha1

import "k8s.io/apimachinery/pkg/runtime"

// Render says how the files of an App become objects, beyond what the files
// say themselves.
type Render struct {
	// helm is how a Helm chart is rendered. Where there is no chart, it has no
	// effect.
	// +optional
	Helm *Helm `json:"helm,omitempty"`
}

// Helm is how a chart is rendered. Values count in this order, the last one
// most: the chart's own, valuesFiles, valuesFrom, values.
type Helm struct {
	// releaseName is what templates see as Release.Name; the name of the App if
	// it is left out, cut to the 53 characters that Helm allows.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=53
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",message="releaseName has lower-case letters, digits, dashes and dots, as Helm has it"
	ReleaseName string `json:"releaseName,omitempty"`

	// valuesFiles are files of values, a later one overriding the former.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	ValuesFiles []ValuesFile `json:"valuesFiles,omitempty"`

	// valuesFrom are ConfigMaps and Secrets of the App's namespace that hold
	// values, a later one overriding the former. When one changes, the chart is
	// rendered again.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	ValuesFrom []ValuesReference `json:"valuesFrom,omitempty"`

	// values are written here as they would be in a file of values.
	// +optional
	// +kubebuilder:pruning:PreserveUnknownFields
	// +kubebuilder:validation:Type=object
	// +kubebuilder:validation:Schemaless
	Values *runtime.RawExtension `json:"values,omitempty"`

	// includeCRDs applies what the chart has in crds/, and keeps it up to date.
	// +optional
	// +kubebuilder:default=true
	IncludeCRDs *bool `json:"includeCRDs,omitempty"`

	// kubeVersion is what templates see as the version of Kubernetes; that of the
	// cluster if it is left out.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	KubeVersion string `json:"kubeVersion,omitempty"`

	// apiVersions are what templates find in the cluster besides what Helm
	// knows by itself, as group/version or group/version/Kind; what the cluster
	// serves if they are left out.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=1024
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=317
	APIVersions []string `json:"apiVersions,omitempty"`

	// skipSchemaValidation takes values whatever the chart's values.schema.json
	// says of them.
	// +optional
	SkipSchemaValidation *bool `json:"skipSchemaValidation,omitempty"`
}

// ValuesFile is a file of values.
type ValuesFile struct {
	// path of the file: relative to source.path, or with a leading slash to the
	// root of the repository.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Path string `json:"path"`

	// optional lets the file be missing.
	// +optional
	Optional *bool `json:"optional,omitempty"`
}

// ValuesReference is a key of a ConfigMap or Secret in the App's namespace.
type ValuesReference struct {
	// kind is ConfigMap or Secret.
	// +required
	Kind ValuesKind `json:"kind"`

	// name of the ConfigMap or Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`

	// key that holds the values.
	// +optional
	// +kubebuilder:default="values.yaml"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key,omitempty"`

	// targetPath is where the value goes as a string, such as auth.password; the
	// key then holds that one value, and not a document of values.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=250
	TargetPath string `json:"targetPath,omitempty"`

	// optional lets the ConfigMap, the Secret or the key be missing.
	// +optional
	Optional *bool `json:"optional,omitempty"`
}

// ValuesKind is a kind that can hold values.
//
// +kubebuilder:validation:Enum=ConfigMap;Secret
type ValuesKind string

// The kinds that can hold values.
const (
	ValuesKindConfigMap ValuesKind = "ConfigMap"
	ValuesKindSecret    ValuesKind = "Secret"
)
