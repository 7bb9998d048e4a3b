package datadir

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func open(t testing.TB) Dir {
	t.Helper()
	d, err := Open(filepath.Join(t.TempDir(), "data"))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestOpen(t *testing.T) {
	d := open(t)
	for _, p := range []string{string(d), d.PKI(""), d.Component(""), d.Run(""), d.Logs()} {
		st, err := os.Stat(p)
		if err != nil || st.Mode().Perm() != 0o700 {
			t.Errorf("%s: %v, want a directory for its owner only", p, err)
		}
	}
	if _, err := Open(string(d)); err != nil {
		t.Errorf("again: %v", err)
	}
	t.Chdir(filepath.Dir(string(d)))
	if rel, err := Open("data"); err != nil || rel != d {
		t.Errorf("relative: %s, %v, want %s", rel, err, d)
	}
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file); err == nil || !strings.Contains(err.Error(), "is a file") {
		t.Errorf("a file: got %v", err)
	}
}

func TestReadyFile(t *testing.T) {
	d := open(t)
	if err := d.ClearReady(); err != nil {
		t.Errorf("there is none yet: %v", err)
	}
	if err := d.SetReady("https://x"); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(d.Ready()); err != nil || string(b) != "https://x\n" {
		t.Errorf("got %q, %v", b, err)
	}
	if err := d.ClearReady(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(d.Ready()); !errors.Is(err, os.ErrNotExist) {
		t.Error("it is still there")
	}
}

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	for _, content := range []string{"one", "two"} {
		if err := WriteFile(path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(path); err != nil || string(b) != content {
			t.Errorf("got %q, %v, want %q", b, err, content)
		}
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v: secrets are for the owner only", st.Mode(), err)
	}
	if err := os.Mkdir(filepath.Join(dir, "d"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(filepath.Join(dir, "d"), nil); err == nil {
		t.Error("a directory was replaced by a file")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 2 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestLockTellsItsOwner(t *testing.T) {
	d := open(t)
	l, err := d.Acquire(t.Context(), Patience{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = d.Acquire(t.Context(), Patience{Dead: time.Hour}) // this owner lives
	inUse := (*InUseError)(nil)
	if !errors.As(err, &inUse) || inUse.PID != os.Getpid() || inUse.Kubeconfig != d.Kubeconfig() {
		t.Fatalf("second: got %v", err)
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
	l, err = d.Acquire(t.Context(), Patience{})
	if err != nil {
		t.Errorf("after the release: %v", err)
	}
	l.Release()
}

func TestLockLastsAsLongAsAnyProcessHoldsIt(t *testing.T) {
	d := open(t)
	l, err := d.Acquire(t.Context(), Patience{})
	if err != nil {
		t.Fatal(err)
	}
	// As if the owner were killed and a child of it lived on.
	child := exec.Command("cat")
	child.ExtraFiles = []*os.File{l.File}
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Skip(err)
	}
	defer child.Wait()
	if err := os.WriteFile(l.File.Name(), []byte(`{"pid":2147483646}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Acquire(t.Context(), Patience{}); err == nil {
		t.Error("the lock was given while a child holds it")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Acquire(ctx, Patience{Dead: time.Hour, Alive: time.Hour}); err == nil {
		t.Error("it waited for what it had not to wait for")
	}
	stdin.Close()
	l, err = d.Acquire(t.Context(), Patience{Dead: time.Minute})
	if err != nil {
		t.Fatalf("when the last process is gone: %v", err)
	}
	l.Release()
}

func TestAcquireWaitsForAnOwnerThatIsAboutToEnd(t *testing.T) {
	d := open(t)
	l, err := d.Acquire(t.Context(), Patience{})
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan error, 1)
	go func() {
		second, err := d.Acquire(t.Context(), Patience{Alive: time.Minute})
		if err == nil {
			second.Release()
		}
		got <- err
	}()
	if err := l.Release(); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err != nil {
		t.Error(err)
	}
}

func port(t testing.TB, f *os.File) int {
	t.Helper()
	l, err := net.FileListener(f)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func TestListenTakesThePortsOfTheLastRun(t *testing.T) {
	d := open(t)
	ls, first, err := d.Listen(0)
	if err != nil {
		t.Fatal(err)
	}
	if port(t, ls.API) != first.API || port(t, ls.Kubelet) != first.Kubelet || first.API == first.Kubelet {
		t.Errorf("ports %+v are not those of the sockets", first)
	}
	_, other, err := open(t).Listen(0)
	if err != nil || other.API == first.API {
		t.Errorf("another directory got %+v, %v", other, err)
	}
	ls.Close()
	ls, second, err := d.Listen(0)
	if err != nil || second != first {
		t.Errorf("second run: %+v, %v, want %+v", second, err, first)
	}
	// Taken: any other will do, but not for one that was asked for.
	ls2, third, err := d.Listen(0)
	if err != nil || third.API == second.API || third.Kubelet == second.Kubelet {
		t.Errorf("while it is taken: %+v, %v", third, err)
	}
	if _, _, err := d.Listen(second.API); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("asked for a taken port: %v", err)
	}
	ls.Close()
	ls2.Close()
}

func TestListenDoesNotTrustPortsFile(t *testing.T) {
	for _, content := range []string{"", "no json", `{"api":-1}`, `{"api":70000,"kubelet":99999999}`, `{"api":"x"}`, `[]`} {
		d := open(t)
		if err := os.WriteFile(d.portsFile(), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		ls, _, err := d.Listen(0)
		if err != nil {
			t.Errorf("with %q: %v", content, err)
		}
		ls.Close()
	}
}
