// Package sources joins what an App is made of: its Git repository, or a chart
// of a chart repository or registry, or both, and further Git repositories. It
// says where they stand together, and shows them as one tree:
//
//   - the repository is the root of the tree; without one, the root is empty;
//   - the chart is at $chart, a further repository of name N at $N;
//   - what kustomizations name that is elsewhere (package render/remote) is at
//     $ and its name, once it has been seen.
//
// What identifies a state ([pipeline.At]) is the commit of the repository, or
// else the digest of the chart; and beside it, as one text, where all the others
// stand. A state is there when every part has been seen; an error of one part is
// the error of all, while the last good state stands. What kustomizations name is
// no part in that sense: only a render knows whether it is needed still, so what
// has not been seen, or cannot be read any more, is left out of the tree, and a
// render that misses it asks for the reason ([Sources.RemoteErr]).
//
// Nothing is kept but which parts each App has; what follows them keeps the rest.
package sources

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"sync"

	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/pipeline"
	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/snapshot/mount"
	"abide.dev/abide/internal/source"
	"abide.dev/abide/internal/source/chart"
	"abide.dev/abide/internal/source/file"
)

// ChartMount is the name that a chart is mounted by.
const ChartMount = "chart"

// Git follows refs of repositories, by name; [source.Hub] does.
type Git interface {
	Follow(name string, w source.Want)
	Forget(name string)
	State(name string) (source.State, bool)
	Snapshot(ctx context.Context, name string) (source.Snapshot, error)
	RefreshApp(name string) *source.Refresh
	RefreshURL(url string) *source.Refresh
}

// Charts follows charts, by name; [chart.Poller] does.
type Charts interface {
	Follow(name string, w chart.Want)
	Forget(name string)
	State(name string) (chart.State, bool)
	Tree(ctx context.Context, name string) (snapshot.Tree, chart.Revision, error)
	Refresh(names ...string) *chart.Refresh
	RefreshRepo(url string) *chart.Refresh
}

// Files follows single files, by name; [file.Poller] does.
type Files interface {
	Follow(name string, w file.Want)
	Forget(name string)
	State(name string) (file.State, bool)
	Tree(name string) (snapshot.Tree, string, error)
	Refresh(name string) <-chan struct{}
}

// Wants are what an App is made of. Git, Chart or both are set.
type Wants struct {
	Git     *source.Want
	Chart   *chart.Want
	Others  []Other
	Remotes []Remote
}

// Other is a further repository.
type Other struct {
	Name string
	Git  source.Want
}

// parts are the names under which the parts of an App are followed.
type parts struct {
	git, chart bool
	others     []string
	remotes    []part // in order of their names
	// places are where all these are, but for the remotes, which know it.
	places []place
}

// place is where a part is.
type place struct {
	kind kind
	url  string
}

// Sources are the sources of all Apps. They are safe for concurrent use.
type Sources struct {
	git    Git
	charts Charts
	files  Files

	mu   sync.Mutex
	apps map[object.App]parts
}

// New returns the sources that g, c and f follow.
func New(g Git, c Charts, f Files) *Sources {
	return &Sources{git: g, charts: c, files: f, apps: map[object.App]parts{}}
}

// separator is in no name of an App.
const separator = "#"

func otherName(app object.App, name string) string { return app.String() + separator + name }

// AppOf returns the App that a part belongs to, by the name under which it is
// followed; other tells that it is neither its repository nor its chart.
func AppOf(name string) (app object.App, other, ok bool) {
	name, _, other = strings.Cut(name, separator)
	app, ok = object.ParseApp(name)
	return app, other, ok
}

