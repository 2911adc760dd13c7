package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/protocol"

	"canopy/crawler"
	"canopy/crawler/observation"
	"canopy/crawler/store/storetest"
)

// privateIPFS runs two servers of a DHT with a protocol prefix of its own that
// know each other, at 127.5.0.1 and 127.5.1.1.
func privateIPFS(t *testing.T, prefix string) (bootstrap string) {
	t.Helper()
	var servers []*dht.IpfsDHT
	for i := range 2 {
		h, err := libp2p.New(libp2p.ListenAddrStrings(fmt.Sprintf("/ip4/127.5.%d.1/tcp/0", i)), libp2p.DisableRelay(), libp2p.DisableMetrics())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { h.Close() })
		d, err := dht.New(h, dht.Mode(dht.ModeServer), dht.DisableAutoRefresh(), dht.AddressFilter(nil), dht.ProtocolPrefix(protocol.ID(prefix)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
		servers = append(servers, d)
	}
	for i, s := range servers {
		other := servers[1-i]
		s.Host().Peerstore().AddAddrs(other.PeerID(), other.Host().Addrs(), time.Hour)
		if _, err := s.RoutingTable().TryAddPeer(other.PeerID(), true, false); err != nil {
			t.Fatal(err)
		}
	}
	return fmt.Sprintf("%s/p2p/%s", servers[0].Host().Addrs()[0], servers[0].PeerID())
}

func TestPrivateNetworks(t *testing.T) {
	t.Parallel()
	storetest.NeedEngine(t)
	bootstrap := privateIPFS(t, "/orchard")
	crawl := func(t *testing.T, args ...string) (result, map[string]observation.Visit) {
		dir := t.TempDir()
		file := filepath.Join(dir, "visits.ndjson")
		r := canopy(t, append([]string{"crawl", "ipfs", "--local", "--visits", file, "--store", "chdb:" + filepath.Join(dir, "record")}, args...)...)
		return r, readVisitLines(t, file)
	}
	t.Run("its own protocol", func(t *testing.T) {
		r, visits := crawl(t, "--protocol", "/orchard/kad/1.0.0", "--bootstrap", bootstrap, "--edges")
		if r.code != exitDone || len(visits) != 2 {
			t.Fatalf("exit code %d, %d visits: %s", r.code, len(visits), r.stderr)
		}
		for at, v := range visits {
			if v.Outcome != observation.Answered || v.Neighbours != 1 || v.Transport != "tcp" || v.Handshake <= 0 {
				t.Errorf("%s: %+v", at, v)
			}
		}
	})
	t.Run("wrong protocol", func(t *testing.T) {
		r, _ := crawl(t, "--bootstrap", bootstrap)
		oneClearLine(t, r, exitFailed, "wrong protocol", "speaks /orchard/kad/1.0.0, not /ipfs/kad/1.0.0")
	})
	t.Run("a protocol without entry points", func(t *testing.T) {
		r, _ := crawl(t, "--protocol", "/orchard/kad/1.0.0")
		oneClearLine(t, r, exitUsage, "/orchard/kad/1.0.0", "no known entry points")
	})
	t.Run("dead bootstrap", func(t *testing.T) {
		dead := closedPort(t) + bootstrap[strings.Index(bootstrap, "/p2p/"):]
		r, _ := crawl(t, "--bootstrap", dead)
		oneClearLine(t, r, exitFailed, dead, "refused")
	})
	t.Run("addresses that need --local", func(t *testing.T) {
		r := canopy(t, "crawl", "ipfs", "--protocol", "/orchard/kad/1.0.0", "--bootstrap", bootstrap, "--store", "chdb:"+t.TempDir())
		oneClearLine(t, r, exitFailed, bootstrap, "outside the space that may be contacted")
	})
	t.Run("opted out by AS", func(t *testing.T) {
		table := filepath.Dir(write(t, "table.csv", "start,end,asn,organisation,country,hosting\n127.5.1.0,127.5.1.255,64500,Example,DE,hosting\n"))
		list := write(t, "optout.txt", "AS64500\n")
		args := []string{"--protocol", "/orchard/kad/1.0.0", "--bootstrap", bootstrap, "--opt-out", list}
		r, visits := crawl(t, append(args, "--data", table)...)
		if r.code != exitDone || visits["127.5.0.1"].Outcome != observation.Answered || visits[""].Outcome != observation.NoAddress || len(visits) != 2 {
			t.Errorf("exit code %d, %v: %s", r.code, visits, r.stderr)
		}
		r, _ = crawl(t, append(args, "--data", t.TempDir())...)
		oneClearLine(t, r, exitUsage, "--opt-out", "--data")
	})
}

// TestUnreachableNetworkIsNamed looks for the public network from a machine
// that has none.
func TestUnreachableNetworkIsNamed(t *testing.T) {
	t.Parallel()
	storetest.NeedEngine(t)
	if err := exec.CommandContext(t.Context(), "unshare", "-rn", "true").Run(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("no right to make a network namespace:", err)
	}
	cmd := command(t.Context(), "crawl", "ipfs", "--store", "chdb:"+t.TempDir(),
		"--bootstrap", "/ip4/104.131.131.82/tcp/4001/p2p/QmaCpDMGvV2BGHeYERUEnRQAwe3N8SzbUtfsmvsqQLuvuJ")
	cmd.Args = append([]string{"unshare", "-rn"}, append([]string{cmd.Path}, cmd.Args[1:]...)...)
	var err error
	if cmd.Path, err = exec.LookPath("unshare"); err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	_ = cmd.Run() // the exit code is checked below
	oneClearLine(t, result{code: cmd.ProcessState.ExitCode(), stderr: stderr.String()}, exitFailed, "unreachable", "104.131.131.82")
}

// closedPort is a TCP address that refuses.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.5.2.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return fmt.Sprintf("/ip4/127.5.2.1/tcp/%d", l.Addr().(*net.TCPAddr).Port)
}

// readVisitLines reads visits by address, "" where none was usable. Without
// the file there are none.
func readVisitLines(t *testing.T, path string) map[string]observation.Visit {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	visits := map[string]observation.Visit{}
	for line := range strings.Lines(string(raw)) {
		var v observation.Visit
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatal(err)
		}
		at := ""
		if v.Address.IsValid() {
			at = v.Address.Addr().String()
		}
		visits[at] = v
	}
	return visits
}

// askedProber counts whom it was told to ask.
type askedProber []string

func (p *askedProber) Probe(_ context.Context, t observation.Target) (observation.Probe, error) {
	*p = append(*p, t.PeerID)
	return observation.Probe{PeerID: t.PeerID, Outcome: observation.Answered}, nil
}

func TestProbesLeavePeersAloneThatOptedOut(t *testing.T) {
	t.Parallel()
	wish := strings.Repeat("ab", 20)
	list, err := crawler.ReadOptOut(strings.NewReader(wish))
	if err != nil {
		t.Fatal(err)
	}
	var policy atomic.Pointer[crawler.Policy]
	policy.Store(&crawler.Policy{OptOut: list})
	asked := new(askedProber)
	for id, want := range map[string]observation.Outcome{wish: observation.NoAddress, "other": observation.Answered} {
		if p, err := (politeProber{asked, &policy}).Probe(t.Context(), observation.Target{PeerID: id}); err != nil || p.Outcome != want || p.PeerID != id {
			t.Errorf("%s: %+v, %v", id, p, err)
		}
	}
	if len(*asked) != 1 || (*asked)[0] != "other" {
		t.Errorf("asked %q", *asked)
	}
}
