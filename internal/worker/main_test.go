package worker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/snapshot"
)

// asParent makes the test program a parent that is going to be killed.
const asParent = "ABIDE_TEST_PARENT"

func TestMain(m *testing.M) {
	if handled, code := Helper(os.Args, misbehave); handled {
		os.Exit(code)
	}
	if os.Getenv(asParent) != "" {
		os.Exit(beParent())
	}
	os.Exit(m.Run())
}

var sink [][]byte

// misbehave renders, but for the paths of deeds, which it does.
func misbehave(ctx context.Context, tree snapshot.Tree, req render.Request) (*render.Result, error) {
	deed, isDeed := strings.CutPrefix(req.Path, "deed/")
	if !isDeed {
		return render.Render(ctx, tree, req)
	}
	word, rest, _ := strings.Cut(deed, "/")
	switch word {
	case "spin":
		if _, err := tree.Lookup("."); err != nil {
			return nil, err
		}
		for i := uint64(1); i != 0; i += 2 {
		}
	case "eat":
		for {
			b := make([]byte, 1<<20)
			for i := range b {
				b[i] = byte(i)
			}
			sink = append(sink, b)
		}
	case "gulp":
		sink = append(sink, make([]byte, 64<<30))
	case "panic":
		panic("a renderer that panics\nwith a second line")
	case "beside":
		go func() { panic("beside the renderer") }()
		select {}
	case "exit":
		os.Exit(9)
	case "overflow":
		return nil, fmt.Errorf("%d", overflow(1))
	case "print":
		fmt.Println(strings.Repeat("noise", 1000))
		fmt.Fprintln(os.Stderr, "more noise")
		return render.Render(ctx, tree, render.Request{Path: rest})
	case "say":
		return say(rest)
	}
	return nil, errors.New("no such deed")
}

func overflow(n int) int {
	if n == 0 {
		return 0
	}
	return n + overflow(n+1)
}

// say puts what it finds out into the name of an object.
func say(what string) (*render.Result, error) {
	word, rest, _ := strings.Cut(what, "/")
	said := func(v any) (*render.Result, error) {
		return &render.Result{Objects: []render.Object{{Unstructured: &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": "Said", "metadata": map[string]any{"name": fmt.Sprint(v)},
		}}}}}, nil
	}
	number := func(err error) (*render.Result, error) {
		if e := syscall.Errno(0); errors.As(err, &e) {
			return said(e.Error())
		}
		return said(fmt.Sprintf("no errno: %v", err))
	}
	switch word {
	case "pid":
		return said(os.Getpid())
	case "environment":
		return said(os.Environ())
	case "folder":
		dir, err := os.Getwd()
		return said(fmt.Sprint(dir, err))
	case "connect":
		c, err := net.Dial("tcp", rest)
		if err == nil {
			c.Close()
		}
		return number(err)
	case "listen":
		_, err := net.Listen("tcp", "127.0.0.1:0")
		return number(err)
	case "open":
		_, err := os.Open("/" + rest)
		return number(err)
	case "create":
		return number(os.WriteFile("/"+rest, nil, 0o600))
	case "exec":
		return number(syscall.Exec("/"+rest, []string{rest}, nil))
	case "run":
		return number(exec.Command("/" + rest).Run())
	case "kill":
		return number(syscall.Kill(os.Getppid(), syscall.SIGTERM))
	}
	return said("no such question")
}

// beParent starts a render that never ends, and says the number of its process.
func beParent() int {
	p, err := New(Options{Spare: true})
	if err != nil {
		return 1
	}
	asked := newSignalTree()
	go p.Render(context.Background(), "t", asked, render.Request{Path: "deed/spin"})
	<-asked.asked
	p.group.Wait() // for the spare
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.spare == nil {
		return 1
	}
	for c := range p.working {
		fmt.Println(c.cmd.Process.Pid, p.spare.cmd.Process.Pid)
	}
	select {}
}

func newPool(t testing.TB, o Options) *Pool {
	t.Helper()
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// said renders a question and returns the answer.
func said(t *testing.T, p *Pool, tenant, what string) string {
	t.Helper()
	res, err := p.Render(t.Context(), tenant, emptyTree(), render.Request{Path: "deed/say/" + what})
	if err != nil {
		t.Fatal(err)
	}
	return res.Objects[0].GetName()
}

func wantReason(t *testing.T, err error, reason string) *render.Error {
	t.Helper()
	var e *render.Error
	if !errors.As(err, &e) {
		t.Fatalf("error is %v, want reason %s", err, reason)
	}
	if e.Reason != reason {
		t.Fatalf("reason is %s (%v), want %s", e.Reason, e, reason)
	}
	return e
}

func realPath(t *testing.T, p string) string {
	t.Helper()
	real, err := filepath.EvalSymlinks(p)
	if err != nil {
		t.Skip(err)
	}
	return strings.TrimPrefix(real, "/")
}
