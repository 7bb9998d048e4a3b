// Package simulate plays what a cluster has below its control plane: kubelets,
// a load balancer, a storage provisioner.
//
// Nodes and pods are played by kwok: a pod that is bound to a node becomes
// ready at once, a Job's pod completes, a deleted pod goes without a grace
// period. Nothing is ever executed and no network or volume is made.
package simulate

import (
	"context"
	"fmt"
	"net"
	"os"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/kwok/pkg/client/clientset/versioned"
	"sigs.k8s.io/kwok/pkg/kwok/controllers"
	kwoklog "sigs.k8s.io/kwok/pkg/log"
	kwokclient "sigs.k8s.io/kwok/pkg/utils/client"
)

// User is kwok's identity; bootstrap gives it the role that it needs.
const User = "abide-sandbox:kwok"

// Run plays until ctx ends. kubelet is where NewKubelet's server listens.
func Run(ctx context.Context, kubeconfig string, kubelet net.Addr) error {
	addr, ok := kubelet.(*net.TCPAddr)
	if !ok {
		return fmt.Errorf("kubelet address %s: not TCP", kubelet)
	}
	ctx = kwoklog.NewContext(ctx, kwoklog.NewLogger(os.Stderr, kwoklog.LevelWarn))
	cfg, err := controllerConfig(kubeconfig)
	if err != nil {
		return err
	}
	cfg.NodeIP, cfg.NodePort = addr.IP.String(), addr.Port
	c, err := controllers.NewController(cfg)
	if err != nil {
		return err
	}
	if err := c.Start(ctx); err != nil {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

func controllerConfig(kubeconfig string) (controllers.Config, error) {
	var none controllers.Config
	stages, err := localStages()
	if err != nil {
		return none, err
	}
	cs, err := kwokclient.NewClientset("", kubeconfig)
	if err != nil {
		return none, err
	}
	rc, err := cs.ToRESTConfig()
	if err != nil {
		return none, err
	}
	dyn, err := cs.ToDynamicClient()
	if err != nil {
		return none, err
	}
	mapper, err := cs.ToRESTMapper()
	if err != nil {
		return none, err
	}
	restClient, err := rest.RESTClientFor(rc)
	if err != nil {
		return none, err
	}
	typed, err := kubernetes.NewForConfig(rc)
	if err != nil {
		return none, err
	}
	kwokTyped, err := versioned.NewForConfig(rc)
	if err != nil {
		return none, err
	}
	id, err := controllers.Identity()
	if err != nil {
		return none, err
	}
	return controllers.Config{
		Clock:                         clock.RealClock{},
		DynamicClient:                 dyn,
		RESTClient:                    restClient,
		RESTMapper:                    mapper,
		ImpersonatingDynamicClient:    cs.ToImpersonatingDynamicClient(),
		ImpersonatingTypedClient:      cs.ToImpersonatingTypedClient(),
		TypedClient:                   typed,
		TypedKwokClient:               kwokTyped,
		ManageAllNodes:                true,
		CIDR:                          "10.244.0.0/24",
		PodPlayStageParallelism:       4,
		NodePlayStageParallelism:      4,
		NodeLeaseParallelism:          4,
		NodeLeaseDurationSeconds:      40,
		PodsOnNodeSyncParallelism:     1,
		EnablePodsOnNodeSyncListPager: true,
		LocalStages:                   stages,
		ID:                            id,
	}, nil
}
