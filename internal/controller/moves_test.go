package controller

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/source"
	"abide.dev/abide/internal/source/git"
)

// fleet is a hub and the Apps that follow it.
type fleet struct {
	states  map[string]source.State
	changes []git.Change
	err     error
	asked   int
	onAsk   func()

	steady   map[object.App]string
	ran      []string
	advanced []string
	refuse   bool
}

func (f *fleet) State(app string) (source.State, bool) { st, ok := f.states[app]; return st, ok }

func (f *fleet) ChangedPaths(context.Context, string, string) ([]git.Change, error) {
	f.asked++
	if f.onAsk != nil {
		f.onAsk()
	}
	return f.changes, f.err
}

func (f *fleet) Steady(app object.App) string { return f.steady[app] }

func (f *fleet) Advance(app object.App, _, to, _ string) bool {
	if f.refuse {
		return false
	}
	f.advanced = append(f.advanced, app.Name)
	f.steady[app] = to
	return true
}

func (f *fleet) Run(app object.App) { f.ran = append(f.ran, app.Name) }

// at is the state of a ref.
func at(commit string) source.State {
	return source.State{Revision: source.Revision{RefName: "refs/heads/main", Hash: commit}}
}

func TestMoves(t *testing.T) {
	app := func(name string) object.App { return object.App{Namespace: "x", Name: name} }
	file := snapshot.Entry{Kind: snapshot.File, Hash: "1"}
	for _, tt := range []struct {
		why           string
		set           func(*fleet)
		run, advanced []string
		comparisons   int
	}{
		{"a change that one App read", func(f *fleet) {
			f.changes = []git.Change{{Path: "a/x.yaml", From: file, To: snapshot.Entry{Kind: snapshot.File, Hash: "2"}}}
		}, []string{"a"}, []string{"b", "c"}, 1},
		{"a new file in a folder that one App listed", func(f *fleet) {
			f.changes = []git.Change{{Path: "b/new.yaml", To: file}}
		}, []string{"b"}, []string{"a", "c"}, 1},
		{"a change that nobody looked at", func(f *fleet) {
			f.changes = []git.Change{{Path: "README.md", From: file, To: snapshot.Entry{Kind: snapshot.File, Hash: "2"}}}
		}, nil, []string{"a", "b", "c"}, 1},
		{"the commits can't be compared", func(f *fleet) { f.err = errors.New("too many") }, []string{"a", "b", "c"}, nil, 1},
		{"the ref moves on while they are compared", func(f *fleet) {
			f.onAsk = func() {
				for n := range f.states {
					f.states[n] = at("third")
				}
			}
		}, []string{"a", "b", "c"}, nil, 1},
		{"an App that is not steady runs", func(f *fleet) { delete(f.steady, app("c")) }, []string{"c"}, []string{"a", "b"}, 1},
		{"an error that is over, or new, is for the App to say", func(f *fleet) {
			f.states["x/a"] = source.State{Revision: at("second").Revision, Err: errors.New("no answer")}
			f.steady[app("b")] = "second"
		}, []string{"a", "b"}, []string{"c"}, 1},
		{"Apps at different commits are compared apart", func(f *fleet) { f.steady[app("a")] = "zeroth" }, nil, []string{"a", "b", "c"}, 2},
		{"an App that began to run meanwhile", func(f *fleet) { f.refuse = true }, []string{"a", "b", "c"}, nil, 1},
	} {
		t.Run(tt.why, func(t *testing.T) {
			f := &fleet{states: map[string]source.State{}, steady: map[object.App]string{}}
			index := render.NewIndex[object.App]()
			for _, n := range []string{"a", "b", "c"} {
				f.states["x/"+n] = at("second")
				f.steady[app(n)] = "first"
				index.Put(app(n), render.Trace{{Path: n, Op: "List", Hash: "h"}, {Path: n + "/x.yaml", Op: "Read", Hash: "h"}})
			}
			tt.set(f)
			m := NewMoves(f, index, slog.New(slog.DiscardHandler))
			m.Hub = f
			m.Moved(slices.Collect(maps.Keys(f.states)))
			m.settle(t.Context(), m.pending)
			slices.Sort(f.ran)
			slices.Sort(f.advanced)
			if d := cmp.Diff(tt.run, f.ran); d != "" {
				t.Errorf("run (-want +got):\n%s", d)
			}
			if d := cmp.Diff(tt.advanced, f.advanced); d != "" {
				t.Errorf("advanced (-want +got):\n%s", d)
			}
			if f.asked != tt.comparisons {
				t.Errorf("%d comparisons, want %d", f.asked, tt.comparisons)
			}
		})
	}
}
