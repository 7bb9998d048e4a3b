package pipeline

import (
	"context"
	"errors"
	"io/fs"
	"testing"

	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/render/traced"
	"abide.dev/abide/internal/snapshot"
)

// moved is a source whose ref stands at a commit with a file, or without it.
type moved struct {
	commit string
	beside string
	file   bool
	err    error
}

func (m *moved) Head(object.App) Head { return Head{At: At{m.commit, m.beside}} }

func (m *moved) Tree(context.Context, object.App, At) (snapshot.Tree, error) {
	return oneFile{there: m.file}, m.err
}

type oneFile struct {
	snapshot.Tree
	there bool
}

func (f oneFile) Lookup(string) (snapshot.Entry, error) {
	if !f.there {
		return snapshot.Entry{}, fs.ErrNotExist
	}
	return snapshot.Entry{Name: "file", Kind: snapshot.File, Hash: "00"}, nil
}

// A sync is superseded by a commit that says something else of its App, and by
// no other: on a busy repository it would else never come to its last stage.
func TestSuperseded(t *testing.T) {
	looked := render.Trace{{Path: "app/file", Op: traced.Stat}} // in vain
	for _, c := range []struct {
		name     string
		source   moved
		deleting bool
		want     bool
	}{
		{"the ref has not moved", moved{commit: "1"}, false, false},
		{"what the render looked at is as it was", moved{commit: "2"}, false, false},
		{"what the render looked at has changed", moved{commit: "2", file: true}, false, true},
		{"the newer commit can't be read", moved{commit: "2", err: errors.New("broken")}, false, true},
		{"a chart beside it that the render did not look at", moved{commit: "1", beside: "chart=2"}, false, false},
		{"a chart beside it that it did", moved{commit: "1", beside: "chart=2", file: true}, false, true},
		{"a deletion has nothing to do with commits", moved{commit: "2", file: true}, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &run{Pipeline: &Pipeline{Source: &c.source}, desired: &desiredState{trace: looked}, deleting: c.deleting}
			r.out.Head.Commit = "1"
			if got := r.superseded(t.Context()); got != c.want {
				t.Errorf("superseded is %v", got)
			}
		})
	}
}
