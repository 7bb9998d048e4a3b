package pipeline

import (
	"math/rand/v2"
	"time"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/plan"
)

// memory is what is kept of an App between its runs. Runs of one App do not
// overlap, and Advance is not called during one, so it needs no lock.
type memory struct {
	desired *desiredState
	tries   tries
	// kindWaits counts the looks for a kind whose definition was just applied.
	kindWaits int
	contests  map[object.Key]*contest
	// left are objects that are only to be created, and were there before.
	left map[object.Key]plan.Fact
	// approved is the plan that was last let through.
	approved approval
	// through is the desired hash that was last let through by what it depends on.
	through string
	// release is the newest release, as far as it is known; unwritten are those
	// whose records are behind.
	release   *v1alpha1.ReleaseSpec
	unwritten []*v1alpha1.ReleaseSpec
	// started are the runs of hooks that this process has created, by their release.
	started map[object.Key]int64
	// superseded is the release whose hooks may be let finish.
	superseded *v1alpha1.ReleaseSpec
	// number is the highest that was given to a release.
	number int64
	// rejected is the digest of a plan that was noted as rejected.
	rejected string
	// now is what the last run that got so far wanted.
	now *desiredState
	// pinned is what the App is held at.
	pinned       *desiredState
	pinnedTo     int64
	pinnedSource v1alpha1.SourceStatus
	// leaving is what a deleted App wants: its last hooks.
	leaving *desiredState
	// identityAt is when the App's ServiceAccount was last seen to exist.
	identityAt time.Time
}

// approval is an approved plan: its digest, and the objects that it had to be
// asked about.
type approval struct {
	digest  string
	objects map[object.Key]bool
}

func (p *Pipeline) memory(app object.App) *memory {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.memories == nil {
		p.memories = map[object.App]*memory{}
	}
	m := p.memories[app]
	if m == nil {
		m = &memory{contests: map[object.Key]*contest{}, left: map[object.Key]plan.Fact{}, started: map[object.Key]int64{}}
		p.memories[app] = m
	}
	return m
}

// The bounds of the time between two tries of a run that failed.
const (
	firstRetry = time.Second
	lastRetry  = 5 * time.Minute
)

// tries are those of a run that failed, one after the other.
type tries struct {
	failed int
	due    time.Time // when the next one is
}

// backoff counts a failure and returns when to try again: twice as long each
// time, and up to a fifth more so that Apps that failed together do not come
// back together. A run that something else has woken before it was due, and that
// failed as well, is none of the tries: during an outage there are many.
func (t *tries) backoff(now time.Time) time.Duration {
	if left := t.due.Sub(now); left > 0 && left <= 2*lastRetry {
		return left
	}
	d := min(firstRetry<<min(t.failed, 16), lastRetry)
	d += rand.N(d / 5)
	t.failed++
	t.due = now.Add(d)
	return d
}

// contest is the history of one object that is healed over and over.
type contest struct {
	heals int
	last  time.Time
	by    string
}

const (
	// contestAfter is the number of heals of one object, each soon after the one
	// before, after which the next one has to wait.
	contestAfter = 3
	contestFirst = 10 * time.Second
	contestLast  = 10 * time.Minute
	// contestForget is how long an object has to stay healed to be forgiven.
	contestForget = 20 * time.Minute
)

// healed notes a heal of an object.
func (m *memory) healed(k object.Key, now time.Time, by string) {
	c := m.contests[k]
	if c == nil || now.Sub(c.last) > contestForget {
		c = &contest{}
		m.contests[k] = c
	}
	c.heals++
	c.last, c.by = now, by
}

// contested returns how long an object has to wait for its next heal, and who
// keeps changing it.
func (m *memory) contested(k object.Key, now time.Time) (wait time.Duration, by string, heals int) {
	c := m.contests[k]
	if c == nil || c.heals < contestAfter {
		return 0, "", 0
	}
	if now.Sub(c.last) > contestForget {
		delete(m.contests, k)
		return 0, "", 0
	}
	if now.Before(c.last) {
		c.last = now // the clock was put back: nobody waits for it to catch up
	}
	d := min(contestFirst<<min(c.heals-contestAfter, 10), contestLast)
	return c.last.Add(d).Sub(now), c.by, c.heals
}
