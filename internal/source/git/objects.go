package git

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"sort"
	"strconv"
	"strings"
	"time"

	"abide.dev/abide/internal/snapshot"
)

// Commit is what abide shows of one commit. Texts are valid UTF-8 without
// control characters, and bounded.
type Commit struct {
	Hash           string    `json:"hash"`
	Tree           string    `json:"tree"`
	Parents        []string  `json:"parents,omitempty"`
	AuthorName     string    `json:"authorName"`
	AuthorEmail    string    `json:"authorEmail"`
	AuthorDate     time.Time `json:"authorDate"`
	CommitterName  string    `json:"committerName"`
	CommitterEmail string    `json:"committerEmail"`
	CommitterDate  time.Time `json:"committerDate"`
	Subject        string    `json:"subject"`
}

const (
	maxPerson  = 256 // bytes of a name or an address
	maxSubject = 512 // bytes
	maxParents = 64
)

// parseCommit reads the body of a commit object. Odd names and dates, which
// old history is full of, are taken as far as they go; a commit without a
// valid tree is an error.
func parseCommit(hash string, b []byte) (Commit, error) {
	c := Commit{Hash: hash}
	header, message, _ := bytes.Cut(b, []byte("\n\n"))
	var author, committer []byte
	latin := false
	for _, line := range bytes.Split(header, []byte("\n")) {
		key, value, _ := bytes.Cut(line, []byte(" "))
		switch string(key) {
		case "tree":
			if c.Tree == "" {
				c.Tree = string(value)
			}
		case "parent":
			if len(c.Parents) < maxParents && isHash(string(value)) {
				c.Parents = append(c.Parents, string(value))
			}
		case "author":
			author = value
		case "committer":
			committer = value
		case "encoding":
			e := strings.ToLower(string(value))
			latin = e == "iso-8859-1" || e == "iso8859-1" || e == "latin1"
		}
	}
	if !isHash(c.Tree) || len(c.Tree) != len(hash) {
		return Commit{}, fmt.Errorf("commit %s names no tree", hash)
	}
	c.AuthorName, c.AuthorEmail, c.AuthorDate = parsePerson(author, latin)
	c.CommitterName, c.CommitterEmail, c.CommitterDate = parsePerson(committer, latin)
	c.Subject = clip(text(subject(message), latin), maxSubject)
	return c, nil
}

// parsePerson reads "Name <address> seconds zone".
func parsePerson(b []byte, latin bool) (name, email string, when time.Time) {
	s := text(b, latin)
	open, shut := strings.IndexByte(s, '<'), strings.LastIndexByte(s, '>')
	if open < 0 || shut < open {
		return clip(strings.TrimSpace(s), maxPerson), "", time.Unix(0, 0).UTC()
	}
	name = clip(strings.TrimSpace(s[:open]), maxPerson)
	email = clip(strings.TrimSpace(s[open+1:shut]), maxPerson)
	when = time.Unix(0, 0).UTC()
	fields := strings.Fields(s[shut+1:])
	if len(fields) == 0 {
		return name, email, when
	}
	seconds, err := strconv.ParseInt(fields[0], 10, 64)
	// Years beyond 9999 cannot be written as RFC 3339.
	if err != nil || seconds < 0 || seconds > 253402300799-86400 {
		return name, email, when
	}
	when = time.Unix(seconds, 0).UTC()
	if len(fields) > 1 && len(fields[1]) == 5 {
		if z, err := strconv.Atoi(fields[1]); err == nil && z > -2400 && z < 2400 {
			when = when.In(time.FixedZone("", (z/100*60+z%100)*60))
		}
	}
	return name, email, when
}

// subject is the first paragraph of a message, its lines joined.
func subject(message []byte) []byte {
	message = bytes.TrimLeft(message, "\n")
	if i := bytes.Index(message, []byte("\n\n")); i >= 0 {
		message = message[:i]
	}
	if len(message) > 4*maxSubject {
		message = message[:4*maxSubject]
	}
	return bytes.TrimSpace(bytes.ReplaceAll(message, []byte("\n"), []byte(" ")))
}

func text(b []byte, latin bool) string {
	if !latin {
		return printable(string(b), false)
	}
	var s strings.Builder
	for _, c := range b {
		s.WriteRune(rune(c))
	}
	return printable(s.String(), false)
}

func clip(s string, most int) string {
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}

// parseTree reads the body of a tree object whose hashes are size bytes long,
// and returns the entries in byte order of their names. A name that could not
// be an element of a path is an error: git's own check refuses it on the way
// in, and nothing here trusts that.
func parseTree(b []byte, size int) ([]snapshot.Entry, error) {
	count := 0
	for rest := b; len(rest) > 0; count++ {
		i := bytes.IndexByte(rest, 0)
		if i < 0 || len(rest) < i+1+size {
			return nil, fmt.Errorf("tree object is cut short")
		}
		rest = rest[i+1+size:]
	}
	entries := make([]snapshot.Entry, 0, count)
	for len(b) > 0 {
		i := bytes.IndexByte(b, 0)
		mode, name, ok := bytes.Cut(b[:i], []byte(" "))
		kind := kindOf(mode)
		if !ok || kind == 0 {
			return nil, fmt.Errorf("tree object has an entry with the mode %.16q", mode)
		}
		n := string(name)
		if n == "" || n == "." || n == ".." || strings.Contains(n, "/") {
			return nil, fmt.Errorf("tree object has an entry with the name %.64q", n)
		}
		entries = append(entries, snapshot.Entry{Name: n, Kind: kind, Hash: hex.EncodeToString(b[i+1 : i+1+size])})
		b = b[i+1+size:]
	}
	// Git sorts directories as if their names ended in "/".
	byName := func(i, j int) bool { return entries[i].Name < entries[j].Name }
	if !sort.SliceIsSorted(entries, byName) {
		sort.SliceStable(entries, byName)
	}
	for i := 1; i < len(entries); i++ {
		if entries[i].Name == entries[i-1].Name {
			return nil, fmt.Errorf("tree object has two entries with the name %.64q", entries[i].Name)
		}
	}
	return entries, nil
}

// kindOf reads the mode of a tree entry; 0 for one that means nothing.
func kindOf(mode []byte) snapshot.Kind {
	if len(mode) == 0 || len(mode) > 7 {
		return 0
	}
	n, err := strconv.ParseUint(string(mode), 8, 32)
	if err != nil {
		return 0
	}
	switch n & 0o170000 {
	case 0o040000:
		return snapshot.Dir
	case 0o120000:
		return snapshot.Symlink
	case 0o160000:
		return snapshot.Submodule
	case 0o100000:
		if n&0o111 != 0 {
			return snapshot.Executable
		}
		return snapshot.File
	}
	return 0
}

// isHash tells whether s is a whole object name, SHA-1 or SHA-256.
func isHash(s string) bool {
	if len(s) != 40 && len(s) != 64 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
