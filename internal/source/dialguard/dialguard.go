// Package dialguard opens TCP connections for whoever was told by a user where
// to connect to, and keeps them away from what only this machine may reach.
//
// Refused, unless the operator allows the address, are: loopback, link-local,
// unspecified ("this network"), multicast, broadcast and reserved addresses,
// and the addresses at which clouds serve the metadata and the credentials of a
// machine. Private ranges (RFC 1918, unique local, carrier-grade NAT) are not
// refused: registries live there. An IPv6 address that carries an IPv4 address
// (mapped, compatible, NAT64, 6to4) is judged by both.
//
// What always holds: the address that is judged is the one that the connection
// is opened to, after the name was resolved, just before the connect. So it
// holds for every address that a name has, for every redirect, and for a name
// whose answer changes from one look to the next.
//
// What it does not do: it looks at no port, and through a proxy it sees the
// address of the proxy alone. [Guard.CheckHost] is for the hosts behind one.
package dialguard

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"
)

// Options configures a [Guard].
type Options struct {
	// Allow are addresses that may be connected to whatever they are.
	Allow []netip.Prefix
	// Resolver looks names up; nil is the one of the machine.
	Resolver *net.Resolver
	// Timeout of resolving and connecting, for one address after the other;
	// 0 is 10 s.
	Timeout time.Duration
}

// Guard opens connections. It is safe for concurrent use.
type Guard struct {
	allow  []netip.Prefix
	dialer net.Dialer
}

// New returns a Guard. The slice in o is copied.
func New(o Options) *Guard {
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	g := &Guard{allow: append([]netip.Prefix(nil), o.Allow...)}
	g.dialer = net.Dialer{Timeout: o.Timeout, Resolver: o.Resolver, ControlContext: g.control}
	return g
}

// BlockedError says that an address may not be connected to.
type BlockedError struct {
	Host string     // the name it was found under; it may be empty
	Addr netip.Addr // the address; it is not valid for a name that is refused as such
	What string     // "a loopback address"
}

func (e *BlockedError) Error() string {
	switch {
	case !e.Addr.IsValid():
		return fmt.Sprintf("%s is %s, and abide does not connect to those", e.Host, e.What)
	case e.Host == "" || e.Host == e.Addr.String():
		return fmt.Sprintf("%s is %s, and abide does not connect to those", e.Addr, e.What)
	}
	return fmt.Sprintf("%s is at %s, which is %s, and abide does not connect to those", e.Host, e.Addr, e.What)
}

// Prefix is the least that has to be allowed, for the message about it; "" for
// a name.
func (e *BlockedError) Prefix() string {
	if !e.Addr.IsValid() {
		return ""
	}
	a := e.Addr.Unmap().WithZone("")
	return netip.PrefixFrom(a, a.BitLen()).String()
}

// DialContext connects to host:port over TCP, as net.Dialer does it. An address
// that is refused ends in an error that wraps a [*BlockedError].
func (g *Guard) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	switch network {
	case "tcp", "tcp4", "tcp6":
	default:
		return nil, fmt.Errorf("connecting over %s is not what is fetched with", network)
	}
	conn, err := g.dialer.DialContext(ctx, network, address)
	if err != nil {
		var b *BlockedError
		if host, _, splitErr := net.SplitHostPort(address); splitErr == nil && errors.As(err, &b) {
			b.Host = host
		}
		return nil, err
	}
	return conn, nil
}

// control sees the address that the socket is about to connect to.
func (g *Guard) control(_ context.Context, _, address string, _ syscall.RawConn) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("connecting to %q: %w", address, err)
	}
	return g.Check(ap.Addr())
}

// CheckHost judges a host as far as that goes without looking it up: an address
// as [Guard.Check] does, and names that mean this machine. It is for hosts that
// a proxy will resolve.
func (g *Guard) CheckHost(host string) error {
	if a, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return g.Check(a)
	}
	name := strings.TrimSuffix(strings.ToLower(host), ".")
	if name != "localhost" && !strings.HasSuffix(name, ".localhost") {
		return nil
	}
	if g.Check(netip.AddrFrom4([4]byte{127, 0, 0, 1})) == nil {
		return nil
	}
	return &BlockedError{Host: host, What: "a name for the machine itself"}
}

// Check judges one address: nil, or a [*BlockedError].
func (g *Guard) Check(addr netip.Addr) error {
	addr = addr.Unmap().WithZone("")
	for _, p := range g.allow {
		if p.Contains(addr) {
			return nil
		}
	}
	if what := refused(addr); what != "" {
		return &BlockedError{Addr: addr, What: what}
	}
	if inner, ok := embedded(addr); ok {
		if err := g.Check(inner); err != nil {
			return &BlockedError{Addr: addr, What: "a way to " + inner.String()}
		}
	}
	return nil
}

// metadata are the addresses, outside the link-local ranges, at which clouds
// serve what a machine is and may do.
var metadata = []netip.Addr{
	netip.MustParseAddr("100.100.100.200"), // Alibaba Cloud
	netip.MustParseAddr("168.63.129.16"),   // Azure: the host of the machine
	netip.MustParseAddr("192.0.0.192"),     // Oracle Cloud, before it had the usual one
	netip.MustParseAddr("fd00:ec2::254"),   // AWS
	netip.MustParseAddr("fd00:ec2::23"),    // AWS: credentials of Pods
	netip.MustParseAddr("fd20:ce::254"),    // Google Cloud
	netip.MustParseAddr("fd00:42::42"),     // Scaleway
}

var (
	thisNetwork = netip.MustParsePrefix("0.0.0.0/8")      // RFC 1122, 3.2.1.3
	reserved    = netip.MustParsePrefix("240.0.0.0/4")    // RFC 1112, 4; the broadcast address is in it
	compatible  = netip.MustParsePrefix("::/96")          // RFC 4291, 2.5.5.1
	nat64       = netip.MustParsePrefix("64:ff9b::/96")   // RFC 6052
	nat64Local  = netip.MustParsePrefix("64:ff9b:1::/48") // RFC 8215; where the IPv4 address is varies
	sixToFour   = netip.MustParsePrefix("2002::/16")      // RFC 3056
	teredo      = netip.MustParsePrefix("2001::/32")      // RFC 4380
)

// refused says what speaks against an address, or "".
func refused(a netip.Addr) string {
	switch {
	case !a.IsValid():
		return "no address"
	case a.IsLoopback():
		return "a loopback address"
	case a.IsLinkLocalUnicast():
		return "a link-local address, where clouds serve the metadata of a machine"
	case a.IsUnspecified(), thisNetwork.Contains(a):
		return "an unspecified address"
	case a.IsMulticast():
		return "a multicast address"
	case reserved.Contains(a):
		return "a reserved or broadcast address"
	case nat64Local.Contains(a), teredo.Contains(a):
		return "an address of a tunnel"
	}
	for _, m := range metadata {
		if a == m {
			return "an address where a cloud serves the metadata of a machine"
		}
	}
	return ""
}

// embedded returns the IPv4 address that an IPv6 one leads to.
func embedded(a netip.Addr) (netip.Addr, bool) {
	if !a.Is6() {
		return a, false
	}
	b := a.As16()
	switch {
	case compatible.Contains(a), nat64.Contains(a):
		return netip.AddrFrom4([4]byte(b[12:16])), true
	case sixToFour.Contains(a):
		return netip.AddrFrom4([4]byte(b[2:6])), true
	}
	return a, false
}
