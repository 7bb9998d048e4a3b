package integration

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestHelpAndVersion(t *testing.T) {
	for _, tc := range []struct {
		args []string
		says []string
	}{
		{[]string{"--help"}, []string{"--data DIR", "--port N", "--nodes K", "--audit-log FILE", "--verbose", "--exit-with-stdin", "kubeconfig --data"}},
		{[]string{"-h"}, []string{"Usage:"}},
		{[]string{"kubeconfig", "--help"}, []string{"--user NAME", "--group GROUP"}},
		{[]string{"--version"}, []string{"abide-sandbox", "Kubernetes v1."}},
	} {
		stdout, stderr, status := run(t, tc.args...)
		if status != 0 || stderr != "" {
			t.Errorf("%v: status %d, standard error %q", tc.args, status, stderr)
		}
		for _, w := range tc.says {
			if !strings.Contains(stdout, w) {
				t.Errorf("%v does not say %q", tc.args, w)
			}
		}
	}
}

func TestBadCommandLines(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	unused := filepath.Join(dir, "unused")
	for _, tc := range []struct {
		args []string
		says []string
	}{
		{[]string{"--data", unused, "--bogus"}, []string{"--bogus", "--help"}},
		{[]string{"--data", unused, "serve"}, []string{`"serve"`, "--help"}},
		{[]string{"--data", unused, "--port", "70000"}, []string{"70000", "65535"}},
		{[]string{"--data", unused, "--port", "-1"}, []string{"-1"}},
		{[]string{"--data", unused, "--port", "http"}, []string{"http"}},
		{[]string{"--data", unused, "--nodes", "1001"}, []string{"1001", "1000"}},
		{[]string{"--data", unused, "--nodes", "-1"}, []string{"-1"}},
		{[]string{"--data", ""}, []string{"--data is empty"}},
		{[]string{"--data", unused, "--audit-log", ""}, []string{"--audit-log is empty"}},
		{[]string{"--data", unused, "--audit-log", filepath.Join(dir, "no", "audit.log")}, []string{"audit log", filepath.Join(dir, "no", "audit.log")}},
		{[]string{"--data", file}, []string{file, "is a file"}},
		{[]string{"kubeconfig"}, []string{"--data"}},
		{[]string{"kubeconfig", "--data", dir}, []string{"--user"}},
		{[]string{"kubeconfig", "--data", dir, "--user", "x", "--group", ""}, []string{"--group"}},
		{[]string{"kubeconfig", "--data", dir, "--user", "x"}, []string{dir, "not a sandbox's directory"}},
		{[]string{"kubeconfig", "--data", dir, "--user", "x", "y"}, []string{`"y"`}},
		{[]string{"component"}, nil},
		{[]string{"component", "bogus"}, []string{"bogus"}},
	} {
		_, stderr, status := run(t, tc.args...)
		refused(t, stderr, status, tc.says...)
		if t.Failed() {
			t.Fatalf("with %q", tc.args)
		}
	}
	if _, err := os.Stat(unused); err == nil {
		t.Error("a bad command line created the directory")
	}
}

func TestKubeconfigOfAStoppedSandbox(t *testing.T) {
	dir := t.TempDir()
	p := start(t, dir)
	p.terminate()
	cfg := user(t, dir, "late", "g1")
	if want := config(t, p.kubeconfig()).Host; cfg.Host != want {
		t.Errorf("the server is at %s, want %s", cfg.Host, want)
	}
}

func TestRelativeAuditLogAndVerbose(t *testing.T) {
	wd := t.TempDir()
	t.Setenv("ABIDE_SANDBOX", binary(t)) // as seen from here
	t.Chdir(wd)
	p := start(t, filepath.Join(wd, "data"), "--audit-log", "audit.log", "--verbose")
	p.terminate()
	p.wait(t, 0)
	if st, err := os.Stat(filepath.Join(wd, "audit.log")); err != nil || st.Size() == 0 {
		t.Errorf("the audit log: %v", err)
	}
	for _, w := range []string{"kube-apiserver: ", "kube-controller-manager: "} {
		if !strings.Contains(p.stderr.String(), w) {
			t.Errorf("no line of %s on standard error", w)
		}
	}
	log, err := os.ReadFile(filepath.Join(wd, "data", "logs", "kube-apiserver.log"))
	if err != nil || len(log) == 0 {
		t.Errorf("with --verbose the log is still a file: %d bytes, %v", len(log), err)
	}
}
