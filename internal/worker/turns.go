package worker

import (
	"fmt"
	"slices"
	"time"
)

// probation is how long a tenant whose worker had to be ended stands back, if
// none of its renders succeeds before.
const probation = 10 * time.Minute

// A BusyError says that a tenant has to come again: what it renders takes long,
// or has just broken a worker, and nothing was free at once.
type BusyError struct {
	// Running is how many renders of the tenant are running.
	Running int
}

func (e *BusyError) Error() string {
	if e.Running == 0 {
		return "it is not its turn to be rendered: the last render of this source had to be ended, so others come first; it is tried again"
	}
	return fmt.Sprintf("it is not its turn to be rendered: %d of the same source are being rendered and take long; it is tried again", e.Running)
}

// Reason is fit for a condition.
func (e *BusyError) Reason() string { return "RenderBusy" }

// Later tells that nothing is wrong with what was to be rendered.
func (e *BusyError) Later() bool { return true }

// turns says who may render when. At most so many render at a time, and no
// tenant takes all of them, so that one whose renders hang leaves room for
// others. Among those who wait, the tenant with the fewest running comes first,
// then who came first.
//
// A tenant stands back while one of its renders is slow, and after one of its
// workers had to be ended: its renders run where there is room at once, or not
// at all, so that they hold up none of the caller's goroutines; and of all
// tenants of the second sort only one renders at a time.
//
// It is used under the pool's lock.
type turns struct {
	parallel, perTenant int

	busy     int
	suspects int // of these, how many had to be ended the last time
	tenants  map[string]*tenant
	waiting  []*turn
}

type tenant struct {
	running, slow int
	suspect       time.Time // until when
}

// turn is one render's.
type turn struct {
	tenant  string
	decided chan struct{} // closed when it is running or has an error
	running bool
	err     error
	suspect bool
	slow    bool
}

func newTurns(parallel int) turns {
	return turns{parallel: parallel, perTenant: max(1, parallel-1), tenants: map[string]*tenant{}}
}

// of returns what is known of a tenant, and forgets what no longer matters.
func (s *turns) of(name string, now time.Time) *tenant {
	for n, t := range s.tenants {
		if t.running == 0 && !now.Before(t.suspect) {
			delete(s.tenants, n)
		}
	}
	t := s.tenants[name]
	if t == nil {
		t = &tenant{}
		s.tenants[name] = t
	}
	return t
}

func (s *turns) can(t *tenant, now time.Time) bool {
	return s.busy < s.parallel && t.running < s.perTenant && (!now.Before(t.suspect) || s.suspects == 0)
}

// ask asks for a turn. It is decided at once, or later.
func (s *turns) ask(name string, now time.Time) (*turn, error) {
	t := s.of(name, now)
	q := &turn{tenant: name, decided: make(chan struct{})}
	switch {
	case s.can(t, now):
		s.run(q, t, now)
	case t.slow > 0 || now.Before(t.suspect):
		return nil, &BusyError{t.running}
	default:
		s.waiting = append(s.waiting, q)
	}
	return q, nil
}

func (s *turns) run(q *turn, t *tenant, now time.Time) {
	q.running = true
	s.busy++
	t.running++
	if now.Before(t.suspect) {
		q.suspect = true
		s.suspects++
	}
	close(q.decided)
}

// slow notes that the render of a turn takes long.
func (s *turns) slow(q *turn, now time.Time) {
	if q.running {
		q.slow = true
		t := s.of(q.tenant, now)
		t.slow++
		s.standBack(q.tenant, t)
	}
}

// standBack turns away the renders of a tenant that wait.
func (s *turns) standBack(name string, t *tenant) {
	s.waiting = slices.DeleteFunc(s.waiting, func(q *turn) bool {
		if q.tenant != name {
			return false
		}
		q.err = &BusyError{t.running}
		close(q.decided)
		return true
	})
}

// release ends a turn. bad tells that its worker had to be ended.
func (s *turns) release(q *turn, bad bool, now time.Time) {
	t := s.of(q.tenant, now)
	if bad {
		t.suspect = now.Add(probation)
		s.standBack(q.tenant, t)
	} else {
		t.suspect = time.Time{}
	}
	s.finish(q, t, now)
}

// giveUp takes a turn back that nobody wants any more.
func (s *turns) giveUp(q *turn, now time.Time) {
	if q.running {
		s.finish(q, s.of(q.tenant, now), now)
		return
	}
	s.waiting = slices.DeleteFunc(s.waiting, func(w *turn) bool { return w == q })
}

func (s *turns) finish(q *turn, t *tenant, now time.Time) {
	q.running = false
	s.busy--
	t.running--
	if q.suspect {
		s.suspects--
	}
	if q.slow {
		t.slow--
	}
	for s.next(now) {
	}
}

// next lets the one who waits and should be next render.
func (s *turns) next(now time.Time) bool {
	best, running := -1, 0
	for i, q := range s.waiting {
		t := s.of(q.tenant, now)
		if s.can(t, now) && (best < 0 || t.running < running) {
			best, running = i, t.running
		}
	}
	if best < 0 {
		return false
	}
	q := s.waiting[best]
	s.waiting = slices.Delete(s.waiting, best, best+1)
	s.run(q, s.of(q.tenant, now), now)
	return true
}
