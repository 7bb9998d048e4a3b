package worker

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// roomForGo is what the kernel counts for a Go program beside what it uses: the
// heap is mapped in arenas of 64 MiB.
const roomForGo = 160 << 20

// bound takes from the process what a render does not need, and returns what
// the platform let it take. It runs before anything of a repository is read.
func bound(memory int64) []string {
	var in []string
	note := func(what string, err error) {
		if err == nil {
			in = append(in, what)
			return
		}
		in = append(in, fmt.Sprintf("no %s (%v)", what, err))
	}
	note("dies first when memory is short", os.WriteFile("/proc/self/oom_score_adj", []byte("1000"), 0))
	for _, l := range []struct {
		resource int
		most     uint64
	}{{unix.RLIMIT_CORE, 0}, {unix.RLIMIT_FSIZE, 0}, {unix.RLIMIT_NOFILE, 64}, {unix.RLIMIT_MEMLOCK, 0}} {
		_ = unix.Setrlimit(l.resource, &unix.Rlimit{Cur: l.most, Max: l.most}) // what counts is below
	}
	if !raceDetector { // which maps more than any machine has
		most := uint64(memory + roomForGo)
		note("memory limit by the kernel", unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: most, Max: most}))
	}
	note("system call filter", filterCalls())
	return in
}

// watchSelf does nothing: the kernel and the parent watch.
func watchSelf(int64) (stop func()) { return func() {} }
