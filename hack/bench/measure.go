package main

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/dynamic"
)

// result is what one scenario cost.
type result struct {
	scenario scenario

	lastObject, synced, ready time.Duration // of the first sync, from the first App made
	created                   time.Duration // until the last App was made
	converging                cost          // until all Apps were Ready
	first                     cost          // until nothing was written any more

	idle    cost
	foreign cost // foreignEvents events that are not drift

	live    []time.Duration // commit to live, one object of one App
	commits cost            // all of them together
	nothing []time.Duration // commits that touch nothing, until all Apps are judged
	untouch cost            // all of them together

	changed, deleted []time.Duration // drift to healed
	drift            cost            // all of them together, the records included

	restart      cost          // nothing changed
	restartQuiet time.Duration // until the last request
	restartHeal  time.Duration // of a drift made while abide was down, from the start

	peak, serverPeak int64
	others           int // percent of the machine that other programs took
	yard             yardsticks
}

func (r *result) drifts() int { return len(r.changed) + len(r.deleted) }

// yardsticks are what bare clients took.
type yardsticks struct {
	same, applies bare            // a first sync
	fetches       []time.Duration // one git fetch
	writes        []time.Duration // dry run, apply, record
	applied       []time.Duration // the apply of those alone
}

// bench is one scenario that is being measured.
type bench struct {
	*result
	repo       *repository
	sandbox    *sandbox
	controller *controller
	fleet      *fleet
	meter      *meter
	bare       *bareClient
	peakAbide  peak
	profiles   string
}

// measure runs one scenario in a sandbox of its own.
func measure(ctx context.Context, o options, s scenario) (result, error) {
	r := result{scenario: s}
	dir, err := os.MkdirTemp("", "abide-bench-")
	if err != nil {
		return r, err
	}
	if o.keep {
		note("  kept in %s", dir)
	} else {
		defer os.RemoveAll(dir)
	}
	b := &bench{result: &r, profiles: o.profiles}
	if b.repo, err = newRepository(ctx, dir, s); err != nil {
		return r, err
	}
	defer b.repo.close()
	if b.sandbox, err = startSandbox(ctx, o.bin, dir); err != nil {
		return r, err
	}
	defer b.sandbox.stop()
	if err := b.connect(ctx, o, dir); err != nil {
		return r, err
	}
	if err := b.fleet.prepare(ctx, b.sandbox.process); err != nil {
		return r, err
	}
	before, err := newOthers()
	if err != nil {
		return r, err
	}
	var serverPeak peak
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go serverPeak.watch(ctx, b.sandbox.process)
	err = b.moments(ctx)
	r.peak, r.serverPeak = b.peakAbide.bytes(), serverPeak.bytes()
	if err != nil {
		return r, err
	}
	after, err := newOthers()
	r.others = after.percent(before)
	return r, err
}

func (b *bench) connect(ctx context.Context, o options, dir string) error {
	admin, err := dynamic.NewForConfig(b.sandbox.admin)
	if err != nil {
		return err
	}
	b.fleet = &fleet{client: admin, url: b.repo.url, s: b.scenario}
	if b.controller, err = newController(ctx, o, dir, b.sandbox); err != nil {
		return err
	}
	b.meter = &meter{audit: &auditLog{file: b.sandbox.audit}, controller: b.controller, sandbox: b.sandbox}
	b.bare, err = newBareClient(b.sandbox.admin, b.fleet, filepath.Join(dir, "yardstick.git"))
	return err
}

// moments measures everything, in an order in which no moment disturbs the next.
func (b *bench) moments(ctx context.Context) error {
	steps := []struct {
		name string
		run  func(context.Context) error
	}{
		{"how parallel a bare client is fastest", b.sweep},
		{"first sync", b.firstSync},
		{"idle", b.beIdle},
		{"events that are not drift", b.foreignEvents},
		{"commits", b.followCommits},
		{"commits that touch nothing", b.followNothing},
		{"drift", b.healDrift},
		{"restart", b.restartUnchanged},
		{"restart after a drift", b.restartDrifted},
		{"first sync by a bare client", b.bareFirstSync},
	}
	for _, s := range steps {
		note("  %s", s.name)
		if err := s.run(ctx); err != nil {
			if b.controller.process != nil {
				b.controller.stop()
			}
			return err
		}
	}
	return nil
}
