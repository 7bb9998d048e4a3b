package version

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The values that a build sets win over what the toolchain records.
func TestLinkTimeValuesWin(t *testing.T) {
	program := filepath.Join(t.TempDir(), "show")
	const pkg = "abide.dev/abide/internal/version"
	build := exec.Command("go", "build", "-o", program, "-ldflags",
		"-X "+pkg+".Version=v1.2.3 -X "+pkg+".Commit=abc", "./testdata/show")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.Command(program).Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(string(out)); got != "v1.2.3 abc" {
		t.Errorf("got %q", got)
	}
}

// A program never says nothing about its version.
func TestVersionIsNeverEmpty(t *testing.T) {
	if Version == "" {
		t.Error("Version is empty")
	}
}
