// Package traced reads a snapshot and writes down what it read.
//
// It promises that a [Trace] is complete: a render that goes through a [Tree]
// and depends on nothing else gives the same result on every snapshot for
// which the trace is still valid. So it records files read, links passed,
// directories listed, and also what was looked for and not found. It keeps
// nothing beyond the render.
package traced

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"

	"abide.dev/abide/internal/snapshot"
)

// Op is what was done with a path.
type Op string

// The operations that a trace knows.
const (
	Read Op = "Read" // the content of a file or the target of a link
	List Op = "List" // the names and kinds in a directory
	Stat Op = "Stat" // whether a path exists, and of which kind it is
)

// Access is one thing that a render depends on.
type Access struct {
	Path string `json:"path"`
	Op   Op     `json:"op"`
	// Hash is empty when the path did not exist. For Read it covers kind and
	// content, for List the names and kinds of the entries (not what is in
	// them), for Stat the kind alone.
	Hash string `json:"hash,omitempty"`
}

// Trace is every Access of a render, each path and operation once, in order
// of path, then operation. It must not be changed.
type Trace []Access

// Valid tells whether every path still has the hash it had, so that rendering
// again would give the same result. An error is a failure of the tree itself.
func (t Trace) Valid(tree snapshot.Tree) (bool, error) {
	for _, a := range t {
		now, err := hashNow(tree, a)
		if err != nil {
			return false, err
		}
		if now != a.Hash {
			return false, nil
		}
	}
	return true, nil
}

// hashNow gives the hash that an access to tree would have.
func hashNow(tree snapshot.Tree, a Access) (string, error) {
	if a.Op == List {
		// A file where a directory was listed is no error of the tree: ask
		// first, since trees differ in what they say of it.
		if kind, err := kindOf(tree, a.Path); err != nil {
			return missing(err)
		} else if kind != snapshot.Dir {
			return kindLetter(kind), nil
		}
		entries, err := tree.ReadDir(a.Path)
		if err != nil {
			return missing(err)
		}
		return listHash(entries), nil
	}
	if a.Op == Stat {
		kind, err := kindOf(tree, a.Path)
		if err != nil {
			return missing(err)
		}
		return kindLetter(kind), nil
	}
	e, err := tree.Lookup(a.Path)
	if err != nil {
		return missing(err)
	}
	return readHash(e), nil
}

// missing maps "does not exist" to the empty hash.
func missing(err error) (string, error) {
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return "", err
}

// kinder is a tree that can tell the kind of an entry without its hash, which
// costs a tree over a working copy the reading of everything below.
type kinder interface {
	Kind(path string) (snapshot.Kind, error)
}

func kindOf(tree snapshot.Tree, path string) (snapshot.Kind, error) {
	if k, ok := tree.(kinder); ok {
		return k.Kind(path)
	}
	e, err := tree.Lookup(path)
	return e.Kind, err
}

func kindLetter(k snapshot.Kind) string {
	switch k {
	case snapshot.File:
		return "f"
	case snapshot.Executable:
		return "x"
	case snapshot.Symlink:
		return "l"
	case snapshot.Dir:
		return "d"
	case snapshot.Submodule:
		return "s"
	}
	return "?"
}

func readHash(e snapshot.Entry) string { return kindLetter(e.Kind) + ":" + e.Hash }

// listHash covers names and kinds; a name cannot contain NUL or a slash.
func listHash(entries []snapshot.Entry) string {
	h := sha256.New()
	for _, e := range entries {
		h.Write([]byte(kindLetter(e.Kind)))
		h.Write([]byte(e.Name))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil)[:20])
}
