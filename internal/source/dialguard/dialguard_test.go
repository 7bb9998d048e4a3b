package dialguard_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"

	"abide.dev/abide/internal/source/dialguard"
)

func TestCheck(t *testing.T) {
	g := dialguard.New(dialguard.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.8/29"), netip.MustParsePrefix("fd00:ec2::23/128")}})
	for _, tt := range []struct {
		addr string
		ok   bool
		why  string
	}{
		{"93.184.216.34", true, "public"},
		{"2606:2800:220:1::1", true, "public"},
		{"10.1.2.3", true, "private: registries live there"},
		{"172.16.0.1", true, "private"},
		{"192.168.1.1", true, "private"},
		{"100.64.0.1", true, "carrier-grade NAT"},
		{"fd12:3456::1", true, "unique local"},
		{"127.0.0.1", false, "loopback"},
		{"127.255.0.1", false, "all of 127/8 is loopback"},
		{"::1", false, "loopback"},
		{"169.254.169.254", false, "metadata"},
		{"169.254.1.1", false, "link-local"},
		{"fe80::1", false, "link-local"},
		{"fe80::1%eth0", false, "a zone changes nothing"},
		{"0.0.0.0", false, "unspecified: Linux connects it to itself"},
		{"0.1.2.3", false, "this network"},
		{"::", false, "unspecified"},
		{"224.0.0.1", false, "multicast"},
		{"ff02::1", false, "multicast"},
		{"255.255.255.255", false, "broadcast"},
		{"240.0.0.1", false, "reserved"},
		{"100.100.100.200", false, "metadata of a cloud, in a private range"},
		{"168.63.129.16", false, "metadata of a cloud, a public address"},
		{"fd00:ec2::254", false, "metadata of a cloud"},
		{"::ffff:127.0.0.1", false, "mapped"},
		{"::ffff:10.0.0.1", true, "mapped, of a private one"},
		{"::127.0.0.1", false, "compatible"},
		{"64:ff9b::7f00:1", false, "NAT64 of loopback"},
		{"64:ff9b::a9fe:a9fe", false, "NAT64 of metadata"},
		{"64:ff9b::a00:1", true, "NAT64 of a private one"},
		{"64:ff9b:1::1", false, "NAT64 with a prefix of one's own: what is in it is not known"},
		{"2002:7f00:1::1", false, "6to4 of loopback"},
		{"2001::1", false, "Teredo"},
		{"127.0.0.9", true, "allowed by the operator"},
		{"::ffff:127.0.0.9", true, "the same, mapped"},
		{"64:ff9b::7f00:9", true, "the same, through NAT64"},
		{"127.0.0.16", false, "just outside of what is allowed"},
		{"fd00:ec2::23", true, "allowed by the operator"},
	} {
		err := g.Check(netip.MustParseAddr(tt.addr))
		if (err == nil) != tt.ok {
			t.Errorf("%s: %v: %s", tt.addr, err, tt.why)
		}
		var b *dialguard.BlockedError
		if err != nil && (!errors.As(err, &b) || b.Prefix() == "") {
			t.Errorf("%s: %v does not say what to allow", tt.addr, err)
		}
	}
	if g.Check(netip.Addr{}) == nil {
		t.Error("no address was let pass")
	}
}

func TestCheckHost(t *testing.T) {
	g := dialguard.New(dialguard.Options{})
	allowed := dialguard.New(dialguard.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	for _, tt := range []struct {
		host        string
		ok, allowed bool
	}{
		{"example.com", true, true},
		{"10.0.0.1", true, true},
		{"127.0.0.1", false, true},
		{"[::1]", false, false},
		{"LOCALHOST.", false, true},
		{"a.localhost", false, true},
		{"169.254.169.254", false, false},
	} {
		if err := g.CheckHost(tt.host); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.host, err)
		}
		if err := allowed.CheckHost(tt.host); (err == nil) != tt.allowed {
			t.Errorf("%s, loopback allowed: %v", tt.host, err)
		}
	}
}

// listen counts the connections that arrive.
func listen(t *testing.T) (address string, arrived *atomic.Int32) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	arrived = new(atomic.Int32)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			arrived.Add(1)
			c.Close()
		}
	}()
	return l.Addr().String(), arrived
}

func TestDial(t *testing.T) {
	address, arrived := listen(t)
	_, port, _ := net.SplitHostPort(address)
	g := dialguard.New(dialguard.Options{})
	for _, a := range []string{address, "localhost:" + port, "0.0.0.0:" + port, "[::ffff:127.0.0.1]:" + port} {
		c, err := g.DialContext(t.Context(), "tcp", a)
		if err == nil {
			c.Close()
			t.Errorf("%s was connected to", a)
		}
	}
	var b *dialguard.BlockedError
	if _, err := g.DialContext(t.Context(), "tcp", "localhost:"+port); !errors.As(err, &b) || b.Host != "localhost" {
		t.Errorf("the error does not name the host: %v", err)
	}
	if _, err := g.DialContext(t.Context(), "unix", "/x"); err == nil {
		t.Error("a socket of this machine was opened")
	}
	if n := arrived.Load(); n != 0 {
		t.Errorf("%d connections arrived", n)
	}
	allowed := dialguard.New(dialguard.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
	c, err := allowed.DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

// answers is a resolver whose answer to each question for an IPv4 address is the
// next of a list; the last one stays.
func answers(t *testing.T, list ...string) (*net.Resolver, *atomic.Int32) {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pc.Close() })
	asked := new(atomic.Int32)
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			pc.WriteTo(reply(buf[:n], list, asked), from)
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", pc.LocalAddr().String())
	}}, asked
}

// reply answers one question (RFC 1035): with an address for type A, with
// nothing for others.
func reply(q []byte, list []string, asked *atomic.Int32) []byte {
	end := 12
	for q[end] != 0 {
		end += int(q[end]) + 1
	}
	end += 5
	out := append([]byte(nil), q[:end]...)
	out[2], out[3] = 0x81, 0x80
	copy(out[6:12], make([]byte, 6))
	if binary.BigEndian.Uint16(q[end-4:]) != 1 {
		return out
	}
	i := min(int(asked.Add(1))-1, len(list)-1)
	a := netip.MustParseAddr(list[i]).As4()
	out[7] = 1
	out = append(out, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
	return append(out, a[:]...)
}

// A name that first leads to a good address and then to this machine is judged
// by what it leads to when it is connected to.
func TestRebinding(t *testing.T) {
	address, arrived := listen(t)
	_, port, _ := net.SplitHostPort(address)
	resolver, asked := answers(t, "127.0.0.9", "127.0.0.1")
	g := dialguard.New(dialguard.Options{Resolver: resolver, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.9/32")}})
	var b *dialguard.BlockedError
	if c, err := g.DialContext(t.Context(), "tcp", "charts.test:"+port); err == nil {
		c.Close()
		t.Error("nobody listens at 127.0.0.9")
	} else if errors.As(err, &b) {
		t.Errorf("the allowed address was refused: %v", err)
	}
	_, err := g.DialContext(t.Context(), "tcp", "charts.test:"+port)
	if !errors.As(err, &b) || b.Host != "charts.test" || b.Addr.String() != "127.0.0.1" {
		t.Errorf("after the answer changed: %v", err)
	}
	if n := arrived.Load(); n != 0 {
		t.Errorf("%d connections arrived", n)
	}
	if asked.Load() < 2 {
		t.Error("the name was looked up once only")
	}
}
