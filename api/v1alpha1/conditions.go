package v1alpha1

// The condition types of an App.
const (
	// ConditionReady is true when the newest commit is applied in full and its
	// objects are healthy.
	ConditionReady = "Ready"
	// ConditionSynced is true when the live objects are as Git says.
	ConditionSynced = "Synced"
	// ConditionHealthy is true when every object of the App is healthy.
	ConditionHealthy = "Healthy"
)

// The label and the annotations that abide reads and writes.
const (
	// LabelApp marks every object that abide manages. Its value is a readable
	// prefix and a hash of namespace/name, at most 63 characters: a filter for
	// watches, not the proof of ownership.
	LabelApp = "abide.dev/app"
	// AnnotationOwner names the App that owns an object: namespace/name.
	AnnotationOwner = "abide.dev/owner"
	// AnnotationRefresh with any new value on an App or Repository asks for an
	// immediate look at Git.
	AnnotationRefresh = "abide.dev/refresh"
	// AnnotationPrune set to "never" keeps an object when it leaves Git.
	AnnotationPrune = "abide.dev/prune"
	// AnnotationApply says how an object is applied: "create-only" creates it
	// and never changes it, "replace" replaces the whole object, "ignore" leaves
	// it alone altogether.
	AnnotationApply = "abide.dev/apply"
	// AnnotationWave is the wave of an object: a whole number, 0 without it. Each
	// wave waits until the one before is healthy.
	AnnotationWave = "abide.dev/wave"
	// AnnotationHook makes an object a hook: it runs in one or several phases of a
	// release: pre-sync, sync, post-sync, sync-fail, pre-delete, post-delete.
	AnnotationHook = "abide.dev/hook"
	// AnnotationHookDelete says when what a hook ran is removed: hook-succeeded,
	// hook-failed, before-hook-creation or never.
	AnnotationHookDelete = "abide.dev/hook-delete"
	// AnnotationHookSuperseded set to "finish" lets a hook that runs end by itself,
	// within its deadline, before a newer release begins.
	AnnotationHookSuperseded = "abide.dev/hook-superseded"
	// AnnotationSkipDeleteHooks set to "true" on an App has it removed without its
	// hooks for deletion.
	AnnotationSkipDeleteHooks = "abide.dev/skip-delete-hooks"
	// AnnotationOnImmutable set to "replace" or "fail" says for one object what
	// spec.sync.onImmutable says for all of an App.
	AnnotationOnImmutable = "abide.dev/on-immutable"
	// Finalizer keeps an App until what it owns is removed or orphaned.
	Finalizer = "abide.dev/app"
	// FieldManager owns every field that abide applies.
	FieldManager = "abide"
	// ServiceAccount is the name of the identity that Apps outside abide's own
	// namespace act as, in their own namespace.
	ServiceAccount = "abide"
)
