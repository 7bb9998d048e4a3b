package ignore

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/quick"
)

// rows are checked against our matcher, and our expectation against git.
var rows = []struct {
	patterns string
	path     string // a folder if it ends in a slash
	want     bool
	why      string
}{
	{"*.log", "a.log", true, "a glob"},
	{"*.log", "d/e/a.log", true, "without a slash at any depth"},
	{"*.log", "a.log.txt", false, "the whole name"},
	{"/a.log", "a.log", true, "anchored"},
	{"/a.log", "d/a.log", false, "anchored to the folder of the file"},
	{"d/a.log", "d/a.log", true, "a slash in the middle anchors"},
	{"d/a.log", "x/d/a.log", false, "a slash in the middle anchors"},
	{"d/", "d/", true, "folders only"},
	{"d/", "d", false, "folders only"},
	{"d/", "x/d/", true, "a slash at the end does not anchor"},
	{"**/d", "x/y/d", true, "leading **"},
	{"**/d", "d", true, "leading ** is also none"},
	{"d/**", "d/x", true, "trailing **"},
	{"d/**", "d/", false, "trailing ** is what is inside"},
	{"a/**/b", "a/b", true, "** is also none"},
	{"a/**/b", "a/x/y/b", true, "** in the middle"},
	{"a/**/b", "a/x/y/c", false, "** in the middle"},
	{"a**b", "axxb", true, "** inside a name is *"},
	{"a/x**b/c", "a/x/b/c", false, "** inside a name stays in it"},
	{"*", "a", true, "everything"},
	{"a*c", "ac", true, "* is also nothing"},
	{"a*/b", "ax/b", true, "* within an element"},
	{"/*/b", "x/y/b", false, "* is one element"},
	{"a?c", "abc", true, "?"},
	{"a?c", "a/c", false, "? is no slash"},
	{"[a-c].x", "b.x", true, "set"},
	{"[!a-c].x", "b.x", false, "negated set"},
	{"[^a-c].x", "d.x", true, "negated set"},
	{"[]a].x", "].x", true, "] first in a set"},
	{"[a", "[a", false, "a set that is not closed"},
	{"[a-].x", "-.x", true, "- last in a set"},
	{`\*.x`, "*.x", true, "protected star"},
	{`\*.x`, "a.x", false, "protected star"},
	{`\#a`, "#a", true, "protected #"},
	{"#a", "#a", false, "a comment"},
	{`\!a`, "!a", true, "protected !"},
	{"*.x\n!a.x", "a.x", false, "taken back"},
	{"!a.x\n*.x", "a.x", true, "the last one decides"},
	{"a.x   ", "a.x", true, "trailing spaces"},
	{`a\ `, "a ", true, "protected space"},
	{"é*", "éa", true, "more than ASCII"},
	{"?", "é", true, "? is a character"},
	{"", "a", false, "nothing"},
	{"/", "a", false, "only a slash"},
	{"!", "a", false, "only a !"},
	{"a\r", "a", true, "Windows line end"},
}

func TestMatch(t *testing.T) {
	for _, r := range rows {
		f, err := Parse(".", []byte(r.patterns))
		if err != nil {
			t.Fatal(err)
		}
		m, _ := f.Match(strings.TrimSuffix(r.path, "/"), strings.HasSuffix(r.path, "/"))
		if m.Ignored != r.want {
			t.Errorf("%q on %q is %v, want %v: %s", r.patterns, r.path, m.Ignored, r.want, r.why)
		}
	}
}

// TestAsGit asks git itself about the same rows.
func TestAsGit(t *testing.T) {
	git, err := exec.LookPath("git")
	if err != nil {
		t.Skip("git is not here")
	}
	for _, r := range rows {
		if strings.Contains(r.patterns, "\r") {
			continue // git takes the carriage return for part of the name
		}
		if r.patterns == "?" {
			continue // git counts bytes, not characters
		}
		dir := t.TempDir()
		run := func(args ...string) error {
			cmd := exec.Command(git, args...)
			cmd.Dir = dir
			cmd.Env = []string{"HOME=" + dir, "GIT_CONFIG_NOSYSTEM=1", "PATH=" + os.Getenv("PATH")}
			return cmd.Run()
		}
		if err := run("init", "-q"); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, ".gitignore"), []byte(r.patterns+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		p := filepath.Join(dir, filepath.FromSlash(r.path))
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(r.path, "/") {
			err = os.MkdirAll(p, 0o755)
		} else {
			err = os.WriteFile(p, nil, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		got := run("check-ignore", "-q", "--no-index", "--", strings.TrimSuffix(r.path, "/")) == nil
		if got != r.want {
			t.Errorf("git says %v of %q on %q, the table %v: %s", got, r.patterns, r.path, r.want, r.why)
		}
	}
}

func TestStack(t *testing.T) {
	outer, err := Parse(".", []byte("*.x\n"))
	if err != nil {
		t.Fatal(err)
	}
	inner, err := Parse("d", []byte("!keep.x\n/only\n"))
	if err != nil {
		t.Fatal(err)
	}
	s := Stack{outer, inner}
	for path, want := range map[string]bool{"a.x": true, "keep.x": true, "d/keep.x": false, "d/b.x": true, "d/only": true, "only": false, "d/e/only": false} {
		if m, _ := s.Match(path, false); m.Ignored != want {
			t.Errorf("%s is %v, want %v", path, m.Ignored, want)
		}
	}
}

func TestLimits(t *testing.T) {
	for name, text := range map[string]string{
		"bytes":    strings.Repeat("# x\n", MaxBytes),
		"patterns": strings.Repeat("a\n", maxPatterns+1),
		"line":     strings.Repeat("a", maxLine+1),
	} {
		if _, err := Parse(".", []byte(text)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestMatchIsQuick has patterns that a backtracking matcher never finishes.
func TestMatchIsQuick(t *testing.T) {
	for _, pattern := range []string{
		strings.Repeat("*a", 500) + "b",
		strings.Repeat("**/", 300) + "b",
		strings.Repeat("**/a/", 200) + "b",
	} {
		f, err := Parse(".", []byte(pattern))
		if err != nil {
			t.Fatal(err)
		}
		if m, _ := f.Match(strings.Repeat("a/", 500)+strings.Repeat("a", 1000), false); m.Ignored {
			t.Errorf("%.20s… matches", pattern)
		}
	}
}

// TestLiteral: a name with every special character protected matches itself.
func TestLiteral(t *testing.T) {
	err := quick.Check(func(name string) bool {
		name = strings.ToValidUTF8(strings.Map(func(r rune) rune {
			if r == '/' || r == '\n' || r == '\r' || r == 0 {
				return 'x'
			}
			return r
		}, name), "x")
		if name == "" {
			return true
		}
		var b strings.Builder
		for _, r := range name {
			b.WriteRune('\\')
			b.WriteRune(r)
		}
		f, err := Parse(".", []byte(b.String()))
		if err != nil {
			return true // too long
		}
		m, _ := f.Match(name, false)
		return m.Ignored
	}, nil)
	if err != nil {
		t.Error(err)
	}
}

func FuzzMatch(f *testing.F) {
	for _, r := range rows {
		f.Add(r.patterns, r.path)
	}
	f.Fuzz(func(t *testing.T, patterns, path string) {
		file, err := Parse("d", []byte(patterns))
		if err != nil {
			return
		}
		a, okA := file.Match("d/"+path, true)
		b, okB := file.Match("d/"+path, true)
		if a != b || okA != okB {
			t.Error("two answers to one question")
		}
		if _, ok := file.Match("e/"+path, false); ok {
			t.Error("matches outside of its folder")
		}
	})
}
