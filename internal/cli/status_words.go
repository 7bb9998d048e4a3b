package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/install"
	"abide.dev/abide/internal/render/fault"
)

// silence is how long a controller that runs may take to look at an App.
const silence = 30 * time.Second

// facts are what is known of an App.
type facts struct {
	app   *v1alpha1.App
	pause *v1alpha1.Pause // nil unless it is paused
	now   time.Time
}

// printStatus says in words how an App is.
func printStatus(w io.Writer, st style, f facts) {
	app, s := f.app, &f.app.Status
	fmt.Fprintf(w, "App %s: %s\n\n", st.bold(app.Namespace+"/"+app.Name), f.headline(st))
	row := func(name, text string) { fmt.Fprintf(w, "%s%s\n", st.dim(fmt.Sprintf("%-10s", name)), text) }
	if src := s.Source; src.Commit != "" {
		row(f.runs(), strings.TrimSpace(st.bold(clean(src.Revision))+"  "+clean(src.Subject)))
		if by := f.author(); by != "" {
			row("", clean(by))
		}
		row("", st.dim("commit "+clean(src.Commit)))
	}
	if src := s.Source; src.Chart != "" {
		row("chart", strings.TrimSpace(st.bold(clean(src.Chart))+"  "+st.dim(clean(src.ChartDigest))))
	}
	for _, o := range s.Source.Others {
		row("$"+clean(o.Name), clean(o.Revision))
	}
	row("from", clean(f.origin()))
	if s.State != "" {
		row("objects", f.objects())
	}
	if rel := s.Release; rel != nil {
		row("release", clean(releaseInShort(app, rel, f.now)))
	}
	if p := s.Pinned; p != nil {
		row("pinned", clean(pinnedInShort(p, f.now)))
	}
	if f.pause != nil {
		row("paused", clean("by "+pausedBy(f.pause, f.now)))
	}
	if wrong := f.wrong(); wrong != "" {
		fmt.Fprintf(w, "\n%s\n  %s\n", st.bold("What is the matter"), cleanLines(wrong))
	}
	if notes := s.Objects.Attention; len(notes) > 0 {
		fmt.Fprintf(w, "\n%s\n", st.bold("Objects that need a look"))
		for _, n := range notes {
			fmt.Fprintf(w, "  %s  %s", clean(n.Object), st.state(clean(n.Reason)))
			if n.Message != "" {
				fmt.Fprintf(w, "\n      %s", clean(n.Message))
			}
			fmt.Fprintln(w)
		}
	}
	if s.Plan != nil {
		fmt.Fprintln(w)
		printPlan(w, st, app)
	}
	if next := f.next(); len(next) > 0 {
		fmt.Fprintf(w, "\n%s\n", st.bold("What to do next"))
		for _, n := range next {
			fmt.Fprintf(w, "  %s\n", clean(n))
		}
	}
}

// silent tells that no controller has looked at the App, although one would
// have had the time.
func (f *facts) silent() bool {
	return !current(f.app) && f.now.Sub(specChanged(f.app)) > silence
}

// specChanged is when the spec, or something else that is not status, was last
// written.
func specChanged(app *v1alpha1.App) time.Time {
	at := app.CreationTimestamp.Time
	for _, m := range app.ManagedFields {
		if m.Subresource == "" && m.Time != nil && m.Time.After(at) {
			at = m.Time.Time
		}
	}
	return at
}

