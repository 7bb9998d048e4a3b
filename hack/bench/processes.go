package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// user is who the controller is in the audit log.
const user = "abide-bench"

// process is a program that bench started.
type process struct {
	cmd    *exec.Cmd
	log    *os.File
	exited chan struct{}
}

// start runs a program with its output in a file.
func start(logFile, program string, args ...string) (*process, error) {
	log, err := os.Create(logFile)
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.Command(program, args...), log: log, exited: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := p.cmd.Start(); err != nil {
		log.Close()
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait() // what it says is in its log
		close(p.exited)
	}()
	return p, nil
}

// stop ends the program and returns when it is gone.
func (p *process) stop() {
	defer p.log.Close()
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // an error means that it has ended
	select {
	case <-p.exited:
	case <-time.After(15 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.exited
	}
}

// tail is the end of what the program said.
func (p *process) tail() string {
	b, err := os.ReadFile(p.log.Name())
	if err != nil {
		return err.Error()
	}
	if len(b) > 2000 {
		b = b[len(b)-2000:]
	}
	return string(bytes.TrimSpace(b))
}

// sandbox is a running abide-sandbox.
type sandbox struct {
	*process
	dir   string
	audit string
	admin *rest.Config
}

func startSandbox(ctx context.Context, bin, dir string) (*sandbox, error) {
	s := &sandbox{dir: filepath.Join(dir, "sandbox"), audit: filepath.Join(dir, "audit.log")}
	var err error
	s.process, err = start(filepath.Join(dir, "sandbox.log"), filepath.Join(bin, "abide-sandbox"),
		"--data", s.dir, "--audit-log", s.audit)
	if err != nil {
		return nil, err
	}
	err = until(ctx, s.process, "the sandbox is ready", func() (bool, error) {
		_, err := os.Stat(filepath.Join(s.dir, "ready"))
		return err == nil, nil
	})
	if err == nil {
		s.admin, err = clientcmd.BuildConfigFromFlags("", filepath.Join(s.dir, "kubeconfig"))
	}
	if err != nil {
		s.stop()
		return nil, err
	}
	s.admin.QPS = -1
	return s, nil
}

// startController starts the controller under a name of its own.
func startController(ctx context.Context, bin, dir string, s *sandbox) (*process, error) {
	kubeconfig := filepath.Join(dir, "controller.kubeconfig")
	b, err := exec.CommandContext(ctx, filepath.Join(bin, "abide-sandbox"), "kubeconfig",
		"--data", s.dir, "--user", user, "--group", "system:masters").Output()
	if err != nil {
		return nil, fmt.Errorf("credentials of %s: %w", user, err)
	}
	if err := os.WriteFile(kubeconfig, b, 0o600); err != nil {
		return nil, err
	}
	return start(filepath.Join(dir, "controller.log"), filepath.Join(bin, "abide"),
		"controller", "--kubeconfig", kubeconfig, "--cache-dir", filepath.Join(dir, "cache"), "--allow-local-repositories")
}

// until asks every few milliseconds until done says so, p ends, or patience does.
func until(ctx context.Context, p *process, what string, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-p.exited:
			return errors.New("the program ended before " + what + ":\n" + p.tail())
		case <-ctx.Done():
			return fmt.Errorf("waiting until %s: %w\n%s", what, context.Cause(ctx), p.tail())
		}
	}
}
