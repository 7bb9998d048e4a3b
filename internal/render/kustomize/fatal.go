package kustomize

import (
	"io"
	"log"
	"runtime"
	"strings"
	"sync"
)

// The library calls log.Fatal in places that a repository can reach (an object
// that cannot be written as YAML, when two objects could be meant by one
// reference): that would end the whole program. log.Fatal writes its message
// before it exits, so a writer that panics there turns it into what [recovered]
// makes an error of. The library's other log lines say nothing that its errors
// do not, and are dropped.
type logGuard struct{ next io.Writer }

var guardMu sync.Mutex

// guardLog puts the guard in front of what the standard logger writes to. It is
// called before each use of the library, since the program may have set another
// writer in between (slog.SetDefault does).
func guardLog() {
	guardMu.Lock()
	defer guardMu.Unlock()
	if _, ok := log.Writer().(*logGuard); !ok {
		log.SetOutput(&logGuard{next: log.Writer()})
	}
}

// libraryPackages is the prefix of the library's packages.
const libraryPackages = "sigs.k8s.io/kustomize/"

// Write panics for the library's fatal lines, drops its others, and passes on
// those of everyone else.
func (g *logGuard) Write(line []byte) (int, error) {
	var pcs [32]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	fatal := false
	for {
		f, more := frames.Next()
		if !strings.HasPrefix(f.Function, "log.") {
			if !strings.HasPrefix(f.Function, libraryPackages) {
				break
			}
			if fatal {
				panic("it gave up: " + strings.TrimSpace(string(line)))
			}
			return len(line), nil
		}
		fatal = fatal || strings.Contains(f.Function, ".Fatal")
		if !more {
			break
		}
	}
	return g.next.Write(line)
}
