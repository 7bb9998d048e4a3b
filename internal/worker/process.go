package worker

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"abide.dev/abide/internal/worker/wire"
)

// Argument is what abide is started with to be a worker.
const Argument = "internal-render"

// startTime is how long a child may take to say that it is ready.
const startTime = 30 * time.Second

// child is a worker process, seen from the parent.
type child struct {
	cmd    *exec.Cmd
	in     *os.File // to the child
	out    *os.File // from it
	stderr *head
	bounds []string

	// dead is closed when the process has ended and was waited for.
	dead chan struct{}
	// size is how much memory it takes, as last seen, in bytes.
	size atomic.Int64
	// why is why the parent ended it; nil if it has not.
	why atomic.Pointer[ending]

	// What the pool knows of it; under the pool's lock.
	tenant  string
	renders int
	since   time.Time // when it became idle
}

// ending is why a child was ended.
type ending struct {
	kind endingKind
	size int64 // bytes, for memory
}

type endingKind int

const (
	endedByUse    endingKind = iota // it is no longer needed
	endedByTime                     // the render took too long
	endedByMemory                   // it took too much
	endedByTotal                    // all workers together took too much, and it most
	endedByCaller                   // the caller's context ended
	endedByBreach                   // it did not keep to the protocol
)

// program returns what to start: on Linux the very file that is running, which
// an update does not change.
func program() (string, error) {
	const running = "/proc/self/exe"
	if _, err := os.Readlink(running); err == nil {
		return running, nil
	}
	return os.Executable()
}

// startChild starts a worker. isolate asks for namespaces of its own. It must
// run on a thread that lives as long as the child.
func startChild(path string, memory int64, isolate bool) (*child, error) {
	fromParent, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer fromParent.Close()
	out, toParent, err := os.Pipe()
	if err != nil {
		in.Close()
		return nil, err
	}
	defer toParent.Close()
	c := &child{in: in, out: out, stderr: &head{limit: maxStderr}, dead: make(chan struct{})}
	c.cmd = &exec.Cmd{
		Path: path, Args: []string{"abide", Argument, strconv.FormatInt(memory, 10)},
		Env: []string{}, Dir: "/",
		Stdout: c.stderr, Stderr: c.stderr, // a library that prints disturbs nothing
		ExtraFiles:  []*os.File{fromParent, toParent},
		SysProcAttr: attributes(isolate),
	}
	if err := c.cmd.Start(); err != nil {
		in.Close()
		out.Close()
		return nil, err
	}
	go func() {
		_ = c.cmd.Wait() // how it ended is in ProcessState
		close(c.dead)
	}()
	return c, nil
}

// greet waits until the child says that it is bounded.
func (c *child) greet() error {
	timer := time.AfterFunc(startTime, func() { c.end(ending{kind: endedByTime}) })
	defer timer.Stop()
	_, b, err := readFrame(c.out, frameLimits{typeHello: fromChild[typeHello]})
	if err != nil {
		return c.notReady(err)
	}
	var h hello
	if err := wire.Decode(b, &h, decodeLimits[typeHello]); err != nil {
		return c.notReady(err)
	}
	c.bounds = h.Bounds
	return nil
}

func (c *child) notReady(err error) error {
	c.end(ending{kind: endedByBreach})
	<-c.dead
	if line := c.stderr.first(); line != "" {
		return fmt.Errorf("it did not get ready: %s", line)
	}
	return fmt.Errorf("it did not get ready: %w (%s)", err, c.cmd.ProcessState)
}

// end kills the child. The first reason counts.
func (c *child) end(why ending) {
	c.why.CompareAndSwap(nil, &why)
	_ = c.cmd.Process.Kill() // it may have ended already
}

// close ends the child and waits until nothing is left of it.
func (c *child) close() {
	c.end(ending{kind: endedByUse})
	<-c.dead
	c.in.Close()
	c.out.Close()
}

// killed tells whether a signal ended the process that the parent did not send.
func (c *child) killed() bool {
	status, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

const maxStderr = 16 << 10

// head keeps the first bytes written to it: a crash begins with what it is
// about, and ends in stacks.
type head struct {
	mu    sync.Mutex
	limit int
	buf   bytes.Buffer
}

func (h *head) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if room := h.limit - h.buf.Len(); room > 0 {
		h.buf.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}

func (h *head) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.buf.String()
}

// The Go runtime begins what it says of a crash with one of these.
var crashMarks = []string{"panic: ", "fatal error: ", "runtime: "}

// crash is the first line of the runtime on why the process ended.
func (h *head) crash() string {
	text := h.String()
	for _, mark := range crashMarks {
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, mark) {
				return strings.TrimSpace(line)
			}
		}
	}
	return ""
}

// first is the crash, or else the first line that is not empty.
func (h *head) first() string {
	if line := h.crash(); line != "" {
		return line
	}
	for line := range strings.Lines(h.String()) {
		if line = strings.TrimSpace(line); line != "" {
			return line
		}
	}
	return ""
}

// outOfMemory tells whether the runtime said that the system gave it no more.
func (h *head) outOfMemory() bool {
	text := h.String()
	for _, s := range []string{"out of memory", "cannot allocate memory", "cannot map pages in arena", "failed to reserve page summary", "failed to create new OS thread"} {
		for _, mark := range crashMarks[1:] {
			if strings.Contains(text, mark+"runtime: "+s) || strings.Contains(text, mark+s) {
				return true
			}
		}
	}
	return false
}

// errClosed is what a pool that was closed says.
var errClosed = errors.New("rendering has been shut down")
