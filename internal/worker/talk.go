package worker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/worker/wire"
)

// talk is one render in one worker.
type talk struct {
	pool  *Pool
	child *child
	req   render.Request

	began  bool // the worker has answered something: the render had its chance
	usable bool // the worker is as good as before
	bad    bool // the worker had to be ended for what the render did
}

// lookEvery is how often the memory of a worker is looked at while it renders.
// The kernel's own limit holds in between.
const lookEvery = 20 * time.Millisecond

// render renders in the worker. It ends the worker when ctx or the time ends.
func (t *talk) render(ctx context.Context, tree snapshot.Tree) (*render.Result, error) {
	c := t.child
	limits := t.req.Limits.OrDefault()
	s := serve(tree, limits)
	request, err := t.ask(s)
	if err != nil {
		t.began, t.usable = true, true
		return &render.Result{}, err
	}
	stop := context.AfterFunc(ctx, func() { c.end(ending{kind: endedByCaller}) })
	defer stop()
	limit := time.AfterFunc(t.pool.o.Time, func() { c.end(ending{kind: endedByTime}) })
	defer limit.Stop()
	over := make(chan struct{})
	defer close(over)
	go t.pool.watch(c, over)

	d, err := t.converse(ctx, request, s)
	if err != nil {
		return &render.Result{}, t.explain(ctx, err)
	}
	if d.Result == nil {
		d.Result = &render.Result{}
	}
	err = d.Err.receive(s.causes)
	if err == nil {
		if err := check(d.Result, limits); err != nil {
			return &render.Result{}, t.explain(ctx, err)
		}
		t.usable = stop()
		return d.Result, nil
	}
	var f *render.Error
	isFault := errors.As(err, &f)
	if isFault && !reasonForm.MatchString(f.Reason) {
		return &render.Result{}, t.explain(ctx, broken("it gave a reason that is none"))
	}
	if d.Err.Deadline || isFault && f.Reason == fault.DeadlineExceeded {
		// What did not end goes on in the worker.
		t.bad = true
		if !isFault {
			return d.Result, t.tooSlow(context.DeadlineExceeded)
		}
		f.Err = context.DeadlineExceeded
		return d.Result, err
	}
	t.usable = stop()
	return d.Result, err
}

// ask makes the frame that asks for the render.
func (t *talk) ask(tree *served) ([]byte, error) {
	r := request{Limit: t.pool.o.Time - t.pool.o.Time/20, Render: t.req, Exact: tree.kinder != nil}
	if m, ok := tree.tree.(interface{ Roots() []string }); ok {
		r.Roots = m.Roots()
	}
	if !r.Exact {
		r.Hash = tree.tree.Hash()
	}
	b, err := frame(typeRequest, r, fromParent)
	var long *tooLongError
	if errors.As(err, &long) {
		return nil, fault.New(fault.TooLarge, t.req.Path, 0, "its values and settings have %d bytes together, and at most %d are taken", long.size, long.limit)
	}
	return b, err
}

// converse asks for the render and answers questions until it is done.
func (t *talk) converse(ctx context.Context, request []byte, s *served) (*done, error) {
	if _, err := t.child.in.Write(request); err != nil {
		return nil, err
	}
	t.began = true
	for {
		kind, n, err := readHead(t.child.out, frameLimits{typeAsk: fromChild[typeAsk], typeDone: fromChild[typeDone]})
		if err != nil {
			return nil, err
		}
		if kind == typeDone {
			return t.result(ctx, n)
		}
		if err := t.reply(s, n); err != nil {
			return nil, err
		}
	}
}

// reply reads a question of n bytes and answers it.
func (t *talk) reply(s *served, n int64) error {
	b, err := readBody(t.child.out, n)
	if err != nil {
		return err
	}
	var q ask
	if err := wire.Decode(b, &q, decodeLimits[typeAsk]); err != nil {
		return broken("its question cannot be read: %v", err)
	}
	a, err := s.answer(q)
	if err != nil {
		return err
	}
	b, err = frame(typeAnswer, *a, fromParent)
	var long *tooLongError
	if errors.As(err, &long) {
		large := &snapshot.TooLargeError{Path: q.Path, Size: long.size, Limit: long.limit}
		b, err = frame(typeAnswer, answer{Err: describeError(large, 0)}, fromParent)
	}
	if err != nil {
		return err
	}
	_, err = t.child.in.Write(b)
	return err
}

// largeResult is how many bytes a result has of which only one is read at a
// time, so that many workers do not take the memory of many.
const largeResult = 1 << 20

