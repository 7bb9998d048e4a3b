package render

import (
	"context"
	"errors"

	"abide.dev/abide/internal/snapshot"
)

// smallBytes is how much a small render may decode: at first, and beside what an
// earlier one has decoded.
const (
	firstBytes = 1 << 20
	smallBytes = 4 << 20
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
	r.small, r.res.manifests = true, map[string]decoded{}
	r.most = firstBytes
	if before != nil && before.manifests != nil {
		r.before, r.most = before.manifests, smallBytes
	}
	return r.run(ctx)
}
