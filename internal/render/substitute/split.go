package substitute

import "strings"

// part is a piece of a text: as it is, or a placeholder.
type part struct {
	name       string // of the variable; empty for text
	text       string // the text, or the default
	hasDefault bool
}

// split cuts a text into its parts. If there is a ${ that begins no placeholder,
// bad says what is wrong with it, as the end of a sentence and without quoting
// the text.
func split(s string) (parts []part, bad string) {
	var plain strings.Builder
	for s != "" {
		i := strings.Index(s, "${")
		if i < 0 {
			break
		}
		if i > 0 && s[i-1] == '$' {
			plain.WriteString(s[:i-1] + "${")
			s = s[i+2:]
			continue
		}
		plain.WriteString(s[:i])
		p, rest, bad := placeholder(s[i+2:])
		if bad != "" {
			return nil, bad
		}
		if plain.Len() > 0 {
			parts = append(parts, part{text: plain.String()})
			plain.Reset()
		}
		parts = append(parts, p)
		s = rest
	}
	plain.WriteString(s)
	if plain.Len() > 0 {
		parts = append(parts, part{text: plain.String()})
	}
	return parts, ""
}

// placeholder reads what follows a ${.
func placeholder(s string) (p part, rest, bad string) {
	end := strings.IndexByte(s, '}')
	if end < 0 {
		return p, "", "has a ${ that is never closed"
	}
	inner, rest := s[:end], s[end+1:]
	if strings.Contains(inner, "${") {
		return p, "", "has a ${ within another"
	}
	n := 0
	for n < len(inner) && nameByte(inner[n], n == 0) {
		n++
	}
	p.name = inner[:n]
	switch op := inner[n:]; {
	case n == 0:
		return p, "", "has a ${ that no name follows"
	case op == "":
		return p, rest, ""
	case strings.HasPrefix(op, ":=") || strings.HasPrefix(op, ":-"):
		p.hasDefault, p.text = true, op[2:]
		return p, rest, ""
	}
	return p, "", "has a ${…} that is neither ${NAME} nor ${NAME:=default}"
}

func nameByte(c byte, first bool) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || !first && c >= '0' && c <= '9'
}
