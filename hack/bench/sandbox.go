package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// user is who the controller is in the audit log.
const user = "abide-bench"

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
	err = s.until(ctx, 20*time.Millisecond, "the sandbox is ready", func() (bool, error) {
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

// server is what the API server and etcd have used.
func (s *sandbox) server() (usage, error) {
	return usageOf(s.pid(), func(command string) bool {
		return strings.Contains(command, "\x00etcd\x00") || strings.Contains(command, "\x00kube-apiserver\x00")
	})
}

// calm returns when what the sandbox has to do in the background is done, or
// goes on for too long to wait for it.
func (s *sandbox) calm(ctx context.Context) error {
	const (
		window = 500 * time.Millisecond
		idle   = window / 5 // of processor time
		tries  = 40
	)
	before, err := s.everything()
	for range tries {
		if err != nil {
			return err
		}
		if err := s.pause(ctx, window); err != nil {
			return err
		}
		var now usage
		if now, err = s.everything(); err == nil && now.processor()-before.processor() < idle {
			return nil
		}
		before = now
	}
	return err
}

func (s *sandbox) everything() (usage, error) { return usageOf(s.pid(), nil) }

// controller is a running abide controller, and how to start it again.
type controller struct {
	*process
	log, program string
	args         []string
	pprof        string // address, if profiles are wanted
}

// newController prepares a controller with a user of its own.
func newController(ctx context.Context, o options, dir string, s *sandbox) (*controller, error) {
	kubeconfig := filepath.Join(dir, "controller.kubeconfig")
	b, err := exec.CommandContext(ctx, filepath.Join(o.bin, "abide-sandbox"), "kubeconfig",
		"--data", s.dir, "--user", user, "--group", "system:masters").Output()
	if err != nil {
		return nil, fmt.Errorf("credentials of %s: %w", user, err)
	}
	if err := os.WriteFile(kubeconfig, b, 0o600); err != nil {
		return nil, err
	}
	c := &controller{
		log: filepath.Join(dir, "controller.log"), program: filepath.Join(o.bin, "abide"),
		args: []string{"controller", "--kubeconfig", kubeconfig, "--cache-dir", filepath.Join(dir, "cache"), "--audit-log", filepath.Join(dir, "audit.jsonl"),
			"--allow-addresses", "127.0.0.0/8,::1"}, // the repository is served from here
	}
	if o.profiles != "" {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		c.pprof = l.Addr().String()
		l.Close()
		c.args = append(c.args, "--pprof", c.pprof)
	}
	return c, nil
}

func (c *controller) start() (err error) {
	c.process, err = start(c.log, c.program, c.args...)
	return err
}
