// Package sshclient is the ssh program that abide gives to git: it opens one
// SSH connection with golang.org/x/crypto/ssh, runs git's command there and
// carries its standard streams.
//
// It promises: the server's key is always checked against known hosts; the
// only way to log in is the key that was handed over, and only to the host it
// was handed over for; nothing of the user's own SSH setup is read. It
// persists nothing. What went wrong is one line on standard error that
// [ParseMessage] reads back.
package sshclient

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"abide.dev/abide/internal/source/dialguard"
)

// ConfigVariable names the environment variable with the number of the file
// descriptor to read the [Config] from.
const ConfigVariable = "ABIDE_GIT_SSH_CONFIG_FD"

// Config is what the client needs, as JSON on an inherited file descriptor.
type Config struct {
	// Host is host, or host:port for another port than 22; no other is
	// connected to.
	Host       string
	Key        string // PEM or OpenSSH
	Passphrase string
	KnownHosts string // the text of a known_hosts file
	// AllowAddresses may be connected to whatever they are; see package dialguard.
	AllowAddresses []netip.Prefix
	// Stall is how long nothing may come before the connection is given up.
	Stall time.Duration
}

const (
	marker      = "abide-git-ssh:"
	dialTimeout = 20 * time.Second
	maxConfig   = 8 << 20
)

// The kinds of failures, by the names that package git has for them.
const (
	kindCredentials = "CredentialsInvalid"
	kindUnreachable = "HostUnreachable"
	kindBlocked     = "AddressBlocked"
	kindAuth        = "AuthenticationFailed"
	kindUnknown     = "HostKeyUnknown"
	kindMismatch    = "HostKeyMismatch"
	kindFailed      = "GitFailed"
)

type failure struct {
	Kind    string
	Message string
}

func (f *failure) Error() string { return f.Message }

func fail(kind, format string, args ...any) *failure {
	return &failure{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// ParseMessage finds the line that Main wrote about a failure in the error
// output of git, and returns its kind and message.
func ParseMessage(stderr string) (kind, message string, ok bool) {
	for _, line := range strings.Split(stderr, "\n") {
		rest, found := strings.CutPrefix(line, marker)
		if !found {
			continue
		}
		if kind, message, ok = strings.Cut(rest, ": "); ok {
			switch kind {
			case kindCredentials, kindUnreachable, kindBlocked, kindAuth, kindUnknown, kindMismatch, kindFailed:
				return kind, strings.TrimSpace(message), true
			}
		}
	}
	return "", "", false
}

// Main runs the client with the arguments that git gives to OpenSSH's ssh
// (without the program's name) and returns the exit code.
func Main(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	code, err := run(args, stdin, stdout, stderr)
	if err != nil {
		f := fail(kindFailed, "%v", err)
		errors.As(err, &f)
		fmt.Fprintf(stderr, "%s%s: %s\n", marker, f.Kind, strings.Join(strings.Fields(f.Message), " "))
		return 255
	}
	return code
}

func run(args []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	target, err := parseArgs(args)
	if err != nil {
		return 0, err
	}
	config, err := readConfig()
	if err != nil {
		return 0, err
	}
	if target.address() != withPort(config.Host) {
		return 0, fail(kindCredentials, "the SSH key is for %s and is not used for %s", config.Host, target.address())
	}
	client, conn, err := dial(context.Background(), target, config)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		return 0, fail(kindUnreachable, "the SSH server at %s opened no session: %v", target.address(), err)
	}
	defer session.Close()
	session.Stdin, session.Stdout, session.Stderr = stdin, stdout, stderr
	if v := os.Getenv("GIT_PROTOCOL"); v != "" && target.sendProtocol {
		_ = session.Setenv("GIT_PROTOCOL", v) // a server may refuse it, then protocol 0 is spoken
	}
	if err := session.Start(target.command); err != nil {
		return 0, fail(kindFailed, "the SSH server at %s refused to run git's command", target.address())
	}
	err = session.Wait()
	var exit *ssh.ExitError
	switch {
	case conn.stalled.Load():
		return 0, fail(kindUnreachable, "nothing has come from the SSH server at %s for %s; abide keeps trying", target.address(), config.Stall)
	case errors.As(err, &exit):
		return max(exit.ExitStatus(), 1), nil
	case err != nil:
		return 0, fail(kindUnreachable, "the SSH connection to %s broke: %v", target.address(), err)
	}
	return 0, nil
}

type target struct {
	user, host, port, command string
	sendProtocol              bool
}

func (t target) address() string { return net.JoinHostPort(t.host, t.port) }

// parseArgs takes "[-o SendEnv=GIT_PROTOCOL] [-4|-6] [-p port] [--] [user@]host
// command", which is all that git passes.
func parseArgs(args []string) (target, error) {
	t := target{user: "git", port: "22"}
	for len(args) > 0 && strings.HasPrefix(args[0], "-") {
		flag := args[0]
		args = args[1:]
		if flag == "--" {
			break
		}
		if flag == "-4" || flag == "-6" {
			continue
		}
		if len(args) == 0 {
			return t, fail(kindFailed, "%s wants a value", flag)
		}
		switch flag {
		case "-p":
			if _, err := strconv.ParseUint(args[0], 10, 16); err != nil {
				return t, fail(kindFailed, "%q is no port", args[0])
			}
			t.port = args[0]
		case "-o":
			t.sendProtocol = t.sendProtocol || args[0] == "SendEnv=GIT_PROTOCOL"
		default:
			return t, fail(kindFailed, "%s is no flag that git uses", flag)
		}
		args = args[1:]
	}
	if len(args) != 2 || args[0] == "" {
		return t, fail(kindFailed, "wants a host and a command")
	}
	t.host, t.command = args[0], args[1]
	if i := strings.LastIndex(t.host, "@"); i >= 0 {
		t.user, t.host = t.host[:i], t.host[i+1:]
	}
	t.host = strings.ToLower(strings.Trim(t.host, "[]"))
	return t, nil
}

func withPort(host string) string {
	if h, p, err := net.SplitHostPort(host); err == nil {
		return net.JoinHostPort(h, p)
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), "22")
}

