package git_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"abide.dev/abide/internal/gitserver"
	"abide.dev/abide/internal/gitserver/gittest"
	"abide.dev/abide/internal/source/git"
)

// An old server speaks protocol 0 and gives out what its refs name, no other
// commit.
func TestOldServer(t *testing.T) {
	repo := gittest.New(t)
	old := repo.Write(map[string]string{"a": "old"}).Commit("one")
	repo.Write(map[string]string{"a": "new"}).Commit("two")
	repo.AnnotatedTag("v1", "release")
	backend, err := gitserver.New(gitserver.Options{Root: repo.Root})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Del("Git-Protocol")
		backend.ServeHTTP(w, r)
	}))
	defer s.Close()
	m := mirrorOf(t, newStore(t, git.Options{}), s.URL+"/repo.git")
	head := fetched(t, m, anonymous, "HEAD")
	if got := read(t, m, head, "a"); got != "new" {
		t.Errorf("reads %q", got)
	}
	if got := fetched(t, m, anonymous, "refs/tags/v1"); got != head {
		t.Errorf("the tag is %s, want %s", got, head)
	}
	if err := m.Fetch(t.Context(), anonymous, git.Want{Hash: old}); err != nil {
		t.Fatal(err)
	}
	if got := read(t, m, old, "a"); got != "old" {
		t.Errorf("reads %q", got)
	}
	err = m.Fetch(t.Context(), anonymous, git.Want{Hash: strings.Repeat("ab", 20)})
	wantKind(t, err, git.CommitNotFound)
}

// A dumb server is a folder of files: it knows of no protocol, and of no
// shallow fetch.
func TestDumbServer(t *testing.T) {
	repo := gittest.New(t)
	repo.Write(map[string]string{"a": "1"}).Commit("one")
	repo.Git("update-server-info")
	s := httptest.NewServer(http.FileServer(http.Dir(repo.Root)))
	defer s.Close()
	m := mirrorOf(t, newStore(t, git.Options{}), s.URL+"/repo.git")
	head := fetched(t, m, anonymous, "refs/heads/main")
	if got := read(t, m, head, "a"); got != "1" {
		t.Errorf("reads %q", got)
	}
}

