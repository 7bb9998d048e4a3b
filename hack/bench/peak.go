package main

import (
	"context"
	"sync"
	"time"
)

// peak keeps the highest memory that was seen of a process and those below it.
type peak struct {
	mu   sync.Mutex
	seen int64
}

func (p *peak) note(bytes int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = max(p.seen, bytes)
}

func (p *peak) bytes() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen
}

// sampling is often enough to see a git that runs for a few of them, and rare
// enough to cost no more than a percent of a core.
const sampling = 100 * time.Millisecond

// watch samples until ctx or the process ends.
func (p *peak) watch(ctx context.Context, of *process) {
	tick := time.NewTicker(sampling)
	defer tick.Stop()
	for {
		if u, err := usageOf(of.pid(), nil); err == nil { // or it has just ended
			p.note(u.memory)
		}
		select {
		case <-tick.C:
		case <-of.exited:
			return
		case <-ctx.Done():
			return
		}
	}
}
