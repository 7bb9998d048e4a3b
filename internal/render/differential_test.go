package render_test

import (
	"bytes"
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/snapshot/dirtree"
	"abide.dev/abide/internal/snapshot/memtree"
)

// kustomizeCommand returns the unmodified command of the library's version.
func kustomizeCommand(t *testing.T) string {
	t.Helper()
	return command(t, "ABIDE_KUSTOMIZE", "kustomize", "make bin/kustomize")
}

// command finds a program that abide is compared with.
func command(t *testing.T, env, name, build string) string {
	t.Helper()
	bin := os.Getenv(env)
	if bin == "" {
		bin = filepath.Join("..", "..", "bin", name)
	}
	bin, err := filepath.Abs(bin)
	if err == nil {
		_, err = os.Stat(bin)
	}
	if err != nil {
		msg := "no " + name + " command to compare with; build it with: " + build
		if os.Getenv("CI") == "true" {
			t.Fatal(msg)
		}
		t.Skip(msg)
	}
	return bin
}

// archive is a test repository: its comment lists what to build, and what the
// command fails to build; a file whose name starts with "link:" is a symbolic
// link, one with "copy:" all that is below a folder.
type archive struct {
	name   string
	builds []string
	fails  map[string]bool
	nodes  map[string]memtree.Node
}

func archives(t *testing.T, kind string) []archive {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", kind, "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no test repositories: %v", err)
	}
	var out []archive
	for _, f := range files {
		ar, err := txtar.ParseFile(f)
		if err != nil {
			t.Fatal(err)
		}
		a := archive{name: strings.TrimSuffix(filepath.Base(f), ".txtar"), nodes: map[string]memtree.Node{}, fails: map[string]bool{}}
		for line := range strings.Lines(string(ar.Comment)) {
			how, b, ok := strings.Cut(strings.TrimSpace(line), ": ")
			if ok && (how == "build" || how == "fails") {
				a.builds = append(a.builds, b)
				a.fails[b] = how == "fails"
			}
		}
		copies := map[string]string{}
		for _, file := range ar.Files {
			if name, ok := strings.CutPrefix(file.Name, "link:"); ok {
				a.nodes[name] = memtree.Link(strings.TrimSpace(string(file.Data)))
			} else if name, ok := strings.CutPrefix(file.Name, "copy:"); ok {
				copies[name] = strings.TrimSpace(string(file.Data)) + "/"
			} else {
				a.nodes[file.Name] = memtree.File(string(file.Data))
			}
		}
		for name, n := range maps.Clone(a.nodes) {
			for to, from := range copies {
				if rest, ok := strings.CutPrefix(name, from); ok {
					a.nodes[to+"/"+rest] = n
				}
			}
		}
		out = append(out, a)
	}
	return out
}

// checkout writes an archive to disk.
func (a archive) checkout(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, n := range a.nodes {
		p := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if n == memtree.Link(n.Content) {
			err = os.Symlink(n.Content, p)
		} else {
			err = os.WriteFile(p, []byte(n.Content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestKustomizeMatchesCommand compares every build of testdata with what the
// command prints on a checkout. Where the command fails, ours must.
func TestKustomizeMatchesCommand(t *testing.T) {
	bin := kustomizeCommand(t)
	for _, a := range archives(t, "build") {
		dir := a.checkout(t)
		disk, err := dirtree.New(dir)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { disk.Close() })
		tree := memtree.New(a.nodes)
		if disk.Hash() != tree.Hash() {
			t.Errorf("%s: the tree on disk has hash %s and the one in memory %s", a.name, disk.Hash(), tree.Hash())
		}
		for _, build := range a.builds {
			t.Run(a.name+"/"+build, func(t *testing.T) {
				want, failed := runKustomize(t, bin, dir, build)
				for name, tree := range map[string]*render.Result{
					"memory": mustRender(t, tree, build, failed != ""),
					"disk":   mustRender(t, disk, build, failed != ""),
				} {
					if failed != "" {
						if len(tree.Objects) > 0 {
							t.Errorf("%s: the command fails and abide does not; it says:\n%s", name, failed)
						}
						continue
					}
					if d := cmp.Diff(string(want), printed(t, tree)); d != "" {
						t.Errorf("%s: not what the command prints (-command +abide):\n%s", name, d)
					}
				}
			})
		}
	}
}

func mustRender(t *testing.T, tree snapshot.Tree, build string, mayFail bool) *render.Result {
	t.Helper()
	res, err := render.Render(context.Background(), tree, render.Request{Path: build, Text: true})
	alike(t, tree, render.Request{Path: build, Text: true}, res, err)
	if err != nil && !mayFail {
		t.Errorf("abide fails where the command does not: %v", err)
	}
	if err != nil && mayFail {
		t.Logf("abide: %v", err)
	}
	return res
}

func runKustomize(t *testing.T, bin, dir, build string, flags ...string) (out []byte, failed string) {
	t.Helper()
	cmd := exec.Command(bin, append([]string{"build", build}, flags...)...)
	cmd.Dir = dir
	cmd.Env = []string{"HOME=" + t.TempDir(), "PATH=" + t.TempDir()}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, stderr.String()
	}
	return stdout.Bytes(), ""
}
