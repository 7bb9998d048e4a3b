// Command abide keeps running systems in agreement with Git. See package cli
// for its commands.
package main

import (
	"os"

	"abide.dev/abide/internal/cli"
	"abide.dev/abide/internal/coldstart"
)

func main() {
	coldstart.Over()
	os.Exit(cli.Main(os.Args, cli.System()))
}
