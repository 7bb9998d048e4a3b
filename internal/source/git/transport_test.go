package git_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"abide.dev/abide/internal/gitserver"
	"abide.dev/abide/internal/gitserver/gittest"
	"abide.dev/abide/internal/source/git"
)

func TestListRefs(t *testing.T) {
	repo := gittest.New(t)
	first := repo.Write(map[string]string{"a": "1"}).Commit("one")
	repo.Tag("v1.0.0")
	repo.Branch("dev")
	second := repo.Write(map[string]string{"a": "2"}).Commit("two")
	repo.AnnotatedTag("v1.1.0", "release")
	m := mirrorOf(t, newStore(t, git.Options{}), serve(t, repo, gitserver.Options{}, nil))
	refs, err := m.ListRefs(t.Context(), git.Credentials{}, []string{"HEAD", "refs/heads/dev", "refs/tags/*"})
	if err != nil {
		t.Fatal(err)
	}
	if refs.Head != "refs/heads/main" || refs.Empty {
		t.Errorf("head is %q, empty %v", refs.Head, refs.Empty)
	}
	for name, want := range map[string]string{
		"HEAD": first, "refs/heads/dev": second, "refs/tags/v1.0.0": first,
		"refs/tags/v1.1.0": second, // the commit behind the tag, not the tag
		"refs/heads/main":  "",     // not asked for
	} {
		if got := refs.Hashes[name]; got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	only, err := m.ListRefs(t.Context(), git.Credentials{}, []string{"refs/heads/gone"})
	if err != nil || len(only.Hashes) != 0 || only.Empty {
		t.Errorf("a missing branch: %+v, %v", only, err)
	}
}

func TestEmptyRepository(t *testing.T) {
	m := mirrorOf(t, newStore(t, git.Options{}), serve(t, gittest.New(t), gitserver.Options{}, nil))
	for _, p := range []string{"HEAD", "refs/heads/main"} {
		refs, err := m.ListRefs(t.Context(), git.Credentials{}, []string{p})
		if err != nil || !refs.Empty || refs.Head != "" {
			t.Errorf("%s: %+v, %v", p, refs, err)
		}
	}
}

func TestHTTPAuthentication(t *testing.T) {
	repo := gittest.New(t)
	repo.Write(map[string]string{"a": "1"}).Commit("one")
	basic := serve(t, repo, gitserver.Options{Username: "ada", Password: "s3cret/+word"}, nil)
	bearer := serve(t, repo, gitserver.Options{BearerToken: "tok3n-value"}, nil)
	s := newStore(t, git.Options{})
	for _, tt := range []struct {
		name, url string
		creds     git.Credentials
		want      git.Kind // "" is success
		says      string
	}{
		{"right password", basic, git.Credentials{Username: "ada", Password: "s3cret/+word"}, "", ""},
		{"wrong password", basic, git.Credentials{Username: "ada", Password: "wr0ng-word"}, git.AuthenticationFailed, "refused the credentials"},
		{"no password where one is asked for", basic, git.Credentials{}, git.AuthenticationFailed, "asks for credentials"},
		{"right token", bearer, git.Credentials{BearerToken: "tok3n-value"}, "", ""},
		{"wrong token", bearer, git.Credentials{BearerToken: "wr0ng-token"}, git.AuthenticationFailed, "refused the credentials"},
		{"a repository that is not there", strings.Replace(basic, "repo.git", "other.git", 1), git.Credentials{Username: "ada", Password: "s3cret/+word"}, git.RepositoryNotFound, "no such repository"},
		{"a header smuggled in a password", basic, git.Credentials{Username: "ada", Password: "x\r\nX-Evil: 1"}, git.CredentialsInvalid, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := mirrorOf(t, s, tt.url)
			_, err := m.ListRefs(t.Context(), tt.creds, []string{"HEAD"})
			if tt.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				fetched(t, m, tt.creds, "HEAD")
				return
			}
			wantKind(t, err, tt.want)
			if !strings.Contains(err.Error(), tt.says) {
				t.Errorf("message %q does not say %q", err, tt.says)
			}
			noSecrets(t, err, tt.creds)
		})
	}
}

// noSecrets checks the message of err and of every error in it.
func noSecrets(t *testing.T, err error, c git.Credentials) {
	t.Helper()
	text := fmt.Sprintf("%v %+v", err, err)
	for e := err; e != nil; e = errors.Unwrap(e) {
		text += " " + e.Error()
	}
	for _, s := range []string{c.Password, c.BearerToken, c.SSHPassphrase, base64.StdEncoding.EncodeToString([]byte(c.Username + ":" + c.Password))} {
		if len(s) > 3 && strings.Contains(text, s) {
			t.Errorf("the error shows a secret: %s", text)
		}
	}
}

