// Package fault holds the one error that rendering gives to people.
//
// Every way in which a repository can make a render fail ends in an [*Error]
// with a stable reason, the file, where known the line, what is wrong, and
// what to do. An Error is plain data, so that a worker process can send it
// over a pipe.
package fault

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"abide.dev/abide/internal/render/remote"
	"abide.dev/abide/internal/snapshot"
)

// Reasons of an [Error], fit for a condition. They are stable: users match on
// them.
const (
	PathNotFound           = "PathNotFound"           // the path of the App, or a file that is named, is not in the tree
	InvalidPath            = "InvalidPath"            // the path is of no kind that can be rendered
	EscapesRepository      = "EscapesRepository"      // a path or link leads out of the repository
	ForbiddenPath          = "ForbiddenPath"          // the path goes through Git's own folder
	LinkLoop               = "LinkLoop"               // symbolic links that never end
	InvalidYAML            = "InvalidYAML"            // text that does not parse, or repeats a key
	InvalidObject          = "InvalidObject"          // a document that is half a Kubernetes object
	DuplicateObject        = "DuplicateObject"        // the same object twice
	NoObjects              = "NoObjects"              // nothing to apply
	TooLarge               = "TooLarge"               // bytes, here or after expansion, over the limit
	TooManyObjects         = "TooManyObjects"         // objects over the limit
	TooDeep                = "TooDeep"                // nesting over the limit
	InvalidIgnoreFile      = "InvalidIgnoreFile"      // an .abideignore that is too large
	HelmNotSupported       = "HelmNotSupported"       // a chart that a plugin of a kustomization names
	NestedChart            = "NestedChart"            // a chart in a folder of manifests
	InvalidChart           = "InvalidChart"           // a chart that Helm cannot load or install
	MissingDependency      = "MissingDependency"      // a chart that Chart.yaml names and charts/ does not have
	InvalidHelmOptions     = "InvalidHelmOptions"     // a release name or Kubernetes version that is none
	IncompatibleChart      = "IncompatibleChart"      // a chart for another version of Kubernetes
	InvalidValues          = "InvalidValues"          // values that do not parse, or that the chart's schema refuses
	RemoteSchemaNotAllowed = "RemoteSchemaNotAllowed" // a values.schema.json that refers to a URL or another file
	HelmFailed             = "HelmFailed"             // an error of a template
	UnstableRender         = "UnstableRender"         // a chart whose output is another at each render
	InvalidKustomization   = "InvalidKustomization"   // a kustomization that does not parse or contradicts itself
	KustomizationCycle     = "KustomizationCycle"     // kustomizations that include each other
	RemoteBaseNotAllowed   = "RemoteBaseNotAllowed"   // what is elsewhere, and may not be fetched
	PluginNotAllowed       = "PluginNotAllowed"       // a generator, transformer or validator that is not built in
	KustomizeFailed        = "KustomizeFailed"        // the library's own error
	JsonnetFailed          = "JsonnetFailed"          // Jsonnet that does not parse or evaluate
	PatchFailed            = "PatchFailed"            // a patch of spec.render that does not parse, apply or match
	UndefinedVariable      = "UndefinedVariable"      // a ${NAME} that is not defined
	InvalidPlaceholder     = "InvalidPlaceholder"     // a ${…} that is none, or a value that does not fit
	RendererCrashed        = "RendererCrashed"        // the library panicked
	DeadlineExceeded       = "DeadlineExceeded"       // the render took longer than its context allows
	RenderOutOfMemory      = "RenderOutOfMemory"      // the render took more memory than it may
	SubmoduleNotSupported  = "SubmoduleNotSupported"  // the path is a Git submodule
)

// Error says why a repository could not be rendered.
type Error struct {
	// Reason is one of the constants of this package.
	Reason string `json:"reason"`
	// File is the path in the repository; it may be empty.
	File string `json:"file,omitempty"`
	// Line counts from 1; 0 means that the line is not known.
	Line int `json:"line,omitempty"`
	// Msg says what is wrong, in a sentence without the file.
	Msg string `json:"message"`
	// Hint says what to do about it; it may be empty.
	Hint string `json:"hint,omitempty"`
	// Remotes are what the render needs and does not find in its tree, each
	// under its name: once they are there, it gets further.
	Remotes []remote.Spec `json:"remotes,omitempty"`
	// Err is the cause, for errors.Is and errors.As; it is not serialised.
	Err error `json:"-"`
}

// Error gives "file:line: message; hint".
func (e *Error) Error() string {
	var b strings.Builder
	if e.File != "" {
		b.WriteString(e.File)
		if e.Line > 0 {
			fmt.Fprintf(&b, ":%d", e.Line)
		}
		b.WriteString(": ")
	}
	b.WriteString(e.Msg)
	if e.Hint != "" {
		b.WriteString("; ")
		b.WriteString(e.Hint)
	}
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// New makes an Error with a formatted message.
func New(reason, file string, line int, format string, args ...any) *Error {
	return &Error{Reason: reason, File: file, Line: line, Msg: fmt.Sprintf(format, args...)}
}

// WithHint sets the hint and returns the same Error.
func (e *Error) WithHint(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// FromTree turns an error of a snapshot into an Error that names file. Errors
// that are no fault of the repository (a broken reader, a cancelled context)
// are returned as they are, wrapped with the file.
func FromTree(file string, err error) error {
	var known *Error
	var escape *snapshot.EscapeError
	var large *snapshot.TooLargeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &known):
		return err
	case errors.As(err, &escape):
		e := New(EscapesRepository, file, 0, "leads out of the repository (to %s)", escape.Target)
		e.Err = err
		return e.WithHint("only paths inside the repository are read: move the file into it")
	case errors.As(err, &large):
		e := New(TooLarge, file, 0, "has %d bytes, and at most %d are read", large.Size, large.Limit)
		e.Err = err
		return e
	case errors.Is(err, snapshot.ErrLinkLoop):
		e := New(LinkLoop, file, 0, "is a symbolic link that never ends")
		e.Err = err
		return e
	case errors.Is(err, fs.ErrNotExist):
		e := New(PathNotFound, file, 0, "does not exist")
		e.Err = err
		return e
	}
	return fmt.Errorf("reading %s: %w", file, err)
}
