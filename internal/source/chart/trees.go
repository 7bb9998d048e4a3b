package chart

import (
	"container/list"
	"sync"

	"abide.dev/abide/internal/snapshot/targz"
)

// trees holds the trees last used, of bounded size together. A Tree is
// immutable, so a reader keeps what it was given.
type trees struct {
	mu    sync.Mutex
	limit int64
	size  int64
	order *list.List // of *heldTree, last used in front
	byKey map[string]*list.Element
}

type heldTree struct {
	key  string
	cost int64
	tree *targz.Tree
}

func newTrees(limit int64) *trees {
	return &trees{limit: limit, order: list.New(), byKey: map[string]*list.Element{}}
}

func (t *trees) get(key string) *targz.Tree {
	t.mu.Lock()
	defer t.mu.Unlock()
	e := t.byKey[key]
	if e == nil {
		return nil
	}
	t.order.MoveToFront(e)
	return e.Value.(*heldTree).tree
}

func (t *trees) put(key string, tree *targz.Tree) {
	const overhead = 4 << 10 // the maps
	cost := tree.Size() + overhead
	t.mu.Lock()
	defer t.mu.Unlock()
	if cost > t.limit || t.byKey[key] != nil {
		return
	}
	t.byKey[key] = t.order.PushFront(&heldTree{key, cost, tree})
	t.size += cost
	for t.size > t.limit {
		last := t.order.Back()
		held := last.Value.(*heldTree)
		t.order.Remove(last)
		delete(t.byKey, held.key)
		t.size -= held.cost
	}
}
