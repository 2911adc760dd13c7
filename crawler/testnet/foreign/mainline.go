//go:build linux

package foreign

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

const port = 6881 // of every node

// MainlineConfig says how a Mainline swarm is run.
type MainlineConfig struct {
	Scripts   string         // folder of libtorrent_node.py, bittorrent_dht_node.js and its node_modules
	Work      string         // folder for the clients' files and logs
	Nodes     map[string]int // how many of each client; see MainlineClients. The first libtorrent is the bootstrap
	DualStack int            // how many libtorrents, from the first, have IPv6 as well, where the kernel has it
	Settle    time.Duration  // how long the swarm may take until its nodes know each other
	Log       *slog.Logger
}

// DefaultMainline is 38 nodes of five clients, several times what one reply names.
func DefaultMainline() MainlineConfig {
	return MainlineConfig{
		Nodes:     map[string]int{"libtorrent": 16, "bittorrent-dht": 10, "Transmission": 4, "aria2": 4, "rTorrent": 4},
		DualStack: 4,
		Settle:    150 * time.Second,
		Log:       slog.New(slog.DiscardHandler),
	}
}

// MainlineNode is the truth of one node.
type MainlineNode struct {
	Client  string         // program, as people call it
	Address netip.AddrPort // where it listens

	// Address6 is where its IPv6 half listens, which is a node of its own
	// (BEP 32); zero when it has none.
	Address6 netip.AddrPort

	// Version and Names are what it said last while the swarm settled, as
	// anacrolix's codec reads it: the "v" of its messages (BEP 5), empty when it
	// sends none, and endpoints in its tables.
	Version string
	Names   []netip.AddrPort
}

// A mainlineClient is one program that can take part.
type mainlineClient struct {
	name    string
	install string
	find    func(ctx context.Context, scripts string) error
	start   func(s *Mainline, ctx context.Context, at []MainlineNode) error
}

func executable(name string) func(context.Context, string) error {
	return func(context.Context, string) error {
		_, err := exec.LookPath(name)
		return err
	}
}

// The first one runs the bootstrap.
var mainlineClients = []mainlineClient{
	{"libtorrent", "apt-get install python3-libtorrent", findLibtorrent, (*Mainline).startLibtorrent},
	{"bittorrent-dht", "make clients", findBittorrentDHT, (*Mainline).startBittorrentDHT},
	{"Transmission", "apt-get install transmission-daemon", executable("transmission-daemon"), (*Mainline).startTransmission},
	{"aria2", "apt-get install aria2", executable("aria2c"), (*Mainline).startAria2},
	{"rTorrent", "apt-get install rtorrent", executable("rtorrent"), (*Mainline).startRTorrent},
}

// CheckMainline names every client that is missing, and how to install it.
func CheckMainline(ctx context.Context, scripts string) error {
	var errs []error
	for _, c := range mainlineClients {
		if err := c.find(ctx, scripts); err != nil {
			errs = append(errs, fmt.Errorf("find %s: %w: run %s", c.name, err, c.install))
		}
	}
	return errors.Join(errs...)
}

// Mainline is a running swarm of Mainline clients.
type Mainline struct {
	cfg   MainlineConfig
	procs processes
	nodes []MainlineNode
}

// StartMainline runs the clients and returns when every node answers, and knows
// and is known by others. It must be called [Inside] a namespace. The clients end
// with ctx, or with Close.
func StartMainline(ctx context.Context, cfg MainlineConfig) (*Mainline, error) {
	s := &Mainline{cfg: cfg, procs: processes{dir: cfg.Work}}
	for _, c := range mainlineClients {
		for range cfg.Nodes[c.name] {
			s.nodes = append(s.nodes, s.plan(c, len(s.nodes)+1))
		}
	}
	if err := s.start(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// plan gives a node its addresses. Clients keep one node per /24.
func (s *Mainline) plan(c mainlineClient, number int) MainlineNode {
	at := netip.AddrFrom4([4]byte{45, 77, byte(number), 1})
	n := MainlineNode{Client: c.name, Address: netip.AddrPortFrom(at, port)}
	if c.name == "libtorrent" && number <= s.cfg.DualStack && canIPv6() {
		at6 := netip.MustParseAddr(fmt.Sprintf("2a0d:45:%x::1", number))
		n.Address6 = netip.AddrPortFrom(at6, port)
	}
	return n
}

func (s *Mainline) start(life context.Context) error {
	ctx, cancel := context.WithTimeout(life, s.cfg.Settle)
	defer cancel()
	watch, err := newObserver(observer4)
	if err != nil {
		return err
	}
	defer watch.Close()
	began := time.Now()
	for i, c := range mainlineClients {
		if err := c.start(s, life, s.of(c.name)); err != nil {
			return err
		}
		if i > 0 {
			continue
		}
		// Several clients ask the bootstrap only once, or stop listening to it
		// when it changes its ID on learning its address (BEP 42).
		if err := s.await(ctx, watch, addresses(s.of(c.name))); err != nil {
			return errors.Join(err, s.procs.ended())
		}
	}
	if err := s.settle(ctx, watch); err != nil {
		return errors.Join(err, s.procs.ended())
	}
	if err := s.settle6(ctx); err != nil {
		return errors.Join(err, s.procs.ended())
	}
	s.cfg.Log.Info("foreign Mainline swarm settled", "nodes", len(s.nodes), "after", time.Since(began).Round(time.Second))
	return nil
}

// Bootstrap is the one node that every other one was told of.
func (s *Mainline) Bootstrap() netip.AddrPort { return s.nodes[0].Address }

// Nodes is the truth.
func (s *Mainline) Nodes() []MainlineNode { return s.nodes }

// Close ends every client.
func (s *Mainline) Close() { s.procs.close() }

func (s *Mainline) of(client string) []MainlineNode {
	var of []MainlineNode
	for _, n := range s.nodes {
		if n.Client == client {
			of = append(of, n)
		}
	}
	return of
}

func findLibtorrent(ctx context.Context, _ string) error {
	// Debian's module belongs to Debian's interpreter, which need not be the first in PATH.
	if err := exec.CommandContext(ctx, "/usr/bin/python3", "-c", "import libtorrent").Run(); err != nil {
		return fmt.Errorf("import libtorrent: %w", err)
	}
	return nil
}

func findBittorrentDHT(_ context.Context, scripts string) error {
	if _, err := exec.LookPath("node"); err != nil {
		return err
	}
	_, err := os.Stat(filepath.Join(scripts, "node_modules", "bittorrent-dht"))
	return err
}
