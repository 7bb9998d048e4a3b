package worker

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"sync"
	"time"

	"abide.dev/abide/internal/render"
	"abide.dev/abide/internal/snapshot"
	"abide.dev/abide/internal/worker/wire"
)

// Func renders in the child: render.Render.
type Func func(ctx context.Context, tree snapshot.Tree, req render.Request) (*render.Result, error)

// The exit codes of a child.
const (
	exitDone   = 0
	exitBroken = 70
	exitMemory = 71
)

// The descriptors that a child has beside the standard ones.
const (
	requestsFile = 3
	repliesFile  = 4
)

// Helper runs the program as a worker when args (os.Args) ask for it. main
// calls it before anything else, and exits with exitCode when it was handled;
// so does the TestMain of a test that renders through a [Pool].
func Helper(args []string, do Func) (handled bool, exitCode int) {
	if len(args) != 3 || args[1] != Argument {
		return false, 0
	}
	memory, err := strconv.ParseInt(args[2], 10, 64)
	if err != nil {
		fmt.Fprintln(os.Stderr, "this is started by abide itself")
		return true, exitBroken
	}
	return true, run(memory, do)
}

// run bounds the process, says so, and renders until the parent hangs up.
func run(memory int64, do Func) int {
	runtime.GOMAXPROCS(min(2, runtime.NumCPU())) // to render, and to collect garbage
	time.Local = time.UTC
	os.Clearenv()
	debug.SetMemoryLimit(memory - memory/8)
	debug.SetMaxStack(int(min(memory/4, 1<<30)))
	in, out := os.NewFile(requestsFile, "requests"), os.NewFile(repliesFile, "replies")
	if in == nil || out == nil {
		return exitBroken
	}
	s := &session{in: bufio.NewReaderSize(in, 64<<10), out: out, do: do, memory: memory, known: newListings()}
	bounds := bound(memory)
	b, err := frame(typeHello, hello{Bounds: bounds}, fromChild)
	if err != nil {
		return breakOff(err)
	}
	if _, err := out.Write(b); err != nil {
		return breakOff(err)
	}
	return s.serve()
}

// session is the child's end of the conversation.
type session struct {
	in     *bufio.Reader
	out    io.Writer
	do     Func
	memory int64
	known  *listings
}

// quiet is how long a child waits for the next request before it gives back the
// memory of the last: not long where that is much, and else longer, since to do so
// costs as much as a small render.
func quiet() time.Duration {
	heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	if metrics.Read(heap); heap[0].Value.Uint64() > muchMemory {
		return time.Second
	}
	return 10 * time.Second
}

// muchMemory is more than what kustomize needs for its schemas.
const muchMemory = 32 << 20

// serve reads what the parent sends. Renders run beside, so that the end of the
// parent ends a render that is busy.
func (s *session) serve() int {
	var (
		answers chan *answer
		over    = make(chan struct{}, 1)
		idle    = time.AfterFunc(quiet(), debug.FreeOSMemory)
	)
	for {
		t, b, err := readFrame(s.in, fromParent)
		if err != nil {
			if errors.Is(err, io.EOF) {
				return exitDone
			}
			return breakOff(err)
		}
		switch t {
		case typeRequest:
			if answers != nil {
				<-over // the parent has the result, the goroutine is ending
			}
			idle.Stop()
			var r request
			if err := wire.Decode(b, &r, trusted); err != nil {
				return breakOff(err)
			}
			answers = make(chan *answer, 1)
			go s.render(r, answers, func() { idle.Reset(quiet()); over <- struct{}{} })
		case typeAnswer:
			a := &answer{}
			if err := wire.Decode(b, a, trusted); err != nil {
				return breakOff(err)
			}
			if answers == nil {
				return breakOff(errors.New("an answer to no question"))
			}
			answers <- a
		}
	}
}

// render does one request. A panic of the renderer ends the process: nobody
// knows what it left behind, and the parent finds the reason in its last words.
func (s *session) render(r request, answers <-chan *answer, over func()) {
	defer over()
	ctx, cancel := context.WithTimeout(context.Background(), r.Limit)
	defer cancel()
	stop := watchSelf(s.memory)
	defer stop()
	var mu sync.Mutex
	question := func(q ask) *answer {
		if len(q.Path) > maxPath { // no name in Git is that long
			return &answer{Err: describeError(&fs.PathError{Op: "open", Path: q.Path, Err: fs.ErrNotExist}, 0)}
		}
		mu.Lock()
		defer mu.Unlock()
		s.send(typeAsk, q)
		return <-answers
	}
	res, err := s.do(ctx, newTree(question, r, s.known), r.Render)
	mu.Lock() // a goroutine that a library left behind asks for nothing any more
	d := done{Result: res, Err: send(err)}
	b, ferr := frame(typeDone, d, fromChild)
	if ferr != nil {
		// An error of its own, which the parent tells from that of a render.
		b, ferr = frame(typeDone, done{Err: &renderError{Text: ferr.Error(), Fault: tooLong(ferr, r.Render.Path)}}, fromChild)
	}
	s.write(b, ferr)
}

// send writes a message, which ends the process where it cannot be written: the
// parent is gone.
func (s *session) send(t frameType, message any) {
	b, err := frame(t, message, fromChild)
	s.write(b, err)
}

func (s *session) write(b []byte, err error) {
	if err == nil {
		_, err = s.out.Write(b)
	}
	if err != nil {
		os.Exit(breakOff(err))
	}
}

// breakOff says why the process ends, and returns its exit code.
func breakOff(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return exitBroken
}

// tooLong is the fault of a result that is too long to send.
func tooLong(err error, path string) *render.Error {
	var long *tooLongError
	if !errors.As(err, &long) {
		return nil
	}
	return tooLargeResult(path, long.limit)
}
