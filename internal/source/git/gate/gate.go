// Package gate is the way out for git's HTTP transport: a SOCKS5 server on
// loopback (RFC 1928, RFC 1929) that lets one git process connect to the one
// host and port that it was started for, through a dialer of ours that judges
// the address.
//
// It promises that
//
//   - a connection is opened by the dialer alone, for a name as for an address,
//     so that what the dialer refuses is refused at the moment of connecting,
//     whatever DNS said before;
//   - who has no [Pass], or asks for another host or port than that of his Pass,
//     is refused: no redirect and no mistake of git leads elsewhere;
//   - with its Pass ends every connection;
//   - why a connection could not be opened is known to the Pass, so that nobody
//     has to read it out of git's messages.
//
// TLS goes through it end to end. Nothing is kept but the Passes that are open.
package gate

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Dial opens a TCP connection to host:port.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// handshakeTime is how long a client may take to say where it wants to go. It is
// on this machine.
const handshakeTime = 10 * time.Second

// Gate is the server. It is safe for concurrent use.
type Gate struct {
	dial     Dial
	listener net.Listener
	serving  sync.WaitGroup

	mu     sync.Mutex
	passes map[string]*Pass // by user
	count  uint64
}

// Pass lets one client through.
type Pass struct {
	gate           *Gate
	user, password string
	host, port     string
	dial           func() (net.Conn, error)
	atEnd          func(func()) (stop func() bool) // has something done when the Pass ends
	end            func()

	mu  sync.Mutex
	err error
}

// New returns a Gate that listens on a free port of loopback.
func New(dial Dial) (*Gate, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		if l, err = net.Listen("tcp", "[::1]:0"); err != nil {
			return nil, fmt.Errorf("listening on loopback for git: %w", err)
		}
	}
	g := &Gate{dial: dial, listener: l, passes: map[string]*Pass{}}
	g.serving.Go(g.serve)
	return g, nil
}

// Close ends every connection, and returns when all has ended.
func (g *Gate) Close() {
	_ = g.listener.Close() // all that is left is to end
	g.mu.Lock()
	for _, p := range g.passes {
		p.end()
	}
	g.mu.Unlock()
	g.serving.Wait()
}

// Open makes a Pass to a host and port. It has to be closed; it ends with the
// context as well.
func (g *Gate) Open(ctx context.Context, host, port string) *Pass {
	ctx, cancel := context.WithCancel(ctx)
	p := &Pass{gate: g, host: plainHost(host), port: port, password: rand.Text(), end: cancel}
	p.dial = func() (net.Conn, error) { return g.dial(ctx, "tcp", net.JoinHostPort(p.host, p.port)) }
	p.atEnd = func(f func()) func() bool { return context.AfterFunc(ctx, f) }
	g.mu.Lock()
	defer g.mu.Unlock()
	g.count++
	p.user = strconv.FormatUint(g.count, 36)
	g.passes[p.user] = p
	return p
}

// URL is the address of the Gate as git's http.proxy takes it, with what the
// client has to show. It is a secret for as long as the Pass is open.
func (p *Pass) URL() string {
	// With the h, the name is resolved here, where the address is judged.
	u := url.URL{Scheme: "socks5h", User: url.UserPassword(p.user, p.password), Host: p.gate.listener.Addr().String()}
	return u.String()
}

// Err is why the last connection was not opened, nil if none failed.
func (p *Pass) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// Close ends what goes through the Pass, and lets nothing more through.
func (p *Pass) Close() {
	p.end()
	p.gate.mu.Lock()
	defer p.gate.mu.Unlock()
	delete(p.gate.passes, p.user)
}

// failed notes why a connection was not opened.
func (p *Pass) failed(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

func plainHost(host string) string {
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if a, err := netip.ParseAddr(host); err == nil {
		return a.Unmap().String()
	}
	return host
}

func (g *Gate) serve() {
	for {
		conn, err := g.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of file descriptors, say
			<-time.After(10 * time.Millisecond)
			continue
		}
		g.serving.Go(func() { g.client(conn) })
	}
}

// The replies of RFC 1928, section 6.
const (
	replyDone        = 0
	replyNotAllowed  = 2
	replyUnreachable = 4
)

