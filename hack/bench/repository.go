package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"abide.dev/abide/internal/gitserver"
)

// repository is a working copy, the bare repository that it is pushed to, and
// the server of that one.
type repository struct {
	work, bare string
	url        string
	server     *gitserver.Running
}

func newRepository(ctx context.Context, dir string, s scenario) (*repository, error) {
	r := &repository{work: filepath.Join(dir, "work"), bare: filepath.Join(dir, "served", "config.git")}
	for _, args := range [][]string{{"init", "-q", "-b", "main", r.work}, {"init", "-q", "--bare", "-b", "main", r.bare}} {
		if err := git(ctx, dir, args...); err != nil {
			return nil, err
		}
	}
	if err := r.write(s.shape.shared()); err != nil {
		return nil, err
	}
	for app := range s.apps {
		if err := r.write(s.shape.files(app)); err != nil {
			return nil, err
		}
		if l, ok := s.shape.(linker); ok {
			if err := r.link(l.links(app)); err != nil {
				return nil, err
			}
		}
	}
	if _, err := r.push(ctx, "all of it"); err != nil {
		return nil, err
	}
	server, err := gitserver.New(gitserver.Options{Root: filepath.Dir(r.bare)})
	if err != nil {
		return nil, err
	}
	if r.server, err = server.Listen("127.0.0.1:0", nil); err != nil {
		return nil, err
	}
	r.url = r.server.URL + "/" + filepath.Base(r.bare)
	return r, nil
}

func (r *repository) close() { r.server.Close() }

func (r *repository) write(files map[string]string) error {
	for name, text := range files {
		file := filepath.Join(r.work, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// link makes symbolic links, by path and where they lead.
func (r *repository) link(links map[string]string) error {
	for name, target := range links {
		file := filepath.Join(r.work, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.Symlink(target, file); err != nil {
			return err
		}
	}
	return nil
}

// push commits what was written and pushes it. It returns the commit.
func (r *repository) push(ctx context.Context, message string) (string, error) {
	for _, args := range [][]string{
		{"add", "-A"},
		{"-c", "user.name=bench", "-c", "user.email=bench@example.com", "-c", "commit.gpgSign=false", "commit", "-q", "-m", message},
		{"push", "-q", r.bare, "main"},
	} {
		if err := git(ctx, r.work, args...); err != nil {
			return "", err
		}
	}
	return gitOutput(ctx, r.work, "rev-parse", "HEAD")
}

func git(ctx context.Context, dir string, args ...string) error {
	_, err := gitOutput(ctx, dir, args...)
	return err
}

// gitOutput runs git without the user's configuration.
func gitOutput(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("git %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out)), nil
}
