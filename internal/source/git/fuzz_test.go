package git

import (
	"bytes"
	"io/fs"
	"net/url"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestParseURL(t *testing.T) {
	for _, tt := range []struct {
		in, want string // want "" is a refusal
		why      string
	}{
		{"https://GitHub.com:443/Org/Repo/", "https://github.com/Org/Repo", "host in lower case, no default port, no last slash; the path as it is"},
		{"https://host/repo.git", "https://host/repo.git", "with and without .git may be two repositories"},
		{"http://127.0.0.1:8080/r", "http://127.0.0.1:8080/r", ""},
		{"https://[::1]:8443/r", "https://[::1]:8443/r", ""},
		{"ssh://git@Host:22/srv/r", "ssh://git@host/srv/r", ""},
		{"ssh://git@host:2222/r", "ssh://git@host:2222/r", ""},
		{"git@GitHub.com:org/repo", "git@github.com:org/repo", "relative to the user's home"},
		{"git@host:/srv/repo", "ssh://git@host/srv/repo", "absolute: the same as ssh://"},
		{"host:repo", "host:repo", ""},
		{"file:///srv/r/", "file:///srv/r", ""},
		{"/srv//r", "file:///srv/r", ""},
		{"/srv/my repo", "file:///srv/my%20repo", "folders of people have spaces"},
		{"/srv/r\nx", "", "line break"},
		{"https://user:pass@host/r", "", "credentials"},
		{"https://token@host/r", "", "a token as the user"},
		{"ssh://git:pass@host/r", "", "credentials"},
		{"ext::sh -c touch% /tmp/x", "", "a remote helper that runs commands"},
		{"ext::x", "", "a remote helper"},
		{"transport::https://host/r", "", "a remote helper"},
		{"git://host/r", "", "neither encrypted nor checked"},
		{"ftp://host/r", "", "unknown transport"},
		{"--upload-pack=touch /tmp/x", "", "an option"},
		{"-oProxyCommand=x:y", "", "an option"},
		{"ssh://-oProxyCommand=x/y", "", "a host that is an option"},
		{"-x@host:y", "", "a user that is an option"},
		{"git@-host:y", "", "a host that is an option"},
		{"git@host:-y", "", "a path that is an option"},
		{"https://host/../../etc", "", "a path that goes up"},
		{"https://host/a/%2e%2e/b", "", "a path that goes up, encoded"},
		{"/srv/../etc", "", "a path that goes up"},
		{"https://host/r?x=y", "", "query"},
		{"https://host/r#x", "", "fragment"},
		{"https://host", "", "no repository"},
		{"https:///r", "", "no host"},
		{"https://host:0/r", "", "no port"},
		{"https://host:99999/r", "", "no port"},
		{"https://ho st/r", "", "space"},
		{"https://host/r\nx", "", "line break"},
		{"https://host/r%0ax", "", "line break, encoded"},
		{"relative/path", "", "not absolute"},
		{"file://host/r", "", "a file has no host"},
		{"file:relative", "file:relative", "the short form of a host called file, as git has it"},
		{"", "", "empty"},
		{"https://" + strings.Repeat("a", 3000) + "/r", "", "too long"},
		{"https://" + strings.Repeat("a", 253) + "/r", "https://" + strings.Repeat("a", 253) + "/r", "the longest host"},
		{"https://" + strings.Repeat("a", 254) + "/r", "", "a host that is too long"},
		{"ssh://" + strings.Repeat("u", 64) + "@host/r", "ssh://" + strings.Repeat("u", 64) + "@host/r", "the longest user"},
		{"ssh://" + strings.Repeat("u", 65) + "@host/r", "", "a user that is too long"},
	} {
		u, err := ParseURL(tt.in)
		if tt.want == "" {
			if !IsKind(err, URLInvalid) {
				t.Errorf("%q (%s): %v, %v", tt.in, tt.why, u, err)
			}
			if err != nil && strings.Contains(err.Error(), "pass") && !strings.Contains(err.Error(), "pass on") {
				t.Errorf("%q: the error repeats the password: %v", tt.in, err)
			}
			if strings.Contains(tt.why, "credentials") && !strings.Contains(err.Error(), "Repository") {
				t.Errorf("%q: %v does not say where credentials go", tt.in, err)
			}
			continue
		}
		if err != nil || u.String() != tt.want {
			t.Errorf("%q (%s): %q, %v, want %q", tt.in, tt.why, u, err, tt.want)
		}
	}
}

func FuzzParseURL(f *testing.F) {
	for _, s := range []string{"https://h/r", "git@h:r", "ssh://u@h:2/r", "/a/b", "file:///a", "ext::x", "-x", "https://u:p@h/r", "https://[::1]/%41", "h:/%zz"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := ParseURL(s)
		if err != nil {
			if parsed, perr := url.Parse(s); perr == nil && parsed.User != nil && parsed.Host != "" {
				if p, ok := parsed.User.Password(); ok && len(p) > 6 && !strings.Contains(parsed.Host+parsed.Path, p) && strings.Contains(err.Error(), p) {
					t.Errorf("%q: the error repeats the password: %v", s, err)
				}
			}
			return
		}
		c := u.String()
		// git takes what stands before a first "::" for a remote helper.
		if before, after, _ := strings.Cut(c, ":"); strings.HasPrefix(c, "-") || strings.HasPrefix(after, ":") && !strings.Contains(before, "@") {
			t.Errorf("%q became %q, which git could misunderstand", s, c)
		}
		if strings.ContainsFunc(c, unicode.IsControl) {
			t.Errorf("%q became %q", s, c)
		}
		again, err := ParseURL(c)
		if err != nil || again != u {
			t.Errorf("%q is %q, and that is %q, %v", s, c, again, err)
		}
	})
}