func readConfig() (Config, error) {
	var c Config
	fd, err := strconv.Atoi(os.Getenv(ConfigVariable))
	if err != nil || fd < 3 {
		return c, fail(kindFailed, "this command is for abide's own use")
	}
	f := os.NewFile(uintptr(fd), "config")
	if f == nil {
		return c, fail(kindFailed, "the configuration was not handed over")
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxConfig))
	if err != nil {
		return c, fail(kindFailed, "read the configuration: %v", err)
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return c, fail(kindFailed, "the configuration is not valid")
	}
	return c, nil
}

// attended is a connection that ends when nothing has come for a while. The
// handshake has a limit of its own.
type attended struct {
	net.Conn
	limit   atomic.Int64 // of the time between two reads, 0 for none
	stalled atomic.Bool
}

// Read implements net.Conn.
func (a *attended) Read(b []byte) (int, error) {
	a.extend()
	n, err := a.Conn.Read(b)
	if errors.Is(err, os.ErrDeadlineExceeded) && a.limit.Load() > 0 {
		a.stalled.Store(true)
	}
	return n, err
}

// attend begins to look after the connection.
func (a *attended) attend(limit time.Duration) {
	_ = a.SetDeadline(time.Time{})
	a.limit.Store(int64(limit))
	a.extend() // also for a read that is under way
}

func (a *attended) extend() {
	if limit := time.Duration(a.limit.Load()); limit > 0 {
		_ = a.SetReadDeadline(time.Now().Add(limit))
	}
}

