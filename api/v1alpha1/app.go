package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// App is a folder in Git, and where it should be true: abide renders the
// folder, applies what comes out, watches it, and heals what drifts.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,categories={abide}
// +kubebuilder:printcolumn:name="Status",type=string,JSONPath=`.status.state`,description="What abide is doing with this App"
// +kubebuilder:printcolumn:name="Health",type=string,JSONPath=`.status.health`,description="Health of the objects of this App"
// +kubebuilder:printcolumn:name="Commit",type=string,JSONPath=`.status.source.revision`,description="The ref, and the newest commit that changed this App"
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 63",message="the name of an App has at most 63 characters"
type App struct {
	metav1.TypeMeta `json:",inline"`
	// metadata has the name, the namespace, labels and annotations.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec says which folder should be true, and where.
	// +required
	Spec AppSpec `json:"spec"`

	// status says what abide found and did. abide writes it.
	// +optional
	Status AppStatus `json:"status,omitempty"`
}

// AppList is a list of Apps.
//
// +kubebuilder:object:root=true
type AppList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []App `json:"items"`
}

// AppSpec says which folder should be true, and where.
type AppSpec struct {
	// source is the folder in Git, or the chart.
	// +required
	Source Source `json:"source"`

	// sources are further Git repositories, which the chart's valuesFiles can
	// name: $NAME/path.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	Sources []NamedSource `json:"sources,omitempty"`

	// render says how the files become objects, beyond what they say themselves.
	// +optional
	Render *Render `json:"render,omitempty"`

	// target is where the objects go.
	// +optional
	// +kubebuilder:default={}
	Target Target `json:"target,omitempty"`

	// sync bounds what abide may do on its own.
	// +optional
	// +kubebuilder:default={}
	Sync SyncPolicy `json:"sync,omitempty"`

	// health says how healthy objects of this App are, beyond what abide knows and
	// what HealthRules say.
	// +optional
	Health *AppHealth `json:"health,omitempty"`

	// dependsOn are Apps that come first: nothing of this App is changed before
	// they are healthy at, or beyond, the commit in question where both come from
	// one repository, and they are removed only after it.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	DependsOn []Dependency `json:"dependsOn,omitempty"`

	// allowedDependents are the namespaces, besides its own, whose Apps may depend
	// on this App; "*" stands for every namespace.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^(\*|[a-z0-9]([-a-z0-9]*[a-z0-9])?)$`
	AllowedDependents []string `json:"allowedDependents,omitempty"`

	// historyLimit is how many releases keep their record and their manifests.
	// +optional
	// +kubebuilder:default=10
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	HistoryLimit *int32 `json:"historyLimit,omitempty"`

	// deletionPolicy is what happens to the objects when the App is deleted:
	// Delete removes them in reverse order, Orphan leaves them as they are.
	// +optional
	// +kubebuilder:default=Delete
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`
}

// Dependency is an App that comes first.
type Dependency struct {
	// name of the App.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`

	// namespace of the App; without it, that of the App that depends. An App of
	// another namespace has to allow it: spec.allowedDependents.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`

	// condition is a CEL expression over app, the App as the API has it, that has
	// to be true besides, such as app.status.objects.total > 3.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4096
	Condition string `json:"condition,omitempty"`
}

// DeletionPolicy is what happens to the objects of an App that is deleted.
//
// +kubebuilder:validation:Enum=Delete;Orphan
type DeletionPolicy string

// The deletion policies.
const (
	DeletionPolicyDelete DeletionPolicy = "Delete"
	DeletionPolicyOrphan DeletionPolicy = "Orphan"
)

