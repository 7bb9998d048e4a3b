package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"abide.dev/abide/api/v1alpha1"
)

type statusOptions struct {
	target
	app    string
	output formatFlag
	now    func() time.Time
}

func newStatus(s Streams) *cobra.Command {
	o := statusOptions{now: time.Now}
	c := &cobra.Command{
		Use:               "status APP",
		Short:             "Say in words what runs, what is wrong, and what to do next",
		Args:              oneApp,
		ValidArgsFunction: o.completeApps,
		RunE:              o.forApp(s, &o.app, func(ctx context.Context, cn *conn) error { return runStatus(ctx, s, cn, o) }),
	}
	o.clusterFlags(c)
	o.namespaceFlag(c)
	o.output.add(c, asYAML, asJSON)
	return c
}

func runStatus(ctx context.Context, s Streams, c *conn, o statusOptions) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	app, err := c.app(ctx, o.app)
	if err != nil {
		return err
	}
	if o.output.format != asTable {
		return printObjects(s.Out, o.output.format, []client.Object{app}, true)
	}
	f := facts{app: app, now: o.now()}
	var pause v1alpha1.Pause
	err = c.Get(ctx, client.ObjectKeyFromObject(app), &pause)
	switch {
	case err == nil:
		f.pause = &pause
	case !apierrors.IsNotFound(err) && !apierrors.IsForbidden(err):
		return c.explain(err)
	}
	printStatus(s.Out, styleOf(s.Out), f)
	return nil
}
