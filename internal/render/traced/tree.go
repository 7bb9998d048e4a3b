package traced

import (
	"cmp"
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/snapshot"
)

// maxLinks is how many links one path may pass, as Linux has it (ELOOP).
const maxLinks = 40

// Tree reads a snapshot and records each access. Paths that go through a
// folder named .git are refused: nothing a repository holds there is content.
// It is safe for concurrent use.
type Tree struct {
	tree     snapshot.Tree
	maxFile  int64
	maxTotal int64

	mu    sync.Mutex
	seen  map[key]string
	total int64
}

type key struct {
	path string
	op   Op
}

// New returns a Tree over t that reads files of up to maxFile bytes, and
// maxTotal bytes of distinct files together.
func New(t snapshot.Tree, maxFile, maxTotal int64) *Tree {
	return &Tree{tree: t, maxFile: maxFile, maxTotal: maxTotal, seen: map[key]string{}}
}

// Trace returns what was accessed up to now. A Read of a path implies its
// Stat, which is then left out.
func (t *Tree) Trace() Trace {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make(Trace, 0, len(t.seen))
	for k, h := range t.seen {
		if k.op == Stat {
			if _, ok := t.seen[key{k.path, Read}]; ok {
				continue
			}
			if _, ok := t.seen[key{k.path, List}]; ok && h != "" {
				continue
			}
		}
		out = append(out, Access{Path: k.path, Op: k.op, Hash: h})
	}
	slices.SortFunc(out, func(a, b Access) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Op, b.Op))
	})
	return out
}

// record keeps the first hash seen and tells whether the access is new.
func (t *Tree) record(p string, op Op, hash string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := key{p, op}
	if _, ok := t.seen[k]; ok {
		return false
	}
	t.seen[k] = hash
	return true
}

// stat looks one path up whose parents are known to be directories.
func (t *Tree) stat(p string) (snapshot.Kind, error) {
	kind, err := kindOf(t.tree, p)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			t.record(p, Stat, "")
		}
		return 0, err
	}
	t.record(p, Stat, kindLetter(kind))
	return kind, nil
}

// rooted is a tree that is put together from several (package snapshot/mount)
// and can tell whether one of them begins at path.
type rooted interface {
	Root(path string) bool
}

// isRoot tells whether nothing above p may be reached from it.
func (t *Tree) isRoot(p string) bool {
	if p == "." {
		return true
	}
	r, ok := t.tree.(rooted)
	return ok && r.Root(p)
}

// Join joins dir, a path of the tree, and p, which is relative to it, as
// path.Join does. What leads out of the root that dir is in is a
// [*snapshot.EscapeError], an absolute p too. Links are not looked at.
func (t *Tree) Join(dir, p string) (string, error) {
	joined := path.Join(dir, p)
	if path.IsAbs(p) || joined == ".." || strings.HasPrefix(joined, "../") || t.rootOf(joined) != t.rootOf(path.Clean(dir)) {
		return "", &snapshot.EscapeError{Path: p, Target: joined}
	}
	return joined, nil
}

// rootOf returns the root that a clean path is in.
func (t *Tree) rootOf(p string) string {
	first, _, _ := strings.Cut(p, "/")
	if t.isRoot(first) {
		return first
	}
	return "."
}

