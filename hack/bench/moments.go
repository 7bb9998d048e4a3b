package main

import (
	"context"
	"fmt"
	"time"
)

// settled is how long abide must have sent nothing for all its records to be
// written: it coalesces them for ten seconds.
const settled = 11 * time.Second

// settle waits until abide has nothing to do.
func (b *bench) settle(ctx context.Context, quiet time.Duration) error {
	n, since := -1, time.Now()
	return b.controller.until(ctx, 200*time.Millisecond, "abide is quiet", func() (bool, error) {
		now, err := b.meter.audit.read()
		if now != n {
			n, since = now, time.Now()
		}
		return time.Since(since) >= quiet, err
	})
}

// starts starts the controller and samples its memory.
func (b *bench) starts(ctx context.Context) error {
	if err := b.controller.start(); err != nil {
		return err
	}
	go b.peakAbide.watch(ctx, b.controller.process)
	return nil
}

func (b *bench) firstSync(ctx context.Context) error {
	if err := b.sandbox.calm(ctx); err != nil {
		return err
	}
	if err := b.starts(ctx); err != nil {
		return err
	}
	if err := b.settle(ctx, 2*time.Second); err != nil { // it has started, and there is no App
		return err
	}
	wait, err := b.fleet.converge(ctx)
	if err != nil {
		return err
	}
	defer b.profile(ctx, "first-sync", 10*time.Second)()
	if err := b.meter.begin(false); err != nil {
		return err
	}
	creating := make(chan error, 1)
	began := b.meter.began
	go func() {
		err := b.fleet.create(ctx)
		b.created = time.Since(began)
		creating <- err
	}()
	c, err := wait(b.controller.process)
	if err != nil {
		return err
	}
	if err := <-creating; err != nil {
		return err
	}
	if b.converging, err = b.meter.end(); err != nil {
		return err
	}
	b.synced, b.ready = c.synced.Sub(began), c.ready.Sub(began)
	if err := b.settle(ctx, settled); err != nil {
		return err
	}
	if b.first, err = b.meter.end(); err != nil {
		return err
	}
	b.lastObject = b.first.requests.last(func(r request) bool {
		return r.verb == "patch" && !r.dryRun && r.about() == aboutObject && r.code < 300
	}).Sub(began)
	return nil
}

func (b *bench) beIdle(ctx context.Context) error {
	if err := b.meter.begin(false); err != nil {
		return err
	}
	if err := b.controller.pause(ctx, b.scenario.idle); err != nil {
		return err
	}
	var err error
	b.idle, err = b.meter.end()
	return err
}

// foreignEvents has somebody set annotations that Git does not have.
func (b *bench) foreignEvents(ctx context.Context) error {
	if err := b.meter.begin(false); err != nil {
		return err
	}
	for i := range b.scenario.probes {
		if err := b.fleet.target(b.scenario.probe(i)).annotate(ctx, "example.com/foreign", fmt.Sprint(i)); err != nil {
			return err
		}
	}
	if err := b.controller.pause(ctx, 2*time.Second); err != nil {
		return err
	}
	var err error
	b.foreign, err = b.meter.end()
	return err
}

func (b *bench) followCommits(ctx context.Context) error {
	if err := b.bare.mirror(ctx, b.repo.url); err != nil {
		return err
	}
	defer b.profile(ctx, "commits", 10*time.Second)()
	var sum cost
	for i := range b.scenario.probes {
		app, object := b.scenario.probe(i)
		value := fmt.Sprint("commit-", i)
		if err := b.repo.write(b.scenario.shape.change(app, object, value)); err != nil {
			return err
		}
		var commit string
		push := func(ctx context.Context) (err error) {
			if commit, err = b.repo.push(ctx, value); err == nil {
				err = b.meter.begin(false)
			}
			return err
		}
		took, err := b.fleet.target(app, object).await(ctx, value, false, push, func(ctx context.Context) error { return b.fleet.refresh(ctx, value) })
		if err != nil {
			return fmt.Errorf("%w\n%s", err, b.controller.tail())
		}
		b.live = append(b.live, took)
		if err := b.fleet.judged(ctx, b.controller.process, commit); err != nil {
			return err
		}
		if err := b.add(ctx, &sum); err != nil {
			return err
		}
		if err := b.bareCommit(ctx, i, value); err != nil {
			return err
		}
	}
	b.commits = sum
	return nil
}

