package component

import (
	"context"

	schedapp "k8s.io/kubernetes/cmd/kube-scheduler/app"
	schedopts "k8s.io/kubernetes/cmd/kube-scheduler/app/options"
)

func runScheduler(ctx context.Context, args []string) error {
	o := schedopts.NewOptions()
	flags, err := parse(Scheduler, *o.Flags, args)
	if err != nil {
		return err
	}
	kubeconfig, err := flags.GetString("kubeconfig")
	if err != nil {
		return err
	}
	if err := o.ComponentGlobalsRegistry.Set(); err != nil {
		return err
	}
	if _, err := waitReady(ctx, kubeconfig); err != nil {
		return err
	}
	cc, sched, err := schedapp.Setup(ctx, o)
	if err != nil {
		return err
	}
	return schedapp.Run(ctx, cc, sched)
}
