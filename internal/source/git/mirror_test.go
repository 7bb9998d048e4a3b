package git_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"abide.dev/abide/internal/gitserver"
	"abide.dev/abide/internal/gitserver/gittest"
	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/source/git"
)

var anonymous git.Credentials

func read(t testing.TB, m *git.Mirror, commit, path string) string {
	t.Helper()
	tree, err := m.Snapshot(t.Context(), commit)
	if err != nil {
		t.Fatal(err)
	}
	b, err := tree.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestSnapshot(t *testing.T) {
	repo := gittest.New(t)
	commit := repo.Write(map[string]string{
		"a.b": "dot", "a/deep/file.yaml": "content", "a-b": "dash", "empty": "",
		"hostile/\x01\x1b[31m\"quoted\"\n-\tname": "odd", "hostile/-rf": "dash", "hostile/\xff\xfe": "latin",
	}).Executable("run.sh", "#!/bin/sh").Symlink("link", "a/deep").Symlink("up", "../../etc/passwd").
		Submodule("sub", strings.Repeat("1", 40)).Commit("one")
	m := mirrorOf(t, newStore(t, git.Options{}), serve(t, repo, gitserver.Options{}, nil))
	fetched(t, m, anonymous, "HEAD")
	tree, err := m.Snapshot(t.Context(), commit)
	if err != nil {
		t.Fatal(err)
	}
	if want := repo.Git("rev-parse", commit+"^{tree}"); tree.Hash() != want {
		t.Errorf("hash %s, want %s", tree.Hash(), want)
	}
	root, err := tree.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range root {
		names = append(names, e.Name+" "+e.Kind.String())
	}
	want := []string{"a directory", "a-b file", "a.b file", "empty file", "hostile directory", "link symbolic link",
		"run.sh executable file", "sub submodule", "up symbolic link"}
	if d := cmp.Diff(want, names); d != "" {
		t.Errorf("entries (-want +got):\n%s", d)
	}
	for path, content := range map[string]string{
		"a/deep/file.yaml": "content", "a.b": "dot", "empty": "", "link": "a/deep", "up": "../../etc/passwd",
		"hostile/\x01\x1b[31m\"quoted\"\n-\tname": "odd", "hostile/-rf": "dash", "hostile/\xff\xfe": "latin",
	} {
		if b, err := tree.ReadFile(path); err != nil || string(b) != content {
			t.Errorf("%q is %q, %v", path, b, err)
		}
	}
	for _, path := range []string{"none", "a/none", "a.b/x", "link/file.yaml", "sub/x"} {
		if _, err := tree.Lookup(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v, want fs.ErrNotExist", path, err)
		}
	}
	for _, path := range []string{"../x", "/etc/passwd", "a//b", "", "a/../a.b"} {
		if _, err := tree.ReadFile(path); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%q: %v, want fs.ErrInvalid", path, err)
		}
	}
	for _, path := range []string{"a", "sub"} {
		if _, err := tree.ReadFile(path); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("reading %s: %v", path, err)
		}
	}
	if at, e, err := snapshot.Resolve(tree, "link/file.yaml", nil); err != nil || at != "a/deep/file.yaml" || e.Kind != snapshot.File {
		t.Errorf("resolved to %s, %v, %v", at, e, err)
	}
	var escape *snapshot.EscapeError
	if _, _, err := snapshot.Resolve(tree, "up", nil); !errors.As(err, &escape) {
		t.Errorf("a link out of the repository: %v", err)
	}
}

