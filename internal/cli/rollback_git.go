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
	"slices"
	"strings"

	"abide.dev/abide/api/v1alpha1"
)

// revert puts Git back: a commit on top of the branch that the App follows makes
// its folder what it was at a release, and is pushed. It is done in a clone of its
// own without a working copy, with the git and the credentials of the user: nothing
// that is in the repository is ever written to a file or run.
func revert(ctx context.Context, s Streams, app *v1alpha1.App, to *v1alpha1.ReleaseSpec, releases []v1alpha1.ReleaseSpec, o rollbackOptions) error {
	branch, err := followedBranch(app)
	if err != nil {
		return err
	}
	if to.Source.Commit == "" {
		return fmt.Errorf("release %s#%d was made from no commit of a repository", app.Name, to.Number)
	}
	dir, err := os.MkdirTemp("", "abide-rollback-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	g := userGit{dir: dir, s: s}
	clone := []string{"clone", "--quiet", "--no-checkout", "--filter=blob:none", "--no-tags", "--single-branch"}
	if branch != "" {
		clone = append(clone, "--branch="+branch)
	}
	if _, err := g.run(ctx, append(clone, "--", app.Spec.Source.Repo, ".")...); err != nil {
		return err
	}
	if branch == "" { // the default branch, by its name
		if branch, err = g.run(ctx, "symbolic-ref", "--short", "HEAD"); err != nil {
			return err
		}
	}
	if _, err := g.run(ctx, "cat-file", "-e", to.Source.Commit+"^{commit}"); err != nil {
		// Not on the branch any more: rewritten history.
		if _, err := g.run(ctx, "fetch", "--quiet", "--filter=blob:none", "origin", to.Source.Commit); err != nil {
			return fmt.Errorf("commit %s of release %d is not in the repository any more: %w", short(to.Source.Commit), to.Number, err)
		}
	}
	folder := path.Clean(cmp.Or(app.Spec.Source.Path, "."))
	if _, err := g.run(ctx, "read-tree", "HEAD"); err != nil {
		return err
	}
	if _, err := g.run(ctx, "restore", "--quiet", "--staged", "--source="+to.Source.Commit, "--", folder); err != nil {
		return fmt.Errorf("folder %s as it was at commit %s: %w", folder, short(to.Source.Commit), err)
	}
	if _, err := g.run(ctx, "diff", "--cached", "--quiet", "HEAD"); err == nil {
		fmt.Fprintf(s.Out, "%s has %s as it was at release %d already: nothing to revert\n", branch, folder, to.Number)
		return nil
	}
	if err := g.commit(ctx, app, to, releases, folder, o.reason); err != nil {
		return err
	}
	return g.push(ctx, app, to, folder, branch, o)
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
	return "", fmt.Errorf("App %s follows no branch but a tag or a commit, which no commit changes: change spec.source.ref, or leave out --git", app.Name)
}

// commit makes the commit, with a message that says what and why.
func (g *userGit) commit(ctx context.Context, app *v1alpha1.App, to *v1alpha1.ReleaseSpec, releases []v1alpha1.ReleaseSpec, folder, reason string) error {
	var m strings.Builder
	fmt.Fprintf(&m, "Revert %s to %s\n\n", folder, short(to.Source.Commit))
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
		return err
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
	g.in = m.String()
	defer func() { g.in = "" }()
	_, err = g.run(ctx, "commit", "--quiet", "--no-verify", "--cleanup=verbatim", "--file=-")
	return err
}

// push pushes the commit, never over anything.
func (g *userGit) push(ctx context.Context, app *v1alpha1.App, to *v1alpha1.ReleaseSpec, folder, branch string, o rollbackOptions) error {
	head, err := g.run(ctx, "rev-parse", "HEAD")
	if err != nil {
		return err
	}
	changed, err := g.run(ctx, "diff", "--name-only", "-z", "HEAD~1", to.Source.Commit)
	if err != nil {
		return err
	}
	onto := cmp.Or(o.branch, branch)
	if _, err := g.run(ctx, "push", "--quiet", "origin", "HEAD:refs/heads/"+onto); err != nil {
		return fmt.Errorf("nothing was changed: %w; if somebody was faster, run it again", err)
	}
	fmt.Fprintf(g.s.Out, "pushed %s to %s: %s is as it was at release %d of App %s\n", short(head), onto, folder, to.Number, app.Name)
	if others := outside(folder, strings.Split(changed, "\x00")); len(others) > 0 {
		fmt.Fprintf(g.s.Out, "Outside of that folder these have changed since, and stay as they are: %s\n", clean(strings.Join(others, ", ")))
	}
	if o.branch != "" {
		fmt.Fprintf(g.s.Out, "App %s follows %s: open a pull request from %s to it\n", app.Name, branch, o.branch)
	}
	return nil
}

// outside are the folders at the top, a few of them, with files that are not in one
// folder.
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
		top, _, _ := strings.Cut(f, "/")
		if !slices.Contains(out, top) && len(out) < most {
			out = append(out, top)
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

// run runs a git command and returns what it prints, without the newline.
func (g *userGit) run(ctx context.Context, args ...string) (string, error) {
	c := exec.CommandContext(ctx, "git", append([]string{
		"-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "submodule.recurse=false", "-c", "advice.detachedHead=false",
	}, args...)...)
	c.Dir = g.dir
	c.Env = append(os.Environ(), "GIT_LITERAL_PATHSPECS=1", "GIT_ALLOW_PROTOCOL=https:http:ssh:git:file", "GIT_DIR="+path.Join(g.dir, ".git"))
	if args[0] == "clone" {
		c.Env = c.Env[:len(c.Env)-1]
	}
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	if g.in != "" {
		c.Stdin = strings.NewReader(g.in)
	}
	err := c.Run()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return "", errors.New("--git needs the git program, and there is none on this machine")
	case err != nil:
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, clean(strings.TrimSpace(errs.String())))
	}
	return strings.TrimRight(out.String(), "\n"), nil
}
