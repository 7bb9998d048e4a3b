// Package audit writes down every change that abide makes, one JSON object a
// line, in a chain that shows when a line was altered, removed or moved.
//
// # Format
//
// A line is an [Entry] in JSON, its fields in the order of the type, without
// line breaks, and ends with a newline. seq counts the lines of an installation
// from 1 without a gap, whoever writes them and wherever. prev is the SHA-256 of
// the line before, as 64 hexadecimal digits, its newline not included; it is
// empty in line 1. So the hash of the last line vouches for all of them.
//
// That hash, with its seq, is the head. It is kept in the ConfigMap
// abide-audit-head of abide's own namespace, so that a tail that was cut is seen
// too. Lines are written and synced to disk at once, and the head follows within
// [Options.HeadEvery], and before a file is left: until then, and after a crash for
// as long as abide is down, lines may be newer than the head. They count if the
// chain leads to them from the line of the head.
//
// # Life of a chain
//
// One abide writes at a time. At its start it looks at the head and at the file:
// where the file ends with the line of the head, or with lines that follow it, it
// goes on there. Where it does not, because another abide wrote elsewhere (a
// change of leader, a new volume), or because somebody cut or altered it, it goes
// on from the head with an entry of the kind resumed, which says what it found: a
// chain is never begun anew, and what is missing is named. A file that somebody
// moved away, as logrotate does, is followed by a new one.
//
// # What it promises
//
// A change never waits for its line, nor fails for it: lines that can't be
// written are kept in memory, up to [MaxBehind] of them, and tried again; if that
// is not enough, an entry of the kind gap says how many were lost. Lines that were
// not written when abide is killed are lost; what was changed is then still in the
// Release. No value of a Secret or of any other object is in a line: objects are
// named, and fields are not. Texts of messages are bounded.
//
// It does not sign anything: whoever may write both the file and the ConfigMap can
// make another chain. Keep a copy of the file, or of heads, where he can't.
package audit
