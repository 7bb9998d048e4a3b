package snapshot

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"sort"
	"strings"
	"testing"
)

// memory is a Tree from a map: a value that starts with "->" is a link.
type memory map[string]string

func (memory) Hash() string { return "root" }

func (m memory) Lookup(p string) (Entry, error) {
	if p == "." {
		return Entry{Name: ".", Kind: Dir, Hash: "root"}, nil
	}
	if v, ok := m[p]; ok {
		kind := File
		if strings.HasPrefix(v, "->") {
			kind = Symlink
		}
		return Entry{Name: path.Base(p), Kind: kind, Hash: "blob of " + p}, nil
	}
	for name := range m {
		if strings.HasPrefix(name, p+"/") {
			return Entry{Name: path.Base(p), Kind: Dir, Hash: "tree of " + p}, nil
		}
	}
	return Entry{}, &fs.PathError{Op: "open", Path: p, Err: fs.ErrNotExist}
}

func (m memory) ReadDir(p string) ([]Entry, error) {
	seen := map[string]bool{}
	var out []Entry
	for name := range m {
		rest, ok := strings.CutPrefix(name, p+"/")
		if p == "." {
			rest, ok = name, true
		}
		first, _, _ := strings.Cut(rest, "/")
		if ok && !seen[first] {
			seen[first] = true
			e, err := m.Lookup(path.Join(p, first))
			if err != nil {
				return nil, err
			}
			out = append(out, e)
		}
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out, nil
}

func (m memory) ReadFile(p string) ([]byte, error) {
	v, ok := m[p]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: p, Err: fs.ErrNotExist}
	}
	return []byte(strings.TrimPrefix(v, "->")), nil
}

func TestResolve(t *testing.T) {
	tree := memory{
		"a/b/file": "x", "a/other": "y",
		"dir": "->a/b", "a/up": "->..", "a/b/side": "->../other", "chain": "->dir/side",
		"loop": "->loop", "ping": "->pong", "pong": "->ping", "grow": "->grow/x",
		"out": "->../etc/passwd", "deep-out": "->a/b/../../../x", "absolute": "->/etc/passwd",
		"dangling": "->none", "self": "->.", "empty": "->", "long": "->" + strings.Repeat("a/", maxTarget),
		"a/b/through": "->../../dir/file", "a/b/home": "->../..",
	}
	for _, tt := range []struct {
		path, want string
		kind       Kind
		hash       string
		links      []string
		why        string
	}{
		{".", ".", Dir, "root", nil, "the root"},
		{"", ".", Dir, "root", nil, "nothing is the root"},
		{"./a//b/file", "a/b/file", File, "blob of a/b/file", nil, "an untidy path"},
		{"dir", "a/b", Dir, "tree of a/b", []string{"dir"}, "a link to a directory"},
		{"dir/file", "a/b/file", File, "blob of a/b/file", []string{"dir"}, "a link in the middle"},
		{"chain", "a/other", File, "blob of a/other", []string{"chain", "dir", "a/b/side"}, "a link through links"},
		{"a/up", ".", Dir, "root", []string{"a/up"}, "a link to the root"},
		{"a/b/home", ".", Dir, "root", []string{"a/b/home"}, "a link two up"},
		{"self/self/self", ".", Dir, "root", []string{"self", "self", "self"}, "a link to where it is"},
		{"a/b/through", "a/b/file", File, "blob of a/b/file", []string{"a/b/through", "dir"}, "up and down again"},
		{"a/up/a", "a", Dir, "tree of a", []string{"a/up"}, "a directory after going up"},
	} {
		var links []string
		got, e, err := Resolve(tree, tt.path, func(l string) { links = append(links, l) })
		if err != nil || got != tt.want || e.Kind != tt.kind || e.Hash != tt.hash || !slices.Equal(links, tt.links) {
			t.Errorf("%s: %q is %q, %+v through %q, %v; want %q through %q", tt.why, tt.path, got, e, links, err, tt.want, tt.links)
		}
	}
	escapes := func(err error) bool { var e *EscapeError; return errors.As(err, &e) }
	missing := func(err error) bool { return errors.Is(err, fs.ErrNotExist) }
	loops := func(err error) bool { return errors.Is(err, ErrLinkLoop) }
	for _, tt := range []struct {
		path string
		is   func(error) bool
		why  string
	}{
		{"../x", escapes, "above the root"},
		{"a/../../x", escapes, "above the root, on a detour"},
		{"/a/b/file", escapes, "absolute"},
		{"out", escapes, "a link above the root"},
		{"deep-out", escapes, "a link above the root, on a detour"},
		{"absolute", escapes, "an absolute link"},
		{"none", missing, "nothing there"},
		{"dangling", missing, "a link to nothing"},
		{"a/other/x", missing, "below a file"},
		{"empty", missing, "a link to no name"},
		{"long", missing, "a link that no file system would take"},
		{"loop", loops, "a link to itself"},
		{"ping", loops, "two links to each other"},
		{"grow", loops, "a link that grows"},
	} {
		if got, _, err := Resolve(tree, tt.path, nil); !tt.is(err) {
			t.Errorf("%s: %q is %q, %v", tt.why, tt.path, got, err)
		}
	}
}

func TestClean(t *testing.T) {
	for in, want := range map[string]string{"": ".", ".": ".", "./a//b/": "a/b", "a/../b": "b", "a/..": ".", "..a": "..a"} {
		if got, err := Clean(in); err != nil || got != want {
			t.Errorf("%q is %q, %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"/", "/a", "..", "../a", "a/../..", "a/../../b"} {
		var e *EscapeError
		if got, err := Clean(in); !errors.As(err, &e) || e.Path != in {
			t.Errorf("%q is %q, %v", in, got, err)
		}
	}
}

func FuzzResolve(f *testing.F) {
	f.Add("a/b", "../x", "a")
	f.Add("l/l", "l/..", "l")
	f.Add("..", "/", "")
	f.Fuzz(func(t *testing.T, p, one, two string) {
		tree := memory{"l": "->" + one, "a/m": "->" + two, "a/file": "x"}
		got, e, err := Resolve(tree, p, nil)
		if err == nil && (e.Kind == Symlink || e.Hash == "" || got != path.Clean(got) || strings.HasPrefix(got, "..") && !strings.HasPrefix(got, "..x")) {
			t.Errorf("%q is %q, %+v", p, got, e)
		}
	})
}
