package source

import (
	"fmt"
	"strings"

	"github.com/Masterminds/semver/v3"

	"abide.dev/abide/internal/source/git"
)

// Ref says what to follow; at most one field is set, and none means the
// repository's default branch.
type Ref struct {
	Branch string `json:"branch,omitempty"` // short or full name
	Tag    string `json:"tag,omitempty"`    // short or full name
	Semver string `json:"semver,omitempty"` // a range over tags, as Masterminds/semver has it
	Commit string `json:"commit,omitempty"` // 40 or 64 hexadecimal digits
	// Name is what `git fetch ORIGIN NAME` takes: the short name of a tag or,
	// where there is no such tag, of a branch; or a full name of either.
	Name string `json:"name,omitempty"`
}

// Revision is where a [Ref] points.
type Revision struct {
	// RefName is the full name of the ref; "" for a commit named by its hash,
	// "HEAD" for a default branch without a name.
	RefName string `json:"refName,omitempty"`
	Hash    string `json:"hash"`
}

// String is what a person would call the ref.
func (r Ref) String() string {
	switch {
	case r.Branch != "":
		return "branch " + r.Branch
	case r.Tag != "":
		return "tag " + r.Tag
	case r.Semver != "":
		return "newest tag in " + r.Semver
	case r.Commit != "":
		return "commit " + r.Commit
	case r.Name != "":
		return "tag or branch " + r.Name
	}
	return "default branch"
}

func (r Ref) check() error {
	set := 0
	for _, f := range []string{r.Branch, r.Tag, r.Semver, r.Commit, r.Name} {
		if f != "" {
			set++
		}
	}
	if set > 1 {
		return refError(git.RefInvalid, "set one of branch, tag, semver, commit and name", "the ref names more than one thing to follow")
	}
	if name := r.fullName(); name != "" && !git.ValidRefName(name) {
		return refError(git.RefInvalid, "", "%.100q is no valid name for a branch or tag", r.Branch+r.Tag)
	}
	for _, name := range r.names() {
		if !git.ValidRefName(name) {
			return refError(git.RefInvalid, "", "%.100q is no valid name for a branch or tag", r.Name)
		}
	}
	if r.Semver != "" {
		if len(r.Semver) > 256 {
			return refError(git.RefInvalid, "", "the version range is longer than 256 bytes")
		}
		if _, err := semver.NewConstraint(r.Semver); err != nil {
			return refError(git.RefInvalid, `write it like ">=1.2.0 <2.0.0", "~1.4" or "1.x"`, "%q is no version range (%v)", r.Semver, err)
		}
	}
	return nil
}

// fullName is the ref of a branch or tag, "" for anything else.
func (r Ref) fullName() string {
	switch {
	case strings.HasPrefix(r.Branch, "refs/heads/"), strings.HasPrefix(r.Tag, "refs/tags/"):
		return r.Branch + r.Tag
	case r.Branch != "":
		return "refs/heads/" + r.Branch
	case r.Tag != "":
		return "refs/tags/" + r.Tag
	}
	return ""
}

// names are the refs that Name may mean, the first that exists counting.
func (r Ref) names() []string {
	switch {
	case r.Name == "":
		return nil
	case strings.HasPrefix(r.Name, "refs/heads/"), strings.HasPrefix(r.Name, "refs/tags/"):
		return []string{r.Name}
	}
	return []string{"refs/tags/" + r.Name, "refs/heads/" + r.Name}
}

// patterns are what a listing must hold for the ref to be resolved. Also a
// commit needs one: the listing shows that the credentials are good.
func (r Ref) patterns() []string {
	switch {
	case r.Semver != "":
		return []string{"refs/tags/*"}
	case r.Name != "":
		return r.names()
	case r.fullName() != "":
		return []string{r.fullName()}
	}
	return []string{"HEAD"}
}

func refError(k git.Kind, hint, format string, args ...any) error {
	return &git.Error{Kind: k, Problem: fmt.Sprintf(format, args...), Hint: hint}
}

// Resolve tells where ref points in a listing that holds it. The highest
// version wins a range; of equal ones that with the greater build metadata,
// then the one whose tag's name sorts first. Whether a prerelease is in a
// range is as Masterminds/semver has it: only when the range names one.
func Resolve(refs git.Refs, ref Ref) (Revision, error) {
	if err := ref.check(); err != nil {
		return Revision{}, err
	}
	switch {
	case ref.Commit != "":
		return Revision{Hash: strings.ToLower(ref.Commit)}, nil
	case refs.Empty:
		return Revision{}, refError(git.RepositoryEmpty, "push a commit", "the repository is empty")
	case ref.Semver != "":
		return resolveRange(refs, ref.Semver)
	case ref.Name != "":
		for _, name := range ref.names() {
			if hash, ok := refs.Hashes[name]; ok {
				return Revision{RefName: name, Hash: hash}, nil
			}
		}
		return Revision{}, refError(git.RefNotFound, "push it, or change what names it", "the repository has no %s", ref)
	case ref.fullName() != "":
		name := ref.fullName()
		if hash, ok := refs.Hashes[name]; ok {
			return Revision{RefName: name, Hash: hash}, nil
		}
		return Revision{}, refError(git.RefNotFound, "push it, or change the App's ref", "the repository has no %s", ref)
	}
	hash, ok := refs.Hashes["HEAD"]
	if !ok {
		return Revision{}, refError(git.RefNotFound, "name a branch in the App's ref, or set the default branch on the host",
			"the repository's default branch does not exist")
	}
	if refs.Head == "" {
		return Revision{RefName: "HEAD", Hash: hash}, nil
	}
	return Revision{RefName: refs.Head, Hash: hash}, nil
}

func resolveRange(refs git.Refs, text string) (Revision, error) {
	constraint, err := semver.NewConstraint(text)
	if err != nil {
		return Revision{}, err // check has refused it already
	}
	var best *semver.Version
	var found Revision
	for name, hash := range refs.Hashes {
		tag, ok := strings.CutPrefix(name, "refs/tags/")
		if !ok || len(tag) > 256 {
			continue
		}
		v, err := semver.NewVersion(tag)
		if err != nil || !constraint.Check(v) {
			continue
		}
		if best == nil || better(v, best, name, found.RefName) {
			best, found = v, Revision{RefName: name, Hash: hash}
		}
	}
	if best == nil {
		return Revision{}, refError(git.RefNotFound, "push a tag such as v1.2.3, or change the range", "the repository has no tag with a version in %q", text)
	}
	return found, nil
}

func better(a, b *semver.Version, aName, bName string) bool {
	if c := a.Compare(b); c != 0 {
		return c > 0
	}
	if a.Metadata() != b.Metadata() {
		return a.Metadata() > b.Metadata()
	}
	return aName < bName
}
