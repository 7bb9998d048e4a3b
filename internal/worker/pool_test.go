package worker

import (
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/snapshot/memtree"
)

func emptyTree() snapshot.Tree { return memtree.FromText(nil) }

func configMap(name string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: " + name + "}\n"
}

func oneFile() snapshot.Tree {
	return memtree.FromText(map[string]string{"app/a.yaml": configMap("a")})
}

// TestEnds wants a clear error of every render that goes wrong, and the next
// one to work.
func TestEnds(t *testing.T) {
	p := newPool(t, Options{Memory: 64 << 20, Time: 2 * time.Second})
	rows := map[string]struct {
		deed, reason string
		says         []string
		never        []string
	}{
		"never ends":         {"spin", fault.DeadlineExceeded, []string{"2s"}, nil},
		"eats memory":        {"eat", fault.RenderOutOfMemory, []string{"64 MiB"}, nil},
		"gulps memory":       {"gulp", fault.RenderOutOfMemory, []string{"64 MiB"}, nil},
		"panics":             {"panic", fault.RendererCrashed, []string{"a renderer that panics"}, []string{"goroutine", "second line"}},
		"panics beside":      {"beside", fault.RendererCrashed, []string{"beside the renderer"}, []string{"goroutine"}},
		"overflows":          {"overflow", fault.RendererCrashed, []string{"stack", "calls itself"}, []string{"goroutine 1", "report it"}},
		"ends without words": {"exit", fault.RendererCrashed, []string{"exit status 9"}, nil},
	}
	if raceDetector {
		// It keeps a multiple of a stack as its own notes, which are over the limit
		// on memory before the stack is over its own.
		delete(rows, "overflows")
	}
	for name, row := range rows {
		t.Run(name, func(t *testing.T) {
			res, err := p.Render(t.Context(), name, emptyTree(), render.Request{Path: "deed/" + row.deed})
			e := wantReason(t, err, row.reason)
			for _, part := range row.says {
				if !strings.Contains(e.Error(), part) {
					t.Errorf("it does not say %q: %v", part, e)
				}
			}
			for _, part := range row.never {
				if strings.Contains(e.Error(), part) {
					t.Errorf("it says %q: %v", part, e)
				}
			}
			if e.File != "deed/"+row.deed || e.Hint == "" && row.reason != fault.RendererCrashed {
				t.Errorf("file %q, hint %q", e.File, e.Hint)
			}
			if res == nil || len(res.Trace) > 0 {
				t.Errorf("the result is %+v", res)
			}
			if row.reason == fault.DeadlineExceeded && !errors.Is(err, context.DeadlineExceeded) {
				t.Error("it is no context.DeadlineExceeded")
			}
			if res, err := p.Render(t.Context(), name, oneFile(), render.Request{Path: "app"}); err != nil || len(res.Objects) != 1 {
				t.Errorf("the next render: %v", err)
			}
		})
	}
}

// TestPrint has a renderer that prints, which must not end up in the replies.
func TestPrint(t *testing.T) {
	p := newPool(t, Options{})
	res, err := p.Render(t.Context(), "t", oneFile(), render.Request{Path: "deed/print/app"})
	if err != nil || len(res.Objects) != 1 {
		t.Errorf("a renderer that prints: %v", err)
	}
}

// TestTenantsAreApart wants a process for each tenant, and the same for the same.
func TestTenantsAreApart(t *testing.T) {
	p := newPool(t, Options{Parallel: 3, Spare: true})
	a, b := said(t, p, "a", "pid"), said(t, p, "b", "pid")
	if a == b {
		t.Error("two tenants had one process")
	}
	if again := said(t, p, "a", "pid"); again != a {
		t.Error("the process of a tenant was not kept")
	}
	// There is room for three: the one that was used longest ago goes.
	said(t, p, "c", "pid")
	said(t, p, "d", "pid")
	if again := said(t, p, "b", "pid"); again == b {
		t.Error("the worker that was longest idle was not ended")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) > 3 || len(p.working) > 0 {
		t.Errorf("%d idle, %d working", len(p.idle), len(p.working))
	}
}

func TestReplaced(t *testing.T) {
	p := newPool(t, Options{Renders: 2})
	first := said(t, p, "t", "pid")
	if second := said(t, p, "t", "pid"); second != first {
		t.Error("replaced too early")
	}
	if third := said(t, p, "t", "pid"); third == first {
		t.Error("not replaced")
	}
}

// TestDiedIdle kills a worker that waits: the next render does not notice.
func TestDiedIdle(t *testing.T) {
	p := newPool(t, Options{})
	first := said(t, p, "t", "pid")
	p.mu.Lock()
	c := p.idle[0]
	p.mu.Unlock()
	if err := c.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-c.dead
	if second := said(t, p, "t", "pid"); second == first {
		t.Error("it was not killed")
	}
}

