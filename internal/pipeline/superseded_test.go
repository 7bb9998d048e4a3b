package pipeline

import (
	"context"
	"errors"
	"io/fs"
	"testing"

	"abide.dev/abide/api/v1alpha1"
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

// What an App is held at is no state of Git: it is superseded when Git says something
// else than what is skipped.
func TestHeldIsSuperseded(t *testing.T) {
	git := &desiredState{trace: render.Trace{{Path: "app/file", Op: traced.Stat}}} // in vain
	for _, c := range []struct {
		name  string
		file  bool
		git   *desiredState
		skips string
		want  bool
	}{
		{"Git says what is skipped", false, git, "h", false},
		{"Git says something else", true, git, "h", true},
		{"what Git said could not be told", true, nil, "h", false},
		{"it is held whatever Git says", true, git, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := &run{
				Pipeline: &Pipeline{Source: &moved{commit: "2", file: c.file}}, mem: &memory{desired: c.git},
				desired: &desiredState{}, pinned: &v1alpha1.PinnedStatus{To: 1, Skips: c.skips},
			}
			r.out.Head.Commit = "1"
			if got := r.superseded(t.Context()); got != c.want {
				t.Errorf("superseded is %v", got)
			}
		})
	}
}

// Whether a run is superseded is asked by it and beside it at the same time: for the
// race detector.
func TestSupersededBeside(t *testing.T) {
	r := &run{Pipeline: &Pipeline{Source: &moved{commit: "2"}}, desired: &desiredState{}}
	_, done := r.interruptible(t.Context(), r.superseded)
	for range 100 {
		r.Interrupt(r.id, false)
		r.superseded(t.Context())
	}
	if done() {
		t.Error("it was interrupted, and nothing is newer")
	}
}
