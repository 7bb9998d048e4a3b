package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/apply"
	"abide.dev/abide/internal/desired"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/plan"
	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/render/helm"
	"abide.dev/abide/internal/snapshot"
)

// At identifies a state of what an App is made of. Commit is that of its
// repository, or the digest of its chart if there is no repository; empty while
// there is none. Beside is where all else stands that it is made of.
type At struct{ Commit, Beside string }

// String tells states apart; it is the commit where nothing stands beside it.
func (a At) String() string {
	if a.Beside == "" {
		return a.Commit
	}
	return a.Commit + " " + a.Beside
}

// without is the state when some things that kustomizations name are no part of
// it.
func (a At) without(dropped []render.Remote) At {
	parts := strings.Fields(a.Beside)
	for _, s := range dropped {
		parts = slices.DeleteFunc(parts, func(p string) bool { return strings.HasPrefix(p, s.Name()+"=") })
	}
	a.Beside = strings.Join(parts, " ")
	return a
}

// Head is where what an App follows stands: the last good state.
type Head struct {
	At
	Ref               string // full name, or the commit if that is pinned
	Author, Committer Person
	// Date is the author's date.
	Date    time.Time
	Subject string
	// Chart is the one of a chart repository or registry; nil without one.
	Chart  *Chart
	Others []Other
	// Err is why the last look failed; Commit still stands.
	Err error
}

// Person is who wrote or committed a commit, by their own account.
type Person struct{ Name, Email string }

// String is Name <email>; empty for nobody.
func (p Person) String() string {
	if p == (Person{}) {
		return ""
	}
	return p.Name + " <" + p.Email + ">"
}

// Chart is a chart as its repository or registry had it.
type Chart struct {
	Name, Version, Digest string
	// Alone: there is no repository beside it.
	Alone bool
}

// Other is a further repository.
type Other struct{ Name, Commit, Ref string }

// Source is what a run needs of Git, and of charts.
type Source interface {
	// Head returns where the App stands, without a request.
	Head(app object.App) Head
	// Tree returns the tree of a state that Head has returned.
	Tree(ctx context.Context, app object.App, at At) (snapshot.Tree, error)
}

// Standing tells where an App stands when it is called, for [claims.Claims.Target].
func Standing(s Source, app object.App) func() string {
	return func() string { return s.Head(app).At.String() }
}

// Remotes brings what kustomizations name that is elsewhere. The Source has it
// from then on, and its states say where it stands.
type Remotes interface {
	// Need has what a render needs and did not find followed for an App, beside
	// what is followed already. An error says that it may not be, or cannot be
	// had; without one it is on its way, and its arrival wakes the App.
	Need(ctx context.Context, app *v1alpha1.App, need []render.Remote) error
	// Used says all that a render has used: nothing else is followed any more.
	// It returns what was until then; usually nothing.
	Used(app object.App, used []render.Remote) (dropped []render.Remote)
}

// MovedError says that a source moved on while a run was under way.
type MovedError struct{ From, To At }

func (e *MovedError) Error() string {
	return fmt.Sprintf("a source has moved on, from %.8s %s to %.8s %s", e.From.Commit, e.From.Beside, e.To.Commit, e.To.Beside)
}

// Input is what a run depends on beside what it looks up.
type Input struct {
	App   *v1alpha1.App
	Pause *v1alpha1.Pause // nil unless the App is paused
	Pin   *v1alpha1.Pin   // nil unless somebody holds the App at a release
	// Manual: a person has just asked for a sync.
	Manual    bool
	Approvals []v1alpha1.Approval
	// Values are what the App's valuesFrom hold, or why that can't be told; it
	// matters only to a chart.
	Values    []helm.ValuesSource
	Variables []Variables
	ValuesErr error
	// Depends tells which Apps come first; nil if none do.
	Depends Dependencies
	// Progress is told, before a run that has a lot to do begins to do it, what
	// it is about; it may be nil.
	Progress func(*Outcome)
}

// Variables are what a ConfigMap or Secret defines.
type Variables = desired.Variables

// progressAfter is the number of objects from which on a run says what it is
// about before it begins.
const progressAfter = 25

