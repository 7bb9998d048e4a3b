package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"abide.dev/abide/api/v1alpha1"
)

type syncOptions struct {
	target
	app    string
	every  bool
	wait   bool
	noWait bool
	limit  time.Duration
	now    func() time.Time
	random io.Reader
}

func newSync(s Streams) *cobra.Command {
	o := syncOptions{now: time.Now, random: rand.Reader}
	c := &cobra.Command{
		Use:   "sync APP",
		Short: "Look at Git now instead of at the next poll",
		Long: "Ask abide to look at Git now, and say what came of it. abide applies by itself whatever\n" +
			"is new; with --wait the command ends when the App is ready.",
		Example: "  abide sync web --wait\n  abide sync --all -n shop\n  abide sync -A",
		Args: func(c *cobra.Command, args []string) error {
			if o.every || o.all {
				if len(args) > 0 {
					return &exitError{exitUsage, fmt.Errorf("%s takes the name of an App, or --all or -A, and not both", c.CommandPath())}
				}
				return nil
			}
			return oneApp(c, args)
		},
		ValidArgsFunction: o.completeApps,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.app = args[0]
			}
			return runSync(c.Context(), s, o)
		},
	}
	o.clusterFlags(c)
	o.namespaceFlag(c)
	o.allFlag(c)
	f := c.Flags()
	f.BoolVar(&o.every, "all", false, "all Apps of the namespace")
	f.BoolVar(&o.wait, "wait", false, "wait until the App is ready")
	f.BoolVar(&o.noWait, "no-wait", false, "only ask, and do not wait for the look at Git")
	f.DurationVar(&o.limit, "timeout", 5*time.Minute, "`time` to wait at most")
	c.MarkFlagsMutuallyExclusive("wait", "no-wait")
	return c
}

func runSync(ctx context.Context, s Streams, o syncOptions) error {
	c, err := o.connect(s.Err)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.limit, errTimeLimit)
	defer cancel()
	apps, err := o.apps(ctx, c)
	if err != nil {
		return err
	}
	value, err := refreshValue(o.now(), o.random)
	if err != nil {
		return err
	}
	for _, app := range apps {
		base := app.DeepCopy()
		if app.Annotations == nil {
			app.Annotations = map[string]string{}
		}
		app.Annotations[v1alpha1.AnnotationRefresh] = value
		if err := c.Patch(ctx, app, client.MergeFrom(base)); err != nil {
			return fmt.Errorf("asking for a look at Git for App %s/%s: %w", app.Namespace, app.Name, c.explain(err))
		}
		if o.noWait {
			fmt.Fprintf(s.Out, "%s: asked for a look at Git\n", o.title(app))
		}
	}
	if o.noWait {
		return nil
	}
	var failed error
	for _, app := range apps {
		if err := o.await(ctx, s, c, app, value); err != nil {
			failed = err
			var exit *exitError
			if errors.As(err, &exit) && exit.code == exitTimeout {
				return err
			}
		}
	}
	return failed
}

// refreshValue is a value of the annotation that was never there before.
func refreshValue(now time.Time, random io.Reader) (string, error) {
	var b [4]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return "", fmt.Errorf("reading randomness: %w", err)
	}
	return fmt.Sprintf("%s-%x", now.UTC().Format("20060102T150405Z"), b), nil
}

func (o *syncOptions) apps(ctx context.Context, c *conn) ([]*v1alpha1.App, error) {
	if !o.every && !o.all {
		app, err := c.app(ctx, o.app)
		return []*v1alpha1.App{app}, err
	}
	ns := c.namespace
	if o.all {
		ns = ""
	}
	var l v1alpha1.AppList
	if err := c.List(ctx, &l, client.InNamespace(ns)); err != nil {
		return nil, c.explain(err)
	}
	if len(l.Items) == 0 {
		return nil, fmt.Errorf("there are no Apps to sync")
	}
	out := make([]*v1alpha1.App, len(l.Items))
	for i := range l.Items {
		out[i] = &l.Items[i]
	}
	return out, nil
}

func (o *syncOptions) title(app *v1alpha1.App) string {
	if o.all {
		return app.Namespace + "/" + app.Name
	}
	return app.Name
}

// await waits for the look at Git, and with --wait for the App to be ready.
func (o *syncOptions) await(ctx context.Context, s Streams, c *conn, before *v1alpha1.App, value string) error {
	there := *c
	there.namespace = before.Namespace
	looked := false
	var last *v1alpha1.App
	progress := narrator{w: s.Err}
	err := there.untilApp(ctx, before.Name, func(app *v1alpha1.App) (bool, error) {
		last = app
		looked = looked || app.Status.Refresh.Observed == value || app.Annotations[v1alpha1.AnnotationRefresh] != value
		if !looked {
			progress.say(before.Name, "waiting for the look at Git")
			return false, nil
		}
		if !o.wait || condition(app, v1alpha1.ConditionReady) {
			return true, nil
		}
		if app.Status.State == v1alpha1.StateFailed && current(app) {
			return true, nil
		}
		progress.say(before.Name, doing(app))
		return false, nil
	})
	title := o.title(before)
	switch {
	case err != nil && timeIsUp(ctx):
		what := doing(last)
		if !looked {
			what = "abide has not looked at Git: see that the controller runs (kubectl get deployments -A -l app.kubernetes.io/part-of=abide)"
		}
		return &exitError{exitTimeout, fmt.Errorf("%s is not there after %s: %s", title, o.limit, what)}
	case err != nil:
		return there.explain(err)
	}
	fmt.Fprintf(s.Out, "%s: %s\n", title, clean(news(before, last)))
	if last.Status.State == v1alpha1.StateFailed {
		return &exitError{exitFailed, fmt.Errorf("%s has failed: %s", title, message(last))}
	}
	return nil
}

// news says what a look at Git brought.
func news(before, after *v1alpha1.App) string {
	is := string(after.Status.State)
	if h := after.Status.Health; h != "" && h != v1alpha1.HealthUnknown {
		is += ", " + string(h)
	}
	now := after.Status.Source.Revision
	switch was := before.Status.Source.Revision; {
	case now == "":
		return is
	case was == now:
		return fmt.Sprintf("nothing new in Git, still %s (%s)", now, is)
	case was == "":
		return fmt.Sprintf("%s (%s)", now, is)
	default:
		return fmt.Sprintf("%s → %s (%s)", was, now, is)
	}
}
