package dirtree_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/snapshot/dirtree"
	"abide.dev/abide/internal/snapshot/memtree"
)

// git runs the real git in dir and returns what it prints.
func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir, "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=/dev/null",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func needGit(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}

func write(t *testing.T, p, content string, mode fs.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

// TestHashesAreGits commits a directory and compares every hash with git's.
func TestHashesAreGits(t *testing.T) {
	needGit(t)
	dir := t.TempDir()
	git(t, dir, "init", "-q", "--object-format=sha1")
	write(t, filepath.Join(dir, "a.yaml"), "x", 0o644)
	write(t, filepath.Join(dir, "a/b.yaml"), "y", 0o644) // "a.yaml" sorts before "a/" in Git
	write(t, filepath.Join(dir, "a/run"), "#!/bin/sh\n", 0o755)
	write(t, filepath.Join(dir, "deep/er/still.txt"), strings.Repeat("z", 100000), 0o600)
	write(t, filepath.Join(dir, "empty.txt"), "", 0o644)
	write(t, filepath.Join(dir, "é ü.yaml"), "utf", 0o644)
	if err := os.Symlink("../nowhere", filepath.Join(dir, "a/link")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "nothing/in/it"), 0o755); err != nil {
		t.Fatal(err)
	}
	sub := filepath.Join(dir, "sub")
	write(t, filepath.Join(sub, "s.txt"), "s", 0o644)
	git(t, sub, "init", "-q", "--object-format=sha1")
	git(t, sub, "add", ".")
	git(t, sub, "commit", "-qm", "s")
	git(t, dir, "-c", "advice.addEmbeddedRepo=false", "add", ".")
	git(t, dir, "commit", "-qm", "all")

	tree, err := dirtree.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	if got, want := tree.Hash(), git(t, dir, "rev-parse", "HEAD^{tree}"); got != want {
		t.Errorf("the tree is %s, git says %s (%v)", got, want, tree.Err())
	}
	kinds := map[string]snapshot.Kind{"100644": snapshot.File, "100755": snapshot.Executable, "120000": snapshot.Symlink, "040000": snapshot.Dir, "160000": snapshot.Submodule}
	for _, line := range strings.Split(git(t, dir, "-c", "core.quotePath=false", "ls-tree", "-rt", "HEAD"), "\n") {
		meta, name, _ := strings.Cut(line, "\t")
		f := strings.Fields(meta)
		got, err := tree.Lookup(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if want := (snapshot.Entry{Name: filepath.Base(name), Kind: kinds[f[0]], Hash: f[2]}); got != want {
			t.Errorf("%s is %+v, git says %+v", name, got, want)
		}
		if kind, err := tree.Kind(name); err != nil || kind != kinds[f[0]] {
			t.Errorf("%s is a %v (%v)", name, kind, err)
		}
	}
	entries, err := tree.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name)
	}
	if d := cmp.Diff([]string{"a", "a.yaml", "deep", "empty.txt", "sub", "é ü.yaml"}, names); d != "" {
		t.Errorf("names (-want +got):\n%s", d)
	}
}

// TestNothingOutside: links are told of and never followed.
func TestNothingOutside(t *testing.T) {
	out := t.TempDir()
	write(t, filepath.Join(out, "secret"), "s", 0o644)
	dir := t.TempDir()
	write(t, filepath.Join(dir, "in/f"), "f", 0o644)
	for name, target := range map[string]string{"abs": out, "file": filepath.Join(out, "secret"), "in2": "in"} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	tree, err := dirtree.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	for _, p := range []string{"abs/secret", "in2/f", "../" + filepath.Base(out) + "/secret", "in/../in/f", "in/f/x", "nothing", ".git", ""} {
		if e, err := tree.Lookup(p); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q is there: %+v, %v", p, e, err)
		}
		if b, err := tree.ReadFile(p); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q was read: %q, %v", p, b, err)
		}
		if _, err := tree.ReadDir(p); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q was listed: %v", p, err)
		}
	}
	if b, err := tree.ReadFile("file"); err != nil || string(b) != filepath.Join(out, "secret") {
		t.Errorf("a link reads as %q (%v), not as its target", b, err)
	}
	// A file that becomes a link after its folder was read is not followed.
	if err := os.Remove(filepath.Join(dir, "in/f")); err != nil {
		t.Fatal(err)
	}
	if _, err := tree.ReadDir("in"); err == nil {
		t.Log("hashes were known already")
	}
	if err := os.Symlink(filepath.Join(out, "secret"), filepath.Join(dir, "in/f")); err != nil {
		t.Fatal(err)
	}
	if b, err := tree.ReadFile("in/f"); err == nil {
		t.Errorf("a file replaced by a link was read: %q", b)
	}
}

func TestSameAsMemory(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a/b"), "1", 0o644)
	write(t, filepath.Join(dir, "a.b"), "2", 0o755)
	tree, err := dirtree.New(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	mem := memtree.New(map[string]memtree.Node{"a/b": memtree.File("1"), "a.b": memtree.Exec("2")})
	if tree.Hash() != mem.Hash() {
		t.Errorf("on disk %s, in memory %s", tree.Hash(), mem.Hash())
	}
	for _, p := range []string{".", "a"} {
		a, errA := tree.ReadDir(p)
		b, errB := mem.ReadDir(p)
		if d := cmp.Diff(b, a); d != "" || errA != nil || errB != nil {
			t.Errorf("%s (-memory +disk), %v, %v:\n%s", p, errA, errB, d)
		}
	}
}
