package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/cluster"
)

// sandbox is a running abide-sandbox.
type sandbox struct {
	kubeconfig string
	stop       func()
}

// sandboxReady is how long a sandbox may take to start on a busy machine.
const sandboxReady = 2 * time.Minute

// startSandbox runs abide-sandbox on a directory and waits until it is ready.
// It ends when it is stopped, and when this process ends, however that ends.
func startSandbox(ctx context.Context, s Streams, dir string, cancel context.CancelCauseFunc) (*sandbox, error) {
	program, err := findSandbox()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, "--data", dir, "--exit-with-stdin")
	cmd.Stdout, cmd.Stderr = io.Discard, s.Err
	detach(cmd)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", program, err)
	}
	exited := make(chan struct{})
	var stopping sync.Once
	sb := &sandbox{kubeconfig: filepath.Join(dir, "kubeconfig")}
	sb.stop = func() {
		stopping.Do(func() { stdin.Close() })
		<-exited
	}
	go func() {
		err := cmd.Wait()
		close(exited)
		stopping.Do(func() {
			cancel(fmt.Errorf("the sandbox has stopped: %w", errors.Join(err, errors.New("see "+filepath.Join(dir, "logs")))))
		})
	}()
	deadline := time.After(sandboxReady)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(filepath.Join(dir, "ready")); err == nil {
			return sb, nil
		}
		select {
		case <-tick.C:
		case <-exited:
			return nil, &exitError{code: exitFailed} // it has said why
		case <-ctx.Done():
			sb.stop()
			return nil, &exitError{code: exitFailed}
		case <-deadline:
			sb.stop()
			return nil, fmt.Errorf("the sandbox is not ready after %s; its logs are in %s", sandboxReady, filepath.Join(dir, "logs"))
		}
	}
}

// findSandbox finds the program: named by the environment, beside this one, or
// in the PATH.
func findSandbox() (string, error) {
	if p := os.Getenv("ABIDE_SANDBOX"); p != "" {
		return p, nil
	}
	if self, err := os.Executable(); err == nil {
		p := filepath.Join(filepath.Dir(self), "abide-sandbox")
		if _, err := os.Stat(p); err == nil {
			return p, nil
		}
	}
	p, err := exec.LookPath("abide-sandbox")
	if err != nil {
		return "", errors.New("abide-sandbox is neither beside abide nor in the PATH: build it with make build, or use a cluster of your own with --kubeconfig or --context")
	}
	return p, nil
}

// kindsReady is how long the API server may take to serve new kinds.
const kindsReady = 30 * time.Second

// applyManifests applies objects in their order, waiting for kinds that others
// among them define.
func applyManifests(ctx context.Context, cfg *rest.Config, objs []*unstructured.Unstructured) error {
	kube, err := cluster.New(cfg)
	if err != nil {
		return err
	}
	c, err := kube.AsController()
	if err != nil {
		return err
	}
	for _, u := range objs {
		k, err := awaitKind(ctx, kube, u)
		if err != nil {
			return err
		}
		if _, err := c.Apply(ctx, k, u, cluster.Checking); err != nil {
			return fmt.Errorf("applying %s %s: %w", u.GetKind(), u.GetName(), err)
		}
	}
	for _, kind := range v1alpha1.Kinds() {
		own := &unstructured.Unstructured{}
		own.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
		if _, err := awaitKind(ctx, kube, own); err != nil {
			return err
		}
	}
	return nil
}

// awaitKind returns the kind of an object as soon as the API server serves it.
func awaitKind(ctx context.Context, kube *cluster.Cluster, u *unstructured.Unstructured) (cluster.Kind, error) {
	deadline := time.After(kindsReady)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if k, ok := kube.Kinds.Lookup(u.GroupVersionKind()); ok {
			return k, nil
		}
		if err := kube.Kinds.Refresh(ctx, time.Now().Add(-time.Millisecond)); err != nil {
			return cluster.Kind{}, err
		}
		if k, ok := kube.Kinds.Lookup(u.GroupVersionKind()); ok {
			return k, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return cluster.Kind{}, context.Cause(ctx)
		case <-deadline:
			return cluster.Kind{}, fmt.Errorf("the API server does not serve %s after %s", u.GroupVersionKind(), kindsReady)
		}
	}
}
