package controller

import (
	"context"
	"log/slog"
	"sync"

	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/source"
	"abide.dev/abide/internal/source/git"
)

// Moves decides, when a ref moves, which of the Apps that follow it have to run:
// those whose render had looked at something that the commits changed. All
// others stand at the new commit without a run; a commit to a repository that
// ten thousand Apps share costs one comparison of two trees.
type Moves struct {
	Hub   MovedSource
	Apps  Advancer
	Index *render.Index[object.App]
	Log   *slog.Logger

	mu      sync.Mutex
	pending map[object.App]bool
	signal  chan struct{}
}

// MovedSource is what Moves needs of the hub.
type MovedSource interface {
	State(app string) (source.State, bool)
	// ChangedPaths lists where the tree at a commit differs from that at the
	// App's state.
	ChangedPaths(ctx context.Context, app, from string) ([]git.Change, error)
}

// Advancer is what Moves does with an App.
type Advancer interface {
	// Steady returns the commit at which the App stands with nothing left to do;
	// empty if that can't be said.
	Steady(app object.App) string
	// Advance has a steady App stand at another commit that changes nothing of
	// it. It returns false if the App has to run instead.
	Advance(app object.App, from, to, ref string) bool
	// Run has the App run soon.
	Run(app object.App)
}

// NewMoves returns moves without a hub, which has to be set before the first
// call.
func NewMoves(apps Advancer, index *render.Index[object.App], log *slog.Logger) *Moves {
	return &Moves{Apps: apps, Index: index, Log: log, pending: map[object.App]bool{}, signal: make(chan struct{}, 1)}
}

// Moved takes the Apps, as the hub names them, whose state has changed. It does
// not block.
func (m *Moves) Moved(names []string) {
	m.mu.Lock()
	for _, n := range names {
		if app, ok := object.ParseApp(n); ok {
			m.pending[app] = true
		}
	}
	m.mu.Unlock()
	select {
	case m.signal <- struct{}{}:
	default:
	}
}

// Start works until ctx ends.
func (m *Moves) Start(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-m.signal:
		}
		m.mu.Lock()
		apps := m.pending
		m.pending = map[object.App]bool{}
		m.mu.Unlock()
		m.settle(ctx, apps)
	}
}

// move is a way from one commit to another that some Apps go together.
type move struct{ from, to, ref string }

// settle has each App run or advance.
func (m *Moves) settle(ctx context.Context, apps map[object.App]bool) {
	groups := map[move][]object.App{}
	for app := range apps {
		st, known := m.Hub.State(app.String())
		from := m.Apps.Steady(app)
		if !known || st.Err != nil || from == "" || from == st.Revision.Hash {
			m.Apps.Run(app)
			continue
		}
		g := move{from, st.Revision.Hash, st.Revision.RefName}
		groups[g] = append(groups[g], app)
	}
	for g, members := range groups {
		concerned, ok := m.concerned(ctx, g, members[0])
		var rest []object.App
		for _, app := range members {
			if !ok || concerned[app] {
				m.Apps.Run(app) // these first: somebody waits for them
			} else {
				rest = append(rest, app)
			}
		}
		for _, app := range rest {
			if !m.Apps.Advance(app, g.from, g.to, g.ref) {
				m.Apps.Run(app)
			}
		}
	}
}

// concerned returns the Apps that the commits of a move can concern; ok is false
// if that can't be told.
func (m *Moves) concerned(ctx context.Context, g move, member object.App) (map[object.App]bool, bool) {
	diff, err := m.Hub.ChangedPaths(ctx, member.String(), g.from)
	if err != nil {
		m.Log.Debug("two commits can't be compared; every App that follows the ref runs", "from", g.from, "to", g.to, "error", err)
		return nil, false
	}
	if st, known := m.Hub.State(member.String()); !known || st.Revision.Hash != g.to {
		return nil, false // moved on meanwhile
	}
	changes := make([]render.Changed, len(diff))
	for i := range diff {
		changes[i] = render.Changed{Path: diff[i].Path, Listing: listing(diff[i].From, diff[i].To), Top: diff[i].Top}
	}
	return m.Index.Concerned(changes), true
}

func listing(from, to snapshot.Entry) bool { return from.Kind != to.Kind }
