package source

import (
	"strings"
	"testing"

	"abide.dev/abide/internal/source/git"
)

func hash(c string) string { return strings.Repeat(c, 40) }

func TestResolve(t *testing.T) {
	refs := git.Refs{Head: "refs/heads/main", Hashes: map[string]string{
		"HEAD": hash("1"), "refs/heads/main": hash("1"), "refs/heads/dev": hash("2"),
		"refs/tags/v1.2.0": hash("3"), "refs/tags/1.10.0": hash("4"), "refs/tags/v2.0.0-rc.1": hash("5"),
		"refs/tags/nightly": hash("6"), "refs/tags/v1.9": hash("7"),
		"refs/tags/v3.0.0": hash("8"), "refs/tags/3.0.0": hash("9"), "refs/tags/v3.0.0+b2": hash("a"),
	}}
	for _, tt := range []struct {
		why  string
		refs git.Refs
		ref  Ref
		want Revision
		err  git.Kind
	}{
		{"the default branch, by its name", refs, Ref{}, Revision{"refs/heads/main", hash("1")}, ""},
		{"a branch", refs, Ref{Branch: "dev"}, Revision{"refs/heads/dev", hash("2")}, ""},
		{"a branch by its full name", refs, Ref{Branch: "refs/heads/dev"}, Revision{"refs/heads/dev", hash("2")}, ""},
		{"a tag", refs, Ref{Tag: "nightly"}, Revision{"refs/tags/nightly", hash("6")}, ""},
		{"numbers are compared as numbers, the v does not matter", refs, Ref{Semver: "1.x"}, Revision{"refs/tags/1.10.0", hash("4")}, ""},
		{"two digits are a version", refs, Ref{Semver: ">=1.3 <1.10"}, Revision{"refs/tags/v1.9", hash("7")}, ""},
		{"no prerelease unless asked for", refs, Ref{Semver: ">=2.0.0-0 <2.1"}, Revision{"refs/tags/v2.0.0-rc.1", hash("5")}, ""},
		{"no prerelease", refs, Ref{Semver: "2.x"}, Revision{}, git.RefNotFound},
		{"of equal versions that with build metadata", refs, Ref{Semver: "*"}, Revision{"refs/tags/v3.0.0+b2", hash("a")}, ""},
		{"a commit needs no listing", refs, Ref{Commit: hash("b")}, Revision{"", hash("b")}, ""},
		{"a name is a tag", refs, Ref{Name: "nightly"}, Revision{"refs/tags/nightly", hash("6")}, ""},
		{"or else a branch", refs, Ref{Name: "dev"}, Revision{"refs/heads/dev", hash("2")}, ""},
		{"a tag goes before a branch", git.Refs{Hashes: map[string]string{"refs/heads/x": hash("1"), "refs/tags/x": hash("2")}}, Ref{Name: "x"}, Revision{"refs/tags/x", hash("2")}, ""},
		{"a full name", refs, Ref{Name: "refs/heads/dev"}, Revision{"refs/heads/dev", hash("2")}, ""},
		{"a name of nothing", refs, Ref{Name: "gone"}, Revision{}, git.RefNotFound},
		{"a name that is a pattern", refs, Ref{Name: "*"}, Revision{}, git.RefInvalid},
		{"a branch that is gone", refs, Ref{Branch: "gone"}, Revision{}, git.RefNotFound},
		{"a tag that is gone", refs, Ref{Tag: "gone"}, Revision{}, git.RefNotFound},
		{"an empty repository", git.Refs{Empty: true}, Ref{Branch: "main"}, Revision{}, git.RepositoryEmpty},
		{"an unborn default branch", git.Refs{Hashes: map[string]string{"refs/heads/dev": hash("2")}}, Ref{}, Revision{}, git.RefNotFound},
		{"a HEAD that is no branch", git.Refs{Hashes: map[string]string{"HEAD": hash("2")}}, Ref{}, Revision{"HEAD", hash("2")}, ""},
		{"two things to follow", refs, Ref{Branch: "dev", Tag: "nightly"}, Revision{}, git.RefInvalid},
		{"no range", refs, Ref{Semver: "one point two"}, Revision{}, git.RefInvalid},
		{"a name that git would not take", refs, Ref{Branch: "a b"}, Revision{}, git.RefInvalid},
		{"a pattern for a name", refs, Ref{Branch: "*"}, Revision{}, git.RefInvalid},
		{"a name that goes up", refs, Ref{Tag: "../heads/main"}, Revision{}, git.RefInvalid},
	} {
		got, err := Resolve(tt.refs, tt.ref)
		if tt.err != "" {
			if !git.IsKind(err, tt.err) {
				t.Errorf("%s: %+v, %v, want %s", tt.why, got, err, tt.err)
			}
			continue
		}
		if err != nil || got != tt.want {
			t.Errorf("%s: %+v, %v, want %+v", tt.why, got, err, tt.want)
		}
	}
	delete(refs.Hashes, "refs/tags/v3.0.0+b2")
	for range 20 { // a map's order is not stable, the answer is
		if got, _ := Resolve(refs, Ref{Semver: "3"}); got.RefName != "refs/tags/3.0.0" {
			t.Fatalf("a tie went to %s", got.RefName)
		}
	}
}

func FuzzResolve(f *testing.F) {
	f.Add("main", "", "", "v1.0.0")
	f.Add("", "v1", "", "v1")
	f.Add("", "", ">=1.0 || ^2", "v1.2.3-rc.1+x")
	f.Fuzz(func(t *testing.T, branch, tag, semver, have string) {
		refs := git.Refs{Hashes: map[string]string{"refs/tags/" + have: hash("1"), "refs/heads/" + have: hash("2")}}
		rev, err := Resolve(refs, Ref{Branch: branch, Tag: tag, Semver: semver})
		if err == nil && refs.Hashes[rev.RefName] != rev.Hash {
			t.Errorf("%+v", rev)
		}
	})
}
