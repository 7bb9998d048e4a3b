// Package arch holds the rules of the house that a compiler does not check, and
// the test that runs them over this repository: which layer may import which,
// what values may not do, how things are named and documented.
//
// Files are parsed in process. A test that asked "go list" would be served from
// the test cache after the tree had changed; files that a test opens itself are
// part of its cache key.
//
// The rules take any tree and skip what does not exist, so a package can be
// added without touching them. Exceptions stand in exceptions.go, each with its
// reason.
package arch
