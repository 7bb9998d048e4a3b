package access

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/render/fault"
	"abide.dev/abide/internal/render/remote"
	"abide.dev/abide/internal/source"
	"abide.dev/abide/internal/source/chart"
	"abide.dev/abide/internal/source/file"
	"abide.dev/abide/internal/source/git"
	"abide.dev/abide/internal/sources"
)

const (
	// remoteInterval is the time between two looks at what no Repository says
	// how often to look at.
	remoteInterval = 5 * time.Minute
	// fixedInterval is that for what cannot move: only access to it can end.
	fixedInterval = 24 * time.Hour
)

// NotAllowedError says that a kustomization may not take something from
// elsewhere.
type NotAllowedError struct {
	Remote remote.Spec
	Why    string // beyond that nobody allows it; it may be empty
}

func (e *NotAllowedError) Error() string {
	m := fmt.Sprintf("a kustomization names %s, which is elsewhere and not allowed", e.Remote)
	if e.Why != "" {
		return m + ": " + e.Why
	}
	return fmt.Sprintf("%s; allow it with remoteBases: true in a Repository whose URL covers it, or by --allow-remote-bases %s of the controller", m, e.Remote.Host())
}

// Reason is the reason for a condition.
func (e *NotAllowedError) Reason() string { return fault.RemoteBaseNotAllowed }

// Awaited tells that a Repository can allow it, which wakes the App.
func (e *NotAllowedError) Awaited() bool { return true }

// Denied tells that it is a rule that refuses it, and nothing else.
func (e *NotAllowedError) Denied() bool { return e.Why == "" }

// Remotes returns how what the kustomizations of an App name is followed, and why
// some of it is not.
func (r *Repositories) Remotes(ctx context.Context, app object.App, named []remote.Spec) (follow []sources.Remote, denied map[remote.Spec]*NotAllowedError, err error) {
	m := matching{Repositories: r, namespace: app.Namespace, user: remotesOf(app)}
	defer func() { r.Secrets.Leave(m.user, m.secrets...) }()
	denied = map[remote.Spec]*NotAllowedError{}
	for _, s := range named {
		one, err := m.remote(ctx, s)
		var no *NotAllowedError
		switch {
		case errors.As(err, &no):
			denied[s] = no
		case err != nil:
			return nil, nil, err
		default:
			follow = append(follow, one)
		}
	}
	return follow, denied, nil
}

// Remote returns how something that a kustomization names is followed for Apps
// of a namespace. It is allowed by the Repository that fits its URL best, whose
// credentials are then used, or by its host being one of RemoteHosts, and then
// without credentials: who writes a kustomization need not be one who may read
// whatever the namespace may. If it is not allowed, the error is a
// [*NotAllowedError].
func (r *Repositories) Remote(ctx context.Context, namespace string, s remote.Spec) (sources.Remote, error) {
	m := matching{Repositories: r, namespace: namespace}
	return m.remote(ctx, s)
}

func (m *matching) remote(ctx context.Context, s remote.Spec) (sources.Remote, error) {
	address, err := plainURL(s)
	if err != nil {
		return sources.Remote{}, err
	}
	repo, err := m.match(ctx, m.namespace, address)
	if err != nil {
		return sources.Remote{}, err
	}
	if repo != nil && isTrue(repo.Spec.RemoteBases) {
		return m.remoteOf(ctx, s, repo)
	}
	if !slices.Contains(m.RemoteHosts, s.Host()) {
		return sources.Remote{}, &NotAllowedError{Remote: s}
	}
	return m.remoteOf(ctx, s, nil)
}

// AnyRemote returns how something on one of some hosts is followed by one who
// has no credentials for it.
func AnyRemote(ctx context.Context, hosts []string, s remote.Spec) (sources.Remote, error) {
	if _, err := plainURL(s); err != nil {
		return sources.Remote{}, err
	}
	if !slices.Contains(hosts, s.Host()) {
		return sources.Remote{}, &NotAllowedError{Remote: s}
	}
	m := matching{Repositories: &Repositories{RemoteHosts: hosts}}
	return m.remoteOf(ctx, s, nil)
}

