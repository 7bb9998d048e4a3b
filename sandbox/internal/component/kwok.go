package component

import (
	"context"

	"github.com/spf13/pflag"

	"abide.dev/abide/sandbox/internal/simulate"
)

// runKwok plays the nodes: kwok's controllers, and a kubelet's port for all.
func runKwok(ctx context.Context, args []string) error {
	fs := pflag.NewFlagSet(Kwok, pflag.ContinueOnError)
	kubeconfig := fs.String("kubeconfig", "", "")
	var tls simulate.TLSFiles
	fs.StringVar(&tls.Cert, "tls-cert-file", "", "")
	fs.StringVar(&tls.Key, "tls-private-key-file", "", "")
	fs.StringVar(&tls.ClientCA, "client-ca-file", "", "")
	if err := fs.Parse(args); err != nil {
		return err
	}
	l, err := inheritedListener()
	if err != nil {
		return err
	}
	kubelet, err := simulate.NewKubelet(tls)
	if err != nil {
		return err
	}
	errs := make(chan error, 2)
	go func() { errs <- kubelet.ServeTLS(l, "", "") }()
	if _, err := waitReady(ctx, *kubeconfig); err != nil {
		return err
	}
	go func() { errs <- simulate.Run(ctx, *kubeconfig, l.Addr()) }()
	return <-errs
}