// Source is a folder in a Git repository at a ref, or a chart of a chart
// repository or registry, or both: a chart whose valuesFiles lie in the folder.
//
// +kubebuilder:validation:MinProperties=1
// +kubebuilder:validation:XValidation:rule="has(self.repo) || has(self.chart)",message="source takes repo (a Git repository), chart (of a chart repository or registry), or both: a chart with values from Git"
// +kubebuilder:validation:XValidation:rule="has(self.repo) || !has(self.ref)",message="ref is what to follow in repo, and there is no repo"
type Source struct {
	// repo is the URL of the repository: https://, ssh://, user@host:path, or,
	// where the controller allows it, a local path or file:// URL. Credentials
	// never stand in the URL; a Repository names the Secret that has them.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="!self.matches('[[:space:][:cntrl:]]') && !self.startsWith('-')",message="repo is a Git URL such as https://example.com/team/config.git; it has no spaces and does not start with a dash"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^[a-zA-Z0-9+.-]+::')",message="repo must not name a Git remote helper (such as ext::): use https:// or ssh://"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^[a-zA-Z][a-zA-Z0-9+.-]*://[^/@]*:[^/@]*@')",message="repo must not contain a password: put it in a Secret and name that Secret in a Repository (spec.secretRef)"
	Repo string `json:"repo,omitempty"`

	// chart is the Helm chart to render, if it does not lie in the folder itself.
	// +optional
	Chart *ChartSource `json:"chart,omitempty"`

	// path is the folder (or one file) in the repository, relative to its root.
	// +optional
	// +kubebuilder:default="."
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('/')",message="path is relative to the root of the repository: leave out the leading slash"
	// +kubebuilder:validation:XValidation:rule="!self.split('/').exists(p, p == '..')",message="path must stay inside the repository: '..' is not allowed"
	Path string `json:"path,omitempty"`

	// ref is what to follow; without it, the repository's default branch.
	// +optional
	Ref *Ref `json:"ref,omitempty"`
}

// ChartSource is a chart of a chart repository or of a registry.
type ChartSource struct {
	// repo is https://HOST/PATH of a chart repository, or oci://HOST/PATH of a
	// registry. Credentials never stand in the URL; a Repository names the Secret
	// that has them.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="self.matches('^(https?|oci)://[^/@[:space:][:cntrl:]]+(/[^@?#[:space:][:cntrl:]]*)?$')",message="repo of a chart is https://HOST/PATH of a chart repository or oci://HOST/PATH of a registry, without credentials"
	Repo string `json:"repo"`

	// name of the chart. In a registry it is a further element of the path, and
	// may be left out where repo has it all.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`

	// version is an exact version, or a range such as 1.x or ">=1.2 <2", whose
	// newest is followed; in a registry a tag or a digest (sha256:...) as well.
	// Without it, the newest version that is no prerelease is followed.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	Version string `json:"version,omitempty"`
}

// NamedSource is a further Git repository.
type NamedSource struct {
	// name that valuesFiles call it by: $NAME/path.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && self != 'chart'",message="name has lower-case letters, digits and dashes, and is not chart"
	Name string `json:"name"`

	// repo is the URL of the repository, as in source.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="!self.matches('[[:space:][:cntrl:]]') && !self.startsWith('-')",message="repo is a Git URL such as https://example.com/team/config.git; it has no spaces and does not start with a dash"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^[a-zA-Z0-9+.-]+::')",message="repo must not name a Git remote helper (such as ext::): use https:// or ssh://"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^[a-zA-Z][a-zA-Z0-9+.-]*://[^/@]*:[^/@]*@')",message="repo must not contain a password: put it in a Secret and name that Secret in a Repository (spec.secretRef)"
	Repo string `json:"repo"`

	// ref is what to follow; without it, the repository's default branch.
	// +optional
	Ref *Ref `json:"ref,omitempty"`
}

// Ref is what to follow in a repository: exactly one of its fields.
//
// +kubebuilder:validation:XValidation:rule="[has(self.branch), has(self.tag), has(self.semver), has(self.commit)].filter(x, x).size() == 1",message="ref takes exactly one of branch, tag, semver or commit; leave ref out to follow the default branch"
type Ref struct {
	// branch is followed to wherever it moves.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('-') && !self.startsWith('/') && !self.startsWith('refs/')",message="branch is the bare name, such as main or release/1.2"
	// +kubebuilder:validation:XValidation:rule=`!self.matches('[[:space:][:cntrl:]~^:?*\\[\\\\]') && !self.contains('..') && !self.contains('@{') && !self.endsWith('/') && !self.endsWith('.')`,message="branch is not a name that Git allows (see git help check-ref-format)"
	Branch string `json:"branch,omitempty"`

	// tag is followed to wherever it moves.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('-') && !self.startsWith('/') && !self.startsWith('refs/')",message="tag is the bare name, such as v1.2.3"
	// +kubebuilder:validation:XValidation:rule=`!self.matches('[[:space:][:cntrl:]~^:?*\\[\\\\]') && !self.contains('..') && !self.contains('@{') && !self.endsWith('/') && !self.endsWith('.')`,message="tag is not a name that Git allows (see git help check-ref-format)"
	Tag string `json:"tag,omitempty"`

	// semver is a range over the tags, such as ">=1.2 <2" or "1.x"; the highest
	// tag in it is followed.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=255
	Semver string `json:"semver,omitempty"`

	// commit pins a full commit hash.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9a-f]{40}|[0-9a-f]{64})$')",message="commit is a full hash of 40 (or 64) lower-case hexadecimal digits"
	// +kubebuilder:validation:MaxLength=64
	Commit string `json:"commit,omitempty"`
}

