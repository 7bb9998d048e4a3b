package datadir

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Lock is the right to use a Dir. Its file may be handed to child processes:
// the right then lasts until the last of them is gone, so that a new sandbox
// never meets the remains of a killed one.
type Lock struct{ File *os.File }

// InUseError says that another sandbox runs on the directory.
type InUseError struct {
	Dir        Dir
	PID        int
	Kubeconfig string
}

func (e *InUseError) Error() string {
	return fmt.Sprintf("%s belongs to a running sandbox (pid %d, kubeconfig %s): use that one, stop it with `kill %d`, or choose another --data",
		e.Dir, e.PID, e.Kubeconfig, e.PID)
}

type owner struct {
	PID        int    `json:"pid"`
	Kubeconfig string `json:"kubeconfig"`
}

// Patience is how long Acquire waits for a lock that is held.
type Patience struct {
	// Dead is for the children of an owner that is dead, which have yet to
	// notice.
	Dead time.Duration
	// Alive is for an owner that seems to live: one that was just killed does,
	// until its memory is freed and its parent has asked for its status.
	Alive time.Duration
}

// Acquire takes the lock, or says who holds it with an *InUseError.
func (d Dir) Acquire(ctx context.Context, patience Patience) (*Lock, error) {
	f, err := os.OpenFile(filepath.Join(string(d), "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
		}
		o := readOwner(f)
		// An owner of 0 is one that has the lock and is about to write its pid.
		wait := patience.Alive
		if o.PID == 0 || !alive(o.PID) {
			wait = patience.Dead
		}
		if time.Since(began) < wait {
			select {
			case <-time.After(10 * time.Millisecond):
				continue
			case <-ctx.Done():
			}
		}
		f.Close()
		return nil, &InUseError{Dir: d, PID: o.PID, Kubeconfig: o.Kubeconfig}
	}
	b, err := json.Marshal(owner{PID: os.Getpid(), Kubeconfig: d.Kubeconfig()})
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.WriteAt(append(b, '\n'), 0)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return &Lock{File: f}, nil
}

// Release gives up this process's share of the lock.
func (l *Lock) Release() error { return l.File.Close() }

func readOwner(f *os.File) owner {
	var o owner
	b, err := io.ReadAll(io.NewSectionReader(f, 0, 4096))
	if err != nil || json.Unmarshal(b, &o) != nil {
		return owner{}
	}
	return o
}

func alive(pid int) bool {
	err := syscall.Kill(pid, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}
