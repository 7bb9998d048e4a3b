// Package ignore decides which files of a folder are left out, by the patterns
// of its .abideignore files.
//
// The syntax is that of gitignore(5):
//
//   - a blank line or one that starts with # says nothing; a backslash takes
//     the meaning from a first # or !, from a trailing space, and from any
//     character of a pattern;
//   - * and ? match within one path element, [a-z], [!a-z] one character of a
//     set; **/ in front matches in all folders, /** at the end everything
//     inside, /**/ any number of folders between;
//   - a slash at the end makes the pattern match folders only;
//   - a slash at the start or in the middle ties the pattern to the folder of
//     its file, otherwise it matches at any depth below;
//   - ! takes back what an earlier pattern left out; the last one that matches
//     decides, and files nearer to the path decide over those further up;
//   - what lies in a folder that is left out stays out.
//
// Unlike in Git, ? and sets match a character of UTF-8, not a byte, and a
// carriage return at the end of a line is no part of the pattern.
//
// Matching takes time in proportion to pattern times path, whatever the
// pattern: it never backtracks more than that.
package ignore

import (
	"fmt"
	"strings"
)

// FileName is the name of the files that hold patterns.
const FileName = ".abideignore"

// Bounds of one file.
const (
	MaxBytes    = 64 << 10
	maxPatterns = 1000
	maxLine     = 1024
)

// File is the patterns of one .abideignore. The zero value matches nothing.
type File struct {
	dir      string // folder of the file, "." for the root
	patterns []pattern
}

type pattern struct {
	text     string
	line     int
	negated  bool
	dirOnly  bool
	anchored bool
	segments []string
}

// Match says which pattern decided.
type Match struct {
	Ignored bool
	Pattern string
	File    string
	Line    int
}

// LimitError says that a file has more patterns, or longer ones, than are
// read.
type LimitError struct {
	Line int
	Msg  string
}

func (e *LimitError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Msg) }

// Parse reads the content of the .abideignore in dir.
func Parse(dir string, content []byte) (*File, error) {
	f := &File{dir: dir}
	if len(content) > MaxBytes {
		return nil, &LimitError{Line: 1, Msg: fmt.Sprintf("has more than %d bytes", MaxBytes)}
	}
	number := 0
	for line := range strings.SplitSeq(string(content), "\n") {
		number++
		p, ok := parseLine(strings.TrimSuffix(line, "\r"))
		if !ok {
			continue
		}
		if len(line) > maxLine {
			return nil, &LimitError{Line: number, Msg: fmt.Sprintf("pattern of more than %d bytes", maxLine)}
		}
		if len(f.patterns) >= maxPatterns {
			return nil, &LimitError{Line: number, Msg: fmt.Sprintf("more than %d patterns", maxPatterns)}
		}
		p.line = number
		f.patterns = append(f.patterns, p)
	}
	return f, nil
}

func parseLine(line string) (pattern, bool) {
	line = trimTrailingSpaces(line)
	if line == "" || line[0] == '#' {
		return pattern{}, false
	}
	p := pattern{text: line}
	if line[0] == '!' {
		p.negated, line = true, line[1:]
	}
	if strings.HasSuffix(line, "/") {
		p.dirOnly, line = true, strings.TrimSuffix(line, "/")
	}
	p.anchored = strings.Contains(line, "/")
	line = strings.TrimPrefix(line, "/")
	if line == "" {
		return pattern{}, false
	}
	p.segments = strings.Split(line, "/")
	return p, true
}

// trimTrailingSpaces keeps a space that a backslash protects.
func trimTrailingSpaces(s string) string {
	for strings.HasSuffix(s, " ") {
		cut := s[:len(s)-1]
		slashes := len(cut) - len(strings.TrimRight(cut, `\`))
		if slashes%2 == 1 {
			return s
		}
		s = cut
	}
	return s
}

// Match tells what the patterns of f say of path, which lies below the folder
// of f. The second result is false when no pattern matches.
func (f *File) Match(path string, isDir bool) (Match, bool) {
	rel := path
	if f.dir != "." {
		var below bool
		if rel, below = strings.CutPrefix(path, f.dir+"/"); !below {
			return Match{}, false
		}
	}
	names := strings.Split(rel, "/")
	for i := len(f.patterns) - 1; i >= 0; i-- {
		p := &f.patterns[i]
		if p.dirOnly && !isDir {
			continue
		}
		if !p.match(names) {
			continue
		}
		file := FileName
		if f.dir != "." {
			file = f.dir + "/" + FileName
		}
		return Match{Ignored: !p.negated, Pattern: p.text, File: file, Line: p.line}, true
	}
	return Match{}, false
}

func (p *pattern) match(names []string) bool {
	if !p.anchored {
		return matchElement(p.segments[0], names[len(names)-1])
	}
	return matchPath(p.segments, names)
}

// Stack is the files that apply to a path, outermost first.
type Stack []*File

// Match asks the innermost file first.
func (s Stack) Match(path string, isDir bool) (Match, bool) {
	for i := len(s) - 1; i >= 0; i-- {
		if m, ok := s[i].Match(path, isDir); ok {
			return m, true
		}
	}
	return Match{}, false
}
