package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/object"
)

type whyOptions struct {
	target
	app    string
	output formatFlag
	now    func() time.Time
}

func newWhy(s Streams) *cobra.Command {
	o := whyOptions{now: time.Now}
	c := &cobra.Command{
		Use:   "why APP",
		Short: "Say in one paragraph what an App waits for, and since when",
		Long: "Say in one paragraph what an App waits for and since when: the Apps that it depends on and\n" +
			"what these wait for in turn, down to the object, the approval or the error that it is all\n" +
			"about; and what to do. Of Apps that you may not read, what the App itself was told is said.",
		Args:              oneApp,
		ValidArgsFunction: o.completeApps,
		RunE:              o.forApp(s, &o.app, func(ctx context.Context, cn *conn) error { return runWhy(ctx, s, cn, o) }),
	}
	o.clusterFlags(c)
	o.namespaceFlag(c)
	o.output.add(c, asYAML, asJSON)
	return c
}

func runWhy(ctx context.Context, s Streams, c *conn, o whyOptions) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	app, err := c.app(ctx, o.app)
	if err != nil {
		return err
	}
	l, err := chain(app, func(id object.App) (*v1alpha1.App, error) {
		var a v1alpha1.App
		err := c.Get(ctx, client.ObjectKey{Namespace: id.Namespace, Name: id.Name}, &a)
		return &a, err
	})
	if err != nil {
		return c.explain(err)
	}
	e := explainer{now: o.now(), namespace: app.Namespace}
	says := clean(e.paragraph(l))
	if o.output.format != asTable {
		return printValue(s.Out, o.output.format, whyAnswer{Says: says, link: *l})
	}
	fmt.Fprintln(s.Out, says)
	return nil
}

// whyAnswer is what is printed for programs.
type whyAnswer struct {
	Says string `json:"says"`
	link `json:",inline"`
}

// link is an App, and those that it waits for.
type link struct {
	App     string         `json:"app"` // namespace/name
	State   v1alpha1.State `json:"state,omitempty"`
	Reason  string         `json:"reason,omitempty"`
	Message string         `json:"message,omitempty"`
	// Since is when the App before began to wait for this one; of the first, when
	// it was last ready.
	Since    *metav1.Time `json:"since,omitempty"`
	WaitsFor []*link      `json:"waitsFor,omitempty"`

	app *v1alpha1.App // nil if it can't be read, or was seen before
	// told is what the App before was told of this one.
	told string
	// unread: it is there, perhaps, and may not be read.
	unread bool
}

// longestChain bounds how many Apps are read.
const longestChain = 100

// chain reads, from an App on, those that it waits for, each once.
func chain(first *v1alpha1.App, get func(object.App) (*v1alpha1.App, error)) (*link, error) {
	seen := map[string]bool{}
	var follow func(l *link, app *v1alpha1.App) error
	follow = func(l *link, app *v1alpha1.App) error {
		l.app, l.State = app, app.Status.State
		if c := meta.FindStatusCondition(app.Status.Conditions, v1alpha1.ConditionReady); c != nil {
			l.Reason, l.Message = c.Reason, c.Message
		}
		for _, w := range app.Status.WaitsFor {
			next := &link{App: w.App, Since: w.Since, told: w.Message}
			l.WaitsFor = append(l.WaitsFor, next)
			id, ok := object.ParseApp(w.App)
			if !ok || seen[w.App] || len(seen) >= longestChain {
				continue
			}
			seen[w.App] = true
			a, err := get(id)
			switch {
			case apierrors.IsNotFound(err) && !notServed(err):
				next.Message = w.Message
			case apierrors.IsForbidden(err):
				next.Message, next.unread = w.Message, true
			case err != nil:
				return err
			default:
				if err := follow(next, a); err != nil {
					return err
				}
			}
		}
		return nil
	}
	l := &link{App: first.Namespace + "/" + first.Name}
	if c := meta.FindStatusCondition(first.Status.Conditions, v1alpha1.ConditionReady); c != nil && c.Status != metav1.ConditionTrue && !c.LastTransitionTime.IsZero() {
		l.Since = &c.LastTransitionTime
	}
	seen[l.App] = true
	return l, follow(l, first)
}

// explainer puts a chain into words.
type explainer struct {
	now       time.Time
	namespace string // that names are left without
}

// paragraph says all of it, and what to do about where it ends.
func (e *explainer) paragraph(l *link) string {
	text, its := e.clause(l)
	if its {
		text = "is as Git says, and not healthy yet: its " + text
	}
	p := e.name(l.App) + " " + strings.TrimSuffix(text, ".") + "."
	if todo := e.todo(l); len(todo) > 0 {
		p += " What to do: " + strings.Join(todo, "; ") + "."
	}
	return p
}

func (e *explainer) name(app string) string {
	return strings.TrimPrefix(app, e.namespace+"/")
}

