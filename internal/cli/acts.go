package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"abide.dev/abide/api/v1alpha1"
)

type pauseOptions struct {
	target
	app, reason string
	now         func() time.Time
	// user asks who is pausing.
	user func(context.Context, client.Client) (string, error)
}

func newPause(s Streams) *cobra.Command {
	o := pauseOptions{now: time.Now, user: whoami}
	c := &cobra.Command{
		Use:   "pause APP",
		Short: "Stop abide from changing anything of an App",
		Long: "Stop abide from changing anything of an App until abide resume. It is on record who\n" +
			"paused it, and why. Pausing an App that is paused changes nothing.",
		Args:              oneApp,
		ValidArgsFunction: o.completeApps,
		RunE:              o.forApp(s, &o.app, func(ctx context.Context, cn *conn) error { return runPause(ctx, s, cn, o) }),
	}
	o.clusterFlags(c)
	o.namespaceFlag(c)
	c.Flags().StringVar(&o.reason, "reason", "", "`text` for those who wonder later")
	return c
}

func newResume(s Streams) *cobra.Command {
	o := pauseOptions{now: time.Now}
	c := &cobra.Command{
		Use:               "resume APP",
		Short:             "Let abide change an App again after abide pause",
		Args:              oneApp,
		ValidArgsFunction: o.completeApps,
		RunE:              o.forApp(s, &o.app, func(ctx context.Context, cn *conn) error { return runResume(ctx, s, cn, o) }),
	}
	o.clusterFlags(c)
	o.namespaceFlag(c)
	return c
}

func runPause(ctx context.Context, s Streams, c *conn, o pauseOptions) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	app, err := c.app(ctx, o.app)
	if err != nil {
		return err
	}
	by, err := o.user(ctx, c)
	if err != nil {
		return c.explain(err)
	}
	p := &v1alpha1.Pause{
		ObjectMeta: metav1.ObjectMeta{Namespace: app.Namespace, Name: app.Name},
		Spec:       v1alpha1.PauseSpec{By: by, Reason: o.reason},
	}
	err = c.Create(ctx, p)
	if apierrors.IsAlreadyExists(err) {
		var have v1alpha1.Pause
		if err := c.Get(ctx, client.ObjectKeyFromObject(p), &have); err != nil {
			return c.explain(err)
		}
		fmt.Fprintf(s.Out, "App %s is paused already, by %s\n", app.Name, clean(pausedBy(&have, o.now())))
		return nil
	}
	if apierrors.IsForbidden(err) {
		return fmt.Errorf("you may not pause App %s: %w; whoever is admin of namespace %s can, and can bind the ClusterRole abide-approver", app.Name, err, app.Namespace)
	}
	if err != nil {
		return c.explain(err)
	}
	fmt.Fprintf(s.Out, "App %s is paused; abide resume %s%s lets it go on\n", app.Name, app.Name, inNamespace(app))
	return nil
}

// pausedBy says who paused an App, when, and why.
func pausedBy(p *v1alpha1.Pause, now time.Time) string {
	t := p.Spec.By
	if !p.CreationTimestamp.IsZero() {
		t += ", " + ago(now, p.CreationTimestamp.Time)
	}
	if p.Spec.Reason != "" {
		t += ": " + p.Spec.Reason
	}
	return t
}

// inNamespace is the flag that commands about the App need, to be copied.
func inNamespace(app *v1alpha1.App) string { return " -n " + app.Namespace }

func runResume(ctx context.Context, s Streams, c *conn, o pauseOptions) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	p := &v1alpha1.Pause{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: o.app}}
	err := c.Delete(ctx, p)
	switch {
	case notServed(err):
		return c.explain(err)
	case apierrors.IsNotFound(err):
		if _, err := c.app(ctx, o.app); err != nil {
			return err
		}
		fmt.Fprintf(s.Out, "App %s is not paused\n", o.app)
		return nil
	case apierrors.IsForbidden(err):
		return fmt.Errorf("you may not resume App %s: %w; whoever is admin of namespace %s can", o.app, err, c.namespace)
	case err != nil:
		return c.explain(err)
	}
	fmt.Fprintf(s.Out, "App %s goes on\n", o.app)
	return nil
}