// TestKilledByOthers kills a worker that renders, as the system does when memory
// is short. That is no fault of the repository.
func TestKilledByOthers(t *testing.T) {
	p := newPool(t, Options{})
	asked := newSignalTree()
	ended := make(chan error, 1)
	go func() {
		_, err := p.Render(t.Context(), "t", asked, render.Request{Path: "deed/spin"})
		ended <- err
	}()
	<-asked.asked
	p.mu.Lock()
	for c := range p.working {
		if err := c.cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
	}
	p.mu.Unlock()
	err := <-ended
	var short *ShortageError
	var f *render.Error
	if !errors.As(err, &short) || short.Reason() != fault.RenderOutOfMemory || errors.As(err, &f) {
		t.Errorf("error %v", err)
	}
}

// TestIdleEnds wants idle workers to end by themselves.
func TestIdleEnds(t *testing.T) {
	p := newPool(t, Options{Idle: time.Millisecond})
	said(t, p, "t", "pid")
	p.mu.Lock()
	var c *child
	if len(p.idle) > 0 {
		c = p.idle[0]
	}
	p.mu.Unlock()
	if c != nil {
		<-c.dead
	}
}

// TestOthersOnTime hangs all that one tenant can have, and renders for another.
func TestOthersOnTime(t *testing.T) {
	p := newPool(t, Options{Parallel: 2})
	ctx, cancel := context.WithCancel(t.Context())
	hangs := make(chan error, 1)
	asked := newSignalTree()
	go func() {
		_, err := p.Render(ctx, "bad", asked, render.Request{Path: "deed/spin"})
		hangs <- err
	}()
	<-asked.asked
	second := make(chan error, 1)
	go func() {
		_, err := p.Render(ctx, "bad", emptyTree(), render.Request{Path: "deed/spin"})
		second <- err
	}()
	for range 20 {
		if res, err := p.Render(t.Context(), "good", oneFile(), render.Request{Path: "app"}); err != nil || len(res.Objects) != 1 {
			t.Fatal(err)
		}
	}
	select {
	case err := <-hangs:
		t.Errorf("it does not hang: %v", err)
	case err := <-second:
		t.Errorf("it does not hang: %v", err)
	default:
	}
	cancel()
	for _, ended := range []chan error{hangs, second} {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("a cancelled render says %v", err)
		}
	}
	if res, err := p.Render(t.Context(), "bad", oneFile(), render.Request{Path: "app"}); err != nil || len(res.Objects) != 1 {
		t.Errorf("after it was cancelled: %v", err)
	}
}

// signalTree tells when it is asked for the first time.
type signalTree struct {
	snapshot.Tree
	asked chan struct{}
	once  sync.Once
}

func newSignalTree() *signalTree {
	return &signalTree{Tree: emptyTree(), asked: make(chan struct{})}
}

func (s *signalTree) Lookup(p string) (snapshot.Entry, error) {
	s.once.Do(func() { close(s.asked) })
	return s.Tree.Lookup(p)
}

func TestDeadlineOfCaller(t *testing.T) {
	p := newPool(t, Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := p.Render(ctx, "t", emptyTree(), render.Request{Path: "deed/spin"})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v", err)
	}
	ended, cancelled := context.WithCancel(t.Context())
	cancelled()
	if _, err := p.Render(ended, "t", oneFile(), render.Request{Path: "app"}); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled render says %v", err)
	}
}

// TestClose ends what runs, and what comes after.
func TestClose(t *testing.T) {
	p := newPool(t, Options{Spare: true})
	asked := newSignalTree()
	ended := make(chan error, 1)
	go func() {
		_, err := p.Render(context.WithoutCancel(t.Context()), "t", asked, render.Request{Path: "deed/spin"})
		ended <- err
	}()
	<-asked.asked
	p.Close()
	if err := <-ended; !errors.Is(err, errClosed) {
		t.Errorf("a render that ran says %v", err)
	}
	if _, err := p.Render(t.Context(), "t", oneFile(), render.Request{Path: "app"}); !errors.Is(err, errClosed) {
		t.Errorf("a render afterwards says %v", err)
	}
}

// failingTree has errors of its own.
type failingTree struct {
	snapshot.Tree
	err error
}

func (f *failingTree) ReadFile(string) ([]byte, error) { return nil, f.err }

type ownError struct{ n int }

func (e *ownError) Error() string { return "the mirror is damaged" }

// TestTreeErrors wants an error of the tree back as the value that it was.
func TestTreeErrors(t *testing.T) {
	p := newPool(t, Options{})
	_, err := p.Render(t.Context(), "t", &failingTree{oneFile(), &ownError{7}}, render.Request{Path: "app"})
	var own *ownError
	var f *render.Error
	if !errors.As(err, &own) || own.n != 7 || errors.As(err, &f) || !strings.Contains(err.Error(), "app/a.yaml: the mirror is damaged") {
		t.Errorf("error %v", err)
	}
}

// TestNoDescriptorsLeft wants as many open descriptors after a hundred crashes
// as after a few.
func TestNoDescriptorsLeft(t *testing.T) {
	p := newPool(t, Options{})
	open := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip(err)
		}
		return len(list)
	}
	crash := func(n int) {
		for i := range n {
			if _, err := p.Render(t.Context(), strconv.Itoa(i), emptyTree(), render.Request{Path: "deed/exit"}); err == nil {
				t.Fatal("it did not crash")
			}
		}
	}
	crash(3)
	before := open()
	crash(30)
	if after := open(); after > before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}