func TestHugeFileIsBounded(t *testing.T) {
	repo := gittest.New(t)
	commit := repo.Write(map[string]string{"big": strings.Repeat("x", 300_000), "small": "ok"}).Commit("one")
	s := newStore(t, git.Options{Limits: git.Limits{MaxFile: 100_000}})
	m := mirrorOf(t, s, serve(t, repo, gitserver.Options{}, nil))
	fetched(t, m, anonymous, "HEAD")
	tree, err := m.Snapshot(t.Context(), commit)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second answer is from the cache
		var large *snapshot.TooLargeError
		if _, err := tree.ReadFile("big"); !errors.As(err, &large) || large.Size != 300_000 || large.Path != "big" {
			t.Errorf("%v", err)
		}
		if b, err := tree.ReadFile("small"); err != nil || string(b) != "ok" {
			t.Errorf("after a refused file: %q, %v", b, err)
		}
	}
}

func TestMirrorTooLarge(t *testing.T) {
	repo := gittest.New(t)
	for i := range 3 {
		noise := make([]byte, 400_000)
		for j := range noise {
			noise[j] = byte((j*j*7 + j*i*13 + j>>3) ^ (j * 2654435761 >> 11))
		}
		repo.Write(map[string]string{fmt.Sprint(i): string(noise)})
	}
	repo.Commit("noise")
	slow := newStore(t, git.Options{Limits: git.Limits{MaxMirror: 1}})
	m := mirrorOf(t, slow, serve(t, repo, gitserver.Options{}, nil))
	refs, err := m.ListRefs(t.Context(), anonymous, []string{"HEAD"})
	if err != nil {
		t.Fatal(err)
	}
	err = m.Fetch(t.Context(), anonymous, git.Want{Hash: refs.Hashes["HEAD"]})
	wantKind(t, err, git.RepositoryTooLarge)
}

func TestForcePushKeepsCommitsInUse(t *testing.T) {
	repo := gittest.New(t)
	old := repo.Write(map[string]string{"a": "old"}).Commit("one")
	m := mirrorOf(t, newStore(t, git.Options{}), serve(t, repo, gitserver.Options{}, nil))
	fetched(t, m, anonymous, "HEAD")
	m.Hold(old)
	forced := repo.Write(map[string]string{"a": "new"}).ForcePush("rewritten")
	if got := fetched(t, m, anonymous, "HEAD"); got != forced {
		t.Fatalf("fetched %s, want %s", got, forced)
	}
	if err := m.Maintain(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if got := read(t, m, old, "a"); got != "old" {
		t.Errorf("the old commit reads %q", got)
	}
	if got := read(t, m, forced, "a"); got != "new" {
		t.Errorf("the new commit reads %q", got)
	}
}

func TestFetchIsIncremental(t *testing.T) {
	repo := gittest.New(t)
	for i := range 5 {
		repo.Write(map[string]string{fmt.Sprintf("dir%d/file", i): fmt.Sprint(i)}).Commit("history")
	}
	base := repo.Head("main")
	dir := t.TempDir()
	m := mirrorOf(t, newStore(t, git.Options{Dir: dir}), serve(t, repo, gitserver.Options{}, nil))
	fetched(t, m, anonymous, "HEAD")
	count := func() int {
		mirrors, _ := filepath.Glob(filepath.Join(dir, "mirrors", "*"))
		cmd := exec.Command("git", "--git-dir="+mirrors[0], "cat-file", "--batch-all-objects", "--batch-check")
		cmd.Env = gittest.Environment()
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(out), "\n")
	}
	// One commit, its root tree, five folders and five files: no history.
	if n := count(); n != 12 {
		t.Errorf("the first fetch brought %d objects, want 12", n)
	}
	first := repo.Write(map[string]string{"dir1/file": "changed"}).Commit("between")
	last := repo.Write(map[string]string{"dir1/file": "changed again"}).Commit("after")
	if err := m.Fetch(t.Context(), anonymous, git.Want{Hash: last, Base: base}); err != nil {
		t.Fatal(err)
	}
	if n := count(); n != 12+8 { // two commits, each with a root, a folder and a file
		t.Errorf("the second fetch left %d objects, want 20", n)
	}
	if _, err := m.Commit(t.Context(), first); err != nil {
		t.Errorf("a commit between: %v", err)
	}
}

