package sshclient

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestParseArgs(t *testing.T) {
	for _, tt := range []struct {
		args string
		want target
		ok   bool
	}{
		{"git@host|git-upload-pack 'r'", target{user: "git", host: "host", port: "22", command: "git-upload-pack 'r'"}, true},
		{"-o|SendEnv=GIT_PROTOCOL|-p|2222|ada@Host|x", target{user: "ada", host: "host", port: "2222", command: "x", sendProtocol: true}, true},
		{"host|x", target{user: "git", host: "host", port: "22", command: "x"}, true},
		{"-4|--|::1|x", target{user: "git", host: "::1", port: "22", command: "x"}, true},
		{"-o|ProxyCommand=touch /tmp/x|host|x", target{user: "git", host: "host", port: "22", command: "x"}, true}, // has no meaning here
		{"-F|config|host|x", target{}, false},
		{"-p|ssh|host|x", target{}, false},
		{"-p", target{}, false},
		{"host", target{}, false},
		{"", target{}, false},
		{"host|x|y", target{}, false},
	} {
		got, err := parseArgs(strings.Split(tt.args, "|"))
		if (err == nil) != tt.ok || tt.ok && got != tt.want {
			t.Errorf("%q: %+v, %v", tt.args, got, err)
		}
	}
}

func TestMainWithoutItsConfiguration(t *testing.T) {
	t.Setenv(ConfigVariable, "")
	var stderr bytes.Buffer
	if code := Main([]string{"host", "x"}, nil, nil, &stderr); code != 255 {
		t.Errorf("exit code %d", code)
	}
	kind, message, ok := ParseMessage("noise\n" + stderr.String() + "fatal: Could not read from remote repository.\n")
	if !ok || kind != kindFailed || !strings.Contains(message, "own use") {
		t.Errorf("%q %q %v from %q", kind, message, ok, stderr.String())
	}
}

func TestMessagesComeBack(t *testing.T) {
	// A server cannot invent a class: only known ones count.
	if _, _, ok := ParseMessage(marker + "Nonsense: hello"); ok {
		t.Error("an unknown class was taken")
	}
	kind, message, ok := ParseMessage("remote: x\n" + marker + kindUnknown + ": the key: is new\n")
	if !ok || kind != kindUnknown || message != "the key: is new" {
		t.Errorf("%q %q %v", kind, message, ok)
	}
}

func TestKnownHosts(t *testing.T) {
	for why, text := range map[string]string{
		"a line with two words": "host key",
		"a key that is none":    "host ssh-ed25519 AAAA",
		"an unknown marker":     "@friend host ssh-ed25519 AAAA",
	} {
		_, err := hostKeys(text)
		var f *failure
		if !errors.As(err, &f) || f.Kind != kindCredentials || strings.Contains(f.Message, "/known_hosts-") {
			t.Errorf("%s: %v", why, err)
		}
	}
	if _, err := hostKeys("# a comment\n\n"); err != nil {
		t.Error(err)
	}
}

func FuzzParseArgs(f *testing.F) {
	f.Add("-o\x00SendEnv=GIT_PROTOCOL\x00-p\x0022\x00git@host\x00cmd")
	f.Add("--\x00-host\x00cmd")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := parseArgs(strings.Split(s, "\x00"))
		if err == nil && (got.port == "" || strings.Contains(got.host, "@")) {
			t.Errorf("%q: %+v", s, got)
		}
	})
}

func FuzzKnownHosts(f *testing.F) {
	f.Add("host ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGhvc3Q=\n")
	f.Add("@cert-authority *.x ssh-rsa AAAA\n|1|a|b ssh-rsa AAAA")
	f.Fuzz(func(t *testing.T, s string) {
		check, err := hostKeys(s)
		if err == nil {
			knownAlgorithms(check, "host:22")
		}
	})
}
