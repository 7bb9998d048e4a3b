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
	"runtime"
	"runtime/debug"
)

// percent is what GOGC says, or the default.
var percent = debug.SetGCPercent(-1)

// first is how many times four megabytes the heap has when the collector runs
// first, in percent: four times as much as usual.
const first = 4

// Over lets the collector run. The program's main function calls it, before
// anything that allocates much. From the first time that it runs on it does what
// GOGC says.
func Over() {
	if percent < 0 {
		return
	}
	runtime.AddCleanup(new(sentinel), func(int) { debug.SetGCPercent(percent) }, 0)
	debug.SetGCPercent(first * percent)
}

// sentinel is what the first run of the collector finds.
type sentinel struct{ _ [16]byte }
