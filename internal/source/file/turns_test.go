package file_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"abide.dev/abide/internal/source/file"
)

// TestLazy: a tree reads its file when it is asked for, and tells a content that
// has changed from one that is lost.
func TestLazy(t *testing.T) {
	h := newHost(t)
	told := make(chan string, 100)
	dir := filepath.Join(t.TempDir(), "files")
	p, err := file.New(file.Options{Dir: dir, AllowAddresses: loopback, Notify: func(n string) { told <- n }})
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = p.Run(t.Context()) }() // it ends with the context
	p.Follow("a", h.want())
	look(p, "a")
	<-told
	tree, _, err := p.Tree("a")
	if err != nil {
		t.Fatal(err)
	}
	entries, err := tree.ReadDir(".")
	if err != nil || len(entries) != 1 || entries[0].Name != "x.yaml" || entries[0].Hash != "43dd47ea691c90a5fa7827892c70241913351963" {
		t.Errorf("the folder has %v, %v", entries, err) // the hash is what git hash-object says of "one"
	}
	if e, err := tree.Lookup("x.yaml"); err != nil || e != entries[0] {
		t.Errorf("its file is %v, %v", e, err)
	}
	for _, path := range []string{"y.yaml", "x.yaml/y"} {
		if _, err := tree.Lookup(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", path, err)
		}
		if _, err := tree.ReadFile(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", path, err)
		}
		if _, err := tree.ReadDir(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v", path, err)
		}
	}
	list, err := os.ReadDir(dir)
	if err != nil || len(list) != 1 {
		t.Fatalf("the cache has %v, %v", list, err)
	}
	if err := os.WriteFile(filepath.Join(dir, list[0].Name()), []byte("eno"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := tree.ReadFile("x.yaml"); reason(err) != "CacheFailed" {
		t.Errorf("content of another digest is read: %v", err)
	}
	if n := <-told; n != "a" || content(t, p, "a") != "one" {
		t.Error("it is not told that the content is back")
	}
	h.says("two", "e2")
	look(p, "a")
	var e *file.Error
	if _, err := tree.ReadFile("x.yaml"); !errors.As(err, &e) || !e.Later() {
		t.Errorf("what has changed since: %v", err)
	}
}

// TestBounds: what one owner follows is bounded together, and so is all.
func TestBounds(t *testing.T) {
	h := newHost(t)
	h.does(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(strings.Repeat(r.URL.Query().Get("n"), 10)))
	})
	p := run(t, file.Options{AllowAddresses: loopback, OwnerBytes: 25, TotalBytes: 45})
	follow := func(name, owner, n string) string {
		w := h.want()
		w.URL += "?n=" + n
		w.Owner = owner
		p.Follow(name, w)
		return reason(look(p, name).Err)
	}
	for _, row := range []struct{ name, owner, n, want string }{
		{"a1", "a", "1", ""},
		{"a2", "a", "2", ""},
		{"a3", "a", "3", "TooLarge"},
		{"a4", "a", "1", ""}, // the same content again
		{"b1", "b", "1", ""}, // that of another too
		{"b2", "b", "4", ""},
		{"c1", "c", "5", ""},
		{"c2", "c", "6", "TooLarge"}, // of all
	} {
		if got := follow(row.name, row.owner, row.n); got != row.want {
			t.Errorf("%s: %q, want %q", row.name, got, row.want)
		}
	}
	p.Forget("a2")
	if got := look(p, "c2"); got.Err != nil {
		t.Errorf("when there is room again: %v", got.Err)
	}
}

// TestTurns: neither one owner nor one host has all looks.
func TestTurns(t *testing.T) {
	slow, quick := newHost(t), newHost(t)
	begun, end := make(chan struct{}, 100), make(chan struct{})
	hang := func(_ http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		select {
		case <-end:
		case <-r.Context().Done():
		}
	}
	slow.free(hang)
	defer close(end)
	p := run(t, file.Options{AllowAddresses: loopback, Parallel: 4})
	for _, n := range []string{"1", "2", "3", "4", "5", "6"} {
		w := slow.want()
		w.URL += "?n=" + n
		w.Owner = "many"
		p.Follow(n, w)
	}
	<-begun
	<-begun
	w := quick.want()
	w.Owner = "one"
	p.Follow("one", w)
	if st := look(p, "one"); st.Err != nil || st.Digest == "" {
		t.Errorf("%+v", st)
	}
	if len(begun) != 0 {
		t.Errorf("%d looks more have begun", len(begun))
	}
}

// TestChangedMeanwhile: what is asked for anew during a look is looked at again
// when that is over.
func TestChangedMeanwhile(t *testing.T) {
	h := newHost(t)
	begun, goOn := make(chan struct{}, 10), make(chan struct{}, 10)
	h.free(func(w http.ResponseWriter, _ *http.Request) {
		begun <- struct{}{}
		<-goOn
		_, _ = w.Write([]byte("one"))
	})
	p := run(t, file.Options{AllowAddresses: loopback})
	p.Follow("a", h.want())
	<-begun
	w := h.want()
	w.Interval = time.Hour
	p.Follow("a", w)
	goOn <- struct{}{}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	select {
	case <-begun:
	case <-ctx.Done():
		t.Error("the look that is due is forgotten")
	}
	goOn <- struct{}{}
}
