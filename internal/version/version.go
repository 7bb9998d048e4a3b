// Package version says which build of abide this is. The Makefile sets both
// values at link time; a build without it (go install) takes them from what the
// Go toolchain recorded in the binary.
package version

import "runtime/debug"

// Version is the release or the output of git describe, such as v0.1.0 or
// v0.1.0-3-g1a2b3c4. It is "dev" where nothing is known.
var Version = "dev"

// Commit is the full hash of the commit that was built, with "-dirty" behind it
// where files differed. It is empty where nothing is known.
var Commit = ""

func init() {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return
	}
	if v := info.Main.Version; Version == "dev" && v != "" && v != "(devel)" {
		Version = v
	}
	if Commit != "" {
		return
	}
	var revision, dirty string
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "-dirty"
		}
	}
	if revision != "" {
		Commit = revision + dirty
	}
}
