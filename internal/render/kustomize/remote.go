package kustomize

import (
	"net/url"
	"regexp"
	"strings"

	"abide.dev/abide/internal/render/fault"
)

// userAt is how the library recognises "user@host:path".
var userAt = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9-]*@`)

// isRemote tells whether the library could take s for something to fetch: a
// URL for its HTTP client, or a repository for git. It says yes to more than
// the library does, so that a change in the library's reading of odd strings
// opens nothing.
func isRemote(s string) bool {
	s = strings.TrimSpace(s)
	// The file loader asks net/url, which also takes "http:x" for a URL.
	if u, err := url.Parse(s); err == nil && (u.Scheme == "http" || u.Scheme == "https") {
		return true
	}
	if strings.Contains(s, "://") {
		return true
	}
	low := strings.ToLower(s)
	for strings.HasPrefix(low, "git::") {
		low = low[len("git::"):]
	}
	for _, p := range []string{"ssh:", "http:", "https:", "file:", "git:", "github.com/", "github.com:"} {
		if strings.HasPrefix(low, p) {
			return true
		}
	}
	if user := userAt.FindString(low); user != "" {
		// Without a separator there is no host and path to tell apart, and
		// the library takes it for a file name.
		return strings.ContainsAny(low[len(user):], ":/")
	}
	return false
}

// place is where in the repository a path was written.
type place struct {
	file  string // the kustomization or configuration
	field string
}

// local checks a path-taking field and returns the path in the tree that it
// names, before links are followed.
func (c *checker) local(at place, root, value string) (string, error) {
	if _, ok := c.remotes.mounted(value); ok {
		return value, nil
	}
	if isRemote(value) {
		return "", fault.New(fault.RemoteBaseNotAllowed, at.file, 0, "%s has %q, which is fetched from elsewhere", at.field, shorten(value)).
			WithHint("copy it into the repository")
	}
	if strings.HasPrefix(value, "/") {
		return "", fault.New(fault.EscapesRepository, at.file, 0, "%s has the absolute path %q", at.field, shorten(value)).
			WithHint("use a path relative to the kustomization")
	}
	// Join as the library does, but in a way that shows when it leaves.
	joined, err := c.tree.Join(root, value)
	if err != nil {
		return "", fault.New(fault.EscapesRepository, at.file, 0, "%s has %q, which leads out of the repository", at.field, shorten(value)).
			WithHint("only files inside the repository are read: move it there")
	}
	return joined, nil
}

func shorten(s string) string {
	s = strings.ToValidUTF8(s, "�")
	if i := strings.IndexByte(s, '\n'); i >= 0 {
		s = s[:i] + "…"
	}
	if len(s) > 128 {
		s = s[:128] + "…"
	}
	return s
}