// add ends a moment that is one of several, when abide is quiet.
func (b *bench) add(ctx context.Context, sum *cost) error {
	if err := b.settle(ctx, 400*time.Millisecond); err != nil {
		return err
	}
	c, err := b.meter.end()
	if err != nil {
		return err
	}
	sum.took += c.took
	sum.requests = append(sum.requests, c.requests...)
	sum.abide.own += c.abide.own
	sum.abide.below += c.abide.below
	sum.server += c.server
	return nil
}

// followNothing pushes commits that no App reads.
func (b *bench) followNothing(ctx context.Context) error {
	for i := range min(b.scenario.probes, 5) {
		value := fmt.Sprint("nothing-", i)
		if err := b.repo.write(map[string]string{"README": value}); err != nil {
			return err
		}
		commit, err := b.repo.push(ctx, value)
		if err != nil {
			return err
		}
		if err := b.meter.begin(false); err != nil {
			return err
		}
		began := time.Now()
		if err := b.fleet.refresh(ctx, value); err != nil {
			return err
		}
		if err := b.fleet.judged(ctx, b.controller.process, commit); err != nil {
			return err
		}
		b.nothing = append(b.nothing, time.Since(began))
		if err := b.add(ctx, &b.untouch); err != nil {
			return err
		}
	}
	return nil
}

// value is what Git says of the object that the i-th probe is about, once all
// commits have been followed.
func (b *bench) value(i int) string {
	if i < b.scenario.probes {
		return fmt.Sprint("commit-", i)
	}
	return "first"
}

// healDrift changes objects, and deletes others.
func (b *bench) healDrift(ctx context.Context) error {
	if err := b.meter.begin(false); err != nil {
		return err
	}
	n := b.scenario.probes
	for i := range n {
		t := b.fleet.target(b.scenario.probe(i))
		took, err := t.await(ctx, b.value(i), false, nil, func(ctx context.Context) error { return t.annotate(ctx, valueKey, "drifted") })
		if err != nil {
			return fmt.Errorf("%w\n%s", err, b.controller.tail())
		}
		b.changed = append(b.changed, took)
	}
	for i := n; i < 2*n; i++ {
		t := b.fleet.target(b.scenario.probe(i))
		took, err := t.await(ctx, b.value(i), true, nil, t.delete)
		if err != nil {
			return fmt.Errorf("%w\n%s", err, b.controller.tail())
		}
		b.deleted = append(b.deleted, took)
	}
	if err := b.settle(ctx, settled); err != nil {
		return err
	}
	var err error
	b.drift, err = b.meter.end()
	return err
}

func (b *bench) restartUnchanged(ctx context.Context) error {
	b.controller.stop()
	if err := b.sandbox.calm(ctx); err != nil {
		return err
	}
	if err := b.meter.begin(true); err != nil {
		return err
	}
	if err := b.starts(ctx); err != nil {
		return err
	}
	if err := b.settle(ctx, 4*time.Second); err != nil {
		return err
	}
	var err error
	b.restart, err = b.meter.end()
	b.restartQuiet = b.restart.requests.last(func(request) bool { return true }).Sub(b.meter.began)
	return err
}

// restartDrifted starts a controller that was down when an object was changed,
// and stops it for good.
func (b *bench) restartDrifted(ctx context.Context) error {
	b.controller.stop()
	t := b.fleet.target(b.scenario.probe(0))
	before := func(ctx context.Context) error { return t.annotate(ctx, valueKey, "drifted") }
	var err error
	if b.restartHeal, err = t.await(ctx, b.value(0), false, before, b.starts); err != nil {
		return err
	}
	if err := b.settle(ctx, 2*time.Second); err != nil {
		return err
	}
	b.controller.stop()
	return nil
}
