// Package snapshot defines the immutable tree of a repository at one commit.
//
// A [Tree] is what rendering may read, and all that it may read: there is no
// checkout, no working directory and no way up. Paths are slash-separated,
// relative to the root of the repository, cleaned ("a/b", the root itself is
// "."), and never contain "..". A Tree answers for the entry itself; it does
// not follow symbolic links. [Resolve] does, inside the tree only.
//
// The interface is small so that a worker process can be served a Tree over a
// pipe.
package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// Kind tells what an entry of a tree is.
type Kind uint8

// The kinds of entries that Git knows.
const (
	File Kind = iota + 1
	Executable
	Symlink
	Dir
	Submodule
)

func (k Kind) String() string {
	switch k {
	case File:
		return "file"
	case Executable:
		return "executable file"
	case Symlink:
		return "symbolic link"
	case Dir:
		return "directory"
	case Submodule:
		return "submodule"
	}
	return "unknown"
}

// Entry is one name in a tree. Equal Kind and Hash mean equal content.
type Entry struct {
	Name string
	Kind Kind
	// Hash is the object name in hexadecimal: a blob's for files and links, a
	// tree's for directories, a commit's for submodules.
	Hash string
}

// Tree is the immutable content of one commit. Implementations are safe for
// concurrent use. A path that does not exist is an error that wraps
// [fs.ErrNotExist]. The slices returned belong to the caller unless said
// otherwise.
type Tree interface {
	// Hash names the whole tree.
	Hash() string
	// Lookup returns the entry at path without following a link in its last
	// element; a link or file in the middle of path is fs.ErrNotExist.
	Lookup(path string) (Entry, error)
	// ReadDir returns the entries of a directory in byte order of their names.
	// The slice is shared and must not be changed.
	ReadDir(path string) ([]Entry, error)
	// ReadFile returns the content of a file, or the target of a link. The
	// bytes are shared and must not be changed. A file over the
	// implementation's bound is a [*TooLargeError].
	ReadFile(path string) ([]byte, error)
}

// TooLargeError says that a file is larger than abide reads.
type TooLargeError struct {
	Path        string
	Size, Limit int64 // bytes
}

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("%s has %d bytes, and abide reads files of up to %d bytes", e.Path, e.Size, e.Limit)
}

// EscapeError says that a path or a link leads out of the repository.
type EscapeError struct {
	Path   string // the path that was asked for
	Target string // where it, or a link in it, points to
}

func (e *EscapeError) Error() string {
	return fmt.Sprintf("%s leads out of the repository (to %s)", e.Path, e.Target)
}

// ErrLinkLoop is wrapped by the error for a chain of links that never ends.
var ErrLinkLoop = errors.New("too many symbolic links")

const (
	// maxLinks is how many links one path may pass, as Linux has it (ELOOP).
	maxLinks = 40
	// maxTarget is how long the target of a link may be, as Linux has it
	// (PATH_MAX). It bounds what a hostile link costs.
	maxTarget = 4096
)

// Clean turns a path as people write it ("./a//b/", "a/../b") into the form
// that a Tree takes. An absolute path or one that leads above the root is an
// [*EscapeError].
func Clean(p string) (string, error) {
	c := path.Clean(p)
	if p == "" {
		c = "."
	}
	if path.IsAbs(c) || c == ".." || strings.HasPrefix(c, "../") {
		return "", &EscapeError{Path: p, Target: c}
	}
	return c, nil
}

// Resolve follows every link in p, as a file system would once p is cleaned,
// and returns the path of the entry it ends at together with the entry. ".."
// in the target of a link is the parent of where the link is. The links passed on
// the way are given to visit (which may be nil), so that a trace can name
// them. A link whose target is absolute or above the root is an
// [*EscapeError]; a missing element is fs.ErrNotExist.
func Resolve(t Tree, p string, visit func(link string)) (string, Entry, error) {
	clean, err := Clean(p)
	if err != nil {
		return "", Entry{}, err
	}
	root := Entry{Name: ".", Kind: Dir, Hash: t.Hash()}
	done, entry := ".", root
	rest := split(clean)
	for links := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		if name == ".." {
			if done == "." {
				return "", Entry{}, &EscapeError{Path: p, Target: ".."}
			}
			done, entry = path.Dir(done), Entry{Name: path.Base(path.Dir(done)), Kind: Dir}
			continue
		}
		next := path.Join(done, name)
		e, err := t.Lookup(next)
		if err != nil {
			return "", Entry{}, err
		}
		if e.Kind != Symlink {
			if len(rest) > 0 && e.Kind != Dir {
				return "", Entry{}, &fs.PathError{Op: "open", Path: p, Err: fs.ErrNotExist}
			}
			done, entry = next, e
			continue
		}
		if links++; links > maxLinks {
			return "", Entry{}, &fs.PathError{Op: "open", Path: p, Err: ErrLinkLoop}
		}
		if visit != nil {
			visit(next)
		}
		b, err := t.ReadFile(next)
		if err != nil {
			return "", Entry{}, err
		}
		target := string(b)
		switch {
		case target == "" || len(target) > maxTarget:
			return "", Entry{}, &fs.PathError{Op: "open", Path: p, Err: fs.ErrNotExist}
		case path.IsAbs(target):
			return "", Entry{}, &EscapeError{Path: p, Target: target}
		}
		rest = append(split(target), rest...)
	}
	if entry.Hash == "" { // reached through "..": look the directory up
		if done == "." {
			return done, root, nil
		}
		if entry, err = t.Lookup(done); err != nil {
			return "", Entry{}, err
		}
	}
	return done, entry, nil
}

// split cuts a path into its elements, dropping "." and empty ones but
// keeping "..", since "link/.." is the parent of what the link points to.
func split(p string) []string {
	var out []string
	for _, s := range strings.Split(p, "/") {
		if s != "" && s != "." {
			out = append(out, s)
		}
	}
	return out
}
