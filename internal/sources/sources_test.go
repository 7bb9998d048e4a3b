package sources_test

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/pipeline"
	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/snapshot/memtree"
	"abide.dev/abide/internal/source"
	"abide.dev/abide/internal/source/chart"
	"abide.dev/abide/internal/source/file"
	"abide.dev/abide/internal/sources"
)

// gits follows in memory.
type gits struct {
	wants  map[string]source.Want
	states map[string]source.State
	trees  map[string]snapshot.Tree
	// read is called before each snapshot that is read.
	read func()
}

func (g *gits) Follow(name string, w source.Want) { g.wants[name] = w }
func (g *gits) Forget(name string)                { delete(g.wants, name) }

func (g *gits) State(name string) (source.State, bool) {
	st, ok := g.states[name]
	return st, ok
}

func (g *gits) Snapshot(_ context.Context, name string) (source.Snapshot, error) {
	if g.read != nil {
		g.read()
	}
	tree, ok := g.trees[name]
	if !ok {
		return source.Snapshot{}, fs.ErrNotExist
	}
	return source.Snapshot{Revision: g.states[name].Revision, Tree: tree}, nil
}

func (g *gits) RefreshApp(string) *source.Refresh { return nil }
func (g *gits) RefreshURL(string) *source.Refresh { return nil }

// charts follows charts in memory.
type charts struct {
	wants map[string]chart.Want
	state chart.State
	tree  snapshot.Tree
}

func (c *charts) Follow(name string, w chart.Want) { c.wants[name] = w }
func (c *charts) Forget(name string)               { delete(c.wants, name) }
func (c *charts) State(string) (chart.State, bool) { return c.state, true }

func (c *charts) Tree(context.Context, string) (snapshot.Tree, chart.Revision, error) {
	return c.tree, c.state.Revision, nil
}

func (c *charts) Refresh(...string) *chart.Refresh  { return nil }
func (c *charts) RefreshRepo(string) *chart.Refresh { return nil }

var app = object.App{Namespace: "team", Name: "shop"}

func at(commit string) source.State {
	return source.State{Revision: source.Revision{Hash: commit, RefName: "refs/heads/main"}}
}

func world() (*gits, *charts, *sources.Sources) {
	g := &gits{
		wants: map[string]source.Want{}, states: map[string]source.State{"team/shop": at("c1"), "team/shop#envs": at("e1")},
		trees: map[string]snapshot.Tree{
			"team/shop":      memtree.FromText(map[string]string{"app/values.yaml": "own"}),
			"team/shop#envs": memtree.FromText(map[string]string{"prod.yaml": "prod"}),
		},
	}
	c := &charts{
		wants: map[string]chart.Want{},
		state: chart.State{Revision: chart.Revision{Name: "web", Version: "1.2.3", Digest: "sha256:d1"}},
		tree:  memtree.FromText(map[string]string{"Chart.yaml": "name: web"}),
	}
	return g, c, sources.New(g, c, nil)
}

func everything() sources.Wants {
	return sources.Wants{Git: &source.Want{URL: "own"}, Chart: &chart.Want{}, Others: []sources.Other{{Name: "envs"}}}
}