// Target is where the objects of an App go.
type Target struct {
	// namespace fills in only where an object names none. abide never prunes it.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="namespace is the name of a Kubernetes namespace: lower-case letters, digits and dashes"
	Namespace string `json:"namespace,omitempty"`

	// createNamespace makes abide create namespace when it is missing.
	// +optional
	// +kubebuilder:default=true
	CreateNamespace *bool `json:"createNamespace,omitempty"`
}

// SyncPolicy bounds what abide may do on its own.
type SyncPolicy struct {
	// prune removes objects that are no longer in Git, within deletionBudget.
	// +optional
	// +kubebuilder:default=true
	Prune *bool `json:"prune,omitempty"`

	// heal applies an object again when somebody changed a field that Git sets.
	// +optional
	// +kubebuilder:default=true
	Heal *bool `json:"heal,omitempty"`

	// deletionBudget is how much one plan may delete without an approval.
	// +optional
	// +kubebuilder:default={}
	DeletionBudget DeletionBudget `json:"deletionBudget,omitempty"`

	// timeout is how long a release may take until all it applies is healthy,
	// hooks included; then it has failed. Without it, a release of an App with
	// waves or hooks, or whose onFailure is Rollback, has an hour, and any other
	// one all the time it needs.
	// +optional
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule=`self.matches('^([0-9]{1,5}([.][0-9]{1,3})?(s|m|h))+$') && duration(self) >= duration('1s') && duration(self) <= duration('720h')`,message="timeout is a duration between 1s and 720h, such as 90s, 10m or 2h"
	Timeout string `json:"timeout,omitempty"`

	// retry bounds how often a release is tried.
	// +optional
	Retry *Retry `json:"retry,omitempty"`

	// onFailure is what happens when a release fails: Hold leaves everything as it
	// is, and Rollback puts the last release back that was healthy and skips the
	// one that failed until Git says something else.
	// +optional
	// +kubebuilder:default=Hold
	OnFailure OnFailure `json:"onFailure,omitempty"`

	// onImmutable is what happens when Git changes a field that can't be changed:
	// Fail says so, and Replace deletes the object and creates it anew. Objects
	// that hold storage are never replaced. The annotation abide.dev/on-immutable
	// says it for one object.
	// +optional
	// +kubebuilder:default=Fail
	OnImmutable OnImmutable `json:"onImmutable,omitempty"`
}

// Retry bounds how often a release is tried.
type Retry struct {
	// limit is how many times a release that went wrong is tried again; then it has
	// failed. Without it, an App without hooks and waves is tried until it works.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	Limit *int32 `json:"limit,omitempty"`
}

// OnFailure is what happens when a release fails.
//
// +kubebuilder:validation:Enum=Hold;Rollback
type OnFailure string

// What happens when a release fails.
const (
	OnFailureHold     OnFailure = "Hold"
	OnFailureRollback OnFailure = "Rollback"
)

// OnImmutable is what happens when Git changes a field that can't be changed.
//
// +kubebuilder:validation:Enum=Fail;Replace
type OnImmutable string

// What happens when Git changes a field that can't be changed.
const (
	OnImmutableFail    OnImmutable = "Fail"
	OnImmutableReplace OnImmutable = "Replace"
)

