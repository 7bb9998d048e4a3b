package render

import (
	"container/list"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/snapshot"
)

// CacheLimits bound a [Cache]. A zero field means its default.
type CacheLimits struct {
	// Objects bounds the objects kept, 200,000 by default.
	Objects int
	// Bytes bounds what the results kept take, by estimate; 256 MiB by
	// default.
	Bytes int64
}

// Func renders as [Render] does, perhaps in another process. scope is that of
// [Cache.Get]: what has another scope must not see the tree or the request.
type Func func(ctx context.Context, scope string, tree snapshot.Tree, req Request) (*Result, error)

// Here is the Func that renders in this process.
func Here(ctx context.Context, _ string, tree snapshot.Tree, req Request) (*Result, error) {
	return Render(ctx, tree, req)
}

// Cache keeps the latest result for each scope and request, and gives it again
// as long as its trace is valid for the tree asked for. What a repository does
// wrong is kept as well, since it is as good as a result: it stays wrong until
// something in its trace changes. The least recently used results go first
// when a limit is reached. It is safe for concurrent use, and a render that
// several ask for at once is done once.
type Cache struct {
	limits CacheLimits
	render Func

	mu      sync.Mutex
	entries map[cacheKey]*list.Element // of *cacheEntry
	order   *list.List                 // most recently used first
	small   chan struct{}              // turns of small renders
	flights map[flightKey]*flight
	objects int
	bytes   int64
}

type cacheKey struct {
	scope string
	req   [sha256.Size]byte // of the request in JSON: values may be large, and secret
}

// keyOf names a request. Requests are plain data, so that writing one cannot
// go wrong but for a mistake in this program.
func keyOf(scope string, req Request) (cacheKey, error) {
	b, err := json.Marshal(req)
	if err != nil {
		return cacheKey{}, fmt.Errorf("writing the request of a render as JSON: %w", err)
	}
	return cacheKey{scope, sha256.Sum256(b)}, nil
}

// flightKey has the tree as well: a newer commit never waits for an older one.
type flightKey struct {
	cacheKey
	tree string
}

type cacheEntry struct {
	key   cacheKey
	res   *Result
	err   error
	bytes int64
}

type flight struct {
	done chan struct{}
	res  *Result
	hit  bool
	err  error
}

// NewCache returns an empty cache of what do renders.
func NewCache(limits CacheLimits, do Func) *Cache {
	if limits.Objects == 0 {
		limits.Objects = 200_000
	}
	if limits.Bytes == 0 {
		limits.Bytes = 256 << 20
	}
	return &Cache{
		limits:  limits,
		render:  do,
		entries: map[cacheKey]*list.Element{},
		order:   list.New(),
		flights: map[flightKey]*flight{},
		small:   make(chan struct{}, smallRenders),
	}
}

// Get returns what the Func would, and whether it was kept from before. scope
// keeps apart what must not be shared: the repository, and the identity that
// decrypts. The result is shared; it must not be changed.
func (c *Cache) Get(ctx context.Context, scope string, tree snapshot.Tree, req Request) (*Result, bool, error) {
	req.Limits = req.Limits.OrDefault()
	named, err := keyOf(scope, req)
	if err != nil {
		return &Result{}, false, err
	}
	key := flightKey{named, tree.Hash()}
	for {
		c.mu.Lock()
		f, running := c.flights[key]
		if !running {
			f = &flight{done: make(chan struct{})}
			c.flights[key] = f
			c.mu.Unlock()
			c.fly(ctx, key, f, tree, req)
			return f.res, f.hit, f.err
		}
		c.mu.Unlock()
		select {
		case <-f.done:
		case <-ctx.Done():
			return &Result{}, false, ctx.Err()
		}
		// The one who flew may have given up for reasons of its own.
		if f.err == nil || keep(f.err) {
			return f.res, true, f.err
		}
		if ctx.Err() != nil {
			return &Result{}, false, ctx.Err()
		}
	}
}

