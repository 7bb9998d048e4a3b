package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Release is the record of one attempt to bring an App to a desired state. abide
// writes it; it has the name of the App, a dash and its number, and stays for a
// while after the App is gone.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Namespaced,categories={abide}
// +kubebuilder:selectablefield:JSONPath=`.spec.app`
// +kubebuilder:printcolumn:name="App",type=string,JSONPath=`.spec.app`
// +kubebuilder:printcolumn:name="Number",type=integer,JSONPath=`.spec.number`
// +kubebuilder:printcolumn:name="Outcome",type=string,JSONPath=`.spec.outcome`
// +kubebuilder:printcolumn:name="Trigger",type=string,JSONPath=`.spec.trigger`
// +kubebuilder:printcolumn:name="Commit",type=string,JSONPath=`.spec.source.revision`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type Release struct {
	metav1.TypeMeta `json:",inline"`
	// metadata has the name, the namespace, labels and annotations.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what was attempted, and what has become of it. It never changes once
	// finishedAt is set, but for the heals that followed.
	// +required
	Spec ReleaseSpec `json:"spec"`
}

// ReleaseList is a list of Releases.
//
// +kubebuilder:object:root=true
type ReleaseList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Release `json:"items"`
}

// ReleaseSpec is what was attempted, and what has become of it.
type ReleaseSpec struct {
	// app is the name of the App in this namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	App string `json:"app"`
	// appUID tells Apps apart that had the name one after the other.
	// +optional
	AppUID types.UID `json:"appUID,omitempty"`
	// number counts the releases of the App from 1.
	// +required
	// +kubebuilder:validation:Minimum=1
	Number int64 `json:"number"`
	// desiredHash is the hash of the rendered objects.
	// +optional
	DesiredHash string `json:"desiredHash,omitempty"`
	// source is what they were rendered from.
	// +optional
	Source SourceStatus `json:"source,omitempty"`
	// trigger is why the release was made.
	// +required
	Trigger Trigger `json:"trigger"`
	// rollbackTo is the number of the release whose manifests this one brings back.
	// +optional
	// +kubebuilder:validation:Minimum=1
	RollbackTo int64 `json:"rollbackTo,omitempty"`
	// by is the user who asked for it, where a person did.
	// +optional
	By string `json:"by,omitempty"`
	// plan is what it set out to change.
	// +optional
	Plan ReleasePlan `json:"plan,omitempty"`
	// gates are those that were passed, and by whom.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Gates []PassedGate `json:"gates,omitempty"`
	// hooks are those that have run or run.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	Hooks []HookRun `json:"hooks,omitempty"`
	// outcome is Running, or what has become of it.
	// +required
	Outcome Outcome `json:"outcome"`
	// message says what it waits for, or why it failed.
	// +optional
	Message string `json:"message,omitempty"`
	// healthy tells that all of it has been healthy once.
	// +optional
	Healthy *bool `json:"healthy,omitempty"`
	// attempts is how often it has been tried and went wrong.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Attempts int32 `json:"attempts,omitempty"`
	// startedAt is when it began.
	// +optional
	StartedAt *metav1.MicroTime `json:"startedAt,omitempty"`
	// finishedAt is when it was over.
	// +optional
	FinishedAt *metav1.MicroTime `json:"finishedAt,omitempty"`
	// manifests name the Secrets in abide's own namespace that hold what was
	// rendered, in order; empty once they are no longer kept.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MaxLength=253
	Manifests []string `json:"manifests,omitempty"`
	// heals are the last few drifts that were put right while this was the newest
	// release.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	Heals []HealRecord `json:"heals,omitempty"`
	// healCount is how many there have been.
	// +optional
	// +kubebuilder:validation:Minimum=0
	HealCount int64 `json:"healCount,omitempty"`
}

// Trigger is why a release was made.
//
// +kubebuilder:validation:Enum=Commit;Spec;Rollback;Manual;Dependency;Retry;Delete
type Trigger string

// The triggers.
const (
	TriggerCommit     Trigger = "Commit"     // Git says something new
	TriggerSpec       Trigger = "Spec"       // the App says something new, or what it takes values from
	TriggerRollback   Trigger = "Rollback"   // an earlier release is put back
	TriggerManual     Trigger = "Manual"     // a person asked for a sync
	TriggerDependency Trigger = "Dependency" // an App that comes first is there now
	TriggerRetry      Trigger = "Retry"      // what failed is tried again
	TriggerDelete     Trigger = "Delete"     // the App is deleted
)

// Outcome is what has become of a release.
//
// +kubebuilder:validation:Enum=Running;Succeeded;Failed;Superseded;RolledBack;Rejected
type Outcome string

