package component

import (
	"context"
	"fmt"

	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/cache"
	apiapp "k8s.io/kubernetes/cmd/kube-apiserver/app"
	apiopts "k8s.io/kubernetes/cmd/kube-apiserver/app/options"

	"abide.dev/abide/sandbox/internal/bootstrap"
)

// runAPIServer serves the API on the inherited listener.
func runAPIServer(ctx context.Context, args []string) error {
	s := apiopts.NewServerRunOptions()
	if _, err := parse(APIServer, s.Flags(), args); err != nil {
		return err
	}
	if err := s.GenericServerRunOptions.ComponentGlobalsRegistry.Set(); err != nil {
		return err
	}
	rest.SetDefaultWarningHandler(rest.NoWarnings{})
	l, err := inheritedListener()
	if err != nil {
		return err
	}
	s.SecureServing.Listener = l
	if err := waitSocket(ctx, EtcdSocket); err != nil {
		return err
	}
	opts, err := s.Complete(ctx)
	if err != nil {
		return err
	}
	if errs := opts.Validate(); len(errs) != 0 {
		return utilerrors.NewAggregate(errs)
	}
	return serveAPI(ctx, opts)
}

// serveAPI is upstream's Run with the two hooks replaced that create the
// default roles and priority classes: they sleep for a second first and create
// one object after another. Ours does the same work in parallel, at once.
func serveAPI(ctx context.Context, opts apiopts.CompletedOptions) error {
	if opts.InformerName == nil {
		n, err := cache.NewInformerName(APIServer)
		if err != nil {
			return err
		}
		opts.InformerName = n
	}
	cfg, err := apiapp.NewConfig(opts)
	if err != nil {
		return err
	}
	cfg.KubeAPIs.ControlPlane.Generic.DisabledPostStartHooks.Insert(bootstrap.ReplacedHooks()...)
	completed, err := cfg.Complete()
	if err != nil {
		return err
	}
	server, err := apiapp.CreateServerChain(completed)
	if err != nil {
		return err
	}
	err = server.GenericAPIServer.AddPostStartHook("abide-sandbox/bootstrap", func(h genericapiserver.PostStartHookContext) error {
		if err := bootstrap.Ensure(h, h.LoopbackClientConfig); err != nil {
			return fmt.Errorf("default objects: %w", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	prepared, err := server.PrepareRun()
	if err != nil {
		return err
	}
	return prepared.Run(ctx)
}
