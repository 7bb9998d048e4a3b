package chart

import (
	"context"
	"errors"
	"log/slog"
	"time"
)

// look is one visit for a group: a value that carries what was known before and
// what was found, so that nothing is locked meanwhile.
type look struct {
	group  *group
	ref    Ref
	creds  Credentials
	round  int    // of the credentials
	known  string // the digest that these credentials have fetched, or ""
	failed missed
	asked  bool // what could not be fetched lately is tried all the same

	at       time.Time
	revision Revision
	resolved bool  // there is a revision
	tried    bool  // it was to be fetched
	err      error // of either
	heard    error // the same, but for what was not tried now

	before State // for the log
	told   bool  // the names were
}

// newLook takes what a look needs. The caller holds p.mu.
func newLook(g *group) *look {
	l := &look{group: g, ref: g.ref, creds: g.site.creds, round: g.site.round, failed: g.failed, asked: g.asked}
	if g.accepted {
		l.known = g.state.Revision.Digest
	}
	return l
}

func (l *look) run(ctx context.Context, store Charts) {
	l.revision, l.err = store.Resolve(ctx, l.ref, l.creds)
	l.at, l.heard, l.resolved = time.Now(), l.err, l.err == nil
	digest := l.revision.Digest
	switch {
	case !l.resolved || digest == l.known:
		return
	case digest == l.failed.digest && !l.asked && l.at.Before(l.failed.retryAt):
		l.err = l.failed.err
		return
	}
	_, l.err = store.Fetch(ctx, l.revision, l.creds)
	l.tried, l.heard = true, l.err
}

// finish takes over what a look found. The caller holds p.mu.
func (p *Poller) finish(l *look) {
	g := l.group
	if g.gone {
		return
	}
	if l.round != g.site.round { // it answers for credentials that are no longer used
		g.waiting = append(g.watching, g.waiting...)
		g.watching = nil
		g.again, g.asked = true, len(g.waiting) > 0
		p.after(g)
		return
	}
	g.host.heard(l.heard)
	if !l.resolved && noAnswer(l.err) {
		g.failures++
	} else {
		g.failures = 0
	}
	accepted := g.accepted
	switch {
	case refused(l.err):
		g.accepted = false
	case l.resolved:
		g.accepted = true
	}
	p.record(l)
	if g.accepted != accepted {
		p.othersOf(g)
		l.told = l.told || g.accepted
	}
	if l.told {
		p.tell(g)
	}
	p.after(g)
}

// record brings the state of a group up to date.
func (p *Poller) record(l *look) {
	g := l.group
	l.before = g.state
	switch {
	case l.err == nil:
		g.failed = missed{}
		g.state = State{Revision: l.revision, ObservedAt: l.at}
	case l.tried:
		if g.failed.digest != l.revision.Digest {
			g.failed = missed{digest: l.revision.Digest}
		}
		g.failed.err = l.err
		g.failed.times++
		// The next look may be a little early, and is meant to try it.
		const early = 0.7
		g.failed.retryAt = l.at.Add(time.Duration(early * float64(p.backoff(g.interval, g.failed.times))))
	}
	if !sameError(l.err, l.before.Err) { // so that an unchanged state is the same value
		g.state.Err = l.err
		l.told = true
	}
	l.told = l.told || g.state.Revision.Digest != l.before.Revision.Digest
}

// othersOf looks at the other charts of a repository that has just refused an
// identity, or taken it again: it may do the same for them.
func (p *Poller) othersOf(g *group) {
	for _, other := range g.site.groups {
		if other.running || other.accepted == g.accepted {
			continue
		}
		if other.accepted || refused(other.state.Err) {
			p.enqueue(other, false)
		}
	}
}

// log says what is new.
func (l *look) log(ctx context.Context, log *slog.Logger) {
	if !l.told {
		return
	}
	g := l.group
	log = log.With("repo", g.site.key.repo, "chart", g.key.chart)
	was, is := l.before.Revision, l.revision
	switch {
	case l.err != nil:
		log.LogAttrs(ctx, slog.LevelInfo, "following a chart", slog.String("wanted", l.ref.Version), slog.Any("error", l.err))
	case was.Digest == is.Digest:
		log.LogAttrs(ctx, slog.LevelInfo, "a chart can be read again", slog.String("version", is.Version))
	case g.fixed && was.Digest != "":
		log.LogAttrs(ctx, slog.LevelWarn, "a version of a chart was published again with other content",
			slog.String("version", is.Version), slog.String("digest", is.Digest), slog.String("before", was.Digest))
	default:
		log.LogAttrs(ctx, slog.LevelInfo, "a chart has a new revision",
			slog.String("version", is.Version), slog.String("digest", is.Digest), slog.String("before", was.Version))
	}
}

func noAnswer(err error) bool {
	var e interface{ NoAnswer() bool }
	return errors.As(err, &e) && e.NoAnswer()
}

func refused(err error) bool {
	var r interface{ Refused() bool }
	return errors.As(err, &r) && r.Refused()
}

func reasonOf(err error) string {
	var r interface{ Reason() string }
	if errors.As(err, &r) {
		return r.Reason()
	}
	return ""
}

func sameError(a, b error) bool {
	if a == nil || b == nil {
		return a == nil && b == nil
	}
	return reasonOf(a) == reasonOf(b) && a.Error() == b.Error()
}
