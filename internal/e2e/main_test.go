package e2e

import (
	"os"
	"testing"

	"github.com/go-logr/logr"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"abide.dev/abide/internal/cli"
	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/sandboxtest"
	"abide.dev/abide/internal/source/git"
	"abide.dev/abide/internal/worker"
)

// asAbide makes the test binary be the abide program: what is tested is then
// built with the same flags as the tests, the race detector among them.
const asAbide = "ABIDE_E2E_PROGRAM"

func TestMain(m *testing.M) {
	if handled, code := worker.Helper(os.Args, render.Render); handled {
		os.Exit(code)
	}
	if handled, code := git.Helper(os.Args); handled {
		os.Exit(code)
	}
	if offset := os.Getenv(withClock); offset != "" {
		os.Exit(abideWithClock(offset))
	}
	if os.Getenv(asAbide) != "" {
		os.Exit(cli.Main(os.Args, cli.System()))
	}
	ctrllog.SetLogger(logr.Discard()) // of the tests' own clients
	os.Exit(sandboxtest.RunMain(m))
}
