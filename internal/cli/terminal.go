package cli

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"

	"golang.org/x/term"
)

// isTerminal tells whether a stream is a person's terminal.
func isTerminal(stream any) bool {
	f, ok := stream.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(f.Fd()))
}

// style marks text for a terminal. The zero style marks nothing.
type style struct{ on bool }

// styleOf is the style for what is written to w: colour on a terminal only, and
// never where NO_COLOR is set (no-color.org).
func styleOf(w io.Writer) style {
	return style{isTerminal(w) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"}
}

func (s style) code(c, text string) string {
	if !s.on || text == "" {
		return text
	}
	return "\x1b[" + c + "m" + text + "\x1b[0m"
}

func (s style) bold(t string) string   { return s.code("1", t) }
func (s style) dim(t string) string    { return s.code("2", t) }
func (s style) red(t string) string    { return s.code("31", t) }
func (s style) green(t string) string  { return s.code("32", t) }
func (s style) yellow(t string) string { return s.code("33", t) }
func (s style) cyan(t string) string   { return s.code("36", t) }

// clean makes text that others wrote fit for one line of a terminal: control
// characters could else move the cursor or hide what was printed.
func clean(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\r' || r == '\t':
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r):
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// cleanLines is clean for text of several lines.
func cleanLines(text string) string {
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	for i, l := range lines {
		lines[i] = clean(l)
	}
	return strings.Join(lines, "\n")
}

// ask asks a question on the terminal; only a yes is a yes.
func ask(s Streams, question string) (bool, error) {
	fmt.Fprintf(s.Err, "%s [y/N] ", question)
	line, err := bufio.NewReader(s.In).ReadString('\n')
	if err != nil && err != io.EOF {
		return false, fmt.Errorf("reading the answer: %w", err)
	}
	answer := strings.ToLower(strings.TrimSpace(line))
	return answer == "y" || answer == "yes", nil
}
