package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// phase is what one part of a scenario cost the controller.
type phase struct {
	took      time.Duration
	requests  map[string]int
	processor time.Duration
}

// result is what one scenario cost.
type result struct {
	scenario scenario
	sync     phase           // from the first App made to the last one Ready
	commits  []time.Duration // from the request to look to the object changed
	commit   phase           // all of them together
	drifts   []time.Duration // from the foreign write to the healed object
	idle     phase
	peak     int64 // anonymous memory in bytes
}

// meter reads the controller's costs between two moments.
type meter struct {
	pid    int
	audit  string
	offset int64
	began  time.Time
	used   time.Duration
}

// lap returns the costs since the last lap.
func (m *meter) lap() (phase, error) {
	r, next, err := requests(m.audit, m.offset)
	if err != nil {
		return phase{}, err
	}
	used, err := processor(m.pid)
	if err != nil {
		return phase{}, err
	}
	now := time.Now()
	p := phase{took: now.Sub(m.began), requests: r, processor: used - m.used}
	m.offset, m.began, m.used = next, now, used
	return p, nil
}

func measure(ctx context.Context, bin string, s scenario) (result, error) {
	r := result{scenario: s}
	dir, err := os.MkdirTemp("", "abide-bench-")
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(dir)
	repo, err := newRepository(ctx, filepath.Join(dir, "repository"), s)
	if err != nil {
		return r, err
	}
	sb, err := startSandbox(ctx, bin, dir)
	if err != nil {
		return r, err
	}
	defer sb.stop()
	f, err := newFleet(sb.admin, repo.dir)
	if err != nil {
		return r, err
	}
	if err := f.prepare(ctx, sb.process); err != nil {
		return r, err
	}
	controller, err := startController(ctx, bin, dir, sb)
	if err != nil {
		return r, err
	}
	defer controller.stop()
	m := &meter{pid: controller.cmd.Process.Pid, audit: sb.audit, began: time.Now()}
	if err := firstSync(ctx, &r, f, controller, m); err != nil {
		return r, err
	}
	if err := followCommits(ctx, &r, f, repo, controller, m); err != nil {
		return r, err
	}
	return r, doNothing(ctx, &r, controller, m)
}

// watchPeak keeps the highest memory that is seen.
func (r *result) watchPeak(pid int) error {
	n, err := memory(pid)
	if errors.Is(err, os.ErrNotExist) { // it ended, which others notice and explain
		return nil
	}
	r.peak = max(r.peak, n)
	return err
}

func firstSync(ctx context.Context, r *result, f *fleet, p *process, m *meter) error {
	if err := f.create(ctx, r.scenario.apps); err != nil {
		return err
	}
	err := until(ctx, p, "all Apps are Ready", func() (bool, error) {
		if err := r.watchPeak(m.pid); err != nil {
			return false, err
		}
		return f.ready(ctx, r.scenario.apps)
	})
	if err != nil {
		return err
	}
	r.sync, err = m.lap()
	return err
}

func followCommits(ctx context.Context, r *result, f *fleet, repo *repository, p *process, m *meter) error {
	for i := range r.scenario.commits {
		app, object, value := i%r.scenario.apps, i%r.scenario.objects, fmt.Sprint("commit-", i)
		if err := repo.write(app, object, value); err != nil {
			return err
		}
		if err := repo.commit(ctx, value); err != nil {
			return err
		}
		took, err := f.changes(ctx, app, object, value, func() error { return f.refresh(ctx, app, value) })
		if err != nil {
			return fmt.Errorf("%w\n%s", err, p.tail())
		}
		r.commits = append(r.commits, took)

		took, err = f.changes(ctx, app, object, value, func() error { return f.drift(ctx, app, object) })
		if err != nil {
			return fmt.Errorf("%w\n%s", err, p.tail())
		}
		r.drifts = append(r.drifts, took)
		if err := r.watchPeak(m.pid); err != nil {
			return err
		}
	}
	var err error
	r.commit, err = m.lap()
	return err
}

// settle is how long after the last change the records of it may still be
// written, since those are coalesced.
const settle = 15 * time.Second

// doNothing measures what it costs to have nothing to do.
func doNothing(ctx context.Context, r *result, p *process, m *meter) error {
	for _, d := range []time.Duration{settle, r.scenario.idle} {
		select {
		case <-time.After(d):
		case <-p.exited:
			return fmt.Errorf("the controller ended:\n%s", p.tail())
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		lap, err := m.lap()
		if err != nil {
			return err
		}
		r.idle = lap
	}
	return r.watchPeak(m.pid)
}

// median of a list that is not empty.
func median(all []time.Duration) time.Duration {
	s := slices.Clone(all)
	slices.Sort(s)
	return s[len(s)/2]
}
