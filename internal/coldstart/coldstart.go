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
// one imports next to nothing. Only a main package imports it: whatever links it
// and does not call Over never collects anything.
package coldstart

import (
	"runtime"
	"runtime/debug"
)

// percent is what GOGC says, or the default.
var percent = debug.SetGCPercent(-1)

// first is how many times as large as otherwise the heap has to be for the
// collector to run first.
const first = 4

// Over lets the collector run. The main function calls it before anything else.
// From the first time that the collector runs on it does what GOGC says, unless
// the program has said otherwise by then (debug.SetGCPercent).
func Over() {
	if percent < 0 {
		return
	}
	runtime.AddCleanup(new(sentinel), func(int) {
		if now := debug.SetGCPercent(percent); now != first*percent {
			debug.SetGCPercent(now)
		}
	}, 0)
	debug.SetGCPercent(first * percent)
}

// sentinel is what the first run of the collector finds.
type sentinel struct{ _ [16]byte }
