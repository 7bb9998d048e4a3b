package main

import (
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"abide.dev/abide/internal/cli"
)

func tree() *cobra.Command {
	return cli.Root("abide", cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
}

// Every command and every flag of it is on the page: the reference can't fall
// behind what the program has.
func TestPageHasEveryCommandAndFlag(t *testing.T) {
	page, root := Page(tree()), tree()
	for _, c := range root.Commands() {
		if !strings.Contains(page, "\n## "+c.CommandPath()+"\n") {
			t.Errorf("%s has no section", c.CommandPath())
		}
		if c.Short == "" {
			t.Errorf("%s says nothing of itself", c.CommandPath())
		}
	}
	for _, want := range []string{"`--exit-code`", "`-A`, `--all-namespaces`", "`--timeout time`", "4 a diff found differences"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %s", want)
		}
	}
}

// Whoever generates the page gets the same bytes.
func TestPageDependsOnTheCommandsAlone(t *testing.T) {
	before := Page(tree())
	t.Setenv("TMPDIR", "/elsewhere")
	t.Setenv("HOME", "/somebody")
	if after := Page(tree()); after != before {
		t.Error("the page depends on the machine")
	}
	if strings.Contains(before, "/tmp") {
		t.Error("the page names a folder of this machine")
	}
}
