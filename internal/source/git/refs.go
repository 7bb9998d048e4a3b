package git

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Refs is what a remote showed of its refs. It is a value; its map is not
// changed after it was returned.
type Refs struct {
	// Head is the full name of the default branch, "" when HEAD was not asked
	// for, points at no branch, or the remote has no commit.
	Head string `json:"head,omitempty"`
	// Hashes maps the full name of a ref ("refs/heads/main"), or "HEAD", to
	// the object it names: for an annotated tag the commit behind it.
	Hashes map[string]string `json:"hashes,omitempty"`
	// Empty tells that the remote, asked for all it has, showed no ref at all.
	Empty bool `json:"empty,omitempty"`
}

const (
	maxRefs    = 1 << 20
	maxRefLine = 8 << 10
)

// ListRefs asks the remote where its refs point. A pattern is "HEAD", the full
// name of a ref, or a prefix that ends in "/*"; refs that match none are left
// out. Where no pattern needs HEAD, the server is asked for branches or tags
// only; ls-remote can ask for HEAD only together with everything.
func (m *Mirror) ListRefs(ctx context.Context, c Credentials, patterns []string) (Refs, error) {
	if err := c.check(m.url); err != nil {
		return Refs{}, err
	}
	args := []string{"ls-remote", "--symref", "--quiet"}
	heads, tags, all := false, false, false
	for _, p := range patterns {
		switch {
		case strings.HasPrefix(p, "refs/heads/"):
			heads = true
		case strings.HasPrefix(p, "refs/tags/"):
			tags = true
		default:
			all = true
		}
	}
	if !all && heads {
		args = append(args, "--heads")
	}
	if !all && tags {
		args = append(args, "--tags")
	}
	var refs Refs
	err := m.store.run(ctx, call{
		args: append(args, "--", m.url.canonical), url: m.url, creds: c, timeout: m.store.limits.ListTimeout,
		read: func(r io.Reader) (err error) {
			refs, err = parseRefs(r, patterns)
			return err
		},
	})
	var bad *badListing
	if errors.As(err, &bad) {
		return Refs{}, &Error{Kind: GitFailed, URL: m.url.String(), Problem: "the list of refs cannot be read: " + bad.problem, Err: err}
	}
	if err != nil {
		return Refs{}, m.disk(classify(m.url, c, false, err))
	}
	refs.Empty = refs.Empty && (all || heads)
	return refs, nil
}

type badListing struct{ problem string }

func (b *badListing) Error() string { return b.problem }

// parseRefs reads the output of "ls-remote --symref".
func parseRefs(r io.Reader, patterns []string) (Refs, error) {
	refs := Refs{Hashes: map[string]string{}, Empty: true}
	exact := make(map[string]bool, len(patterns))
	var prefixes []string
	for _, p := range patterns {
		if prefix, ok := strings.CutSuffix(p, "*"); ok && strings.HasSuffix(prefix, "/") {
			prefixes = append(prefixes, prefix)
		} else {
			exact[p] = true
		}
	}
	wanted := func(name string) bool {
		if exact[name] {
			return true
		}
		for _, p := range prefixes {
			if strings.HasPrefix(name, p) {
				return true
			}
		}
		return false
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 4096), maxRefLine)
	for n := 0; lines.Scan(); n++ {
		if n >= maxRefs {
			return Refs{}, &badListing{fmt.Sprintf("it has more than %d refs", maxRefs)}
		}
		left, name, ok := strings.Cut(lines.Text(), "\t")
		if !ok {
			return Refs{}, &badListing{fmt.Sprintf("unexpected line %.80q", lines.Text())}
		}
		if target, isSym := strings.CutPrefix(left, "ref: "); isSym {
			if name == "HEAD" && wanted("HEAD") && ValidRefName(target) {
				refs.Head = target
			}
			continue
		}
		if !isHash(left) {
			return Refs{}, &badListing{fmt.Sprintf("unexpected line %.80q", lines.Text())}
		}
		refs.Empty = false
		name, peeled := strings.CutSuffix(name, "^{}")
		if !wanted(name) || name != "HEAD" && !ValidRefName(name) {
			continue
		}
		if _, seen := refs.Hashes[name]; !seen || peeled {
			refs.Hashes[name] = strings.Clone(left)
		}
	}
	if err := lines.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			return Refs{}, &badListing{"a line is too long"}
		}
		return Refs{}, err
	}
	if _, ok := refs.Hashes["HEAD"]; !ok {
		refs.Head = ""
	}
	return refs, nil
}

// ValidRefName tells whether name is the full name of a ref by the rules of
// git check-ref-format.
func ValidRefName(name string) bool {
	if !strings.HasPrefix(name, "refs/") || len(name) > 1024 || strings.HasSuffix(name, ".") ||
		strings.Contains(name, "..") || strings.Contains(name, "@{") ||
		strings.ContainsFunc(name, func(r rune) bool {
			return r <= ' ' || r == 0x7f || strings.ContainsRune("~^:?*[\\", r)
		}) {
		return false
	}
	for _, e := range strings.Split(name, "/") {
		if e == "" || strings.HasPrefix(e, ".") || strings.HasSuffix(e, ".lock") {
			return false
		}
	}
	return true
}