type approveOptions struct {
	target
	app, reason, plan string
	yes               bool
	// user asks who is approving.
	user func(context.Context, client.Client) (string, error)
}

func newApprove(s Streams) *cobra.Command {
	o := approveOptions{user: whoami}
	c := &cobra.Command{
		Use:   "approve APP",
		Short: "Let the plan that waits go on",
		Long: "Show what the waiting plan of an App would do, ask, and approve exactly that plan: what\n" +
			"changes afterwards makes another plan, which waits for its own approval. It is on record\n" +
			"who approved it. Scripts name the plan that was looked at with --plan.",
		Args:              oneApp,
		ValidArgsFunction: o.completeApps,
		RunE:              o.forApp(s, &o.app, func(ctx context.Context, cn *conn) error { return runApprove(ctx, s, cn, o) }),
	}
	o.clusterFlags(c)
	o.namespaceFlag(c)
	f := c.Flags()
	f.StringVar(&o.reason, "reason", "", "`text` for those who read the record later")
	f.StringVar(&o.plan, "plan", "", "`digest` of the plan, from abide status, to approve that one and no other, unasked")
	f.BoolVar(&o.yes, "yes", false, "approve whichever plan waits, unasked")
	return c
}

func runApprove(ctx context.Context, s Streams, c *conn, o approveOptions) error {
	app, err := c.app(ctx, o.app)
	if err != nil {
		return err
	}
	p := app.Status.Plan
	if p == nil {
		return fmt.Errorf("no plan of App %s waits for an approval: %s", app.Name, doing(app))
	}
	if o.plan != "" && !strings.HasPrefix(p.Digest, o.plan) && !strings.HasPrefix(strings.TrimPrefix(p.Digest, "sha256:"), o.plan) {
		return fmt.Errorf("the plan that waits is %s, and not %s: look at it with abide status %s%s", p.Digest, o.plan, app.Name, inNamespace(app))
	}
	if o.plan != "" && len(strings.TrimPrefix(o.plan, "sha256:")) < 12 {
		return &exitError{exitUsage, fmt.Errorf("--plan %s is too short to name a plan: give at least 12 digits", o.plan)}
	}
	printPlan(s.Err, styleOf(s.Err), app)
	if !o.yes && o.plan == "" {
		if !isTerminal(s.In) {
			return &exitError{exitUsage, fmt.Errorf("there is nobody to ask: approve this very plan with --plan %s", p.Digest)}
		}
		yes, err := ask(s, "Approve it?")
		if err != nil {
			return err
		}
		if !yes {
			return &exitError{exitFailed, fmt.Errorf("not approved; nothing was changed")}
		}
	}
	return approve(ctx, s, c, o, app)
}

func approve(ctx context.Context, s Streams, c *conn, o approveOptions, app *v1alpha1.App) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	by, err := o.user(ctx, c)
	if err != nil {
		return c.explain(err)
	}
	digest := app.Status.Plan.Digest
	a := &v1alpha1.Approval{
		ObjectMeta: metav1.ObjectMeta{Namespace: app.Namespace, Name: approvalName(app.Name, digest)},
		Spec:       v1alpha1.ApprovalSpec{App: app.Name, Plan: digest, By: by, Reason: o.reason},
	}
	err = c.Create(ctx, a)
	switch {
	case apierrors.IsAlreadyExists(err):
		fmt.Fprintf(s.Out, "plan %s of App %s is approved already\n", shortDigest(digest), app.Name)
		return nil
	case apierrors.IsForbidden(err):
		return fmt.Errorf("you may not approve plans of App %s: %w; whoever is admin of namespace %s can, and can bind the ClusterRole abide-approver", app.Name, err, app.Namespace)
	case err != nil:
		return c.explain(err)
	}
	fmt.Fprintf(s.Out, "plan %s of App %s is approved; watch it with abide wait %s%s\n", shortDigest(digest), app.Name, app.Name, inNamespace(app))
	return nil
}

// approvalName is the name of the approval of a plan: one plan has one.
func approvalName(app, digest string) string {
	d := strings.TrimPrefix(digest, "sha256:")
	return app + "-" + d[:min(len(d), 16)]
}
