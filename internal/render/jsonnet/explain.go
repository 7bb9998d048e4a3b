package jsonnet

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	library "github.com/google/go-jsonnet"
	"github.com/google/go-jsonnet/ast"

	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/spelling"
)

// explain makes the library's error one for people.
func (r *Renderer) explain(file string, err error) error {
	var runtime library.RuntimeError
	at := ast.LocationRange{FileName: file}
	msg := ""
	switch {
	case errors.As(err, &runtime):
		msg = runtime.Msg
		if loc, ok := innermost(runtime.StackTrace); ok {
			at = loc
		}
		if inner, loc, ok := r.ofImport(msg); ok {
			msg, at = inner, loc
		}
	default:
		msg, at = static(err)
	}
	if at.FileName == "" {
		at.FileName = file
	}
	if r.imports.failed != nil {
		return imported(r.imports.failed, at)
	}
	var known *fault.Error
	if errors.As(err, &known) {
		if known.File == "" {
			known.File = file
		}
		return r.discreet(known)
	}
	if first, _, _ := strings.Cut(msg, "\n"); strings.HasPrefix(first, "(CRASH)") {
		return fault.New(fault.RendererCrashed, at.FileName, at.Begin.Line, "jsonnet crashed: %s", r.redact(clip(strings.TrimPrefix(first, "(CRASH) "))))
	}
	e := fault.New(fault.JsonnetFailed, at.FileName, at.Begin.Line, "%s", r.redact(text(msg)))
	e.Hint = r.hint(msg)
	return e
}

// place is how the library begins the text of an error of the parser.
var place = regexp.MustCompile(`^(.+?):\(?(\d+):\d+\)?(?:-\S+)? `)

// ofImport takes the place out of the message for a file that does not parse,
// which the library gives as text once the file is imported.
func (r *Renderer) ofImport(msg string) (string, ast.LocationRange, bool) {
	m := place.FindStringSubmatch(msg)
	if m == nil {
		return "", ast.LocationRange{}, false
	}
	if _, ok := r.imports.known[m[1]]; !ok {
		return "", ast.LocationRange{}, false
	}
	line, err := strconv.Atoi(m[2])
	if err != nil {
		return "", ast.LocationRange{}, false
	}
	return msg[len(m[0]):], ast.LocationRange{FileName: m[1], Begin: ast.Location{Line: line}}, true
}

// imported puts the fault of an import to where the import is written.
func imported(err error, at ast.LocationRange) error {
	var known *fault.Error
	if !errors.As(err, &known) {
		return err // a failure of the tree
	}
	if known.File == "" {
		known.File, known.Line = at.FileName, at.Begin.Line
	}
	return known
}

// innermost is the place in a file that is nearest to the error.
func innermost(trace []library.TraceFrame) (ast.LocationRange, bool) {
	for _, f := range slices.Backward(trace) {
		if f.Loc.File != nil && f.Loc.FileName != "" && f.Loc.Begin.IsSet() {
			return f.Loc, true
		}
	}
	return ast.LocationRange{}, false
}

// static takes the place out of an error of the parser or the static checks,
// whose text begins with it.
func static(err error) (string, ast.LocationRange) {
	var s interface{ Loc() ast.LocationRange }
	if !errors.As(err, &s) {
		return err.Error(), ast.LocationRange{}
	}
	loc := s.Loc()
	return strings.TrimSpace(strings.TrimPrefix(err.Error(), loc.String())), loc
}

// hint says what to do about the library's commonest messages.
func (r *Renderer) hint(msg string) string {
	if name, ok := strings.CutPrefix(msg, "Undefined external variable: "); ok {
		return "set it in spec.render.jsonnet.extVars" + near(name, r.opts.ExtVars)
	}
	if name, ok := strings.CutPrefix(msg, "Missing argument: "); ok {
		return "set it in spec.render.jsonnet.tlas, if the file is a function" + near(name, r.opts.TLAs)
	}
	if strings.HasPrefix(msg, "function has no parameter ") {
		return "spec.render.jsonnet.tlas are given to every file that is a function"
	}
	switch {
	case strings.HasPrefix(msg, "max stack frames exceeded"):
		return fmt.Sprintf("calls are nested more than %d deep: look for a function or a field that needs itself", maxCalls)
	case strings.HasPrefix(msg, "couldn't manifest function"):
		return "call it, or hide it with ::"
	}
	return ""
}

// near names a variable that is spelt like the one that is missing.
func near(name string, vars map[string]Var) string {
	if len(name) > 64 {
		return ""
	}
	best, cost := "", 1+len(name)/3
	for _, have := range slices.Sorted(maps.Keys(vars)) {
		if len(have) > 64 {
			continue
		}
		if d := spelling.Distance(strings.ToLower(name), strings.ToLower(have)); d <= cost && (best == "" || d < cost) {
			best, cost = have, d
		}
	}
	if best == "" {
		return ""
	}
	return "; there is " + best
}

// maxMessage bounds what is shown of a message that code can make up.
const maxMessage = 500

func text(s string) string {
	s = strings.TrimSpace(strings.ToValidUTF8(s, "�"))
	if len(s) > maxMessage {
		s = strings.ToValidUTF8(s[:maxMessage], "") + "…"
	}
	return s
}

func clip(s string) string {
	s, _, _ = strings.Cut(strings.ToValidUTF8(s, "�"), "\n")
	if len(s) > 128 {
		s = strings.ToValidUTF8(s[:128], "") + "…"
	}
	return s
}

// discreet redacts the message of a fault.
func (r *Renderer) discreet(err error) error {
	var known *fault.Error
	if errors.As(err, &known) {
		known.Msg = r.redact(known.Msg)
	}
	return err
}

// shared is how long a run of bytes has to be that a message and a secret have
// in common to be taken out of the message.
const shared = 6

// redact takes out of a message what it shares with values that may be secret.
// Code can put them into an error by accident (`assert`, `error`, a text that
// does not parse); against one who means to there is no help, since he can as
// well put them into an object.
func (r *Renderer) redact(msg string) string {
	hidden := make([]bool, len(msg))
	for _, vars := range []map[string]Var{r.opts.ExtVars, r.opts.TLAs} {
		for _, v := range vars {
			if v.From == "" {
				continue
			}
			width := min(shared, len(v.Value))
			for i := 0; width > 1 && i+width <= len(msg); i++ {
				if strings.Contains(v.Value, msg[i:i+width]) {
					for k := range width {
						hidden[i+k] = true
					}
				}
			}
		}
	}
	var out strings.Builder
	for i := range len(msg) {
		switch {
		case !hidden[i]:
			out.WriteByte(msg[i])
		case i == 0 || !hidden[i-1]:
			out.WriteString("…")
		}
	}
	return strings.ToValidUTF8(out.String(), "")
}
