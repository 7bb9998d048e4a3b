package access

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/object"
	"abide.dev/abide/internal/render/remote"
	"abide.dev/abide/internal/source"
)

// oneSecret reads one Secret, whatever it is asked for.
type oneSecret struct{ *corev1.Secret }

func (s oneSecret) Get(context.Context, string, types.NamespacedName) (*corev1.Secret, error) {
	return s.Secret, nil
}

func (s oneSecret) Leave(string, ...types.NamespacedName) {}

func TestRemote(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	allowing := func(r *v1alpha1.Repository, interval string) *v1alpha1.Repository {
		yes := true
		r.Spec.RemoteBases, r.Spec.Interval = &yes, interval
		return r
	}
	secretly := func(r *v1alpha1.Repository) *v1alpha1.Repository {
		r.Spec.SecretRef = &v1alpha1.SecretReference{Name: "s"}
		return r
	}
	git := remote.Spec{Kind: remote.Git, URL: "https://example.com/team/lib", Ref: "v1"}
	file := remote.Spec{Kind: remote.File, URL: "https://example.com/team/x.yaml?token=1"}
	chart := remote.Spec{Kind: remote.Chart, URL: "https://example.com/team/charts", Chart: "web", Version: "1.x"}
	at := func(s remote.Spec, url string) remote.Spec { s.URL = url; return s }
	for _, tt := range []struct {
		why     string
		repos   []*v1alpha1.Repository
		hosts   []string
		spec    remote.Spec
		allowed bool
		secret  bool
	}{
		{"nobody allows it", nil, nil, git, false, false},
		{"a Repository that covers it, and does not say so", []*v1alpha1.Repository{repository("web", "a", "https://example.com")}, nil, git, false, false},
		{"a Repository that says so", []*v1alpha1.Repository{allowing(repository("web", "a", "https://example.com"), "10s")}, nil, git, true, false},
		{"with credentials", []*v1alpha1.Repository{secretly(allowing(repository("web", "a", "https://example.com"), ""))}, nil, git, true, true},
		{"one that says so for another place", []*v1alpha1.Repository{allowing(repository("web", "a", "https://example.com/other"), "")}, nil, git, false, false},
		{"one that is nearer says nothing", []*v1alpha1.Repository{allowing(repository("web", "a", "https://example.com"), ""), repository("web", "b", "https://example.com/team")}, nil, git, false, false},
		{"another namespace's", []*v1alpha1.Repository{allowing(repository("other", "a", "https://example.com", "*"), "")}, nil, git, false, false},
		{"abide's own, for all", []*v1alpha1.Repository{allowing(repository("abide-system", "a", "https://example.com", "*"), "")}, nil, git, true, false},
		{"abide's own, for others", []*v1alpha1.Repository{allowing(repository("abide-system", "a", "https://example.com", "x"), "")}, nil, git, false, false},
		{"the flag", nil, []string{"example.com"}, git, true, false},
		{"the flag brings no credentials of a Repository that does not say so", []*v1alpha1.Repository{secretly(repository("web", "a", "https://example.com"))}, []string{"example.com"}, git, true, false},
		{"the flag is for whole hosts", nil, []string{"example.com"}, at(git, "https://example.com.evil.org/a/b"), false, false},
		{"a user is no host", nil, []string{"example.com"}, at(git, "https://example.com@evil.org/a/b"), false, false},
		{"nor is a password", nil, []string{"example.com"}, at(git, "https://example.com:x@evil.org/a/b"), false, false},
		{"a file", []*v1alpha1.Repository{secretly(allowing(repository("web", "a", "https://example.com/team"), ""))}, nil, file, true, true},
		{"a file by a way out of what is allowed", []*v1alpha1.Repository{allowing(repository("web", "a", "https://example.com/team"), "")}, nil, at(file, "https://example.com/team/../x.yaml"), false, false},
		{"in other letters", []*v1alpha1.Repository{allowing(repository("web", "a", "https://example.com/team"), "")}, nil, at(file, "https://example.com/team/%2e%2e/x.yaml"), false, false},
		{"a file over http", nil, []string{"example.com"}, at(file, "http://example.com/x.yaml"), false, false},
		{"a chart", []*v1alpha1.Repository{secretly(allowing(repository("web", "a", "https://example.com/team"), ""))}, nil, chart, true, true},
		{"a chart of a registry", nil, []string{"example.com"}, at(chart, "oci://example.com/charts"), true, false},
		{"a folder of the machine", nil, []string{""}, at(git, "/etc"), false, false},
		{"a URL of the machine", nil, []string{""}, at(git, "file:///etc"), false, false},
		{"a helper of git", nil, []string{"example.com"}, at(git, "ext::sh -c id"), false, false},
		{"a kind of its own", nil, []string{"example.com"}, remote.Spec{Kind: "exec", URL: "https://example.com/a"}, false, false},
	} {
		b := fake.NewClientBuilder().WithScheme(scheme)
		for _, r := range tt.repos {
			b = b.WithObjects(r)
		}
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "web", Name: "s"}, Data: map[string][]byte{"username": []byte("u"), "password": []byte("p")}}
		r := &Repositories{Client: b.Build(), Secrets: oneSecret{secret}, Namespace: "abide-system", RemoteHosts: tt.hosts}
		got, err := r.Remote(t.Context(), "web", tt.spec)
		var denied *NotAllowedError
		if tt.allowed != (err == nil) || err != nil && !errors.As(err, &denied) {
			t.Errorf("%s: %v", tt.why, err)
			continue
		}
		if err != nil {
			continue
		}
		with := got.Git != nil && got.Git.Credentials.Value.Password != "" ||
			got.File != nil && got.File.Credentials.Password != "" || got.Chart != nil && got.Chart.Credentials.Value.Password != ""
		if with != tt.secret || got.Name != tt.spec.Name() {
			t.Errorf("%s: credentials are %v, the name %s", tt.why, with, got.Name)
		}
	}
}

