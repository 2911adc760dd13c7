package mainline

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Pacer limits what may be sent. The engine's pacer satisfies it.
type Pacer interface {
	// Take books one query to addr and returns 0, or books nothing and returns
	// how long to wait before asking again. It is called by several goroutines.
	Take(addr netip.Addr, now time.Time) (wait time.Duration)
}

// Config says how to walk. Bootstrap and Allow are needed, the rest has
// defaults.
type Config struct {
	Bootstrap  []string // entry points, host:port
	Bind       []string // local addresses, each with or without a port; default: any address, IPv4 and, where there is, IPv6
	Zone       Zone     // the part of the key space that is walked; default all
	ReadTables bool     // dump every routing table; otherwise a few queries per node, which finds who is there

	// Capabilities is the share of answering peers, 0 to 1, that are also asked
	// what else they can do, with at most two more queries each. Default 0.
	Capabilities float64

	// Allow tells which endpoints may be contacted and named as neighbours.
	Allow func(netip.AddrPort) bool
	// Refuse tells the IDs, in hexadecimal, of peers that no lookup may ask. A
	// walk asks whom it is given. Nil refuses nobody.
	Refuse func(id string) bool
	// Pacer is asked before every query; nil means no limit.
	Pacer Pacer

	// MaxPerAddress is how many visits one walk pays to one IPv4 address or
	// IPv6 /64, whatever the ports and IDs: what comes on top is not contacted.
	// Default 1024.
	MaxPerAddress int
	// MaxPerBlock is the same for an IPv4 /24 or an IPv6 /56: whoever owns one
	// can answer at each of its addresses. Default 16384.
	MaxPerBlock int

	Slots      int           // visits under way at once on each socket; default 4096, at most 65536
	MinTimeout time.Duration // bounds of the adaptive time-out, default 1 s and 5 s
	MaxTimeout time.Duration
	Version    []byte // `v` of our queries, four bytes by custom; default CY and 0.1

	Logger *slog.Logger // default: silent

	wrap func(net.PacketConn) net.PacketConn // around the sockets of our own nodes, for tests
}

const (
	maxSlots     = 1 << slotBits
	defaultSlots = 4096
)

// withDefaults fills in what was left out.
func (c Config) withDefaults() Config {
	if c.Slots <= 0 {
		c.Slots = defaultSlots
	}
	c.Slots = min(c.Slots, maxSlots)
	if c.MaxPerAddress <= 0 {
		c.MaxPerAddress = 1024
	}
	c.MaxPerAddress = min(c.MaxPerAddress, math.MaxUint16)
	if c.MaxPerBlock <= 0 {
		c.MaxPerBlock = 16384
	}
	c.MaxPerBlock = min(c.MaxPerBlock, math.MaxUint16)
	if c.Refuse == nil {
		c.Refuse = func(string) bool { return false }
	}
	if c.MinTimeout <= 0 {
		c.MinTimeout = time.Second
	}
	if c.MaxTimeout <= 0 {
		c.MaxTimeout = 5 * time.Second
	}
	c.MinTimeout = min(c.MinTimeout, c.MaxTimeout)
	if c.Version == nil {
		c.Version = []byte{'C', 'Y', 0, 1}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// allowed tells whether one of our questions may go to addr.
func (c Config) allowed(addr netip.AddrPort) bool {
	return addr.Port() != 0 && !addr.Addr().IsUnspecified() && !addr.Addr().IsMulticast() && c.Allow(addr)
}

// pace waits until addr may be asked. It reports false when ctx ends.
func (c Config) pace(ctx context.Context, addr netip.Addr) bool {
	for c.Pacer != nil {
		wait := c.Pacer.Take(addr, time.Now())
		if wait <= 0 {
			break
		}
		if !sleep(ctx, wait) {
			return false
		}
	}
	return ctx.Err() == nil
}

// check refuses what can't work, naming the value.
func (c Config) check() error {
	if c.Allow == nil {
		return fmt.Errorf("configure Mainline walker: Allow is missing")
	}
	if c.Zone.Bits < 0 || c.Zone.Bits > maxZoneBits {
		return fmt.Errorf("configure Mainline walker: a zone of %d bits: want 0 to %d", c.Zone.Bits, maxZoneBits)
	}
	if !(c.Capabilities >= 0 && c.Capabilities <= 1) {
		return fmt.Errorf("configure Mainline walker: capabilities of a share of %g of the peers: want 0 to 1", c.Capabilities)
	}
	for _, b := range c.Bootstrap {
		if _, err := parseEntry(b); err != nil {
			return err
		}
	}
	for _, b := range c.Bind {
		if _, err := parseBind(b); err != nil {
			return err
		}
	}
	return nil
}

// parseEntry reads an entry point, host:port, and writes it in small letters,
// an IPv4-mapped address as IPv4.
func parseEntry(text string) (string, error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil || host == "" || strings.ContainsAny(host, " /") {
		return "", fmt.Errorf("read bootstrap node %q: want host:port, such as router.example.org:6881", text)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return "", fmt.Errorf("read bootstrap node %q: port %q is not between 1 and 65535", text, port)
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		return netip.AddrPortFrom(addr.Unmap(), uint16(n)).String(), nil
	}
	return net.JoinHostPort(strings.ToLower(host), strconv.FormatUint(n, 10)), nil
}

// parseBind reads a local address with or without a port.
func parseBind(s string) (netip.AddrPort, error) {
	if addr, err := netip.ParseAddr(s); err == nil {
		return netip.AddrPortFrom(addr.Unmap(), 0), nil
	}
	addr, err := netip.ParseAddrPort(s)
	if err != nil {
		return addr, fmt.Errorf("read local address %q: want an IP address, or address:port", s)
	}
	return netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port()), nil
}
