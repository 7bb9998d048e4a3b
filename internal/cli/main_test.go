package cli

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"abide.dev/abide/internal/sandboxtest"
)

// withSandbox stops the package's sandbox after its tests.
type withSandbox struct{ *testing.M }

func (m withSandbox) Run() int { return sandboxtest.RunMain(m.M) }

func TestMain(m *testing.M) {
	abide := func() { os.Exit(Main(os.Args, System())) }
	testscript.Main(withSandbox{m}, map[string]func(){"abide": abide, "kubectl-abide": abide})
}

// TestScript runs the commands that need no cluster, as a shell would.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("KUBECONFIG", filepath.Join(e.WorkDir, "none"))
			return nil
		},
		RequireExplicitExec: true,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

// exits runs a program that must end with an exit code: exits CODE PROGRAM ARG...
func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit interface{ ExitCode() int }
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		code = exit.ExitCode()
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

// answer is what a command line said.
type answer struct {
	code     int
	out, err string
}

// run runs a command line in this process.
func run(t *testing.T, args ...string) answer {
	t.Helper()
	var out, errs bytes.Buffer
	code := Main(append([]string{"abide"}, args...), Streams{In: strings.NewReader(""), Out: &out, Err: &errs})
	return answer{code, out.String(), errs.String()}
}

// want checks an answer: its exit code, and texts that it must have.
func (a answer) want(t *testing.T, code int, texts ...string) {
	t.Helper()
	if a.code != code {
		t.Errorf("exit code %d, want %d", a.code, code)
	}
	for _, text := range texts {
		if !strings.Contains(a.out+a.err, text) {
			t.Errorf("it does not say %q", text)
		}
	}
	if t.Failed() {
		t.Fatalf("stdout:\n%s\nstderr:\n%s", a.out, a.err)
	}
}
