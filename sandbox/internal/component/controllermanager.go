package component

import (
	"context"

	"github.com/spf13/pflag"

	"k8s.io/client-go/rest"
	kcmapp "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	kcmopts "k8s.io/kubernetes/cmd/kube-controller-manager/app/options"

	"abide.dev/abide/sandbox/internal/namespaces"
)

// NamespaceKubeconfigFlag names the credentials of the namespace controller.
const NamespaceKubeconfigFlag = "sandbox-namespace-kubeconfig"

// runControllerManager runs upstream's controllers, but for the namespace
// controller, whose fixed delay of 5 s per namespace makes tests slow.
func runControllerManager(ctx context.Context, args []string) error {
	s, err := kcmopts.NewKubeControllerManagerOptions()
	if err != nil {
		return err
	}
	known, off, aliases := kcmapp.KnownControllers(), kcmapp.ControllersDisabledByDefault(), kcmapp.ControllerAliases()
	sets := s.Flags(known, off, aliases)
	s.ParsedFlags = &sets
	own := pflag.NewFlagSet("sandbox", pflag.ContinueOnError)
	nsKubeconfig := own.String(NamespaceKubeconfigFlag, "", "")
	sets.FlagSet("sandbox").AddFlagSet(own)
	if _, err := parse(ControllerManager, sets, args); err != nil {
		return err
	}
	if err := s.ComponentGlobalsRegistry.Set(); err != nil {
		return err
	}
	rest.SetDefaultWarningHandler(rest.NoWarnings{})
	nsConfig, err := waitReady(ctx, *nsKubeconfig)
	if err != nil {
		return err
	}
	c, err := s.Config(ctx, known, off, aliases)
	if err != nil {
		return err
	}
	errs := make(chan error, 2)
	go func() { errs <- namespaces.Run(ctx, nsConfig) }()
	go func() { errs <- kcmapp.Run(ctx, c.Complete()) }()
	return <-errs
}
