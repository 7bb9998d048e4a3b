package ignore

import "unicode/utf8"

// matchPath matches whole elements; "**" stands for any number of them. Row i
// of the table says which suffixes of names the pattern from element i on
// matches.
func matchPath(segments, names []string) bool {
	// A trailing "**" takes what is inside of a folder, not the folder.
	next := make([]bool, len(names)+1)
	next[len(names)] = true
	for i := len(segments) - 1; i >= 0; i-- {
		row := make([]bool, len(names)+1)
		for j := len(names); j >= 0; j-- {
			switch {
			case segments[i] == "**" && i == len(segments)-1:
				row[j] = j < len(names)
			case segments[i] == "**":
				row[j] = next[j] || (j < len(names) && row[j+1])
			default:
				row[j] = j < len(names) && next[j+1] && matchElement(segments[i], names[j])
			}
		}
		next = row
	}
	return next[0]
}

// matchElement matches one name against a glob without slashes. Only the last
// star is ever tried again, which is enough for globs and keeps it quick.
func matchElement(glob, name string) bool {
	g, n := 0, 0
	star, mark := -1, 0
	for n < len(name) {
		if g < len(glob) && glob[g] == '*' {
			for g < len(glob) && glob[g] == '*' {
				g++
			}
			star, mark = g, n
			continue
		}
		r, size := utf8.DecodeRuneInString(name[n:])
		if width, ok := matchOne(glob[g:], r); ok {
			g, n = g+width, n+size
			continue
		}
		if star < 0 {
			return false
		}
		_, size = utf8.DecodeRuneInString(name[mark:])
		mark += size
		g, n = star, mark
	}
	for g < len(glob) && glob[g] == '*' {
		g++
	}
	return g == len(glob)
}

// matchOne matches r against the first item of glob and returns how many
// bytes of glob that item has.
func matchOne(glob string, r rune) (int, bool) {
	if glob == "" {
		return 0, false
	}
	switch glob[0] {
	case '?':
		return 1, true
	case '[':
		return matchSet(glob, r)
	case '\\':
		if len(glob) == 1 {
			return 0, false
		}
		c, size := utf8.DecodeRuneInString(glob[1:])
		return 1 + size, c == r
	}
	c, size := utf8.DecodeRuneInString(glob)
	return size, c == r
}

// matchSet matches "[…]". A set that is not closed matches nothing.
func matchSet(glob string, r rune) (int, bool) {
	i, negated, found := 1, false, false
	if i < len(glob) && (glob[i] == '!' || glob[i] == '^') {
		negated = true
		i++
	}
	for first := true; ; first = false {
		if i >= len(glob) {
			return 0, false
		}
		if glob[i] == ']' && !first {
			return i + 1, found != negated
		}
		low, size, ok := setRune(glob[i:])
		if !ok {
			return 0, false
		}
		i += size
		high := low
		if i+1 < len(glob) && glob[i] == '-' && glob[i+1] != ']' {
			if high, size, ok = setRune(glob[i+1:]); !ok {
				return 0, false
			}
			i += 1 + size
		}
		if low <= r && r <= high {
			found = true
		}
	}
}

func setRune(s string) (rune, int, bool) {
	if s[0] != '\\' {
		r, size := utf8.DecodeRuneInString(s)
		return r, size, true
	}
	if len(s) == 1 {
		return 0, 0, false
	}
	r, size := utf8.DecodeRuneInString(s[1:])
	return r, 1 + size, true
}
