package git

import (
	"os"
	"path/filepath"

	"abide.dev/abide/internal/source/git/sshclient"
)

// sshName is what abide is called when git starts it as its ssh program.
const sshName = "abide-git-ssh"

// Helper runs abide as git's ssh program when args (os.Args) ask for it: when
// the program was started under that name, or with "internal-git-ssh" as its
// first argument. main calls it before anything else, and exits with exitCode
// when it was handled; so does the TestMain of a test that uses SSH.
func Helper(args []string) (handled bool, exitCode int) {
	switch {
	case len(args) > 0 && filepath.Base(args[0]) == sshName:
		args = args[1:]
	case len(args) > 1 && args[1] == "internal-git-ssh":
		args = args[2:]
	default:
		return false, 0
	}
	return true, sshclient.Main(args, os.Stdin, os.Stdout, os.Stderr)
}
