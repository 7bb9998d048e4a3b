package file

import (
	"io/fs"
	"strings"
	"syscall"
	"testing"
)

// TestFullDiskIsSaidOnce: an error of the disk says where, and the same each time,
// whatever the name of the file was that could not be written.
func TestFullDiskIsSaidOnce(t *testing.T) {
	said := map[string]bool{}
	for _, name := range []string{".new-1", ".new-2"} {
		err := (&Poller{o: Options{Dir: "/cache/files"}}).failed(&fs.PathError{Op: "write", Path: "/cache/" + name, Err: syscall.ENOSPC})
		said[err.Error()] = true
		if !strings.Contains(err.Error(), "/cache/files") || !strings.Contains(err.Error(), "no space left on device") {
			t.Errorf("it says %q", err)
		}
	}
	if len(said) != 1 {
		t.Errorf("it is said in %d ways: %v", len(said), said)
	}
}
