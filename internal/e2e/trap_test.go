package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// bait is a secret in the environment of the controller.
const bait = "hunter2-of-the-controller"

// trap notices what the controller and its children reach and run: a listener
// on loopback, a log of the programs that are found on the PATH, and what the
// system knows of its processes.
type trap struct {
	t        *testing.T
	addr     string
	connects atomic.Int64
	dir, log string
	children []int // that were seen
}

// decoys are programs that a renderer could want.
var decoys = []string{"helm", "kustomize", "kubectl", "jsonnet", "tk", "docker", "podman", "ssh", "curl", "wget", "starlark", "sh", "bash", "python3", "go", "sops"}

func newTrap(t *testing.T) *trap {
	t.Helper()
	tr := &trap{t: t, dir: t.TempDir()}
	tr.log = filepath.Join(tr.dir, "calls")
	git, err := exec.LookPath("git")
	must(t, err)
	for _, name := range decoys {
		tr.script(name, "exit 1")
	}
	tr.script("git", "exec "+git+" \"$@\"")
	l, err := net.Listen("tcp", "127.0.0.2:0") // the servers of the tests are at another one
	must(t, err)
	t.Cleanup(func() { l.Close() })
	tr.addr = l.Addr().String()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			tr.connects.Add(1)
			c.Close()
		}
	}()
	c, err := net.Dial("tcp", tr.addr)
	must(t, err)
	c.Close()
	eventually(t, "the listener notices a connection", func() error {
		if tr.connects.Load() != 1 {
			return errors.New("it has not")
		}
		return nil
	})
	tr.connects.Store(0)
	exec.Command(filepath.Join(tr.dir, "curl"), tr.addr).Run() // it says that it failed
	if b, err := os.ReadFile(tr.log); err != nil || string(b) != "curl "+tr.addr+"\n" {
		t.Fatalf("a decoy that was run left %q, %v", b, err)
	}
	must(t, os.Remove(tr.log))
	return tr
}

func (tr *trap) script(name, then string) {
	text := "#!/bin/sh\necho " + name + " \"$*\" >>" + tr.log + "\n" + then + "\n"
	must(tr.t, os.WriteFile(filepath.Join(tr.dir, name), []byte(text), 0o755))
}

// around starts something that finds the decoys first, and the bait.
func (tr *trap) around(start func()) {
	old := os.Getenv("PATH")
	tr.t.Setenv("ABIDE_BAIT", bait)
	tr.t.Setenv("PATH", tr.dir+string(os.PathListSeparator)+old)
	start()
	os.Unsetenv("ABIDE_BAIT")
	os.Setenv("PATH", old)
}

// procStat is what the system says of a process.
type procStat struct {
	pid, parent int
	ticks       int // of processor time
	args        string
}

// argsOf is the command line of a process; empty if it has ended.
func argsOf(pid int) string {
	args, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return strings.TrimSpace(string(bytes.ReplaceAll(args, []byte{0}, []byte{' '})))
}

// begun waits until a child has become the program that it was made for: until
// then it has the command line and the environment of its parent.
func (tr *trap) begun(pid int, parent string) (args string) {
	tr.t.Helper()
	eventually(tr.t, "a child has become a program of its own", func() error {
		if args = argsOf(pid); args == parent {
			return fmt.Errorf("process %d runs %q", pid, args)
		}
		return nil
	})
	return args
}

// descendants are the processes below one that live.
func descendants(of int) []procStat {
	all := map[int]procStat{}
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		b, err := os.ReadFile(filepath.Join(dir, "stat"))
		// pid (name) state ppid …: the name may have anything in it.
		i := bytes.LastIndexByte(b, ')')
		if err != nil || i < 0 {
			continue
		}
		f := strings.Fields(string(b[i+1:]))
		if len(f) < 13 || f[0] == "Z" {
			continue
		}
		p := procStat{}
		p.pid, _ = strconv.Atoi(filepath.Base(dir))
		p.parent, _ = strconv.Atoi(f[1])
		p.ticks, _ = strconv.Atoi(f[11])
		p.args = argsOf(p.pid)
		all[p.pid] = p
	}
	var out []procStat
	for _, p := range all {
		for up := p.parent; up > 1; up = all[up].parent {
			if up == of {
				out = append(out, p)
				break
			}
		}
	}
	return out
}

// busy tells whether a worker of the controller has computed for a while. It
// notes all children that it sees.
func (tr *trap) busy(p *process) error {
	list := descendants(p.cmd.Process.Pid)
	busiest := 0
	for _, c := range list {
		tr.children = append(tr.children, c.pid)
		if strings.Contains(c.args, "internal-render") {
			busiest = max(busiest, c.ticks)
		}
	}
	if busiest < 50 {
		return fmt.Errorf("the busiest worker has had %d ticks", busiest)
	}
	return nil
}

// check wants the controller to run as it did at the beginning, with no child
// but workers and git, and nothing to have been reached or run.
func (tr *trap) check(p *process) {
	tr.t.Helper()
	select {
	case <-p.exited:
		tr.t.Error("the controller has ended")
	default:
	}
	own := argsOf(p.cmd.Process.Pid)
	for _, c := range descendants(p.cmd.Process.Pid) {
		tr.children = append(tr.children, c.pid)
		if c.args == own {
			if c.args = tr.begun(c.pid, own); c.args == "" {
				continue // it ended before it was anything else
			}
		}
		if !strings.Contains(c.args, "internal-render") && !strings.Contains(c.args, "git") {
			tr.t.Errorf("it runs %q", c.args)
		}
		// One that has ended meanwhile, or hides what it has, tells nothing.
		if env, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", c.pid)); bytes.Contains(env, []byte(bait)) {
			tr.t.Errorf("%q has the environment of the controller", c.args)
		}
	}
	if n := tr.connects.Load(); n > 0 {
		tr.t.Errorf("%d connections were made", n)
	}
	b, err := os.ReadFile(tr.log)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		tr.t.Fatal(err)
	}
	if len(b) == 0 {
		tr.t.Error("not even git was run by way of the PATH: the test proves nothing")
	}
	for line := range strings.Lines(string(b)) {
		name, args, _ := strings.Cut(strings.TrimSpace(line), " ")
		if name != "git" || strings.Contains(args, tr.addr) || strings.Contains(args, "169.254") {
			tr.t.Errorf("it ran %s %s", name, args)
		}
	}
}

// left tells which of the children that were seen still live.
func (tr *trap) left() error {
	slices.Sort(tr.children)
	for _, pid := range slices.Compact(tr.children) {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if err == nil && (bytes.Contains(b, []byte("internal-render")) || bytes.Contains(b, []byte("git"))) {
			return fmt.Errorf("process %d is there: %q", pid, b)
		}
	}
	return nil
}
