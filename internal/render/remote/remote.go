// Package remote describes what a kustomization names that is not in its
// repository: a folder of another Git repository, a single https file, a chart
// of a chart repository or registry.
//
// [Parse] reads a value as Kustomize v5 does, and decides without asking
// anybody what it names: Kustomize itself tries a URL as a file first, and
// clones it if that fails. Here a URL whose path ends like a manifest and has no
// mark of a repository (//, .git, _git/) is a file.
//
// A [Spec] is a value that says what to fetch. A render finds it mounted under
// [Spec.Name] in its tree (package snapshot/mount), or says that it needs it.
//
// Nothing is fetched, looked up or kept here.
package remote

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/url"
	"path"
	"regexp"
	"strings"
)

// The kinds of a [Spec].
const (
	Git   = "git"
	File  = "file"
	Chart = "chart"
)

// Prefix begins the name of every mount of something remote.
const Prefix = "remote-"

// Spec is what has to be fetched. Equal ones are the same mount.
type Spec struct {
	// Kind is Git, File or Chart.
	Kind string `json:"kind"`
	// URL is the one of a repository, as git takes it, of a file, or of a chart
	// repository or registry.
	URL string `json:"url"`
	// Ref is a tag, a branch or a full commit hash of a repository; empty for
	// its default branch.
	Ref string `json:"ref,omitempty"`
	// Chart and Version are the name and version or range of a chart.
	Chart   string `json:"chart,omitempty"`
	Version string `json:"version,omitempty"`
}

// Name is the name of the mount, without its $.
func (s Spec) Name() string {
	b, err := json.Marshal(s)
	if err != nil { // it is made of strings
		return Prefix
	}
	sum := sha256.Sum256(b)
	return Prefix + hex.EncodeToString(sum[:12])
}

// FileName is the name of the only file in the mount of a file.
func (s Spec) FileName() string {
	if u, err := url.Parse(s.URL); err == nil {
		if name := path.Base(u.Path); plainName.MatchString(name) {
			return name
		}
	}
	return "file"
}

var plainName = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]*$`)

// Host is the host that it is fetched from, in lower case and without a port.
func (s Spec) Host() string {
	host := s.URL
	if _, rest, ok := strings.Cut(host, "://"); ok {
		host, _, _ = strings.Cut(rest, "/")
	} else {
		host, _, _ = strings.Cut(host, ":") // user@host:path
	}
	host = host[strings.LastIndexByte(host, '@')+1:]
	if u, err := url.Parse("//" + host); err == nil {
		host = u.Hostname()
	}
	return strings.ToLower(host)
}

// String is how people would name it.
func (s Spec) String() string {
	address := s.URL
	if s.Kind == File {
		address, _, _ = strings.Cut(address, "?") // what a query has may be secret
	}
	switch {
	case s.Kind == Chart && s.Version != "":
		return "chart " + s.Chart + " " + s.Version + " of " + address
	case s.Kind == Chart:
		return "chart " + s.Chart + " of " + address
	case s.Ref != "":
		return address + "?ref=" + s.Ref
	}
	return address
}

// What a field takes.
type Takes int

// A field takes files, folders, or both.
const (
	Files Takes = 1 << iota
	Folders
)

// The errors of [Parse].
var (
	ErrNotRead     = errors.New("it can be read neither as a repository nor as an https file")
	ErrCredentials = errors.New("there are credentials in the URL, and abide takes none from there")
	ErrLocal       = errors.New("it is a repository on a local disk")
	ErrPlain       = errors.New("a file is fetched over https only")
	ErrOutside     = errors.New("the path leads out of the repository")
)

// Parse reads a value that a field has. The path is the one in what the Spec
// names, "." for its root.
func Parse(value string, takes Takes) (Spec, string, error) {
	value = strings.TrimSpace(value)
	if HasPassword(value) {
		return Spec{}, "", ErrCredentials
	}
	if takes&Files != 0 && (takes&Folders == 0 || looksLikeFile(value)) {
		return parseFile(value)
	}
	return parseGit(value)
}

// HasPassword tells whether a URL has user:password@ in it.
func HasPassword(value string) bool {
	_, rest, ok := strings.Cut(value, "://")
	if !ok {
		return false
	}
	authority := rest
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority = rest[:i]
	}
	user, _, ok := cutLast(authority, "@")
	return ok && strings.Contains(user, ":")
}

func cutLast(s, sep string) (before, after string, ok bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

func looksLikeFile(value string) bool {
	u, err := url.Parse(value)
	if err != nil || !strings.EqualFold(u.Scheme, "https") && !strings.EqualFold(u.Scheme, "http") {
		return false
	}
	for _, mark := range []string{"//", ".git/", azureMark} {
		if strings.Contains(u.Path, mark) {
			return false
		}
	}
	switch path.Ext(u.Path) {
	case ".yaml", ".yml", ".json":
		return true
	}
	return false
}

func parseFile(value string) (Spec, string, error) {
	u, err := url.Parse(value)
	switch {
	case err != nil || u.Host == "":
		return Spec{}, "", ErrNotRead
	case strings.EqualFold(u.Scheme, "http"):
		return Spec{}, "", ErrPlain
	case !strings.EqualFold(u.Scheme, "https"):
		return Spec{}, "", ErrNotRead
	case u.User != nil:
		return Spec{}, "", ErrCredentials
	}
	s := Spec{Kind: File, URL: value}
	return s, s.FileName(), nil
}
