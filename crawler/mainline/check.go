package mainline

import (
	"context"
	"encoding/base32"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"canopy/crawler/mainline/krpc"
	"canopy/crawler/observation"
)

// Checker asks what a newcomer asks: whether an entry point answers, whether it
// leads into the network, and who has the content of an info-hash (BEP 5, BEP
// 33). It remembers nobody: every search begins at the entry points it is given.
type Checker struct {
	cfg   Config
	phone *phone
}

// NewChecker opens sockets. Of cfg it takes no notice of Bootstrap, Zone and
// what reads tables.
func NewChecker(cfg Config) (*Checker, error) {
	cfg.Bootstrap = nil
	if err := cfg.check(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	addrs, err := bindAddrs(cfg)
	if err != nil {
		return nil, fmt.Errorf("open sockets to check by: %w", err)
	}
	c := &Checker{cfg: cfg}
	if c.phone, err = openPhone(cfg, addrs...); err != nil {
		return nil, fmt.Errorf("open sockets to check by: %w", err)
	}
	return c, nil
}

// Close frees the sockets.
func (c *Checker) Close() error { return c.phone.close() }

// Network describes Mainline.
func (c *Checker) Network() observation.Network { return Network() }

// ParseEntry reads an entry point, host:port, and writes it in small letters,
// an IPv4-mapped address as IPv4.
func (c *Checker) ParseEntry(text string) (string, error) { return parseEntry(text) }

// ParseContent reads an info-hash, 40 hexadecimal digits or 32 of base32 (BEP 9),
// and writes it in the former, in lower case.
func (c *Checker) ParseContent(id string) (string, error) {
	if raw, err := base32.StdEncoding.DecodeString(strings.ToUpper(id)); err == nil && len(raw) == krpc.IDLen {
		return krpc.ID(raw).String(), nil
	}
	parsed, err := krpc.ParseID(id)
	if err != nil {
		return "", fmt.Errorf("read info-hash: %w", err)
	}
	return parsed.String(), nil
}

// maxAddresses bounds what one name may stand for, of what may be contacted.
const maxAddresses = 64

// addresses looks an entry point up. Those that may not be contacted are left
// out; why says so where that is all of them, and how many there were too many.
func (c *Checker) addresses(ctx context.Context, entry string) (addrs []netip.AddrPort, why string, err error) {
	host, port, err := net.SplitHostPort(entry)
	if err != nil {
		return nil, "", fmt.Errorf("read entry point %q: %w", entry, err)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return nil, "", fmt.Errorf("read entry point %q: %w", entry, err)
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if ctx.Err() != nil {
		return nil, "", context.Cause(ctx)
	}
	if err != nil {
		return nil, "the name can't be resolved", nil //nolint:nilerr // a name that is gone is a result
	}
	addrs, cut := c.endpoints(ips, uint16(number))
	switch {
	case len(addrs) == 0:
		why = fmt.Sprintf("%d addresses outside the space that may be contacted", len(ips))
	case cut > 0:
		why = fmt.Sprintf("%d more addresses of this name were not asked", cut)
		c.cfg.Logger.Warn("entry point stands for too many addresses", "entry", observation.Text(entry), "not asked", cut)
	}
	return addrs, why, nil
}

// endpoints are the addresses that may be contacted, the first of too many, and
// how many are left out.
func (c *Checker) endpoints(ips []netip.Addr, port uint16) (addrs []netip.AddrPort, cut int) {
	for _, ip := range ips {
		if addr := netip.AddrPortFrom(ip.Unmap(), port); c.cfg.allowed(addr) {
			addrs = append(addrs, addr)
		}
	}
	cut = max(0, len(addrs)-maxAddresses)
	return addrs[:len(addrs)-cut], cut
}

// Knock asks each address of an entry point for nodes near a random key. The
// check has its first answer, and as Holders every address that the name stands
// for. An error means that we could not ask.
func (c *Checker) Knock(ctx context.Context, entry string) (observation.Check, []observation.Holder, error) {
	check := observation.Check{Outcome: observation.NoAddress, CheckedAt: time.Now()}
	addrs, why, err := c.addresses(ctx, entry)
	if err != nil {
		return check, nil, err
	}
	check.Detail = why
	var holders []observation.Holder
	for _, addr := range addrs {
		holders = append(holders, observation.Holder{Address: addr.Addr()})
		s, err := c.phone.call(ctx, addr, c.findNode(randomID()))
		if err != nil {
			return check, holders, err
		}
		check.Queries += s.sent
		if check.Outcome == observation.Answered || s.outcome != observation.Answered && check.Address.IsValid() {
			continue
		}
		check.Address, check.Outcome, check.RTT = addr, s.outcome, s.rtt
		if s.message != nil {
			check.Agent = agent(s.message.Version)
			check.Named = uint32(len(c.named(s.message)))
		}
		if check.Detail = why; s.outcome == observation.WrongIdentity {
			check.Detail = mirrored(s.message.ID)
		}
	}
	check.Took = time.Since(check.CheckedAt)
	return check, holders, nil
}

func (c *Checker) findNode(target krpc.ID) func(b, tid []byte) []byte {
	return func(b, tid []byte) []byte { return c.phone.ask.AppendFindNode(b, tid, &target) }
}

// named are the nodes of an answer that may be asked, each once.
func (c *Checker) named(m *krpc.Message) []Peer {
	var set heard
	add := func(n krpc.Node) {
		if c.cfg.allowed(n.Addr) && n.ID != c.phone.ask.ID && !c.cfg.Refuse(n.ID.String()) {
			set.add(NewPeer(n.ID, n.Addr))
		}
	}
	for i := range m.Nodes.Len() {
		add(m.Nodes.At(i))
	}
	for i := range m.Nodes6.Len() {
		add(m.Nodes6.At(i))
	}
	return set.take()
}

// Start enters at the given entry points and looks up a random key.
func (c *Checker) Start(ctx context.Context, entries []string) (observation.Search, error) {
	g := newGathering(c, randomID())
	err := g.lookUp(ctx, entries)
	return g.sum(), cause(ctx, err)
}

// Find enters at the given entry points and looks for who has the content of an
// info-hash. What was found before an error, or before ctx ended, is returned
// with the error.
func (c *Checker) Find(ctx context.Context, entries []string, id string) (observation.Search, []observation.Holder, error) {
	key, err := krpc.ParseID(id)
	if err != nil {
		return observation.Search{}, nil, err
	}
	g := newGathering(c, key)
	if err = g.lookUp(ctx, entries); err == nil && ctx.Err() == nil {
		err = g.scrape(ctx)
	}
	holders := make([]observation.Holder, 0, len(g.holders))
	for at := range g.holders {
		holders = append(holders, observation.Holder{Address: at.Addr()})
	}
	return g.sum(), holders, cause(ctx, err)
}

// lookUp resolves the entry points and runs the search.
func (g *gathering) lookUp(ctx context.Context, entries []string) error {
	var at []netip.AddrPort
	for _, entry := range entries {
		addrs, _, err := g.c.addresses(ctx, entry)
		if err != nil {
			return err
		}
		for _, a := range addrs {
			if !slices.Contains(at, a) {
				at = append(at, a)
			}
		}
	}
	return g.run(ctx, at)
}

// cause is why a search ended early, nil if it did not.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
