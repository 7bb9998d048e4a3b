package git

import (
	"regexp"
	"strings"
)

// userinfo matches credentials in any URL that git or curl repeats.
var userinfo = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)[^/@\s'"]+@`)

// redact removes the secrets of c, and user information of any URL but the
// user name of an ssh one, from text that git or a server wrote, and makes it
// safe to print: no control characters, valid UTF-8.
func (c Credentials) redact(s string) string {
	for _, secret := range c.secrets() {
		s = strings.ReplaceAll(s, secret, "[redacted]")
	}
	s = userinfo.ReplaceAllStringFunc(s, func(m string) string {
		if strings.HasPrefix(m, "ssh://") && !strings.Contains(m[len("ssh://"):], ":") {
			return m
		}
		return m[:strings.Index(m, "://")+3]
	})
	return printable(s, true)
}

// printable replaces control characters by spaces, so that no terminal obeys
// them; line breaks stay if asked for.
func printable(s string, lines bool) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' && lines {
			return r
		}
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
}
