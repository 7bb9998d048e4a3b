package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

// process is a running abide.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{}
}

// start runs the abide program until it is stopped or the test ends. Its log is
// printed if the test fails.
func start(t *testing.T, log string, args ...string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd := exec.Command(self, args...)
	cmd.Args[0] = "abide"
	cmd.Env = append(os.Environ(), asAbide+"=1")
	cmd.Stdout, cmd.Stderr = f, f
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: cmd, exited: make(chan struct{})}
	go func() {
		cmd.Wait()
		close(p.exited)
	}()
	return p
}

// kill ends the process as kill -9 does, and what it started with it.
func (p *process) kill() {
	syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	<-p.exited
}

// stop ends the process as a cluster would, and waits for it.
func (p *process) stop() {
	p.cmd.Process.Signal(syscall.SIGTERM)
	<-p.exited
}

// logOnFailure prints the end of a log file when the test has failed.
func logOnFailure(t *testing.T, path string) {
	var once sync.Once
	t.Cleanup(func() {
		once.Do(func() {
			if !t.Failed() {
				return
			}
			b, err := os.ReadFile(path)
			if err != nil {
				return
			}
			if lines := bytes.Split(b, []byte("\n")); len(lines) > 60 {
				b = bytes.Join(lines[len(lines)-60:], []byte("\n"))
			}
			t.Logf("the end of %s:\n%s", filepath.Base(path), b)
		})
	})
}
