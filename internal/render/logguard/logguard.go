// Package logguard keeps the libraries that render from ending the program and
// from writing to its log.
//
// They call log.Fatal in places that a repository can reach, which would end
// the program: such a line becomes a panic, which the caller of the library
// makes an error of. Their other lines, by way of log or of the default logger
// of log/slog, are dropped: they say little that the errors do not, and quote
// values, secrets among them. Lines of everyone else pass.
//
// There is one guard for all libraries, since two would wrap each other
// without end. Nothing is kept but the writer of the standard logger.
package logguard

import (
	"io"
	"log"
	"runtime"
	"strings"
	"sync"
)

// libraries are the prefixes of the packages that are kept quiet.
var libraries = []string{"sigs.k8s.io/kustomize/", "helm.sh/helm/"}

type guard struct{ next io.Writer }

var mu sync.Mutex

// Install puts the guard in front of what the standard logger writes to. It is
// called before each use of a library, since the program may have set another
// writer in between (slog.SetDefault does).
func Install() {
	mu.Lock()
	defer mu.Unlock()
	if _, ok := log.Writer().(*guard); !ok {
		log.SetOutput(&guard{next: log.Writer()})
	}
}

// Write panics for the libraries' fatal lines, drops their others, and passes
// on those of everyone else.
func (g *guard) Write(line []byte) (int, error) {
	var pcs [32]uintptr
	frames := runtime.CallersFrames(pcs[:runtime.Callers(2, pcs[:])])
	fatal := false
	for {
		f, more := frames.Next()
		if !strings.HasPrefix(f.Function, "log.") && !strings.HasPrefix(f.Function, "log/") {
			if !ofLibrary(f.Function) {
				break
			}
			if fatal {
				// log.Fatal writes its message before it exits.
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

func ofLibrary(function string) bool {
	for _, prefix := range libraries {
		if strings.HasPrefix(function, prefix) {
			return true
		}
	}
	return false
}
