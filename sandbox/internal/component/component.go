// Package component is what runs in each child process of a sandbox: one of
// etcd, kube-apiserver, kube-controller-manager, kube-scheduler and kwok.
//
// They are the upstream programs, used as libraries and given upstream's own
// flags. Each has a process of its own because their global state (feature
// gates, signal handlers, metrics, klog) does not allow two of them in one,
// and because argv[0] is what client-go writes into managedFields.
package component

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"
)

// Names of the components. They are also the argv[0] of the processes.
const (
	Etcd              = "etcd"
	APIServer         = "kube-apiserver"
	ControllerManager = "kube-controller-manager"
	Scheduler         = "kube-scheduler"
	Kwok              = "kwok"
)

// Command is the first argument of a child process; the second is the
// component's name, the rest are its flags.
const Command = "component"

const (
	// LockFD is the sandbox's lock, held open until the process ends.
	LockFD = 3
	// ListenerFD is the socket that the component serves, if it serves one.
	ListenerFD = 4
)

// EtcdSocket is etcd's socket in the working directory of all components. It
// is a relative path because an absolute one could exceed the 108 bytes that
// a socket's address may have.
const EtcdSocket = "etcd.sock"

type runner func(ctx context.Context, args []string) error

func runners() map[string]runner {
	return map[string]runner{
		Etcd: runEtcd, APIServer: runAPIServer, ControllerManager: runControllerManager,
		Scheduler: runScheduler, Kwok: runKwok,
	}
}

// Main runs the component args[0] with the flags args[1:] until stdin ends,
// and returns the process's exit status. What it has to say goes to stderr.
func Main(args []string, stdin io.Reader, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprintln(stderr, "abide-sandbox: component is for abide-sandbox itself; see abide-sandbox --help")
		return 1
	}
	name, run := args[0], runners()[args[0]]
	if run == nil {
		fmt.Fprintf(stderr, "abide-sandbox: there is no component %q; see abide-sandbox --help\n", name)
		return 1
	}
	// Only the parent ends a component, by closing its stdin; signals that
	// reach the whole sandbox must not look like components that fail.
	signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	os.Args = os.Args[:1]
	startWithLooseGC()

	go func() {
		_, _ = io.Copy(io.Discard, stdin)
		// At once: all that must last is written, and the data of a killed
		// sandbox has to be readable anyway.
		os.Exit(0)
	}()
	err := run(context.Background(), args[1:])
	if err == nil {
		err = errors.New("it returned")
	}
	fmt.Fprintf(stderr, "%s ended: %v\n", name, err)
	return 1
}

// startWithLooseGC lets a starting component allocate without many
// collections, since most of it stays alive, and tightens up afterwards.
func startWithLooseGC() {
	if os.Getenv("GOGC") != "" {
		return
	}
	debug.SetGCPercent(400)
	time.AfterFunc(8*time.Second, func() {
		debug.SetGCPercent(75)
		debug.FreeOSMemory()
	})
}

// inheritedListener is the socket that the parent handed over.
func inheritedListener() (net.Listener, error) {
	f := os.NewFile(ListenerFD, "listener")
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("listener handed over by abide-sandbox: %w", err)
	}
	return l, nil
}
