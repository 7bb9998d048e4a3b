//go:build amd64 || arm64

package worker

import (
	"errors"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The filter lets through what the Go runtime needs to compute, to read and
// write descriptors that are open, and to end. All else is refused: nothing can
// be opened, connected, executed, forked, mounted or traced.

// rule is a system call that is let through where its arguments are as wanted.
type rule struct {
	call  uint32
	wants []want
}

// want is what the lower half of an argument has to be: mask of it equal to
// value.
type want struct {
	argument    uint32
	mask, value uint32
}

func plain(calls ...uint32) []rule {
	out := make([]rule, len(calls))
	for i, c := range calls {
		out[i].call = c
	}
	return out
}

// allowed are the calls that every architecture has.
func allowed(pid uint32) []rule {
	own := want{argument: 0, mask: ^uint32(0), value: pid}
	return append(plain(
		unix.SYS_READ, unix.SYS_WRITE, unix.SYS_READV, unix.SYS_WRITEV, unix.SYS_PREAD64, unix.SYS_CLOSE, unix.SYS_FSTAT, unix.SYS_FCNTL,
		unix.SYS_MUNMAP, unix.SYS_MADVISE, unix.SYS_MINCORE, unix.SYS_BRK,
		unix.SYS_FUTEX, unix.SYS_SCHED_YIELD, unix.SYS_SCHED_GETAFFINITY, unix.SYS_NANOSLEEP, unix.SYS_CLOCK_NANOSLEEP,
		unix.SYS_CLOCK_GETTIME, unix.SYS_GETTIMEOFDAY, unix.SYS_RESTART_SYSCALL, unix.SYS_SET_ROBUST_LIST, unix.SYS_RSEQ,
		unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGRETURN, unix.SYS_SIGALTSTACK,
		unix.SYS_EPOLL_CREATE1, unix.SYS_EPOLL_CTL, unix.SYS_EPOLL_PWAIT, unix.SYS_EVENTFD2,
		unix.SYS_GETPID, unix.SYS_GETTID, unix.SYS_GETRANDOM, unix.SYS_EXIT, unix.SYS_EXIT_GROUP,
	),
		// Memory that is private, and not to be run.
		rule{unix.SYS_MMAP, []want{{2, unix.PROT_EXEC, 0}, {3, unix.MAP_SHARED, 0}}},
		rule{unix.SYS_MPROTECT, []want{{2, unix.PROT_EXEC, 0}}},
		// Threads, and no processes.
		rule{unix.SYS_CLONE, []want{{0, unix.CLONE_THREAD, unix.CLONE_THREAD}}},
		// Signals to itself.
		rule{unix.SYS_KILL, []want{own}},
		rule{unix.SYS_TGKILL, []want{own}},
		// The names of memory areas, which the runtime sets.
		rule{unix.SYS_PRCTL, []want{{0, ^uint32(0), unix.PR_SET_VMA}}},
	)
}

// The layout of struct seccomp_data, on machines that store the lower half of a
// number first.
const (
	offsetCall     = 0
	offsetArch     = 4
	offsetArgument = 16
)

const (
	load  = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	equal = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	above = unix.BPF_JMP | unix.BPF_JGT | unix.BPF_K
	and   = unix.BPF_ALU | unix.BPF_AND | unix.BPF_K
	ret   = unix.BPF_RET | unix.BPF_K
)

// assemble makes a program of the rules. Calls that this was not written for
// are said not to exist, so that a newer runtime falls back to older ones.
func assemble(arch, newest uint32, rules []rule) []unix.SockFilter {
	const refuse = unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)
	const unknown = unix.SECCOMP_RET_ERRNO | uint32(unix.ENOSYS)
	p := []unix.SockFilter{
		{Code: load, K: offsetArch},
		{Code: equal, K: arch, Jt: 1},
		{Code: ret, K: unix.SECCOMP_RET_KILL_PROCESS},
		{Code: load, K: offsetCall},
		{Code: above, K: newest, Jf: 1},
		{Code: ret, K: unknown},
		// Its flags lie in memory, where a filter cannot look.
		{Code: equal, K: unix.SYS_CLONE3, Jf: 1},
		{Code: ret, K: unknown},
	}
	for _, r := range rules {
		var check []unix.SockFilter
		for _, w := range r.wants {
			check = append(check,
				unix.SockFilter{Code: load, K: offsetArgument + 8*w.argument},
				unix.SockFilter{Code: and, K: w.mask},
				unix.SockFilter{Code: equal, K: w.value, Jt: 1},
				unix.SockFilter{Code: ret, K: refuse})
		}
		check = append(check, unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ALLOW})
		p = append(p, unix.SockFilter{Code: equal, K: r.call, Jf: uint8(len(check))})
		p = append(p, check...)
	}
	return append(p, unix.SockFilter{Code: ret, K: refuse})
}

// filterCalls installs the filter on every thread of the process. There is no
// way back.
func filterCalls() error {
	rules := append(allowed(uint32(unix.Getpid())), allowedHere...)
	p := assemble(arch, newestCall, rules)
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	program := unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]}
	thread, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return errno
	}
	if thread != 0 {
		return errors.New("a thread has a filter of its own")
	}
	return nil
}
