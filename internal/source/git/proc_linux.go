package git

import "syscall"

// processAttributes puts the process into its own group, so that it can be
// killed with its children, and ends it when abide itself is killed.
func processAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
