// Package git reads remote Git repositories through bare mirrors.
//
// Transport is the git program: ls-remote to see where refs point, fetch to
// bring what moved. Reading is done by long-lived "git cat-file
// --batch-command" processes and parsed here; there is never a checkout, and
// never a process per file.
//
// # What is fetched
//
// The first fetch of a commit into a mirror that holds nothing of its line is
// shallow (one commit, its trees and blobs). Later fetches of the same line
// are plain: they bring the commits between, so the cost follows the change
// and the server and the client compare parent with child instead of walking
// whole trees. History from before a line was first followed is not on disk.
// With 100,000 files and 50,000 commits the first fetch takes 1.8 s and 17 MiB of
// memory, one more commit 83 ms and 7 MiB; docs/adr/0011 compares that with the
// other ways.
// Mirrors are never partial (blob:none): a partial mirror forks a fetch for
// each missing blob in the middle of a read.
//
// # What is persisted
//
// Everything is below Options.Dir, which is a cache: it may be deleted
// whenever no Store uses it.
//
//	mirrors/<sha256 of the canonical URL>/     one bare repository
//	    refs/abide/keep/<hash>                 a commit that must not be lost
//	    refs/abide/seen/<credentials>/<ref>    where a direct fetch saw a ref
//	private/                                   CA files; emptied at start
//
// Refs are written as loose files, by git or by this package, and never
// packed. Objects that no ref reaches are removed by the Store's own
// maintenance, hours after the last ref went; git's automatic maintenance is
// off. A mirror that no process used for 30 days is removed by the next one
// that starts. A mirror that git finds broken, or whose objects do not have the hash
// they are named by, is thrown away and fetched anew.
//
// # What always holds
//
//   - git sees an environment made here and none of the user's or the
//     system's configuration. No hooks, prompts, submodules, lazy fetches,
//     redirects, or transports other than the one that the URL names.
//   - Secrets are given to git in the environment of the one process (HTTP)
//     or through a pipe (SSH), for one scheme, host and port only. They are in
//     no URL, argument list, file, log or error.
//   - No connection is opened to an address that package dialguard keeps for
//     the machine itself: over HTTP git gets out through package gate alone, and
//     SSH is abide's own program. A proxy that credentials name is used instead
//     of the gate, and connects to what it will.
//   - Every process has a time limit, dies with its context together with its
//     children, and its output is bounded.
//   - Only classify.go reads the text of git's messages.
//
// The package decides nothing about who may read what: package source does.
package git
