// Package depend tells whether what an App depends on is far enough for a desired
// state of the App to be brought about, and what an App that is being deleted has
// to let go first. It is a function of values: the App, the Apps that there are,
// and where they stand in Git.
//
// A dependency is met when it
//
//   - exists and lets Apps of that namespace depend on it (its own namespace, and
//     those in spec.allowedDependents);
//   - is not being deleted;
//   - is ready: all that it wants is applied and healthy, by a status that is
//     about its spec as it is. An App that only waits until another one takes over
//     what it no longer wants is as far as it can get: the other may be the one
//     that waits for it;
//   - has, where both follow one ref of one repository, been looked at at the
//     commit in question or a later one. An App that has not looked yet would
//     otherwise pass for ready with what it was before;
//   - and makes its condition true.
//
// What is wrong with the dependencies themselves is an error of the App, not a
// wait: a cycle ([Graph.Cycle]), or a condition that is no expression
// ([Conditions]).
//
// Of an App of another namespace that does not allow it nothing is told, not even
// whether it exists.
//
// Deletion goes the other way round: an App waits until those that depend on it
// and are being deleted too are gone ([Graph.Leaving]). One that is not being
// deleted holds up nothing ([Graph.Staying]): who deletes a database by hand below
// an App that runs on has said so.
package depend

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/health"
	"abide.dev/abide/internal/object"
)

// Handover is the reason of an App that is as Git says but for what another App
// takes over.
const Handover = "WaitingForHandover"

// AnyNamespace among allowedDependents stands for every namespace.
const AnyNamespace = "*"

// Stand is where an App stands in Git.
type Stand struct {
	// Repo is the URL of its repository in the one form that all its spellings
	// have; empty without one.
	Repo string
	// Follows is the ref as the App names it, and Ref its full name; Ref is empty
	// while it is not known.
	Follows, Ref string
	// Head is the commit that the ref stands at, Told the one that the App's status
	// speaks for; each is empty while there is none.
	Head, Told string
	// Judged are the commits that every App which follows the ref has been judged
	// at, newest first.
	Judged []string
}

// follows tells whether two Apps follow one ref of one repository.
func (s Stand) follows(o Stand) bool {
	return s.Repo != "" && s.Repo == o.Repo && (s.Follows == o.Follows || s.Ref == o.Ref || s.Ref == "" || o.Ref == "")
}

// at tells whether the App's status is about one of some commits, or about a later
// one.
func (s Stand) at(commits ...string) bool {
	for _, c := range commits {
		if c == "" {
			continue
		}
		if s.Told == c || s.Told != "" && s.Told == s.Head && slices.Contains(s.Judged, c) {
			return true
		}
	}
	return false
}

// View is what there is.
type View struct {
	// App returns an App as it is now; nil if there is none.
	App func(object.App) *v1alpha1.App
	// Stand tells where an App stands.
	Stand func(*v1alpha1.App) Stand
}

// Wish is a state that an App wants to be brought to.
type Wish struct {
	App *v1alpha1.App
	// Commit is where the App stands, Since the commit that first said this of it;
	// empty if there is none.
	Commit, Since string
	// Conditions are those of the App's dependencies, as [Conditions] returned them.
	Conditions []*health.Condition
}

// Verdict is whether a wish may be brought about.
type Verdict struct {
	// Waits are the Apps that have to come first, in the order of the spec; none
	// means that it may. Their Since is not set.
	Waits []v1alpha1.WaitsFor
	// Message says it for people.
	Message string
	// Passing: all that is waited for has only to be looked at, which usually takes
	// milliseconds.
	Passing bool
}

// Of is the App that a dependency of an App in a namespace is.
func Of(d *v1alpha1.Dependency, namespace string) object.App {
	return object.App{Namespace: cmp.Or(d.Namespace, namespace), Name: d.Name}
}

// ID names an App.
func ID(app *v1alpha1.App) object.App {
	return object.App{Namespace: app.Namespace, Name: app.Name}
}

// Waits tells what a wish has to wait for.
func Waits(w Wish, v View) Verdict {
	self := v.Stand(w.App)
	out := Verdict{Passing: true}
	for i := range w.App.Spec.DependsOn {
		d := &w.App.Spec.DependsOn[i]
		id := Of(d, w.App.Namespace)
		var c *health.Condition
		if i < len(w.Conditions) {
			c = w.Conditions[i]
		}
		why, passing := missing(w, self, v, id, c)
		if why == "" {
			continue
		}
		out.Waits = append(out.Waits, v1alpha1.WaitsFor{App: id.String(), Message: why})
		out.Passing = out.Passing && passing
	}
	if len(out.Waits) == 0 {
		return Verdict{}
	}
	out.Message = Sentence(out.Waits)
	return out
}

// Sentence says in one line what is waited for.
func Sentence(waits []v1alpha1.WaitsFor) string {
	m := "waits for App " + waits[0].App + ", which " + waits[0].Message
	if n := len(waits) - 1; n > 0 {
		names := make([]string, n)
		for i := range names {
			names[i] = waits[i+1].App
		}
		m += "; and for " + strings.Join(names, ", ")
	}
	return m
}

