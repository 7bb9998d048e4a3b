// Package gittest makes Git repositories for tests, with the real git, a
// single process per commit and none of the user's configuration.
package gittest

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Repo is a bare repository together with the files that the next commit will
// have. It is not safe for concurrent use.
type Repo struct {
	t      testing.TB
	Root   string // the folder the repository lies in, which a gitserver can serve
	Name   string // its name in Root
	branch string
	files  map[string]file
	clock  time.Time
	marks  map[string]map[string]file // the files of each branch
}

type file struct{ mode, content string }

// New makes an empty bare repository, in a temporary folder that goes with the
// test, whose default branch is main.
func New(t testing.TB) *Repo {
	t.Helper()
	return NewIn(t, t.TempDir(), "repo.git")
}

// NewIn makes an empty bare repository at root/name.
func NewIn(t testing.TB, root, name string) *Repo {
	t.Helper()
	r := &Repo{
		t: t, Root: root, Name: name, branch: "main", files: map[string]file{},
		clock: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), marks: map[string]map[string]file{},
	}
	r.run("", "init", "--quiet", "--bare", "--template=", "--initial-branch=main", r.Dir())
	return r
}

// Dir is the repository's folder.
func (r *Repo) Dir() string { return filepath.Join(r.Root, r.Name) }

// Git runs git in the repository and returns its output without the last line
// break.
func (r *Repo) Git(args ...string) string {
	r.t.Helper()
	return r.run("", append([]string{"--git-dir=" + r.Dir()}, args...)...)
}

func (r *Repo) run(stdin string, args ...string) string {
	r.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Env = Environment()
	cmd.Stdin = strings.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		r.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSuffix(string(out), "\n")
}

// Environment is one in which git sees no configuration of the user or the
// system, and knows who commits.
func Environment() []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.DevNull, "LC_ALL=C",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=Ada", "GIT_AUTHOR_EMAIL=ada@example.org",
		"GIT_COMMITTER_NAME=Grace", "GIT_COMMITTER_EMAIL=grace@example.org",
	}
}

// Write adds files, or replaces them, for the next commit.
func (r *Repo) Write(files map[string]string) *Repo {
	for name, content := range files {
		r.files[name] = file{"100644", content}
	}
	return r
}

// Executable adds an executable file for the next commit.
func (r *Repo) Executable(name, content string) *Repo {
	r.files[name] = file{"100755", content}
	return r
}

// Symlink adds a symbolic link for the next commit.
func (r *Repo) Symlink(name, target string) *Repo {
	r.files[name] = file{"120000", target}
	return r
}

// Submodule adds a submodule entry for the next commit.
func (r *Repo) Submodule(name, commit string) *Repo {
	r.files[name] = file{"160000", commit}
	return r
}

// Remove takes files, and everything below a folder of that name, out of the
// next commit.
func (r *Repo) Remove(names ...string) *Repo {
	for _, n := range names {
		delete(r.files, n)
		for f := range r.files {
			if strings.HasPrefix(f, n+"/") {
				delete(r.files, f)
			}
		}
	}
	return r
}

// Commit commits the files to the current branch and returns the hash.
func (r *Repo) Commit(message string) string {
	r.t.Helper()
	return r.commit(message, r.branch, "refs/heads/"+r.branch+"^0")
}

// ForcePush replaces the current branch by a commit without parents that has
// the files, as if a rewritten history was pushed, and returns its hash.
func (r *Repo) ForcePush(message string) string {
	r.t.Helper()
	return r.commit(message, r.branch, "")
}

func (r *Repo) commit(message, branch, from string) string {
	r.t.Helper()
	r.clock = r.clock.Add(time.Minute)
	if from != "" && r.quiet("rev-parse", "--verify", "--quiet", "refs/heads/"+branch) == "" {
		from = ""
	}
	var s strings.Builder
	at := fmt.Sprintf("%d +0200", r.clock.Unix())
	fmt.Fprintf(&s, "reset refs/heads/%s\n\ncommit refs/heads/%s\nmark :1\nauthor Ada <ada@example.org> %s\ncommitter Grace <grace@example.org> %s\ndata %d\n%s\n",
		branch, branch, at, at, len(message), message)
	if from != "" {
		// After a reset the branch has no parent of its own accord.
		fmt.Fprintf(&s, "from %s\n", r.Head(branch))
	}
	s.WriteString("deleteall\n")
	for _, name := range slices.Sorted(maps.Keys(r.files)) {
		f := r.files[name]
		if f.mode == "160000" {
			fmt.Fprintf(&s, "M 160000 %s %s\n", f.content, quote(name))
			continue
		}
		fmt.Fprintf(&s, "M %s inline %s\ndata %d\n%s\n", f.mode, quote(name), len(f.content), f.content)
	}
	s.WriteString("get-mark :1\ndone\n")
	hash := r.run(s.String(), "--git-dir="+r.Dir(), "fast-import", "--quiet", "--force", "--done", "--date-format=raw")
	r.marks[branch] = maps.Clone(r.files)
	return hash
}

func quote(name string) string {
	var s strings.Builder
	s.WriteByte('"')
	for i := range len(name) {
		switch c := name[i]; {
		case c == '"' || c == '\\':
			s.WriteByte('\\')
			s.WriteByte(c)
		case c < ' ' || c >= 0x7f:
			fmt.Fprintf(&s, "\\%03o", c)
		default:
			s.WriteByte(c)
		}
	}
	s.WriteByte('"')
	return s.String()
}

func (r *Repo) quiet(args ...string) string {
	cmd := exec.Command("git", append([]string{"--git-dir=" + r.Dir()}, args...)...)
	cmd.Env = Environment()
	out, _ := cmd.Output()
	return strings.TrimSpace(string(out))
}

// Head returns the commit of a branch.
func (r *Repo) Head(branch string) string {
	r.t.Helper()
	return r.Git("rev-parse", "--verify", "refs/heads/"+branch)
}

// Branch makes name the current branch, beginning at the current commit when
// it is new; its files become the files of the next commit.
func (r *Repo) Branch(name string) *Repo {
	r.t.Helper()
	if files, ok := r.marks[name]; ok {
		r.files = maps.Clone(files)
	} else if head := r.quiet("rev-parse", "--verify", "--quiet", "refs/heads/"+r.branch); head != "" {
		r.Git("update-ref", "refs/heads/"+name, head)
		r.marks[name] = maps.Clone(r.marks[r.branch])
	}
	r.branch = name
	return r
}

// DeleteBranch removes a branch.
func (r *Repo) DeleteBranch(name string) {
	r.t.Helper()
	r.Git("update-ref", "-d", "refs/heads/"+name)
	delete(r.marks, name)
}

// SetDefault makes HEAD point at a branch.
func (r *Repo) SetDefault(branch string) {
	r.t.Helper()
	r.Git("symbolic-ref", "HEAD", "refs/heads/"+branch)
}

// Tag puts a lightweight tag on the current branch, moving it if it exists.
func (r *Repo) Tag(name string) {
	r.t.Helper()
	r.Git("tag", "--force", name, "refs/heads/"+r.branch)
}

// AnnotatedTag puts an annotated tag on the current branch.
func (r *Repo) AnnotatedTag(name, message string) {
	r.t.Helper()
	r.Git("tag", "--force", "--annotate", "--message", message, name, "refs/heads/"+r.branch)
}

// DeleteTag removes a tag.
func (r *Repo) DeleteTag(name string) {
	r.t.Helper()
	r.Git("update-ref", "-d", "refs/tags/"+name)
}
