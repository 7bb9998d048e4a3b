package chart

import (
	"container/heap"
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

// host is the queue of looks at one host.
type host struct {
	name    string
	groups  int // that look at it
	queue   []*group
	running int
	proven  bool // it answered once
	silent  bool // it did not answer the last look
	inRing  bool
}

// doubted tells that the host may well not answer.
func (x *host) doubted() bool { return x.silent || !x.proven }

// heard takes over what a look says of its host.
func (x *host) heard(err error) {
	var e *Error
	switch {
	case noAnswer(err):
		x.silent = true
		return
	case errors.As(err, &e):
		switch e.Kind {
		case CredentialsInvalid, InsecureTransport, AddressBlocked, CacheFailed:
			return // it was not asked
		}
	case err != nil:
		return
	}
	x.silent, x.proven = false, true
}

// Run looks at the charts until the context ends, and returns when the last
// look is over. It is called once.
func (p *Poller) Run(ctx context.Context) error {
	var looks sync.WaitGroup
	defer p.end()
	defer looks.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		p.mu.Lock()
		p.enqueueDue(time.Now())
		for ctx.Err() == nil {
			g := p.next()
			if g == nil {
				break
			}
			p.begin(ctx, g, &looks)
		}
		names := p.takeChanged()
		var due <-chan time.Time
		if len(p.timers) > 0 {
			timer.Reset(max(0, time.Until(p.timers[0].due)))
			due = timer.C
		}
		p.mu.Unlock()
		if len(names) > 0 {
			p.notify(names)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.wake:
		case <-due:
		}
	}
}

// end lets nobody wait for looks that will not be.
func (p *Poller) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	for _, s := range p.sites {
		for _, g := range s.groups {
			settle(&g.waiting)
		}
	}
}

func (p *Poller) takeChanged() []string {
	names := make([]string, 0, len(p.changed))
	for name := range p.changed {
		names = append(names, name)
	}
	clear(p.changed)
	slices.Sort(names)
	return names
}

// enqueueDue moves groups whose time has come to the queues of their hosts, and
// with them those of the same repository whose time is near: what the Store
// was told for one, it knows for all.
func (p *Poller) enqueueDue(now time.Time) {
	const near = 5 // a fifth of the pause
	for len(p.timers) > 0 && !p.timers[0].due.After(now) {
		g := heap.Pop(&p.timers).(*group)
		p.enqueue(g, false)
		for _, other := range g.site.groups {
			if other.position >= 0 && other.due.Sub(now) <= other.pause/near {
				p.enqueue(other, false)
			}
		}
	}
}

// enqueue puts a group into its host's queue, in front if somebody asked.
func (p *Poller) enqueue(g *group, front bool) {
	if g.gone {
		return
	}
	if g.running {
		g.again = true
		return
	}
	if g.queued {
		if !front {
			return
		}
		g.host.queue = slices.DeleteFunc(g.host.queue, func(other *group) bool { return other == g })
	}
	g.queued = true
	if g.position >= 0 {
		heap.Remove(&p.timers, g.position)
	}
	if front {
		g.host.queue = slices.Insert(g.host.queue, 0, g)
	} else {
		g.host.queue = append(g.host.queue, g)
	}
	if !g.host.inRing {
		g.host.inRing = true
		p.ready = append(p.ready, g.host)
	}
}

// next takes the group whose turn it is, or nil when no slot is free for any.
// Hosts take turns, so that a long queue of one does not delay another.
func (p *Poller) next() *group {
	if p.running >= p.slots {
		return nil
	}
	half := max(1, p.slots/2)
	for range len(p.ready) {
		x := p.ready[0]
		p.ready = p.ready[1:]
		if len(x.queue) == 0 {
			x.inRing = false
			p.sweepHost(x)
			continue
		}
		p.ready = append(p.ready, x)
		if x.running >= half || x.silent && p.silent >= half ||
			x.doubted() && (x.running >= 1 || p.doubted >= max(1, p.slots*3/4)) {
			continue
		}
		g := x.queue[0]
		x.queue = slices.Delete(x.queue, 0, 1)
		g.queued = false
		return g
	}
	return nil
}

