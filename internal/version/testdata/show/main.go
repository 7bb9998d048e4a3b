// Command show prints what the version package says.
package main

import (
	"fmt"

	"abide.dev/abide/internal/version"
)

func main() { fmt.Println(version.Version, version.Commit) }
