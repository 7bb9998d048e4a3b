// Package e2e holds the tests of abide as a whole: the real controller, as a
// process of its own, against the real API server of a sandbox, with real Git
// over real smart HTTP between them. It has no code beside its tests.
package e2e
