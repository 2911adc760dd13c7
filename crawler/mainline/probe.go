package mainline

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/anacrolix/dht/v2"
	anacrolix "github.com/anacrolix/dht/v2/krpc"
	"github.com/anacrolix/log"
	"golang.org/x/time/rate"

	"canopy/crawler/mainline/krpc"
	"canopy/crawler/observation"
)

// Prober asks known nodes whether they are still there. It is a read-only node
// of anacrolix/dht (BEP 43): probes are few, and should come from what every
// node takes for a client.
type Prober struct {
	cfg    Config
	id     krpc.ID // our own
	server *dht.Server
}

const (
	probeTries  = 3               // packets sent to a silent node
	probeResend = 2 * time.Second // between them
)

// NewProber opens a socket at the first address of cfg.Bind, or at any. Beside
// that it uses Allow, Pacer and nothing else of cfg.
func NewProber(cfg Config) (*Prober, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	address := ":0"
	if len(cfg.Bind) > 0 {
		bind, err := parseBind(cfg.Bind[0])
		if err != nil {
			return nil, err
		}
		address = bind.String()
	}
	raw, err := new(net.ListenConfig).ListenPacket(context.Background(), "udp", address)
	if err != nil {
		return nil, fmt.Errorf("open socket for probes: %w", err)
	}
	own := randomID()
	server, err := dht.NewServer(&dht.ServerConfig{
		Conn: answersOnly{raw}, Passive: true, NoSecurity: true, NodeId: anacrolix.ID(own),
		StartingNodes:    func() ([]dht.Addr, error) { return nil, errors.New("a prober joins no network") },
		QueryResendDelay: func() time.Duration { return probeResend },
		SendLimiter:      rate.NewLimiter(rate.Inf, 1), // the default is shared by the process; who asks us sets the pace
		Logger:           log.Default.FilterLevel(log.Critical),
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start prober: %w", err), raw.Close())
	}
	return &Prober{cfg: cfg, id: own, server: server}, nil
}

// Close frees the socket.
func (p *Prober) Close() error {
	p.server.Close()
	return nil
}

// Probe pings the endpoint of t and compares the node ID. A node that answers
// under another ID, or under our own, is wrong_identity. An error means that nothing could be
// sent, or that ctx ended.
func (p *Prober) Probe(ctx context.Context, t observation.Target) (observation.Probe, error) {
	probe := observation.Probe{PeerID: t.PeerID, Address: t.Address, ProbedAt: time.Now()}
	id, err := krpc.ParseID(t.PeerID)
	if err != nil {
		return probe, fmt.Errorf("probe node: %w", err)
	}
	if !t.Address.IsValid() || t.Address.Port() == 0 || !p.cfg.Allow(t.Address) {
		probe.Outcome = observation.NoAddress
		return probe, nil
	}
	if !p.cfg.pace(ctx, t.Address.Addr()) {
		return probe, ctx.Err()
	}
	probe.ProbedAt = time.Now()
	result := p.server.Query(ctx, dht.NewAddr(net.UDPAddrFromAddrPort(t.Address)), "ping", dht.QueryInput{NumTries: probeTries})
	switch {
	case ctx.Err() != nil:
		return probe, ctx.Err()
	case errors.Is(result.Err, dht.TransactionTimeout):
		probe.Outcome = observation.Timeout
	case result.Err != nil:
		return probe, fmt.Errorf("probe %s: %w", t.Address, result.Err)
	case result.Reply.Y == "e":
		probe.Outcome = observation.RemoteError
	case result.Reply.R == nil:
		probe.Outcome = observation.Malformed
	case krpc.ID(result.Reply.R.ID) != id, id == p.id:
		probe.Outcome = observation.WrongIdentity
	default:
		probe.Outcome = observation.Answered
		if result.Writes == 1 { // else nobody knows which packet was answered
			probe.RTT = time.Since(probe.ProbedAt)
		}
	}
	return probe, nil
}

// answersOnly is a socket that lets well-formed answers through: a read-only
// node has no use for anything else that strangers send.
type answersOnly struct{ net.PacketConn }

func (c answersOnly) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, addr, err := c.PacketConn.ReadFrom(b)
		if err != nil {
			return n, addr, err
		}
		var m krpc.Message
		if krpc.Decode(b[:n], &m) == nil && (m.Kind == krpc.Response || m.Kind == krpc.Error) {
			return n, addr, nil
		}
	}
}

// Network describes Mainline.
func (p *Prober) Network() observation.Network { return Network() }
