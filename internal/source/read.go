package source

import (
	"context"
	"fmt"

	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/source/git"
)

// Snapshot is the tree of an App's repository at the commit of its State.
type Snapshot struct {
	Tree     snapshot.Tree
	Revision Revision
	Commit   git.Commit
}

// NotListedError says that an App may not read yet, or no longer, what the
// mirror has.
type NotListedError struct {
	App string
	Err error // why its remote was not listed, nil when it was not asked yet
}

func (e *NotListedError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("the repository cannot be read: %v", e.Err)
	}
	return "the repository was not looked at yet with the App's credentials"
}

func (e *NotListedError) Unwrap() error { return e.Err }

// Later tells that it has not been asked yet, and so that nothing is wrong.
func (e *NotListedError) Later() bool { return e.Err == nil }

// Reason is the CamelCase word for a condition.
func (e *NotListedError) Reason() string {
	if e.Err != nil {
		return git.ReasonOf(e.Err)
	}
	return "NotFetchedYet"
}

// Snapshot returns the tree at the App's last good revision. It is an error of
// type [*NotListedError] when the App's own credentials have not listed the
// remote, or were refused. When the mirror is found broken, it is an error of
// kind git.MirrorCorrupt; the Hub then fetches it anew and notifies the App.
func (h *Hub) Snapshot(ctx context.Context, app string) (Snapshot, error) {
	f, s, m, err := h.readable(app)
	if err != nil {
		return Snapshot{}, err
	}
	if !m.Has(s.Revision.Hash) {
		h.repair(f)
		return Snapshot{}, &git.Error{Kind: git.MirrorCorrupt, Problem: "the local mirror lost the commit " + s.Revision.Hash, Hint: "it is being fetched anew"}
	}
	t, err := m.Snapshot(ctx, s.Revision.Hash)
	if git.IsKind(err, git.MirrorCorrupt) {
		h.repair(f)
	}
	if err != nil {
		return Snapshot{}, err
	}
	return Snapshot{Tree: t, Revision: s.Revision, Commit: s.Commit}, nil
}

// ChangedPaths lists what changed for an App from an earlier commit to that of
// its State. A commit that is not in the mirror any more is an error of kind
// git.CommitNotFound: take everything as changed, as for
// git.ErrTooManyChanges.
func (h *Hub) ChangedPaths(ctx context.Context, app, from string) ([]git.Change, error) {
	_, s, m, err := h.readable(app)
	if err != nil {
		return nil, err
	}
	return m.ChangedPaths(ctx, from, s.Revision.Hash)
}

func (h *Hub) readable(app string) (*follow, State, Mirror, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.apps[app]
	switch {
	case f == nil:
		return nil, State{}, nil, &NotListedError{App: app}
	case f.group == nil:
		return nil, State{}, nil, f.state.Err
	case !f.group.listed || f.state.Revision.Hash == "":
		return nil, State{}, nil, &NotListedError{App: app, Err: f.state.Err}
	}
	return f, f.state, f.group.mirror, nil
}

// repair looks at a remote soon, which fetches anew what the mirror lost.
func (h *Hub) repair(f *follow) {
	h.mu.Lock()
	f.group.repair = true
	h.enqueue(f.group, false)
	h.mu.Unlock()
	h.poke()
}
