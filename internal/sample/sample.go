// Package sample holds the small configuration repository that "abide up"
// serves when it is given none: one application with an overlay for each of two
// environments.
package sample

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

//go:embed files
var files embed.FS

// Folder is a folder of the sample that an App can point at.
type Folder struct {
	App, Path, Namespace string
}

// Folders are the environments of the sample.
var Folders = []Folder{
	{App: "shop-staging", Path: "shop/staging", Namespace: "staging"},
	{App: "shop-production", Path: "shop/production", Namespace: "production"},
}

// Create makes the sample a bare repository at dir, with one commit on the
// branch main. A repository that is there already is left as it is.
func Create(ctx context.Context, dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "HEAD")); err == nil {
		return nil
	}
	work, err := os.MkdirTemp("", "abide-sample-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	tree, err := fs.Sub(files, "files")
	if err != nil {
		return err
	}
	if err := os.CopyFS(work, tree); err != nil {
		return fmt.Errorf("writing the sample repository: %w", err)
	}
	for _, args := range [][]string{
		{"init", "--quiet", "--bare", "--initial-branch=main", dir},
		{"--git-dir", dir, "--work-tree", work, "add", "--all"},
		{"--git-dir", dir, "--work-tree", work, "commit", "--quiet", "--message", "The shop, in staging and in production"},
	} {
		if err := git(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

// git runs the git program with no settings but ours.
func git(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Env = append(os.Environ(),
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_TERMINAL_PROMPT=0",
		"GIT_AUTHOR_NAME=abide", "GIT_AUTHOR_EMAIL=sample@abide.dev",
		"GIT_COMMITTER_NAME=abide", "GIT_COMMITTER_EMAIL=sample@abide.dev")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("git %s: %w: %s", args[len(args)-1], err, bytes.TrimSpace(out.Bytes()))
	}
	return nil
}