// Resolve follows every link in p as a file system would and returns the real
// path and its kind. A link that leads out of the tree it lies in is an
// [*snapshot.EscapeError], also where it leads into another tree of a
// composite: p alone may name one. Links passed are recorded as read; of a path that does
// not exist the first missing element is recorded, so that whatever appears
// there later, be it a link, makes the trace invalid.
func (t *Tree) Resolve(p string) (string, snapshot.Kind, error) {
	clean, err := snapshot.Clean(p)
	if err != nil {
		return "", 0, err
	}
	done, kind := ".", snapshot.Dir
	rest := split(clean)
	for links := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		if name == ".." {
			if t.isRoot(done) {
				return "", 0, &snapshot.EscapeError{Path: p, Target: strings.Join(append([]string{".."}, rest...), "/")}
			}
			done, kind = path.Dir(done), snapshot.Dir
			continue
		}
		if strings.EqualFold(name, ".git") {
			return "", 0, fault.New(fault.ForbiddenPath, p, 0, "goes through Git's own folder, which is never read")
		}
		next := path.Join(done, name)
		if links > 0 && t.isRoot(next) {
			return "", 0, &snapshot.EscapeError{Path: p, Target: strings.Join(append([]string{next}, rest...), "/")}
		}
		k, err := t.stat(next)
		if err != nil {
			return "", 0, err
		}
		if k != snapshot.Symlink {
			if len(rest) > 0 && k != snapshot.Dir {
				return "", 0, &fs.PathError{Op: "open", Path: p, Err: fs.ErrNotExist}
			}
			done, kind = next, k
			continue
		}
		if links++; links > maxLinks {
			return "", 0, &fs.PathError{Op: "open", Path: p, Err: snapshot.ErrLinkLoop}
		}
		target, err := t.readLink(next)
		if err != nil {
			return "", 0, err
		}
		if path.IsAbs(target) {
			return "", 0, &snapshot.EscapeError{Path: p, Target: target}
		}
		rest = append(split(target), rest...)
	}
	return done, kind, nil
}

func (t *Tree) readLink(p string) (string, error) {
	b, err := t.read(p)
	if err != nil {
		return "", err
	}
	return string(b), nil
}

// ReadFile returns the content of the file at a resolved path. The bytes are
// shared and must not be changed.
func (t *Tree) ReadFile(p string) ([]byte, error) { return t.read(p) }

// ReadHashed is ReadFile, and returns the hash of what was read as well.
func (t *Tree) ReadHashed(p string) ([]byte, string, error) {
	b, err := t.read(p)
	if err != nil {
		return nil, "", err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return b, t.seen[key{p, Read}], nil
}

// Same tells whether the file at a resolved path still has the hash that
// [Tree.ReadHashed] gave, and if so records it as read, with the size that it
// had then. It reads no content. listed is what [Tree.ReadDir] says of it; nil if
// that is not known.
func (t *Tree) Same(p string, listed *snapshot.Entry, hash string, size int64) (bool, error) {
	if listed == nil {
		e, err := t.tree.Lookup(p)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		listed = &e
	}
	if readHash(*listed) != hash {
		return false, nil
	}
	if t.record(p, Read, hash) {
		return true, t.count(p, size)
	}
	return true, nil
}

func (t *Tree) read(p string) ([]byte, error) {
	e, err := t.tree.Lookup(p)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			t.record(p, Stat, "")
		}
		return nil, err
	}
	fresh := t.record(p, Read, readHash(e))
	b, err := t.tree.ReadFile(p)
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > t.maxFile {
		return nil, &snapshot.TooLargeError{Path: p, Size: int64(len(b)), Limit: t.maxFile}
	}
	if fresh {
		if err := t.count(p, int64(len(b))); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// count keeps to the bound on what distinct files have together.
func (t *Tree) count(p string, size int64) error {
	t.mu.Lock()
	t.total += size
	over := t.total > t.maxTotal
	t.mu.Unlock()
	if !over {
		return nil
	}
	return fault.New(fault.TooLarge, p, 0, "the files of this render have more than %d bytes together", t.maxTotal).
		WithHint("split it into several Apps")
}

// ReadDir returns the entries of the directory at a resolved path, in byte
// order of their names. The slice must not be changed.
func (t *Tree) ReadDir(p string) ([]snapshot.Entry, error) {
	entries, err := t.tree.ReadDir(p)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			t.record(p, Stat, "")
		}
		return nil, err
	}
	t.record(p, List, listHash(entries))
	return entries, nil
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
