// Package supervise runs the processes of one sandbox and sees to it that none
// of them outlives it.
//
// A child ends when its standard input reaches its end: the other side of that
// pipe is held by this process alone, so the kernel closes it however this
// process ends, kill -9 included. On Linux the kernel is asked to kill the
// child as well (PR_SET_PDEATHSIG), for a child too sick to read. Children
// have process groups of their own: a terminal's ^C reaches the parent only,
// which then ends them in order.
package supervise

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"time"
)

// Process says what to run.
type Process struct {
	Name  string   // also argv[0] and the name of the log
	Path  string   // the program
	Args  []string // without argv[0]
	Dir   string   // working directory
	Log   string   // file for standard output and error; one older is kept as Log.1
	Files []*os.File
}

// Exit is the end of a process that was not asked to end.
type Exit struct {
	Name string
	Log  string
	Err  error // nil: it ended with status 0
}

// Group is a set of running processes.
type Group struct {
	spawn chan func()
	exits chan Exit
	tee   io.Writer

	mu       sync.Mutex
	stopping bool
	stdins   []io.Closer
	cmds     []*exec.Cmd
	done     sync.WaitGroup
}

// NewGroup makes an empty group. If tee is not nil it receives a copy of all
// logs, each line with its process's name in front.
func NewGroup(tee io.Writer) *Group {
	g := &Group{spawn: make(chan func()), exits: make(chan Exit, 1), tee: tee}
	go func() {
		// The death signal comes when the thread that started the child ends,
		// so that thread must live as long as the group.
		runtime.LockOSThread()
		for f := range g.spawn {
			f()
		}
		select {}
	}()
	return g
}

// Exits delivers the first unexpected end of a process.
func (g *Group) Exits() <-chan Exit { return g.exits }

// Start starts p. Its Files become descriptors 3, 4, …
func (g *Group) Start(p Process) error {
	log, err := openLog(p.Log)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(p.Path)
	cmd.Args = append([]string{p.Name}, p.Args...)
	cmd.Dir = p.Dir
	cmd.ExtraFiles = p.Files
	cmd.SysProcAttr = sysProcAttr()
	cmd.Stdout, cmd.Stderr = log, log
	var copied chan struct{}
	if g.tee != nil {
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		defer w.Close()
		cmd.Stdout, cmd.Stderr = w, w
		copied = make(chan struct{})
		own, err := os.OpenFile(p.Log, os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			r.Close()
			return err
		}
		go func() {
			defer close(copied)
			defer own.Close()
			defer r.Close()
			copyLines(own, g.tee, p.Name, r)
		}()
	}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	started := make(chan error, 1)
	g.spawn <- func() { started <- cmd.Start() }
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	g.mu.Lock()
	g.stdins = append(g.stdins, stdin)
	g.cmds = append(g.cmds, cmd)
	g.mu.Unlock()
	g.done.Add(1)
	go func() {
		defer g.done.Done()
		err := cmd.Wait()
		if copied != nil {
			<-copied
		}
		g.mu.Lock()
		asked := g.stopping
		g.mu.Unlock()
		if !asked {
			select {
			case g.exits <- Exit{Name: p.Name, Log: p.Log, Err: err}:
			default: // the first one is the cause, what follows is the consequence
			}
		}
	}()
	return nil
}

// Stop ends all processes and returns when they are gone. Those that do not
// end by themselves within grace are killed.
func (g *Group) Stop(grace time.Duration) {
	g.mu.Lock()
	g.stopping = true
	stdins, cmds := g.stdins, g.cmds
	g.mu.Unlock()
	for _, s := range stdins {
		s.Close()
	}
	gone := make(chan struct{})
	go func() { g.done.Wait(); close(gone) }()
	select {
	case <-gone:
		return
	case <-time.After(grace):
	}
	for _, c := range cmds {
		c.Process.Kill() // an error means it is gone
	}
	<-gone
}

func openLog(path string) (*os.File, error) {
	if _, err := os.Stat(path); err == nil {
		if err := os.Rename(path, path+".1"); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
}
