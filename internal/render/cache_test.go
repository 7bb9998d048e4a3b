package render_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/snapshot/memtree"
)

// countingTree counts the files read.
type countingTree struct {
	snapshot.Tree
	reads atomic.Int64
	gate  chan struct{} // reads wait for it to be closed, if it is there
	fail  error
}

func (c *countingTree) ReadFile(p string) ([]byte, error) {
	c.reads.Add(1)
	if c.gate != nil {
		<-c.gate
	}
	if c.fail != nil {
		return nil, c.fail
	}
	return c.Tree.ReadFile(p)
}

func count(files map[string]string) *countingTree {
	return &countingTree{Tree: memtree.FromText(files)}
}

func TestCache(t *testing.T) {
	ctx, c := context.Background(), render.NewCache(render.CacheLimits{}, render.Here)
	req := render.Request{Path: "a"}
	get := func(tree snapshot.Tree, req render.Request) (*render.Result, bool, error) {
		t.Helper()
		return c.Get(ctx, "repo", tree, req)
	}
	one := count(map[string]string{"a/x.yaml": configMap("x"), "b/y.yaml": configMap("y")})
	first, hit, err := get(one, req)
	if err != nil || hit || len(first.Objects) != 1 {
		t.Fatalf("first: %v, hit %v", err, hit)
	}
	again, hit, err := get(one, req)
	if err != nil || !hit || again != first || one.reads.Load() != 1 {
		t.Errorf("same tree: hit %v, %d reads, %v", hit, one.reads.Load(), err)
	}
	elsewhere := count(map[string]string{"a/x.yaml": configMap("x"), "b/y.yaml": configMap("changed")})
	if _, hit, _ := get(elsewhere, req); !hit || elsewhere.reads.Load() != 0 {
		t.Errorf("a change elsewhere: hit %v, %d reads", hit, elsewhere.reads.Load())
	}
	changed := count(map[string]string{"a/x.yaml": configMap("z")})
	if res, hit, _ := get(changed, req); hit || res.Objects[0].GetName() != "z" {
		t.Errorf("a change: hit %v", hit)
	}
	if _, hit, _ := get(changed, render.Request{Path: "a", Text: true}); hit {
		t.Error("another request got the same result")
	}
	if _, hit, _ := c.Get(ctx, "other", changed, req); hit {
		t.Error("another scope got the same result")
	}
	c.Forget("repo")
	if _, hit, _ := get(changed, req); hit {
		t.Error("forgotten, and still there")
	}
}

func TestCacheReadsWhatChanged(t *testing.T) {
	ctx, c := context.Background(), render.NewCache(render.CacheLimits{}, render.Here)
	req := render.Request{Path: "a"}
	files := map[string]string{
		"a/one.yaml": configMap("one"), "a/two.yaml": configMap("two"), "a/note.yaml": "just: a note\n",
	}
	first, _, err := c.Get(ctx, "repo", count(files), req)
	if err != nil {
		t.Fatal(err)
	}
	files["a/two.yaml"] = configMap("second")
	now := count(files)
	res, _, err := c.Get(ctx, "repo", now, req)
	if err != nil {
		t.Fatal(err)
	}
	if n := now.reads.Load(); n != 1 {
		t.Errorf("%d files were read, want the one that changed", n)
	}
	if first.Objects[0].Unstructured != res.Objects[0].Unstructured {
		t.Error("an object of a file that did not change was made anew")
	}
	fresh, err := render.Render(ctx, now, req)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(fresh, res, unexported); d != "" {
		t.Errorf("not what a render from nothing gives (-want +got):\n%s", d)
	}
	if _, _, err := c.Get(ctx, "repo", count(map[string]string{"a/kustomization.yaml": "resources: [x.yaml]\n", "a/x.yaml": configMap("x")}), req); err != nil {
		t.Fatal(err) // it is not for a small render any more
	}
	// What is not read still counts.
	if _, _, err := c.Get(ctx, "repo", now, render.Request{Path: "a", Limits: render.Limits{TotalBytes: 10}}); !hasReason(err, fault.TooLarge) {
		t.Errorf("files of more than the limit: %v", err)
	}
	bounded := render.Request{Path: "a", Limits: render.Limits{TotalBytes: int64(len(files["a/one.yaml"])+len(files["a/two.yaml"])+len(files["a/note.yaml"])) + 5}}
	if _, _, err := c.Get(ctx, "repo", now, bounded); err != nil {
		t.Fatal(err)
	}
	files["a/three.yaml"] = configMap("three")
	if _, _, err := c.Get(ctx, "repo", count(files), bounded); !hasReason(err, fault.TooLarge) {
		t.Errorf("with one more file they are over the limit together: %v", err)
	}
}