func (f *facts) headline(st style) string {
	s := &f.app.Status
	switch {
	case f.silent() && s.State == "":
		return st.red("nobody has looked at it: abide's controller does not seem to run")
	case f.silent():
		return st.red("its newest spec was not looked at: abide's controller does not seem to run")
	case s.State == "":
		return st.cyan("new, abide is about to look at it")
	case f.app.DeletionTimestamp != nil:
		return st.yellow("being deleted")
	}
	switch s.State {
	case v1alpha1.StateInSync:
		switch s.Health {
		case v1alpha1.HealthHealthy:
			return st.green("in sync with Git, and healthy")
		case v1alpha1.HealthDegraded:
			return st.red("in sync with Git, and not healthy")
		case v1alpha1.HealthProgressing:
			return st.cyan("in sync with Git, its objects are still getting ready")
		case v1alpha1.HealthSuspended:
			return st.green("in sync with Git, and some of it is suspended")
		}
		return st.green("in sync with Git") + ", and its health is not known"
	case v1alpha1.StateDrifted:
		return st.yellow("drifted: the cluster is not as Git says")
	case v1alpha1.StateProgressing:
		return st.cyan("being brought to what Git says")
	case v1alpha1.StateWaiting:
		if s.Plan != nil {
			return st.yellow("waiting for an approval")
		}
		if len(s.WaitsFor) > 0 {
			return st.yellow("waiting for other Apps")
		}
		return st.yellow("waiting")
	case v1alpha1.StateFailed:
		return st.red("failed")
	case v1alpha1.StatePaused:
		return st.yellow("paused")
	case v1alpha1.StatePinned:
		return st.yellow("held at an earlier release, and not as Git says")
	case v1alpha1.StateDeleting:
		return st.yellow("being deleted")
	}
	return clean(string(s.State))
}

// runs is the word before the commit: whether it runs yet.
func (f *facts) runs() string {
	s := &f.app.Status
	if s.AppliedHash != "" && s.AppliedHash == s.DesiredHash {
		return "runs"
	}
	return "wanted"
}

func (f *facts) author() string {
	src := &f.app.Status.Source
	var parts []string
	if src.Author != "" {
		parts = append(parts, "by "+src.Author)
	}
	if src.Date != nil {
		parts = append(parts, fmt.Sprintf("%s (%s)", ago(f.now, src.Date.Time), src.Date.UTC().Format("2006-01-02 15:04 MST")))
	}
	return strings.Join(parts, ", ")
}

func (f *facts) origin() string {
	src := f.app.Spec.Source
	var from []string
	if c := src.Chart; c != nil {
		from = append(from, fmt.Sprintf("chart %s of %s", strings.TrimSpace(c.Name+" "+c.Version), c.Repo))
	}
	if src.Repo != "" {
		from = append(from, fmt.Sprintf("%s, path %s, %s", src.Repo, src.Path, followed(f.app)))
	}
	for _, s := range f.app.Spec.Sources {
		from = append(from, fmt.Sprintf("%s (as $%s)", s.Repo, s.Name))
	}
	o := strings.Join(from, "; with ")
	if r := f.app.Status.Source.Renderer; r != "" {
		o += " (" + r + ")"
	}
	return o
}

func (f *facts) objects() string {
	o := &f.app.Status.Objects
	if o.Total == 0 {
		return "none"
	}
	part := func(n int32, what string) string {
		if n == o.Total {
			return "all " + what
		}
		return fmt.Sprintf("%d %s", n, what)
	}
	return fmt.Sprintf("%d: %s, %s", o.Total, part(o.InSync, "in sync"), part(o.Healthy, "healthy"))
}

// wrong says what is the matter and since when; empty if nothing is.
func (f *facts) wrong() string {
	if f.silent() && f.app.Status.State == "" {
		return fmt.Sprintf("The App was created %s, and nothing has been done about it.", ago(f.now, f.app.CreationTimestamp.Time))
	}
	if f.silent() {
		return fmt.Sprintf("The App was changed %s, and its status is still about what it was before.", ago(f.now, specChanged(f.app)))
	}
	c := meta.FindStatusCondition(f.app.Status.Conditions, v1alpha1.ConditionReady)
	if c == nil || c.Status == metav1.ConditionTrue {
		return ""
	}
	m := c.Message
	if c.Reason != "" {
		m = c.Reason + ": " + m
	}
	if !c.LastTransitionTime.IsZero() {
		m += "\n(not ready since " + c.LastTransitionTime.UTC().Format("2006-01-02 15:04 MST") + ", " + ago(f.now, c.LastTransitionTime.Time) + ")"
	}
	return strings.ReplaceAll(m, "\n", "\n  ")
}

