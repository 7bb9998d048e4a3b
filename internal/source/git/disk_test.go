package git

import (
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"testing"
)

// TestOwnWritesFail: what this package itself writes fails on a full disk with
// the same words as what git writes, and errors of the network stay what they are.
func TestOwnWritesFail(t *testing.T) {
	m := &Mirror{store: &Store{mirrorsDir: "/cache/git/mirrors"}}
	for _, err := range []error{
		&fs.PathError{Op: "write", Path: "/cache/git/mirrors/x/.new-1", Err: syscall.ENOSPC},
		fmt.Errorf("keep: %w", &os.LinkError{Op: "rename", Old: "a", New: "b", Err: syscall.EDQUOT}),
	} {
		if got := m.disk(err); !IsKind(got, CacheFailed) || !strings.Contains(got.Error(), "is full (/cache/git)") {
			t.Errorf("%v is %v", err, got)
		}
	}
	if got := m.disk(&fs.PathError{Op: "open", Path: "x", Err: syscall.EACCES}); !IsKind(got, CacheFailed) || !strings.Contains(got.Error(), "permission denied") {
		t.Errorf("it is %v", got)
	}
	for _, err := range []error{
		&Error{Kind: HostUnreachable, Problem: "no", Err: syscall.ECONNREFUSED},
		&fs.PathError{Op: "fork/exec", Path: "/usr/bin/git", Err: syscall.EAGAIN},
		&fs.PathError{Op: "open", Path: "x", Err: syscall.ENOENT},
	} {
		if got := m.disk(err); got != err {
			t.Errorf("%v is %v", err, got)
		}
	}
}
