package object

import "strings"

// MaxText bounds a text that comes from elsewhere, in bytes: what a condition or
// an Event can hold, and what people read in a table.
const MaxText = 1024

// Shorten cuts a text to MaxText bytes, between two characters, and makes it
// valid UTF-8.
func Shorten(m string) string {
	m = strings.ToValidUTF8(m, "?")
	if len(m) <= MaxText {
		return m
	}
	cut := MaxText - len("…")
	for cut > 0 && m[cut]&0xC0 == 0x80 {
		cut--
	}
	return m[:cut] + "…"
}