// result reads a result of n bytes.
func (t *talk) result(ctx context.Context, n int64) (*done, error) {
	if n > largeResult {
		select {
		case t.pool.large <- struct{}{}:
			defer func() { <-t.pool.large }()
		case <-t.child.dead:
			return nil, io.ErrUnexpectedEOF
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	b, err := readBody(t.child.out, n)
	if err != nil {
		return nil, err
	}
	d := &done{}
	err = wire.Decode(b, d, decodeLimits[typeDone])
	var over *wire.LimitError
	switch {
	case errors.As(err, &over):
		t.usable = true
		return nil, tooLargeResult(t.req.Path, over.Limit)
	case err != nil:
		return nil, broken("its result cannot be read: %v", err)
	}
	return d, nil
}

// tooLargeResult is the fault of objects that are too much to be handed on.
func tooLargeResult(path string, limit int64) *render.Error {
	return fault.New(fault.TooLarge, path, 0, "renders to objects of more than %s together", mebibytes(limit)).
		WithHint("split it into several Apps")
}

func mebibytes(n int64) string { return fmt.Sprintf("%d MiB", (n+1<<19)>>20) }

// reasonForm is what Kubernetes takes as the reason of a condition, and less.
var reasonForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]{0,63}$`)

// check sees to it that nobody stumbles over a result: it may have been made by
// the repository itself.
func check(r *render.Result, limits render.Limits) error {
	if len(r.Objects) > limits.Objects {
		return broken("it gave %d objects, and may give %d", len(r.Objects), limits.Objects)
	}
	for _, o := range r.Objects {
		if o.Unstructured == nil || o.GetAPIVersion() == "" || o.GetKind() == "" {
			return broken("it gave an object without a kind")
		}
		if m, ok := o.Object["metadata"].(map[string]any); !ok || m == nil {
			return broken("it gave an object without metadata")
		}
	}
	return nil
}

// dying is how long a process may take to end that has closed its pipes.
const dying = 2 * time.Second

// explain says why a render got no result. The worker is ended, unless it is
// usable.
func (t *talk) explain(ctx context.Context, err error) error {
	var own *render.Error
	if errors.As(err, &own) {
		return err
	}
	c := t.child
	var breach *protocolError
	if errors.As(err, &breach) {
		c.end(ending{kind: endedByBreach})
	}
	wait := time.NewTimer(dying)
	defer wait.Stop()
	select {
	case <-c.dead:
	case <-wait.C:
		c.end(ending{kind: endedByBreach})
		<-c.dead
	}
	why := c.why.Load()
	if why == nil {
		t.bad = t.began // else nobody had asked it for anything
		return t.crashed()
	}
	switch why.kind {
	case endedByTime:
		t.bad = true
		return t.tooSlow(context.DeadlineExceeded)
	case endedByMemory:
		t.bad = true
		return t.tooMuch()
	case endedByTotal:
		t.bad = true
		return t.shortage(why)
	case endedByCaller:
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return t.tooSlow(context.Cause(ctx))
		}
		return ctx.Err()
	case endedByUse:
		return errClosed
	}
	t.bad = true
	t.pool.o.Log.Warn("a worker broke off", "path", t.req.Path, "error", err)
	return fault.New(fault.RendererCrashed, t.req.Path, 0, "the renderer broke off: %s", err)
}

func (t *talk) tooSlow(cause error) error {
	e := fault.New(fault.DeadlineExceeded, t.req.Path, 0, "was not rendered in the time there is, which is %s", t.pool.o.Time)
	e.Err = cause
	return e.WithHint("look for what never ends in its templates, or split it into several Apps")
}

func (t *talk) tooMuch() error {
	return fault.New(fault.RenderOutOfMemory, t.req.Path, 0, "took more than the %s of memory that a render may take", mebibytes(t.pool.o.Memory)).
		WithHint("look for what grows without end in its templates, or split it into several Apps")
}

// A ShortageError says that a render was ended although it took no more than it
// may, since there was not enough memory for all. It may work another time.
type ShortageError struct{ text string }

func (e *ShortageError) Error() string { return e.text }

// Reason is fit for a condition.
func (e *ShortageError) Reason() string { return fault.RenderOutOfMemory }

// Later tells that nothing is wrong with what was to be rendered.
func (e *ShortageError) Later() bool { return true }

func (t *talk) shortage(why *ending) error {
	if why == nil {
		return &ShortageError{t.req.Path + ": the system ended its render, which it does when memory is short; it is tried again"}
	}
	return &ShortageError{fmt.Sprintf("%s: its render had taken %s, as the largest of renders that together had more than the %s they may take; it is tried again",
		t.req.Path, mebibytes(why.size), mebibytes(t.pool.o.Total))}
}

// crashed explains a worker that ended by itself.
func (t *talk) crashed() error {
	c := t.child
	if c.killed() {
		return t.shortage(nil)
	}
	if c.stderr.outOfMemory() || c.cmd.ProcessState.ExitCode() == exitMemory {
		return t.tooMuch()
	}
	t.pool.o.Log.Warn("a worker crashed", "path", t.req.Path, "state", c.cmd.ProcessState.String(), "output", c.stderr.String())
	line := c.stderr.first()
	if line == "" {
		line = c.cmd.ProcessState.String()
	}
	e := fault.New(fault.RendererCrashed, t.req.Path, 0, "the renderer crashed: %s", cutLine(line))
	if strings.Contains(line, "stack overflow") || strings.Contains(line, "goroutine stack exceeds") {
		return e.WithHint("look for a template or a function that calls itself, or a value that contains itself")
	}
	return e.WithHint("this is a fault of the renderer: report it with the files that cause it")
}

// cutLine bounds what is shown of a crash.
func cutLine(s string) string {
	const most = 300
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
