package integration

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// children finds the processes that pid started, by name, in /proc.
func children(t testing.TB, pid int) map[string]int {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(stats) == 0 {
		t.Skip("no /proc to look for processes in")
	}
	found := map[string]int{}
	for _, f := range stats {
		child, parent, _ := stat(f)
		if parent != pid {
			continue
		}
		cmdline, err := os.ReadFile(filepath.Join(filepath.Dir(f), "cmdline"))
		if err == nil {
			name, _, _ := strings.Cut(string(cmdline), "\x00")
			found[name] = child
		}
	}
	return found
}

// stat reads pid, parent and state of a process; zeros for one that is gone.
func stat(file string) (pid, parent int, state string) {
	b, err := os.ReadFile(file)
	if err != nil {
		return 0, 0, ""
	}
	// pid (name) state ppid …, where the name may hold anything.
	s := string(b)
	fields := strings.Fields(s[strings.LastIndex(s, ")")+1:])
	pid, _ = strconv.Atoi(s[:strings.Index(s, " ")])
	parent, _ = strconv.Atoi(fields[1])
	return pid, parent, fields[0]
}

func gone(pids map[string]int) error {
	for name, pid := range pids {
		if p, _, state := stat(fmt.Sprintf("/proc/%d/stat", pid)); p != 0 && state != "Z" {
			return fmt.Errorf("%s (%d) is alive, state %s", name, pid, state)
		}
	}
	return nil
}

func all(t testing.TB, p *process) map[string]int {
	t.Helper()
	pids := children(t, p.cmd.Process.Pid)
	for _, name := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok"} {
		if pids[name] == 0 {
			t.Errorf("no process %s among %v", name, pids)
		}
	}
	return pids
}

func TestSignalsEndEverything(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			p := start(t, t.TempDir())
			pids := all(t, p)
			if err := p.cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			p.wait(t, 0)
			if err := gone(pids); err != nil {
				t.Errorf("when it has ended: %v", err)
			}
			if _, err := os.Stat(filepath.Join(p.dir, "ready")); err == nil {
				t.Error("DIR/ready is still there")
			}
			if p.stderr.Len() != 0 {
				t.Errorf("it said: %s", &p.stderr)
			}
			if !strings.Contains(p.stdout.String(), "export KUBECONFIG="+p.kubeconfig()) {
				t.Errorf("standard output: %s", &p.stdout)
			}
		})
	}
}

