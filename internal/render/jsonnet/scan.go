package jsonnet

import "strings"

// Bounds of one file of code. The library follows the syntax tree by recursion,
// with some 40 KB of stack for each bracket, and a stack that overflows ends
// the process. What people write has a few dozen brackets and a few hundred
// tokens.
const (
	maxBrackets = 1_000
	maxTokens   = 10_000
)

// scanned is what is known of code before it is parsed.
type scanned struct {
	// brackets is how many are open at most, tokens is at least how deep the
	// syntax tree gets otherwise.
	brackets, tokens int
	// code and text are the paths after import, and after importstr or
	// importbin, as they are written.
	code, text map[string]bool
	// escaped: some path after import has an escape in it, so that code does not
	// have it as the library will.
	escaped bool
}

// tooDeep tells whether the library is not to see it.
func (s scanned) tooDeep() bool { return s.brackets > maxBrackets || s.tokens > maxTokens }

// isText tells whether p is imported as text only, which need not be code.
func (s scanned) isText(p string) bool { return s.text[p] && !s.code[p] && !s.escaped }

// scan reads code as the library's lexer does and counts, at each place, the
// tokens before it that are not closed off by a comma or a bracket: no
// construct nests deeper than it has tokens. Of text that the lexer refuses the
// result says nothing.
func scan(src string) scanned {
	s := scanner{src: src, out: scanned{code: map[string]bool{}, text: map[string]bool{}}, runs: []int{0}}
	for s.pos < len(s.src) {
		s.next()
	}
	return s.out
}

type scanner struct {
	src  string
	pos  int
	out  scanned
	runs []int  // tokens since the last comma, for each open bracket
	sum  int    // of runs
	word string // the token before this one, if it is a word
}

// token counts one token.
func (s *scanner) token() {
	s.runs[len(s.runs)-1]++
	s.sum++
	s.out.tokens = max(s.out.tokens, s.sum)
}

// settle forgets the tokens of the innermost bracket.
func (s *scanner) settle() {
	top := &s.runs[len(s.runs)-1]
	s.sum -= *top
	*top = 0
}

func (s *scanner) rest() string { return s.src[s.pos:] }

// next reads one token, or the space or comment before it.
func (s *scanner) next() {
	word := s.word
	switch c := s.src[s.pos]; {
	case strings.IndexByte(" \t\r\n", c) >= 0:
		s.pos++
		return
	case c == '#' || strings.HasPrefix(s.rest(), "//"):
		s.skipTo("\n")
		return
	case strings.HasPrefix(s.rest(), "/*"):
		s.pos += 2
		s.skipTo("*/")
		return
	}
	s.word = ""
	s.token()
	switch c := s.src[s.pos]; {
	case c == '(' || c == '[' || c == '{':
		s.pos++
		s.runs = append(s.runs, 0)
		s.out.brackets = max(s.out.brackets, len(s.runs)-1)
	case c == ')' || c == ']' || c == '}':
		s.pos++
		s.settle()
		if len(s.runs) > 1 {
			s.runs = s.runs[:len(s.runs)-1]
		}
	case c == ',':
		s.pos++
		s.settle()
	case c == '"' || c == '\'':
		s.quoted(word, c)
	case c == '@' && s.pos+1 < len(s.src) && (s.src[s.pos+1] == '"' || s.src[s.pos+1] == '\''):
		s.verbatim(word, s.src[s.pos+1])
	case strings.HasPrefix(s.rest(), "|||"):
		s.block()
	case isWord(c):
		start := s.pos
		for s.pos < len(s.src) && isWord(s.src[s.pos]) {
			s.pos++
		}
		s.word = s.src[start:s.pos]
	default:
		s.pos++
	}
}

func isWord(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

func (s *scanner) skipTo(end string) {
	i := strings.Index(s.rest(), end)
	if i < 0 {
		s.pos = len(s.src)
		return
	}
	s.pos += i + len(end)
}

// quoted reads a string with escapes, which word may make the path of an import.
func (s *scanner) quoted(word string, quote byte) {
	start := s.pos + 1
	for s.pos++; s.pos < len(s.src) && s.src[s.pos] != quote; s.pos++ {
		if s.src[s.pos] == '\\' {
			s.pos++
		}
	}
	s.imported(word, s.src[min(start, len(s.src)):min(s.pos, len(s.src))], `\`)
	s.pos++
}

// verbatim reads a string in which only its quote is special, written twice.
func (s *scanner) verbatim(word string, quote byte) {
	start := s.pos + 2
	for s.pos += 2; s.pos < len(s.src); s.pos++ {
		if s.src[s.pos] != quote {
			continue
		}
		if s.pos+1 >= len(s.src) || s.src[s.pos+1] != quote {
			break
		}
		s.pos++
	}
	s.imported(word, s.src[start:min(s.pos, len(s.src))], string(quote))
	s.pos++
}

func (s *scanner) imported(word, p, special string) {
	switch word {
	case "import":
		s.out.code[p] = true
		s.out.escaped = s.out.escaped || strings.Contains(p, special)
	case "importstr", "importbin":
		s.out.text[p] = true
	}
}

// block reads a text block. It ends at the first line that does not begin with
// the white space that its first line begins with.
func (s *scanner) block() {
	s.skipTo("\n")
	for strings.HasPrefix(s.rest(), "\n") {
		s.pos++
	}
	rest := s.rest()
	indent := rest[:len(rest)-len(strings.TrimLeft(rest, " \t"))]
	if indent == "" {
		return
	}
	for strings.HasPrefix(s.rest(), indent) || strings.HasPrefix(s.rest(), "\n") {
		s.skipTo("\n")
	}
	if i := strings.Index(s.rest(), "|||"); i >= 0 {
		s.pos += i + len("|||")
	}
}
