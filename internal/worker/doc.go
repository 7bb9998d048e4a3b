// Package worker renders in bounded processes of abide itself.
//
// A [Pool] promises that [Pool.Render] gives what render.Render gives, results
// and errors alike, and that whatever a repository makes of the renderer ends
// in an error of that render: a template that never ends, one that eats
// memory, a crash, a renderer that was taken over. Other renders do not notice.
//
// # The child
//
// A worker is abide, started anew with a hidden argument ([Helper]). It has an
// empty environment, the root as its working directory, a session of its own,
// and no descriptor but a pipe to it, a pipe from it, and one for its last
// words. It has no credentials, since nobody gives it any. Before it reads
// anything it makes itself the first to die when memory is short, and lowers
// its limits. On Linux (amd64, arm64) it then installs a filter of system calls
// that lets through what computing takes, and no more: it can open nothing,
// connect to nothing, run nothing. Where the system gives namespaces to
// ordinary users, it has a network of its own with nothing in it.
// [Pool.Bounds] says what is in force. Elsewhere it does without, and has no
// code that reaches out, which tests of package render prove.
//
// # The parent
//
// The parent serves the child the tree over the pipe, and ends it when the time
// is up, the caller's context ends, or it takes too much memory. It takes the
// child for an enemy: messages have a length at most, what they become in
// memory is counted before it is made, paths are checked, questions and bytes
// served have an end, and a result is looked at before anybody uses it.
//
// A worker has one tenant as long as it lives. It is kept for the next render
// of the same tenant for a while; how many there are is bounded, the longest
// idle go first, and one spare is there for a tenant that has none. A worker
// that had to be ended, that has grown, or that has rendered often is replaced.
// How tenants take turns: see turns.
//
// Nothing is persisted. When the parent ends, however it does, so do all
// workers. There is no timer when there is nothing to do, but the one that
// ends idle workers.
package worker
