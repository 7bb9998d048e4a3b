// Package file follows single files by their https URLs: a [Poller] asks for
// each at an interval, with the ETag and the time of the copy at hand, and says
// which digest it has now.
//
// It promises that
//
//   - nothing but https is asked, and no address that package dialguard keeps
//     for the machine itself, whatever name, redirect or answer of DNS led there;
//   - a redirect is followed to the same host and to those of Want.Hosts only,
//     at most five times. Credentials go to the scheme, host and port of the URL,
//     and are dropped by the first redirect that leaves these;
//   - an answer is bounded in bytes and in time; it counts if its status is 200;
//   - no error has the query of a URL, a secret or what a server wrote into a
//     body.
//
// What came is kept below Options.Dir under its SHA-256, mode 0600, as long as
// something is followed that has it, and is read only if it has that digest. The
// folder is a cache and is emptied by [New]. All else is in memory.
//
// Who may follow what is for the caller to decide.
package file
