// Package integration tests the built abide-sandbox from outside.
package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const patience = 60 * time.Second

// binary is the program under test. Tests that need it are skipped where it
// is missing, but not in CI.
func binary(t testing.TB) string {
	t.Helper()
	path := os.Getenv("ABIDE_SANDBOX")
	if path == "" {
		wd, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		path = filepath.Join(wd, "..", "..", "bin", "abide-sandbox")
	}
	if _, err := os.Stat(path); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no program to test: %v", err)
		}
		t.Skipf("no program to test: %v; build it with make bin/abide-sandbox", err)
	}
	return path
}

// process is a running program under test.
type process struct {
	dir    string
	cmd    *exec.Cmd
	stdin  io.Closer
	stdout bytes.Buffer // both to be read after exited is closed
	stderr bytes.Buffer
	exited chan struct{}
}

// launch starts the program on dir and does not wait for it to be ready.
func launch(t testing.TB, dir string, args ...string) *process {
	t.Helper()
	p, err := launchBinary(binary(t), dir, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.terminate)
	return p
}

func launchBinary(bin, dir string, args ...string) (*process, error) {
	p := &process{dir: dir, exited: make(chan struct{})}
	args = append(args, "--exit-with-stdin")
	if dir != "" {
		args = append(args, "--data", dir)
	}
	p.cmd = exec.Command(bin, args...)
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil { // ends with this test binary
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.exited)
	}()
	return p, nil
}

func (p *process) ready() error {
	return until(func() error {
		select {
		case <-p.exited:
			return stop{fmt.Errorf("ended before it was ready: %s", &p.stderr)}
		default:
		}
		_, err := os.Stat(filepath.Join(p.dir, "ready"))
		return err
	})
}

func (p *process) terminate() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	<-p.exited
}

func (p *process) kubeconfig() string { return filepath.Join(p.dir, "kubeconfig") }

// start launches the program and waits until it is ready.
func start(t testing.TB, dir string, args ...string) *process {
	t.Helper()
	p := launch(t, dir, args...)
	if err := p.ready(); err != nil {
		t.Fatal(err)
	}
	return p
}

// wait waits for the end of the process and checks its status.
func (p *process) wait(t testing.TB, status int) {
	t.Helper()
	select {
	case <-p.exited:
	case <-time.After(patience):
		t.Fatal("the sandbox did not end")
	}
	if got := p.cmd.ProcessState.ExitCode(); got != status {
		t.Errorf("exit status %d, want %d; it said: %s", got, status, &p.stderr)
	}
}

// stop ends until at once.
type stop struct{ error }

// until repeats f until it gives no error; it returns the last one when
// patience is at its end.
func until(f func() error) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for {
		err := f()
		if final := (stop{}); err == nil || errors.As(err, &final) {
			return err
		}
		select {
		case <-tick.C:
		case <-deadline:
			return fmt.Errorf("after %s: %w", patience, err)
		}
	}
}

func eventually(t testing.TB, what string, f func() error) {
	t.Helper()
	if err := until(f); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// run runs the program to its end.
func run(t testing.TB, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary(t), args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) {
			t.Fatal(err)
		}
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// refused checks for one clear line and status 1.
func refused(t testing.TB, stderr string, status int, words ...string) {
	t.Helper()
	if status != 1 {
		t.Errorf("exit status %d, want 1", status)
	}
	if !strings.HasPrefix(stderr, "abide-sandbox: ") || strings.Count(stderr, "\n") != 1 {
		t.Errorf("want one line that begins with abide-sandbox:, got %q", stderr)
	}
	for _, w := range words {
		if !strings.Contains(stderr, w) {
			t.Errorf("%q does not say %q", stderr, w)
		}
	}
}

func config(t testing.TB, kubeconfig string) *rest.Config {
	t.Helper()
	cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	cfg.QPS = -1
	return cfg
}

// user makes credentials for another user of the sandbox on dir.
func user(t testing.TB, dir, name string, groups ...string) *rest.Config {
	t.Helper()
	args := []string{"kubeconfig", "--data", dir, "--user", name}
	for _, g := range groups {
		args = append(args, "--group", g)
	}
	stdout, stderr, status := run(t, args...)
	if status != 0 {
		t.Fatalf("kubeconfig: %s", stderr)
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(path, []byte(stdout), 0o600); err != nil {
		t.Fatal(err)
	}
	return config(t, path)
}

var shared struct {
	once sync.Once
	dir  string
	p    *process
	err  error
}

// sandbox is the one that most tests share, with an audit log in its dir.
func sandbox(t testing.TB) *process {
	t.Helper()
	bin := binary(t)
	shared.once.Do(func() {
		if shared.dir, shared.err = os.MkdirTemp("", "sandbox-test-"); shared.err != nil {
			return
		}
		shared.p, shared.err = launchBinary(bin, shared.dir, "--audit-log", filepath.Join(shared.dir, "audit.log"), "--nodes", "2")
		if shared.err == nil {
			shared.err = shared.p.ready()
		}
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.p
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.p != nil {
		shared.p.terminate()
	}
	if shared.dir != "" {
		os.RemoveAll(shared.dir)
	}
	os.Exit(code)
}
