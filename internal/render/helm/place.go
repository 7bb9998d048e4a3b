package helm

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

const (
	// maxPath is how many names and numbers a path has at most.
	maxPath = 30
	// maxIndex is the largest number in a path.
	maxIndex = 1000
)

// parsePath reads "a.b[0].c": the names and the numbers on the way. A dot, a
// bracket or a backslash in a name has a backslash before it.
func parsePath(s string) (path []any, ok bool) {
	for first := true; s != ""; first = false {
		if s[0] == '[' {
			number, rest, closed := strings.Cut(s[1:], "]")
			n, err := strconv.Atoi(number)
			if !closed || first || err != nil || n < 0 || n > maxIndex {
				return nil, false
			}
			path, s = append(path, n), rest
			continue
		}
		if !first {
			if s[0] != '.' {
				return nil, false
			}
			s = s[1:]
		}
		name, rest := cutName(s)
		if name == "" {
			return nil, false
		}
		path, s = append(path, name), rest
	}
	return path, len(path) > 0 && len(path) <= maxPath
}

func cutName(s string) (name, rest string) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			if i++; i == len(s) {
				return "", ""
			}
		case '.', '[', ']':
			return b.String(), s[i:]
		}
		b.WriteByte(s[i])
	}
	return b.String(), ""
}

// placed returns v with text at path, and whether there is such a place: what
// is there already has to be of the kind that the path expects. What is on the
// way is copied, not changed.
func placed(v any, path []any, text string) (any, bool) {
	if len(path) == 0 {
		return text, true
	}
	switch at := path[0].(type) {
	case string:
		m, isMap := v.(map[string]any)
		if v != nil && !isMap {
			return nil, false
		}
		inner, ok := placed(m[at], path[1:], text)
		if m = maps.Clone(m); m == nil {
			m = map[string]any{}
		}
		m[at] = inner
		return m, ok
	case int:
		list, isList := v.([]any)
		if v != nil && !isList {
			return nil, false
		}
		list = slices.Clone(list)
		for len(list) <= at {
			list = append(list, nil)
		}
		inner, ok := placed(list[at], path[1:], text)
		list[at] = inner
		return list, ok
	}
	return nil, false
}