func FuzzParseRefs(f *testing.F) {
	h := strings.Repeat("a", 40)
	f.Add("ref: refs/heads/main\tHEAD\n" + h + "\tHEAD\n" + h + "\trefs/heads/main\n" + h + "\trefs/tags/v1^{}\n")
	f.Add("ref: ../../x\tHEAD\n" + h + "\tHEAD\n")
	f.Add(h + " no tab\n")
	f.Add("\x00\xff\t\t\n")
	f.Fuzz(func(t *testing.T, s string) {
		refs, err := parseRefs(strings.NewReader(s), []string{"HEAD", "refs/heads/*", "refs/tags/v1"})
		if err != nil {
			return
		}
		if refs.Head != "" && !ValidRefName(refs.Head) {
			t.Errorf("head is %q", refs.Head)
		}
		for name, hash := range refs.Hashes {
			if !isHash(hash) || name != "HEAD" && !ValidRefName(name) {
				t.Errorf("%q is %q", name, hash)
			}
		}
	})
}

func FuzzParseTree(f *testing.F) {
	id := strings.Repeat("\x11", 20)
	f.Add([]byte("100644 a\x00" + id + "40000 b\x00" + id))
	f.Add([]byte("40000 a\x00" + id + "100644 a.b\x00" + id))
	f.Add([]byte("100644 ../x\x00" + id))
	f.Add([]byte("160000 s\x00" + id + "120000 s\x00" + id))
	f.Add([]byte("100644 cut\x00abc"))
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, err := parseTree(b, 20)
		if err != nil {
			return
		}
		for i, e := range entries {
			if strings.Contains(e.Name, "/") || e.Name == "" || e.Name == ".." || !isHash(e.Hash) || e.Kind == 0 {
				t.Errorf("entry %+v", e)
			}
			if utf8.ValidString(e.Name) && !fs.ValidPath(e.Name) {
				t.Errorf("the name %q is no path", e.Name)
			}
			if i > 0 && entries[i-1].Name >= e.Name {
				t.Errorf("%q stands before %q", entries[i-1].Name, e.Name)
			}
		}
	})
}

func FuzzParseCommit(f *testing.F) {
	tree := "tree " + strings.Repeat("a", 40) + "\n"
	f.Add([]byte(tree + "author A <a@b> 1700000000 +0200\ncommitter C <c@d> 1700000000 -0530\n\nSubject\nmore\n\nbody"))
	f.Add([]byte(tree + "author \x1b[31m <a\n\n\xff\xfe"))
	f.Add([]byte(tree + "gpgsig -----BEGIN\n tree x\n -----END\nencoding ISO-8859-1\nauthor \xe9 <> 99999999999999999 +9999\n\n\xe9"))
	f.Add([]byte("author"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := parseCommit(strings.Repeat("b", 40), b)
		if err != nil {
			return
		}
		if !isHash(c.Tree) {
			t.Errorf("tree is %q", c.Tree)
		}
		for _, s := range []string{c.AuthorName, c.AuthorEmail, c.CommitterName, c.CommitterEmail, c.Subject} {
			if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) || len(s) > maxSubject+8 {
				t.Errorf("text %q", s)
			}
		}
		for _, when := range []interface{ MarshalJSON() ([]byte, error) }{c.AuthorDate, c.CommitterDate} {
			if _, err := when.MarshalJSON(); err != nil {
				t.Error(err)
			}
		}
	})
}