func TestFetchRefs(t *testing.T) {
	repo := gittest.New(t)
	repo.Write(map[string]string{"a": "1"}).Commit("one")
	m := mirrorOf(t, newStore(t, git.Options{}), serve(t, repo, gitserver.Options{}, nil))
	fetched(t, m, anonymous, "HEAD")
	next := repo.Write(map[string]string{"a": "2"}).Commit("two")
	got, err := m.FetchRefs(t.Context(), anonymous, []string{"HEAD", "refs/heads/main"})
	if err != nil {
		t.Fatal(err)
	}
	if got["HEAD"] != next || got["refs/heads/main"] != next {
		t.Errorf("%v, want %s", got, next)
	}
	if s := read(t, m, next, "a"); s != "2" {
		t.Errorf("reads %q", s)
	}
	_, err = m.FetchRefs(t.Context(), anonymous, []string{"refs/heads/main", "refs/heads/gone"})
	wantKind(t, err, git.RefNotFound)
}

func TestCommitByHash(t *testing.T) {
	repo := gittest.New(t)
	old := repo.Write(map[string]string{"a": "old"}).Commit("one")
	repo.Write(map[string]string{"a": "new"}).Commit("two")
	url := serve(t, repo, gitserver.Options{}, nil)
	m := mirrorOf(t, newStore(t, git.Options{}), url)
	if err := m.Fetch(t.Context(), anonymous, git.Want{Hash: old}); err != nil {
		t.Fatal(err)
	}
	if got := read(t, m, old, "a"); got != "old" {
		t.Errorf("reads %q", got)
	}
	err := m.Fetch(t.Context(), anonymous, git.Want{Hash: strings.Repeat("ab", 20)})
	wantKind(t, err, git.CommitNotFound)
	err = m.Fetch(t.Context(), anonymous, git.Want{Hash: "abc123"})
	wantKind(t, err, git.CommitNotFound)
	blob := repo.Git("rev-parse", old+":a")
	if err := m.Fetch(t.Context(), anonymous, git.Want{Hash: blob}); err == nil {
		_, err = m.Commit(t.Context(), blob)
		wantKind(t, err, git.CommitNotFound)
	}
	if got := read(t, m, old, "a"); got != "old" {
		t.Errorf("after refused fetches it reads %q", got)
	}
}

func TestConcurrentFetchesShare(t *testing.T) {
	repo := gittest.New(t)
	commit := repo.Write(map[string]string{"a": "1"}).Commit("one")
	m := mirrorOf(t, newStore(t, git.Options{}), serve(t, repo, gitserver.Options{}, nil))
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			if err := m.Fetch(t.Context(), anonymous, git.Want{Hash: commit}); err != nil {
				t.Error(err)
			}
			tree, err := m.Snapshot(t.Context(), commit)
			if err != nil {
				t.Error(err)
				return
			}
			if b, err := tree.ReadFile("a"); err != nil || string(b) != "1" {
				t.Errorf("%q, %v", b, err)
			}
		})
	}
	all.Wait()
}

// eachObject calls do for every file below objects of the only mirror in dir.
func eachObject(t *testing.T, dir string, do func(path string)) {
	t.Helper()
	n := 0
	err := filepath.WalkDir(filepath.Join(dir, "mirrors"), func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.Contains(p, "/objects/") {
			n++
			do(p)
		}
		return err
	})
	if err != nil || n == 0 {
		t.Fatalf("%d objects, %v", n, err)
	}
}

// inMirror is the path of a file of the only mirror below dir.
func inMirror(t *testing.T, dir, name string) string {
	t.Helper()
	mirrors, _ := filepath.Glob(filepath.Join(dir, "mirrors", "*"))
	if len(mirrors) != 1 {
		t.Fatalf("there are the mirrors %q", mirrors)
	}
	return filepath.Join(mirrors[0], filepath.FromSlash(name))
}

