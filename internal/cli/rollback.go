package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"abide.dev/abide/api/v1alpha1"
)

type rollbackOptions struct {
	target
	app, to, reason string
	force           bool
	git             bool
	branch          string
	wait            bool
	limit           time.Duration
	now             func() time.Time
	// user asks who is rolling back.
	user func(context.Context, client.Client) (string, error)
}

func newRollback(s Streams) *cobra.Command {
	o := rollbackOptions{user: whoami, now: time.Now}
	c := &cobra.Command{
		Use:   "rollback APP",
		Short: "Put an App back to an earlier release",
		Long: "Put an App back to an earlier release: the newest that succeeded and is not what Git says now, or\n" +
			"the one that --to names by its number or its commit. It comes from what abide has kept of\n" +
			"that release, so Git may be down, and automatic sync stays on: the App is held there (pinned)\n" +
			"until Git says something new of it, or until abide unpin.\n\n" +
			"With --git, Git is put back instead: a commit on top of the branch that the App follows makes\n" +
			"its folder what it was at that release, and is pushed, to that branch or to the new one that\n" +
			"--branch names, with the git and the credentials of whoever runs this command. Of an App that\n" +
			"is held at a release, it is that one if --to names none.",
		Example: "  abide rollback web\n  abide rollback web --to 7 --reason 'the shop is empty'\n" +
			"  abide rollback web --to 1a2b3c4d --git --branch revert-banner",
		Args:              oneApp,
		ValidArgsFunction: o.completeApps,
		RunE: func(c *cobra.Command, args []string) error {
			o.app = args[0]
			if o.branch != "" && !o.git {
				return &exitError{exitUsage, errors.New("--branch says where --git pushes: give both")}
			}
			cn, err := o.connect(s.Err)
			if err != nil {
				return err
			}
			return runRollback(c.Context(), s, cn, o)
		},
	}
	o.clusterFlags(c)
	o.namespaceFlag(c)
	f := c.Flags()
	f.StringVar(&o.to, "to", "", "`release` to go back to: its number, or a commit of which the first 7 digits are enough")
	f.StringVar(&o.reason, "reason", "", "`text` for those who wonder later")
	f.BoolVar(&o.force, "force", false, "go back even to a release that did not succeed")
	f.BoolVar(&o.git, "git", false, "put Git back with a commit, instead of holding the App")
	f.StringVar(&o.branch, "branch", "", "new `branch` that --git pushes to, for a pull request; without it, the one that the App follows")
	f.BoolVar(&o.wait, "wait", false, "wait until the App is as that release was")
	f.DurationVar(&o.limit, "timeout", 5*time.Minute, "`time` to wait at most")
	c.MarkFlagsMutuallyExclusive("git", "wait")
	return c
}

func newUnpin(s Streams) *cobra.Command {
	o := rollbackOptions{now: time.Now}
	c := &cobra.Command{
		Use:   "unpin APP",
		Short: "Let an App go on with what Git says after abide rollback",
		Long: "Let an App go on with what Git says after abide rollback, or after it has rolled back by\n" +
			"itself: what was skipped is tried again.",
		Args:              oneApp,
		ValidArgsFunction: o.completeApps,
		RunE:              o.forApp(s, &o.app, func(ctx context.Context, cn *conn) error { return runUnpin(ctx, s, cn, o) }),
	}
	o.clusterFlags(c)
	o.namespaceFlag(c)
	return c
}

func runRollback(ctx context.Context, s Streams, c *conn, o rollbackOptions) error {
	asking, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	app, err := c.app(asking, o.app)
	if err != nil {
		return err
	}
	if app.DeletionTimestamp != nil {
		return fmt.Errorf("App %s is being deleted, so it can't go back to anything", app.Name)
	}
	all, err := records(asking, c, app.Name)
	if err != nil {
		return err
	}
	releases, earlier := releasesOf(app, all)
	to, err := o.choose(app, releases, earlier)
	if err != nil {
		return err
	}
	if o.git {
		return revert(ctx, s, app, to, releases, o)
	}
	if len(to.Manifests) == 0 {
		return fmt.Errorf("what %s#%d rendered is no longer kept, so the App can't be held there; put Git back to it instead: abide rollback %s%s --to %d --git", app.Name, to.Number, app.Name, inNamespace(app), to.Number)
	}
	if err := o.pin(asking, s, c, app, to); err != nil {
		return err
	}
	if o.wait {
		return o.await(ctx, s, c, app, to)
	}
	return nil
}