// inRepository are the reasons of failures that only a commit repairs.
var inRepository = map[string]bool{
	fault.PathNotFound: true, fault.InvalidPath: true, fault.EscapesRepository: true, fault.ForbiddenPath: true,
	fault.LinkLoop: true, fault.InvalidYAML: true, fault.InvalidObject: true, fault.DuplicateObject: true,
	fault.NoObjects: true, fault.TooLarge: true, fault.TooManyObjects: true, fault.TooDeep: true,
	fault.InvalidIgnoreFile: true, fault.HelmNotSupported: true, fault.InvalidKustomization: true,
	fault.KustomizationCycle: true, fault.RemoteBaseNotAllowed: true, fault.PluginNotAllowed: true,
	fault.KustomizeFailed: true, fault.SubmoduleNotSupported: true, fault.NestedChart: true,
	fault.InvalidChart: true, fault.MissingDependency: true, fault.RemoteSchemaNotAllowed: true, fault.HelmFailed: true,
}

// next lists what to do, the likeliest first.
func (f *facts) next() []string {
	app, s := f.app, &f.app.Status
	flag := inNamespace(app)
	if f.silent() {
		return []string{
			fmt.Sprintf("see whether the controller runs: kubectl -n %s get deployments,pods", install.DefaultNamespace),
			fmt.Sprintf("and what it says: kubectl -n %s logs deployment/%s", install.DefaultNamespace, install.Deployment),
		}
	}
	var out []string
	if s.Plan != nil {
		out = append(out,
			fmt.Sprintf("look at the plan: abide diff %s%s", app.Name, flag),
			fmt.Sprintf("let it go on: abide approve %s%s", app.Name, flag))
	}
	if len(s.WaitsFor) > 0 {
		out = append(out, fmt.Sprintf("see what that hangs on, through the whole chain: abide why %s%s", app.Name, flag))
	}
	switch s.State {
	case v1alpha1.StateFailed:
		c := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionSynced)
		if c == nil {
			c = meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionReady)
		}
		if c != nil && inRepository[c.Reason] {
			out = append(out, "repair it in Git, and see before you push what comes out: abide render DIR")
		}
		out = append(out, fmt.Sprintf("when it is repaired, look at Git at once: abide sync %s%s", app.Name, flag))
	case v1alpha1.StateDrifted:
		out = append(out, fmt.Sprintf("see what differs: abide diff %s%s", app.Name, flag))
	case v1alpha1.StatePaused:
		out = append(out,
			fmt.Sprintf("see what would change: abide diff %s%s", app.Name, flag),
			fmt.Sprintf("let it go on: abide resume %s%s", app.Name, flag))
	}
	if s.Health == v1alpha1.HealthDegraded || s.Health == v1alpha1.HealthProgressing && s.State == v1alpha1.StateInSync {
		for _, n := range s.Objects.Attention {
			if what, ok := describe(n.Object); ok && n.Reason != string(v1alpha1.HealthHealthy) {
				out = append(out, "look closer at an object: "+what)
				break
			}
		}
	}
	return out
}

// describe is the command that shows an object which a note names as
// "Deployment.apps web/shop".
func describe(noted string) (string, bool) {
	kind, name, ok := strings.Cut(noted, " ")
	if !ok {
		return "", false
	}
	if ns, n, namespaced := strings.Cut(name, "/"); namespaced {
		return fmt.Sprintf("kubectl describe %s %s -n %s", strings.ToLower(kind), n, ns), true
	}
	return fmt.Sprintf("kubectl describe %s %s", strings.ToLower(kind), name), true
}

// printPlan says what the waiting plan of an App would do.
func printPlan(w io.Writer, st style, app *v1alpha1.App) {
	p := app.Status.Plan
	fmt.Fprintf(w, "%s\n", st.bold("A plan waits for an approval"))
	why := p.Message
	if why == "" {
		why = p.Gate
	}
	fmt.Fprintf(w, "  %s: %s\n", clean(p.Gate), clean(why))
	var does []string
	for _, part := range []struct {
		n    int32
		what string
	}{{p.Create, "creates"}, {p.Update, "changes"}, {p.Adopt, "takes over"}, {p.Delete, "deletes"}} {
		if part.n > 0 {
			does = append(does, fmt.Sprintf("%s %s", part.what, count(int(part.n), "object")))
		}
	}
	if len(does) > 0 {
		fmt.Fprintf(w, "  in all it %s\n", strings.Join(does, ", "))
	}
	if p.Commit != "" {
		fmt.Fprintf(w, "  for commit %s\n", clean(p.Commit))
	}
	fmt.Fprintf(w, "  plan %s\n", clean(p.Digest))
}
