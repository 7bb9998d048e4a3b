package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

// makeImage packs this test program as if it were abide.
func makeImage(t *testing.T) []byte {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("an image is made of Linux programs")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "image.tar")
	if _, err := run(exe, out, "abide:v1"); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// files reads a tar.
func files(t *testing.T, r io.Reader) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if out[h.Name], err = io.ReadAll(tr); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func decode[T any](t *testing.T, b []byte) (v T) {
	t.Helper()
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatalf("%v in %s", err, b)
	}
	return v
}

// blob returns a blob after checking its name and size against its content.
func blob(t *testing.T, all map[string][]byte, d descriptor) []byte {
	t.Helper()
	b := all[blobPath(d.Digest)]
	if digestOf(b) != d.Digest || len(b) != d.Size {
		t.Fatalf("blob %s is missing or not what its name says", d.Digest)
	}
	return b
}

// unpack follows the image from its index and writes its root file system.
func unpack(t *testing.T, image []byte, dir string) imageConfig {
	t.Helper()
	all := files(t, bytes.NewReader(image))
	if got := string(all["oci-layout"]); got != `{"imageLayoutVersion":"1.0.0"}` {
		t.Errorf("oci-layout is %q", got)
	}
	top := decode[index](t, all["index.json"])
	if len(top.Manifests) != 1 {
		t.Fatalf("index.json has %d images, want 1", len(top.Manifests))
	}
	m := decode[manifest](t, blob(t, all, top.Manifests[0]))
	c := decode[imageConfig](t, blob(t, all, m.Config))
	if docker := decode[[]dockerManifest](t, all["manifest.json"]); len(docker) != 1 ||
		docker[0].Config != blobPath(m.Config.Digest) || len(docker[0].Layers) != len(m.Layers) {
		t.Errorf("manifest.json names another image: %+v", docker)
	}
	for i, d := range m.Layers {
		z, err := gzip.NewReader(bytes.NewReader(blob(t, all, d)))
		if err != nil {
			t.Fatal(err)
		}
		plain, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		if c.RootFS.DiffIDs[i] != digestOf(plain) {
			t.Errorf("layer %d is %s, and the config says %s", i, digestOf(plain), c.RootFS.DiffIDs[i])
		}
		extract(t, plain, dir)
	}
	return c
}

func extract(t *testing.T, layer []byte, dir string) {
	t.Helper()
	for tr := tar.NewReader(bytes.NewReader(layer)); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Uid != 0 || h.Gid != 0 || !h.ModTime.IsZero() && h.ModTime.Unix() != 0 {
			t.Errorf("%s belongs to %d:%d and is of %v: images would differ by builder", h.Name, h.Uid, h.Gid, h.ModTime)
		}
		p := filepath.Join(dir, h.Name)
		switch h.Typeflag {
		case tar.TypeDir:
			err = errors.Join(os.MkdirAll(p, 0o755), os.Chmod(p, h.FileInfo().Mode()))
		case tar.TypeSymlink:
			err = os.Symlink(h.Linkname, p)
		default:
			var b []byte
			if b, err = io.ReadAll(tr); err == nil {
				err = os.WriteFile(p, b, h.FileInfo().Mode())
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestImageIsTheSameTwice(t *testing.T) {
	if !bytes.Equal(makeImage(t), makeImage(t)) {
		t.Error("two images of the same files differ")
	}
}

func TestImageHoldsWhatAbideNeeds(t *testing.T) {
	dir := t.TempDir()
	c := unpack(t, makeImage(t), dir)
	if c.OS != "linux" || c.Architecture != runtime.GOARCH {
		t.Errorf("platform is %s/%s", c.OS, c.Architecture)
	}
	if c.Config.User != "65532:65532" {
		t.Errorf("user is %q: the Deployment asks for a user that is not root", c.Config.User)
	}
	if len(c.Config.Entrypoint) != 1 || c.Config.Entrypoint[0] != "/abide" {
		t.Errorf("entrypoint is %q", c.Config.Entrypoint)
	}
	for _, name := range []string{
		"abide", "bin/sh", "usr/bin/git", "usr/lib/git-core/git-remote-http", "usr/lib/git-core/git-remote-https",
		"etc/ssl/certs/ca-certificates.crt", "etc/passwd", "etc/nsswitch.conf", "tmp", "var/cache/abide",
	} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}

// In the image's own root, as its own user, the programs start: every shared
// library is there, and git can speak HTTP and run a shell.
func TestImageRuns(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("changing the root takes root; the other tests check the list of files")
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	c := unpack(t, makeImage(t), dir)
	// A container has devices; a file does for what git wants of this one.
	null := filepath.Join(dir, "dev", "null")
	if err := errors.Join(os.Mkdir(filepath.Dir(null), 0o755), os.WriteFile(null, nil, 0), os.Chmod(null, 0o666)); err != nil {
		t.Fatal(err)
	}
	url := dumbRepository(t)
	for _, row := range []struct {
		args []string
		want string
		why  string
	}{
		{[]string{"/abide", "-test.run=^$"}, "PASS", "the entrypoint"},
		{[]string{"/usr/bin/git", "--version"}, "git version", "git and its libraries"},
		{[]string{"/usr/bin/git", "ls-remote", url}, "refs/heads/main", "git-remote-http and its libraries"},
		{[]string{"/usr/bin/git", "-c", "alias.x=!echo shell", "x"}, "shell", "the shell that git runs commands with"},
		{[]string{"/usr/bin/git", "init", "--bare", "/var/cache/abide/x"}, "Initialized", "the cache can be written"},
	} {
		cmd := exec.Command(row.args[0], row.args[1:]...)
		cmd.Env = c.Config.Env
		cmd.Dir = c.Config.WorkingDir
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: dir, Credential: &syscall.Credential{Uid: user, Gid: user}}
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), row.want) || strings.Contains(string(out), "warning: templates") {
			t.Errorf("%s: %q: %v\n%s", row.why, row.args, err, out)
		}
	}
}

// dumbRepository serves a repository with one commit as plain files.
func dumbRepository(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, args := range [][]string{
		{"init", "-q", "-b", "main", "."},
		{"-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgSign=false", "commit", "-q", "--allow-empty", "-m", "one"},
		{"update-server-info"},
	} {
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %q: %v\n%s", args, err, out)
		}
	}
	server := httptest.NewServer(http.FileServer(http.Dir(filepath.Join(dir, ".git"))))
	t.Cleanup(server.Close)
	return server.URL
}

func TestWrongInput(t *testing.T) {
	script := filepath.Join(t.TempDir(), "abide")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := run(script, filepath.Join(t.TempDir(), "out"), "abide:v1")
	if err == nil || !strings.Contains(err.Error(), "no Linux program") {
		t.Errorf("a script packed as abide: %v", err)
	}
}
