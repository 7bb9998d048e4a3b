package worker

import "time"

// watch ends a worker that takes too much memory, until over is closed.
func (p *Pool) watch(c *child, over <-chan struct{}) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-over:
			return
		case <-c.dead:
			return
		case <-tick.C:
		}
		size, known := anonymous(c.cmd.Process.Pid)
		if !known {
			return
		}
		c.size.Store(size)
		switch {
		case size > p.o.Memory:
			c.end(ending{endedByMemory, size})
		case p.largest(c):
			c.end(ending{endedByTotal, size})
		}
	}
}

// largest tells whether all workers that render take too much together, and c
// the most of them.
func (p *Pool) largest(c *child) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	var sum, most int64
	for w := range p.working {
		sum += w.size.Load()
		most = max(most, w.size.Load())
	}
	return sum > p.o.Total && c.size.Load() == most
}