func (g *Gate) client(conn net.Conn) {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(handshakeTime)) // a connection without one is closed by the peer
	p, err := g.admit(conn)
	if err != nil {
		return
	}
	stop := p.atEnd(func() { conn.Close() })
	defer stop()
	host, port, err := readRequest(conn)
	if err != nil {
		return
	}
	if plainHost(host) != p.host || port != p.port {
		p.failed(fmt.Errorf("git wanted to connect to %s, and may connect to %s only", net.JoinHostPort(host, port), net.JoinHostPort(p.host, p.port)))
		_ = reply(conn, replyNotAllowed)
		return
	}
	_ = conn.SetDeadline(time.Time{})
	out, err := p.dial()
	if err != nil {
		p.failed(err)
		_ = reply(conn, replyUnreachable) // why, the Pass knows
		return
	}
	defer out.Close()
	stopOut := p.atEnd(func() { out.Close() })
	defer stopOut()
	if reply(conn, replyDone) == nil {
		join(conn, out)
	}
}

// admit tells whose Pass a client shows.
func (g *Gate) admit(conn io.ReadWriter) (*Pass, error) {
	user, password, err := readAuth(conn)
	if err != nil {
		return nil, err
	}
	g.mu.Lock()
	p := g.passes[user]
	g.mu.Unlock()
	if p == nil || subtle.ConstantTimeCompare([]byte(p.password), []byte(password)) != 1 {
		_, _ = conn.Write([]byte{1, 1})
		return nil, errors.New("there is no such pass")
	}
	_, err = conn.Write([]byte{1, 0})
	return p, err
}

// readAuth reads the methods that a client offers, chooses user and password,
// and reads these.
func readAuth(conn io.ReadWriter) (user, password string, err error) {
	version, methods, err := readCounted(conn)
	if err != nil {
		return "", "", err
	}
	const userPassword, none = 2, 0xff
	if version != 5 || !strings.Contains(methods, string(rune(userPassword))) {
		_, _ = conn.Write([]byte{5, none})
		return "", "", errors.New("it offers neither user nor password")
	}
	if _, err := conn.Write([]byte{5, userPassword}); err != nil {
		return "", "", err
	}
	version, user, err = readCounted(conn)
	if err != nil || version != 1 {
		return "", "", errors.Join(err, errors.New("this is no user and password"))
	}
	password, err = readString(conn)
	return user, password, err
}

// readRequest reads where a client wants to connect to.
func readRequest(conn io.Reader) (host, port string, err error) {
	var head [4]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return "", "", err
	}
	const connect, v4, name, v6 = 1, 1, 3, 4
	if head[0] != 5 || head[1] != connect {
		return "", "", errors.New("this is no request to connect")
	}
	switch head[3] {
	case v4, v6:
		b := make([]byte, 4)
		if head[3] == v6 {
			b = make([]byte, 16)
		}
		if _, err := io.ReadFull(conn, b); err != nil {
			return "", "", err
		}
		a, _ := netip.AddrFromSlice(b)
		host = a.String()
	case name:
		if host, err = readString(conn); err != nil {
			return "", "", err
		}
	default:
		return "", "", errors.New("this is no kind of address")
	}
	var b [2]byte
	if _, err := io.ReadFull(conn, b[:]); err != nil {
		return "", "", err
	}
	return host, strconv.Itoa(int(binary.BigEndian.Uint16(b[:]))), nil
}

// readCounted reads a version, a length and so many bytes.
func readCounted(r io.Reader) (version byte, text string, err error) {
	var b [1]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return 0, "", err
	}
	text, err = readString(r)
	return b[0], text, err
}

func readString(r io.Reader) (string, error) {
	var n [1]byte
	if _, err := io.ReadFull(r, n[:]); err != nil {
		return "", err
	}
	b := make([]byte, n[0])
	_, err := io.ReadFull(r, b)
	return string(b), err
}

// reply answers a request. The address of our end is nobody's business.
func reply(w io.Writer, code byte) error {
	_, err := w.Write([]byte{5, code, 0, 1, 0, 0, 0, 0, 0, 0})
	return err
}

// join carries bytes both ways until both have ended.
func join(a, b net.Conn) {
	var both sync.WaitGroup
	carry := func(to, from net.Conn) {
		if _, err := io.Copy(to, from); err != nil {
			a.Close()
			b.Close()
			return
		}
		if half, ok := to.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite() // the other way may go on
		}
	}
	both.Go(func() { carry(a, b) })
	both.Go(func() { carry(b, a) })
	both.Wait()
}
