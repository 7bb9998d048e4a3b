package render

import (
	"context"
	"errors"
	"time"

	"abide.dev/abide/internal/snapshot"
)

// smallBytes is how much a small render may decode: at first, and beside what an
// earlier one has decoded.
const (
	firstBytes = 1 << 20
	smallBytes = 4 << 20
)

const (
	// smallEntries bounds the files and folders that a small render looks at.
	smallEntries = 10_000
	// smallTime bounds a small render, and the wait for the turn of one, so that
	// who comes with much that is small keeps nobody waiting for long.
	smallTime = 200 * time.Millisecond
)

// smallRenders is how many of them run at a time.
const smallRenders = 2

// errNotSmall ends a render that turns out not to be small.
var errNotSmall = errors.New("the render is not small")

// smallRender renders plain manifests of which little has changed since before,
// which may be nil: what an unchanged file gave is taken from there. It is the
// one render that does not need a process with bounds of its own, since all it
// does is decode a bounded number of bytes, by a decoder that is bounded itself.
// Whatever is more, or odd, ends in errNotSmall.
func smallRender(ctx context.Context, tree snapshot.Tree, req Request, before *Result) (res *Result, err error) {
	defer func() {
		if recover() != nil {
			res, err = nil, errNotSmall
		}
	}()
	r := newRenderer(tree, req)
	r.small, r.most = true, firstBytes
	if before != nil && before.manifests != nil {
		r.before, r.most = before.manifests, smallBytes
	}
	r.res.manifests = make(map[string]*decoded, len(r.before))
	bound, cancel := context.WithTimeout(ctx, smallTime)
	defer cancel()
	if res, err = r.run(bound); err != nil && bound.Err() != nil && ctx.Err() == nil {
		return nil, errNotSmall
	}
	return res, err
}
