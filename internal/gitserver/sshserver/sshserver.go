// Package sshserver serves Git repositories over SSH on loopback, for tests:
// it accepts the keys it was given and runs git upload-pack, nothing else, for
// repositories below one folder.
package sshserver

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// Server is a running SSH server.
type Server struct {
	root     string
	listener net.Listener
	hostKey  ssh.Signer
	config   *ssh.ServerConfig

	mu    sync.Mutex
	conns map[net.Conn]bool
	done  sync.WaitGroup
}

// Start serves the repositories below root to whoever has one of the keys, on
// a free port of loopback, with a new host key.
func Start(root string, authorized ...ssh.PublicKey) (*Server, error) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Server{root: root, listener: l, hostKey: signer, conns: map[net.Conn]bool{}}
	s.config = &ssh.ServerConfig{PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		for _, a := range authorized {
			if bytes.Equal(a.Marshal(), key.Marshal()) {
				return nil, nil
			}
		}
		return nil, errors.New("the key is not authorized")
	}}
	s.config.AddHostKey(signer)
	s.done.Go(s.accept)
	return s, nil
}

// Addr is the host and port that is listened on.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// KnownHosts is the line of a known_hosts file for this server.
func (s *Server) KnownHosts() string {
	return knownhosts.Line([]string{s.Addr()}, s.hostKey.PublicKey()) + "\n"
}

// HostKey is the server's public key.
func (s *Server) HostKey() ssh.PublicKey { return s.hostKey.PublicKey() }

// Close ends the server and its connections.
func (s *Server) Close() {
	s.listener.Close()
	s.mu.Lock()
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.done.Wait()
}

func (s *Server) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns[c] = true
		s.mu.Unlock()
		s.done.Go(func() {
			defer func() {
				c.Close()
				s.mu.Lock()
				delete(s.conns, c)
				s.mu.Unlock()
			}()
			s.serve(c)
		})
	}
}

func (s *Server) serve(c net.Conn) {
	conn, channels, requests, err := ssh.NewServerConn(c, s.config)
	if err != nil {
		return
	}
	defer conn.Close()
	go ssh.DiscardRequests(requests)
	for nc := range channels {
		if nc.ChannelType() != "session" {
			_ = nc.Reject(ssh.UnknownChannelType, "sessions only")
			continue
		}
		ch, reqs, err := nc.Accept()
		if err != nil {
			return
		}
		s.session(ch, reqs)
	}
}

// session serves one channel: environment, then one command.
func (s *Server) session(ch ssh.Channel, reqs <-chan *ssh.Request) {
	defer ch.Close()
	protocol := ""
	for r := range reqs {
		switch r.Type {
		case "env":
			var v struct{ Name, Value string }
			if ssh.Unmarshal(r.Payload, &v) == nil && v.Name == "GIT_PROTOCOL" {
				protocol = v.Value
			}
			_ = r.Reply(true, nil)
		case "exec":
			var v struct{ Command string }
			if err := ssh.Unmarshal(r.Payload, &v); err != nil {
				_ = r.Reply(false, nil)
				return
			}
			_ = r.Reply(true, nil)
			go ssh.DiscardRequests(reqs)
			code := s.upload(ch, v.Command, protocol)
			_, _ = ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Code uint32 }{code}))
			return
		default:
			_ = r.Reply(false, nil)
		}
	}
}

func (s *Server) upload(ch ssh.Channel, command, protocol string) uint32 {
	name, ok := strings.CutPrefix(command, "git-upload-pack '")
	name = strings.TrimPrefix(strings.TrimSuffix(name, "'"), "/")
	dir := filepath.Join(s.root, filepath.FromSlash(name))
	_, err := os.Stat(filepath.Join(dir, "HEAD"))
	if !ok || !fs.ValidPath(name) || err != nil {
		fmt.Fprintln(ch.Stderr(), "ERROR: Repository not found.")
		return 1
	}
	cmd := exec.Command("git", "-c", "safe.directory="+dir, "upload-pack", dir)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.DevNull, "LC_ALL=C",
		"GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_PROTOCOL=" + protocol,
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		return 1
	}
	cmd.Stdout, cmd.Stderr = ch, ch.Stderr()
	if err := cmd.Start(); err != nil {
		return 1
	}
	go func() {
		defer in.Close()
		buf := make([]byte, 32<<10)
		for {
			n, err := ch.Read(buf)
			if n > 0 {
				if _, werr := in.Write(buf[:n]); werr != nil {
					return
				}
			}
			if err != nil {
				return
			}
		}
	}()
	if cmd.Wait() != nil {
		return 1
	}
	return 0
}