func FuzzParseHeader(f *testing.F) {
	h := strings.Repeat("a", 40)
	f.Add(h + " blob 12")
	f.Add(h + " missing")
	f.Add(h + " blob -1")
	f.Fuzz(func(t *testing.T, line string) {
		if kind, size, err := parseHeader(line, h); err == nil && (size < 0 || strings.Contains(kind, " ")) {
			t.Errorf("%q: %q, %d", line, kind, size)
		}
	})
}

func TestParseCommit(t *testing.T) {
	body := "tree " + strings.Repeat("a", 40) + "\nparent " + strings.Repeat("c", 40) +
		"\nauthor Ada L. <ada@example.org> 1700000000 +0230\ncommitter \xe9 <g@example.org> 1700000060 -0100\n" +
		"encoding ISO-8859-1\ngpgsig -----BEGIN X-----\n author Evil <evil@example.org> 1 +0000\n -----END X-----\n\nFix caf\xe9\nin two lines\n\nBody\n"
	c, err := parseCommit(strings.Repeat("b", 40), []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	if c.AuthorName != "Ada L." || c.AuthorEmail != "ada@example.org" || c.AuthorDate.Format("2006-01-02T15:04:05-07:00") != "2023-11-15T00:43:20+02:30" {
		t.Errorf("author %q %q %v", c.AuthorName, c.AuthorEmail, c.AuthorDate)
	}
	if c.CommitterName != "é" || c.Subject != "Fix café in two lines" || len(c.Parents) != 1 {
		t.Errorf("committer %q, subject %q, parents %v", c.CommitterName, c.Subject, c.Parents)
	}
	if _, err := parseCommit(strings.Repeat("b", 40), []byte("author A <a> 1 +0000\n\nno tree")); err == nil {
		t.Error("a commit without a tree was taken")
	}
	escape, _ := parseCommit(strings.Repeat("b", 40), []byte("tree "+strings.Repeat("a", 40)+"\nauthor \x1b[31mred <\u202ea@b> 1 +0000\n\n\x1b]0;title\x07x"))
	for _, s := range []string{escape.AuthorName, escape.AuthorEmail, escape.Subject} {
		if strings.ContainsAny(s, "\x1b\x07\u202e") {
			t.Errorf("a terminal would obey %q", s)
		}
	}
}

func TestReadVerifiesTheHash(t *testing.T) {
	if got := hashOf("blob", []byte("hello\n"), 40); got != "ce013625030ba8dba906f756967f9e9ca394464a" {
		t.Errorf("hash %s", got) // as "git hash-object" has it
	}
	if got := hashOf("blob", []byte("hello\n"), 64); got != "2cf8d83d9ee29543b34a87727421fdecb7e3f3a183d337639025de576db9ebb4" {
		t.Errorf("hash %s", got)
	}
}

func TestRedact(t *testing.T) {
	c := Credentials{Username: "u", Password: "p@ss word", BearerToken: "", Proxy: "http://pu:pp@ss@proxy:1"}
	in := "fatal: https://u:p%40ss%20word@host/r and p@ss word and dTpwQHNzIHdvcmQ= via http://pu:other@proxy \x1b[31m"
	got := c.redact(in)
	for _, s := range []string{"p@ss word", "p%40ss", "dTpwQHNzIHdvcmQ=", "pu:other", "\x1b"} {
		if strings.Contains(got, s) {
			t.Errorf("%q still has %q", got, s)
		}
	}
}

func TestCacheIsBounded(t *testing.T) {
	c := newObjectCache(10_000)
	m, other := &Mirror{}, &Mirror{}
	for i := range 200 {
		c.put(m, string(rune('a'+i)), &cached{blob: bytes.Repeat([]byte("x"), 100), cost: 100})
	}
	if c.size > 10_000 || len(c.byKey) != c.order.Len() || len(c.byKey) == 0 {
		t.Errorf("size %d with %d entries", c.size, len(c.byKey))
	}
	c.put(m, "huge", &cached{cost: 9000})
	if c.get(m, "huge") != nil {
		t.Error("one object may not push out all others")
	}
	c.put(other, "same", &cached{blob: []byte("b"), cost: 1})
	if c.get(m, "same") != nil {
		t.Error("one mirror answered for another")
	}
	c.forget(other)
	if c.get(other, "same") != nil {
		t.Error("a forgotten mirror's object is still there")
	}
}
