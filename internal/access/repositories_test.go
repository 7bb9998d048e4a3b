package access

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"abide.dev/abide/api/v1alpha1"
	"abide.dev/abide/internal/source/git"
)

func TestCovers(t *testing.T) {
	for _, tt := range []struct {
		prefix, url string
		want        bool
		why         string
	}{
		{"https://example.com/team", "https://example.com/team/config.git", true, "a folder of it"},
		{"https://example.com/team/", "https://example.com/team/config.git", true, "a slash at the end changes nothing"},
		{"https://example.com/team", "https://example.com/teamwork/config.git", false, "half a segment is no match"},
		{"https://example.com/team/config", "https://example.com/team/config.git", true, ".git counts for nothing"},
		{"https://example.com", "https://example.com/team/config.git", true, "a whole host"},
		{"https://example.com", "https://example.com.evil.org/x", false, "another host that begins the same"},
		{"https://example.com", "https://EXAMPLE.com/team", true, "hosts have no case"},
		{"https://example.com/team", "http://example.com/team", false, "credentials for https are not for http"},
		{"https://example.com:8443/team", "https://example.com/team", false, "another port"},
		{"git@example.com:team", "ssh://git@example.com/~/team/x", false, "not the same place"},
		{"ssh://git@example.com/team", "ssh://git@example.com/team/x.git", true, "ssh as well"},
	} {
		if got := Covers(tt.prefix, tt.url); got != tt.want {
			t.Errorf("Covers(%q, %q) = %v: %s", tt.prefix, tt.url, got, tt.why)
		}
	}
}

func repository(namespace, name, url string, allowed ...string) *v1alpha1.Repository {
	return &v1alpha1.Repository{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       v1alpha1.RepositorySpec{URL: url, AllowedNamespaces: allowed},
	}
}

// Which Repository an App may use is a matter of access.
func TestMatch(t *testing.T) {
	const url = "https://example.com/team/config.git"
	for _, tt := range []struct {
		why   string
		repos []*v1alpha1.Repository
		want  string
	}{
		{"none", nil, ""},
		{"its own", []*v1alpha1.Repository{repository("web", "a", "https://example.com")}, "web/a"},
		{"another namespace's is not for it", []*v1alpha1.Repository{repository("other", "a", "https://example.com", "*")}, ""},
		{"abide's own, not allowed", []*v1alpha1.Repository{repository("abide-system", "a", "https://example.com")}, ""},
		{"abide's own, allowed by name", []*v1alpha1.Repository{repository("abide-system", "a", "https://example.com", "web")}, "abide-system/a"},
		{"abide's own, allowed for all", []*v1alpha1.Repository{repository("abide-system", "a", "https://example.com", "*")}, "abide-system/a"},
		{"the longest wins", []*v1alpha1.Repository{
			repository("web", "a", "https://example.com"), repository("web", "b", "https://example.com/team"),
		}, "web/b"},
		{"the longest wins over its own", []*v1alpha1.Repository{
			repository("web", "a", "https://example.com"), repository("abide-system", "b", "https://example.com/team", "*"),
		}, "abide-system/b"},
		{"among equals its own", []*v1alpha1.Repository{
			repository("abide-system", "a", "https://example.com", "*"), repository("web", "b", "https://example.com"),
		}, "web/b"},
		{"then the first by name", []*v1alpha1.Repository{
			repository("web", "b", "https://example.com"), repository("web", "a", "https://example.com"),
		}, "web/a"},
	} {
		r := &Repositories{Client: clientWith(t, tt.repos), Namespace: "abide-system"}
		got, err := r.match(t.Context(), "web", url)
		if err != nil {
			t.Fatal(err)
		}
		name := ""
		if got != nil {
			name = got.Namespace + "/" + got.Name
		}
		if name != tt.want {
			t.Errorf("%s: got %q, want %q", tt.why, name, tt.want)
		}
	}
}

func clientWith(t *testing.T, repos []*v1alpha1.Repository) client.Client {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	b := fake.NewClientBuilder().WithScheme(scheme)
	for _, r := range repos {
		b = b.WithObjects(r)
	}
	return b.Build()
}

func TestCredentialsOf(t *testing.T) {
	for _, tt := range []struct {
		why  string
		data map[string]string
		want git.Credentials
	}{
		{"basic auth, with the line break that echo leaves", map[string]string{"username": "me\n", "password": "secret\n"},
			git.Credentials{Username: "me", Password: "secret"}},
		{"a token", map[string]string{"token": " t "}, git.Credentials{BearerToken: "t"}},
		{"ssh under the names of kubernetes.io/ssh-auth; the password opens the key", map[string]string{"ssh-privatekey": "k", "known_hosts": "h", "password": "p"},
			git.Credentials{SSHKey: "k", KnownHosts: "h", SSHPassphrase: "p"}},
		{"a bundle and a proxy", map[string]string{"ca.crt": "pem", "proxy": "http://proxy:3128"},
			git.Credentials{CABundle: "pem", Proxy: "http://proxy:3128"}},
		{"abide's own names win", map[string]string{"sshPrivateKey": "new", "identity": "old"}, git.Credentials{SSHKey: "new"}},
		{"nothing that is known", map[string]string{"foo": "bar"}, git.Credentials{}},
	} {
		s := &corev1.Secret{Data: map[string][]byte{}}
		for k, v := range tt.data {
			s.Data[k] = []byte(v)
		}
		if got := CredentialsOf(s); got != tt.want {
			t.Errorf("%s: got %+v, want %+v", tt.why, got, tt.want)
		}
	}
}