func TestDamagedMirrorRecovers(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, dir string){
		"objects cut to nothing": func(t *testing.T, dir string) {
			eachObject(t, dir, func(p string) { os.Chmod(p, 0o600); os.Truncate(p, 0) })
		},
		"objects with other bytes": func(t *testing.T, dir string) {
			eachObject(t, dir, func(p string) { os.Chmod(p, 0o600); os.WriteFile(p, []byte("garbage garbage"), 0o600) })
		},
		"objects gone": func(t *testing.T, dir string) { eachObject(t, dir, func(p string) { os.Remove(p) }) },
		"configuration garbled": func(t *testing.T, dir string) {
			names, _ := filepath.Glob(filepath.Join(dir, "mirrors", "*", "config"))
			os.WriteFile(names[0], []byte("[core\nrepositoryformatversion = 99\n"), 0o600)
			os.Remove(filepath.Join(filepath.Dir(names[0]), "HEAD"))
		},
		"everything deleted": func(t *testing.T, dir string) { os.RemoveAll(filepath.Join(dir, "mirrors")) },
		"HEAD gone":          func(t *testing.T, dir string) { os.Remove(inMirror(t, dir, "HEAD")) },
		"refs gone":          func(t *testing.T, dir string) { os.RemoveAll(inMirror(t, dir, "refs")) },
		"kept ref garbled": func(t *testing.T, dir string) {
			names, _ := filepath.Glob(inMirror(t, dir, "refs/abide/keep/*"))
			os.WriteFile(names[0], []byte("garbage"), 0o600)
		},
		"packed refs garbled": func(t *testing.T, dir string) {
			os.WriteFile(inMirror(t, dir, "packed-refs"), []byte("garbage\n"), 0o600)
		},
		"boundary garbled": func(t *testing.T, dir string) {
			os.WriteFile(inMirror(t, dir, "shallow"), []byte("garbage\n"), 0o600)
		},
		"object folder gone": func(t *testing.T, dir string) { os.RemoveAll(inMirror(t, dir, "objects")) },
		"a stale lock": func(t *testing.T, dir string) {
			names, _ := filepath.Glob(filepath.Join(dir, "mirrors", "*"))
			os.WriteFile(filepath.Join(names[0], "shallow.lock"), nil, 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			repo := gittest.New(t)
			first := repo.Write(map[string]string{"a": "1"}).Commit("one")
			url := serve(t, repo, gitserver.Options{}, nil)
			dir := t.TempDir()
			before := newStore(t, git.Options{Dir: dir})
			fetched(t, mirrorOf(t, before, url), anonymous, "HEAD")
			before.Close()
			damage(t, dir)

			m := mirrorOf(t, newStore(t, git.Options{Dir: dir}), url)
			second := repo.Write(map[string]string{"a": "2"}).Commit("two")
			// What the Hub does: fetch, read, and fetch again when told that
			// the mirror is broken.
			// The first one again, since a mirror that is found broken with the second
			// is made anew.
			for _, commit := range []string{first, second, first} {
				for try := 0; ; try++ {
					err := m.Fetch(t.Context(), anonymous, git.Want{Hash: commit, Base: first})
					var tree snapshot.Tree
					if err == nil {
						tree, err = m.Snapshot(t.Context(), commit)
					}
					if err == nil {
						_, err = tree.ReadFile("a")
					}
					if err == nil {
						break
					}
					if try > 2 || !git.IsKind(err, git.MirrorCorrupt) {
						t.Fatalf("try %d: %v", try, err)
					}
				}
			}
			if got := read(t, m, first, "a") + read(t, m, second, "a"); got != "12" {
				t.Errorf("reads %q", got)
			}
		})
	}
}