func dial(ctx context.Context, t target, c Config) (*ssh.Client, *attended, error) {
	signer, err := parseKey(c)
	if err != nil {
		return nil, nil, err
	}
	check, err := hostKeys(c.KnownHosts)
	if err != nil {
		return nil, nil, err
	}
	var asked bool
	var hostKeyErr error
	config := &ssh.ClientConfig{
		User: t.user,
		Auth: []ssh.AuthMethod{ssh.PublicKeysCallback(func() ([]ssh.Signer, error) {
			asked = true
			return []ssh.Signer{signer}, nil
		})},
		HostKeyCallback: func(host string, remote net.Addr, key ssh.PublicKey) error {
			hostKeyErr = explainHostKey(t, key, check(host, remote, key))
			return hostKeyErr
		},
		HostKeyAlgorithms: knownAlgorithms(check, t.address()),
		Timeout:           dialTimeout,
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	guard := dialguard.New(dialguard.Options{Allow: c.AllowAddresses, Timeout: dialTimeout})
	tcp, err := guard.DialContext(ctx, "tcp", t.address())
	var blocked *dialguard.BlockedError
	switch {
	case errors.As(err, &blocked) && blocked.Prefix() != "":
		return nil, nil, fail(kindBlocked, "%v; if the host is meant to be there, whoever runs abide can allow %s", blocked, blocked.Prefix())
	case err != nil:
		return nil, nil, fail(kindUnreachable, "the host cannot be reached (%v); abide keeps trying", err)
	}
	conn := &attended{Conn: tcp}
	_ = conn.SetDeadline(time.Now().Add(dialTimeout))
	sc, channels, requests, err := ssh.NewClientConn(conn, t.address(), config)
	if err != nil {
		conn.Close()
		switch {
		case hostKeyErr != nil:
			return nil, nil, hostKeyErr
		case asked:
			return nil, nil, fail(kindAuth, "the host did not accept the key %s for the user %q; add its public half to the repository's deploy keys",
				ssh.FingerprintSHA256(signer.PublicKey()), t.user)
		}
		return nil, nil, fail(kindUnreachable, "the SSH server at %s ended the handshake (%v)", t.address(), err)
	}
	conn.attend(c.Stall)
	return ssh.NewClient(sc, channels, requests), conn, nil
}

func parseKey(c Config) (ssh.Signer, error) {
	key := []byte(strings.ReplaceAll(c.Key, "\r\n", "\n"))
	if len(key) > 0 && key[len(key)-1] != '\n' {
		key = append(key, '\n')
	}
	signer, err := ssh.ParsePrivateKey(key)
	var missing *ssh.PassphraseMissingError
	if errors.As(err, &missing) {
		if c.Passphrase == "" {
			return nil, fail(kindCredentials, "the SSH key is protected by a passphrase; add it to the Secret as its password")
		}
		if signer, err = ssh.ParsePrivateKeyWithPassphrase(key, []byte(c.Passphrase)); err != nil {
			return nil, fail(kindCredentials, "the passphrase does not open the SSH key")
		}
		return signer, nil
	}
	if err != nil {
		return nil, fail(kindCredentials, "the SSH key is not a private key in PEM or OpenSSH form")
	}
	return signer, nil
}

// hostKeys makes the check from the text of a known_hosts file. The library
// reads files only, so the text passes through one that is removed at once;
// it is no secret.
func hostKeys(text string) (ssh.HostKeyCallback, error) {
	f, err := os.CreateTemp("", "known_hosts-*")
	if err != nil {
		return nil, err
	}
	defer os.Remove(f.Name())
	_, err = io.WriteString(f, text)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, err
	}
	check, err := knownhosts.New(f.Name())
	if err != nil {
		reason := strings.ReplaceAll(err.Error(), f.Name(), "line ")
		return nil, fail(kindCredentials, "known_hosts cannot be read (%s)", reason)
	}
	return check, nil
}

// knownAlgorithms lists the algorithms of the keys that are known for the
// host, so that a server with several keys offers one that can be checked.
// nil, the library's default, when none is known.
func knownAlgorithms(check ssh.HostKeyCallback, address string) []string {
	var known *knownhosts.KeyError
	if !errors.As(check(address, &net.TCPAddr{IP: net.IPv4zero}, noKey{}), &known) {
		return nil
	}
	var out []string
	for _, k := range known.Want {
		switch t := k.Key.Type(); t {
		case ssh.KeyAlgoRSA:
			out = append(out, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
		default:
			out = append(out, t)
		}
	}
	return out
}

// noKey is a public key that equals no other.
type noKey struct{}

func (noKey) Type() string                        { return "none" }
func (noKey) Marshal() []byte                     { return nil }
func (noKey) Verify([]byte, *ssh.Signature) error { return errors.New("no key") }

// explainHostKey turns the library's verdict into one that says what to do.
func explainHostKey(t target, key ssh.PublicKey, err error) error {
	if err == nil {
		return nil
	}
	fingerprint := ssh.FingerprintSHA256(key)
	var unknown *knownhosts.KeyError
	var revoked *knownhosts.RevokedError
	switch {
	case errors.As(err, &revoked):
		return fail(kindMismatch, "the host key %s (%s) is marked as revoked in known_hosts", fingerprint, key.Type())
	case errors.As(err, &unknown) && len(unknown.Want) == 0:
		return fail(kindUnknown, "the host key %s (%s) is not in known_hosts; compare it with what the host publishes, then add this line to known_hosts of the Repository's Secret: %s %s %s",
			fingerprint, key.Type(), knownhosts.Normalize(t.address()), key.Type(), base64.StdEncoding.EncodeToString(key.Marshal()))
	case errors.As(err, &unknown):
		return fail(kindMismatch, "the host key changed: the server shows %s (%s), and known_hosts has %s; someone may be between, or the host has a new key: compare it with what the host publishes before you change known_hosts",
			fingerprint, key.Type(), ssh.FingerprintSHA256(unknown.Want[0].Key))
	}
	return fail(kindMismatch, "the host key %s (%s) cannot be trusted (%v)", fingerprint, key.Type(), err)
}
