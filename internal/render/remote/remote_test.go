package remote_test

import (
	"errors"
	"strings"
	"testing"

	"abide.dev/abide/internal/render/remote"
)

const both = remote.Files | remote.Folders

func TestParse(t *testing.T) {
	for _, row := range []struct {
		value          string
		takes          remote.Takes
		kind, url, ref string
		path           string
		why            string
	}{
		{"https://host.example/org/repo//base?ref=v1", both, remote.Git, "https://host.example/org/repo", "v1", "base", "a double slash ends the repository"},
		{"https://host.example/group/sub/repo//base/deep?ref=v1", both, remote.Git, "https://host.example/group/sub/repo", "v1", "base/deep", "however long its path is"},
		{"https://host.example/org/repo", both, remote.Git, "https://host.example/org/repo", "", ".", "two elements are a repository"},
		{"https://host.example/org/repo/a/b", both, remote.Git, "https://host.example/org/repo", "", "a/b", "the others are a path in it"},
		{"https://host.example/a/b/c.git/d", both, remote.Git, "https://host.example/a/b/c.git", "", "d", ".git ends the repository"},
		{"https://host.example/a/b/c.git//d/", both, remote.Git, "https://host.example/a/b/c.git", "", "d", "a double slash goes before .git"},
		{"https://dev.azure.com/org/project/_git/repo/path/in?version=main", both, remote.Git, "https://dev.azure.com/org/project/_git/repo", "main", "path/in", "Azure's mark, and the other name of ref"},
		{"https://host.example/o/r?ref=a&version=b", both, remote.Git, "https://host.example/o/r", "a", ".", "ref goes before version"},
		{"https://host.example/o/r?submodules=false&timeout=90s&ref=v1", both, remote.Git, "https://host.example/o/r", "v1", ".", "what is not followed and not bounded from here counts for nothing"},
		{"https://host.example/o/r?ref=%zz", both, remote.Git, "https://host.example/o/r", "", ".", "a query that does not parse is none"},
		{"github.com/org/repo//p?ref=x", both, remote.Git, "https://github.com/org/repo", "x", "p", "GitHub needs no scheme"},
		{"GitHub.com/org/repo", both, remote.Git, "https://github.com/org/repo", "", ".", "in any spelling"},
		{"github.com:org/repo", both, remote.Git, "https://github.com/org/repo", "", ".", "with a colon too"},
		{"git@github.com:org/repo//p?ref=x", both, remote.Git, "git@github.com:org/repo", "x", "p", "with a user it is SSH"},
		{"ssh://git@github.com/org/repo", both, remote.Git, "git@github.com:org/repo", "", ".", "also when the scheme says so"},
		{"http://github.com/org/repo", both, remote.Git, "https://github.com/org/repo", "", ".", "and else always https"},
		{"git@host.example:org/repo//p?ref=", both, remote.Git, "git@host.example:org/repo", "", "p", "the short form of ssh"},
		{"ssh://git@host.example:2222/org/repo.git//p", both, remote.Git, "ssh://git@host.example:2222/org/repo.git", "", "p", "with a port"},
		{"git::https://host.example/org/repo//p", both, remote.Git, "https://host.example/org/repo", "", "p", "what go-getter wants is cut off"},
		{"https://user@host.example/org/repo", both, remote.Git, "https://user@host.example/org/repo", "", ".", "a user alone is kept"},
		{"https://host.example/a/b/x.yaml", both, remote.File, "https://host.example/a/b/x.yaml", "", "x.yaml", "what ends like a manifest is a file"},
		{"https://host.example/x.json?token=1", both, remote.File, "https://host.example/x.json?token=1", "", "x.json", "whatever the query"},
		{"https://host.example/a/b//x.yaml", both, remote.Git, "https://host.example/a/b", "", "x.yaml", "a mark of a repository goes before that"},
		{"https://host.example/a/b/x.yaml", remote.Folders, remote.Git, "https://host.example/a/b", "", "x.yaml", "where no file is taken, it is a folder"},
		{"https://host.example/crd", remote.Files, remote.File, "https://host.example/crd", "", "crd", "where no folder is taken, it is a file"},
		{"https://host.example/", remote.Files, remote.File, "https://host.example/", "", "file", "that may have no name"},
	} {
		spec, p, err := remote.Parse(row.value, row.takes)
		want := remote.Spec{Kind: row.kind, URL: row.url, Ref: row.ref}
		if err != nil || spec != want || p != row.path {
			t.Errorf("%s: %s: got %+v, %q, %v", row.value, row.why, spec, p, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for value, want := range map[string]error{
		"https://user:secret@host.example/o/r":  remote.ErrCredentials,
		"ssh://user:secret@host.example/o/r":    remote.ErrCredentials,
		"https://user@host.example/x.yaml":      remote.ErrCredentials,
		"http://host.example/x.yaml":            remote.ErrPlain,
		"file:///tmp/repo":                      remote.ErrLocal,
		"git::FILE:///tmp/repo":                 remote.ErrLocal,
		"https://host.example/o/r//../../etc":   remote.ErrOutside,
		"https://host.example/o/r/../../../etc": remote.ErrOutside,
		"https://host.example":                  remote.ErrNotRead,
		"https://host.example/one":              remote.ErrNotRead,
		"git::git::https://host.example/o/r":    remote.ErrNotRead,
		"host.example/o/r":                      remote.ErrNotRead,
		"ftp://host.example/o/r":                remote.ErrNotRead,
		"git@host.example":                      remote.ErrNotRead,
	} {
		if spec, _, err := remote.Parse(value, both); !errors.Is(err, want) {
			t.Errorf("%s: got %+v, %v; want %v", value, spec, err, want)
		}
	}
}

func TestSpec(t *testing.T) {
	a := remote.Spec{Kind: remote.Git, URL: "https://host.example/o/r", Ref: "v1"}
	b := a
	b.Ref = "v2"
	if a.Name() == b.Name() || !strings.HasPrefix(a.Name(), remote.Prefix) {
		t.Errorf("names are %s and %s", a.Name(), b.Name())
	}
	for url, host := range map[string]string{
		"https://Host.Example:8443/o/r": "host.example", "git@host.example:o/r": "host.example",
		"ssh://git@host.example:22/o": "host.example", "https://[::1]:80/x": "::1", "oci://host.example/charts": "host.example",
		"github.com:o/r": "github.com", "https://user@host.example/o/r": "host.example",
	} {
		if got := (remote.Spec{URL: url}).Host(); got != host {
			t.Errorf("the host of %s is %q, want %q", url, got, host)
		}
	}
	if s := (remote.Spec{Kind: remote.File, URL: "https://h.example/x?token=secret"}).String(); strings.Contains(s, "secret") {
		t.Errorf("%s has the query", s)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"https://h/o/r//p?ref=v1", "git@h:o/r", "github.com/o/r", "https://h/x.yaml", "git::ssh://u@h/_git/x", "https://a:b@h/"} {
		f.Add(s, 3)
	}
	f.Fuzz(func(t *testing.T, s string, takes int) {
		spec, p, err := remote.Parse(s, remote.Takes(takes&3))
		if err != nil {
			return
		}
		if spec.Kind != remote.Git && spec.Kind != remote.File || p == ".." || strings.HasPrefix(p, "../") || strings.HasPrefix(p, "/") {
			t.Errorf("%q is %+v with the path %q", s, spec, p)
		}
	})
}