// releasesOf are those of an App, the newest first, and those of earlier Apps that
// had its name.
func releasesOf(app *v1alpha1.App, all []v1alpha1.Release) (own, earlier []v1alpha1.ReleaseSpec) {
	for i := range all {
		if r := all[i].Spec; r.AppUID == app.UID {
			own = append(own, r)
		} else {
			earlier = append(earlier, r)
		}
	}
	return own, earlier
}

var releaseNumber = regexp.MustCompile(`^#?([1-9][0-9]{0,5})$`)

// choose finds the release to go back to.
func (o *rollbackOptions) choose(app *v1alpha1.App, releases, earlier []v1alpha1.ReleaseSpec) (*v1alpha1.ReleaseSpec, error) {
	history := fmt.Sprintf("abide history %s%s lists what there is", app.Name, inNamespace(app))
	if o.to == "" {
		if i := slices.IndexFunc(releases, o.before(app)); i >= 0 {
			return &releases[i], nil
		}
		return nil, fmt.Errorf("App %s has no earlier release that succeeded and is kept, to go back to; %s", app.Name, history)
	}
	matches, err := o.named(app)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(releases, matches)
	if i < 0 {
		if j := slices.IndexFunc(earlier, matches); j >= 0 {
			return nil, fmt.Errorf("release %s#%d is of an earlier App %s, which is gone: this one can't be held there; abide manifests %s#%d%s shows what it rendered, as far as it is kept", app.Name, earlier[j].Number, app.Name, app.Name, earlier[j].Number, inNamespace(app))
		}
		return nil, fmt.Errorf("App %s has no release %s that succeeded and is on record; %s", app.Name, o.to, history)
	}
	if r := &releases[i]; r.Outcome != v1alpha1.OutcomeSucceeded && !o.force {
		return nil, fmt.Errorf("release %s#%d %s, so it is not known to be good: choose another one, or go back to it all the same with --force; %s", app.Name, r.Number, inThePast(r.Outcome), history)
	}
	return &releases[i], nil
}

// inThePast is an outcome as the rest of a sentence.
func inThePast(o v1alpha1.Outcome) string {
	switch o {
	case v1alpha1.OutcomeRunning, v1alpha1.OutcomeSuperseded, v1alpha1.OutcomeRejected:
		return "is " + outcomeInWords(o)
	}
	return outcomeInWords(o)
}

// before tells of a release whether it is what is gone back to if none is named:
// one that succeeded, and is not what is to be left. Git is put back to what the
// App is held at, or else to what is not what it says.
func (o *rollbackOptions) before(app *v1alpha1.App) func(v1alpha1.ReleaseSpec) bool {
	p := app.Status.Pinned
	return func(r v1alpha1.ReleaseSpec) bool {
		switch {
		case o.git && p != nil:
			return r.Number == p.To
		case r.Outcome != v1alpha1.OutcomeSucceeded || r.DesiredHash == app.Status.DesiredHash:
			return false
		case o.git:
			return r.Source.Commit != ""
		}
		// Of one that is held, that is left as well; else what was applied in full last
		// may be just what a release that went wrong half-way came from.
		return (p == nil || r.DesiredHash != app.Status.AppliedHash) && len(r.Manifests) > 0
	}
}

// named tells of a release whether --to names it.
func (o *rollbackOptions) named(app *v1alpha1.App) (func(v1alpha1.ReleaseSpec) bool, error) {
	if m := releaseNumber.FindStringSubmatch(strings.TrimPrefix(o.to, app.Name+"#")); m != nil {
		n, err := strconv.ParseInt(m[1], 10, 64)
		if err != nil {
			return nil, &exitError{exitUsage, err}
		}
		return func(r v1alpha1.ReleaseSpec) bool { return r.Number == n }, nil
	}
	commit := strings.ToLower(o.to)
	if !shortHash.MatchString(commit) {
		return nil, &exitError{exitUsage, fmt.Errorf("--to takes the number of a release, or at least 7 digits of a commit, and not %q", o.to)}
	}
	return func(r v1alpha1.ReleaseSpec) bool {
		return strings.HasPrefix(r.Source.Commit, commit) && (o.force || r.Outcome == v1alpha1.OutcomeSucceeded)
	}, nil
}