func content(t *testing.T, tree snapshot.Tree, path string) string {
	t.Helper()
	b, err := tree.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func TestHead(t *testing.T) {
	broken := errors.New("broken")
	for name, row := range map[string]struct {
		wants  sources.Wants
		change func(*gits, *charts)
		want   pipeline.At
		err    error
	}{
		"a repository": {sources.Wants{Git: &source.Want{}}, nil, pipeline.At{Commit: "c1"}, nil},
		"a chart":      {sources.Wants{Chart: &chart.Want{}}, nil, pipeline.At{Commit: "sha256:d1"}, nil},
		"all there is": {everything(), nil, pipeline.At{Commit: "c1", Beside: "chart=sha256:d1 envs=e1"}, nil},
		"the chart has not been seen": {everything(), func(_ *gits, c *charts) { c.state = chart.State{} },
			pipeline.At{}, nil},
		"a further repository has not been seen, and won't be": {everything(), func(g *gits, _ *charts) {
			g.states["team/shop#envs"] = source.State{Err: broken}
		}, pipeline.At{}, broken},
		"the chart is gone, and what it was last stands": {everything(), func(_ *gits, c *charts) { c.state.Err = broken },
			pipeline.At{Commit: "c1", Beside: "chart=sha256:d1 envs=e1"}, broken},
	} {
		t.Run(name, func(t *testing.T) {
			g, c, s := world()
			if row.change != nil {
				row.change(g, c)
			}
			s.Follow(app, row.wants)
			h := s.Head(app)
			if h.At != row.want || !errors.Is(h.Err, row.err) || (h.Err == nil) != (row.err == nil) {
				t.Errorf("%+v, %v", h.At, h.Err)
			}
			if row.wants.Chart != nil && (h.Chart == nil || h.Chart.Alone != (row.wants.Git == nil)) {
				t.Errorf("the chart is %+v", h.Chart)
			}
		})
	}
	_, _, s := world()
	if h := s.Head(app); h.Commit != "" || s.Known(app) {
		t.Errorf("an App that nobody follows stands at %+v", h)
	}
}

func TestTree(t *testing.T) {
	g, c, s := world()
	s.Follow(app, everything())
	head := s.Head(app)
	tree, err := s.Tree(t.Context(), app, head.At)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"app/values.yaml": "own", "$chart/Chart.yaml": "name: web", "$envs/prod.yaml": "prod"} {
		if got := content(t, tree, path); got != want {
			t.Errorf("%s is %q", path, got)
		}
	}
	// What moves while it is put together would be a mixture of two states.
	g.read = func() { c.state.Revision.Digest = "sha256:d2" }
	var moved *pipeline.MovedError
	if _, err := s.Tree(t.Context(), app, head.At); !errors.As(err, &moved) || moved.To.Beside != "chart=sha256:d2 envs=e1" {
		t.Errorf("the chart moved meanwhile, and: %v", err)
	}
	g.read = nil
	if _, err := s.Tree(t.Context(), app, head.At); !errors.As(err, &moved) {
		t.Errorf("a state that is past: %v", err)
	}

	s.Follow(app, sources.Wants{Chart: &chart.Want{}})
	tree, err = s.Tree(t.Context(), app, s.Head(app).At)
	if err != nil {
		t.Fatal(err)
	}
	if entries, err := tree.ReadDir("."); err != nil || len(entries) != 0 {
		t.Errorf("without a repository the root is empty: %v, %v", entries, err)
	}
	if got := content(t, tree, "$chart/Chart.yaml"); got != "name: web" {
		t.Errorf("the chart is %q", got)
	}
	s.Follow(app, sources.Wants{Git: &source.Want{}})
	if tree, err = s.Tree(t.Context(), app, s.Head(app).At); err != nil || tree != g.trees["team/shop"] {
		t.Errorf("a repository alone is its own tree: %v, %v", tree, err)
	}
}

// TestFollow: what an App is no longer made of is not followed for it.
func TestFollow(t *testing.T) {
	g, c, s := world()
	follows := func(want ...string) {
		t.Helper()
		got := slices.Sorted(maps.Keys(g.wants))
		for n := range c.wants {
			got = append(got, "chart of "+n)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("followed are (-want +got):\n%s", d)
		}
	}
	s.Follow(app, everything())
	follows("team/shop", "team/shop#envs", "chart of team/shop")
	s.Follow(app, sources.Wants{Git: &source.Want{}, Others: []sources.Other{{Name: "other"}}})
	follows("team/shop", "team/shop#other")
	s.Follow(app, sources.Wants{Chart: &chart.Want{}})
	follows("chart of team/shop")
	s.Forget(app)
	if len(g.wants)+len(c.wants) != 0 {
		t.Errorf("still followed: %v %v", g.wants, c.wants)
	}
}

func TestAppOf(t *testing.T) {
	for name, want := range map[string]struct {
		app       object.App
		other, ok bool
	}{
		"team/shop":      {app, false, true},
		"team/shop#envs": {app, true, true},
		"nonsense":       {object.App{}, false, false},
	} {
		if got, other, ok := sources.AppOf(name); ok != want.ok || ok && (got != want.app || other != want.other) {
			t.Errorf("%s is %v, %v, %v", name, got, other, ok)
		}
	}
}

