package source

import (
	"container/heap"
	"context"
	"slices"
	"sync"
	"time"

	"abide.dev/abide/internal/source/git"
)

// Run looks at the remotes until the context ends, and returns when the last
// look is over. It is called once.
func (h *Hub) Run(ctx context.Context) error {
	var looks sync.WaitGroup
	defer looks.Wait()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		h.mu.Lock()
		h.enqueueDue(time.Now())
		for ctx.Err() == nil {
			g := h.next()
			if g == nil {
				break
			}
			h.begin(ctx, g, &looks)
		}
		apps := h.takeChanged()
		pause := time.Duration(-1)
		if len(h.timers) > 0 {
			pause = max(0, time.Until(h.timers[0].due))
		}
		h.mu.Unlock()
		if len(apps) > 0 {
			h.notify(apps)
		}
		var due <-chan time.Time
		if pause >= 0 {
			timer.Reset(pause)
			due = timer.C
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-h.wake:
		case <-due:
		}
	}
}

func (h *Hub) takeChanged() []string {
	apps := make([]string, 0, len(h.changed))
	for app := range h.changed {
		apps = append(apps, app)
	}
	clear(h.changed)
	slices.Sort(apps)
	return apps
}

// enqueueDue moves groups whose time has come to the queues of their hosts.
func (h *Hub) enqueueDue(now time.Time) {
	for len(h.timers) > 0 && !h.timers[0].due.After(now) {
		h.enqueue(heap.Pop(&h.timers).(*group), false)
	}
}

// enqueue puts a group into its host's queue, in front if it was announced.
func (h *Hub) enqueue(g *group, front bool) {
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
		heap.Remove(&h.timers, g.position)
	}
	if front {
		g.host.queue = slices.Insert(g.host.queue, 0, g)
	} else {
		g.host.queue = append(g.host.queue, g)
	}
	if !g.host.inRing {
		g.host.inRing = true
		h.ready = append(h.ready, g.host)
	}
}

// next takes the group whose turn it is, or nil when no slot is free for any.
// Hosts take turns, so that a long queue of one does not delay another.
func (h *Hub) next() *group {
	if h.running >= h.slots {
		return nil
	}
	half := max(1, h.slots/2)
	for range len(h.ready) {
		host := h.ready[0]
		h.ready = h.ready[1:]
		if len(host.queue) == 0 {
			host.inRing = false
			h.sweepHost(host)
			continue
		}
		h.ready = append(h.ready, host)
		if host.running >= half || host.silent && (h.silent >= half || host.running >= 1) ||
			host.doubted() && h.doubted >= max(1, h.slots*3/4) {
			continue
		}
		if g := host.take(h.behind < half && host.behind < max(1, half/2)); g != nil {
			return g
		}
	}
	return nil
}

// behindTurn is which turn of a host is one for what is behind others, so that
// it comes about however many the others are.
const behindTurn = 4

// take takes the group whose turn it is out of the queue; nil if there is none
// but what is behind others, and that may not.
func (x *host) take(mayBehind bool) *group {
	i := slices.IndexFunc(x.queue, func(g *group) bool { return len(g.ahead) > 0 })
	if mayBehind && (i < 0 || x.turns >= behindTurn-1) {
		if j := slices.IndexFunc(x.queue, func(g *group) bool { return len(g.ahead) == 0 }); j >= 0 {
			i = j
		}
	}
	if i < 0 {
		return nil
	}
	g := x.queue[i]
	x.queue = slices.Delete(x.queue, i, i+1)
	if x.turns++; len(g.ahead) == 0 {
		x.turns = 0
	}
	g.queued = false
	return g
}

// doubted tells that the host may well not answer.
func (x *host) doubted() bool { return x.silent || !x.proven }

func count(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (h *Hub) hostOf(u git.URL) *host {
	name := u.Host()
	if h.hosts[name] == nil {
		h.hosts[name] = &host{name: name}
	}
	return h.hosts[name]
}

// sweepHost forgets a host that nothing points to any more.
func (h *Hub) sweepHost(x *host) {
	if x.running > 0 || len(x.queue) > 0 || x.inRing {
		return
	}
	for _, g := range h.groups {
		if g.host == x {
			return
		}
	}
	if h.hosts[x.name] == x {
		delete(h.hosts, x.name)
	}
}

// begin starts a look in a goroutine of its own.
func (h *Hub) begin(ctx context.Context, g *group, looks *sync.WaitGroup) {
	l := h.newLook(g)
	silent, doubted, behind := g.host.silent, g.host.doubted(), len(g.ahead) == 0
	g.running = true
	g.watching, g.waiting = g.waiting, nil
	g.direct = false
	g.host.running++
	g.host.behind += count(behind)
	h.running++
	h.behind += count(behind)
	h.silent += count(silent)
	h.doubted += count(doubted)
	looks.Go(func() {
		l.run(ctx)
		h.mu.Lock()
		defer h.mu.Unlock()
		h.running--
		h.behind -= count(behind)
		g.host.running--
		g.host.behind -= count(behind)
		h.silent -= count(silent)
		h.doubted -= count(doubted)
		g.running = false
		if ctx.Err() == nil {
			h.finish(l)
		}
		settle(&g.watching)
		h.sweepHost(g.host)
		h.poke()
	})
}

// retime sets the interval of a group anew, and brings its next look forward
// when that became shorter.
func (h *Hub) retime(g *group) {
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
	if g.position >= 0 && g.failures == 0 {
		if due := time.Now().Add(h.spread(g.interval)); due.Before(g.due) {
			g.due = due
			heap.Fix(&h.timers, g.position)
		}
	}
}

// after schedules the next look of a group.
func (h *Hub) after(g *group) {
	if g.gone || g.queued {
		return
	}
	if g.again {
		g.again = false
		h.enqueue(g, g.direct)
		return
	}
	d := g.interval
	if g.failures > 0 {
		d = h.backoff(g.interval, g.failures)
	}
	for _, f := range g.follows { // a long interval is for what is there
		if f.failed != "" {
			d = min(d, max(time.Until(f.retryAt), h.interval))
		}
	}
	g.due = time.Now().Add(h.spread(d))
	heap.Push(&h.timers, g)
}

// backoff is the pause after so many failures. The first ones are short: most
// trouble is.
func (h *Hub) backoff(interval time.Duration, failures int) time.Duration {
	if failures > 20 {
		return h.maxBackoff
	}
	return min(h.maxBackoff, min(interval, 5*time.Second)<<(failures-1))
}

// spread changes a duration by up to a tenth either way.
func (h *Hub) spread(d time.Duration) time.Duration {
	return time.Duration(float64(d) * (0.9 + 0.2*h.jitter()))
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
