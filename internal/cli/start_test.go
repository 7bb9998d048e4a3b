package cli

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// What loading the packages may allocate before main begins: it is what makes a
// program with large libraries slow to start, and unlike the time it is the same
// on every machine. The whole of it was 5.7 MB when this was written: 1.7 MB of it
// for the meta-schemas that Helm's library for JSON schemas reads (3 ms), and 0.7
// MB for the registry of Kubernetes' types.
const (
	initBytes        = 8 << 20
	initPackageBytes = 2 << 20
)

// shippedBytes bounds the stripped program.
const shippedBytes = 150_000_000

// initLine is what the runtime prints with GODEBUG=inittrace=1.
var initLine = regexp.MustCompile(`(?m)^init (\S+) @.* (\d+) bytes, \d+ allocs$`)

// TestStartIsLight holds the cause of a quick start: nothing heavy is done when
// packages are loaded, whatever the command is.
func TestStartIsLight(t *testing.T) {
	cmd := exec.Command(built(t), "version")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if out, err := cmd.Output(); err != nil || !bytes.HasPrefix(out, []byte("abide ")) {
		t.Fatalf("abide version: %v\n%s%s", err, out, stderr.Bytes())
	}
	type load struct {
		name  string
		bytes int
	}
	var loads []load
	total := 0
	for _, m := range initLine.FindAllStringSubmatch(stderr.String(), -1) {
		n, err := strconv.Atoi(m[2])
		if err != nil {
			t.Fatal(err)
		}
		loads, total = append(loads, load{m[1], n}), total+n
	}
	if len(loads) < 50 {
		t.Fatalf("the runtime tells of %d packages:\n%s", len(loads), stderr.Bytes())
	}
	slices.SortFunc(loads, func(a, b load) int { return cmp.Compare(b.bytes, a.bytes) })
	var worst strings.Builder
	for _, l := range loads[:5] {
		fmt.Fprintf(&worst, "\n%9d %s", l.bytes, l.name)
	}
	t.Logf("%d bytes, most of them by%s", total, worst.String())
	if total > initBytes || loads[0].bytes > initPackageBytes {
		t.Errorf("loading packages allocates %d bytes, at most %d, of one %d; make lazy what these do (sync.OnceValue):%s",
			total, initBytes, initPackageBytes, worst.String())
	}
}

// built is the path of the program that make builds: what these tests are about
// is another in a test's own binary, under the race detector above all.
func built(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "bin", "abide"))
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("build it with make build: ", err)
	}
	return path
}

func TestShippedSize(t *testing.T) {
	info, err := os.Stat(built(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d bytes", info.Size())
	if info.Size() > shippedBytes {
		t.Errorf("bin/abide has %d bytes, at most %d; docs/dependencies.md (make deps-cost) says which module takes what", info.Size(), shippedBytes)
	}
}
