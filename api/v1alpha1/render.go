package v1alpha1

import "k8s.io/apimachinery/pkg/runtime"

// Render says how the files of an App become objects, beyond what the files
// say themselves.
//
// What a renderer gives is changed by patches, namePrefix, nameSuffix, labels,
// annotations, replicas and images, in that order and as Kustomize does it;
// then variables are put in by substitute.
type Render struct {
	// helm is how a Helm chart is rendered. Where there is no chart, it has no
	// effect.
	// +optional
	Helm *Helm `json:"helm,omitempty"`

	// jsonnet is how Jsonnet is evaluated. Where there is none, it has no effect.
	// +optional
	Jsonnet *Jsonnet `json:"jsonnet,omitempty"`

	// patches change objects, one after the other.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=128
	Patches []Patch `json:"patches,omitempty"`

	// namePrefix is put before all names and references to them.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	NamePrefix string `json:"namePrefix,omitempty"`

	// nameSuffix is put after all names and references to them.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	NameSuffix string `json:"nameSuffix,omitempty"`

	// labels are set on all objects.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	Labels map[string]string `json:"labels,omitempty"`

	// labelOptions say where else labels are set.
	// +optional
	LabelOptions *LabelOptions `json:"labelOptions,omitempty"`

	// annotations are set on all objects, and on the templates in them.
	// +optional
	// +kubebuilder:validation:MaxProperties=64
	Annotations map[string]string `json:"annotations,omitempty"`

	// replicas set the number of replicas of objects by their name.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	Replicas []Replica `json:"replicas,omitempty"`

	// images replace names, tags and digests of container images.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	Images []Image `json:"images,omitempty"`

	// substitute puts values in the place of ${NAME} in all objects. Without it,
	// ${NAME} stays as it is.
	// +optional
	Substitute *Substitute `json:"substitute,omitempty"`
}

// LabelOptions say where else labels are set.
//
// +kubebuilder:validation:MinProperties=1
type LabelOptions struct {
	// includeSelectors also sets them in selectors, and in templates. Selectors of
	// most kinds can't be changed once they exist.
	// +optional
	IncludeSelectors *bool `json:"includeSelectors,omitempty"`

	// includeTemplates also sets them in templates of Pods.
	// +optional
	IncludeTemplates *bool `json:"includeTemplates,omitempty"`
}

// Jsonnet is how Jsonnet is evaluated.
type Jsonnet struct {
	// extVars are what std.extVar gives.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	ExtVars []JsonnetVariable `json:"extVars,omitempty"`

	// tlas are the top-level arguments: those of a file that is a function.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=64
	TLAs []JsonnetVariable `json:"tlas,omitempty"`

	// libraryPaths are folders that imports are looked for in, the last one
	// first: relative to source.path, or with a leading slash to the root of the
	// repository.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=1024
	LibraryPaths []string `json:"libraryPaths,omitempty"`
}

// JsonnetVariable is a variable of Jsonnet.
type JsonnetVariable struct {
	// name of the variable.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`

	// value is a text, or with code a piece of Jsonnet.
	// +required
	// +kubebuilder:validation:MaxLength=65536
	Value string `json:"value"`

	// code makes value a piece of Jsonnet, such as 3, true or {a: 1}.
	// +optional
	Code *bool `json:"code,omitempty"`
}

// Patch is a strategic merge patch or a list of JSON 6902 operations.
type Patch struct {
	// patch in YAML or JSON. Without a target, a merge patch applies to the object
	// that it names itself.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=65536
	Patch string `json:"patch"`

	// target selects the objects that the patch applies to.
	// +optional
	Target *PatchTarget `json:"target,omitempty"`
}

// PatchTarget selects objects by all of its fields that are set. All but the two
// selectors are regular expressions for the whole value.
//
// +kubebuilder:validation:MinProperties=1
type PatchTarget struct {
	// group of the kind.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Group string `json:"group,omitempty"`
	// version of the kind.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Version string `json:"version,omitempty"`
	// kind of the object.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Kind string `json:"kind,omitempty"`
	// name of the object.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Name string `json:"name,omitempty"`
	// namespace that the object names.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Namespace string `json:"namespace,omitempty"`
	// labelSelector selects by labels, as in kubectl -l.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	LabelSelector string `json:"labelSelector,omitempty"`
	// annotationSelector selects by annotations, in the same form.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	AnnotationSelector string `json:"annotationSelector,omitempty"`
}

// Replica sets the replicas of objects of a name.
type Replica struct {
	// name of the objects, before namePrefix and nameSuffix.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// count of replicas.
	// +required
	// +kubebuilder:validation:Minimum=0
	Count int32 `json:"count"`
}

// Image replaces parts of an image.
//
// +kubebuilder:validation:XValidation:rule="has(self.newName) || has(self.newTag) || has(self.digest)",message="an image takes newName, newTag or digest"
// +kubebuilder:validation:XValidation:rule="!(has(self.newTag) && has(self.digest))",message="an image takes newTag or digest, not both"
type Image struct {
	// name of the image as it is written, without its tag.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Name string `json:"name"`
	// newName takes the place of the name.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	NewName string `json:"newName,omitempty"`
	// newTag takes the place of the tag.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	NewTag string `json:"newTag,omitempty"`
	// digest takes the place of the tag.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	Digest string `json:"digest,omitempty"`
}

// Substitute is what ${NAME} stands for. A name that is defined nowhere and has
// no default, ${NAME:=default}, is an error; $${NAME} stays ${NAME}; an object
// with the annotation abide.dev/substitute: disabled is left as it is.
type Substitute struct {
	// variables are written here; they come before those of variablesFrom.
	// +optional
	// +kubebuilder:validation:MaxProperties=256
	// +kubebuilder:validation:XValidation:rule="self.all(n, n.matches('^[a-zA-Z_][a-zA-Z0-9_]*$'))",message="the name of a variable has letters, digits and underscores, and begins with no digit"
	Variables map[string]string `json:"variables,omitempty"`

	// variablesFrom are ConfigMaps and Secrets of the App's namespace all of whose
	// keys are variables, a later one overriding the former. When one changes,
	// the App is rendered again.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	VariablesFrom []VariablesReference `json:"variablesFrom,omitempty"`
}

// VariablesReference is a ConfigMap or Secret in the App's namespace.
type VariablesReference struct {
	// kind is ConfigMap or Secret.
	// +required
	Kind ValuesKind `json:"kind"`

	// name of the ConfigMap or Secret.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`

	// optional lets it be missing.
	// +optional
	Optional *bool `json:"optional,omitempty"`
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

	// runTests runs the chart's tests when all of a release is healthy; one that
	// fails fails the release.
	// +optional
	RunTests *bool `json:"runTests,omitempty"`
}

// ValuesFile is a file of values.
type ValuesFile struct {
	// path of the file: relative to source.path, or with a leading slash to the
	// root of the repository, or $NAME/path in the repository of that name among
	// sources.
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
