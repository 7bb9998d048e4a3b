package worker

import (
	"context"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/snapshot"
)

// Options are what a pool is told. A zero field means its default.
type Options struct {
	// Program is started as a worker, and calls [Helper] first; by default the
	// running one.
	Program string
	// Memory is how many bytes one render may take, 512 MiB by default, and
	// Total all together, 768 MiB by default. Both are at most half of what the
	// container has.
	Memory, Total int64
	// Time is how long one render may take, a minute by default.
	Time time.Duration
	// Slow is how long a render may take before its tenant has to stand back,
	// five seconds by default.
	Slow time.Duration
	// Idle is how long a worker is kept for its tenant when it has nothing to
	// do, five minutes by default.
	Idle time.Duration
	// Parallel is how many renders run at a time, by default one more than there
	// are processors, and at most five.
	Parallel int
	// Renders is after how many a worker is replaced, 1,000 by default.
	Renders int
	// Spare keeps one worker started and ready for the next tenant.
	Spare bool
	// Log is told once which bounds are in force, and of every worker that
	// crashed. It may be nil.
	Log *slog.Logger
}

func (o *Options) setDefaults() error {
	set(&o.Memory, 512<<20)
	set(&o.Total, 768<<20)
	if has, bounded := memoryOfContainer(); bounded {
		o.Total = min(o.Total, has/2)
	}
	o.Memory = min(o.Memory, o.Total)
	set(&o.Time, time.Minute)
	set(&o.Slow, 5*time.Second)
	set(&o.Idle, 5*time.Minute)
	set(&o.Parallel, min(runtime.NumCPU()+1, 5))
	set(&o.Renders, 1000)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Program != "" {
		return nil
	}
	var err error
	o.Program, err = program()
	return err
}

func set[T int | int64 | time.Duration](v *T, otherwise T) {
	if *v == 0 {
		*v = otherwise
	}
}

// Pool renders in worker processes. It is safe for concurrent use.
type Pool struct {
	o      Options
	starts chan func() // what the starting thread has to do
	large  chan struct{}

	mu      sync.Mutex
	closed  bool
	ended   chan struct{} // closed by Close
	turns   turns
	idle    []*child            // most recently used last
	working map[*child]struct{} // those that render
	spare   *child
	sparing bool // one is being started
	reaper  *time.Timer
	isolate bool
	bounds  string
	group   sync.WaitGroup // spares that are being started
}

// New returns a pool, and with [Options.Spare] begins to start a worker. Close
// ends it.
func New(o Options) (*Pool, error) {
	if err := o.setDefaults(); err != nil {
		return nil, err
	}
	keepDescriptors()
	p := &Pool{
		o: o, starts: make(chan func()), large: make(chan struct{}, 1), ended: make(chan struct{}),
		working: map[*child]struct{}{}, isolate: canIsolate,
		turns: newTurns(o.Parallel),
	}
	go p.startThread()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.replenish()
	return p, nil
}

// startThread starts processes from a thread that lives until the pool is
// closed: Linux ends a child with the thread that started it.
func (p *Pool) startThread() {
	runtime.LockOSThread()
	for {
		select {
		case start := <-p.starts:
			start()
		case <-p.ended:
			return // and the thread with it
		}
	}
}

// Bounds says what bounds the workers on this platform; it is empty before the
// first has started.
func (p *Pool) Bounds() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bounds
}

// Render gives what render.Render would give in a process of its own, at the
// cost of a process of the tenant's. Renders that must not see each other's
// input have different tenants.
//
// Beside the errors of render.Render there are those that only a process has:
// an [*render.Error] with the reason DeadlineExceeded, RenderOutOfMemory or
// RendererCrashed, whose result has no trace; and a [*BusyError] or a
// [*ShortageError], for which nobody is to blame and which may be gone later.
func (p *Pool) Render(ctx context.Context, tenant string, tree snapshot.Tree, req render.Request) (*render.Result, error) {
	turn, err := p.turn(ctx, tenant)
	if err != nil {
		return &render.Result{}, err
	}
	slow := time.AfterFunc(p.o.Slow, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.turns.slow(turn, time.Now())
	})
	res, bad, err := p.render(ctx, tenant, tree, req)
	slow.Stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.turns.release(turn, bad, time.Now())
	return res, err
}

// turn waits until the tenant may render.
func (p *Pool) turn(ctx context.Context, tenant string) (*turn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, errClosed
	}
	t, err := p.turns.ask(tenant, time.Now())
	p.mu.Unlock()
	if err != nil {
		return nil, err
	}
	select {
	case <-t.decided:
	case <-ctx.Done():
	case <-p.ended:
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if t.err == nil && (!t.running || p.closed || ctx.Err() != nil) {
		p.turns.giveUp(t, time.Now())
		if p.closed {
			return nil, errClosed
		}
		return nil, ctx.Err()
	}
	return t, t.err
}