// The outcomes.
const (
	OutcomeRunning    Outcome = "Running"
	OutcomeSucceeded  Outcome = "Succeeded"  // all of it was applied, and has been healthy
	OutcomeFailed     Outcome = "Failed"     // it went wrong, or was not healthy by its deadline
	OutcomeSuperseded Outcome = "Superseded" // something newer began before it was through
	OutcomeRolledBack Outcome = "RolledBack" // it failed, and an earlier one was put back
	OutcomeRejected   Outcome = "Rejected"   // its plan was never let through
)

// ReleasePlan is what a release set out to change.
type ReleasePlan struct {
	// digest names the plan.
	// +optional
	Digest string `json:"digest,omitempty"`
	// create is how many objects it creates.
	// +optional
	Create int32 `json:"create,omitempty"`
	// update is how many objects it changes.
	// +optional
	Update int32 `json:"update,omitempty"`
	// adopt is how many objects it takes over that exist already.
	// +optional
	Adopt int32 `json:"adopt,omitempty"`
	// delete is how many objects it deletes.
	// +optional
	Delete int32 `json:"delete,omitempty"`
	// objects are those that it changes, up to a thousand.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=1000
	Objects []ReleaseObject `json:"objects,omitempty"`
}

// ReleaseObject is one change to one object, and what has become of it.
type ReleaseObject struct {
	// object is its kind and name: Deployment.apps web/shop.
	// +required
	Object string `json:"object"`
	// action is create, update, adopt, convert, takeover, delete or forget.
	// +required
	Action string `json:"action"`
	// wave it belongs to.
	// +optional
	Wave int32 `json:"wave,omitempty"`
	// fields that change, the first few; values of Secrets are short hashes.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	Fields []FieldChange `json:"fields,omitempty"`
	// fieldCount is how many fields change.
	// +optional
	// +kubebuilder:validation:Minimum=0
	FieldCount int32 `json:"fieldCount,omitempty"`
	// result is Applied, Deleted, Failed, or empty while it has not been done.
	// +optional
	Result string `json:"result,omitempty"`
	// message says what went wrong.
	// +optional
	Message string `json:"message,omitempty"`
	// at is when it was done.
	// +optional
	At *metav1.MicroTime `json:"at,omitempty"`
	// took is how long the request took, in milliseconds.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Took int64 `json:"took,omitempty"`
}

// The results of an object.
const (
	ResultApplied = "Applied"
	ResultDeleted = "Deleted"
	ResultFailed  = "Failed"
)

// FieldChange is a field that changes.
type FieldChange struct {
	// path of the field: spec.template.spec.containers[name=web].image.
	// +required
	Path string `json:"path"`
	// from is the value before, shortened; empty if there was none.
	// +optional
	From string `json:"from,omitempty"`
	// to is the value after, shortened; empty if there is none.
	// +optional
	To string `json:"to,omitempty"`
}

// PassedGate is a gate that a plan has passed.
type PassedGate struct {
	// gate is its name: DeletionBudget, ProtectedKinds, TrackedByOthers and so on.
	// +required
	Gate string `json:"gate"`
	// by is the user who let it through, as the API server knows him.
	// +optional
	By string `json:"by,omitempty"`
	// reason the user gave.
	// +optional
	Reason string `json:"reason,omitempty"`
	// message says what the gate was about.
	// +optional
	Message string `json:"message,omitempty"`
	// at is when it was let through.
	// +optional
	At *metav1.Time `json:"at,omitempty"`
}

// HookRun is the run of one hook.
type HookRun struct {
	// hook is the kind and name that Git gives it: Job web/migrate.
	// +required
	Hook string `json:"hook"`
	// object is what was created for it, under a name of its own.
	// +required
	Object string `json:"object"`
	// when is the phase: pre-sync, sync, post-sync, sync-fail, pre-delete or
	// post-delete.
	// +required
	When string `json:"when"`
	// outcome is Running, Succeeded, Failed or Superseded.
	// +required
	Outcome Outcome `json:"outcome"`
	// message says more.
	// +optional
	Message string `json:"message,omitempty"`
	// startedAt is when it was about to be created.
	// +optional
	StartedAt *metav1.MicroTime `json:"startedAt,omitempty"`
	// finishedAt is when it was over.
	// +optional
	FinishedAt *metav1.MicroTime `json:"finishedAt,omitempty"`
}

// HealRecord is a drift that was put right.
type HealRecord struct {
	// at is when.
	// +required
	At metav1.MicroTime `json:"at"`
	// object is its kind and name.
	// +required
	Object string `json:"object"`
	// by is the field manager that had changed it; empty if that is not known.
	// +optional
	By string `json:"by,omitempty"`
	// fields that differed, the first few; values of Secrets are short hashes.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	Fields []FieldChange `json:"fields,omitempty"`
}
