// Package cli is abide's command line: a file per command. Each command parses
// its flags into an options struct and hands it, with a context and the
// streams, to one function that does the work.
//
// Exit codes: 0 done; 1 failed; 2 the command line is wrong; 3 a wait ran into
// its time limit; 4 a diff found differences, or health an object that is not
// healthy (both with --exit-code).
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"

	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/source/git"
	"abide.dev/abide/internal/worker"
)

// Streams are what a command reads and writes.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// System returns the streams of the process.
func System() Streams { return Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr} }

// exitError is an error that asks for an exit code of its own.
type exitError struct {
	code int
	err  error // nil: everything has been said
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// The exit codes, beside 0.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitTimeout     = 3
	exitDifferences = 4
)

// Main runs a command line, args[0] being the program, and returns its exit
// code.
func Main(args []string, s Streams) int {
	if handled, code := worker.Helper(args, render.Render); handled {
		return code
	}
	if handled, code := git.Helper(args); handled {
		return code
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := Root(programName(args[0]), s)
	// Whatever goes wrong before a command begins is a wrong command line.
	began := false
	for _, c := range commands(root) {
		run := c.RunE
		c.RunE = func(c *cobra.Command, args []string) error {
			began = true
			if name := c.Name(); name != "controller" && name != "up" { // which log
				// Else the library complains, with a stack, of a command that takes long.
				ctrllog.SetLogger(logr.Discard())
			}
			return run(c, args)
		}
	}
	root.SetArgs(args[1:])
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	var exit *exitError
	if !errors.As(err, &exit) {
		exit = &exitError{exitFailed, err}
		if !began {
			exit = &exitError{exitUsage, fmt.Errorf("%w; see %s --help", err, root.DisplayName())}
		}
	}
	if exit.err != nil {
		fmt.Fprintf(s.Err, "%s: %s\n", root.Name(), cleanLines(exit.err.Error()))
	}
	return exit.code
}

// commands are all commands below one that do something.
func commands(parent *cobra.Command) (out []*cobra.Command) {
	for _, c := range parent.Commands() {
		if c.RunE != nil {
			out = append(out, c)
		}
		out = append(out, commands(c)...)
	}
	return out
}

// programName is "kubectl abide" for a program that kubectl found as a plugin.
func programName(arg0 string) string {
	if strings.HasPrefix(filepath.Base(arg0), "kubectl-") {
		return "kubectl abide"
	}
	return "abide"
}

// Root returns the command tree, of which name is what people type: abide or
// kubectl abide.
func Root(name string, s Streams) *cobra.Command {
	root := &cobra.Command{
		Use:   "abide",
		Short: "Keep running systems in agreement with Git",
		Long: "abide keeps running systems in agreement with Git.\n\n" +
			"Exit codes: 0 done; 1 failed; 2 the command line is wrong; 3 a wait ran into its time\n" +
			"limit; 4 a diff found differences, or an object is not healthy (both with --exit-code).\n" +
			"Colour is used on a terminal only, and never when NO_COLOR is set.",
		SilenceUsage:  true,
		SilenceErrors: true,
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: name},
	}
	root.SetIn(s.In)
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return &exitError{exitUsage, fmt.Errorf("%w; see %s --help", err, c.CommandPath())}
	})
	root.AddCommand(
		newUp(s), newGet(s), newStatus(s), newWhy(s), newDiff(s), newSync(s), newWait(s),
		newApprove(s), newPause(s), newResume(s), newRollback(s), newUnpin(s),
		newHistory(s), newShow(s), newManifests(s), newAudit(s),
		newRender(s), newHealth(s), newInstall(s), newUninstall(s), newVersion(s), newController(s),
	)
	return root
}