// Follow follows what an App is made of, in place of what that was before.
func (s *Sources) Follow(app object.App, w Wants) {
	now := parts{git: w.Git != nil, chart: w.Chart != nil}
	name := app.String()
	if w.Git != nil {
		s.git.Follow(name, *w.Git)
		now.places = append(now.places, place{ofGit, w.Git.URL})
	}
	if w.Chart != nil {
		s.charts.Follow(name, *w.Chart)
		now.places = append(now.places, place{ofChart, w.Chart.Ref.Repo})
	}
	for _, o := range w.Others {
		now.others = append(now.others, o.Name)
		now.places = append(now.places, place{ofGit, o.Git.URL})
		s.git.Follow(otherName(app, o.Name), o.Git)
	}
	now.remotes = s.followRemotes(app, w.Remotes)
	s.mu.Lock()
	before := s.apps[app]
	s.apps[app] = now
	s.mu.Unlock()
	s.leave(app, before, now)
}

// Forget ends following for an App.
func (s *Sources) Forget(app object.App) {
	s.mu.Lock()
	before := s.apps[app]
	delete(s.apps, app)
	s.mu.Unlock()
	s.leave(app, before, parts{})
}

// leave forgets the parts that an App no longer has.
func (s *Sources) leave(app object.App, before, now parts) {
	if before.git && !now.git {
		s.git.Forget(app.String())
	}
	if before.chart && !now.chart {
		s.charts.Forget(app.String())
	}
	has := map[string]bool{}
	for _, n := range now.others {
		has[n] = true
	}
	for _, n := range before.others {
		if !has[n] {
			s.git.Forget(otherName(app, n))
		}
	}
	s.leaveRemotes(app, before.remotes, now.remotes)
}

func (s *Sources) of(app object.App) (parts, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.apps[app]
	return p, ok
}

// Known tells whether an App is followed.
func (s *Sources) Known(app object.App) bool {
	_, ok := s.of(app)
	return ok
}

// Head implements [pipeline.Source].
func (s *Sources) Head(app object.App) pipeline.Head {
	p, ok := s.of(app)
	if !ok {
		return pipeline.Head{}
	}
	var h pipeline.Head
	whole := true
	if p.git {
		st, _ := s.git.State(app.String())
		h = headOf(st)
		whole = h.Commit != ""
	}
	var beside []string
	if p.chart {
		st, _ := s.charts.State(app.String())
		whole = whole && st.Revision.Digest != ""
		h.Err = cmp.Or(h.Err, st.Err)
		h.Chart = &pipeline.Chart{Name: st.Revision.Name, Version: st.Revision.Version, Digest: st.Revision.Digest, Alone: !p.git}
		if p.git {
			beside = append(beside, ChartMount+"="+st.Revision.Digest)
		} else {
			h.Commit = st.Revision.Digest
		}
	}
	for _, name := range p.others {
		st, _ := s.git.State(otherName(app, name))
		whole = whole && st.Revision.Hash != ""
		if st.Err != nil && h.Err == nil {
			h.Err = fmt.Errorf("source %s: %w", name, st.Err)
		}
		h.Others = append(h.Others, pipeline.Other{Name: name, Commit: st.Revision.Hash, Ref: st.Revision.RefName})
		beside = append(beside, name+"="+st.Revision.Hash)
	}
	for _, r := range p.remotes {
		digest, err := s.stateOf(app, r)
		if digest == "" {
			continue // the render says if it needs it
		}
		if err != nil && h.Err == nil && whole {
			h.Err = fmt.Errorf("what a kustomization names: %w", err)
		}
		beside = append(beside, r.name+"="+digest)
	}
	h.Beside = strings.Join(beside, " ")
	if !whole {
		h.At = pipeline.At{}
	}
	return h
}

func headOf(st source.State) pipeline.Head {
	h := pipeline.Head{At: pipeline.At{Commit: st.Revision.Hash}, Ref: st.Revision.RefName, Err: st.Err}
	if h.Commit == "" {
		return h
	}
	h.Date, h.Subject = st.Commit.AuthorDate, st.Commit.Subject
	h.Author = pipeline.Person{Name: st.Commit.AuthorName, Email: st.Commit.AuthorEmail}
	h.Committer = pipeline.Person{Name: st.Commit.CommitterName, Email: st.Commit.CommitterEmail}
	return h
}