// fly looks the key up or renders, and tells those who wait.
func (c *Cache) fly(ctx context.Context, key flightKey, f *flight, tree snapshot.Tree, req Request) {
	f.res, f.err = &Result{}, errAborted
	defer func() {
		c.mu.Lock()
		delete(c.flights, key)
		c.mu.Unlock()
		close(f.done)
	}()
	var before *Result
	if e := c.lookup(key.cacheKey); e != nil {
		before = e.res
		valid, err := e.res.Trace.Valid(tree)
		if err != nil {
			f.err = err
			return
		}
		if valid {
			f.res, f.hit, f.err = e.res, true, e.err
			return
		}
	}
	f.res, f.err = c.make(ctx, key.scope, tree, req, before)
	// Without a trace nothing tells when the result is another: so it is when
	// the renderer did not live to tell.
	if (f.err == nil || keep(f.err)) && len(f.res.Trace) > 0 {
		c.store(&cacheEntry{key: key.cacheKey, res: f.res, err: f.err, bytes: size(f.res)})
	}
}

// make renders: a small change to plain manifests here, for the cost of what
// changed, and what takes a library or more memory by the Func. before is what
// the request gave last.
func (c *Cache) make(ctx context.Context, scope string, tree snapshot.Tree, req Request, before *Result) (*Result, error) {
	turn := time.NewTimer(smallTime)
	defer turn.Stop()
	select {
	case c.small <- struct{}{}:
	case <-turn.C:
		return c.render(ctx, scope, tree, req)
	case <-ctx.Done():
		return &Result{}, ctx.Err()
	}
	res, err := smallRender(ctx, tree, req, before)
	<-c.small
	if errors.Is(err, errNotSmall) {
		return c.render(ctx, scope, tree, req)
	}
	return res, err
}

// errAborted is what those who wait see when a render ended without a result.
var errAborted = errors.New("the render was aborted")

// keep tells whether an error follows from the tree and the request alone.
func keep(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Reason != fault.DeadlineExceeded && e.Reason != fault.RenderOutOfMemory
}

func (c *Cache) lookup(key cacheKey) *cacheEntry {
	c.mu.Lock()
	defer c.mu.Unlock()
	el, ok := c.entries[key]
	if !ok {
		return nil
	}
	c.order.MoveToFront(el)
	return el.Value.(*cacheEntry)
}

func (c *Cache) store(e *cacheEntry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if el, ok := c.entries[e.key]; ok {
		c.drop(el)
	}
	if e.bytes > c.limits.Bytes || len(e.res.Objects) > c.limits.Objects {
		return
	}
	c.entries[e.key] = c.order.PushFront(e)
	c.objects += len(e.res.Objects)
	c.bytes += e.bytes
	for c.objects > c.limits.Objects || c.bytes > c.limits.Bytes {
		c.drop(c.order.Back())
	}
}

func (c *Cache) drop(el *list.Element) {
	e := c.order.Remove(el).(*cacheEntry)
	delete(c.entries, e.key)
	c.objects -= len(e.res.Objects)
	c.bytes -= e.bytes
}

// Forget drops every result of a scope.
func (c *Cache) Forget(scope string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for el := c.order.Front(); el != nil; {
		next := el.Next()
		if el.Value.(*cacheEntry).key.scope == scope {
			c.drop(el)
		}
		el = next
	}
}

// size estimates the memory that a result takes, in bytes.
func size(r *Result) int64 {
	n := int64(len(r.Text)) + 256
	for _, a := range r.Trace {
		n += int64(len(a.Path)+len(a.Hash)) + 48
	}
	if r.decoded > 0 {
		n += r.decoded
	} else {
		n += sizeOf(r.Objects)
	}
	for _, h := range r.Hooks {
		n += valueSize(h.Object.Object) + 128
	}
	return n
}

func sizeOf(objects []Object) (n int64) {
	for _, o := range objects {
		n += valueSize(o.Object) + 64
	}
	return n
}

func valueSize(v any) int64 {
	switch v := v.(type) {
	case map[string]any:
		n := int64(48)
		for k, item := range v {
			n += int64(len(k)) + 40 + valueSize(item)
		}
		return n
	case []any:
		n := int64(24)
		for _, item := range v {
			n += 16 + valueSize(item)
		}
		return n
	case string:
		return int64(len(v)) + 16
	}
	return 8
}
