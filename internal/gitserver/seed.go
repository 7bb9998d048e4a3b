package gitserver

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// Seed makes dir a bare repository whose branch main has one commit with the
// files. A repository that is there already is left as it is.
func Seed(ctx context.Context, dir string, files fs.FS, message string) error {
	if _, err := os.Stat(filepath.Join(dir, "HEAD")); err == nil {
		return nil
	}
	work, err := os.MkdirTemp("", "abide-seed-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := os.CopyFS(work, files); err != nil {
		return fmt.Errorf("writing the files of %s: %w", dir, err)
	}
	for _, args := range [][]string{
		{"init", "--quiet", "--bare", "--template=", "--initial-branch=main", dir},
		{"--git-dir", dir, "--work-tree", work, "add", "--all"},
		{"--git-dir", dir, "--work-tree", work, "commit", "--quiet", "--message", message},
	} {
		if err := runGit(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

// runGit runs git with none of the user's settings.
func runGit(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Env = append(os.Environ(),
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=abide", "GIT_AUTHOR_EMAIL=abide@localhost",
		"GIT_COMMITTER_NAME=abide", "GIT_COMMITTER_EMAIL=abide@localhost")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("git %s: %w: %s", args[len(args)-1], err, bytes.TrimSpace(out.Bytes()))
	}
	return nil
}
