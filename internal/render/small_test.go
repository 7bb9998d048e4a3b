package render_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/snapshot/memtree"
)

// notHere counts what is not rendered here.
func notHere(n *atomic.Int64) render.Func {
	return func(ctx context.Context, scope string, tree snapshot.Tree, req render.Request) (*render.Result, error) {
		n.Add(1)
		return render.Here(ctx, scope, tree, req)
	}
}

// TestSmallEntries: many names are not small, whatever is in them.
func TestSmallEntries(t *testing.T) {
	files := map[string]string{"a/x.yaml": configMap("x")}
	for i := range 10_000 {
		files[fmt.Sprintf("a/%d.txt", i)] = ""
	}
	var n atomic.Int64
	c := render.NewCache(render.CacheLimits{}, notHere(&n))
	res, _, err := c.Get(t.Context(), "repo", memtree.FromText(files), render.Request{Path: "a"})
	if err != nil || len(res.Objects) != 1 || n.Load() != 1 {
		t.Errorf("rendered %d times elsewhere: %v", n.Load(), err)
	}
	delete(files, "a/0.txt")
	delete(files, "a/1.txt")
	if _, _, err := c.Get(t.Context(), "repo", memtree.FromText(files), render.Request{Path: "a"}); err != nil || n.Load() != 1 {
		t.Errorf("fewer are rendered elsewhere: %v", err)
	}
}

// slowTree takes its time to list a folder.
type slowTree struct {
	snapshot.Tree
	takes time.Duration
}

func (s slowTree) ReadDir(p string) ([]snapshot.Entry, error) {
	time.Sleep(s.takes)
	return s.Tree.ReadDir(p)
}

// TestSmallTime: what takes long is not small, and keeps nobody waiting for
// longer than that.
func TestSmallTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		c := render.NewCache(render.CacheLimits{}, notHere(&n))
		began := time.Now()
		for i := range 2 {
			go func() {
				tree := slowTree{memtree.FromText(map[string]string{"a/x.yaml": configMap(fmt.Sprint("x", i))}), time.Minute}
				if res, _, err := c.Get(t.Context(), fmt.Sprint(i), tree, render.Request{Path: "a"}); err != nil || len(res.Objects) != 1 {
					t.Errorf("the slow one: %v", err)
				}
			}()
		}
		synctest.Wait()
		if _, _, err := c.Get(t.Context(), "quick", memtree.FromText(map[string]string{"a/x.yaml": configMap("x")}), render.Request{Path: "a"}); err != nil || n.Load() != 1 {
			t.Errorf("with no turn free, %d are rendered elsewhere: %v", n.Load(), err)
		}
		if d := time.Since(began); d > time.Second { // of the test's own clock
			t.Errorf("it waited for %s", d)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n.Load() != 3 {
			t.Errorf("%d are rendered elsewhere, want the slow ones as well", n.Load())
		}
	})
}
