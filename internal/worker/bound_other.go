//go:build unix && !linux

package worker

import (
	"fmt"
	"os"
	"runtime/metrics"
	"syscall"
	"time"
)

// bound takes from the process what a render does not need.
func bound(int64) []string {
	none := syscall.Rlimit{}
	_ = syscall.Setrlimit(syscall.RLIMIT_CORE, &none)
	return []string{"no system call filter (not on this platform)"}
}

// watchSelf ends the process when it has taken more memory than it may.
func watchSelf(memory int64) (stop func()) {
	tick := time.NewTicker(50 * time.Millisecond)
	done := make(chan struct{})
	go func() {
		sample := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
		for {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			metrics.Read(sample)
			if sample[0].Value.Uint64()-sample[1].Value.Uint64() > uint64(memory) {
				fmt.Fprintln(os.Stderr, "fatal error: out of memory")
				os.Exit(exitMemory)
			}
		}
	}()
	return func() { tick.Stop(); close(done) }
}
