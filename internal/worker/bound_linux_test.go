package worker

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"abide.dev/abide/internal/render"
)

// TestNothingComesAlong looks at a worker from outside.
func TestNothingComesAlong(t *testing.T) {
	t.Setenv("SECRET", "value")
	p := newPool(t, Options{})
	pid := said(t, p, "t", "pid")
	p.mu.Lock()
	proc := filepath.Join("/proc", strconv.Itoa(p.idle[0].cmd.Process.Pid))
	p.mu.Unlock()
	if pid != filepath.Base(proc) {
		t.Fatalf("the worker is %s and %s", pid, proc)
	}
	if b, err := os.ReadFile(filepath.Join(proc, "environ")); err != nil || len(b) > 0 {
		t.Errorf("environment %q, %v", b, err)
	}
	if got := said(t, p, "t", "environment"); got != "[]" {
		t.Errorf("the worker says that its environment is %s", got)
	}
	if dir, err := os.Readlink(filepath.Join(proc, "cwd")); err != nil || dir != "/" {
		t.Errorf("working directory %s, %v", dir, err)
	}
	if b, err := os.ReadFile(filepath.Join(proc, "oom_score_adj")); err != nil || strings.TrimSpace(string(b)) != "1000" {
		t.Errorf("oom_score_adj %s, %v", b, err)
	}
	fds, err := os.ReadDir(filepath.Join(proc, "fd"))
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		to, err := os.Readlink(filepath.Join(proc, "fd", fd.Name()))
		if err != nil {
			t.Fatal(err)
		}
		// The runtime's own: to wait for descriptors, and the limit of its group.
		own := strings.HasPrefix(to, "anon_inode:") || strings.Contains(to, "cpu.max") || strings.Contains(to, "cpu.cfs_")
		if n, _ := strconv.Atoi(fd.Name()); !(n == 0 && to == os.DevNull) && !(n >= 1 && n <= 4 && strings.HasPrefix(to, "pipe:")) && !own {
			t.Errorf("descriptor %s is %s", fd.Name(), to)
		}
	}
	if sid, err := unix.Getsid(p.idle[0].cmd.Process.Pid); err != nil || strconv.Itoa(sid) != pid {
		t.Errorf("session %d, %v", sid, err)
	}
}

// TestKernelRefuses has a renderer try what it must not do.
func TestKernelRefuses(t *testing.T) {
	p := newPool(t, Options{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan struct{})
	go func() {
		if c, err := l.Accept(); err == nil {
			c.Close()
			close(accepted)
		}
	}()
	said(t, p, "t", "pid")
	if !strings.Contains(p.Bounds(), "system call filter") || strings.Contains(p.Bounds(), "no system call filter") {
		t.Fatalf("there is no filter here: %s", p.Bounds())
	}
	t.Log(p.Bounds())
	for name, question := range map[string]string{
		"connect to an address": "connect/" + l.Addr().String(),
		"listen":                "listen",
		"read a file":           "open/etc/passwd",
		"read its own process":  "open/proc/self/environ",
		"write a file":          "create/" + strings.TrimPrefix(t.TempDir(), "/") + "/x",
		"become a program":      "exec/" + realPath(t, "/bin/true"),
		"run a program":         "run/" + realPath(t, "/bin/true"),
		"kill its parent":       "kill",
	} {
		t.Run(name, func(t *testing.T) {
			if got := said(t, p, "t", question); got != unix.EPERM.Error() {
				t.Errorf("the kernel says %s", got)
			}
		})
	}
	select {
	case <-accepted:
		t.Error("it connected")
	default:
	}
	if res, err := p.Render(t.Context(), "t", oneFile(), render.Request{Path: "app"}); err != nil || len(res.Objects) != 1 {
		t.Errorf("it renders no more: %v", err)
	}
}

// TestParentKilled kills a parent: no worker may stay, be it busy or not.
func TestParentKilled(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	parent := exec.Command(self)
	parent.Env = append(os.Environ(), asParent+"=1")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	var open []int
	for _, word := range strings.Fields(line) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(err)
		}
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		open = append(open, fd)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	for _, fd := range open {
		for {
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 30_000)
			if err == unix.EINTR {
				continue
			}
			if n != 1 || err != nil {
				t.Fatalf("a worker lives on: %d, %v", n, err)
			}
			break
		}
	}
}

// TestWithoutNamespaces renders where the system gives none.
func TestWithoutNamespaces(t *testing.T) {
	p := newPool(t, Options{})
	p.mu.Lock()
	p.isolate = false
	p.mu.Unlock()
	if got := said(t, p, "t", "open/etc/passwd"); got != unix.EPERM.Error() {
		t.Errorf("the kernel says %s", got)
	}
	if strings.Contains(p.Bounds(), "a network of its own") {
		t.Errorf("bounds: %s", p.Bounds())
	}
}

// TestTotal ends the largest when all together take too much.
func TestTotal(t *testing.T) {
	p := newPool(t, Options{Memory: 400 << 20, Total: 64 << 20})
	if p.o.Memory != 64<<20 {
		t.Errorf("one may take %d, and all together %d", p.o.Memory, p.o.Total)
	}
	small, large := &child{}, &child{}
	small.size.Store(30 << 20)
	large.size.Store(40 << 20)
	p.working[small], p.working[large] = struct{}{}, struct{}{}
	if !p.largest(large) || p.largest(small) {
		t.Error("the largest is not the one to end")
	}
	delete(p.working, small)
	if p.largest(large) {
		t.Error("it is ended although there is room")
	}
	delete(p.working, large)
}
