// Package pipeline is the run of one App, from Git to the cluster; read run.go
// first, it reads in the order of the flow:
//
//	fetch    which commit does the ref stand at                (package source)
//	render   what does the folder say there                    (package render)
//	judge    tell the others what this App wants               (package claims)
//	observe  what is there                                     (package observe)
//	plan     what has to be done                               (package plan)
//	gate     may it be done without asking, and before others   (package depend)
//	attempt  which release is this part of                     (package release)
//	apply    do it, wave by wave and stage by stage, with its
//	         hooks, written down before                        (packages apply, store)
//	prune    remove what Git no longer has
//	verify   is all of it healthy
//	settle   put on record what has become of it
//
// An App that is held at a release has what is kept of that in the place of what
// Git says (pinned.go).
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