func TestSHA256Repository(t *testing.T) {
	root := t.TempDir()
	work := filepath.Join(root, "work")
	git256 := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("git", args...)
		cmd.Dir, cmd.Env = root, gittest.Environment()
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	git256("init", "-q", "--object-format=sha256", "-b", "main", work)
	if err := os.WriteFile(filepath.Join(work, "a"), []byte("1"), 0o600); err != nil {
		t.Fatal(err)
	}
	git256("-C", work, "add", ".")
	git256("-C", work, "commit", "-qm", "one")
	s, err := gitserver.New(gitserver.Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	running, err := s.Listen("127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer running.Close()
	m := mirrorOf(t, newStore(t, git.Options{}), running.URL+"/work")
	head := fetched(t, m, anonymous, "HEAD")
	if want := git256("-C", work, "rev-parse", "HEAD"); head != want {
		t.Errorf("fetched %s, want %s", head, want)
	}
	if got := read(t, m, head, "a"); got != "1" {
		t.Errorf("reads %q", got)
	}
}

func TestMaintenanceKeepsWhatIsHeldAndPacks(t *testing.T) {
	repo := gittest.New(t)
	repo.Write(map[string]string{"a": "0"}).Commit("0")
	dir := t.TempDir()
	m := mirrorOf(t, newStore(t, git.Options{Dir: dir}), serve(t, repo, gitserver.Options{}, nil))
	base := fetched(t, m, anonymous, "HEAD")
	m.Hold(base)
	for i := range 5 {
		next := repo.Write(map[string]string{"a": strings.Repeat("x", i+1)}).Commit("next")
		if err := m.Fetch(t.Context(), anonymous, git.Want{Hash: next, Base: base}); err != nil {
			t.Fatal(err)
		}
		m.Hold(next)
		m.Release(base)
		base = next
	}
	packs := func() int {
		names, _ := filepath.Glob(filepath.Join(dir, "mirrors", "*", "objects", "pack", "*.pack"))
		return len(names)
	}
	before := packs()
	// Read first, so that a process has the old packs open.
	if got := read(t, m, base, "a"); got != "xxxxx" {
		t.Errorf("reads %q", got)
	}
	if err := m.Maintain(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if after := packs(); before < 5 || after != 1 {
		t.Errorf("%d packs became %d", before, after)
	}
	fresh := mirrorOf(t, newStore(t, git.Options{Dir: dir}), m.URL().String())
	if got := read(t, fresh, base, "a"); got != "xxxxx" {
		t.Errorf("reads %q", got)
	}
	next := repo.Write(map[string]string{"a": "last"}).Commit("last")
	if err := m.Fetch(t.Context(), anonymous, git.Want{Hash: next, Base: base}); err != nil {
		t.Fatal(err)
	}
	if got := read(t, m, next, "a"); got != "last" {
		t.Errorf("reads %q", got)
	}
}

// A server whose packs cannot be read costs nobody the mirror.
func TestBadPackKeepsTheMirror(t *testing.T) {
	repo := gittest.New(t)
	first := repo.Write(map[string]string{"a": "1"}).Commit("one")
	backend, err := gitserver.New(gitserver.Options{Root: repo.Root})
	if err != nil {
		t.Fatal(err)
	}
	spoil := false
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !spoil || r.Method != http.MethodPost {
			backend.ServeHTTP(w, r)
			return
		}
		answer := httptest.NewRecorder()
		backend.ServeHTTP(answer, r)
		body := answer.Body.Bytes()
		if i := bytes.Index(body, []byte("PACK")); i >= 0 {
			for j := i + 12; j < len(body)-8; j++ {
				body[j] ^= 0x55
			}
		}
		w.Header().Set("Content-Type", answer.Header().Get("Content-Type"))
		w.Write(body)
	}))
	defer s.Close()
	m := mirrorOf(t, newStore(t, git.Options{}), s.URL+"/repo.git")
	fetched(t, m, anonymous, "HEAD")
	second := repo.Write(map[string]string{"a": strings.Repeat("2", 300)}).Commit("two")
	spoil = true
	if err := m.Fetch(t.Context(), anonymous, git.Want{Hash: second, Base: first}); err == nil {
		t.Error("a spoiled pack was taken")
	}
	if got := read(t, m, first, "a"); got != "1" || !m.Has(first) {
		t.Errorf("after a spoiled pack the mirror reads %q", got)
	}
	spoil = false
	if err := m.Fetch(t.Context(), anonymous, git.Want{Hash: second, Base: first}); err != nil {
		t.Error(err)
	}
}

func TestNewSweepsWhatAKilledProcessLeft(t *testing.T) {
	dir := t.TempDir()
	s := newStore(t, git.Options{Dir: dir})
	s.Close()
	secret := filepath.Join(dir, "private", "left-over")
	trash := filepath.Join(dir, "mirrors", "abc.trash-1")
	if err := os.WriteFile(secret, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(trash, 0o700); err != nil {
		t.Fatal(err)
	}
	old := filepath.Join(dir, "mirrors", "old")
	used := filepath.Join(dir, "mirrors", "used")
	for p, age := range map[string]time.Duration{old: 31 * 24 * time.Hour, used: 24 * time.Hour} {
		if err := os.MkdirAll(p, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(p, "abide-format"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(-age)
		if err := os.Chtimes(filepath.Join(p, "abide-format"), at, at); err != nil {
			t.Fatal(err)
		}
	}
	newStore(t, git.Options{Dir: dir})
	if _, err := os.Stat(used); err != nil {
		t.Error("a mirror in use was removed")
	}
	for _, p := range []string{secret, trash, old} {
		if _, err := os.Stat(p); err == nil {
			t.Errorf("%s is still there", p)
		}
	}
}

func TestClosedStore(t *testing.T) {
	repo := gittest.New(t)
	repo.Write(map[string]string{"a": "1"}).Commit("one")
	s := newStore(t, git.Options{})
	url := serve(t, repo, gitserver.Options{}, nil)
	m := mirrorOf(t, s, url)
	head := fetched(t, m, anonymous, "HEAD")
	tree, err := m.Snapshot(t.Context(), head)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if _, err := tree.ReadFile("a"); err == nil {
		t.Error("a closed store still starts readers")
	}
	u, _ := git.ParseURL(url)
	if _, err := s.Mirror(u); err == nil {
		t.Error("a closed store gives out mirrors")
	}
}
