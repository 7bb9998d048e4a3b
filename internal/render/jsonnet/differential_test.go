package jsonnet

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"abide.dev/abide/internal/render/limit"
	"abide.dev/abide/internal/render/traced"
	"abide.dev/abide/internal/snapshot/memtree"
)

// command returns the unmodified command of the library's version.
func command(t *testing.T) string {
	t.Helper()
	bin := os.Getenv("ABIDE_JSONNET")
	if bin == "" {
		bin = filepath.Join("..", "..", "..", "bin", "jsonnet")
	}
	bin, err := filepath.Abs(bin)
	if err == nil {
		_, err = os.Stat(bin)
	}
	if err != nil {
		msg := "no jsonnet command to compare with; build it with: make bin/jsonnet"
		if os.Getenv("CI") == "true" {
			t.Fatal(msg)
		}
		t.Skip(msg)
	}
	return bin
}

// archive reads a test repository: the lines to evaluate, and its files. A file
// whose name starts with "link:" is a symbolic link.
func archive(t *testing.T, file string) ([]string, map[string]memtree.Node) {
	t.Helper()
	ar, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(ar.Comment)) {
		if l, ok := strings.CutPrefix(strings.TrimSpace(line), "eval: "); ok {
			lines = append(lines, l)
		}
	}
	nodes := map[string]memtree.Node{}
	for _, f := range ar.Files {
		if name, ok := strings.CutPrefix(f.Name, "link:"); ok {
			nodes[name] = memtree.Link(strings.TrimSpace(string(f.Data)))
		} else {
			nodes[f.Name] = memtree.File(string(f.Data))
		}
	}
	return lines, nodes
}

func checkout(t *testing.T, nodes map[string]memtree.Node) string {
	t.Helper()
	dir := t.TempDir()
	for name, n := range nodes {
		p := filepath.Join(dir, filepath.FromSlash(name))
		err := os.MkdirAll(filepath.Dir(p), 0o755)
		if err == nil && n == memtree.Link(n.Content) {
			err = os.Symlink(n.Content, p)
		} else if err == nil {
			err = os.WriteFile(p, []byte(n.Content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// options turns arguments of the command into Options and the file.
func options(t *testing.T, args []string) (*Options, string) {
	t.Helper()
	o := &Options{ExtVars: map[string]Var{}, TLAs: map[string]Var{}}
	for len(args) > 1 {
		name, value, _ := strings.Cut(args[1], "=")
		switch args[0] {
		case "-J":
			o.LibraryPaths = append(o.LibraryPaths, args[1])
		case "-V":
			o.ExtVars[name] = Var{Value: value}
		case "--ext-code":
			o.ExtVars[name] = Var{Value: value, Code: true}
		case "-A":
			o.TLAs[name] = Var{Value: value}
		case "--tla-code":
			o.TLAs[name] = Var{Value: value, Code: true}
		default:
			t.Fatalf("no such argument: %s", args[0])
		}
		args = args[2:]
	}
	return o, args[0]
}

// TestMatchesCommand compares every evaluation of testdata, and that of the
// example of docs/rendering.md, with what the
// command prints on a checkout, byte for byte. Where the command fails, ours
// must.
func TestMatchesCommand(t *testing.T) {
	bin := command(t)
	files, err := filepath.Glob(filepath.Join("testdata", "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no test repositories: %v", err)
	}
	files = append(files, filepath.Join("..", "testdata", "docs", "jsonnet.txtar"))
	for _, f := range files {
		lines, nodes := archive(t, f)
		dir := checkout(t, nodes)
		for _, line := range lines {
			t.Run(filepath.Base(f)+"/"+line, func(t *testing.T) {
				args := strings.Fields(line)
				cmd := exec.Command(bin, args...)
				cmd.Dir = dir
				cmd.Env = []string{"HOME=" + t.TempDir()}
				var stdout, stderr bytes.Buffer
				cmd.Stdout, cmd.Stderr = &stdout, &stderr
				failed := cmd.Run() != nil
				opts, file := options(t, args)
				r := New(traced.New(memtree.New(nodes), 1<<20, 1<<20), ".", opts, limit.Default())
				if r.problems != nil {
					t.Fatal(r.problems)
				}
				got, err := r.evaluate(file)
				switch {
				case failed && err == nil:
					t.Errorf("the command fails and abide does not; it says:\n%s", stderr.String())
				case failed:
					t.Logf("the command: %s\nabide: %v", stderr.String(), r.explain(file, err))
				case err != nil:
					t.Errorf("abide fails where the command does not: %v", r.explain(file, err))
				default:
					if d := cmp.Diff(stdout.String(), got); d != "" {
						t.Errorf("not what the command prints (-command +abide):\n%s", d)
					}
				}
			})
		}
	}
}
