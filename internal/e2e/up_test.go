package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"abide.dev/abide/internal/gitserver/gittest"
	"abide.dev/abide/internal/sandboxtest"
)

// up runs "abide up" with a sandbox of its own; its output goes to a file.
func up(t *testing.T, args ...string) (cmd *exec.Cmd, output func() string) {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	out, err := os.Create(filepath.Join(t.TempDir(), "output"))
	must(t, err)
	cmd = exec.CommandContext(t.Context(), self, append([]string{"up"}, args...)...)
	cmd.Args[0] = "abide"
	cmd.Env = append(os.Environ(), asAbide+"=1", "ABIDE_SANDBOX="+sandboxtest.Binary(t))
	cmd.Stdout, cmd.Stderr = out, out
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	return cmd, func() string {
		b, err := os.ReadFile(out.Name())
		must(t, err)
		return string(b)
	}
}

// TestUpOnce: in CI, one command tells whether a repository converges.
func TestUpOnce(t *testing.T) {
	good := gittest.New(t).Write(map[string]string{"app/config.yaml": configMap("hello", "1")})
	good.Commit("good")
	bad := gittest.New(t).Write(map[string]string{"app/config.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: hello}\ndata: [1]\n"})
	bad.Commit("bad")

	cmd, output := up(t, "--repo", good.Dir(), "--path", "app", "--once")
	if err := cmd.Run(); err != nil {
		t.Errorf("a good repository: %v\n%s", err, output())
	}
	for _, want := range []string{"created  ConfigMap default/hello", "1 object in sync and healthy"} {
		if !strings.Contains(output(), want) {
			t.Errorf("the output lacks %q:\n%s", want, output())
		}
	}
	cmd, output = up(t, "--repo", bad.Dir(), "--path", "app", "--once")
	if err := cmd.Run(); cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("a bad repository: %v\n%s", err, output())
	}
	if !strings.Contains(output(), "app/config.yaml:1") {
		t.Errorf("the output does not say where the fault is:\n%s", output())
	}
}

var sampleURL = regexp.MustCompile(`http://127\.0\.0\.1:\d+/sample\.git`)

// TestUpSample: without a repository, a sample is served that can be cloned and
// pushed to, and a push arrives.
func TestUpSample(t *testing.T) {
	cmd, output := up(t)
	must(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	has := func(what string) {
		t.Helper()
		eventually(t, "the output has "+what, func() error {
			if !strings.Contains(output(), what) {
				return errorString("it is\n" + output())
			}
			return nil
		})
	}
	has("shop-staging: InSync, Healthy")
	has("shop-production: InSync, Healthy")
	url := sampleURL.FindString(output())
	clone := filepath.Join(t.TempDir(), "clone")
	runGit(t, "", "clone", "--quiet", url, clone)
	file := filepath.Join(clone, "shop", "staging", "kustomization.yaml")
	b, err := os.ReadFile(file)
	must(t, err)
	must(t, os.WriteFile(file, []byte(strings.Replace(string(b), "count: 2", "count: 3", 1)), 0o600))
	runGit(t, clone, "commit", "--quiet", "--all", "--message", "three of them")
	runGit(t, clone, "push", "--quiet")
	has("three of them")
	has("updated  Deployment.apps staging/web")

	must(t, cmd.Process.Signal(syscall.SIGTERM))
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("it ends with %v\n%s", err, output())
		}
	case <-time.After(patience):
		t.Error("it does not end")
	}
}

type errorString string

func (e errorString) Error() string { return string(e) }

// runGit runs git as a user would, with nothing of this machine's settings.
func runGit(t *testing.T, dir string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "git", args...)
	cmd.Dir = dir
	cmd.Env = append(gittest.Environment(), "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("git %s: %v\n%s", args[0], err, out)
	}
}