func TestReaderSurvivesAKilledChild(t *testing.T) {
	if _, err := os.Stat("/proc/self/environ"); err != nil {
		t.Skip("needs /proc")
	}
	repo := gittest.New(t)
	files := map[string]string{}
	for i := range 20 {
		files[fmt.Sprintf("f%d", i)] = fmt.Sprint(i)
	}
	commit := repo.Write(files).Commit("one")
	dir := t.TempDir()
	m := mirrorOf(t, newStore(t, git.Options{Dir: dir}), serve(t, repo, gitserver.Options{}, nil))
	fetched(t, m, anonymous, "HEAD")
	for i := range 20 {
		killed := 0
		entries, _ := filepath.Glob("/proc/[0-9]*")
		for _, p := range entries {
			args, _ := os.ReadFile(p + "/cmdline")
			env, _ := os.ReadFile(p + "/environ")
			if strings.Contains(string(args), "cat-file") && strings.Contains(string(env), dir) {
				var pid int
				fmt.Sscan(filepath.Base(p), &pid)
				if syscall.Kill(pid, syscall.SIGKILL) == nil {
					killed++
				}
			}
		}
		if i > 0 && killed == 0 {
			t.Fatal("found no reader to kill")
		}
		if got := read(t, m, commit, fmt.Sprintf("f%d", i)); got != fmt.Sprint(i) {
			t.Errorf("reads %q, want %d", got, i)
		}
	}
	if !m.Has(commit) {
		t.Error("a killed reader made the mirror count as broken")
	}
}

func TestReadersAreBoundedAcrossMirrors(t *testing.T) {
	root := t.TempDir()
	s := newStore(t, git.Options{Limits: git.Limits{Readers: 2, PerMirror: 2}})
	var repos []*gittest.Repo
	for i := range 6 {
		r := gittest.NewIn(t, root, fmt.Sprintf("r%d.git", i))
		r.Write(map[string]string{"a": fmt.Sprint(i)}).Commit("one")
		repos = append(repos, r)
	}
	url := strings.TrimSuffix(serve(t, repos[0], gitserver.Options{}, nil), "/r0.git")
	var all sync.WaitGroup
	for i, r := range repos {
		m := mirrorOf(t, s, url+"/"+r.Name)
		commit := fetched(t, m, anonymous, "HEAD")
		for range 4 {
			all.Go(func() {
				tree, err := m.Snapshot(t.Context(), commit)
				if err != nil {
					t.Error(err)
					return
				}
				if b, err := tree.ReadFile("a"); err != nil || string(b) != fmt.Sprint(i) {
					t.Errorf("%q, %v", b, err)
				}
			})
		}
	}
	all.Wait()
}

func TestChangedPaths(t *testing.T) {
	repo := gittest.New(t)
	from := repo.Write(map[string]string{
		"same/a": "a", "dir/changed": "1", "dir/removed": "r", "was-dir/x": "x", "was-file": "f", "mode": "m", "gone/deep/er": "g",
	}).Commit("one")
	to := repo.Write(map[string]string{"dir/changed": "2", "dir/added": "n", "was-dir": "now a file", "new/deep/er": "n"}).
		Remove("dir/removed", "was-dir/x", "was-file", "gone").Executable("mode", "m").
		Write(map[string]string{"was-file/y": "y"}).Commit("two")
	m := mirrorOf(t, newStore(t, git.Options{}), serve(t, repo, gitserver.Options{}, nil))
	fetched(t, m, anonymous, "HEAD")
	if err := m.Fetch(t.Context(), anonymous, git.Want{Hash: from}); err != nil {
		t.Fatal(err)
	}
	changes, err := m.ChangedPaths(t.Context(), from, to)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range changes {
		got = append(got, fmt.Sprintf("%s: %s -> %s from %q", c.Path, c.From.Kind, c.To.Kind, c.Top))
	}
	want := []string{
		`dir/added: unknown -> file from "dir/added"`, `dir/changed: file -> file from ""`, `dir/removed: file -> unknown from "dir/removed"`,
		`gone/deep/er: file -> unknown from "gone"`, `mode: file -> executable file from "mode"`, `new/deep/er: unknown -> file from "new"`,
		`was-dir: unknown -> file from "was-dir"`, `was-dir/x: file -> unknown from "was-dir"`,
		`was-file: file -> unknown from "was-file"`, `was-file/y: unknown -> file from "was-file"`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("changes (-want +got):\n%s", d)
	}
	if same, err := m.ChangedPaths(t.Context(), to, to); err != nil || len(same) != 0 {
		t.Errorf("a commit against itself: %v, %v", same, err)
	}
	_, err = m.ChangedPaths(t.Context(), strings.Repeat("1", 40), to)
	wantKind(t, err, git.CommitNotFound)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := m.ChangedPaths(ctx, from, to); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that ended: %v", err)
	}
}

