package worker

import (
	"fmt"
	"strings"
)

// start starts a worker and waits until it is ready. Where the platform gives
// it no namespaces, it does without, from then on.
func (p *Pool) start() (*child, error) {
	p.mu.Lock()
	isolate := p.isolate
	p.mu.Unlock()
	c, err := p.startOnce(isolate)
	var alone error
	if err != nil && err != errClosed && isolate {
		alone, isolate = err, false
		c, err = p.startOnce(false)
	}
	switch {
	case err == errClosed:
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("starting a process to render in: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.isolate = isolate
	if p.bounds == "" {
		p.bounds = describe(c, isolate, alone)
		p.o.Log.Info("workers render within bounds", "memory", p.o.Memory, "time", p.o.Time, "parallel", p.o.Parallel, "bounds", p.bounds)
	}
	return c, nil
}

// startOnce starts a worker from the starting thread.
func (p *Pool) startOnce(isolate bool) (*child, error) {
	type started struct {
		c   *child
		err error
	}
	got := make(chan started, 1)
	job := func() {
		c, err := startChild(p.o.Program, p.o.Memory, isolate)
		got <- started{c, err}
	}
	select {
	case p.starts <- job:
	case <-p.ended:
		return nil, errClosed
	}
	s := <-got
	if s.err != nil {
		return nil, s.err
	}
	if err := s.c.greet(); err != nil {
		s.c.close()
		return nil, err
	}
	return s.c, nil
}

// describe says what bounds a worker.
func describe(c *child, isolated bool, alone error) string {
	in := c.bounds
	switch {
	case isolated:
		in = append([]string{"a network of its own"}, in...)
	case alone != nil:
		in = append([]string{fmt.Sprintf("no network of its own (%v)", alone)}, in...)
	}
	return strings.Join(in, ", ")
}
