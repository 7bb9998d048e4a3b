package audit

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
)

// Kind is what an entry is about.
type Kind string

// The kinds.
const (
	KindSync    Kind = "sync"    // objects were applied, deleted or left behind
	KindHeal    Kind = "heal"    // objects were put right that somebody else had changed
	KindFailed  Kind = "failed"  // something could not be done
	KindWaits   Kind = "waits"   // a plan waits for an approval
	KindRelease Kind = "release" // a release is over
	KindPinned  Kind = "pinned"  // an App is held at a release
	KindUnpin   Kind = "unpinned"
	KindRemoved Kind = "removed" // an App is gone
	KindResumed Kind = "resumed" // the chain goes on elsewhere
	KindGap     Kind = "gap"     // entries were lost
)

// Entry is one line.
type Entry struct {
	Seq  int64  `json:"seq"`
	Time string `json:"time"` // RFC 3339, UTC, in microseconds
	Prev string `json:"prev"`
	Kind Kind   `json:"kind"`
	// App is its namespace and name.
	App     string `json:"app,omitempty"`
	Release int64  `json:"release,omitempty"`
	Trigger string `json:"trigger,omitempty"`
	// By is the person who asked for it, as the API server knows him.
	By     string `json:"by,omitempty"`
	Commit string `json:"commit,omitempty"`
	Author string `json:"author,omitempty"`
	// Plan is the digest of the plan.
	Plan  string `json:"plan,omitempty"`
	Gates []Gate `json:"gates,omitempty"`
	// Objects are at most [maxObjects]; more of them take more entries.
	Objects []Object `json:"objects,omitempty"`
	Outcome string   `json:"outcome,omitempty"`
	Message string   `json:"message,omitempty"`
	// Lost is how many entries a gap stands for, or how many lines a resumed chain
	// did not find.
	Lost int64 `json:"lost,omitempty"`
	// Writer is the process that wrote the line: its host and process id.
	Writer string `json:"writer"`
}

// Gate is a gate that was passed, and by whom.
type Gate struct {
	Gate   string `json:"gate"`
	By     string `json:"by,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// Object is what happened to an object.
type Object struct {
	Object string `json:"object"`
	Action string `json:"action"`
	// By is the field manager that had changed it, of a heal.
	By      string `json:"by,omitempty"`
	Message string `json:"message,omitempty"`
}

const maxObjects = 200

// Head is the end of a chain.
type Head struct {
	Seq  int64
	Hash string // of the line; empty before the first one
}

// stamp is a time as entries have it.
func stamp(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000000Z") }

// line makes the line of an entry that follows a head, and the head it comes to. It
// is of this time, if it does not have its own.
func (h Head) line(e Entry, at time.Time, writer string) ([]byte, Head, error) {
	e.Seq, e.Prev, e.Writer = h.Seq+1, h.Hash, writer
	e.Time = cmp.Or(e.Time, stamp(at))
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil { // ends with a newline
		return nil, h, fmt.Errorf("encoding an entry of the audit log: %w", err)
	}
	return b.Bytes(), Head{e.Seq, hashOf(b.Bytes()[:b.Len()-1])}, nil
}

// hashOf is the hash of a line without its newline.
func hashOf(line []byte) string {
	sum := sha256.Sum256(line)
	return hex.EncodeToString(sum[:])
}
