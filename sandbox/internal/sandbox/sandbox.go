// Package sandbox runs a Kubernetes control plane as one foreground process
// and five children: etcd, kube-apiserver, kube-controller-manager,
// kube-scheduler and kwok, which are this same program started again.
//
//   - Everything listens on 127.0.0.1 or on unix sockets below DIR, and asks
//     for client certificates of DIR's own CA.
//   - The parent opens the TCP sockets and hands them to the children that
//     serve them, so a port that was found free stays ours.
//   - All children start at once, each waits for what it needs, and the parent
//     says ready when the API server is, all nodes are, and pods can be made.
//   - No child outlives the parent (see package supervise). All hold the lock
//     of DIR, so that a later sandbox waits for the last of them.
//   - If one component ends, all end: a control plane with a part missing is
//     worse than none.
//
// What is kept on disk is listed in package datadir.
package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"abide.dev/abide/sandbox/internal/component"
	"abide.dev/abide/sandbox/internal/datadir"
	"abide.dev/abide/sandbox/internal/pki"
	"abide.dev/abide/sandbox/internal/supervise"
)

const (
	readyPatience = 2 * time.Minute
	stopGrace     = 2 * time.Second
	tailLines     = 5
)

var lockPatience = datadir.Patience{Dead: 5 * time.Second, Alive: time.Second}

// Options say how to run.
type Options struct {
	Data     string // directory; empty: a temporary one that goes at the end
	Port     int    // of the API server; 0: any
	Nodes    int
	AuditLog string // file; empty: none
	// Verbose copies the components' logs to Log.
	Verbose bool
	Log     io.Writer
	// Ready is told once when the sandbox can be used.
	Ready func(Info)
	Now   func() time.Time
}

// Info describes a running sandbox.
type Info struct {
	URL        string
	Kubeconfig string
	Took       time.Duration
}

// ComponentError says that a component ended that nobody asked to end.
type ComponentError struct {
	supervise.Exit
	Tail []string
}

func (e *ComponentError) Error() string {
	how := "exit status 0"
	if e.Err != nil {
		how = e.Err.Error()
	}
	if len(e.Tail) == 0 {
		return fmt.Sprintf("%s ended (%s) and the sandbox with it; its log %s is empty", e.Name, how, e.Log)
	}
	return fmt.Sprintf("%s ended (%s) and the sandbox with it; the end of %s:\n  %s", e.Name, how, e.Log, strings.Join(e.Tail, "\n  "))
}

// Run runs a sandbox until ctx ends, which is no error, or a component does.
// When it returns all its processes are gone.
func Run(ctx context.Context, o Options) (err error) {
	start := o.Now()
	auditLog, err := prepareAuditLog(o.AuditLog)
	if err != nil {
		return err
	}
	path := o.Data
	if path == "" {
		if path, err = os.MkdirTemp("", "abide-sandbox-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(path)) }()
	}
	dir, err := datadir.Open(path)
	if err != nil {
		return err
	}
	lock, err := dir.Acquire(ctx, lockPatience)
	if err != nil {
		return err
	}
	defer lock.Release()
	// A ready file that a killed sandbox left must not outlast this line.
	if err := dir.ClearReady(); err != nil {
		return err
	}
	listeners, ports, err := dir.Listen(o.Port)
	if err != nil {
		return err
	}
	defer listeners.Close()
	url := fmt.Sprintf("https://127.0.0.1:%d", ports.API)
	if err := writeCredentials(dir, url, o.Now); err != nil {
		return err
	}
	if err := datadir.WriteFile(dir.Run("audit-policy.yaml"), []byte(auditPolicy)); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	var tee io.Writer
	if o.Verbose {
		tee = o.Log
	}
	group := supervise.NewGroup(tee)
	defer group.Stop(stopGrace)
	defer func() { err = errors.Join(err, dir.ClearReady()) }()
	if err := startAll(group, dir, self, lock, listeners, ports, auditLog); err != nil {
		return err
	}
	listeners.Close() // the children have theirs

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case e := <-group.Exits():
			cancel(&ComponentError{Exit: e, Tail: supervise.Tail(e.Log, tailLines)})
		case <-ctx.Done():
		}
	}()
	err = becomeReady(ctx, dir, o.Nodes, ports.Kubelet)
	if err == nil {
		err = dir.SetReady(url)
	}
	if err == nil {
		o.Ready(Info{URL: url, Kubeconfig: dir.Kubeconfig(), Took: o.Now().Sub(start)})
		<-ctx.Done()
	}
	if dead := (*ComponentError)(nil); errors.As(context.Cause(ctx), &dead) {
		return dead
	}
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func becomeReady(ctx context.Context, dir datadir.Dir, nodes, kubeletPort int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyPatience, fmt.Errorf("not ready within %s; see the logs in %s", readyPatience, dir.Logs()))
	defer cancel()
	err := func() error {
		cfg, err := clientcmd.BuildConfigFromFlags("", dir.Component(kubeconfigOwn))
		if err != nil {
			return err
		}
		cfg.QPS = -1
		if err := component.WaitReady(ctx, cfg); err != nil {
			return err
		}
		cs, err := kubernetes.NewForConfig(cfg)
		if err != nil {
			return err
		}
		if err := ensureNodes(ctx, cs, nodes, kubeletPort); err != nil {
			return err
		}
		return waitUsable(ctx, cs, nodes)
	}()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// prepareAuditLog makes the path absolute, since components have a working
// directory of their own, and finds out early whether it can be written.
func prepareAuditLog(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("audit log %q: %w", path, err)
	}
	f, err := os.OpenFile(abs, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return "", fmt.Errorf("audit log: %w", err)
	}
	return abs, f.Close()
}

// UserKubeconfig renders a kubeconfig for a user of the sandbox at path,
// which need not be running. The certificate is good for a year.
func UserKubeconfig(path, user string, groups []string, now func() time.Time) ([]byte, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	dir := datadir.Dir(abs)
	ca, err := pki.Load(dir, now)
	if errors.Is(err, pki.ErrNoAuthority) {
		return nil, fmt.Errorf("%s is not a sandbox's directory: there is no %s; start one there with `abide-sandbox --data %s`", abs, dir.PKI("ca.crt"), path)
	}
	if err != nil {
		return nil, err
	}
	server, err := pki.Server(dir.Kubeconfig())
	if err != nil {
		return nil, fmt.Errorf("%s: where the server is: %w", abs, err)
	}
	kp, err := ca.Issue(pki.Identity{Name: user, Groups: groups})
	if err != nil {
		return nil, err
	}
	return ca.Kubeconfig(server, user, kp)
}