// plainURL returns the URL that Repositories are compared with. A Spec comes
// from who renders, and may be anything.
func plainURL(s remote.Spec) (string, error) {
	address, _, _ := strings.Cut(s.URL, "?")
	refuse := func(why string) (string, error) { return "", &NotAllowedError{Remote: s, Why: why} }
	if s.Kind != remote.Git && s.Kind != remote.File && s.Kind != remote.Chart {
		return refuse("it is of no kind that abide fetches")
	}
	if s.Kind == remote.Git {
		if u, err := git.ParseURL(withoutUser(address)); err != nil || u.Local() {
			return refuse("its URL is none that abide takes for a repository")
		}
	}
	if s.Kind == remote.File && !strings.HasPrefix(strings.ToLower(address), "https://") {
		return refuse("a file is fetched over https only")
	}
	plain, err := url.PathUnescape(address)
	if err != nil || strings.ContainsAny(plain, "\\#") || slices.Contains(strings.Split(plain, "/"), "..") || remote.HasPassword(address) {
		return refuse("its URL is not in its plainest form")
	}
	return withoutUser(address), nil
}

var webUser = regexp.MustCompile(`^(https?://)[^/@:]*@`)

// withoutUser cuts off a user's name, which means nothing over https without a
// password: credentials come from a Repository.
func withoutUser(address string) string { return webUser.ReplaceAllString(address, "$1") }

// remoteOf returns how s is followed, as a Repository says if there is one.
func (m *matching) remoteOf(ctx context.Context, s remote.Spec, repo *v1alpha1.Repository) (sources.Remote, error) {
	out := sources.Remote{Name: s.Name()}
	wait := remoteInterval
	var creds source.Credentials
	var err error
	if repo != nil {
		wait = interval(repo)
		if repo.Spec.SecretRef != nil && s.Kind != remote.Chart {
			m.uses(repo)
			if creds, err = m.Credentials(ctx, m.user, repo); err != nil {
				return out, err
			}
		}
	}
	switch s.Kind {
	case remote.Git:
		out.Git = &source.Want{URL: withoutUser(s.URL), Ref: remoteRef(s.Ref), Credentials: creds, Interval: wait}
		if out.Git.Ref.Commit != "" {
			out.Git.Interval = fixedInterval
		}
	case remote.File:
		c := creds.Value
		out.File = &file.Want{
			URL: s.URL, Name: s.FileName(), Hosts: m.RemoteHosts, Interval: max(wait, 10*time.Second),
			Credentials: file.Credentials{Username: c.Username, Password: c.Password, BearerToken: c.BearerToken, CABundle: c.CABundle, Proxy: c.Proxy},
		}
		if c.SSHKey != "" { // the password is that of the key
			out.File.Credentials.Username, out.File.Credentials.Password = "", ""
		}
	case remote.Chart:
		ref := chart.Ref{Repo: s.URL, Name: s.Chart, Version: s.Version}
		if repo == nil {
			out.Chart = &chart.Want{Ref: ref, Interval: wait}
			return out, nil
		}
		want, err := m.chart(ctx, &v1alpha1.ChartSource{Repo: s.URL, Name: s.Chart, Version: s.Version})
		out.Chart = &want
		return out, err
	}
	return out, nil
}

var fullHash = regexp.MustCompile(`^([0-9a-fA-F]{40}|[0-9a-fA-F]{64})$`)

// remoteRef is what a ref of a URL means.
func remoteRef(ref string) source.Ref {
	switch {
	case ref == "" || ref == "HEAD":
		return source.Ref{}
	case fullHash.MatchString(ref):
		return source.Ref{Commit: ref}
	}
	return source.Ref{Name: ref}
}
