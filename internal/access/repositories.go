// Package access finds out how an App may read its repository: which
// Repository object has the settings for a URL, and which credentials a Secret
// holds.
//
// What always holds: an App uses only Repositories of its own namespace, and
// those of abide's own namespace that allow its namespace; a Secret is read only
// because a Repository names it, and in that Repository's namespace.
package access

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/source"
	"abide.dev/abide/internal/source/chart"
	"abide.dev/abide/internal/source/git"
	"abide.dev/abide/internal/sources"
)

// Repositories finds the settings for the URL of an App.
type Repositories struct {
	Client    client.Client
	Secrets   SecretReader
	Namespace string // abide's own
	// RemoteHosts are the hosts from which any kustomization may take bases,
	// files and charts, without credentials; lower case, without a port.
	RemoteHosts []string
}

// SecretReader reads a Secret, which the caller does not change, for a user of
// it that it notes.
type SecretReader interface {
	Get(ctx context.Context, user string, name types.NamespacedName) (*corev1.Secret, error)
	// Leave says that a user uses none but the ones that are named.
	Leave(user string, but ...types.NamespacedName)
}

// RefOf returns what an App follows in its repository.
func RefOf(app *v1alpha1.App) source.Ref { return refOf(app.Spec.Source.Ref) }

func refOf(r *v1alpha1.Ref) source.Ref {
	if r == nil {
		return source.Ref{}
	}
	return source.Ref{Branch: r.Branch, Tag: r.Tag, Semver: r.Semver, Commit: r.Commit}
}

// CredentialsError says that the credentials a Repository names can't be used.
type CredentialsError struct {
	Repository string // namespace/name
	Problem    string
}

func (e *CredentialsError) Error() string {
	return fmt.Sprintf("Repository %s: %s", e.Repository, e.Problem)
}

// Reason is the reason for a condition.
func (e *CredentialsError) Reason() string { return "CredentialsUnavailable" }

// Wants returns what an App is made of, each part with the credentials and the
// interval of the Repository that fits its URL best.
func (r *Repositories) Wants(ctx context.Context, app *v1alpha1.App) (w sources.Wants, err error) {
	m := matching{Repositories: r, namespace: app.Namespace, user: partsOf(object.App{Namespace: app.Namespace, Name: app.Name})}
	defer func() { r.Secrets.Leave(m.user, m.secrets...) }()
	if s := &app.Spec.Source; s.Repo != "" {
		w.Git = &source.Want{}
		if *w.Git, err = m.git(ctx, s.Repo, refOf(s.Ref)); err != nil {
			return w, err
		}
	}
	if c := app.Spec.Source.Chart; c != nil {
		w.Chart = &chart.Want{}
		if *w.Chart, err = m.chart(ctx, c); err != nil {
			return w, err
		}
	}
	for _, s := range app.Spec.Sources {
		want, err := m.git(ctx, s.Repo, refOf(s.Ref))
		if err != nil {
			return w, fmt.Errorf("source %s: %w", s.Name, err)
		}
		w.Others = append(w.Others, sources.Other{Name: s.Name, Git: want})
	}
	return w, nil
}

// partsOf and remotesOf are how an App is known as a user of Secrets: for what it
// is made of, and for what its kustomizations name. Repositories have names
// without a prefix.
func partsOf(app object.App) string   { return "app " + app.String() }
func remotesOf(app object.App) string { return "remotes of app " + app.String() }

// Forget ends what is kept for an App that is gone.
func (r *Repositories) Forget(app object.App) {
	r.Secrets.Leave(partsOf(app))
	r.Secrets.Leave(remotesOf(app))
}

// matching is one look for what an App is made of.
type matching struct {
	*Repositories
	namespace, user string
	secrets         []types.NamespacedName // in use
}

func (m *matching) uses(repo *v1alpha1.Repository) {
	m.secrets = append(m.secrets, types.NamespacedName{Namespace: repo.Namespace, Name: repo.Spec.SecretRef.Name})
}

// Anonymous returns what an App is made of, for one who may not see Repositories.
func Anonymous(app *v1alpha1.App) sources.Wants {
	var w sources.Wants
	if s := &app.Spec.Source; s.Repo != "" {
		w.Git = &source.Want{URL: s.Repo, Ref: refOf(s.Ref)}
	}
	if c := app.Spec.Source.Chart; c != nil {
		w.Chart = &chart.Want{Ref: chart.Ref{Repo: c.Repo, Name: c.Name, Version: c.Version}}
	}
	for _, s := range app.Spec.Sources {
		w.Others = append(w.Others, sources.Other{Name: s.Name, Git: source.Want{URL: s.Repo, Ref: refOf(s.Ref)}})
	}
	return w
}