func TestKilledSandboxLeavesNothingAndComesBack(t *testing.T) {
	dir, ctx := t.TempDir(), t.Context()
	p := start(t, dir)
	before, err := os.ReadFile(p.kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	tenant := user(t, dir, "tenant", "system:masters")
	cm := &corev1.ConfigMap{ObjectMeta: meta("kept"), Data: map[string]string{"a": "b"}}
	if _, err := clientset(t, tenant).CoreV1().ConfigMaps("default").Create(ctx, cm, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	// Its holder is about to die; nobody may have to wait until it expires.
	eventually(t, "the node has a lease", func() error {
		_, err := clientset(t, tenant).CoordinationV1().Leases("kube-node-lease").Get(ctx, "node-0", metav1.GetOptions{})
		return err
	})
	// What an older sandbox would not have: the deployment below needs it.
	if err := clientset(t, tenant).RbacV1().ClusterRoles().Delete(ctx, "abide-sandbox:kwok", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	pids := all(t, p)
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-p.exited
	eventually(t, "children end", func() error { return gone(pids) })

	// A kill leaves DIR/ready behind. It must go before anything else can
	// take the new sandbox for a ready one.
	if _, err := os.Stat(filepath.Join(dir, "ready")); err != nil {
		t.Fatalf("the test is about a stale ready file: %v", err)
	}
	again := launch(t, dir)
	eventually(t, "stale ready goes", func() error {
		b, err := os.ReadFile(filepath.Join(dir, "lock"))
		if err != nil || !strings.Contains(string(b), fmt.Sprintf(`"pid":%d,`, again.cmd.Process.Pid)) {
			return fmt.Errorf("lock is %s (%v)", b, err)
		}
		return nil
	})
	if err := again.ready(); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(p.kubeconfig())
	if err != nil || string(before) != string(after) {
		t.Errorf("the kubeconfig changed (%v)", err)
	}
	got, err := clientset(t, tenant).CoreV1().ConfigMaps("default").Get(ctx, "kept", metav1.GetOptions{})
	if err != nil || got.Data["a"] != "b" {
		t.Errorf("with an old kubeconfig of a user: %v, %v", got.Data, err)
	}
	cs := clientset(t, config(t, p.kubeconfig()))
	if _, err := cs.AppsV1().Deployments("default").Create(ctx, deployment("web", 1), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a deployment after the restart", func() error { return available(ctx, cs, "default", "web") })
	lease, err := cs.CoordinationV1().Leases("kube-node-lease").Get(ctx, "node-0", metav1.GetOptions{})
	if err != nil || lease.Spec.LeaseTransitions != nil {
		t.Errorf("the lease was waited for instead of made anew: %+v, %v", lease, err)
	}
}

func TestRestartWhileTheRemainsOfAKilledOneEnd(t *testing.T) {
	dir := t.TempDir()
	p := start(t, dir)
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	start(t, dir) // at once: its children may be alive still
}

func TestEndOfStandardInputEndsIt(t *testing.T) {
	p := start(t, t.TempDir())
	pids := all(t, p)
	if err := p.stdin.Close(); err != nil {
		t.Fatal(err)
	}
	p.wait(t, 0)
	if err := gone(pids); err != nil {
		t.Error(err)
	}
}

func TestDeadComponentEndsTheSandbox(t *testing.T) {
	p := start(t, t.TempDir())
	pids := all(t, p)
	if err := syscall.Kill(pids["kube-scheduler"], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	p.wait(t, 1)
	if err := gone(pids); err != nil {
		t.Error(err)
	}
	first, _, _ := strings.Cut(p.stderr.String(), "\n")
	for _, w := range []string{"abide-sandbox: kube-scheduler ended (signal: killed)", filepath.Join(p.dir, "logs", "kube-scheduler.log")} {
		if !strings.Contains(first, w) {
			t.Errorf("%q does not say %q", first, w)
		}
	}
	if _, err := os.Stat(filepath.Join(p.dir, "ready")); err == nil {
		t.Error("DIR/ready is still there")
	}
}

func TestDirectoryInUse(t *testing.T) {
	p := sandbox(t)
	before, err := os.ReadFile(filepath.Join(p.dir, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	_, stderr, status := run(t, "--data", p.dir)
	refused(t, stderr, status, p.dir, fmt.Sprintf("pid %d", p.cmd.Process.Pid), p.kubeconfig())
	after, err := os.ReadFile(filepath.Join(p.dir, "lock"))
	if err != nil || string(after) != string(before) {
		t.Errorf("the lock changed to %s (%v)", after, err)
	}
	if _, err := os.Stat(filepath.Join(p.dir, "ready")); err != nil {
		t.Errorf("the running sandbox lost its ready file: %v", err)
	}
	if _, err := admin(t).CoreV1().Nodes().List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Errorf("the running sandbox was damaged: %v", err)
	}
}

func TestPortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	dir := t.TempDir()
	stale := filepath.Join(dir, "ready")
	if err := os.WriteFile(stale, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, stderr, status := run(t, "--data", dir, "--port", port)
	refused(t, stderr, status, "port "+port, "in use", "--port")
	if _, err := os.Stat(stale); !errors.Is(err, os.ErrNotExist) {
		t.Error("a stale DIR/ready says that a sandbox is ready that never started")
	}
}

func TestGivenPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	p := start(t, t.TempDir(), "--port", strconv.Itoa(port))
	if got, want := config(t, p.kubeconfig()).Host, fmt.Sprintf("https://127.0.0.1:%d", port); got != want {
		t.Errorf("the server is at %s, want %s", got, want)
	}
}

func TestEarlierPortThatIsTakenIsReplaced(t *testing.T) {
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	taken := l.Addr().(*net.TCPAddr).Port
	if err := os.WriteFile(filepath.Join(dir, "ports.json"), fmt.Appendf(nil, `{"api":%d,"kubelet":%d}`, taken, taken), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, dir)
	if _, err := clientset(t, config(t, p.kubeconfig())).CoreV1().Nodes().List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Errorf("on another port: %v", err)
	}
}

func TestTemporaryDirectoryIsRemoved(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	p := launch(t, "") // no --data
	eventually(t, "ready", func() error {
		found, err := filepath.Glob(filepath.Join(tmp, "abide-sandbox-*", "ready"))
		if err == nil && len(found) != 1 {
			err = fmt.Errorf("found %v", found)
		}
		return err
	})
	p.terminate()
	p.wait(t, 0)
	left, err := os.ReadDir(tmp)
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
}

func TestDirectoryWithALongPath(t *testing.T) {
	// Longer than the address of a unix socket may be.
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 30))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	start(t, dir)
}
