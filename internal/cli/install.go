package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"abide.dev/abide/internal/install"
)

type installOptions struct {
	crds bool
	install.Options
}

func newInstall(s Streams) *cobra.Command {
	var o installOptions
	c := &cobra.Command{
		Use:   "install",
		Short: "Print the manifests that install abide in a cluster",
		Long: "Print the manifests that install abide in a cluster: its namespace, the definitions of\n" +
			"its kinds, its rights, the roles for people, and its Deployment. It changes nothing:\n\n" +
			"  abide install | kubectl apply --server-side -f -",
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runInstall(c.Context(), s, o) },
	}
	f := c.Flags()
	f.BoolVar(&o.crds, "crds", false, "the CustomResourceDefinitions alone")
	f.BoolVar(&o.ClusterAdmin, "cluster-admin", false, "let the Apps of abide's own namespace change everything in the cluster")
	f.StringVar(&o.Image, "image", "", "`image` of the controller (default "+`"abide:VERSION"`+")")
	f.StringVarP(&o.Namespace, "namespace", "n", install.DefaultNamespace, "abide's own namespace")
	f.StringSliceVar(&o.Watch, "watch", nil, "the only `kinds` that the controller may list and watch, in the plural with their group: configmaps,deployments.apps (default all)")
	f.StringVar(&o.AuditLog, "audit-log", "", "`file` in the controller's Pod, on a volume that you add, to write every change to; - for its standard output")
	f.BoolVar(&o.NoWorkload, "no-workload", false, "leave out the Deployment and its Service, for a controller that runs elsewhere")
	c.MarkFlagsMutuallyExclusive("crds", "cluster-admin")
	return c
}

func runInstall(_ context.Context, s Streams, o installOptions) error {
	var (
		objects []*unstructured.Unstructured
		err     error
	)
	if o.crds {
		objects, err = install.CRDs()
	} else {
		objects, err = install.Objects(o.Options)
	}
	var wrong *install.OptionError
	if errors.As(err, &wrong) {
		return &exitError{exitUsage, err}
	}
	if err != nil {
		return err
	}
	b, err := install.YAML(objects)
	if err != nil {
		return err
	}
	_, err = s.Out.Write(b)
	return err
}
