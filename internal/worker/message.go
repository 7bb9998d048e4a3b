package worker

import (
	"context"
	"errors"
	"io/fs"
	"time"

	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/worker/wire"
)

// hello is what a child says once it is bounded.
type hello struct {
	// Bounds are what the platform let it put in force.
	Bounds []string
}

// request asks for a render.
type request struct {
	// Hash names the tree.
	Hash string
	// Exact says that the tree tells kinds by themselves, and that hashes are
	// dear: nothing may be asked of it that the renderer did not ask.
	Exact bool
	// Roots are where other trees begin in it (package snapshot/mount), which
	// links do not lead into or out of.
	Roots  []string
	Limit  time.Duration
	Render render.Request
}

// op is what a child asks of the tree.
type op uint8

const (
	opLookup op = iota + 1
	opKind
	opReadDir
	opReadFile
	opHash
)

// ask is a question about the tree.
type ask struct {
	Op   op
	Path string
	// More are files that are likely to be read next. Their content comes along
	// as far as there is room.
	More []string
}

const (
	maxMore      = 1024
	maxAhead     = 1 << 20 // bytes of files that come along
	maxPath      = 4096
	maxErrorText = 16 << 10
)

// answer is what the tree says. Err is nil where it gave no error.
type answer struct {
	Err     *treeError
	Kind    snapshot.Kind
	Entry   snapshot.Entry
	Entries []snapshot.Entry
	Content []byte
	// Ahead are the contents of the first of the files asked for with More.
	// A file that cannot be read ends them.
	Ahead [][]byte
}

// The sorts of errors of a tree that rendering tells apart.
type errorSort uint8

const (
	sortOther errorSort = iota
	sortNotExist
	sortTooLarge
	sortEscape
	sortLinkLoop
)

// treeError is an error of a tree, on its way into the child. There it is an
// error that means the same to rendering; on the way back Number tells the
// parent which one it was.
type treeError struct {
	Sort   errorSort
	Number int // from 1
	Text   string
	// Op and Path are those of an *fs.PathError; Path, Size, Limit and Target
	// those of the errors of package snapshot.
	Op, Path, Target string
	Size, Limit      int64
}

// describeError makes a treeError of the error with a number.
func describeError(err error, number int) *treeError {
	e := &treeError{Number: number, Text: cut(err.Error())}
	var (
		at     *fs.PathError
		large  *snapshot.TooLargeError
		escape *snapshot.EscapeError
	)
	if errors.As(err, &at) {
		e.Op, e.Path = at.Op, at.Path
	}
	switch {
	case errors.As(err, &large):
		e.Sort, e.Path, e.Size, e.Limit = sortTooLarge, large.Path, large.Size, large.Limit
	case errors.As(err, &escape):
		e.Sort, e.Path, e.Target = sortEscape, escape.Path, escape.Target
	case errors.Is(err, snapshot.ErrLinkLoop):
		e.Sort = sortLinkLoop
	case errors.Is(err, fs.ErrNotExist):
		e.Sort = sortNotExist
	}
	return e
}

// Error is the text of the tree's own error.
func (e *treeError) Error() string { return e.Text }

// toRender is the error that rendering sees: that of a missing path is the one
// that the library below knows.
func (e *treeError) toRender() error {
	simple := &fs.PathError{Op: e.Op, Path: e.Path, Err: fs.ErrNotExist}
	if e.Sort == sortNotExist && e.Text == simple.Error() {
		return simple
	}
	return e
}

// Unwrap gives what rendering looks for in the chain.
func (e *treeError) Unwrap() error {
	switch e.Sort {
	case sortNotExist:
		return fs.ErrNotExist
	case sortTooLarge:
		return &snapshot.TooLargeError{Path: e.Path, Size: e.Size, Limit: e.Limit}
	case sortEscape:
		return &snapshot.EscapeError{Path: e.Path, Target: e.Target}
	case sortLinkLoop:
		return snapshot.ErrLinkLoop
	}
	return nil
}

// done is how a render ended.
type done struct {
	Result *render.Result
	Err    *renderError
}

// renderError is the error of a render, on its way to the parent.
type renderError struct {
	Text  string
	Fault *fault.Error
	// Cause is the error of the tree that it comes from, if it does.
	Cause *treeError
	// Deadline says that the time was up.
	Deadline bool
}

// send makes a renderError of err.
func send(err error) *renderError {
	if err == nil {
		return nil
	}
	e := &renderError{Text: cut(err.Error()), Deadline: errors.Is(err, context.DeadlineExceeded)}
	var f *fault.Error
	if errors.As(err, &f) {
		copied := *f
		copied.Msg, copied.Hint = cut(f.Msg), cut(f.Hint)
		e.Fault = &copied
	}
	var t *treeError
	if errors.As(err, &t) {
		e.Cause = t
	} else if own := describeError(err, 0); own.Sort != sortOther {
		e.Cause = own
	}
	return e
}

// receive makes of e the error that the render gave. causes are the errors of
// the tree, by their numbers.
func (e *renderError) receive(causes []error) error {
	if e == nil {
		return nil
	}
	var cause error
	if t := e.Cause; t != nil {
		if cause = t; t.Number > 0 && t.Number <= len(causes) {
			cause = causes[t.Number-1]
		}
	}
	if e.Fault == nil {
		return &remoteError{text: e.Text, cause: cause}
	}
	e.Fault.Err = cause
	if e.Text == cut(e.Fault.Error()) {
		return e.Fault
	}
	return &remoteError{text: e.Text, cause: e.Fault}
}

// remoteError is an error that was made in a child.
type remoteError struct {
	text  string
	cause error
}

func (e *remoteError) Error() string { return e.text }
func (e *remoteError) Unwrap() error { return e.cause }

// cut bounds a text that goes over the pipe.
func cut(s string) string {
	if len(s) <= maxErrorText {
		return s
	}
	return s[:maxErrorText]
}

// decodeLimits bound what one message of a child becomes in memory.
var decodeLimits = map[frameType]wire.Limits{
	typeHello: {Memory: 64 << 10, Depth: 8},
	typeAsk:   {Memory: 1 << 20, Depth: 8},
	typeDone:  {Memory: 256 << 20, Depth: 1 << 10},
}

// trusted are the limits of what the parent sends.
var trusted = wire.Limits{Memory: 1 << 40, Depth: 1 << 10}
