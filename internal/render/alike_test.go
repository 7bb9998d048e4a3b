package render_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/worker"
)

// workers render what the tests of this package render, once more.
var workers *worker.Pool

func TestMain(m *testing.M) {
	if handled, code := worker.Helper(os.Args, render.Render); handled {
		os.Exit(code)
	}
	os.Exit(func() int {
		var err error
		if workers, err = worker.New(worker.Options{}); err != nil {
			panic(err)
		}
		defer workers.Close()
		return m.Run()
	}())
}

// unexported keeps comparisons to what a render says.
var unexported = cmpopts.IgnoreUnexported(render.Result{})

// alike wants a worker process to give what was rendered here, errors
// included. The workers of all tests are one tenant's, so what they keep from
// one render meets the tree of the next.
func alike(t *testing.T, tree snapshot.Tree, req render.Request, res *render.Result, err error) {
	t.Helper()
	there, thereErr := workers.Render(context.Background(), "tests", tree, req)
	if !reflect.DeepEqual(res, there) {
		t.Errorf("in a worker the result is another (-here +there):\n%s", cmp.Diff(res, there, unexported))
	}
	if (err == nil) != (thereErr == nil) {
		t.Fatalf("the error is %v here and %v in a worker", err, thereErr)
	}
	if err == nil {
		return
	}
	if err.Error() != thereErr.Error() {
		t.Errorf("the error is another in a worker:\nhere  %v\nthere %v", err, thereErr)
	}
	var h, w *render.Error
	if errors.As(err, &h) != errors.As(thereErr, &w) {
		t.Fatalf("the error is %T here and %T in a worker", err, thereErr)
	}
	if h != nil && (h.Reason != w.Reason || h.File != w.File || h.Line != w.Line || h.Msg != w.Msg || h.Hint != w.Hint || !slices.Equal(h.Remotes, w.Remotes)) {
		t.Errorf("the fault is another in a worker:\nhere  %+v\nthere %+v", h, w)
	}
	var escape, thereEscape *snapshot.EscapeError
	var large, thereLarge *snapshot.TooLargeError
	for name, same := range map[string]bool{
		"fs.ErrNotExist":       errors.Is(err, fs.ErrNotExist) == errors.Is(thereErr, fs.ErrNotExist),
		"snapshot.ErrLinkLoop": errors.Is(err, snapshot.ErrLinkLoop) == errors.Is(thereErr, snapshot.ErrLinkLoop),
		"an EscapeError":       errors.As(err, &escape) == errors.As(thereErr, &thereEscape) && reflect.DeepEqual(escape, thereEscape),
		"a TooLargeError":      errors.As(err, &large) == errors.As(thereErr, &thereLarge) && reflect.DeepEqual(large, thereLarge),
	} {
		if !same {
			t.Errorf("the error is %s on one side only", name)
		}
	}
}
