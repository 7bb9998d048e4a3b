package component

import (
	"context"
	"net"
	"net/http"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// waitSocket waits until somebody listens. An etcd client that finds nobody
// there backs off for a whole second.
func waitSocket(ctx context.Context, path string) error {
	var d net.Dialer
	for {
		c, err := d.DialContext(ctx, "unix", path)
		if err == nil {
			return c.Close()
		}
		if err := pause(ctx, 5*time.Millisecond); err != nil {
			return err
		}
	}
}

// WaitReady waits until the API server says that it is ready to the identity
// of cfg, which needs RBAC's roles to be there.
func WaitReady(ctx context.Context, cfg *rest.Config) error {
	cfg = rest.CopyConfig(cfg)
	cfg.QPS = -1
	// The socket listens before the server serves, so a request may hang at
	// first.
	cfg.Timeout = 2 * time.Second
	cs, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return err
	}
	for {
		code := 0
		cs.RESTClient().Get().AbsPath("/readyz").Do(ctx).StatusCode(&code)
		if code == http.StatusOK {
			return nil
		}
		if err := pause(ctx, 40*time.Millisecond); err != nil {
			return err
		}
	}
}

// waitReady is WaitReady with the identity in a kubeconfig, which it returns.
func waitReady(ctx context.Context, kubeconfig string) (*rest.Config, error) {
	cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	return cfg, WaitReady(ctx, cfg)
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
