package remote

import (
	"net/url"
	"path"
	"regexp"
	"strings"
)

// azureMark stands before the name of a repository in Azure DevOps.
const azureMark = "_git/"

// userAt is a user's name before a host, as Kustomize recognises it.
var userAt = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9-]*@`)

// parseGit reads an address of a repository and a path in it, by the rules of
// Kustomize: what it would hand to git is URL, what it would check out is Ref.
func parseGit(value string) (Spec, string, error) {
	address, query, _ := strings.Cut(value, "?")
	host, rest, err := cutHost(address)
	if err != nil {
		return Spec{}, "", err
	}
	repo, dir, ok := cutRepo(rest)
	if !ok || repo == "" {
		return Spec{}, "", ErrNotRead
	}
	dir = path.Clean(strings.TrimPrefix(dir, "/"))
	if dir == ".." || strings.HasPrefix(dir, "../") {
		return Spec{}, "", ErrOutside
	}
	if strings.HasPrefix(dir, "/") { // several slashes are one
		dir = path.Join(".", dir)
	}
	return Spec{Kind: Git, URL: host + repo, Ref: refOf(query)}, dir, nil
}

// refOf returns what a query asks to be checked out. A timeout is not ours to
// choose, and submodules are never followed.
func refOf(query string) string {
	values, err := url.ParseQuery(query)
	if err != nil {
		return ""
	}
	if ref := values.Get("ref"); ref != "" {
		return ref
	}
	return values.Get("version")
}

// cutHost takes off all up to the path of a repository.
func cutHost(s string) (host, rest string, err error) {
	if after, ok := cutPrefixFold(s, "git::"); ok {
		s = after
	}
	scheme := ""
	for _, known := range []string{"ssh://", "https://", "http://", "file://"} {
		if after, ok := cutPrefixFold(s, known); ok {
			scheme, s = known, after
			break
		}
	}
	if scheme == "file://" {
		return "", "", ErrLocal
	}
	user := userAt.FindString(s)
	s = s[len(user):]
	low := strings.ToLower(s)
	github := strings.HasPrefix(low, "github.com/") || strings.HasPrefix(low, "github.com:")
	short := scheme == "" && (user != "" || github)
	if scheme == "" && !short {
		return "", "", ErrNotRead
	}
	end := strings.IndexByte(s, '/')
	if colon := strings.IndexByte(s, ':'); short && (end < 0 || colon > 0 && colon < end) {
		end = colon
	}
	if end < 0 {
		return "", "", ErrNotRead
	}
	host, rest = s[:end+1], s[end+1:]
	switch {
	case github && (scheme == "ssh://" || user != ""):
		return user + "github.com:", rest, nil
	case github:
		return "https://github.com/", rest, nil
	}
	return scheme + user + host, rest, nil
}

func cutPrefixFold(s, prefix string) (string, bool) {
	if len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix) {
		return s[len(prefix):], true
	}
	return s, false
}

// cutRepo parts the path of a repository from the path in it: by a mark, or
// else behind the second element.
func cutRepo(s string) (repo, dir string, ok bool) {
	if i := strings.Index(s, azureMark); i >= 0 {
		name, dir, _ := strings.Cut(s[i+len(azureMark):], "/")
		return s[:i+len(azureMark)] + name, dir, true
	}
	if repo, dir, ok := strings.Cut(s, "//"); ok {
		return repo, dir, true
	}
	if i := strings.Index(s, ".git"); i >= 0 {
		return s[:i+len(".git")], s[i+len(".git"):], true
	}
	owner, rest, ok := strings.Cut(s, "/")
	if !ok {
		return "", "", false
	}
	name, dir, _ := strings.Cut(rest, "/")
	return owner + "/" + name, dir, true
}
