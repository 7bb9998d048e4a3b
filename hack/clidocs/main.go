// Command clidocs writes the reference page of abide's command line from its
// commands. Equal commands give an equal page, on every machine.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"abide.dev/abide/internal/cli"
)

func main() {
	out := flag.String("out", "docs/reference", "folder to write the page to")
	flag.Parse()
	page := Page(cli.Root("abide", cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
	if err := os.WriteFile(filepath.Join(*out, "cli.md"), []byte(page), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, "clidocs:", err)
		os.Exit(1)
	}
}