func TestTLS(t *testing.T) {
	repo := gittest.New(t)
	repo.Write(map[string]string{"a": "1"}).Commit("one")
	config, ca := certificate(t)
	_, otherCA := certificate(t)
	url := serve(t, repo, gitserver.Options{Username: "u", Password: "pass-word"}, config)
	m := mirrorOf(t, newStore(t, git.Options{}), url)
	creds := git.Credentials{Username: "u", Password: "pass-word", CABundle: ca}
	fetched(t, m, creds, "HEAD")
	for name, bundle := range map[string]string{"system authorities": "", "another authority": otherCA} {
		creds.CABundle = bundle
		_, err := m.ListRefs(t.Context(), creds, []string{"HEAD"})
		if !git.IsKind(err, git.CertificateInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	creds.CABundle = "no certificate"
	_, err := m.ListRefs(t.Context(), creds, []string{"HEAD"})
	wantKind(t, err, git.CredentialsInvalid)
}

func TestNoSecretOverPlainHTTP(t *testing.T) {
	m := mirrorOf(t, newStore(t, git.Options{}), "http://git.example.org/repo")
	_, err := m.ListRefs(t.Context(), git.Credentials{Password: "secret"}, []string{"HEAD"})
	wantKind(t, err, git.InsecureTransport)
}

func TestRedirectCarriesNothing(t *testing.T) {
	var mu sync.Mutex
	reached := 0
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		reached++
	}))
	defer other.Close()
	for _, status := range []int{301, 302, 307, 308} {
		first := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL+r.URL.Path+"?"+r.URL.RawQuery, status)
		}))
		m := mirrorOf(t, newStore(t, git.Options{}), first.URL+"/repo.git")
		_, err := m.ListRefs(t.Context(), git.Credentials{Username: "u", Password: "pass-word"}, []string{"HEAD"})
		first.Close()
		if !git.IsKind(err, git.RedirectRefused) {
			t.Errorf("status %d: %v", status, err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if reached != 0 {
		t.Errorf("the other host was asked %d times", reached)
	}
}

func TestUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + l.Addr().String() + "/repo.git"
	l.Close()
	m := mirrorOf(t, newStore(t, git.Options{}), url)
	_, err = m.ListRefs(t.Context(), git.Credentials{}, []string{"HEAD"})
	wantKind(t, err, git.HostUnreachable)
	var e *git.Error
	if !errors.As(err, &e) || !e.NoAnswer() || e.Refused() {
		t.Errorf("%+v", e)
	}
}

// silent is a server that accepts a request and never answers it.
func silent(t *testing.T) (url string, asked <-chan struct{}) {
	c := make(chan struct{}, 16)
	over := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c <- struct{}{}
		select {
		case <-r.Context().Done():
		case <-over:
		}
	}))
	t.Cleanup(s.Close)
	t.Cleanup(func() { close(over) })
	return s.URL + "/repo.git", c
}

func TestTimeLimit(t *testing.T) {
	url, _ := silent(t)
	s := newStore(t, git.Options{Limits: git.Limits{ListTimeout: 300 * time.Millisecond}})
	_, err := mirrorOf(t, s, url).ListRefs(t.Context(), git.Credentials{}, []string{"HEAD"})
	wantKind(t, err, git.FetchTimeout)
}

// processes lists what runs with marker in its environment or arguments.
func processes(t *testing.T, marker string) (arguments []string) {
	t.Helper()
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		env, _ := os.ReadFile(d + "/environ")
		args, _ := os.ReadFile(d + "/cmdline")
		if len(args) > 0 && (strings.Contains(string(env), marker) || strings.Contains(string(args), marker)) {
			arguments = append(arguments, strings.ReplaceAll(string(args), "\x00", " "))
		}
	}
	return arguments
}

// eventually waits for something that a real process does.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
		<-tick.C
	}
}

