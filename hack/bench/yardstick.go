package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// bare is how fast a bare client was.
type bare struct {
	workers int // as parallel as this
	took    time.Duration
	client  time.Duration // processor time of the client, which is this program
	server  time.Duration // and of the API server and etcd
}

func (y bare) processor() time.Duration { return y.client + y.server }

// better keeps the faster of two runs.
func (y *bare) better(run bare) {
	if y.took == 0 || run.took < y.took {
		*y = run
	}
}

// tries is how often a bare client does a whole first sync; the fastest counts.
// Where one takes longer than enough, the noise of a try is small beside it, and
// there is one less.
const (
	tries  = 3
	enough = 20 * time.Second
)

// sample is how many objects a bare client applies to find out how parallel it
// is fastest.
func (s scenario) sample() int {
	if s.quick {
		return 100
	}
	return 300
}

// sweep finds out how parallel a bare client is fastest.
func (b *bench) sweep(ctx context.Context) error {
	perApp := len(b.scenario.shape.objects(0))
	napps := min(b.scenario.apps, max(1, b.scenario.sample()/perApp))
	for _, kind := range []struct {
		into        *bare
		appliesOnly bool
	}{{&b.yard.same, false}, {&b.yard.applies, true}} {
		for _, workers := range []int{1, 2, 4, 8, 16, 32} {
			run, err := b.bareRun(ctx, fmt.Sprintf("sweep-%t-%d", kind.appliesOnly, workers), napps, b.scenario.sample(), workers, kind.appliesOnly)
			if err != nil {
				return err
			}
			kind.into.better(run)
		}
	}
	return nil
}

// bareFirstSync is the yardstick of the first sync: all objects of the scenario.
func (b *bench) bareFirstSync(ctx context.Context) error {
	b.yard.same.took, b.yard.applies.took = 0, 0 // those of the samples
	defer b.profile(ctx, "bare", 10*time.Second)()
	for i := range tries {
		for _, kind := range []struct {
			into        *bare
			appliesOnly bool
		}{{&b.yard.same, false}, {&b.yard.applies, true}} {
			run, err := b.bareRun(ctx, fmt.Sprintf("bare-%t-%d", kind.appliesOnly, i), b.scenario.apps, b.scenario.objects(), kind.into.workers, kind.appliesOnly)
			if err != nil {
				return err
			}
			kind.into.better(run)
		}
		if i == 1 && b.yard.same.took > enough {
			break
		}
	}
	return nil
}

// bareRun does what a first sync asks of the API server, into namespaces of its
// own: for each stage, everything at once.
func (b *bench) bareRun(ctx context.Context, prefix string, napps, limit, workers int, appliesOnly bool) (bare, error) {
	for i := range min(teams, napps) {
		if err := b.fleet.namespace(ctx, team(prefix, i)); err != nil {
			return bare{}, err
		}
	}
	var objects, records []*unstructured.Unstructured
	for app := range napps {
		own := b.scenario.shape.objects(app)
		own = own[:min(len(own), limit-len(objects))]
		for _, u := range own {
			u.SetNamespace(team(prefix, app))
		}
		objects = append(objects, own...)
		records = append(records, record(team(prefix, app), app, len(own)))
	}
	if err := b.sandbox.calm(ctx); err != nil {
		return bare{}, err
	}
	each := func(list []*unstructured.Unstructured, f func(context.Context, *unstructured.Unstructured) error) error {
		return parallel(ctx, len(list), workers, func(ctx context.Context, i int) error { return f(ctx, list[i]) })
	}
	server, err := b.sandbox.server()
	if err != nil {
		return bare{}, err
	}
	client, err := usageOf(os.Getpid(), nil)
	if err != nil {
		return bare{}, err
	}
	began := time.Now()
	if !appliesOnly {
		err := each(objects, func(ctx context.Context, u *unstructured.Unstructured) error { return b.bare.apply(ctx, u, true) })
		if err == nil {
			err = each(records, b.bare.create)
		}
		if err != nil {
			return bare{}, err
		}
	}
	err = each(objects, func(ctx context.Context, u *unstructured.Unstructured) error { return b.bare.apply(ctx, u, false) })
	if err == nil && !appliesOnly {
		if err = each(records, b.bare.update); err == nil {
			err = each(records, b.bare.patch)
		}
	}
	if err != nil {
		return bare{}, err
	}
	run := bare{workers: workers, took: time.Since(began), client: -client.own, server: -server.processor()}
	if server, err = b.sandbox.server(); err != nil {
		return bare{}, err
	}
	client, err = usageOf(os.Getpid(), nil)
	run.server += server.processor()
	run.client += client.own
	return run, err
}

// yardNamespace has the objects of bareCommit.
const yardNamespace = "yardstick"

// mirror prepares for bareCommit: a clone that is up to date, and the objects
// that it writes.
func (c *bareClient) mirror(ctx context.Context, url string) error {
	if err := git(ctx, "/", "init", "-q", "--bare", "-b", "main", c.clone); err != nil {
		return err
	}
	if err := c.fetch(ctx, url); err != nil {
		return err
	}
	if err := c.fleet.namespace(ctx, yardNamespace); err != nil {
		return err
	}
	return c.create(ctx, record(yardNamespace, 0, len(c.fleet.s.shape.objects(0))))
}

func (c *bareClient) fetch(ctx context.Context, url string) error {
	return git(ctx, c.clone, "fetch", "-q", "--no-tags", url, "+refs/heads/main:refs/heads/main")
}

// bareCommit is the yardstick of a commit that touches one object: one fetch of
// the same commit, a dry run, an apply, the write of a record.
func (b *bench) bareCommit(ctx context.Context, i int, value string) error {
	began := time.Now()
	if err := b.bare.fetch(ctx, b.repo.url); err != nil {
		return err
	}
	fetched := time.Now()
	app, n := b.scenario.probe(i)
	own := b.scenario.shape.objects(app)
	u := own[n]
	u.SetNamespace(yardNamespace)
	u.SetAnnotations(map[string]string{valueKey: value})
	r := record(yardNamespace, 0, len(own))
	r.SetAnnotations(map[string]string{valueKey: value})
	if err := b.bare.apply(ctx, u, true); err != nil {
		return err
	}
	if err := b.bare.update(ctx, r); err != nil {
		return err
	}
	applying := time.Now()
	if err := b.bare.apply(ctx, u, false); err != nil {
		return err
	}
	done := time.Now()
	b.yard.fetches = append(b.yard.fetches, fetched.Sub(began))
	b.yard.writes = append(b.yard.writes, done.Sub(fetched))
	b.yard.applied = append(b.yard.applied, done.Sub(applying))
	return nil
}