// Outcome is what became of a run: one value, from which status, events, logs
// and the time of the next run are derived.
type Outcome struct {
	State   v1alpha1.State
	Reason  string // of the Synced condition, in CamelCase
	Message string // for people
	Err     error  // set when State is Failed

	Head     Head
	Renderer string
	// Desired is the hash of what the run wanted; empty if that is not known.
	Desired string
	// Complete: everything that Brought asks for has been applied. That is Desired,
	// but for an App that is held at a release.
	Complete bool
	Brought  string

	// Release is the one under way, or the last one, as far as it is known, and
	// Record all of it if the run was a part of it.
	Release *v1alpha1.ReleaseStatus
	Record  *v1alpha1.ReleaseSpec
	// Ended are the releases that the run has ended.
	Ended []*v1alpha1.ReleaseSpec
	// Pinned is what the App is held at from now on.
	Pinned *v1alpha1.PinnedStatus
	// Unpinned: what the App was held at is over.
	Unpinned bool

	Plan    plan.Plan
	Waiting *v1alpha1.PlanStatus
	Applied []apply.Result // objects that were changed, in order
	Deleted []object.Key
	Healed  []Heal
	Trouble []Trouble

	// WaitsFor are the Apps that have to come first; their Since is not set.
	WaitsFor []v1alpha1.WaitsFor

	// Passing: the run waits for something that is usually there within
	// milliseconds, and that wakes the App: not worth writing down before it has
	// lasted.
	Passing bool
	// Reported is the commit that the status now speaks for, once it is written.
	Reported string
	// Again is when to run again without being woken; zero for never.
	Again time.Duration
	// Finished: a deleted App has nothing left, and may go.
	Finished bool
	// Orphaned are objects that a deleted App left behind on purpose.
	Orphaned []object.Key
}

// Heal is a drift that was put right.
type Heal struct {
	Key object.Key
	// By is the field manager that wrote last; empty if that is not known.
	By string
	// Before is the object as it had become; nil if it was gone.
	Before *unstructured.Unstructured
	// After is the object as it is now.
	After *unstructured.Unstructured
}

// Trouble is an object that needs a look.
type Trouble struct {
	Key     object.Key
	Reason  string
	Message string
}

// reasoner is an error that knows its reason for a condition.
type reasoner interface {
	error
	Reason() string
}

// ReasonOf returns the reason of the first error in the chain that has one.
func ReasonOf(err error, otherwise string) string {
	if r := reasoner(nil); errors.As(err, &r) {
		return r.Reason()
	}
	if r := (*render.Error)(nil); errors.As(err, &r) {
		return r.Reason
	}
	return otherwise
}

// The reasons that a run gives itself. Errors of other packages bring theirs.
const (
	ReasonInSync          = "InSync"
	ReasonPaused          = "Paused"
	ReasonFetching        = "Fetching"
	ReasonObserving       = "Observing"
	ReasonJudging         = "WaitingForOtherApps"
	ReasonApplying        = "Applying"
	ReasonPruning         = "Pruning"
	ReasonDeleting        = "Deleting"
	ReasonSuperseded      = "Superseded"
	ReasonDrifted         = "Drifted"
	ReasonKindUnknown     = "KindUnknown"
	ReasonApplyFailed     = "ApplyFailed"
	ReasonPruneFailed     = "PruneFailed"
	ReasonConflict        = "OwnedByAnotherApp"
	ReasonHandover        = "WaitingForHandover"
	ReasonInvalidObject   = "InvalidObject"
	ReasonIdentityMissing = "IdentityMissing"
	ReasonWatchFailed     = "WatchFailed"
	ReasonRecordFailed    = "RecordFailed"
	ReasonSourceFailed    = "SourceFailed"
	ReasonRenderFailed    = "RenderFailed"
	ReasonClusterFailed   = "ClusterFailed"
	ReasonContested       = "Contested"
	ReasonHook            = "WaitingForHook"
	ReasonWave            = "WaitingForWave"
	ReasonReleaseFailed   = "ReleaseFailed"
	ReasonPinned          = "Pinned"
	ReasonPinFailed       = "PinFailed"
	ReasonNotInGit        = "NotInGit" // of an object, while pruning is off
)
