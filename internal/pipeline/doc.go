// Package pipeline is the run of one App, from Git to the cluster; read run.go
// first, it reads in the order of the flow:
//
//	fetch    which commit does the ref stand at                (package source)
//	render   what does the folder say there                    (package render)
//	judge    tell the others what this App wants               (package claims)
//	observe  what is there                                     (package observe)
//	plan     what has to be done                               (package plan)
//	gate     may it be done without asking, and do others come first (package depend)
//	apply    do it, stage by stage, written down before        (packages apply, store)
//	prune    remove what Git no longer has
//
// A run is level-triggered and idempotent: it starts from what is stored and
// observed, never from what an earlier run was about to do. It sends requests,
// but it never waits for anything to happen: it says in its [Outcome] what it is
// waiting for, and whatever that is wakes the App again. One run of an App is
// under way at a time; runs of different Apps share nothing but the packages
// above.
//
// What a run keeps in memory of an App between runs ([memory]) is a cache of
// what can be had again, and the history of failures that backoff needs.
package pipeline
