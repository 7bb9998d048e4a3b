package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"abide.dev/abide/api/v1alpha1"
)

type waitOptions struct {
	target
	app    string
	what   string // ready, synced or healthy
	commit string
	repo   string
	limit  time.Duration
	keep   bool
}

// errTimeLimit is the cause of a context that ran into the command's own time
// limit.
var errTimeLimit = errors.New("the time limit of the command")

func timeIsUp(ctx context.Context) bool { return errors.Is(context.Cause(ctx), errTimeLimit) }

var conditions = map[string]string{
	"ready": v1alpha1.ConditionReady, "synced": v1alpha1.ConditionSynced, "healthy": v1alpha1.ConditionHealthy,
}

var shortHash = regexp.MustCompile(`^[0-9a-f]{7,64}$`)

func newWait(s Streams) *cobra.Command {
	var o waitOptions
	c := &cobra.Command{
		Use:   "wait [APP]",
		Short: "Wait until an App is ready, or until a commit is live everywhere",
		Long: "Wait until an App is ready, synced or healthy; or, with --commit, until that commit is\n" +
			"live: every App that follows it has been looked at there or later, and is ready. Apps\n" +
			"that the commit does not change are no reason to wait for anything but that look.\n\n" +
			"--commit is about the Apps of all namespaces, unless -n names one. An App that fails ends\n" +
			"it at once, unless --keep-waiting is set. Exit code 3 means that the time ran out.",
		Example: "  abide wait web --for healthy\n  abide wait --commit $(git rev-parse HEAD) --timeout 10m",
		Args: func(c *cobra.Command, args []string) error {
			if o.commit == "" {
				return oneApp(c, args)
			}
			if len(args) > 0 {
				return &exitError{exitUsage, fmt.Errorf("%s takes the name of an App or --commit, and not both", c.CommandPath())}
			}
			return nil
		},
		ValidArgsFunction: o.completeApps,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.app = args[0]
			}
			return runWait(c.Context(), s, o)
		},
	}
	o.clusterFlags(c)
	o.namespaceFlag(c)
	o.allFlag(c)
	o.ownNamespaceFlag(c)
	f := c.Flags()
	f.StringVar(&o.what, "for", "ready", "`condition` of the App: ready, synced or healthy")
	f.StringVar(&o.commit, "commit", "", "`hash` of a commit, of which the first 7 digits are enough")
	f.StringVar(&o.repo, "repo", "", "`URL` of the repository of --commit; without it, whichever has that commit")
	f.DurationVar(&o.limit, "timeout", 5*time.Minute, "`time` to wait at most")
	f.BoolVar(&o.keep, "keep-waiting", false, "go on waiting when an App fails")
	_ = c.RegisterFlagCompletionFunc("for", cobra.FixedCompletions([]string{"ready", "synced", "healthy"}, cobra.ShellCompDirectiveNoFileComp))
	c.MarkFlagsMutuallyExclusive("for", "commit")
	return c
}

func runWait(ctx context.Context, s Streams, o waitOptions) error {
	o.commit = strings.ToLower(o.commit)
	if _, ok := conditions[o.what]; !ok {
		return &exitError{exitUsage, fmt.Errorf("--for is %q; it takes ready, synced or healthy", o.what)}
	}
	if o.commit != "" && !shortHash.MatchString(o.commit) {
		return &exitError{exitUsage, fmt.Errorf("--commit is %q; it takes the hash of a commit, at least its first 7 digits", o.commit)}
	}
	c, err := o.connect(s.Err)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.limit, errTimeLimit)
	defer cancel()
	if o.commit == "" {
		return waitApp(ctx, s, c, o)
	}
	if o.namespace == "" || o.all {
		c.namespace = ""
	}
	return waitCommit(ctx, s, c, o)
}

func waitApp(ctx context.Context, s Streams, c *conn, o waitOptions) error {
	var last *v1alpha1.App
	progress := narrator{w: s.Err}
	err := c.untilApp(ctx, o.app, func(app *v1alpha1.App) (bool, error) {
		last = app
		if condition(app, conditions[o.what]) {
			return true, nil
		}
		progress.say(app.Name, doing(app))
		return false, nil
	})
	switch {
	case err != nil && timeIsUp(ctx):
		what := "the API server has not answered"
		if last != nil {
			what = doing(last)
		}
		return &exitError{exitTimeout, fmt.Errorf("App %s is not %s after %s: %s", o.app, o.what, o.limit, what)}
	case err != nil:
		return c.explain(err)
	}
	fmt.Fprintf(s.Out, "App %s is %s at %s\n", last.Name, o.what, clean(last.Status.Source.Revision))
	return nil
}

// doing says in a line what an App is busy with, or what it waits for.
func doing(app *v1alpha1.App) string {
	switch {
	case app == nil:
		return "it has not been read"
	case !current(app) && app.Status.State == "":
		return "abide has not looked at it yet"
	case !current(app):
		return "abide has not looked at its newest spec yet"
	}
	d := string(app.Status.State)
	if m := message(app); m != "" {
		d += ": " + m
	}
	return d
}

// narrator prints what is waited for, each thing once.
type narrator struct {
	w    io.Writer
	said map[string]string
}

func (n *narrator) say(about, what string) {
	if n.said[about] == what {
		return
	}
	if n.said == nil {
		n.said = map[string]string{}
	}
	n.said[about] = what
	fmt.Fprintf(n.w, "%s: %s\n", clean(about), clean(what))
}
