package gitserver_test

import (
	"bytes"
	"crypto/tls"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"abide.dev/abide/internal/gitserver"
	"abide.dev/abide/internal/gitserver/gittest"
)

func listen(t *testing.T, o gitserver.Options, config *tls.Config) string {
	t.Helper()
	s, err := gitserver.New(o)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Listen("127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r.URL
}

// run runs the real git as a user would.
func run(dir string, args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = gittest.Environment()
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func must(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := run(dir, args...)
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return out
}

func TestCloneInEveryProtocolVersion(t *testing.T) {
	repo := gittest.New(t)
	for i := range 60 { // a negotiation long enough that git compresses it
		repo.Write(map[string]string{"n": strings.Repeat("x", i)}).Commit("c")
	}
	url := listen(t, gitserver.Options{Root: repo.Root}, nil) + "/repo.git"
	for _, version := range []string{"0", "1", "2"} {
		dir := filepath.Join(t.TempDir(), "clone")
		must(t, "", "-c", "protocol.version="+version, "clone", "-q", url, dir)
		if got := strings.TrimSpace(must(t, dir, "rev-parse", "HEAD")); got != repo.Head("main") {
			t.Errorf("protocol %s: HEAD is %s", version, got)
		}
		// Commits that the server does not have make a long list of haves.
		for range 40 {
			must(t, dir, "commit", "-q", "--allow-empty", "-m", "local")
		}
		next := repo.Write(map[string]string{"n": version}).Commit("next")
		must(t, dir, "-c", "protocol.version="+version, "fetch", "-q")
		if got := strings.TrimSpace(must(t, dir, "rev-parse", "origin/main")); got != next {
			t.Errorf("protocol %s: fetched %s, want %s", version, got, next)
		}
	}
}

func TestPush(t *testing.T) {
	repo := gittest.New(t)
	repo.Write(map[string]string{"a": "1"}).Commit("one")
	var mu sync.Mutex
	var pushed []string
	var headThen string
	url := listen(t, gitserver.Options{Root: repo.Root, AllowPush: true, OnPush: func(name string) {
		mu.Lock()
		defer mu.Unlock()
		pushed = append(pushed, name)
		headThen = repo.Head("main")
	}}, nil) + "/repo.git"
	dir := filepath.Join(t.TempDir(), "clone")
	must(t, "", "clone", "-q", url, dir)
	big := bytes.Repeat([]byte("large enough to be sent in chunks\n"), 100_000)
	for i := range big {
		big[i] ^= byte(i * i >> 7)
	}
	if err := os.WriteFile(filepath.Join(dir, "b"), big, 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, dir, "add", ".")
	must(t, dir, "commit", "-qm", "two")
	must(t, dir, "push", "-q")
	head := strings.TrimSpace(must(t, dir, "rev-parse", "HEAD"))
	mu.Lock()
	if len(pushed) != 1 || pushed[0] != "repo.git" || headThen != head {
		t.Errorf("told of %v with main at %s, want %s", pushed, headThen, head)
	}
	mu.Unlock()
	if repo.Head("main") != head {
		t.Error("the push is not there")
	}
	// A push that git refuses is told of to nobody.
	must(t, dir, "commit", "-q", "--amend", "-m", "rewritten")
	repo.Git("config", "receive.denyNonFastForwards", "true")
	if out, err := run(dir, "push", "-q", "--force"); err == nil {
		t.Errorf("a refused push went through: %s", out)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(pushed) != 1 {
		t.Errorf("told of a refused push: %v", pushed)
	}
}

func TestPushIsRefusedUnlessAllowed(t *testing.T) {
	repo := gittest.New(t)
	repo.Write(map[string]string{"a": "1"}).Commit("one")
	url := listen(t, gitserver.Options{Root: repo.Root}, nil) + "/repo.git"
	dir := filepath.Join(t.TempDir(), "clone")
	must(t, "", "clone", "-q", url, dir)
	must(t, dir, "commit", "-q", "--allow-empty", "-m", "two")
	if out, err := run(dir, "push", "-q"); err == nil || !strings.Contains(out, "403") {
		t.Errorf("%v\n%s", err, out)
	}
	r, err := http.Post(url+"/git-receive-pack", "application/x-git-receive-pack-request", strings.NewReader("0000"))
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != http.StatusForbidden {
		t.Errorf("status %d", r.StatusCode)
	}
}

func TestHooksOfARepositoryDoNotRun(t *testing.T) {
	repo := gittest.New(t)
	repo.Write(map[string]string{"a": "1"}).Commit("one")
	mark := filepath.Join(t.TempDir(), "ran")
	hooks := filepath.Join(repo.Dir(), "hooks")
	if err := os.MkdirAll(hooks, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, h := range []string{"pre-receive", "update", "post-receive", "post-update"} {
		if err := os.WriteFile(filepath.Join(hooks, h), []byte("#!/bin/sh\ntouch "+mark+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	url := listen(t, gitserver.Options{Root: repo.Root, AllowPush: true}, nil) + "/repo.git"
	dir := filepath.Join(t.TempDir(), "clone")
	must(t, "", "clone", "-q", url, dir)
	must(t, dir, "commit", "-q", "--allow-empty", "-m", "two")
	must(t, dir, "push", "-q")
	if _, err := os.Stat(mark); err == nil {
		t.Error("a hook ran")
	}
}

func TestAuthentication(t *testing.T) {
	repo := gittest.New(t)
	for _, tt := range []struct {
		why    string
		o      gitserver.Options
		header string
		want   int
	}{
		{"open", gitserver.Options{}, "", 200},
		{"password wanted", gitserver.Options{Username: "u", Password: "p"}, "", 401},
		{"right password", gitserver.Options{Username: "u", Password: "p"}, "Basic dTpw", 200},
		{"wrong password", gitserver.Options{Username: "u", Password: "p"}, "Basic dTp4", 401},
		{"right token", gitserver.Options{BearerToken: "t"}, "Bearer t", 200},
		{"wrong token", gitserver.Options{BearerToken: "t"}, "Bearer x", 401},
		{"token wanted", gitserver.Options{BearerToken: "t"}, "", 401},
		{"no password is no way around a token", gitserver.Options{BearerToken: "t"}, "Basic Og==", 401},
		{"token or password", gitserver.Options{Username: "u", Password: "p", BearerToken: "t"}, "Basic dTpw", 200},
	} {
		tt.o.Root = repo.Root
		url := listen(t, tt.o, nil)
		r, err := http.NewRequest(http.MethodGet, url+"/repo.git/info/refs?service=git-upload-pack", nil)
		if err != nil {
			t.Fatal(err)
		}
		if tt.header != "" {
			r.Header.Set("Authorization", tt.header)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != tt.want {
			t.Errorf("%s: status %d, want %d", tt.why, answer.StatusCode, tt.want)
		}
	}
}

func TestOnlyRepositoriesBelowTheRoot(t *testing.T) {
	outside := gittest.New(t)
	inside := gittest.New(t)
	if err := os.Symlink(outside.Dir(), filepath.Join(inside.Root, "link.git")); err != nil {
		t.Fatal(err)
	}
	work := filepath.Join(inside.Root, "work")
	must(t, "", "init", "-q", work)
	url := listen(t, gitserver.Options{Root: inside.Root}, nil)
	for path, want := range map[string]int{
		"/repo.git/info/refs?service=git-upload-pack":                                            200,
		"/work/info/refs?service=git-upload-pack":                                                200,
		"/link.git/info/refs?service=git-upload-pack":                                            404,
		"/../repo.git/info/refs?service=git-upload-pack":                                         404,
		"/%2e%2e/" + filepath.Base(outside.Root) + "/repo.git/info/refs?service=git-upload-pack": 404,
		"/repo.git/info/refs":                                                                    404,
		"/repo.git/info/refs?service=git-upload-archive":                                         404,
		"/repo.git/HEAD": 404,
		"/none/info/refs?service=git-upload-pack":                      404,
		"//info/refs?service=git-upload-pack":                          404,
		"/./info/refs?service=git-upload-pack":                         404,
		"/repo.git/../repo.git/info/refs?service=git-upload-pack&x=..": 404,
	} {
		r, err := http.NewRequest(http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.URL.Opaque = "//" + r.URL.Host + strings.SplitN(path, "?", 2)[0] // as it is, not cleaned
		if i := strings.Index(path, "?"); i >= 0 {
			r.URL.RawQuery = path[i+1:]
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("%s: status %d, want %d", path, answer.StatusCode, want)
		}
	}
}

func TestBadBodies(t *testing.T) {
	repo := gittest.New(t)
	url := listen(t, gitserver.Options{Root: repo.Root}, nil) + "/repo.git/git-upload-pack"
	for why, tt := range map[string]struct{ body, encoding, kind string }{
		"no gzip":              {"hello", "gzip", "application/x-git-upload-pack-request"},
		"no protocol":          {"hello", "", "application/x-git-upload-pack-request"},
		"another content type": {"0000", "", "text/plain"},
	} {
		r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", tt.kind)
		r.Header.Set("Content-Encoding", tt.encoding)
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			continue // the connection was cut, which is an answer too
		}
		answer.Body.Close()
		if answer.StatusCode < 400 {
			t.Errorf("%s: status %d", why, answer.StatusCode)
		}
	}
}