// clause says how an App is, after its name or "which"; where its is true, it is
// about an object of the App, after "its" or "whose".
func (e *explainer) clause(l *link) (text string, its bool) {
	if l.app == nil {
		return e.hearsay(l), false
	}
	f, s := facts{app: l.app, now: e.now}, &l.app.Status
	since := e.since(e.unready(l.app))
	switch {
	case f.silent():
		return "was not looked at as it is now: abide's controller does not seem to run", false
	case l.app.DeletionTimestamp != nil && len(l.WaitsFor) > 0:
		return "is being deleted, and waits for " + e.others(l), false
	case l.app.DeletionTimestamp != nil && s.Plan == nil:
		return strings.TrimSuffix("is being deleted: "+l.Message, ": "), false
	case s.State == "":
		return "is new, and abide is about to look at it", false
	case s.Plan != nil:
		return "waits for an approval" + since + ": " + s.Plan.Message, false
	case len(l.WaitsFor) > 0:
		return "waits for " + e.others(l), false
	}
	switch s.State {
	case v1alpha1.StateInSync:
		return e.health(l.app)
	case v1alpha1.StatePaused, v1alpha1.StatePinned: // which the message says, with who and why
		return "is " + l.Message, false
	case v1alpha1.StateFailed:
		return "has failed" + since + ": " + l.Message, false
	case v1alpha1.StateWaiting:
		return "waits" + since + ": " + l.Message, false
	case v1alpha1.StateDrifted:
		return "has drifted" + since + ": " + l.Message, false
	}
	doing := l.Message
	if r := s.Release; r != nil && r.Outcome == v1alpha1.OutcomeRunning && r.Message != "" {
		doing = r.Message
	}
	return "is being brought to what Git says" + since + ": " + doing, false
}

// hearsay is what the App before was told of one that is not read.
func (e *explainer) hearsay(l *link) string {
	switch {
	case l.unread && !strings.HasPrefix(l.told, "does not exist"):
		return l.told + " (you may not read more of it: whoever looks after its namespace can say why)"
	case l.Message != "":
		return l.told
	}
	return l.told + " (see above)"
}

// others says which Apps one waits for, and what these wait for.
func (e *explainer) others(l *link) string {
	parts := make([]string, len(l.WaitsFor))
	for i, w := range l.WaitsFor {
		since := ""
		if w.Since != nil {
			since = e.since(w.Since.Time)
		}
		text, its := e.clause(w)
		after := ", which "
		switch {
		case its:
			after = ", whose "
		case w.app != nil && text == waitsForNothing && w.told != "" && !strings.HasPrefix(w.told, "is ready"):
			text = "is as Git says by now, and healthy"
		case w.app != nil && text == waitsForNothing:
			text = w.told
		}
		parts[i] = e.name(w.App) + since + after + text
	}
	return strings.Join(parts, "; and for ")
}

// waitsForNothing is said of an App that waits for nothing.
const waitsForNothing = "waits for nothing: it is as Git says, and healthy"

// health says how an App is that is as Git says.
func (e *explainer) health(app *v1alpha1.App) (text string, its bool) {
	switch app.Status.Health {
	case v1alpha1.HealthHealthy, v1alpha1.HealthSuspended:
		return waitsForNothing, false
	}
	for _, n := range app.Status.Objects.Attention {
		if n.Reason == string(v1alpha1.HealthHealthy) {
			continue
		}
		text := noun(n.Object) + " is " + strings.ToLower(n.Reason) + e.since(e.unready(app))
		if n.Message != "" {
			text += ": " + n.Message
		}
		return text, true
	}
	return "is as Git says, and its health is " + strings.ToLower(string(app.Status.Health)), false
}

// noun is an object as people call it: StatefulSet db for StatefulSet.apps shop/db.
func noun(noted string) string {
	kind, name, ok := strings.Cut(noted, " ")
	if !ok {
		return noted
	}
	kind, _, _ = strings.Cut(kind, ".")
	return kind + " " + name[strings.LastIndex(name, "/")+1:]
}

// unready is since when an App is not ready; zero if that is not known.
func (e *explainer) unready(app *v1alpha1.App) time.Time {
	c := meta.FindStatusCondition(app.Status.Conditions, v1alpha1.ConditionReady)
	if c == nil || c.Status == metav1.ConditionTrue {
		return time.Time{}
	}
	return c.LastTransitionTime.Time
}

// since says since when, in brackets; empty for the zero time.
func (e *explainer) since(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	layout := "15:04 MST"
	if y, m, d := t.UTC().Date(); [3]int{y, int(m), d} != day(e.now) {
		layout = "2006-01-02 15:04 MST"
	}
	return fmt.Sprintf(" (since %s, %s)", t.UTC().Format(layout), strings.TrimSuffix(ago(e.now, t), " ago"))
}

func day(t time.Time) [3]int {
	y, m, d := t.UTC().Date()
	return [3]int{y, int(m), d}
}

// todo is what to do about the first App that the chain ends at.
func (e *explainer) todo(l *link) []string {
	for len(l.WaitsFor) > 0 && (l.app.Status.Plan == nil || l.app.DeletionTimestamp != nil) {
		if l = l.WaitsFor[0]; l.app == nil {
			return nil
		}
	}
	switch l.Reason {
	case "DependencyCycle", "InvalidCondition": // whose message says it
		return nil
	}
	switch l.State {
	case v1alpha1.StatePaused, v1alpha1.StatePinned: // likewise
		return nil
	}
	f := facts{app: l.app, now: e.now}
	return f.next()
}