func (p *Poller) hostOf(name string) *host {
	if p.hosts[name] == nil {
		p.hosts[name] = &host{name: name}
	}
	return p.hosts[name]
}

// sweepHost forgets a host that nothing looks at any more.
func (p *Poller) sweepHost(x *host) {
	if x.groups == 0 && x.running == 0 && !x.inRing && p.hosts[x.name] == x {
		delete(p.hosts, x.name)
	}
}

// begin starts a look in a goroutine of its own.
func (p *Poller) begin(ctx context.Context, g *group, looks *sync.WaitGroup) {
	l := newLook(g)
	silent, doubted := g.host.silent, g.host.doubted()
	g.running, g.asked = true, false
	g.watching, g.waiting = g.waiting, nil
	g.host.running++
	p.count(1, silent, doubted)
	own, cancel := context.WithCancel(ctx)
	g.cancel = cancel
	looks.Go(func() {
		defer cancel()
		l.run(own, p.store)
		p.mu.Lock()
		p.count(-1, silent, doubted)
		g.host.running--
		g.running = false
		if ctx.Err() == nil {
			p.finish(l)
		}
		settle(&g.watching)
		p.sweepHost(g.host)
		p.mu.Unlock()
		l.log(ctx, p.log)
		p.poke()
	})
}

// count adds to the running looks.
func (p *Poller) count(by int, silent, doubted bool) {
	p.running += by
	if silent {
		p.silent += by
	}
	if doubted {
		p.doubted += by
	}
}

// retime sets the interval of a group anew, and brings its next look forward
// when that became shorter.
func (p *Poller) retime(g *group) {
	shortest := time.Duration(0)
	for d := range g.intervals {
		if shortest == 0 || d < shortest {
			shortest = d
		}
	}
	if shortest == g.interval {
		return
	}
	g.interval = shortest
	if g.position < 0 || g.failures > 0 {
		return
	}
	pause := p.spread(g.interval)
	if due := time.Now().Add(pause); due.Before(g.due) {
		g.pause, g.due = pause, due
		heap.Fix(&p.timers, g.position)
	}
}

// after schedules the next look of a group.
func (p *Poller) after(g *group) {
	if g.gone || g.queued {
		return
	}
	if g.again {
		g.again = false
		p.enqueue(g, g.asked)
		return
	}
	g.pause = g.interval
	switch {
	case g.failures > 0:
		g.pause = p.backoff(g.interval, g.failures)
	case g.failed.times > 0:
		g.pause = min(g.interval, p.backoff(g.interval, g.failed.times))
	}
	g.pause = p.spread(g.pause)
	g.due = time.Now().Add(g.pause)
	heap.Push(&p.timers, g)
}

// backoff is the pause after so many failures. The first ones are short: most
// trouble is.
func (p *Poller) backoff(interval time.Duration, failures int) time.Duration {
	if failures > 20 {
		return p.maxBackoff
	}
	return min(p.maxBackoff, min(interval, 5*time.Second)<<(failures-1))
}

// spread changes a duration by up to a tenth either way.
func (p *Poller) spread(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.9 + 0.2*p.jitter()))
}

// dueHeap orders groups by the time of their next look.
type dueHeap []*group

func (d dueHeap) Len() int           { return len(d) }
func (d dueHeap) Less(i, j int) bool { return d[i].due.Before(d[j].due) }
func (d dueHeap) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].position, d[j].position = i, j
}

// Push adds a *group; see container/heap.
func (d *dueHeap) Push(x any) {
	g := x.(*group)
	g.position = len(*d)
	*d = append(*d, g)
}

// Pop takes the last one; see container/heap.
func (d *dueHeap) Pop() any {
	g := (*d)[len(*d)-1]
	*d = (*d)[:len(*d)-1]
	g.position = -1
	return g
}
