package file

import (
	"io/fs"
	"os"

	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/snapshot/objhash"
)

// content is what is known of bytes in the cache, so that nobody has to read
// them to learn it.
type content struct {
	size int64
	blob string // its name in Git
}

// tree is a snapshot with one file, whose bytes are read when they are asked
// for, and not held.
type tree struct {
	p      *Poller
	f      *followed
	url    string
	digest string
	size   int64
	root   string
	file   snapshot.Entry
}

func (p *Poller) tree(f *followed, c content) (snapshot.Tree, error) {
	entry := snapshot.Entry{Name: f.want.Name, Kind: snapshot.File, Hash: c.blob}
	root, err := objhash.Tree([]snapshot.Entry{entry})
	if err != nil {
		return nil, err
	}
	return &tree{p: p, f: f, url: f.want.URL, digest: f.state.Digest, size: c.size, root: root, file: entry}, nil
}

// Hash implements [snapshot.Tree].
func (t *tree) Hash() string { return t.root }

// Lookup implements [snapshot.Tree].
func (t *tree) Lookup(path string) (snapshot.Entry, error) {
	switch path {
	case ".":
		return snapshot.Entry{Name: ".", Kind: snapshot.Dir, Hash: t.root}, nil
	case t.file.Name:
		return t.file, nil
	}
	return snapshot.Entry{}, &fs.PathError{Op: "lookup", Path: path, Err: fs.ErrNotExist}
}

// ReadDir implements [snapshot.Tree].
func (t *tree) ReadDir(path string) ([]snapshot.Entry, error) {
	if path != "." {
		return nil, &fs.PathError{Op: "readdir", Path: path, Err: fs.ErrNotExist}
	}
	return []snapshot.Entry{t.file}, nil
}

// ReadFile implements [snapshot.Tree].
func (t *tree) ReadFile(path string) ([]byte, error) {
	if path != t.file.Name {
		return nil, &fs.PathError{Op: "read", Path: path, Err: fs.ErrNotExist}
	}
	b, err := os.ReadFile(t.p.file(t.digest))
	if err == nil && digestOf(b) == t.digest {
		return b, nil
	}
	t.p.mu.Lock()
	defer t.p.mu.Unlock()
	if _, kept := t.p.held[t.digest]; !kept {
		return nil, &Error{Kind: "NotFetchedYet", URL: shown(t.url), Problem: "it changed while it was read", later: true}
	}
	return nil, t.p.lost(t.f, err)
}

// lost has a file fetched again whose content is gone from the cache, and its
// follower told when it is back. The caller holds p.mu.
func (p *Poller) lost(f *followed, err error) error {
	p.o.Logger.Warn("the cache of a file is gone, and it is fetched again", "url", shown(f.want.URL), "error", err)
	f.etag, f.since, f.lost = "", "", true
	p.ask(f)
	return errorf("CacheFailed", f.want.URL, "what was fetched is no longer in the cache")
}