// DeletionBudget is how much one plan may delete without an approval: a plan
// waits when it deletes more than maxObjects and more than maxPercent of the
// App's objects. Namespaces, CustomResourceDefinitions, PersistentVolumes,
// PersistentVolumeClaims and Apps wait for an approval whatever the budget.
type DeletionBudget struct {
	// maxObjects is a number of objects.
	// +optional
	// +kubebuilder:default=5
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100000
	MaxObjects *int32 `json:"maxObjects,omitempty"`

	// maxPercent is a share of the objects that the App owns.
	// +optional
	// +kubebuilder:default=25
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	MaxPercent *int32 `json:"maxPercent,omitempty"`
}

// AppStatus says what abide found and did.
type AppStatus struct {
	// observedGeneration is the generation of the spec that this status is about.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// state is one word: InSync, Drifted, Progressing, Waiting, Failed, Paused,
	// Pinned or Deleting.
	// +optional
	State State `json:"state,omitempty"`

	// health is one word over all objects: Healthy, Progressing, Degraded,
	// Suspended or Unknown.
	// +optional
	Health Health `json:"health,omitempty"`

	// source is what the objects were rendered from.
	// +optional
	Source SourceStatus `json:"source,omitempty"`

	// desiredHash is the hash of the rendered objects.
	// +optional
	DesiredHash string `json:"desiredHash,omitempty"`

	// appliedHash is the desiredHash that was last applied in full.
	// +optional
	AppliedHash string `json:"appliedHash,omitempty"`

	// objects counts what the App owns and names the first few that need a look.
	// +optional
	Objects ObjectsStatus `json:"objects,omitempty"`

	// release is the one that is under way, or else the last one.
	// +optional
	Release *ReleaseStatus `json:"release,omitempty"`

	// pinned says that the App is held at a release, and is not as Git says.
	// +optional
	Pinned *PinnedStatus `json:"pinned,omitempty"`

	// waitsFor are the Apps that have to come first and are not as far yet.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	WaitsFor []WaitsFor `json:"waitsFor,omitempty"`

	// plan is the plan that waits, if one does.
	// +optional
	Plan *PlanStatus `json:"plan,omitempty"`

	// refresh answers the annotation abide.dev/refresh.
	// +optional
	Refresh RefreshStatus `json:"refresh,omitempty"`

	// conditions are Ready, Synced and Healthy.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// State is what abide is doing with an App, in one word.
type State string

// The states of an App.
const (
	StateInSync      State = "InSync"
	StateDrifted     State = "Drifted"
	StateProgressing State = "Progressing"
	StateWaiting     State = "Waiting"
	StateFailed      State = "Failed"
	StatePaused      State = "Paused"
	StatePinned      State = "Pinned" // held at a release, and as that says
	StateDeleting    State = "Deleting"
)

// Health is how an object, or all objects of an App, are doing.
type Health string

// The healths, best first.
const (
	HealthHealthy     Health = "Healthy"
	HealthSuspended   Health = "Suspended"
	HealthProgressing Health = "Progressing"
	HealthUnknown     Health = "Unknown"
	HealthDegraded    Health = "Degraded"
)

// SourceStatus says what the objects of an App were rendered from.
type SourceStatus struct {
	// commit is the newest commit that changed this App's desired hash.
	// +optional
	Commit string `json:"commit,omitempty"`
	// ref is the full name of the ref that was followed.
	// +optional
	Ref string `json:"ref,omitempty"`
	// revision is the short form for people, such as main@1a2b3c4d.
	// +optional
	Revision string `json:"revision,omitempty"`
	// author of the commit, as Git has it: Name <email>.
	// +optional
	Author string `json:"author,omitempty"`
	// committer of the commit, as Git has it: Name <email>.
	// +optional
	Committer string `json:"committer,omitempty"`
	// date is the author's date of the commit.
	// +optional
	Date *metav1.Time `json:"date,omitempty"`
	// subject is the first line of the commit's message.
	// +optional
	Subject string `json:"subject,omitempty"`
	// renderer is what turned the files into objects: manifests, kustomize, helm
	// or jsonnet.
	// +optional
	Renderer string `json:"renderer,omitempty"`
	// chart is the name and version of the chart from a repository or registry.
	// +optional
	Chart string `json:"chart,omitempty"`
	// chartDigest is the hash of its archive: sha256:...
	// +optional
	ChartDigest string `json:"chartDigest,omitempty"`
	// others are where the further repositories of spec.sources stood.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	Others []NamedRevision `json:"others,omitempty"`
}

// NamedRevision is where a further repository stood.
type NamedRevision struct {
	// name among spec.sources.
	// +required
	// +kubebuilder:validation:MinLength=1
	Name string `json:"name"`
	// commit it stood at.
	// +optional
	Commit string `json:"commit,omitempty"`
	// revision is the short form for people, such as main@1a2b3c4d.
	// +optional
	Revision string `json:"revision,omitempty"`
}

// ObjectsStatus counts what an App owns.
type ObjectsStatus struct {
	// total is the number of objects in the inventory.
	// +optional
	Total int32 `json:"total"`
	// inSync is how many of them are as Git says.
	// +optional
	InSync int32 `json:"inSync"`
	// healthy is how many of them are healthy.
	// +optional
	Healthy int32 `json:"healthy"`
	// attention names the first few objects that are not in sync or not
	// healthy, and says why.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=5
	Attention []ObjectNote `json:"attention,omitempty"`
}

// ObjectNote says why one object needs a look.
type ObjectNote struct {
	// object is its kind and name, with the group and namespace where they
	// have one: Deployment.apps web/shop.
	// +required
	Object string `json:"object"`
	// reason is one word, such as Drifted, Degraded, Progressing, Failed.
	// +required
	Reason string `json:"reason"`
	// message says what is wrong and what to do.
	// +optional
	Message string `json:"message,omitempty"`
}

// ReleaseStatus is a release, in short: abide show has all of it.
type ReleaseStatus struct {
	// number of the release: abide show APP#N.
	// +required
	// +kubebuilder:validation:Minimum=1
	Number int64 `json:"number"`
	// outcome is Running, or what has become of it.
	// +required
	Outcome Outcome `json:"outcome"`
	// desiredHash is what it brings about.
	// +optional
	DesiredHash string `json:"desiredHash,omitempty"`
	// startedAt is when it began.
	// +optional
	StartedAt *metav1.Time `json:"startedAt,omitempty"`
	// message says what it waits for, or why it failed.
	// +optional
	Message string `json:"message,omitempty"`
}

// PinnedStatus says that an App is held at a release, and is not as Git says.
type PinnedStatus struct {
	// to is the number of the release that the App is held at.
	// +required
	// +kubebuilder:validation:Minimum=1
	To int64 `json:"to"`
	// skips is the desired hash that is not brought about; another one ends it.
	// +optional
	Skips string `json:"skips,omitempty"`
	// by is the user who pinned it; empty if abide did, since a release failed.
	// +optional
	By string `json:"by,omitempty"`
	// reason says why.
	// +optional
	Reason string `json:"reason,omitempty"`
	// since is when.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`
}

// WaitsFor is an App that has to come first and is not as far yet.
type WaitsFor struct {
	// app is its namespace and name.
	// +required
	// +kubebuilder:validation:MinLength=1
	App string `json:"app"`
	// since is when this App began to wait for it.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`
	// message says what is missing.
	// +optional
	Message string `json:"message,omitempty"`
}

// PlanStatus is a plan that waits.
type PlanStatus struct {
	// digest names the plan; an Approval of this digest lets it go on.
	// +required
	Digest string `json:"digest"`
	// commit the plan was made for.
	// +optional
	Commit string `json:"commit,omitempty"`
	// gate is why it waits: DeletionBudget, ProtectedKinds, TrackedByOthers or
	// RendererVanished.
	// +required
	Gate string `json:"gate"`
	// message says what waits, for what, and what to do.
	// +optional
	Message string `json:"message,omitempty"`
	// create is how many objects it would create.
	// +optional
	Create int32 `json:"create"`
	// update is how many objects it would change.
	// +optional
	Update int32 `json:"update"`
	// adopt is how many objects it would take over that exist already.
	// +optional
	Adopt int32 `json:"adopt"`
	// delete is how many objects it would delete.
	// +optional
	Delete int32 `json:"delete"`
}

// RefreshStatus answers the annotation abide.dev/refresh.
type RefreshStatus struct {
	// requested is the value of the annotation that was last seen.
	// +optional
	Requested string `json:"requested,omitempty"`
	// observed is the value whose look at Git is done.
	// +optional
	Observed string `json:"observed,omitempty"`
}
