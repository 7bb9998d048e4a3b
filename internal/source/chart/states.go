package chart

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// state is what the Store knows of one repository as one set of credentials
// sees it.
type state struct {
	id   string // of repository and credentials
	repo string
	cost atomic.Int64 // of the index and what was read of it

	mu      sync.Mutex
	round   int // how often the answers were expired
	indexed int // the round that index is of
	index   *index
	charts  map[string][]offer  // of index, those that were asked for
	answers map[string]answer   // by what was asked
	shown   map[string]struct{} // the digests that the repository gave these credentials
	hashed  map[string]string   // the digests of archives that index names without, by URL
}

// answer is what a host said, good or bad.
type answer struct {
	at    time.Time
	value any
	err   error
}

const (
	// maxAnswers and maxShown bound a state; what is dropped is asked for again.
	maxAnswers = 1000
	maxShown   = 10_000
	// maxStates and maxCost bound all of them. The cost is the number of charts
	// and versions that are held, of some hundred bytes each.
	maxStates = 2000
	maxCost   = 1_000_000
)

// states holds the states last used.
type states struct {
	mu    sync.Mutex
	order *list.List // of *state, last used in front
	byID  map[string]*list.Element
}

func newStates() *states { return &states{order: list.New(), byID: map[string]*list.Element{}} }

// get returns the state of an id, made when there is none.
func (s *states) get(id, repo string) *state {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.byID[id]; e != nil {
		s.order.MoveToFront(e)
		return e.Value.(*state)
	}
	st := &state{id: id, repo: repo}
	s.byID[id] = s.order.PushFront(st)
	s.trim()
	return st
}

// grew drops what there is no room for any longer, after a state took more.
func (s *states) grew() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trim()
}

// trim drops what was not used for the longest. The caller holds s.mu.
func (s *states) trim() {
	count, held := 0, int64(0)
	for e := s.order.Front(); e != nil; {
		next := e.Next()
		st := e.Value.(*state)
		count++
		held += st.cost.Load()
		if (count > maxStates || held > maxCost) && e != s.order.Front() {
			s.order.Remove(e)
			delete(s.byID, st.id)
		}
		e = next
	}
}

// each calls do for all states of a repository.
func (s *states) each(repo string, do func(*state)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for e := s.order.Front(); e != nil; e = e.Next() {
		if st := e.Value.(*state); st.repo == repo {
			do(st)
		}
	}
}

// fresh returns the answer to a question if it is not too old, and else the
// round that an answer is asked for in.
func (st *state) fresh(key string, now time.Time, age time.Duration) (a answer, round int, ok bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	a, ok = st.answers[key]
	return a, st.round, ok && age > 0 && now.Sub(a.at) < age
}

// heard notes an answer, unless its round is over. A refusal ends what the
// credentials could read, whatever the round.
func (st *state) heard(key string, round int, a answer) {
	st.mu.Lock()
	defer st.mu.Unlock()
	var r interface{ Refused() bool }
	if errors.As(a.err, &r) && r.Refused() {
		st.shown = nil
	}
	if round != st.round {
		return
	}
	if st.answers == nil || len(st.answers) >= maxAnswers {
		st.answers = map[string]answer{}
	}
	st.answers[key] = a
}

// expire begins a new round: no answer of those before counts.
func (st *state) expire() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.answers = nil
	st.round++
}

// show notes that the repository gave the credentials a digest.
func (st *state) show(digest string) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.shown == nil || len(st.shown) >= maxShown {
		st.shown = map[string]struct{}{}
	}
	st.shown[digest] = struct{}{}
}

func (st *state) wasShown(digest string) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	_, ok := st.shown[digest]
	return ok
}

// setIndex takes an index, and forgets what was read of another before. It
// returns the one that counts from now on, which is that of a later round if
// there is one: an answer that took long does not undo a newer one.
func (st *state) setIndex(i *index, round int) *index {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.index != nil && st.indexed > round {
		return st.index
	}
	st.indexed = round
	if st.index == i {
		return i
	}
	st.index, st.charts, st.hashed = i, nil, nil
	cost := len(i.spans)
	for _, o := range i.whole {
		cost += 1 + len(o)
	}
	st.cost.Store(int64(cost))
	return i
}

// dropIndex forgets the index, and expires what was answered.
func (st *state) dropIndex() {
	st.expire()
	st.mu.Lock()
	defer st.mu.Unlock()
	st.index, st.charts, st.hashed = nil, nil, nil
	st.cost.Store(0)
}

// setChart keeps what was read of an index, if that is still the index.
func (st *state) setChart(i *index, name string, offers []offer) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.index != i {
		return
	}
	if st.charts == nil {
		st.charts = map[string][]offer{}
	}
	st.charts[name] = offers
	st.cost.Add(int64(len(offers)))
}

// chart returns what was read of the index.
func (st *state) chart(name string) (*index, []offer, bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.index == nil {
		return nil, nil, false
	}
	if st.index.spans == nil {
		return st.index, st.index.whole[name], true
	}
	offers, ok := st.charts[name]
	return st.index, offers, ok
}

// ask returns the fresh answer to a question, or gets one; who asks at the same
// time shares it. Who asks after an expiry shares none that was asked for before.
func (s *Store) ask(ctx context.Context, st *state, key string, limit time.Duration, work func(context.Context, int) (any, error)) (any, error) {
	a, round, ok := st.fresh(key, s.now(), s.freshFor)
	if ok {
		return a.value, a.err
	}
	return s.flights.do(ctx, fmt.Sprintf("%s %d %s", st.id, round, key), limit, func(ctx context.Context) (any, error) {
		// Who shared the work may have had the answer since.
		if a, now, ok := st.fresh(key, s.now(), s.freshFor); ok && now == round {
			return a.value, a.err
		}
		value, err := work(ctx, round)
		if ctx.Err() == nil || errors.Is(context.Cause(ctx), errTime) { // else nobody waits for it any longer
			st.heard(key, round, answer{s.now(), value, err})
		}
		return value, err
	})
}
