package source

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"abide.dev/abide/internal/source/git"
)

// look is one visit to a remote for a group: a value that carries what was
// known before and what was found, so that nothing is locked meanwhile.
type look struct {
	group  *group
	mirror Mirror
	creds  git.Credentials
	direct bool
	before git.Refs
	bases  map[Ref]string // the commit that each ref was at, "" for none
	// putOff holds what failed lately and is not tried again yet.
	putOff map[Ref]finding

	at    time.Time
	refs  git.Refs
	err   error // of the listing: the remote did not answer, or refused
	found map[Ref]finding
}

type finding struct {
	revision Revision
	commit   git.Commit
	err      error
	tried    bool // the commit was asked for
}

// newLook takes what a look needs. The caller holds h.mu.
func (h *Hub) newLook(g *group) *look {
	l := &look{group: g, mirror: g.mirror, creds: g.creds, before: g.refs, bases: make(map[Ref]string, len(g.follows)), putOff: map[Ref]finding{}}
	now := time.Now()
	l.direct = g.direct && g.listed && g.err == nil
	for ref, f := range g.follows {
		l.bases[ref] = f.state.Revision.Hash
		if f.failed != "" && !g.direct && now.Before(f.retryAt) {
			l.putOff[ref] = finding{revision: Revision{Hash: f.failed}, err: f.state.Err}
		}
		if ref.Tag != "" || ref.Semver != "" || ref.Commit != "" || ref.Name != "" || f.state.Err != nil || f.state.Revision.Hash == "" {
			l.direct = false // the short way serves branches that were there before
		}
	}
	return l
}

func (l *look) run(ctx context.Context) {
	if l.direct && l.fetchDirect(ctx) {
		l.resolve(ctx)
		return
	}
	// A commit can vanish between listing and fetching, when a branch was
	// forced away: then the list is out of date, and is asked for once more.
	for try := 0; try < 2; try++ {
		l.refs, l.err = l.mirror.ListRefs(ctx, l.creds, l.patterns())
		l.at = time.Now()
		if l.err != nil {
			return
		}
		if !l.resolve(ctx) {
			return
		}
	}
}

func (l *look) patterns() []string {
	seen := map[string]bool{}
	for ref := range l.bases {
		for _, p := range ref.patterns() {
			seen[p] = true
		}
	}
	out := make([]string, 0, len(seen))
	for p := range seen {
		out = append(out, p)
	}
	slices.Sort(out)
	return out
}

// fetchDirect asks for the branches by name and takes what they hold, in one
// connection. It sees what HEAD holds, and not which branch HEAD names: a new
// name of the default branch is seen by the next listing. false means that the long way must be taken, also for telling
// what is wrong.
func (l *look) fetchDirect(ctx context.Context) bool {
	hashes, err := l.mirror.FetchRefs(ctx, l.creds, l.patterns())
	if err != nil {
		return false
	}
	l.at = time.Now()
	l.refs = git.Refs{Head: l.before.Head, Hashes: hashes}
	return true
}

// resolve finds the revision of each ref and fetches what is not there. It
// tells whether a listed commit was gone already.
func (l *look) resolve(ctx context.Context) (stale bool) {
	l.found = make(map[Ref]finding, len(l.bases))
	var wants []git.Want
	for ref, base := range l.bases {
		rev, err := Resolve(l.refs, ref)
		if off, ok := l.putOff[ref]; ok && err == nil && off.revision.Hash == rev.Hash && off.err != nil {
			l.found[ref] = finding{revision: rev, err: off.err}
			continue
		}
		l.found[ref] = finding{revision: rev, err: err, tried: err == nil}
		if err == nil && ref.Commit == "" {
			wants = append(wants, git.Want{Hash: rev.Hash, Base: base})
		}
	}
	slices.SortFunc(wants, func(a, b git.Want) int {
		return cmp.Or(cmp.Compare(a.Hash, b.Hash), cmp.Compare(b.Base, a.Base)) // one with a base comes first
	})
	wants = slices.CompactFunc(wants, func(a, b git.Want) bool { return a.Hash == b.Hash })
	failed := l.fetch(ctx, wants)
	for ref, f := range l.found {
		if !f.tried {
			continue
		}
		if ref.Commit != "" {
			f.err = l.mirror.Fetch(ctx, l.creds, git.Want{Hash: f.revision.Hash})
		} else {
			f.err = failed[f.revision.Hash]
			stale = stale || git.IsKind(f.err, git.CommitNotFound)
		}
		if f.err == nil {
			f.commit, f.err = l.mirror.Commit(ctx, f.revision.Hash)
		}
		l.found[ref] = f
	}
	return stale
}

