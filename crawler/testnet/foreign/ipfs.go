//go:build linux

package foreign

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// IPFSConfig says how a swarm of IPFS nodes is run.
type IPFSConfig struct {
	Scripts string        // folder of js_libp2p_nodes.js and its node_modules
	Work    string        // folder for the nodes' logs
	Servers int           // DHT servers of each generation of js-libp2p
	Clients int           // DHT clients of each generation
	Kubo    string        // path of Kubo's ipfs program; empty: without Kubo
	Settle  time.Duration // how long the swarm may take until its servers know each other
	Log     *slog.Logger
}

const kubos = 2 // Kubo nodes, where there is Kubo

// DefaultIPFS is ten servers and two clients of two generations.
func DefaultIPFS() IPFSConfig {
	return IPFSConfig{Servers: 5, Clients: 1, Settle: 120 * time.Second, Log: slog.New(slog.DiscardHandler)}
}

// IPFSNode is the truth of one node, as the node itself tells it.
type IPFSNode struct {
	ID        string   `json:"id"`        // peer ID, base58
	Addresses []string `json:"addresses"` // multiaddrs, with /p2p
	Agent     string   `json:"agent"`
	Server    bool     `json:"server"` // takes part in the DHT, or only asks it
	Table     []string `json:"table"`  // peer IDs in its routing table
}

// CheckIPFS names what is missing, and how to install it.
func CheckIPFS(scripts string) error {
	if _, err := exec.LookPath("node"); err != nil {
		return fmt.Errorf("find node: %w: install Node.js 20 or later", err)
	}
	if _, err := os.Stat(filepath.Join(scripts, "node_modules")); err != nil {
		return fmt.Errorf("find js-libp2p: %w: run make clients", err)
	}
	return nil
}

// IPFS is a running swarm of IPFS nodes.
type IPFS struct {
	cfg       IPFSConfig
	procs     processes
	reports   []*report
	stop      context.CancelFunc // ends what asks the nodes
	started   int                // nodes started so far
	bootstrap string
}

// StartIPFS runs the nodes and returns when its servers know each other. It must
// be called [Inside] a namespace. The nodes end with ctx, or with Close.
func StartIPFS(ctx context.Context, cfg IPFSConfig) (*IPFS, error) {
	ctx, stop := context.WithCancel(ctx)
	s := &IPFS{cfg: cfg, procs: processes{dir: cfg.Work}, stop: stop}
	if err := s.start(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *IPFS) start(life context.Context) error {
	ctx, cancel := context.WithTimeout(life, s.cfg.Settle)
	defer cancel()
	began := time.Now()
	if err := s.script(life, "3", "none"); err != nil {
		return err
	}
	if err := s.Await(ctx, func(nodes []IPFSNode) bool { return len(nodes) > 0 }); err != nil {
		return err
	}
	s.bootstrap = s.Nodes()[0].Addresses[0]
	if err := s.script(life, "2", s.bootstrap); err != nil {
		return err
	}
	if s.cfg.Kubo != "" {
		for range kubos {
			s.started++
			if err := s.startKubo(life, address(s.started)); err != nil {
				return err
			}
		}
	}
	if err := s.Await(ctx, s.settled); err != nil {
		return err
	}
	s.cfg.Log.Info("foreign IPFS swarm settled", "nodes", s.started, "after", time.Since(began).Round(time.Second))
	return nil
}

// script runs one process that hosts all nodes of one generation of js-libp2p.
func (s *IPFS) script(ctx context.Context, generation, bootstrap string) error {
	path, err := filepath.Abs(filepath.Join(s.cfg.Scripts, "js_libp2p_nodes.js"))
	if err != nil {
		return fmt.Errorf("find script: %w", err)
	}
	args := []string{path, generation, bootstrap}
	for i := range s.cfg.Servers + s.cfg.Clients {
		mode := "server"
		switch {
		case i >= s.cfg.Servers:
			mode = "client"
		case i == s.cfg.Servers-1 && generation == "3":
			mode = "quic"
		}
		s.started++
		args = append(args, mode+":"+address(s.started))
	}
	r := &report{}
	s.reports = append(s.reports, r)
	return s.procs.start(ctx, "js-libp2p-"+generation, r, "node", args...)
}

// address gives a node a place of its own: tables admit few nodes per /16.
func address(number int) string { return "45." + strconv.Itoa(number) + ".0.1" }

// Bootstrap is the multiaddr, with /p2p, of the one server that every node was
// told of.
func (s *IPFS) Bootstrap() string { return s.bootstrap }

// Nodes is the truth at this moment, at most about a second old.
func (s *IPFS) Nodes() []IPFSNode {
	var nodes []IPFSNode
	for _, r := range s.reports {
		nodes = append(nodes, r.latest()...)
	}
	return nodes
}

// Await returns when the nodes are as the caller wants them.
func (s *IPFS) Await(ctx context.Context, done func([]IPFSNode) bool) error {
	poll := time.NewTicker(time.Second / 4)
	defer poll.Stop()
	for !done(s.Nodes()) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for IPFS swarm: %w: %s", context.Cause(ctx), describe(s.Nodes()))
		case <-poll.C:
		}
		if err := s.procs.ended(); err != nil {
			return err
		}
	}
	return nil
}

// Close ends every node.
func (s *IPFS) Close() {
	s.stop()
	s.procs.close()
}

// settled says whether every server knows half of the others and is known by
// enough. More would take long: a connection that failed is not tried again soon.
func (s *IPFS) settled(nodes []IPFSNode) bool {
	if len(nodes) < s.started {
		return false
	}
	servers := slices.DeleteFunc(slices.Clone(nodes), func(n IPFSNode) bool { return !n.Server })
	for _, n := range servers {
		knows, known := count(servers, n)
		if knows < len(servers)/2 || known < enough {
			return false
		}
	}
	return true
}

// count is how many others a node knows, and is known by.
func count(nodes []IPFSNode, n IPFSNode) (knows, known int) {
	for _, other := range nodes {
		if n.Knows(other.ID) {
			knows++
		}
		if other.Knows(n.ID) {
			known++
		}
	}
	return knows, known
}

// Knows says whether a peer is in the node's table.
func (n IPFSNode) Knows(id string) bool { return slices.Contains(n.Table, id) }

func describe(nodes []IPFSNode) string {
	var b strings.Builder
	for _, n := range nodes {
		knows, known := count(nodes, n)
		fmt.Fprintf(&b, "%s (%s, server %t) knows %d, is known by %d; ", n.ID, n.Agent, n.Server, knows, known)
	}
	return b.String()
}

// report is what a script tells of its nodes: it keeps the newest line.
type report struct {
	mu    sync.Mutex
	rest  []byte
	nodes []IPFSNode
}

// Write takes in a piece of the script's output.
func (r *report) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rest = append(r.rest, p...)
	for {
		line, rest, whole := bytes.Cut(r.rest, []byte("\n"))
		if !whole {
			return len(p), nil
		}
		var nodes []IPFSNode
		if err := json.Unmarshal(line, &nodes); err != nil {
			return 0, fmt.Errorf("read truth %q: %w", line, err)
		}
		r.nodes, r.rest = nodes, rest
	}
}

func (r *report) set(nodes []IPFSNode) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.nodes = nodes
}

func (r *report) latest() []IPFSNode {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.nodes
}
