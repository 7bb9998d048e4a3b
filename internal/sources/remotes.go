package sources

import (
	"context"
	"slices"
	"strings"

	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/source"
	"abide.dev/abide/internal/source/chart"
	"abide.dev/abide/internal/source/file"
)

// Remote is something that a kustomization names and that is elsewhere. One of
// Git, File and Chart is set.
type Remote struct {
	// Name is that of its mount.
	Name  string
	Git   *source.Want
	File  *file.Want
	Chart *chart.Want
}

// part is a Remote that is followed.
type part struct {
	name string
	kind kind
}

type kind int

const (
	ofGit kind = iota
	ofFile
	ofChart
)

func (r Remote) part() part {
	switch {
	case r.File != nil:
		return part{r.Name, ofFile}
	case r.Chart != nil:
		return part{r.Name, ofChart}
	}
	return part{r.Name, ofGit}
}

// FollowRemotes follows what the kustomizations of an App name, in place of what
// was followed of that before. All else that it is made of stays.
func (s *Sources) FollowRemotes(app object.App, list []Remote) {
	now := s.followRemotes(app, list)
	s.mu.Lock()
	p, ok := s.apps[app]
	before := p.remotes
	if p.remotes = now; ok {
		s.apps[app] = p
	}
	s.mu.Unlock()
	if !ok { // it was forgotten meanwhile
		before, now = now, nil
	}
	s.leaveRemotes(app, before, now)
}

func (s *Sources) followRemotes(app object.App, list []Remote) []part {
	var out []part
	for _, r := range list {
		name := otherName(app, r.Name)
		switch p := r.part(); p.kind {
		case ofFile:
			s.files.Follow(name, *r.File)
		case ofChart:
			s.charts.Follow(name, *r.Chart)
		case ofGit:
			s.git.Follow(name, *r.Git)
		}
		out = append(out, r.part())
	}
	slices.SortFunc(out, func(a, b part) int { return strings.Compare(a.name, b.name) })
	return out
}

func (s *Sources) leaveRemotes(app object.App, before, now []part) {
	for _, r := range before {
		if slices.Contains(now, r) {
			continue
		}
		name := otherName(app, r.name)
		switch r.kind {
		case ofFile:
			s.files.Forget(name)
		case ofChart:
			s.charts.Forget(name)
		case ofGit:
			s.git.Forget(name)
		}
	}
}

// RemoteErr is why what a kustomization names is not there; nil if it is, or if
// it is on its way.
func (s *Sources) RemoteErr(app object.App, name string) error {
	p, _ := s.of(app)
	for _, r := range p.remotes {
		if digest, err := s.stateOf(app, r); r.name == name && digest == "" {
			return err
		}
	}
	return nil
}

// stateOf returns where a part stands, "" before it has been seen.
func (s *Sources) stateOf(app object.App, r part) (digest string, err error) {
	name := otherName(app, r.name)
	switch r.kind {
	case ofFile:
		st, _ := s.files.State(name)
		return st.Digest, st.Err
	case ofChart:
		st, _ := s.charts.State(name)
		return st.Revision.Digest, st.Err
	case ofGit:
	}
	st, _ := s.git.State(name)
	return st.Revision.Hash, st.Err
}

func (s *Sources) treeOf(ctx context.Context, app object.App, r part) (snapshot.Tree, error) {
	name := otherName(app, r.name)
	switch r.kind {
	case ofFile:
		tree, _, err := s.files.Tree(name)
		return tree, err
	case ofChart:
		tree, _, err := s.charts.Tree(ctx, name)
		return tree, err
	case ofGit:
	}
	snap, err := s.git.Snapshot(ctx, name)
	return snap.Tree, err
}

func (s *Sources) refreshRemote(app object.App, r part) waiter {
	name := otherName(app, r.name)
	switch r.kind {
	case ofFile:
		return over(s.files.Refresh(name))
	case ofChart:
		return s.charts.Refresh(name)
	case ofGit:
	}
	return s.git.RefreshApp(name)
}

// over is a look that is over when the channel is closed.
type over <-chan struct{}

// Done implements waiter.
func (o over) Done() <-chan struct{} { return o }