// missing says of a dependency, after "which", what it lacks; empty if it is met.
// passing tells that it will usually be met in a moment.
func missing(w Wish, self Stand, v View, id object.App, c *health.Condition) (why string, passing bool) {
	d := v.App(id)
	switch {
	case id.Namespace != w.App.Namespace && (d == nil || !Allows(d, w.App.Namespace)):
		return fmt.Sprintf("does not exist, or does not let Apps of namespace %s depend on it: ask whoever looks after namespace %s to add %s to its spec.allowedDependents",
			w.App.Namespace, id.Namespace, w.App.Namespace), false
	case d == nil:
		return "does not exist: create it, or take it out of spec.dependsOn", false
	case d.DeletionTimestamp != nil:
		return "is being deleted", false
	case d.Status.ObservedGeneration != d.Generation:
		return "has not been looked at as it now is", true
	case !ready(d):
		return unready(d), false
	}
	if s := v.Stand(d); self.follows(s) {
		if d.Status.Pinned != nil {
			return pinned, false
		}
		if !s.at(w.Commit, w.Since) {
			return "has not been looked at at commit " + short(w.Commit) + " yet", true
		}
	}
	if c == nil {
		return "", false
	}
	app, err := runtime.DefaultUnstructuredConverter.ToUnstructured(d)
	if err != nil {
		return "can't be given to its condition: " + err.Error(), false
	}
	app["apiVersion"], app["kind"] = v1alpha1.GroupVersion.String(), "App"
	holds, err := c.Holds(app)
	switch {
	case err != nil:
		return "is ready, and whether it meets the condition can't be told yet: " + err.Error(), false
	case !holds:
		return "is ready, and does not meet the condition yet: " + c.String(), false
	}
	return "", false
}

// Allows tells whether Apps of a namespace may depend on an App.
func Allows(app *v1alpha1.App, namespace string) bool {
	return allows(app.Namespace, app.Spec.AllowedDependents, namespace)
}

func allows(own string, allowed []string, namespace string) bool {
	return own == namespace || slices.Contains(allowed, namespace) || slices.Contains(allowed, AnyNamespace)
}

// ready tells whether all that an App wants is applied and healthy.
func ready(app *v1alpha1.App) bool {
	about := func(kind string) *metav1.Condition {
		c := meta.FindStatusCondition(app.Status.Conditions, kind)
		if c == nil || c.ObservedGeneration != app.Generation {
			return &metav1.Condition{}
		}
		return c
	}
	if about(v1alpha1.ConditionHealthy).Status != metav1.ConditionTrue {
		return false
	}
	synced := about(v1alpha1.ConditionSynced)
	return synced.Status == metav1.ConditionTrue ||
		synced.Reason == Handover && app.Status.AppliedHash == app.Status.DesiredHash
}

const pinned = "is held at a release, and not as Git says"

// unready says, after "which", how an App is that is not ready. It says it in few
// words, which change seldom: each of them is a write of the status of those that
// wait.
func unready(app *v1alpha1.App) string {
	s := &app.Status
	switch s.State {
	case v1alpha1.StateFailed:
		return "has failed"
	case v1alpha1.StatePaused:
		return "is paused"
	case v1alpha1.StatePinned:
		return pinned
	case v1alpha1.StateDrifted:
		return "has drifted"
	case v1alpha1.StateWaiting:
		switch {
		case s.Plan != nil:
			return "waits for an approval"
		case len(s.WaitsFor) > 0:
			return "waits itself for " + s.WaitsFor[0].App
		}
		return "waits itself"
	}
	if s.Health == v1alpha1.HealthDegraded {
		return "is degraded"
	}
	return "is not ready yet"
}

// Facts are what decides, for those that depend on an App, whether it is far
// enough, but for commits and conditions: while they are the same, nobody has to
// ask again.
type Facts struct {
	uid                             types.UID
	generation                      int64
	deleting, looked, ready, pinned bool
	how                             string
}

// FactsOf are those of an App as it is now.
func FactsOf(app *v1alpha1.App) Facts {
	f := Facts{
		uid: app.UID, generation: app.Generation,
		deleting: app.DeletionTimestamp != nil, looked: app.Status.ObservedGeneration == app.Generation,
		ready: ready(app), pinned: app.Status.Pinned != nil,
	}
	if !f.ready {
		f.how = unready(app)
	}
	return f
}

func short(commit string) string { return commit[:min(len(commit), 8)] }

// ConditionError says that the condition of a dependency is no expression.
type ConditionError struct {
	On  object.App
	Err error
}

func (e *ConditionError) Error() string {
	return fmt.Sprintf("spec.dependsOn: App %s: %s; correct the expression", e.On, e.Err)
}

func (e *ConditionError) Unwrap() error { return e.Err }

// Reason is the reason for a condition.
func (e *ConditionError) Reason() string { return "InvalidCondition" }

// Conditions compiles the conditions of an App's dependencies, in their order; one
// without is nil. The error is a [*ConditionError].
func Conditions(app *v1alpha1.App) ([]*health.Condition, error) {
	out := make([]*health.Condition, len(app.Spec.DependsOn))
	for i := range app.Spec.DependsOn {
		d := &app.Spec.DependsOn[i]
		if d.Condition == "" {
			continue
		}
		c, err := health.NewCondition(d.Condition)
		if err != nil {
			return nil, &ConditionError{Of(d, app.Namespace), err}
		}
		out[i] = c
	}
	return out, nil
}
