package git

import (
	"container/list"
	"sync"

	"abide.dev/abide/internal/snapshot"
)

// objectCache is a bounded cache of parsed objects, least recently used first
// out. Its values are immutable, so a reader keeps what it was given.
type objectCache struct {
	mu    sync.Mutex
	limit int64
	size  int64
	order *list.List // of *cached, newest in front
	byKey map[cacheKey]*list.Element
}

// cacheKey names the mirror as well: one repository never answers for another.
type cacheKey struct {
	mirror *Mirror
	hash   string
}

type cached struct {
	key     cacheKey
	cost    int64
	entries []snapshot.Entry // of a tree
	blob    []byte
	commit  *Commit
	tooBig  int64 // the size of a blob that is not read
}

func newObjectCache(limit int64) *objectCache {
	return &objectCache{limit: limit, order: list.New(), byKey: map[cacheKey]*list.Element{}}
}

func (c *objectCache) get(m *Mirror, hash string) *cached {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byKey[cacheKey{m, hash}]
	if e == nil {
		return nil
	}
	c.order.MoveToFront(e)
	return e.Value.(*cached)
}

func (c *objectCache) put(m *Mirror, hash string, v *cached) {
	v.key = cacheKey{m, hash}
	v.cost += 256 // the map, the list and the key
	if v.cost > c.limit/4 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.byKey[v.key]; old != nil {
		c.remove(old)
	}
	c.byKey[v.key] = c.order.PushFront(v)
	c.size += v.cost
	for c.size > c.limit {
		c.remove(c.order.Back())
	}
}

func (c *objectCache) remove(e *list.Element) {
	v := e.Value.(*cached)
	c.order.Remove(e)
	delete(c.byKey, v.key)
	c.size -= v.cost
}

// forget drops everything of one mirror.
func (c *objectCache) forget(m *Mirror) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for e := c.order.Front(); e != nil; {
		next := e.Next()
		if e.Value.(*cached).key.mirror == m {
			c.remove(e)
		}
		e = next
	}
}
