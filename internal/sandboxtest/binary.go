package sandboxtest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

const module = "module abide.dev/abide"

// Binary is the path of the built abide-sandbox. Without one it skips the
// test, or fails it if CI=true.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := findBinary(os.Getenv)
	if err == nil {
		return path
	}
	if os.Getenv("CI") == "true" {
		t.Fatal(err)
	}
	t.Skip(err)
	return ""
}

func findBinary(getenv func(string) string) (string, error) {
	path := getenv("ABIDE_SANDBOX")
	if path == "" {
		root, err := repository()
		if err != nil {
			return "", err
		}
		path = filepath.Join(root, "bin", "abide-sandbox")
	} else if !filepath.IsAbs(path) {
		return "", fmt.Errorf("ABIDE_SANDBOX=%s: the path must be absolute, since tests run in their package's directory", path)
	}
	st, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("no abide-sandbox at %s; build it with `make build`: %w", path, err)
	}
	if st.IsDir() || st.Mode()&0o111 == 0 {
		return "", fmt.Errorf("%s is not a program", path)
	}
	return path, nil
}

// repository walks up from the working directory, which is the package's in a
// test, to the root of this module.
func repository() (string, error) {
	wd, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := wd; ; dir = filepath.Dir(dir) {
		b, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && bytes.HasPrefix(b, []byte(module+"\n")) {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("%s is not in the repository of abide.dev/abide; set ABIDE_SANDBOX", wd)
		}
	}
}
