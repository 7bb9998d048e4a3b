package supervise

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// The test binary plays the children: its first argument says which.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "child-polite": // ends with its stdin
			fmt.Printf("polite pid %d\n", os.Getpid())
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(0)
		case "child-deaf": // has to be killed
			signal.Ignore(syscall.SIGTERM, syscall.SIGINT)
			fmt.Printf("deaf pid %d\n", os.Getpid())
			<-time.After(time.Hour)
		case "child-dies":
			fmt.Print("before the end\nthe end")
			os.Exit(3)
		case "child-files":
			b, err := io.ReadAll(os.NewFile(3, "given"))
			fmt.Printf("argv0 %s dir %s file %s %v\n", os.Args[0], first(os.Getwd()), b, err)
			_, _ = io.Copy(io.Discard, os.Stdin)
			os.Exit(0)
		case "parent": // starts a deaf child in os.Args[2] and waits to be killed
			g := NewGroup(nil)
			if err := g.Start(Process{Name: "deaf", Path: os.Args[0], Args: []string{"child-deaf"}, Log: filepath.Join(os.Args[2], "log")}); err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
			select {}
		}
	}
	os.Exit(m.Run())
}

func first(s string, _ error) string { return s }

func self(t testing.TB) string {
	t.Helper()
	p, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// eventually polls, since other processes have a clock of their own.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(30 * time.Second)
	for !f() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not within 30 s", what)
		}
	}
}

// pid waits for "… pid N" in a log.
func pid(t testing.TB, log string) int {
	t.Helper()
	n := 0
	eventually(t, "the child's first line", func() bool {
		b, err := os.ReadFile(log)
		if err != nil || !bytes.HasSuffix(b, []byte("\n")) {
			return false
		}
		_, s, _ := strings.Cut(strings.TrimSpace(string(b)), "pid ")
		n, err = strconv.Atoi(s)
		return err == nil
	})
	return n
}

func alive(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return syscall.Kill(pid, 0) == nil && !os.IsNotExist(err)
	}
	return !strings.Contains(string(b[bytes.LastIndexByte(b, ')'):]), " Z ")
}

func TestStopEndsPoliteAndDeafChildren(t *testing.T) {
	dir := t.TempDir()
	g := NewGroup(nil)
	var pids []int
	for _, kind := range []string{"polite", "deaf"} {
		log := filepath.Join(dir, kind)
		if err := g.Start(Process{Name: kind, Path: self(t), Args: []string{"child-" + kind}, Log: log}); err != nil {
			t.Fatal(err)
		}
		pids = append(pids, pid(t, log))
	}
	g.Stop(50 * time.Millisecond)
	for _, p := range pids {
		if alive(p) {
			t.Errorf("process %d is alive", p)
		}
	}
	select {
	case e := <-g.Exits():
		t.Errorf("an end that was asked for was reported: %+v", e)
	default:
	}
}

func TestFirstUnexpectedEndIsReported(t *testing.T) {
	g := NewGroup(nil)
	log := filepath.Join(t.TempDir(), "logs", "x.log")
	if err := g.Start(Process{Name: "x", Path: self(t), Args: []string{"child-dies"}, Log: log}); err != nil {
		t.Fatal(err)
	}
	e := <-g.Exits()
	exit, ok := e.Err.(*exec.ExitError)
	if e.Name != "x" || e.Log != log || !ok || exit.ExitCode() != 3 {
		t.Errorf("got %+v", e)
	}
	if got := Tail(log, 5); len(got) != 2 || got[1] != "the end" {
		t.Errorf("log: %q", got)
	}
	g.Stop(time.Second)
}

func TestChildGetsNameDirectoryAndFiles(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	given := filepath.Join(dir, "given")
	if err := os.WriteFile(given, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(given)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	g := NewGroup(nil)
	log := filepath.Join(dir, "log")
	if err := g.Start(Process{Name: "fancy-name", Path: self(t), Args: []string{"child-files"}, Dir: dir, Log: log, Files: []*os.File{f}}); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("argv0 fancy-name dir %s file content <nil>\n", dir)
	eventually(t, "output", func() bool { b, _ := os.ReadFile(log); return string(b) == want })
	g.Stop(time.Second)
}

func TestStartSaysWhatCannotStart(t *testing.T) {
	g := NewGroup(nil)
	err := g.Start(Process{Name: "x", Path: "/nonexistent/x", Log: filepath.Join(t.TempDir(), "log")})
	if err == nil || !strings.Contains(err.Error(), "start x") {
		t.Errorf("got %v", err)
	}
	g.Stop(time.Second)
}

func TestKilledParentLeavesNoDeafChild(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux can end a child that does not listen")
	}
	dir := t.TempDir()
	parent := exec.Command(self(t), "parent", dir)
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	child := pid(t, filepath.Join(dir, "log"))
	if !alive(child) {
		t.Fatal("the child did not even live")
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	eventually(t, "the child ends", func() bool { return !alive(child) })
}

type buffer struct {
	sync.Mutex
	bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.Lock()
	defer b.Unlock()
	return b.Buffer.Write(p)
}

func TestTeeNamesEveryLine(t *testing.T) {
	var tee buffer
	g := NewGroup(&tee)
	log := filepath.Join(t.TempDir(), "log")
	if err := g.Start(Process{Name: "x", Path: self(t), Args: []string{"child-dies"}, Log: log}); err != nil {
		t.Fatal(err)
	}
	<-g.Exits()
	g.Stop(time.Second)
	if got, want := tee.String(), "x: before the end\nx: the end\n"; got != want {
		t.Errorf("tee: %q, want %q", got, want)
	}
	if b, err := os.ReadFile(log); err != nil || string(b) != "before the end\nthe end" {
		t.Errorf("log: %q, %v", b, err)
	}
}

func TestOneOlderLogIsKept(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	for i := range 3 {
		f, err := openLog(log)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(f, i)
		f.Close()
	}
	now, _ := os.ReadFile(log)
	before, _ := os.ReadFile(log + ".1")
	if string(now) != "2" || string(before) != "1" {
		t.Errorf("log %q, before %q", now, before)
	}
}

func TestTail(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	var b strings.Builder
	w := bufio.NewWriter(&b)
	for i := range 100_000 {
		fmt.Fprintf(w, "line %d\n", i)
	}
	fmt.Fprintln(w, strings.Repeat("x", 1000))
	w.Flush()
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	got := Tail(path, 3)
	if len(got) != 3 || got[0] != "line 99998" || len(got[2]) != 300 {
		t.Errorf("got %q", got)
	}
	if got := Tail(path+"none", 3); got != nil {
		t.Errorf("no file: %q", got)
	}
}
