package chart

import (
	"strings"
	"testing"
)

func TestParseRef(t *testing.T) {
	for _, tt := range []struct {
		repo, name string
		want, path string // canonical, and the name of the chart
		why        string
	}{
		{"https://Charts.Example.com:443/Stable//", "web", "https://charts.example.com/Stable", "web", "hosts have no case, paths do"},
		{"https://charts.example.com", "web", "https://charts.example.com", "web", "a whole host"},
		{"https://example.com:8443/c", "web", "https://example.com:8443/c", "web", "a port"},
		{"https://[2001:DB8::1]/c", "web", "https://[2001:db8::1]/c", "web", "an address"},
		{"oci://ghcr.io/team/charts", "web", "oci://ghcr.io/team/charts/web", "web", "the name is a part of the path"},
		{"oci://ghcr.io/team/charts/web", "", "oci://ghcr.io/team/charts/web", "web", "or is in it already"},
		{"", "web", "", "", "nothing"},
		{"https://u:hunter2@example.com/c", "web", "", "", "credentials"},
		{"https://hunter2@example.com/c", "web", "", "", "a token as the user"},
		{"oci://u:hunter2@example.com/c", "web", "", "", "credentials"},
		{"https://example.com/c?token=hunter2", "web", "", "", "a query"},
		{"https://example.com/c#hunter2", "web", "", "", "a fragment"},
		{"https://example.com/../c", "web", "", "", "dots"},
		{"https://example.com/%2e%2e/c", "web", "", "", "dots in disguise"},
		{"https://example.com/c/index.yaml", "web", "", "", "the index itself"},
		{"https:///c", "web", "", "", "no host"},
		{"https://exa mple.com/c", "web", "", "", "a space"},
		{"https://example.com:0/c", "web", "", "", "no port"},
		{"https://example.com:99999/c", "web", "", "", "no port"},
		{"https://[fe80::1%25eth0]/c", "web", "", "", "a zone"},
		{"ftp://example.com/c", "web", "", "", "another transport"},
		{"file:///etc", "web", "", "", "another transport"},
		{"/charts", "web", "", "", "no URL"},
		{"oci://ghcr.io/Team/charts", "web", "", "", "registries have lower case paths"},
		{"oci://ghcr.io", "", "", "", "no repository"},
		{"https://example.com/" + strings.Repeat("x", 3000), "web", "", "", "long"},
	} {
		got, err := Ref{Repo: tt.repo, Name: tt.name}.parse()
		if tt.want == "" {
			if !IsKind(err, URLInvalid) {
				t.Errorf("%.60s: %v, %v: %s", tt.repo, got.repo(), err, tt.why)
			} else if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("a secret is in %v", err)
			}
			continue
		}
		if err != nil || got.repo() != tt.want || got.name != tt.path {
			t.Errorf("%s: %s, %s, %v, want %s: %s", tt.repo, got.repo(), got.name, err, tt.want, tt.why)
		}
	}
}

func FuzzParseRef(f *testing.F) {
	f.Add("https://example.com/charts", "web", ">=1.0 <2")
	f.Add("oci://ghcr.io:5000/a/b", "", "latest")
	f.Add("oci://[::1]/a", "b", "sha256:"+strings.Repeat("0", 64))
	f.Fuzz(func(t *testing.T, repo, name, version string) {
		got, err := Ref{repo, name, version}.parse()
		if err != nil {
			return
		}
		ref := Ref{got.repo(), name, version}
		if got.scheme == "oci" {
			ref.Name = ""
		}
		again, err := ref.parse()
		if err != nil || again.repo() != got.repo() {
			t.Fatalf("%q became %q and then %q, %v", repo, got.repo(), again.repo(), err)
		}
	})
}

func TestDockerConfig(t *testing.T) {
	const config = `{"auths":{
		"https://index.docker.io/v1/": {"username":"hub","password":"1"},
		"registry.example.com": {"auth":"aG9zdDoy"},
		"registry.example.com/team": {"username":"team","password":"3"},
		"registry.example.com:5000": {"username":"port","password":"4"},
		"*.cloud.example": {"username":"star","password":"5"},
		"one.cloud.example": {"username":"one","password":"6"},
		"https://token.example/v2/": {"auth":"PHRva2VuPjo=","identitytoken":"t"}
	}}`
	d, err := parseDockerConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		host, path string
		want       login
		why        string
	}{
		{"docker.io", "/library/x", login{username: "hub", password: "1"}, "Docker Hub by any of its names"},
		{"registry-1.docker.io", "/x", login{username: "hub", password: "1"}, "Docker Hub by any of its names"},
		{"registry.example.com", "/other", login{username: "host", password: "2"}, "the host"},
		{"registry.example.com", "/team/web", login{username: "team", password: "3"}, "the longest path"},
		{"registry.example.com", "/teamwork", login{username: "host", password: "2"}, "whole elements"},
		{"registry.example.com:5000", "/team", login{username: "port", password: "4"}, "the port"},
		{"registry.example.com:5001", "/x", login{}, "another port"},
		{"two.cloud.example", "/x", login{username: "star", password: "5"}, "a pattern"},
		{"one.cloud.example", "/x", login{username: "one", password: "6"}, "the name wins over a pattern"},
		{"a.b.cloud.example", "/x", login{}, "* is one label"},
		{"two.cloud.example:5000", "/x", login{}, "* is no port"},
		{"token.example", "/x", login{refresh: "t"}, "a token to exchange"},
		{"example.com", "/x", login{}, "not there"},
	} {
		if got := d.lookup(tt.host, tt.path); got != tt.want {
			t.Errorf("%s%s: %+v, want %+v: %s", tt.host, tt.path, got, tt.want, tt.why)
		}
	}
	for _, bad := range []string{"", "x", "[]", "{}", `{"auths":1}`, `{"auths":{"a":{"auth":"!!"}}}`, `{"auths":{"a":{"auth":"aa"}}}`,
		`{"auths":{"a":{"password":"a\nb"}}}`} {
		if _, err := parseDockerConfig(bad); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}

func TestRevisionString(t *testing.T) {
	digest := "sha256:" + strings.Repeat("0123456789", 7)[:64]
	for _, tt := range []struct {
		rev  Revision
		want string
	}{
		{Revision{Name: "web", Version: "1.16.2", Digest: digest, URL: "https://x.example/?s3cret"}, "web 1.16.2"},
		{Revision{Name: "web", Digest: digest}, "web sha256:012345678901"},
		{Revision{Name: "web", Digest: "sha256"}, "web sha256"},
		{Revision{}, ""},
	} {
		if got := tt.rev.String(); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}
