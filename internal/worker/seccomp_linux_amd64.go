package worker

import "golang.org/x/sys/unix"

const (
	arch       = unix.AUDIT_ARCH_X86_64
	newestCall = unix.SYS_FUTEX_REQUEUE
)

// allowedHere are the calls that only this architecture has.
var allowedHere = append(plain(unix.SYS_EPOLL_WAIT),
	// What a new thread does to know its own data.
	rule{unix.SYS_ARCH_PRCTL, []want{{0, ^uint32(0), 0x1002}}}, // ARCH_SET_FS
)
