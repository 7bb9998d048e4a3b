package git

import (
	"context"
	"errors"
	"path"

	"abide.dev/abide/internal/snapshot"
)

// Change is a path that differs between two trees: a file, link or submodule,
// never a directory. From is the zero Entry for a path that was added, To for
// one that was removed. A file that became a directory is removed, and what
// is in the directory is added.
type Change struct {
	Path     string
	From, To snapshot.Entry
	// Top is where the change of kind begins that Path is part of: the path
	// itself, or a directory above it that came with it, went with it, or took
	// the place of a file. Above Top both trees have directories. It is empty for
	// a path that is of the same kind in both.
	Top string
}

// MaxChanges is how many changes ChangedPaths lists.
const MaxChanges = 100_000

// ErrTooManyChanges says that two trees differ in more than MaxChanges paths;
// whoever asks should take everything as changed.
var ErrTooManyChanges = errors.New("the commits differ in too many paths to list them")

// ChangedPaths compares the trees of two commits that the mirror has. Equal
// subtrees are not read, so the cost follows the change. The order is that of
// the paths' elements.
func (m *Mirror) ChangedPaths(ctx context.Context, from, to string) ([]Change, error) {
	a, err := m.Commit(ctx, from)
	if err != nil {
		return nil, err
	}
	b, err := m.Commit(ctx, to)
	if err != nil {
		return nil, err
	}
	d := differ{mirror: m}
	err = d.compare(ctx, ".", "", snapshot.Entry{Kind: snapshot.Dir, Hash: a.Tree}, snapshot.Entry{Kind: snapshot.Dir, Hash: b.Tree})
	if err != nil {
		return nil, err
	}
	return d.changes, nil
}

type differ struct {
	mirror  *Mirror
	changes []Change
	depth   int
}

// maxDepth bounds how deep a hostile tree may nest; git's own limit for paths
// is 4096 bytes.
const maxDepth = 2048

// compare walks two entries of the same path, either of which may be zero. top
// is the first of the directories above that is not one in both trees.
func (d *differ) compare(ctx context.Context, at, top string, a, b snapshot.Entry) error {
	if a.Kind == b.Kind && a.Hash == b.Hash {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	aDir, bDir := a.Kind == snapshot.Dir, b.Kind == snapshot.Dir
	if top == "" && a.Kind != b.Kind {
		top = at
	}
	leaf := Change{Path: at, Top: top}
	if !aDir {
		leaf.From = a
	}
	if !bDir {
		leaf.To = b
	}
	if leaf.From != leaf.To {
		if len(d.changes) >= MaxChanges {
			return ErrTooManyChanges
		}
		d.changes = append(d.changes, leaf)
	}
	if !aDir && !bDir {
		return nil
	}
	if d.depth++; d.depth > maxDepth {
		return errorf(RepositoryMalformed, d.mirror.url.String(), "", "its directories nest deeper than %d", maxDepth)
	}
	defer func() { d.depth-- }()
	return d.directories(ctx, at, top, a, b)
}

func (d *differ) directories(ctx context.Context, at, top string, a, b snapshot.Entry) error {
	var as, bs []snapshot.Entry
	var err error
	if a.Kind == snapshot.Dir {
		if as, err = d.mirror.entries(a.Hash); err != nil {
			return err
		}
	}
	if b.Kind == snapshot.Dir {
		if bs, err = d.mirror.entries(b.Hash); err != nil {
			return err
		}
	}
	for len(as) > 0 || len(bs) > 0 {
		var x, y snapshot.Entry
		switch {
		case len(bs) == 0 || len(as) > 0 && as[0].Name < bs[0].Name:
			x, as = as[0], as[1:]
		case len(as) == 0 || bs[0].Name < as[0].Name:
			y, bs = bs[0], bs[1:]
		default:
			x, y, as, bs = as[0], bs[0], as[1:], bs[1:]
		}
		name := x.Name
		if name == "" {
			name = y.Name
		}
		if err := d.compare(ctx, path.Join(at, name), top, x, y); err != nil {
			return err
		}
	}
	return nil
}