// pin holds the App at a release, in place of one that it is held at already.
func (o *rollbackOptions) pin(ctx context.Context, s Streams, c *conn, app *v1alpha1.App, to *v1alpha1.ReleaseSpec) error {
	by, err := o.user(ctx, c)
	if err != nil {
		return c.explain(err)
	}
	p := &v1alpha1.Pin{
		ObjectMeta: metav1.ObjectMeta{Namespace: app.Namespace, Name: app.Name},
		Spec:       v1alpha1.PinSpec{Release: to.Number, Skips: app.Status.DesiredHash, By: by, Reason: o.reason},
	}
	err = c.Create(ctx, p.DeepCopy())
	if apierrors.IsAlreadyExists(err) {
		if err = client.IgnoreNotFound(c.Delete(ctx, p.DeepCopy())); err == nil {
			err = c.Create(ctx, p)
		}
	}
	switch {
	case apierrors.IsForbidden(err):
		return fmt.Errorf("you may not roll App %s back: %w; whoever is admin of namespace %s can, and can bind the ClusterRole abide-approver", app.Name, err, app.Namespace)
	case err != nil:
		return c.explain(err)
	}
	what := clean(to.Source.Revision)
	if to.Source.Subject != "" {
		what += "  " + clean(to.Source.Subject)
	}
	fmt.Fprintf(s.Out, "App %s goes back to release %d: %s\n", app.Name, to.Number, what)
	ends := "until Git says something new of it, or until"
	if p.Spec.Skips == "" { // it is not known what Git says, so nothing is newer
		ends = "until"
	}
	fmt.Fprintf(s.Out, "It is held there %s: abide unpin %s%s\n", ends, app.Name, inNamespace(app))
	if app.Status.State == v1alpha1.StatePaused {
		fmt.Fprintf(s.Out, "It is paused, so nothing changes until: abide resume %s%s\n", app.Name, inNamespace(app))
	}
	return nil
}

// await waits until the App is as the release was, or until that is not to be: it
// failed, or Git has said something new since the App was read.
func (o *rollbackOptions) await(ctx context.Context, s Streams, c *conn, before *v1alpha1.App, to *v1alpha1.ReleaseSpec) error {
	ctx, cancel := context.WithTimeoutCause(ctx, o.limit, errTimeLimit)
	defer cancel()
	progress := narrator{w: s.Err}
	var last *v1alpha1.App
	err := c.untilApp(ctx, o.app, func(app *v1alpha1.App) (bool, error) {
		last = app
		if p := app.Status.Pinned; p != nil && p.To == to.Number {
			switch app.Status.State {
			case v1alpha1.StatePinned:
				h := app.Status.Health
				if h == v1alpha1.HealthHealthy || h == v1alpha1.HealthSuspended {
					return true, nil
				}
			case v1alpha1.StateFailed, v1alpha1.StateWaiting:
				return true, nil
			}
		}
		if p := app.Status.Pinned; p == nil && before.Status.DesiredHash != "" && app.Status.DesiredHash != before.Status.DesiredHash {
			return true, nil
		}
		progress.say(o.app, doing(app))
		return false, nil
	})
	switch {
	case err != nil && timeIsUp(ctx):
		return &exitError{exitTimeout, fmt.Errorf("%s is not back at release %d after %s: %s", o.app, to.Number, o.limit, doing(last))}
	case err != nil:
		return c.explain(err)
	case last.Status.Pinned == nil:
		return &exitError{exitFailed, fmt.Errorf("%s is not held at release %d: Git says something new of it, %s, and that goes on", o.app, to.Number, clean(last.Status.Source.Revision))}
	case last.Status.State != v1alpha1.StatePinned:
		return &exitError{exitFailed, fmt.Errorf("%s is not back at release %d: %s", o.app, to.Number, message(last))}
	}
	fmt.Fprintf(s.Out, "%s is as release %d was, and healthy\n", o.app, to.Number)
	return nil
}

func runUnpin(ctx context.Context, s Streams, c *conn, o rollbackOptions) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	app, err := c.app(ctx, o.app)
	if err != nil {
		return err
	}
	err = c.Delete(ctx, &v1alpha1.Pin{ObjectMeta: metav1.ObjectMeta{Namespace: app.Namespace, Name: app.Name}})
	switch p := app.Status.Pinned; {
	case err == nil:
	case apierrors.IsForbidden(err):
		return fmt.Errorf("you may not unpin App %s: %w; whoever is admin of namespace %s can", app.Name, err, app.Namespace)
	case !apierrors.IsNotFound(err):
		return c.explain(err)
	case p == nil || p.By != "":
		fmt.Fprintf(s.Out, "App %s is not held at a release\n", app.Name)
		return nil
	default: // it has rolled back by itself: a wish for a sync ends that
		value, err := refreshValue(o.now(), rand.Reader)
		if err != nil {
			return err
		}
		base := app.DeepCopy()
		metav1.SetMetaDataAnnotation(&app.ObjectMeta, v1alpha1.AnnotationRefresh, value)
		if err := c.Patch(ctx, app, client.MergeFrom(base)); err != nil {
			return c.explain(err)
		}
	}
	fmt.Fprintf(s.Out, "App %s goes on with what Git says: watch it with abide wait %s%s\n", app.Name, app.Name, inNamespace(app))
	return nil
}
