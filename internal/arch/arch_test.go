package arch

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const root = "../.."

func TestTheHouse(t *testing.T) {
	tree, err := Parse(os.DirFS(root))
	if err != nil {
		t.Fatal(err)
	}
	if len(tree.Files) == 0 {
		t.Fatal("no Go files were found: the rules checked nothing")
	}
	for _, rule := range Rules {
		t.Run(rule.Name, func(t *testing.T) {
			for _, v := range rule.Check(tree) {
				if !Allowed(rule, v, Exceptions) {
					t.Errorf("%s (because %s)", v, rule.Why)
				}
			}
		})
	}
}

func TestExceptionsNameARuleAndAReason(t *testing.T) {
	names := map[string]bool{}
	for _, r := range Rules {
		names[r.Name] = true
	}
	for _, e := range Exceptions {
		if !names[e.Rule] || e.Path == "" || e.Reason == "" {
			t.Errorf("%+v: no such rule, or no path or reason", e)
		}
	}
}

// The engine can be installed with "go install" only while its go.mod has no
// replace, and stays small only without k8s.io/kubernetes.
func TestGoModOfTheEngine(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(string(b), "\n") {
		line = strings.TrimSpace(line)
		for _, bad := range []string{"replace ", "replace(", "exclude ", "exclude(", "k8s.io/kubernetes ", Module + "/sandbox"} {
			if strings.HasPrefix(line, bad) || strings.HasPrefix(line, "require "+bad) {
				t.Errorf("go.mod:%d: %s", i+1, line)
			}
		}
	}
	for _, f := range []string{"go.work", "go.work.sum"} {
		if _, err := os.Stat(filepath.Join(root, f)); err == nil {
			t.Errorf("%s would leak the sandbox's replaces into the engine's builds", f)
		}
	}
}