// fetch brings all wants at once; when that fails, each by itself, so that
// one bad commit does not keep the others away.
func (l *look) fetch(ctx context.Context, wants []git.Want) map[string]error {
	err := l.mirror.Fetch(ctx, l.creds, wants...)
	if err == nil {
		return nil
	}
	failed := make(map[string]error, len(wants))
	alone := len(wants) > 1 && !noAnswer(err) && !refused(err)
	for _, w := range wants {
		each := err
		if alone || l.mirror.Has(w.Hash) {
			each = l.mirror.Fetch(ctx, l.creds, w)
		}
		if each != nil {
			failed[w.Hash] = each
		}
	}
	return failed
}

// finish takes over what a look found. The caller holds h.mu.
func (h *Hub) finish(l *look) {
	g := l.group
	if g.gone {
		return
	}
	if g.creds != l.creds { // it answers for credentials that are no longer used
		g.again = true
		h.after(g)
		return
	}
	g.err = l.err
	failed := l.err
	if l.err == nil {
		g.refs, g.listed, g.host.proven = l.refs, true, true
	} else if refused(l.err) {
		g.listed = false
	}
	for ref, f := range g.follows {
		found, ok := l.found[ref]
		switch {
		case l.err != nil:
			found.err = l.err
		case !ok: // it came while the look was on its way
			g.again = true
			continue
		}
		if noAnswer(found.err) { // also in the middle of a fetch
			failed = found.err
		}
		h.record(f, found, l.at)
	}
	g.host.silent = noAnswer(failed)
	if failed != nil {
		g.failures++
		h.log.Info("following a repository", "url", g.key.url, "error", failed, "failures", g.failures)
	} else {
		g.failures = 0
		if g.repair {
			g.repair = false
			for _, f := range g.follows {
				h.tell(f)
			}
		}
	}
	h.after(g)
}

// localPause is the longest pause after a fault of abide's own disk: whoever has
// put that right need not wait as for a host that comes back some time.
const localPause = time.Minute

func local(err error) bool {
	var e interface{ Local() bool }
	return errors.As(err, &e) && e.Local()
}

func noAnswer(err error) bool {
	var e interface{ NoAnswer() bool }
	return errors.As(err, &e) && e.NoAnswer()
}

func refused(err error) bool {
	var r interface{ Refused() bool }
	return errors.As(err, &r) && r.Refused()
}

// record brings a follow's state up to date and marks its Apps if it changed.
func (h *Hub) record(f *follow, found finding, at time.Time) {
	s := f.state
	s.Err = found.err
	if found.err == nil {
		s.Revision, s.Commit, s.ObservedAt = found.revision, found.commit, at
		h.hold(f, found.revision.Hash)
		f.failed, f.failures = "", 0
	} else if found.tried {
		if f.failed != found.revision.Hash {
			f.failed, f.failures = found.revision.Hash, 0
		}
		f.failures++
		pause := h.backoff(f.group.interval, f.failures)
		if local(found.err) {
			pause = min(pause, localPause)
		}
		f.retryAt = at.Add(pause)
	}
	if s.Revision != f.state.Revision || !sameError(s.Err, f.state.Err) {
		h.tell(f)
		if local(s.Err) { // whom it concerns reads the log, and not the App
			h.log.Warn("a repository cannot be fetched", "url", f.group.key.url, "error", s.Err)
		}
	} else if s.Err != nil {
		s.Err = f.state.Err // so that an unchanged state is the same value
	}
	f.state = s
}

func sameError(a, b error) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return git.ReasonOf(a) == git.ReasonOf(b) && a.Error() == b.Error()
}