func TestCancelKillsAndArgumentsHoldNoSecret(t *testing.T) {
	if _, err := os.Stat("/proc/self/environ"); err != nil {
		t.Skip("needs /proc")
	}
	url, asked := silent(t)
	dir := t.TempDir()
	m := mirrorOf(t, newStore(t, git.Options{Dir: dir}), url)
	creds := git.Credentials{Username: "ada", Password: "pa55-in-arguments"}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := m.ListRefs(ctx, creds, []string{"HEAD"})
		done <- err
	}()
	<-asked
	marker := filepath.Join(dir, "private")
	running := processes(t, marker)
	if len(running) < 2 { // git and its transport helper
		t.Errorf("found only %q", running)
	}
	header := base64.StdEncoding.EncodeToString([]byte("ada:pa55-in-arguments"))
	for _, args := range running {
		if strings.Contains(args, creds.Password) || strings.Contains(args, header) {
			t.Errorf("the arguments hold the secret: %s", args)
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	eventually(t, "git and its children are gone", func() bool { return len(processes(t, marker)) == 0 })
}

func TestUsersConfigurationIsNotRead(t *testing.T) {
	home := t.TempDir()
	evil := "[url \"http://127.0.0.1:1/\"]\n\tinsteadOf = http://\n[http]\n\tproxy = http://127.0.0.1:1\n"
	if err := os.WriteFile(filepath.Join(home, ".gitconfig"), []byte(evil), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("HOME", home)
	t.Setenv("XDG_CONFIG_HOME", home)
	t.Setenv("GIT_CONFIG_GLOBAL", filepath.Join(home, ".gitconfig"))
	t.Setenv("GIT_CONFIG_SYSTEM", filepath.Join(home, ".gitconfig"))
	t.Setenv("http_proxy", "http://127.0.0.1:1")
	t.Setenv("GIT_DIR", "/nowhere")
	t.Setenv("GIT_TRACE", filepath.Join(home, "trace"))
	repo := gittest.New(t)
	want := repo.Write(map[string]string{"a": "1"}).Commit("one")
	m := mirrorOf(t, newStore(t, git.Options{}), serve(t, repo, gitserver.Options{}, nil))
	if got := fetched(t, m, git.Credentials{}, "HEAD"); got != want {
		t.Errorf("fetched %s, want %s", got, want)
	}
	if _, err := os.Stat(filepath.Join(home, "trace")); err == nil {
		t.Error("a variable of the user's environment reached git")
	}
}

// The cache may lie in a working copy whose configuration is somebody's.
func TestRepositoryAroundTheCacheIsNotRead(t *testing.T) {
	repo := gittest.New(t)
	want := repo.Write(map[string]string{"a": "1"}).Commit("one")
	around := t.TempDir()
	repo.Git("clone", "-q", repo.Dir(), filepath.Join(around, "work"))
	config, err := os.OpenFile(filepath.Join(around, "work", ".git", "config"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(config, "[url \"http://127.0.0.1:1/\"]\n\tinsteadOf = http://\n")
	config.Close()
	s := newStore(t, git.Options{Dir: filepath.Join(around, "work", "cache")})
	if got := fetched(t, mirrorOf(t, s, serve(t, repo, gitserver.Options{}, nil)), git.Credentials{}, "HEAD"); got != want {
		t.Errorf("fetched %s, want %s", got, want)
	}
}

func TestProxy(t *testing.T) {
	repo := gittest.New(t)
	repo.Write(map[string]string{"a": "1"}).Commit("one")
	backend, err := gitserver.New(gitserver.Options{Root: repo.Root})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var seen []string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		seen = append(seen, r.URL.Host+" "+r.Header.Get("Proxy-Authorization"))
		mu.Unlock()
		if r.Header.Get("Proxy-Authorization") != "Basic "+base64.StdEncoding.EncodeToString([]byte("pu:ppass-word")) {
			w.Header().Set("Proxy-Authenticate", `Basic realm="proxy"`)
			w.WriteHeader(http.StatusProxyAuthRequired)
			return
		}
		backend.ServeHTTP(w, r)
	}))
	defer proxy.Close()
	m := mirrorOf(t, newStore(t, git.Options{}), "http://git.invalid/repo.git")
	address := strings.TrimPrefix(proxy.URL, "http://")
	fetched(t, m, git.Credentials{Proxy: "http://pu:ppass-word@" + address}, "HEAD")
	mu.Lock()
	if len(seen) == 0 || !strings.HasPrefix(seen[0], "git.invalid ") {
		t.Errorf("the proxy saw %q", seen)
	}
	mu.Unlock()
	bad := git.Credentials{Proxy: "http://pu:wr0ng-pass@" + address}
	_, err = m.ListRefs(t.Context(), bad, []string{"HEAD"})
	wantKind(t, err, git.HostUnreachable)
	if strings.Contains(err.Error(), "wr0ng-pass") {
		t.Errorf("the error shows the proxy's password: %v", err)
	}
}

func TestLocalRepositories(t *testing.T) {
	repo := gittest.New(t)
	want := repo.Write(map[string]string{"a": "1"}).Commit("one")
	closed := newStore(t, git.Options{})
	_, err := closed.Parse("file://" + repo.Dir())
	wantKind(t, err, git.LocalRepositoryNotAllowed)
	if !strings.Contains(err.Error(), "--allow-local-repositories") {
		t.Errorf("%v does not name the flag", err)
	}
	u, err := git.ParseURL(repo.Dir())
	if err != nil {
		t.Fatal(err)
	}
	_, err = closed.Mirror(u)
	wantKind(t, err, git.LocalRepositoryNotAllowed)

	open := newStore(t, git.Options{AllowLocal: true})
	m := mirrorOf(t, open, repo.Dir())
	if got := fetched(t, m, git.Credentials{}, "HEAD"); got != want {
		t.Errorf("fetched %s, want %s", got, want)
	}
	odd := gittest.NewIn(t, t.TempDir(), "qu\"ote; ünï #x.git")
	want = odd.Write(map[string]string{"a": "1"}).Commit("one")
	if got := fetched(t, mirrorOf(t, open, odd.Dir()), git.Credentials{}, "HEAD"); got != want {
		t.Errorf("fetched %s, want %s", got, want)
	}
	_, err = mirrorOf(t, open, filepath.Join(repo.Root, "none")).ListRefs(t.Context(), git.Credentials{}, []string{"HEAD"})
	wantKind(t, err, git.RepositoryNotFound)
}
