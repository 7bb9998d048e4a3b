package gate

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"strconv"
	"testing"
)

// echo serves what it is sent, on loopback.
func echo(t *testing.T) (host, port string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	host, port, _ = net.SplitHostPort(l.Addr().String())
	return host, port
}

// knock speaks the protocol by hand and returns the code of the reply, or -1 if
// it does not get that far.
func knock(t *testing.T, proxy, user, password string, request []byte) (net.Conn, int) {
	t.Helper()
	u, err := url.Parse(proxy)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", u.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	auth := append([]byte{5, 2, 0, 2, 1, byte(len(user))}, user...)
	auth = append(append(auth, byte(len(password))), password...)
	if _, err := conn.Write(append(auth, request...)); err != nil {
		return conn, -1
	}
	var b [14]byte
	if _, err := io.ReadFull(conn, b[:]); err != nil || b[1] != 2 || b[3] != 0 {
		return conn, -1
	}
	return conn, int(b[5])
}

func byName(host, port string) []byte {
	n, _ := strconv.Atoi(port)
	return append(append([]byte{5, 1, 0, 3, byte(len(host))}, host...), byte(n>>8), byte(n))
}

func byAddress(host, port string) []byte {
	n, _ := strconv.Atoi(port)
	return append(append([]byte{5, 1, 0, 1}, net.ParseIP(host).To4()...), byte(n>>8), byte(n))
}

func dialer() Dial { return (&net.Dialer{}).DialContext }

// TestPass: who has a pass gets to where it leads, and to nowhere else.
func TestPass(t *testing.T) {
	host, port := echo(t)
	g, err := New(dialer())
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	p := g.Open(t.Context(), host, port)
	for _, tt := range []struct {
		why            string
		user, password string
		request        []byte
		code           int
	}{
		{"by address", p.user, p.password, byAddress(host, port), 0},
		{"by name", p.user, p.password, byName(host, port), 0},
		{"another port", p.user, p.password, byName(host, "1"), 2},
		{"another host", p.user, p.password, byName("169.254.169.254", port), 2},
		{"another password", p.user, "x", byName(host, port), -1},
		{"nobody", "x", p.password, byName(host, port), -1},
		{"to be connected to", p.user, p.password, append([]byte{5, 2}, byName(host, port)[2:]...), -1},
		{"no kind of address", p.user, p.password, []byte{5, 1, 0, 9, 0, 0, 0}, -1},
	} {
		conn, code := knock(t, p.URL(), tt.user, tt.password, tt.request)
		if code != tt.code {
			t.Errorf("%s: the answer is %d, want %d", tt.why, code, tt.code)
		}
		if code != 0 {
			if b, _ := io.ReadAll(conn); len(b) > 0 {
				t.Errorf("%s: something is answered: %v", tt.why, b)
			}
			continue
		}
		text := bytes.Repeat([]byte("there and back "), 100_000)
		go func() {
			_, _ = conn.Write(text)
			_ = conn.(*net.TCPConn).CloseWrite() // and the answer goes on
		}()
		if b, err := io.ReadAll(conn); err != nil || !bytes.Equal(b, text) {
			t.Errorf("%s: %d of %d bytes come back: %v", tt.why, len(b), len(text), err)
		}
	}
	conn, code := knock(t, p.URL(), p.user, p.password, byName(host, port))
	p.Close()
	if _, err := io.ReadAll(conn); code != 0 || err != nil && !errors.Is(err, net.ErrClosed) && !isReset(err) {
		t.Errorf("what went through a pass does not end with it: %v", err)
	}
	if _, code := knock(t, p.URL(), p.user, p.password, byName(host, port)); code != -1 {
		t.Error("a pass that is closed lets somebody through")
	}
}

func isReset(err error) bool {
	var op *net.OpError
	return errors.As(err, &op)
}

// TestRefused: what the dialer says is known to the pass.
func TestRefused(t *testing.T) {
	no := errors.New("not there")
	g, err := New(func(_ context.Context, network, address string) (net.Conn, error) {
		if network != "tcp" || address != "git.example:443" {
			t.Errorf("%s to %s is dialled", network, address)
		}
		return nil, no
	})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	p, other := g.Open(t.Context(), "Git.Example.", "443"), g.Open(t.Context(), "git.example", "443")
	defer p.Close()
	defer other.Close()
	if _, code := knock(t, p.URL(), p.user, p.password, byName("git.example", "443")); code != 4 {
		t.Errorf("the answer is %d", code)
	}
	if !errors.Is(p.Err(), no) || other.Err() != nil {
		t.Errorf("the pass knows %v, another %v", p.Err(), other.Err())
	}
}

// FuzzRequest: whatever a client sends is a request or an error.
func FuzzRequest(f *testing.F) {
	f.Add([]byte{5, 1, 2, 1, 1, 'a', 1, 'b', 5, 1, 0, 3, 1, 'h', 0, 80})
	f.Add([]byte{5, 1, 2, 1, 0, 0, 5, 1, 0, 1, 127, 0, 0, 1, 0, 80})
	f.Add([]byte{5, 1, 2, 1, 0, 0, 5, 1, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 80})
	f.Add([]byte{4, 1, 0, 80})
	f.Fuzz(func(t *testing.T, b []byte) {
		rw := struct {
			io.Reader
			io.Writer
		}{bytes.NewReader(b), io.Discard}
		if _, _, err := readAuth(rw); err != nil {
			return
		}
		if host, port, err := readRequest(rw); err == nil && (port == "" || len(host) > 255) {
			t.Errorf("%v asks for %q:%q", b, host, port)
		}
	})
}
