// Package coldstart makes a program of many packages start for less.
//
// Initialising the packages that abide links allocates some six megabytes of
// tables, nearly all of which stay. The collector, which takes four for a reason
// to run, runs several times meanwhile and finds nothing: over a third of the
// processor time of a start. Every command pays that, and so does every process
// that renders. So it is off until main says that it is [Over], and what starting
// took is no reason to run any more.
//
// It works by order. Go initialises, of the packages whose imports are ready, the
// one whose path comes first (Go specification, Program initialization), and this
// one imports next to nothing.
package coldstart

import (
	"os"
	"runtime"
	"runtime/debug"
	"sync"
)

// collector is how often the collector runs, in the percent that GOGC has.
var collector = struct {
	sync.Mutex
	percent int  // what GOGC says, or else what was asked for
	ran     bool // it has run, and does as percent says
}{percent: debug.SetGCPercent(-1)}

// first is how many times as large as otherwise the heap has to be for the
// collector to run first.
const first = 4

// Over lets the collector run. The program's main function calls it, before
// anything that allocates much. From the first time that it runs on it does what
// GOGC says.
func Over() {
	collector.Lock()
	defer collector.Unlock()
	if collector.percent < 0 {
		return
	}
	runtime.AddCleanup(new(sentinel), func(int) { ran() }, 0)
	debug.SetGCPercent(first * collector.percent)
}

// sentinel is what the first run of the collector finds.
type sentinel struct{ _ [16]byte }

func ran() {
	collector.Lock()
	defer collector.Unlock()
	collector.ran = true
	debug.SetGCPercent(collector.percent)
}

// Prefer has the collector run by another percentage than the default, unless the
// environment has one.
func Prefer(percent int) {
	if os.Getenv("GOGC") != "" {
		return
	}
	collector.Lock()
	defer collector.Unlock()
	collector.percent = percent
	if collector.ran {
		debug.SetGCPercent(percent)
	}
}