func (m *matching) git(ctx context.Context, url string, ref source.Ref) (source.Want, error) {
	want := source.Want{URL: url, Ref: ref}
	repo, err := m.match(ctx, m.namespace, url)
	if err != nil || repo == nil {
		return want, err
	}
	want.Interval = interval(repo)
	if repo.Spec.SecretRef == nil {
		return want, nil
	}
	m.uses(repo)
	want.Credentials, err = m.Credentials(ctx, m.user, repo)
	return want, err
}

// chartInterval is the shortest time between two looks at a chart.
const chartInterval = 5 * time.Minute

func (m *matching) chart(ctx context.Context, c *v1alpha1.ChartSource) (chart.Want, error) {
	want := chart.Want{Ref: chart.Ref{Repo: c.Repo, Name: c.Name, Version: c.Version}}
	repo, err := m.match(ctx, m.namespace, c.Repo)
	if err != nil || repo == nil {
		return want, err
	}
	want.Interval = max(interval(repo), chartInterval)
	id := ""
	if repo.Spec.SecretRef != nil {
		m.uses(repo)
		secret, err := m.secret(ctx, m.user, repo)
		if err != nil {
			return want, err
		}
		want.Credentials.Value = ChartCredentialsOf(secret)
		if want.Credentials.Value == (chart.Credentials{}) {
			return want, missingKeys(repo)
		}
		id = idOf(repo, fmt.Sprintf("%#v", want.Credentials.Value))
	}
	if s := repo.Spec.Charts; s != nil {
		want.Credentials.Value.PlainHTTP, want.Credentials.Value.PassCredentials = isTrue(s.PlainHTTP), isTrue(s.PassCredentials)
		id = idOf(repo, fmt.Sprintf("%#v", want.Credentials.Value))
	}
	want.Credentials.ID = id
	return want, nil
}

// interval reads the duration that the API server has validated.
func interval(repo *v1alpha1.Repository) time.Duration {
	d, err := time.ParseDuration(repo.Spec.Interval)
	if err != nil {
		return 0
	}
	return d
}

// match returns the Repository with the longest URL that is a prefix of url, of
// those that the namespace may use; among equals its own, then the first by
// name.
func (r *Repositories) match(ctx context.Context, namespace, url string) (*v1alpha1.Repository, error) {
	var candidates []v1alpha1.Repository
	for _, ns := range slices.Compact([]string{namespace, r.Namespace}) {
		var l v1alpha1.RepositoryList
		if err := r.Client.List(ctx, &l, client.InNamespace(ns)); err != nil {
			return nil, err
		}
		for i := range l.Items {
			if usable(&l.Items[i], namespace) && Covers(l.Items[i].Spec.URL, url) {
				candidates = append(candidates, l.Items[i])
			}
		}
	}
	if len(candidates) == 0 {
		return nil, nil
	}
	best := slices.MaxFunc(candidates, func(a, b v1alpha1.Repository) int {
		own := func(x *v1alpha1.Repository) int {
			if x.Namespace == namespace {
				return 1
			}
			return 0
		}
		return cmp.Or(cmp.Compare(len(Canonical(a.Spec.URL)), len(Canonical(b.Spec.URL))),
			cmp.Compare(own(&a), own(&b)), cmp.Compare(b.Name, a.Name))
	})
	return &best, nil
}

// usable tells whether Apps of a namespace may use a Repository.
func usable(repo *v1alpha1.Repository, namespace string) bool {
	if repo.Namespace == namespace {
		return true
	}
	return slices.Contains(repo.Spec.AllowedNamespaces, "*") || slices.Contains(repo.Spec.AllowedNamespaces, namespace)
}

// Covers tells whether a URL is a prefix of another on whole path segments:
// https://example.com/team covers https://example.com/team/config.git, and not
// https://example.com/teamwork. The ending .git counts for nothing.
func Covers(prefix, url string) bool {
	p, u := Canonical(prefix), Canonical(url)
	return u == p || strings.HasPrefix(u, strings.TrimSuffix(p, "/")+"/")
}

// Canonical is the one form that all spellings of a repository's URL have, for
// comparing: it need not be one that Git takes.
func Canonical(url string) string {
	c := url
	if u, err := git.ParseURL(url); err == nil {
		c = u.String()
	}
	return strings.TrimSuffix(strings.TrimSuffix(c, "/"), ".git")
}

