package sources_test

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/pipeline"
	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/snapshot/memtree"
	"abide.dev/abide/internal/source"
	"abide.dev/abide/internal/source/chart"
	"abide.dev/abide/internal/source/file"
	"abide.dev/abide/internal/source/git"
	"abide.dev/abide/internal/sources"
)

// gits follows in memory.
type gits struct {
	wants  map[string]source.Want
	states map[string]source.State
	trees  map[string]snapshot.Tree
	// read is called before each snapshot that is read.
	read      func()
	refreshed []string
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
func (g *gits) RefreshURL(url string) *source.Refresh {
	g.refreshed = append(g.refreshed, url)
	return source.NewHub(source.Options{Remotes: nobody{}}).RefreshURL(url)
}

// nobody has no repository; to ask for it is over at once.
type nobody struct{}

func (nobody) Parse(raw string) (git.URL, error)     { return git.ParseURL(raw) }
func (nobody) Mirror(git.URL) (source.Mirror, error) { return nil, fs.ErrNotExist }

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
	wants     map[string]file.Want
	state     file.State
	refreshed []string
}

func (f *files) Follow(name string, w file.Want) { f.wants[name] = w }
func (f *files) Forget(name string)              { delete(f.wants, name) }
func (f *files) State(string) (file.State, bool) { return f.state, true }
func (f *files) Refresh(name string) <-chan struct{} {
	f.refreshed = append(f.refreshed, name)
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
	remoteErr := func(name string, wantTold bool, want error) {
		t.Helper()
		if told, err := s.RemoteErr(t.Context(), app, name); told != wantTold || !errors.Is(err, want) {
			t.Errorf("%s is missing because of %v, told %v; want %v, told %v", name, err, told, want, wantTold)
		}
	}
	remoteErr("remote-a", true, broken)
	remoteErr("remote-b", true, nil)
	g.states["team/shop#remote-a"] = at("r1")
	g.trees["team/shop#remote-a"] = memtree.FromText(map[string]string{"base/x.yaml": "base"})
	f.state.Digest, c.state.Revision.Digest = "sha256:f1", "sha256:d1"
	head := s.Head(app)
	if want := (pipeline.At{Commit: "c1", Beside: "remote-a=r1 remote-b=sha256:f1 remote-c=sha256:d1"}); head.At != want {
		t.Errorf("it stands at %+v", head.At)
	}
	remoteErr("remote-a", false, nil)
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
	g.states["team/shop"] = source.State{}
	if h := s.Head(app); h.Commit != "" || h.Err != nil {
		t.Errorf("while the App's own repository has not been seen, what is beside it fails: %+v, %v", h.At, h.Err)
	}
	g.states["team/shop"] = at("c1")

	// What was seen once and can be read no longer keeps nothing else away.
	delete(g.trees, "team/shop#remote-a")
	if tree, err = s.Tree(t.Context(), app, head.At); err != nil {
		t.Fatalf("one that cannot be read fails all: %v", err)
	}
	if _, err := tree.Lookup("$remote-a"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what cannot be read is there: %v", err)
	}
	if got := content(t, tree, "$remote-b/x.yaml"); got != "file" {
		t.Errorf("beside it is %q", got)
	}
	remoteErr("remote-a", false, fs.ErrNotExist)
	st := at("r1")
	st.Err = broken
	g.states["team/shop#remote-a"] = st
	remoteErr("remote-a", true, fs.ErrNotExist)

	s.KeepRemotes(app, []string{"remote-b", "remote-c"})
	if _, ok := g.wants["team/shop#remote-a"]; ok || len(f.wants) != 1 || len(c.wants) != 1 || len(g.wants) != 1 {
		t.Errorf("kept are %v %v %v", g.wants, f.wants, c.wants)
	}
	if h := s.Head(app); h.Beside != "remote-b=sha256:f1 remote-c=sha256:d1" {
		t.Errorf("what is not kept is part of the state: %+v", h.At)
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

// TestRefreshWhere: all that is followed at a URL is looked at, whatever it is to
// its App, and each once.
func TestRefreshWhere(t *testing.T) {
	g, c, _ := world()
	f := &files{wants: map[string]file.Want{}}
	s := sources.New(g, c, f)
	w := sources.Wants{
		Git:    &source.Want{URL: "https://a.example/own"},
		Others: []sources.Other{{Name: "envs", Git: source.Want{URL: "https://b.example/envs"}}},
		Remotes: []sources.Remote{
			{Name: "remote-a", Git: &source.Want{URL: "https://b.example/lib"}},
			{Name: "remote-b", File: &file.Want{URL: "https://b.example/x.yaml?token=1"}},
			{Name: "remote-c", File: &file.Want{URL: "https://a.example/x.yaml"}},
		},
	}
	s.Follow(app, w)
	s.Follow(object.App{Namespace: "team", Name: "other"}, sources.Wants{Git: &source.Want{URL: "https://b.example/lib"}})
	var asked []string
	<-s.RefreshWhere(func(url string) bool {
		asked = append(asked, url)
		return strings.HasPrefix(url, "https://b.example/")
	})
	slices.Sort(g.refreshed)
	if want := []string{"https://b.example/envs", "https://b.example/lib"}; !slices.Equal(g.refreshed, want) {
		t.Errorf("looks at %v, want %v", g.refreshed, want)
	}
	if want := []string{"team/shop#remote-b"}; !slices.Equal(f.refreshed, want) {
		t.Errorf("looks at the files %v, want %v", f.refreshed, want)
	}
	if strings.Contains(strings.Join(asked, " "), "token") {
		t.Errorf("a query is shown: %v", asked)
	}
}
