package worker

import (
	"bytes"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// nobody is who the child is in a user namespace of its own.
const nobody = 65534

// attributes puts the child into a session of its own and ends it with the
// thread that started it. isolate gives it a network that nothing is connected
// to; that takes a user namespace where abide is not root.
func attributes(isolate bool) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	if isolate {
		a.Cloneflags = syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET
		a.UidMappings = []syscall.SysProcIDMap{{ContainerID: nobody, HostID: os.Getuid(), Size: 1}}
		a.GidMappings = []syscall.SysProcIDMap{{ContainerID: nobody, HostID: os.Getgid(), Size: 1}}
	}
	return a
}

// keepDescriptors sees to it that no child gets a descriptor that this process
// was itself started with by accident. Those that Go hands on are not touched
// by it.
func keepDescriptors() {
	_ = unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC) // Linux 5.11
}

// canIsolate tells whether the platform may let a child have namespaces.
const canIsolate = true

// anonymous is the memory of a process that no file stands behind, in bytes;
// false if it cannot be told.
func anonymous(pid int) (int64, bool) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	if err != nil {
		return 0, false
	}
	f := bytes.Fields(b) // pages: size, resident, of these shared with files
	if len(f) < 3 {
		return 0, false
	}
	resident, err1 := strconv.ParseInt(string(f[1]), 10, 64)
	shared, err2 := strconv.ParseInt(string(f[2]), 10, 64)
	if err1 != nil || err2 != nil {
		return 0, false
	}
	return (resident - shared) * int64(os.Getpagesize()), true
}

// memoryOfContainer is how much memory the control group has that abide runs
// in, in bytes; false if it is not bounded, or cannot be told.
func memoryOfContainer() (int64, bool) {
	for _, file := range []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"} {
		b, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		n, err := strconv.ParseInt(string(bytes.TrimSpace(b)), 10, 64)
		return n, err == nil
	}
	return 0, false
}