func TestRemoteRef(t *testing.T) {
	full := strings.Repeat("a", 40)
	for ref, want := range map[string]source.Ref{
		"": {}, "HEAD": {}, "v1": {Name: "v1"}, "main": {Name: "main"}, "refs/heads/x": {Name: "refs/heads/x"}, full: {Commit: full}, full[:8]: {Name: full[:8]},
	} {
		got, err := AnyRemote(t.Context(), []string{"h.example"}, remote.Spec{Kind: remote.Git, URL: "https://me@h.example/o/r", Ref: ref})
		if err != nil || got.Git.Ref != want || got.Git.URL != "https://h.example/o/r" {
			t.Errorf("%q: %+v, %v", ref, got.Git, err)
		}
		if rare := got.Git.Interval >= 24*time.Hour; rare != (want.Commit != "") {
			t.Errorf("%q is looked at every %s", ref, got.Git.Interval)
		}
	}
}

// used notes which Secrets are in use by whom.
type used struct {
	oneSecret
	by map[string][]types.NamespacedName
}

func (u used) Leave(user string, but ...types.NamespacedName) { u.by[user] = but }

// TestSecretsOfRemotes: a Secret is in use for as long as a kustomization names
// what it opens, and not because of what else the App is made of.
func TestSecretsOfRemotes(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	yes := true
	repo := repository("web", "a", "https://example.com")
	repo.Spec.RemoteBases, repo.Spec.SecretRef = &yes, &v1alpha1.SecretReference{Name: "s"}
	u := used{oneSecret{&corev1.Secret{Data: map[string][]byte{"token": []byte("x")}}}, map[string][]types.NamespacedName{}}
	r := &Repositories{Client: fake.NewClientBuilder().WithScheme(scheme).WithObjects(repo).Build(), Secrets: u, Namespace: "abide-system"}
	app := object.App{Namespace: "web", Name: "shop"}
	open := remote.Spec{Kind: remote.Git, URL: "https://example.com/team/lib"}
	shut := remote.Spec{Kind: remote.Git, URL: "https://elsewhere.example/lib"}

	follow, denied, err := r.Remotes(t.Context(), app, []remote.Spec{open, shut})
	if err != nil || len(follow) != 1 || denied[shut] == nil || len(denied) != 1 {
		t.Fatalf("follows %v, denies %v: %v", follow, denied, err)
	}
	want := []types.NamespacedName{{Namespace: "web", Name: "s"}}
	if got := u.by[remotesOf(app)]; !slices.Equal(got, want) {
		t.Errorf("uses %v, want %v", got, want)
	}
	if _, err := r.Wants(t.Context(), &v1alpha1.App{ObjectMeta: metav1.ObjectMeta{Namespace: "web", Name: "shop"}}); err != nil {
		t.Fatal(err)
	}
	if got := u.by[remotesOf(app)]; !slices.Equal(got, want) {
		t.Errorf("after a look at what the App is made of it uses %v", got)
	}
	if _, _, err := r.Remotes(t.Context(), app, nil); err != nil || len(u.by[remotesOf(app)]) != 0 {
		t.Errorf("uses %v when nothing is named: %v", u.by[remotesOf(app)], err)
	}
}
