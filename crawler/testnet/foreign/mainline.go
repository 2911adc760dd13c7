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

// MainlineConfig says how a Mainline swarm is run.
type MainlineConfig struct {
	Scripts string         // folder of libtorrent_node.py, bittorrent_dht_node.js and its node_modules
	Work    string         // folder for the clients' files and logs
	Nodes   map[string]int // how many of each client; see MainlineClients. The first libtorrent is the bootstrap
	Settle  time.Duration  // how long the swarm may take until its nodes know each other
	Log     *slog.Logger
}

// DefaultMainline is 25 nodes of five clients.
func DefaultMainline() MainlineConfig {
	return MainlineConfig{
		Nodes:  map[string]int{"libtorrent": 7, "bittorrent-dht": 6, "Transmission": 4, "aria2": 4, "rTorrent": 4},
		Settle: 90 * time.Second,
		Log:    slog.New(slog.DiscardHandler),
	}
}

// MainlineNode is the truth of one node.
type MainlineNode struct {
	Client  string         // program, as people call it
	Version string         // first bytes of the "v" of its messages (BEP 5); empty when it sends none
	Address netip.AddrPort // where it listens
}

// A mainlineClient is one program that can take part.
type mainlineClient struct {
	name    string
	version string
	install string
	find    func(scripts string) error
	start   func(s *Mainline, at []MainlineNode) error
}

func executable(name string) func(string) error {
	return func(string) error {
		_, err := exec.LookPath(name)
		return err
	}
}

var mainlineClients = []mainlineClient{
	{"libtorrent", "LT", "apt-get install python3-libtorrent", findLibtorrent, (*Mainline).startLibtorrent},
	{"bittorrent-dht", "", "npm ci in the folder of bittorrent_dht_node.js", findBittorrentDHT, (*Mainline).startBittorrentDHT},
	// Transmission 3 has no "v" in its messages.
	{"Transmission", "", "apt-get install transmission-daemon", executable("transmission-daemon"), (*Mainline).startTransmission},
	{"aria2", "A2", "apt-get install aria2", executable("aria2c"), (*Mainline).startAria2},
	{"rTorrent", "lt", "apt-get install rtorrent", executable("rtorrent"), (*Mainline).startRTorrent},
}

// CheckMainline names every client that is missing, and how to install it.
func CheckMainline(scripts string) error {
	var errs []error
	for _, c := range mainlineClients {
		if err := c.find(scripts); err != nil {
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
// and is known by others; see [Settled]. It must be called [Inside] a namespace.
func StartMainline(ctx context.Context, cfg MainlineConfig) (*Mainline, error) {
	s := &Mainline{cfg: cfg, procs: processes{dir: cfg.Work}}
	for _, c := range mainlineClients {
		for range cfg.Nodes[c.name] {
			at := netip.AddrFrom4([4]byte{45, 77, byte(len(s.nodes) + 1), 1}) // clients keep one node per /24
			s.nodes = append(s.nodes, MainlineNode{c.name, c.version, netip.AddrPortFrom(at, 6881)})
		}
	}
	if err := s.start(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Mainline) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Settle)
	defer cancel()
	watch, err := newObserver(netip.MustParseAddr("45.198.0.1"))
	if err != nil {
		return err
	}
	defer watch.Close()
	for _, c := range mainlineClients {
		if err := c.start(s, s.of(c.name)); err != nil {
			return err
		}
		if c.name != "libtorrent" {
			continue
		}
		if err := watch.waitFor(ctx, s.Bootstrap()); err != nil { // several clients ask the bootstrap only once
			return errors.Join(err, s.procs.ended())
		}
	}
	began := time.Now()
	if err := s.settle(ctx, watch); err != nil {
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

func findLibtorrent(scripts string) error {
	// Debian's module belongs to Debian's interpreter, which need not be the first in PATH.
	if err := exec.Command("/usr/bin/python3", "-c", "import libtorrent").Run(); err != nil {
		return fmt.Errorf("import libtorrent: %w", err)
	}
	return nil
}

func findBittorrentDHT(scripts string) error {
	if _, err := exec.LookPath("node"); err != nil {
		return err
	}
	_, err := os.Stat(filepath.Join(scripts, "node_modules", "bittorrent-dht"))
	return err
}