func TestCacheKeepsFaults(t *testing.T) {
	ctx, c := context.Background(), render.NewCache(render.CacheLimits{}, render.Here)
	tree := count(map[string]string{"a/x.yaml": "{"})
	for _, wantHit := range []bool{false, true} {
		_, hit, err := c.Get(ctx, "repo", tree, render.Request{Path: "a"})
		wantReason(t, err, fault.InvalidYAML)
		if hit != wantHit {
			t.Errorf("hit %v, want %v", hit, wantHit)
		}
	}
	// A path that appears makes the failure stale.
	missing := render.Request{Path: "later"}
	_, _, err := c.Get(ctx, "repo", tree, missing)
	wantReason(t, err, fault.PathNotFound)
	later := count(map[string]string{"later/x.yaml": configMap("x")})
	if _, hit, err := c.Get(ctx, "repo", later, missing); err != nil || hit {
		t.Errorf("hit %v, %v", hit, err)
	}
	// What is not the repository's fault is not kept.
	broken := count(map[string]string{"c/x.yaml": configMap("x")})
	broken.fail = errors.New("disk on fire")
	if _, _, err := c.Get(ctx, "repo", broken, render.Request{Path: "c"}); !errors.Is(err, broken.fail) {
		t.Errorf("got %v", err)
	}
	broken.fail = nil
	if _, hit, err := c.Get(ctx, "repo", broken, render.Request{Path: "c"}); hit || err != nil {
		t.Errorf("hit %v, %v", hit, err)
	}
}

func TestCacheRendersOnce(t *testing.T) {
	ctx, c := context.Background(), render.NewCache(render.CacheLimits{}, render.Here)
	tree := count(map[string]string{"a/x.yaml": configMap("x")})
	tree.gate = make(chan struct{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			res, _, err := c.Get(ctx, "repo", tree, render.Request{Path: "a"})
			if err != nil || len(res.Objects) != 1 {
				t.Errorf("%v", err)
			}
		})
	}
	close(tree.gate)
	wg.Wait()
	if n := tree.reads.Load(); n != 1 {
		t.Errorf("%d reads", n)
	}
}

func TestCacheIsBounded(t *testing.T) {
	ctx, c := context.Background(), render.NewCache(render.CacheLimits{Objects: 3}, render.Here)
	files := map[string]string{}
	for i := range 4 {
		files[fmt.Sprintf("%d/x.yaml", i)] = configMap("x")
	}
	tree := memtree.FromText(files)
	get := func(i int) bool {
		_, hit, err := c.Get(ctx, "repo", tree, render.Request{Path: fmt.Sprint(i)})
		if err != nil {
			t.Fatal(err)
		}
		return hit
	}
	for i := range 3 {
		get(i)
	}
	if !get(0) { // and so 1 is the oldest
		t.Error("0 is gone before the limit")
	}
	get(3)
	if get(0) != true || get(3) != true || get(1) != false {
		t.Error("not the least recently used one went")
	}
	small := render.NewCache(render.CacheLimits{Bytes: 10}, render.Here)
	for range 2 {
		if _, hit, err := small.Get(ctx, "repo", tree, render.Request{Path: "0"}); hit || err != nil {
			t.Errorf("a result over the limit was kept: %v, %v", hit, err)
		}
	}
}

func hasReason(err error, reason string) bool {
	var e *render.Error
	return errors.As(err, &e) && e.Reason == reason
}
