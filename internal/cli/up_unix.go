//go:build unix

package cli

import (
	"os/exec"
	"syscall"
)

// detach puts a child into a process group of its own, so that a ^C at the
// terminal reaches only this process, which then ends the child in order.
func detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}