// files follows in memory.
type files struct {
	wants map[string]file.Want
	state file.State
}

func (f *files) Follow(name string, w file.Want) { f.wants[name] = w }
func (f *files) Forget(name string)              { delete(f.wants, name) }
func (f *files) State(string) (file.State, bool) { return f.state, true }
func (f *files) Refresh(string) <-chan struct{} {
	done := make(chan struct{})
	close(done)
	return done
}
func (f *files) Tree(string) (snapshot.Tree, string, error) {
	return memtree.FromText(map[string]string{"x.yaml": "file"}), f.state.Digest, nil
}

// TestRemotes: what kustomizations name is in the state and the tree once it was
// seen, and does not keep the rest from being there before.
func TestRemotes(t *testing.T) {
	g, c, _ := world()
	f := &files{wants: map[string]file.Want{}}
	s := sources.New(g, c, f)
	names := []sources.Remote{
		{Name: "remote-c", Chart: &chart.Want{}}, {Name: "remote-a", Git: &source.Want{URL: "a"}}, {Name: "remote-b", File: &file.Want{URL: "b"}},
	}
	own := sources.Wants{Git: &source.Want{URL: "own"}}
	s.FollowRemotes(app, names)
	if len(g.wants)+len(f.wants)+len(c.wants) > 0 {
		t.Errorf("something is followed for an App that nobody follows: %v %v %v", g.wants, f.wants, c.wants)
	}
	c.state = chart.State{}
	s.Follow(app, own)
	s.FollowRemotes(app, names)
	if _, ok := g.wants["team/shop#remote-a"]; !ok || len(f.wants) != 1 || len(c.wants) != 1 {
		t.Errorf("not all are followed: %v %v %v", g.wants, f.wants, c.wants)
	}
	if h := s.Head(app); h.At != (pipeline.At{Commit: "c1"}) || h.Err != nil {
		t.Errorf("before they were seen it stands at %+v, %v", h.At, h.Err)
	}
	broken := errors.New("broken")
	g.states["team/shop#remote-a"] = source.State{Err: broken}
	if h := s.Head(app); h.At != (pipeline.At{Commit: "c1"}) || h.Err != nil {
		t.Errorf("what has never been seen is nobody's error: %+v, %v", h.At, h.Err)
	}
	if err := s.RemoteErr(app, "remote-a"); !errors.Is(err, broken) || s.RemoteErr(app, "remote-b") != nil {
		t.Errorf("who needs it gets no error: %v", err)
	}
	g.states["team/shop#remote-a"] = at("r1")
	g.trees["team/shop#remote-a"] = memtree.FromText(map[string]string{"base/x.yaml": "base"})
	f.state.Digest, c.state.Revision.Digest = "sha256:f1", "sha256:d1"
	head := s.Head(app)
	if want := (pipeline.At{Commit: "c1", Beside: "remote-a=r1 remote-b=sha256:f1 remote-c=sha256:d1"}); head.At != want || s.RemoteErr(app, "remote-a") != nil {
		t.Errorf("it stands at %+v", head.At)
	}
	tree, err := s.Tree(t.Context(), app, head.At)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"app/values.yaml": "own", "$remote-a/base/x.yaml": "base", "$remote-b/x.yaml": "file", "$remote-c/Chart.yaml": "name: web"} {
		if got := content(t, tree, path); got != want {
			t.Errorf("%s is %q", path, got)
		}
	}
	f.state.Err = broken
	if h := s.Head(app); h.At != head.At || !errors.Is(h.Err, broken) {
		t.Errorf("what was good does not stand through an error: %+v, %v", h.At, h.Err)
	}
	own.Remotes = names[:1]
	s.Follow(app, own)
	if len(f.wants) > 0 || len(g.wants) != 1 || len(c.wants) != 1 {
		t.Errorf("what is not named any more is followed: %v %v", g.wants, f.wants)
	}
	s.Forget(app)
	if len(g.wants)+len(f.wants)+len(c.wants) > 0 {
		t.Errorf("still followed: %v %v %v", g.wants, f.wants, c.wants)
	}
}