// Credentials reads the Secret that a Repository names, for a user of it that is
// noted.
func (r *Repositories) Credentials(ctx context.Context, user string, repo *v1alpha1.Repository) (source.Credentials, error) {
	secret, err := r.secret(ctx, user, repo)
	if err != nil {
		return source.Credentials{}, err
	}
	c, charts := CredentialsOf(secret), ChartCredentialsOf(secret)
	if c == (git.Credentials{}) && charts == (chart.Credentials{}) {
		return source.Credentials{}, missingKeys(repo)
	}
	// The identity covers both, so that whoever compares it sees every change.
	return source.Credentials{ID: idOf(repo, fmt.Sprintf("%#v %#v", c, charts)), Value: c}, nil
}

// idOf names the Repository, so that each is asked for on its own, and the
// content, so that new credentials prove themselves anew.
func idOf(repo *v1alpha1.Repository, content string) string {
	sum := sha256.Sum256([]byte(content))
	return fmt.Sprintf("%s/%s/%s", repo.Namespace, repo.Name, hex.EncodeToString(sum[:8]))
}

func missingKeys(repo *v1alpha1.Repository) error {
	return &CredentialsError{repo.Namespace + "/" + repo.Name, fmt.Sprintf(
		"Secret %s has none of the keys that abide reads: username and password, token, sshPrivateKey and knownHosts, caBundle, proxy, and for charts .dockerconfigjson, tls.crt and tls.key", repo.Spec.SecretRef.Name)}
}

func (r *Repositories) secret(ctx context.Context, user string, repo *v1alpha1.Repository) (*corev1.Secret, error) {
	name := types.NamespacedName{Namespace: repo.Namespace, Name: repo.Spec.SecretRef.Name}
	secret, err := r.Secrets.Get(ctx, user, name)
	switch {
	case apierrors.IsNotFound(err):
		return nil, &CredentialsError{repo.Namespace + "/" + repo.Name, fmt.Sprintf(
			"Secret %s does not exist: create it in namespace %s, or correct spec.secretRef", name.Name, name.Namespace)}
	case err != nil:
		return nil, &CredentialsError{repo.Namespace + "/" + repo.Name, fmt.Sprintf("reading Secret %s: %v", name.Name, err)}
	}
	return secret, nil
}

// CredentialsOf reads the keys of a Secret: abide's own names, and those of the
// types kubernetes.io/basic-auth, kubernetes.io/ssh-auth and kubernetes.io/tls
// that mean the same.
func CredentialsOf(s *corev1.Secret) git.Credentials {
	get := keysOf(s)
	c := git.Credentials{
		Username:    strings.TrimSpace(get("username")),
		Password:    strings.TrimRight(get("password"), "\r\n"),
		BearerToken: strings.TrimSpace(get("token", "bearerToken")),
		SSHKey:      get("sshPrivateKey", corev1.SSHAuthPrivateKey, "identity"),
		KnownHosts:  get("knownHosts", "known_hosts"),
		CABundle:    get("caBundle", corev1.ServiceAccountRootCAKey),
		Proxy:       strings.TrimSpace(get("proxy")),
	}
	if c.SSHKey != "" {
		c.SSHPassphrase, c.Password = c.Password, ""
	}
	return c
}

// keysOf returns what the first of some keys that a Secret has holds.
func keysOf(s *corev1.Secret) func(keys ...string) string {
	return func(keys ...string) string {
		for _, k := range keys {
			if v := s.Data[k]; len(v) > 0 {
				return string(v)
			}
		}
		return ""
	}
}

// ChartCredentialsOf reads the keys of a Secret that are for charts.
func ChartCredentialsOf(s *corev1.Secret) chart.Credentials {
	get := keysOf(s)
	return chart.Credentials{
		Username:     strings.TrimSpace(get("username")),
		Password:     strings.TrimRight(get("password"), "\r\n"),
		BearerToken:  strings.TrimSpace(get("token", "bearerToken")),
		DockerConfig: get(corev1.DockerConfigJsonKey),
		CABundle:     get("caBundle", corev1.ServiceAccountRootCAKey),
		ClientCert:   get(corev1.TLSCertKey),
		ClientKey:    get(corev1.TLSPrivateKeyKey),
		Proxy:        strings.TrimSpace(get("proxy")),
	}
}
