// Command abide-sandbox runs a throw-away Kubernetes control plane.
package main

import (
	"os"

	"abide.dev/abide/sandbox/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args, os.Stdin, os.Stdout, os.Stderr))
}
