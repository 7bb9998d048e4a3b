// Package sandboxtest gives tests a real Kubernetes API server: the built
// abide-sandbox.
//
// Start gives a test a sandbox of its own; it is ready in about two seconds
// and takes some 450 MiB. Tests that can share one (in namespaces of their
// own, see Namespace) take that of their package with Shared:
//
//	func TestMain(m *testing.M) { os.Exit(sandboxtest.RunMain(m)) }
//
//	func TestApply(t *testing.T) {
//		sb := sandboxtest.Shared(t)
//		ns := sb.Namespace(t)
//		…
//	}
//
// The program is looked up in $ABIDE_SANDBOX, then in bin/abide-sandbox of
// this repository. Where it is missing tests are skipped, but fail if CI=true.
//
// A sandbox ends with the test binary however that ends, since it watches the
// other end of its standard input. Only its temporary directory may be left
// behind by a test binary that was killed.
package sandboxtest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	startPatience = 90 * time.Second // a machine may be busy with other tests
	stopPatience  = 15 * time.Second
)

// Sandbox is a running abide-sandbox.
type Sandbox struct {
	// Dir is its data directory.
	Dir string
	// Kubeconfig is the path of the cluster-admin's kubeconfig (user "admin").
	Kubeconfig string
	// AuditLog is the path of the audit log; see Requests.
	AuditLog string

	binary string
	cfg    *rest.Config
	cmd    *exec.Cmd
	stdin  io.Closer
	stderr *bytes.Buffer // only to be read after exited is closed
	exited chan struct{}
	stop   sync.Once
}

// Option changes how a sandbox is started.
type Option func(*options)

type options struct {
	dir   string
	nodes int
}

// Dir keeps the data in dir, so that a test can start a second sandbox on it
// after it stopped the first. The default is a temporary directory.
func Dir(dir string) Option { return func(o *options) { o.dir = dir } }

// Nodes sets the number of simulated nodes; the default is 1.
func Nodes(n int) Option { return func(o *options) { o.nodes = n } }

// Start starts a sandbox that stops at the end of the test.
func Start(t testing.TB, opts ...Option) *Sandbox {
	t.Helper()
	bin := Binary(t)
	o := options{nodes: 1}
	for _, opt := range opts {
		opt(&o)
	}
	if o.dir == "" {
		o.dir = t.TempDir()
	}
	s, err := start(bin, o)
	if err != nil {
		t.Fatalf("start %s: %v", bin, err)
	}
	t.Cleanup(s.Stop)
	return s
}

func start(bin string, o options) (*Sandbox, error) {
	dir, err := filepath.Abs(o.dir)
	if err != nil {
		return nil, err
	}
	s := &Sandbox{
		Dir:        dir,
		Kubeconfig: filepath.Join(dir, "kubeconfig"),
		AuditLog:   filepath.Join(dir, "audit.log"),
		binary:     bin,
		stderr:     &bytes.Buffer{},
		exited:     make(chan struct{}),
	}
	// One that an earlier sandbox left would look like ours.
	if err := os.Remove(filepath.Join(dir, "ready")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	s.cmd = exec.Command(bin, "--data", dir, "--audit-log", s.AuditLog, "--nodes", strconv.Itoa(o.nodes), "--exit-with-stdin")
	s.cmd.Stderr = s.stderr
	if s.stdin, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = s.cmd.Wait() // what it says is in stderr
		close(s.exited)
	}()
	if err := s.waitReady(); err != nil {
		s.Stop()
		return nil, fmt.Errorf("%w\n%s", err, s.stderr)
	}
	if s.cfg, err = config(s.Kubeconfig); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

func (s *Sandbox) waitReady() error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(startPatience)
	for {
		if _, err := os.Stat(filepath.Join(s.Dir, "ready")); err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-s.exited:
			return errors.New("it ended instead of becoming ready")
		case <-deadline:
			return fmt.Errorf("not ready within %s", startPatience)
		}
	}
}

// Stop ends the sandbox and returns when all its processes are gone. Tests
// need it only to do something after the end; it may be called repeatedly.
func (s *Sandbox) Stop() {
	s.stop.Do(func() {
		_ = s.stdin.Close() // an error means that it has ended
		select {
		case <-s.exited:
		case <-time.After(stopPatience):
			_ = s.cmd.Process.Kill()
			<-s.exited
		}
	})
}

// PID is the process to kill in tests of what a sandbox's death does.
func (s *Sandbox) PID() int { return s.cmd.Process.Pid }

// Config is the cluster-admin's, without client-side throttling. The caller
// may change it.
func (s *Sandbox) Config() *rest.Config { return rest.CopyConfig(s.cfg) }

// User gives the credentials of another user, who may do nothing until RBAC
// says so. Its requests are found in the audit log by its name.
func (s *Sandbox) User(t testing.TB, name string, groups ...string) *rest.Config {
	t.Helper()
	cfg, err := config(s.UserKubeconfig(t, name, groups...))
	if err != nil {
		t.Fatalf("credentials of %s: %v", name, err)
	}
	return cfg
}

// UserKubeconfig is User as the path of a kubeconfig, which lives as long as
// the test.
func (s *Sandbox) UserKubeconfig(t testing.TB, name string, groups ...string) string {
	t.Helper()
	args := []string{"kubeconfig", "--data", s.Dir, "--user", name}
	for _, g := range groups {
		args = append(args, "--group", g)
	}
	out, err := exec.Command(s.binary, args...).Output()
	if err != nil {
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
			t.Fatalf("credentials of %s: %s", name, exit.Stderr)
		}
		t.Fatalf("credentials of %s: %v", name, err)
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, out, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func config(kubeconfig string) (*rest.Config, error) {
	cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, err
	}
	cfg.QPS = -1
	return cfg, nil
}
