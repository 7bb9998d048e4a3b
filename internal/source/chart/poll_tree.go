package chart

import (
	"context"
	"errors"
	"fmt"

	"abide.dev/abide/internal/snapshot"
)

// NotResolvedError says that what is followed under a name may not be read yet,
// or no longer.
type NotResolvedError struct {
	Name string
	Err  error // what is wrong, nil when it was not looked at yet
}

func (e *NotResolvedError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("the chart cannot be read: %v", e.Err)
	}
	return "the chart was not looked at yet with these credentials"
}

func (e *NotResolvedError) Unwrap() error { return e.Err }

// Later tells that it was not looked at yet, and so that nothing is wrong.
func (e *NotResolvedError) Later() bool { return e.Err == nil }

// Reason is the CamelCase word for a condition.
func (e *NotResolvedError) Reason() string {
	if r := reasonOf(e.Err); r != "" {
		return r
	}
	return "NotFetchedYet"
}

// Tree returns the content of the last good revision under a name, and that
// revision, without its URL. It is an error of type [*NotResolvedError] when
// the name is not followed, or the identity was not accepted yet, or was
// refused. Errors of the Store are as they come; where the repository seems to
// have changed, it is looked at at once.
func (p *Poller) Tree(ctx context.Context, name string) (snapshot.Tree, Revision, error) {
	p.mu.Lock()
	f := p.names[name]
	var err error
	switch {
	case f == nil:
		err = &NotResolvedError{Name: name}
	case f.group == nil:
		err = f.err
	case !f.group.accepted || f.group.state.Revision.Digest == "":
		err = &NotResolvedError{Name: name, Err: f.group.state.Err}
	}
	if err != nil {
		p.mu.Unlock()
		return nil, Revision{}, err
	}
	g := f.group
	rev, creds := g.state.Revision, g.site.creds
	p.mu.Unlock()
	tree, err := p.store.Fetch(ctx, rev, creds)
	if err != nil {
		p.doubt(g, err)
		return nil, Revision{}, err
	}
	return tree, rev.shown(), nil
}

// doubt looks at a group soon if the Store's error says that there is something
// else by now. How often the host is asked so is up to the Store.
func (p *Poller) doubt(g *group, err error) {
	var e *Error
	if !errors.As(err, &e) || e.Kind != DigestMismatch && e.Kind != ChartNotFound && !e.Refused() {
		return
	}
	p.mu.Lock()
	p.enqueue(g, false)
	p.mu.Unlock()
	p.poke()
}
