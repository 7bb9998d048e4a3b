package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"abide.dev/abide/api/v1alpha1"
)

// fullHash is all that a commit of a record is taken for: what is none could be an
// option of git.
var fullHash = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

// revert puts Git back: a commit on top of the branch that the App follows makes
// its folder what it was at a release, and is pushed. It is done in a clone of its
// own without a working copy, with the git and the credentials of the user: nothing
// that is in the repository is ever written to a file or run, and no content but
// that of the folder is fetched.
func revert(ctx context.Context, s Streams, app *v1alpha1.App, to *v1alpha1.ReleaseSpec, releases []v1alpha1.ReleaseSpec, o rollbackOptions) error {
	branch, err := followedBranch(app)
	if err != nil {
		return err
	}
	if !fullHash.MatchString(to.Source.Commit) {
		return fmt.Errorf("release %s#%d was made from no commit of a repository", app.Name, to.Number)
	}
	dir, err := os.MkdirTemp("", "abide-rollback-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	g := userGit{dir: dir, s: s}
	if branch, err = g.clone(ctx, app.Spec.Source.Repo, branch, o.branch); err != nil {
		return err
	}
	folder := path.Clean(cmp.Or(app.Spec.Source.Path, "."))
	head, err := g.run(ctx, "rev-parse", "--verify", "HEAD")
	if err != nil {
		return err
	}
	tree, err := g.restored(ctx, app, to, folder)
	if err != nil {
		return err
	}
	if was, err := g.run(ctx, "rev-parse", "--verify", head+"^{tree}"); err != nil {
		return err
	} else if was == tree {
		fmt.Fprintf(s.Out, "%s has %s as it was at release %d already: nothing to revert\n", branch, clean(folder), to.Number)
		return nil
	}
	message, err := g.message(ctx, app, to, releases, folder, o.reason)
	if err != nil {
		return err
	}
	commit, err := g.commit(ctx, head, tree, message)
	if err != nil {
		return err
	}
	return g.push(ctx, app, to, change{folder, branch, head, commit}, o)
}

// change is a commit that puts a folder back.
type change struct{ folder, branch, head, commit string }

// clone makes the clone, and returns the branch that it is of. The branch to push
// to has to be a new one: one that is there could be a release branch, which would
// get all that the followed one has.
func (g *userGit) clone(ctx context.Context, repo, branch, onto string) (string, error) {
	if onto != "" {
		if _, err := g.run(ctx, "check-ref-format", "refs/heads/"+onto); err != nil {
			return "", &exitError{exitUsage, fmt.Errorf("--branch is %q, which is not a name that Git allows (see git help check-ref-format)", onto)}
		}
	}
	args := []string{"clone", "--quiet", "--no-checkout", "--filter=blob:none", "--no-tags", "--single-branch", "--origin=origin"}
	if branch != "" {
		args = append(args, "--branch="+branch)
	}
	if _, err := g.run(ctx, append(args, "--", repo, g.dir)...); err != nil {
		return "", err
	}
	if branch == "" { // the default branch, by its name
		var err error
		if branch, err = g.run(ctx, "symbolic-ref", "--short", "HEAD"); err != nil {
			return "", err
		}
	}
	if onto == "" {
		return branch, nil
	}
	there, err := g.run(ctx, "ls-remote", "--heads", "origin", "refs/heads/"+onto)
	if err == nil && there != "" {
		err = &exitError{exitUsage, fmt.Errorf("the repository has a branch %s already: give --branch another name, or leave it out to push to %s", onto, branch)}
	}
	return branch, err
}

// restored is the tree of the branch with the folder as it was at a release.
func (g *userGit) restored(ctx context.Context, app *v1alpha1.App, to *v1alpha1.ReleaseSpec, folder string) (string, error) {
	commit := to.Source.Commit
	if _, err := g.run(ctx, "cat-file", "-e", commit+"^{commit}"); err != nil {
		// Not on the branch any more: rewritten history.
		if _, err := g.run(ctx, "fetch", "--quiet", "--filter=blob:none", "origin", commit); err != nil {
			return "", fmt.Errorf("commit %s of release %d is not in the repository any more: %w", short(commit), to.Number, err)
		}
	}
	inside := ":" // of a commit or a tree
	if folder != "." {
		inside += folder
	}
	want, err := g.run(ctx, "rev-parse", "--verify", "--quiet", commit+inside)
	if err != nil { // restore would take what is not there for what is to be deleted
		return "", fmt.Errorf("commit %s of release %d has no %s, so App %s had another spec.source.path then: put that back, or leave out --git", short(commit), to.Number, folder, app.Name)
	}
	if _, err := g.run(ctx, "read-tree", "HEAD"); err != nil {
		return "", err
	}
	if _, err := g.run(ctx, "restore", "--quiet", "--staged", "--source="+commit, "--", folder); err != nil {
		return "", fmt.Errorf("folder %s as it was at commit %s: %w", folder, short(commit), err)
	}
	tree, err := g.run(ctx, "write-tree", "--missing-ok") // else all files of the branch are fetched
	if err != nil {
		return "", err
	}
	// restore leaves out what git does not allow, and says nothing by its exit code.
	if is, err := g.run(ctx, "rev-parse", "--verify", "--quiet", tree+inside); err != nil || is != want {
		return "", fmt.Errorf("folder %s can't be put back to commit %s: it has paths there that git does not check out (such as .git)", folder, short(commit))
	}
	return tree, nil
}

// followedBranch is the branch that an App follows; empty for the default one.
func followedBranch(app *v1alpha1.App) (string, error) {
	src := &app.Spec.Source
	switch {
	case src.Repo == "":
		return "", fmt.Errorf("App %s is a chart and no folder in Git: go back by its version (spec.source.chart.version), or leave out --git", app.Name)
	case src.Ref == nil:
		return "", nil
	case src.Ref.Branch != "":
		return src.Ref.Branch, nil
	}
	return "", fmt.Errorf("App %s follows no branch but a tag or a commit, which no commit on top changes: change spec.source.ref, or leave out --git", app.Name)
}

// message says what the commit does, and why.
func (g *userGit) message(ctx context.Context, app *v1alpha1.App, to *v1alpha1.ReleaseSpec, releases []v1alpha1.ReleaseSpec, folder, reason string) (string, error) {
	var m strings.Builder
	fmt.Fprintf(&m, "Revert %s to %s\n\n", clean(folder), short(to.Source.Commit))
	if reason != "" {
		fmt.Fprintf(&m, "%s\n\n", clean(reason))
	}
	fmt.Fprintf(&m, "App %s/%s goes back to its release %d (%s).\n", app.Namespace, app.Name, to.Number, strings.TrimSpace(clean(short(to.Source.Commit)+" "+to.Source.Subject)))
	if len(releases) > 0 && releases[0].Number != to.Number && releases[0].Message != "" {
		fmt.Fprintf(&m, "Its release %d %s: %s\n", releases[0].Number, outcomeInWords(releases[0].Outcome), clean(releases[0].Message))
	}
	const most = 20
	undone, err := g.run(ctx, "log", fmt.Sprintf("--max-count=%d", most+1), "--format=%h %s", to.Source.Commit+"..HEAD", "--", folder)
	if err != nil {
		return "", err
	}
	if lines := strings.Split(undone, "\n"); undone != "" {
		m.WriteString("\nThis undoes:\n\n")
		for _, l := range lines[:min(len(lines), most)] {
			fmt.Fprintf(&m, "    %s\n", clean(l))
		}
		if len(lines) > most {
			m.WriteString("    and earlier ones\n")
		}
	}
	return m.String(), nil
}

// commit makes the commit, signed if the user signs his own. It is not done by git
// commit, which would fetch all files of the branch, and has hooks.
func (g *userGit) commit(ctx context.Context, head, tree, message string) (string, error) {
	args := []string{"commit-tree", "-p", head, "-F", "-"}
	if sign, err := g.run(ctx, "config", "--type=bool", "--get", "commit.gpgSign"); err == nil && sign == "true" {
		args = append(args, "-S")
	}
	g.in = message
	defer func() { g.in = "" }()
	return g.run(ctx, append(args, tree)...)
}

// push pushes the commit, never over anything.
func (g *userGit) push(ctx context.Context, app *v1alpha1.App, to *v1alpha1.ReleaseSpec, c change, o rollbackOptions) error {
	changed, err := g.run(ctx, "diff-tree", "-r", "--no-renames", "--name-only", "-z", c.head, to.Source.Commit)
	if err != nil {
		return err
	}
	onto, advice := o.branch, ""
	if onto == "" {
		onto, advice = c.branch, ", or push to a branch of its own with --branch if this one takes no pushes"
	}
	if _, err := g.run(ctx, "push", "--quiet", "--no-verify", "origin", c.commit+":refs/heads/"+onto); err != nil {
		return fmt.Errorf("nothing was changed: %w; if somebody was faster, run it again%s", err, advice)
	}
	fmt.Fprintf(g.s.Out, "pushed %s to %s: %s is as it was at release %d of App %s\n", short(c.commit), onto, clean(c.folder), to.Number, app.Name)
	if others := outside(c.folder, strings.Split(changed, "\x00")); len(others) > 0 {
		fmt.Fprintf(g.s.Out, "Outside of that folder these have changed since, and stay as they are: %s\n", clean(strings.Join(others, ", ")))
	}
	if app.Spec.Source.Chart != nil {
		fmt.Fprintf(g.s.Out, "The version of its chart is in no folder, and stays as spec.source.chart says: at release %d it was %s\n", to.Number, clean(cmp.Or(to.Source.Chart, "none")))
	}
	if o.branch != "" {
		fmt.Fprintf(g.s.Out, "App %s follows %s: open a pull request from %s to it\n", app.Name, c.branch, o.branch)
	}
	return nil
}

// outside are the folders, a few of them, of files that are not in one folder.
func outside(folder string, files []string) []string {
	if folder == "." {
		return nil
	}
	const most = 10
	var out []string
	for _, f := range files {
		if f == "" || f == folder || strings.HasPrefix(f, folder+"/") {
			continue
		}
		if dir := path.Dir(f); !slices.Contains(out, dir) && len(out) < most {
			out = append(out, dir)
		}
	}
	return out
}

// userGit runs git as the user, in a folder of its own.
type userGit struct {
	dir string
	s   Streams
	in  string
}

// settings hold whatever the user's own configuration says, and nothing of the
// repository is ever configuration: no program is run for what is in it, and what
// git prints is what was asked for.
var settings = []string{
	"core.hooksPath=/dev/null", "core.fsmonitor=false",
	"submodule.recurse=false", "fetch.recurseSubmodules=false", "push.recurseSubmodules=no",
	"push.followTags=false", "gc.auto=0", "maintenance.auto=false",
	"log.showSignature=false", "log.follow=false", "i18n.logOutputEncoding=UTF-8",
}

// repositoryVariables tie git to a repository, or change what a path means. They
// are set where a hook or an alias of git runs abide, and are of the user's own
// repository, which is none of what is done here.
var repositoryVariables = []string{
	"GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_OBJECT_DIRECTORY", "GIT_DIR", "GIT_COMMON_DIR", "GIT_WORK_TREE",
	"GIT_IMPLICIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_INTERNAL_SUPER_PREFIX", "GIT_NAMESPACE", "GIT_CONFIG",
	"GIT_GRAFT_FILE", "GIT_SHALLOW_FILE", "GIT_NO_REPLACE_OBJECTS", "GIT_REPLACE_REF_BASE", "GIT_QUARANTINE_PATH",
	"GIT_GLOB_PATHSPECS", "GIT_NOGLOB_PATHSPECS", "GIT_ICASE_PATHSPECS",
}

// environment is the user's, for a repository in dir.
func (g *userGit) environment(command string) []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(repositoryVariables, name)
	})
	env = append(env, "GIT_LITERAL_PATHSPECS=1", "GIT_ALLOW_PROTOCOL=https:http:ssh:git:file")
	if command != "clone" { // which makes it
		env = append(env, "GIT_DIR="+filepath.Join(g.dir, ".git"))
	}
	return env
}

// run runs a git command and returns what it prints, without the newline.
func (g *userGit) run(ctx context.Context, args ...string) (string, error) {
	var all []string
	for _, s := range settings {
		all = append(all, "-c", s)
	}
	c := exec.CommandContext(ctx, "git", append(all, args...)...)
	c.Dir, c.Env = g.dir, g.environment(args[0])
	c.WaitDelay = 5 * time.Second // an ssh that stays for the next one may keep stderr open
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if g.in != "" {
		c.Stdin = strings.NewReader(g.in)
	}
	err := c.Run()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return "", errors.New("--git needs the git program, and there is none on this machine")
	case err != nil && !errors.Is(err, exec.ErrWaitDelay):
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, clean(strings.TrimSpace(errs.String())))
	}
	return strings.TrimRight(out.String(), "\n"), nil
}
