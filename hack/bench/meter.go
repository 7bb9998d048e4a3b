package main

import (
	"time"
)

// cost is what one moment cost.
type cost struct {
	took     time.Duration
	requests tally
	abide    usage         // processor time within the moment, memory at its end
	server   time.Duration // processor time of the API server and etcd
}

// meter reads costs between two moments.
type meter struct {
	audit      *auditLog
	controller *controller
	sandbox    *sandbox

	began    time.Time
	requests int
	abide    usage
	server   usage
}

// begin starts anew: after a restart of the controller the times of its process
// begin at zero.
func (m *meter) begin(anew bool) error {
	var err error
	m.began = time.Now()
	if m.requests, err = m.audit.read(); err != nil {
		return err
	}
	if m.server, err = m.sandbox.server(); err != nil {
		return err
	}
	m.abide = usage{}
	if !anew {
		m.abide, err = usageOf(m.controller.pid(), nil)
	}
	return err
}

// end returns the costs since the beginning.
func (m *meter) end() (cost, error) {
	c := cost{took: time.Since(m.began)}
	abide, err := usageOf(m.controller.pid(), nil)
	if err != nil {
		return c, err
	}
	server, err := m.sandbox.server()
	if err != nil {
		return c, err
	}
	n, err := m.audit.read()
	if err != nil {
		return c, err
	}
	c.requests = m.audit.requests[m.requests:n]
	c.abide = usage{own: abide.own - m.abide.own, below: abide.below - m.abide.below, memory: abide.memory}
	c.server = server.processor() - m.server.processor()
	return c, nil
}
