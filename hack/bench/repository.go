package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// repository is a Git repository with one folder per App.
type repository struct {
	dir     string
	objects int
}

func folder(app int) string { return fmt.Sprintf("app-%03d", app) }

func newRepository(ctx context.Context, dir string, s scenario) (*repository, error) {
	r := &repository{dir: dir, objects: s.objects}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if err := r.git(ctx, "init", "-q", "-b", "main", "."); err != nil {
		return nil, err
	}
	for app := range s.apps {
		for object := range s.objects {
			if err := r.write(app, object, "first"); err != nil {
				return nil, err
			}
		}
	}
	return r, r.commit(ctx, "all of it")
}

// write writes one ConfigMap with a value in it.
func (r *repository) write(app, object int, value string) error {
	file := filepath.Join(r.dir, folder(app), fmt.Sprintf("cm-%04d.yaml", object))
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	text := fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: cm-%04d\ndata:\n  value: %s\n  filling: %s\n",
		object, value, strings.Repeat("x", 200))
	return os.WriteFile(file, []byte(text), 0o644)
}

func (r *repository) commit(ctx context.Context, message string) error {
	if err := r.git(ctx, "add", "-A"); err != nil {
		return err
	}
	return r.git(ctx, "-c", "user.name=bench", "-c", "user.email=bench@example.com", "-c", "commit.gpgSign=false", "commit", "-q", "-m", message)
}

func (r *repository) git(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = r.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("git %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}
