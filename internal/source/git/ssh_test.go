package git_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"abide.dev/abide/internal/gitserver/gittest"
	"abide.dev/abide/internal/gitserver/sshserver"
	"abide.dev/abide/internal/source/git"
)

// sshKey makes a key and its OpenSSH form, protected if passphrase is set.
func sshKey(t *testing.T, passphrase string) (ssh.PublicKey, string) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var block *pem.Block
	if passphrase == "" {
		block, err = ssh.MarshalPrivateKey(private, "")
	} else {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return key, string(pem.EncodeToMemory(block))
}

func TestSSH(t *testing.T) {
	repo := gittest.New(t)
	commit := repo.Write(map[string]string{"a": "1"}).Commit("one")
	public, private := sshKey(t, "")
	lockedPublic, locked := sshKey(t, "open-sesame")
	_, stranger := sshKey(t, "")
	server, err := sshserver.Start(repo.Root, public, lockedPublic)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	s := newStore(t, git.Options{})
	url := "ssh://git@" + server.Addr() + "/repo.git"
	otherKey, _ := sshKey(t, "")
	changed := knownhosts.Line([]string{server.Addr()}, otherKey) + "\n"
	elsewhere := knownhosts.Line([]string{"git.example.org"}, otherKey) + "\n"
	fingerprint := ssh.FingerprintSHA256(server.HostKey())

	for _, tt := range []struct {
		name  string
		url   string
		creds git.Credentials
		want  git.Kind
		says  []string
	}{
		{"key and host known", url, git.Credentials{SSHKey: private, KnownHosts: server.KnownHosts()}, "", nil},
		{"line breaks of another system", url, git.Credentials{SSHKey: strings.ReplaceAll(private, "\n", "\r\n"), KnownHosts: server.KnownHosts()}, "", nil},
		{"key with its passphrase", url, git.Credentials{SSHKey: locked, SSHPassphrase: "open-sesame", KnownHosts: server.KnownHosts()}, "", nil},
		{"key without its passphrase", url, git.Credentials{SSHKey: locked, KnownHosts: server.KnownHosts()}, git.CredentialsInvalid, []string{"passphrase"}},
		{"wrong passphrase", url, git.Credentials{SSHKey: locked, SSHPassphrase: "wrong-sesame", KnownHosts: server.KnownHosts()}, git.CredentialsInvalid, []string{"passphrase"}},
		{"host not known", url, git.Credentials{SSHKey: private, KnownHosts: elsewhere}, git.HostKeyUnknown, []string{fingerprint, "known_hosts", strings.TrimSpace(server.KnownHosts())}},
		{"host key changed", url, git.Credentials{SSHKey: private, KnownHosts: changed}, git.HostKeyMismatch, []string{fingerprint, ssh.FingerprintSHA256(otherKey)}},
		{"key not accepted", url, git.Credentials{SSHKey: stranger, KnownHosts: server.KnownHosts()}, git.AuthenticationFailed, []string{"deploy keys"}},
		{"no known hosts", url, git.Credentials{SSHKey: private}, git.CredentialsInvalid, []string{"known_hosts"}},
		{"no key", url, git.Credentials{KnownHosts: server.KnownHosts()}, git.CredentialsInvalid, []string{"SSH key"}},
		{"no such repository", url + "x", git.Credentials{SSHKey: private, KnownHosts: server.KnownHosts()}, git.RepositoryNotFound, nil},
		{"a key that is none", url, git.Credentials{SSHKey: "hello", KnownHosts: server.KnownHosts()}, git.CredentialsInvalid, nil},
		{"known hosts that are none", url, git.Credentials{SSHKey: private, KnownHosts: "just one"}, git.CredentialsInvalid, []string{"known_hosts"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := mirrorOf(t, s, tt.url)
			refs, err := m.ListRefs(t.Context(), tt.creds, []string{"HEAD"})
			if tt.want == "" {
				if err != nil || refs.Hashes["HEAD"] != commit {
					t.Fatalf("%+v, %v", refs, err)
				}
				return
			}
			wantKind(t, err, tt.want)
			for _, s := range tt.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("%q does not say %q", err, s)
				}
			}
			noSecrets(t, err, tt.creds)
		})
	}
	m := mirrorOf(t, s, url)
	creds := git.Credentials{SSHKey: private, KnownHosts: server.KnownHosts()}
	fetched(t, m, creds, "HEAD")
	if c, err := m.Commit(t.Context(), commit); err != nil || c.Subject != "one" {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestSSHUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	key, private := sshKey(t, "")
	m := mirrorOf(t, newStore(t, git.Options{}), "ssh://git@"+address+"/repo.git")
	_, err = m.ListRefs(t.Context(), git.Credentials{SSHKey: private, KnownHosts: knownhosts.Line([]string{address}, key) + "\n"}, []string{"HEAD"})
	wantKind(t, err, git.HostUnreachable)
}

// TestSSHStall: a host that falls silent in the middle of a fetch is given up.
func TestSSHStall(t *testing.T) {
	repo := gittest.New(t)
	noise := make([]byte, 300<<10)
	rand.Read(noise)
	commit := repo.Write(map[string]string{"a": string(noise)}).Commit("one")
	public, private := sshKey(t, "")
	server, err := sshserver.Start(repo.Root, public)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	address := silentAfter(t, server.Addr(), 64<<10)
	creds := git.Credentials{SSHKey: private, KnownHosts: knownhosts.Line([]string{address}, server.HostKey()) + "\n"}
	m := mirrorOf(t, newStore(t, git.Options{Limits: git.Limits{StallTimeout: time.Second}}), "ssh://git@"+address+"/repo.git")
	err = m.Fetch(t.Context(), creds, git.Want{Hash: commit})
	wantKind(t, err, git.HostUnreachable)
	if !strings.Contains(err.Error(), "nothing has come") {
		t.Errorf("it says %q", err)
	}
}

// silentAfter listens before a server, and passes on so many bytes of what it
// sends on each connection, and then nothing.
func silentAfter(t *testing.T, server string, most int64) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			behind, err := net.Dial("tcp", server)
			if err != nil {
				client.Close()
				return
			}
			go func() {
				defer behind.Close()
				defer client.Close()
				io.Copy(behind, client) // until the client goes
			}()
			go io.CopyN(client, behind, most)
		}
	}()
	return l.Addr().String()
}
