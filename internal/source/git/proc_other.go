//go:build unix && !linux

package git

import "syscall"

// processAttributes puts the process into its own group, so that it can be
// killed with its children.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