// render renders in a worker of the tenant. bad tells that the worker had to be
// ended for what the render did.
func (p *Pool) render(ctx context.Context, tenant string, tree snapshot.Tree, req render.Request) (res *render.Result, bad bool, err error) {
	for tries := 1; ; tries++ {
		c, err := p.take(tenant)
		if err != nil {
			return &render.Result{}, false, err
		}
		t := talk{pool: p, child: c, req: req}
		res, err := t.render(ctx, tree)
		p.putBack(c, t.usable)
		if t.began || tries == maxTries || ctx.Err() != nil {
			return res, t.bad, err
		}
		// The worker had died while it was idle: this render is not to blame.
	}
}

// maxTries is in how many workers a render is tried that says nothing.
const maxTries = 3

// take returns a worker of the tenant: one that it had before, the spare, or a
// new one.
func (p *Pool) take(tenant string) (*child, error) {
	p.mu.Lock()
	c := p.ready(tenant)
	p.mu.Unlock()
	if c == nil {
		var err error
		if c, err = p.start(); err != nil {
			return nil, err
		}
	}
	c.tenant = tenant
	c.renders++
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		c.close()
		return nil, errClosed
	}
	p.working[c] = struct{}{}
	drop := p.surplus()
	p.replenish()
	p.mu.Unlock()
	closeAll(drop)
	return c, nil
}

// ready takes a worker that is there.
func (p *Pool) ready(tenant string) *child {
	for i := len(p.idle) - 1; i >= 0; i-- {
		if c := p.idle[i]; c.tenant == tenant {
			p.idle = append(p.idle[:i], p.idle[i+1:]...)
			return c
		}
	}
	c := p.spare
	p.spare = nil
	return c
}

// surplus takes out the idle workers that are too many, the longest idle first.
func (p *Pool) surplus() []*child {
	n := max(0, min(len(p.idle), len(p.idle)+len(p.working)-p.o.Parallel))
	drop := append([]*child(nil), p.idle[:n]...)
	p.idle = append(p.idle[:0], p.idle[n:]...)
	return drop
}

// putBack keeps a worker for its tenant, or ends it.
func (p *Pool) putBack(c *child, usable bool) {
	if usable && c.renders < p.o.Renders && c.why.Load() == nil {
		size, known := anonymous(c.cmd.Process.Pid)
		usable = !known || size <= keptMemory
	} else {
		usable = false
	}
	p.mu.Lock()
	delete(p.working, c)
	if usable && !p.closed {
		c.since = time.Now()
		p.idle = append(p.idle, c)
		p.reapLater()
		c = nil
	}
	drop := p.surplus()
	p.mu.Unlock()
	closeAll(drop)
	if c != nil {
		c.close()
	}
}

// keptMemory is how large a worker may be that is kept. One that has grown more
// is replaced, which is cheaper than to wait for it to shrink.
const keptMemory = 96 << 20

// reapLater sees to it that idle workers end in time.
func (p *Pool) reapLater() {
	if p.reaper == nil && len(p.idle) > 0 {
		p.reaper = time.AfterFunc(p.o.Idle-time.Since(p.idle[0].since), p.reap)
	}
}

// reap ends the workers that were idle for long.
func (p *Pool) reap() {
	p.mu.Lock()
	n := 0
	for n < len(p.idle) && time.Since(p.idle[n].since) >= p.o.Idle {
		n++
	}
	drop := append([]*child(nil), p.idle[:n]...)
	p.idle = append(p.idle[:0], p.idle[n:]...)
	p.reaper = nil
	p.reapLater()
	p.mu.Unlock()
	closeAll(drop)
}

// replenish starts a spare worker if there is none.
func (p *Pool) replenish() {
	if !p.o.Spare || p.closed || p.sparing || p.spare != nil {
		return
	}
	p.sparing = true
	p.group.Go(func() {
		c, err := p.start()
		p.mu.Lock()
		p.sparing = false
		if c != nil && !p.closed {
			p.spare, c = c, nil
		}
		p.mu.Unlock()
		if c != nil {
			c.close()
		}
		if err != nil && err != errClosed {
			p.o.Log.Warn("a process to render in did not start", "error", err)
		}
	})
}

// Close ends every worker. Renders that are running end with an error.
func (p *Pool) Close() {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.closed = true
	close(p.ended)
	if p.reaper != nil {
		p.reaper.Stop()
	}
	drop := p.idle
	p.idle = nil
	if p.spare != nil {
		drop = append(drop, p.spare)
		p.spare = nil
	}
	for c := range p.working {
		c.end(ending{kind: endedByUse}) // its render closes it
	}
	p.mu.Unlock()
	closeAll(drop)
	p.group.Wait()
}

func closeAll(children []*child) {
	for _, c := range children {
		c.close()
	}
}
