package git_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/ssh/knownhosts"

	"abide.dev/abide/internal/gitserver"
	"abide.dev/abide/internal/gitserver/gittest"
	"abide.dev/abide/internal/source/git"
)

// TestAddressBlocked: what only this machine may reach is not connected to, over
// any transport, unless the operator allows it.
func TestAddressBlocked(t *testing.T) {
	var reached atomic.Int64
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			reached.Add(1)
			c.Close()
		}
	}()
	here := l.Addr().String()
	_, port, _ := net.SplitHostPort(here)
	key, private := sshKey(t, "")
	ssh := git.Credentials{SSHKey: private, KnownHosts: knownhosts.Line([]string{here}, key) + "\n"}
	proxied := git.Credentials{Proxy: "http://" + here}
	nowhere := []netip.Prefix{}
	for _, tt := range []struct {
		why   string
		url   string
		creds git.Credentials
		allow []netip.Prefix
		says  string
	}{
		{"over http", "http://" + here + "/repo", git.Credentials{}, nowhere, "127.0.0.1/32"},
		{"over https", "https://" + here + "/repo", git.Credentials{}, nowhere, "127.0.0.1/32"},
		{"over ssh", "ssh://git@" + here + "/repo", ssh, nowhere, "127.0.0.1/32"},
		{"by name", "http://localhost:" + port + "/repo", git.Credentials{}, nowhere, "localhost"},
		{"of IPv6", "http://[::ffff:127.0.0.1]:" + port + "/repo", git.Credentials{}, nowhere, "loopback"},
		{"the metadata of a cloud", "http://169.254.169.254/latest/meta-data", git.Credentials{}, nowhere, "metadata"},
		{"where another address is allowed", "http://" + here + "/repo", git.Credentials{}, []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}, "127.0.0.1/32"},
		{"behind a proxy", "http://169.254.169.254/latest/meta-data", proxied, nowhere, "metadata"},
		{"behind a proxy, by name", "http://localhost/repo", proxied, nowhere, "localhost"},
	} {
		t.Run(tt.why, func(t *testing.T) {
			m := mirrorOf(t, newStore(t, git.Options{AllowAddresses: tt.allow}), tt.url)
			_, err := m.ListRefs(t.Context(), tt.creds, []string{"HEAD"})
			wantKind(t, err, git.AddressBlocked)
			if !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%q does not say %q", err, tt.says)
			}
			err = m.Fetch(t.Context(), tt.creds, git.Want{Hash: strings.Repeat("ab", 20)})
			wantKind(t, err, git.AddressBlocked)
		})
	}
	if n := reached.Load(); n > 0 {
		t.Errorf("it was connected to %d times", n)
	}
}

// TestOneHost: nothing that a server says has git ask another.
func TestOneHost(t *testing.T) {
	var asked atomic.Int64
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer other.Close()
	repo := gittest.New(t)
	repo.Write(map[string]string{"a": "1"}).Commit("one")
	repo.Git("update-server-info")
	files := http.FileServer(http.Dir(repo.Root))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, "/objects/info/http-alternates"), strings.HasSuffix(r.URL.Path, "/objects/info/alternates"):
			_, _ = w.Write([]byte(other.URL + "/objects\n"))
		case strings.Contains(r.URL.Path, "/objects/"):
			http.NotFound(w, r)
		default:
			files.ServeHTTP(w, r)
		}
	}))
	defer s.Close()
	m := mirrorOf(t, newStore(t, git.Options{}), s.URL+"/repo.git")
	refs, err := m.ListRefs(t.Context(), anonymous, []string{"refs/heads/main"})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Fetch(t.Context(), anonymous, git.Want{Hash: refs.Hashes["refs/heads/main"]}); err == nil {
		t.Error("objects come from somewhere")
	}
	if n := asked.Load(); n > 0 {
		t.Errorf("the other server was asked %d times", n)
	}
}

// BenchmarkListRefs is one look over HTTP, through the gate: what a poll costs.
func BenchmarkListRefs(b *testing.B) {
	repo := gittest.New(b)
	repo.Write(map[string]string{"a": "1"}).Commit("one")
	m := mirrorOf(b, newStore(b, git.Options{}), serve(b, repo, gitserver.Options{}, nil))
	for b.Loop() {
		if _, err := m.ListRefs(b.Context(), anonymous, []string{"HEAD"}); err != nil {
			b.Fatal(err)
		}
	}
}
