//go:build linux

package foreign

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// endpoints lists the node's addresses, separated by a comma.
func (n MainlineNode) endpoints() string {
	if n.Address6.IsValid() {
		return n.Address.String() + "," + n.Address6.String()
	}
	return n.Address.String()
}

// script runs one process that hosts all nodes of a client.
func (s *Mainline) script(ctx context.Context, interpreter, file string, nodes []MainlineNode) error {
	if len(nodes) == 0 {
		return nil
	}
	path, err := filepath.Abs(filepath.Join(s.cfg.Scripts, file))
	if err != nil {
		return fmt.Errorf("find %s: %w", file, err)
	}
	args := []string{path, s.nodes[0].endpoints()}
	for _, n := range nodes {
		args = append(args, n.endpoints())
	}
	return s.procs.start(ctx, file, nil, interpreter, args...)
}

func (s *Mainline) startLibtorrent(ctx context.Context, nodes []MainlineNode) error {
	return s.script(ctx, "/usr/bin/python3", "libtorrent_node.py", nodes)
}

func (s *Mainline) startBittorrentDHT(ctx context.Context, nodes []MainlineNode) error {
	return s.script(ctx, "node", "bittorrent_dht_node.js", nodes)
}

// each starts one process for each node with the arguments that args returns;
// dir is an existing folder for the process.
func (s *Mainline) each(ctx context.Context, program string, nodes []MainlineNode, args func(n MainlineNode, dir string) ([]string, error)) error {
	for _, n := range nodes {
		name := program + "-" + n.Address.Addr().String()
		dir, err := s.procs.folder(name)
		if err != nil {
			return err
		}
		argv, err := args(n, dir)
		if err != nil {
			return fmt.Errorf("set up %s: %w", name, err)
		}
		if err := s.procs.start(ctx, name, nil, program, argv...); err != nil {
			return err
		}
	}
	return nil
}

func (s *Mainline) startTransmission(ctx context.Context, nodes []MainlineNode) error {
	return s.each(ctx, "transmission-daemon", nodes, func(n MainlineNode, dir string) ([]string, error) {
		settings, err := json.Marshal(map[string]any{
			"bind-address-ipv4":       n.Address.Addr(),
			"peer-port":               n.Address.Port(),
			"dht-enabled":             true,
			"lpd-enabled":             false,
			"pex-enabled":             false,
			"port-forwarding-enabled": false,
			"rpc-enabled":             false,
			"utp-enabled":             false,
		})
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(dir, "settings.json"), settings, 0o600); err != nil {
			return nil, err
		}
		entry := fmt.Sprintf("%s %d\n", s.Bootstrap().Addr(), s.Bootstrap().Port())
		if err := os.WriteFile(filepath.Join(dir, "dht.bootstrap"), []byte(entry), 0o600); err != nil {
			return nil, err
		}
		return []string{"--foreground", "--config-dir", dir, "--download-dir", dir}, nil
	})
}

func (s *Mainline) startAria2(ctx context.Context, nodes []MainlineNode) error {
	// aria2 starts its DHT only when it has something to download.
	const magnet = "magnet:?xt=urn:btih:a94a8fe5ccb19ba61c4c0873d391e987982fbbd3"
	return s.each(ctx, "aria2c", nodes, func(n MainlineNode, dir string) ([]string, error) {
		return []string{
			"--no-conf", "--quiet", "--dir=" + dir,
			"--interface=" + n.Address.Addr().String(),
			fmt.Sprintf("--listen-port=%d", n.Address.Port()),
			fmt.Sprintf("--dht-listen-port=%d", n.Address.Port()),
			"--enable-dht=true", "--dht-entry-point=" + s.Bootstrap().String(),
			"--dht-file-path=" + filepath.Join(dir, "dht.dat"),
			"--enable-dht6=false", "--bt-enable-lpd=false", "--enable-peer-exchange=false",
			magnet,
		}, nil
	})
}

func (s *Mainline) startRTorrent(ctx context.Context, nodes []MainlineNode) error {
	return s.each(ctx, "rtorrent", nodes, func(n MainlineNode, dir string) ([]string, error) {
		rc := fmt.Sprintf(`system.daemon.set = true
session.path.set = %s
network.bind_address.set = %s
network.port_range.set = %d-%[3]d
network.port_random.set = no
dht.port.set = %[3]d
dht.mode.set = on
protocol.pex.set = no
trackers.use_udp.set = no
schedule2 = bootstrap, 1, 3, "dht.add_node=%s"
`, dir, n.Address.Addr(), n.Address.Port(), s.Bootstrap())
		file := filepath.Join(dir, "rtorrent.rc")
		if err := os.WriteFile(file, []byte(rc), 0o600); err != nil {
			return nil, err
		}
		return []string{"-n", "-o", "import=" + file}, nil
	})
}