func TestMalformedObjectsAreRefused(t *testing.T) {
	repo := gittest.New(t)
	repo.Write(map[string]string{"a": "1"}).Commit("one")
	blob := repo.Git("rev-parse", "main:a")
	raw := repo.Dir() + "/evil"
	entry := "100644 .git\x00" + string(unhex(blob))
	if err := os.WriteFile(raw, []byte(entry), 0o600); err != nil {
		t.Fatal(err)
	}
	tree := repo.Git("hash-object", "-t", "tree", "--literally", "-w", raw)
	commit := repo.Git("commit-tree", "-m", "evil", tree)
	repo.Git("update-ref", "refs/heads/main", commit)
	m := mirrorOf(t, newStore(t, git.Options{}), serve(t, repo, gitserver.Options{}, nil))
	err := m.Fetch(t.Context(), anonymous, git.Want{Hash: commit})
	wantKind(t, err, git.RepositoryMalformed)
}

func unhex(s string) []byte {
	out := make([]byte, len(s)/2)
	for i := range out {
		fmt.Sscanf(s[2*i:2*i+2], "%02x", &out[i])
	}
	return out
}

func BenchmarkSnapshotReads(b *testing.B) {
	repo := gittest.New(b)
	files := map[string]string{}
	for i := range 1000 {
		files[fmt.Sprintf("apps/app%d/file%d.yaml", i/10, i)] = fmt.Sprintf("kind: ConfigMap\nname: %d\n%s", i, strings.Repeat("data\n", 100))
	}
	commit := repo.Write(files).Commit("one")
	url := serve(b, repo, gitserver.Options{}, nil)
	dir := b.TempDir()
	s := newStore(b, git.Options{Dir: dir})
	m := mirrorOf(b, s, url)
	if err := m.Fetch(b.Context(), anonymous, git.Want{Hash: commit}); err != nil {
		b.Fatal(err)
	}
	b.Run("cached", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			readAll(b, m, commit)
		}
	})
	s.Close()
	b.Run("first", func(b *testing.B) { // a process is started, nothing is cached
		b.ReportAllocs()
		for b.Loop() {
			b.StopTimer()
			s, err := git.New(git.Options{Dir: dir})
			if err != nil {
				b.Fatal(err)
			}
			m := mirrorOf(b, s, url)
			b.StartTimer()
			readAll(b, m, commit)
			b.StopTimer()
			s.Close()
			b.StartTimer()
		}
	})
}

func readAll(b *testing.B, m *git.Mirror, commit string) {
	tree, err := m.Snapshot(b.Context(), commit)
	if err != nil {
		b.Fatal(err)
	}
	dirs, err := tree.ReadDir("apps")
	if err != nil {
		b.Fatal(err)
	}
	n := 0
	for _, d := range dirs {
		entries, err := tree.ReadDir("apps/" + d.Name)
		if err != nil {
			b.Fatal(err)
		}
		for _, e := range entries {
			if _, err := tree.ReadFile("apps/" + d.Name + "/" + e.Name); err != nil {
				b.Fatal(err)
			}
			n++
		}
	}
	if n != 1000 {
		b.Fatalf("read %d files", n)
	}
}