// Tree implements [pipeline.Source].
func (s *Sources) Tree(ctx context.Context, app object.App, at pipeline.At) (snapshot.Tree, error) {
	p, _ := s.of(app)
	if now := s.Head(app).At; now != at {
		return nil, &pipeline.MovedError{From: at, To: now}
	}
	var root snapshot.Tree
	if p.git {
		snap, err := s.git.Snapshot(ctx, app.String())
		if err != nil {
			return nil, err
		}
		if snap.Revision.Hash != at.Commit {
			return nil, &pipeline.MovedError{From: at, To: pipeline.At{Commit: snap.Revision.Hash}}
		}
		root = snap.Tree
	}
	mounts, err := s.Mounts(ctx, app)
	if err != nil {
		return nil, err
	}
	// What was read is what was asked for only if nothing moved meanwhile.
	if now := s.Head(app).At; now != at {
		return nil, &pipeline.MovedError{From: at, To: now}
	}
	if len(mounts) == 0 {
		return root, nil
	}
	return mount.New(root, mounts), nil
}

// Mounts are the trees of an App beside that of its repository.
func (s *Sources) Mounts(ctx context.Context, app object.App) (map[string]snapshot.Tree, error) {
	p, _ := s.of(app)
	mounts := map[string]snapshot.Tree{}
	if p.chart {
		tree, _, err := s.charts.Tree(ctx, app.String())
		if err != nil {
			return nil, err
		}
		mounts[ChartMount] = tree
	}
	for _, name := range p.others {
		snap, err := s.git.Snapshot(ctx, otherName(app, name))
		if err != nil {
			return nil, fmt.Errorf("source %s: %w", name, err)
		}
		mounts[name] = snap.Tree
	}
	for _, r := range p.remotes {
		if digest, _ := s.stateOf(app, r); digest == "" {
			continue
		}
		if tree, err := s.treeOf(ctx, app, r); err == nil {
			mounts[r.name] = tree
		}
	}
	return mounts, ctx.Err()
}

// waiter is a look that was asked for.
type waiter interface{ Done() <-chan struct{} }

// Refresh looks at all that an App is made of at once. The channel is closed when
// that is over.
func (s *Sources) Refresh(app object.App) <-chan struct{} {
	p, _ := s.of(app)
	var looks []waiter
	if p.git {
		looks = append(looks, s.git.RefreshApp(app.String()))
	}
	if p.chart {
		looks = append(looks, s.charts.Refresh(app.String()))
	}
	for _, name := range p.others {
		looks = append(looks, s.git.RefreshApp(otherName(app, name)))
	}
	for _, r := range p.remotes {
		looks = append(looks, s.refreshRemote(app, r))
	}
	return all(looks)
}

// RefreshURL looks at once at a repository of either kind, for all Apps.
func (s *Sources) RefreshURL(url string) <-chan struct{} {
	return all([]waiter{s.git.RefreshURL(url), s.charts.RefreshRepo(url)})
}

// RefreshWhere looks at once at everything that any App follows at a URL for which
// at is true, be it a part of the App or something that its kustomizations name.
func (s *Sources) RefreshWhere(at func(url string) bool) <-chan struct{} {
	s.mu.Lock()
	places, files := map[place]bool{}, []string{}
	for app, p := range s.apps {
		for _, one := range p.places {
			places[one] = true
		}
		for _, r := range p.remotes {
			if r.kind != ofFile {
				places[place{r.kind, r.url}] = true
			} else if at(r.url) {
				files = append(files, otherName(app, r.name))
			}
		}
	}
	s.mu.Unlock()
	var looks []waiter
	for one := range places {
		switch {
		case !at(one.url):
		case one.kind == ofChart:
			looks = append(looks, s.charts.RefreshRepo(one.url))
		default:
			looks = append(looks, s.git.RefreshURL(one.url))
		}
	}
	for _, name := range files {
		looks = append(looks, over(s.files.Refresh(name)))
	}
	return all(looks)
}

func all(looks []waiter) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, l := range looks {
			<-l.Done()
		}
	}()
	return done
}
