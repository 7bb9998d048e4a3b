package git

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sort"
	"strings"

	"abide.dev/abide/internal/snapshot"
)

// cachedBlob is the largest blob that the shared cache keeps.
const cachedBlob = 64 << 10

// Commit reads a commit of the mirror. A hash that the mirror does not have,
// or that names no commit, is an error of kind CommitNotFound.
func (m *Mirror) Commit(ctx context.Context, hash string) (Commit, error) {
	if err := ctx.Err(); err != nil {
		return Commit{}, err
	}
	if hit := m.store.cache.get(m, hash); hit != nil && hit.commit != nil {
		return *hit.commit, nil
	}
	o, err := m.store.readers.read(m, hash, m.store.limits.MaxTree)
	switch {
	case errors.Is(err, errMissing) && m.Has(hash):
		return Commit{}, m.damaged("the kept commit %s is missing", hash)
	case errors.Is(err, errMissing):
		return Commit{}, errorf(CommitNotFound, m.url.String(), "", "the mirror does not have the commit %s", hash)
	case err != nil:
		return Commit{}, m.readError(hash, err)
	case o.kind != "commit":
		return Commit{}, errorf(CommitNotFound, m.url.String(), "", "%s is a %s and not a commit", hash, o.kind)
	}
	c, err := parseCommit(hash, o.body)
	if err != nil {
		return Commit{}, &Error{Kind: RepositoryMalformed, URL: m.url.String(), Problem: err.Error(), Err: err}
	}
	m.store.cache.put(m, hash, &cached{commit: &c, cost: 1 << 10})
	return c, nil
}

// Snapshot returns the tree of a commit that the mirror has. It stays readable
// while the commit is held, and at least an hour longer. An error of kind
// MirrorCorrupt, here or from the tree, means that the mirror must be fetched
// anew, which the next Fetch does.
func (m *Mirror) Snapshot(ctx context.Context, commit string) (snapshot.Tree, error) {
	c, err := m.Commit(ctx, commit)
	if err != nil {
		return nil, err
	}
	if _, err := m.entries(c.Tree); err != nil {
		return nil, err
	}
	return &tree{mirror: m, root: c.Tree}, nil
}

// entries returns the parsed tree object named hash. The slice is shared.
func (m *Mirror) entries(hash string) ([]snapshot.Entry, error) {
	if hit := m.store.cache.get(m, hash); hit != nil && hit.commit == nil && hit.blob == nil && hit.tooBig == 0 {
		return hit.entries, nil
	}
	o, err := m.store.readers.read(m, hash, m.store.limits.MaxTree)
	if err != nil {
		return nil, m.readError(hash, err)
	}
	if o.kind != "tree" {
		return nil, errorf(RepositoryMalformed, m.url.String(), "", "%s is a %s where a tree should be", hash, o.kind)
	}
	entries, err := parseTree(o.body, len(hash)/2)
	if err != nil {
		return nil, &Error{Kind: RepositoryMalformed, URL: m.url.String(), Problem: fmt.Sprintf("tree %s: %v", hash, err), Err: err}
	}
	m.store.cache.put(m, hash, &cached{entries: entries, cost: int64(3*len(o.body)) + int64(len(entries))*80})
	return entries, nil
}

// blob returns the content of the blob named hash. The bytes are shared.
func (m *Mirror) blob(path, hash string) ([]byte, error) {
	limit := m.store.limits.MaxFile
	if hit := m.store.cache.get(m, hash); hit != nil {
		if hit.tooBig > 0 {
			return nil, &snapshot.TooLargeError{Path: path, Size: hit.tooBig, Limit: limit}
		}
		if hit.blob != nil {
			return hit.blob, nil
		}
	}
	o, err := m.store.readers.read(m, hash, limit)
	var big *tooBig
	switch {
	case errors.As(err, &big):
		m.store.cache.put(m, hash, &cached{tooBig: big.size})
		return nil, &snapshot.TooLargeError{Path: path, Size: big.size, Limit: limit}
	case err != nil:
		return nil, m.readError(hash, err)
	case o.kind != "blob":
		return nil, errorf(RepositoryMalformed, m.url.String(), "", "%s: %s is a %s where a file should be", path, hash, o.kind)
	}
	if len(o.body) <= cachedBlob {
		m.store.cache.put(m, hash, &cached{blob: o.body, cost: int64(len(o.body))})
	}
	return o.body, nil
}

func (m *Mirror) readError(hash string, err error) error {
	var big *tooBig
	switch {
	case errors.Is(err, errMissing):
		return m.damaged("the object %s is missing", hash)
	case errors.As(err, &big):
		return errorf(RepositoryTooLarge, m.url.String(), "", "the object %s has %d bytes, and abide reads directories and commits of up to %d", hash, big.size, m.store.limits.MaxTree)
	}
	return err
}

// tree is a snapshot.Tree of a mirror.
type tree struct {
	mirror *Mirror
	root   string
}

var _ snapshot.Tree = (*tree)(nil)

func (t *tree) Hash() string { return t.root }

// validPath is fs.ValidPath for names that need not be UTF-8, which Git's need
// not.
func validPath(p string) bool {
	if p == "." {
		return true
	}
	for _, e := range strings.Split(p, "/") {
		if e == "" || e == "." || e == ".." {
			return false
		}
	}
	return true
}

func (t *tree) Lookup(path string) (snapshot.Entry, error) {
	if !validPath(path) {
		return snapshot.Entry{}, &fs.PathError{Op: "open", Path: path, Err: fs.ErrInvalid}
	}
	at := snapshot.Entry{Name: ".", Kind: snapshot.Dir, Hash: t.root}
	if path == "." {
		return at, nil
	}
	for rest := path; rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		if at.Kind != snapshot.Dir {
			return snapshot.Entry{}, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
		}
		entries, err := t.mirror.entries(at.Hash)
		if err != nil {
			return snapshot.Entry{}, err
		}
		i := sort.Search(len(entries), func(i int) bool { return entries[i].Name >= name })
		if i == len(entries) || entries[i].Name != name {
			return snapshot.Entry{}, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
		}
		at = entries[i]
	}
	return at, nil
}

var (
	errNotDirectory = errors.New("is not a directory")
	errDirectory    = errors.New("is a directory")
	errSubmodule    = errors.New("is a submodule, and abide reads no submodules")
)

func (t *tree) ReadDir(path string) ([]snapshot.Entry, error) {
	e, err := t.Lookup(path)
	if err != nil {
		return nil, err
	}
	switch e.Kind {
	case snapshot.Dir:
		return t.mirror.entries(e.Hash)
	case snapshot.Submodule:
		return nil, &fs.PathError{Op: "read", Path: path, Err: errSubmodule}
	}
	return nil, &fs.PathError{Op: "read", Path: path, Err: errNotDirectory}
}

func (t *tree) ReadFile(path string) ([]byte, error) {
	e, err := t.Lookup(path)
	if err != nil {
		return nil, err
	}
	switch e.Kind {
	case snapshot.Dir:
		return nil, &fs.PathError{Op: "read", Path: path, Err: errDirectory}
	case snapshot.Submodule:
		return nil, &fs.PathError{Op: "read", Path: path, Err: errSubmodule}
	}
	return t.mirror.blob(path, e.Hash)
}
