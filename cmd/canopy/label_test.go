package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ipfs/boxo/bitswap/client"
	"github.com/ipfs/boxo/bitswap/network/bsnet"
	"github.com/ipfs/boxo/blockstore"
	"github.com/ipfs/go-cid"
	"github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	"github.com/libp2p/go-libp2p"

	"canopy/crawler/ipfs/plant"
)

// bitswapGateway is a gateway on loopback; it returns its URL, the multiaddr of
// its node and the node's ID.
func bitswapGateway(t *testing.T) (url, address, id string) {
	t.Helper()
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.UserAgent("=gateway/1"), libp2p.DisableRelay())
	if err != nil {
		t.Fatal(err)
	}
	net := bsnet.NewFromIpfsHost(h)
	swap := client.New(context.Background(), net, nil, blockstore.NewBlockstore(dssync.MutexWrap(datastore.NewMapDatastore())))
	net.Start(swap)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.Contains(r.UserAgent(), "test@example.org") {
			t.Errorf("the gateway is asked by %q", r.UserAgent())
		}
		block, err := swap.GetBlock(r.Context(), cid.MustParse(strings.TrimPrefix(r.URL.Path, "/ipfs/")))
		if err != nil {
			http.Error(w, err.Error(), http.StatusGatewayTimeout)
			return
		}
		_, _ = w.Write(block.RawData())
	}))
	t.Cleanup(func() { s.Close(); _ = swap.Close(); net.Stop(); _ = h.Close() })
	return s.URL, h.Addrs()[0].String() + "/p2p/" + h.ID().String(), h.ID().String()
}

// From the question to the verdict: who came is labelled, scored, and known to
// the registry from then on.
func TestLabelsByExperiment(t *testing.T) {
	t.Parallel()
	gateway, address, id := bitswapGateway(t)
	out := filepath.Join(t.TempDir(), "labelled.csv")
	args := []string{"label", "--operator", "pinata", "--gateway", gateway, "--contact", "test@example.org", "--local", "--connect", address,
		"--listen", "/ip4/127.0.0.1/tcp/0", "--rounds", "2", "--pause", "0s", "--linger", "0s", "--out", out, "--json"}
	r := canopy(t, args...)
	var answer struct {
		Kind   string
		Result plant.Result
	}
	if err := json.Unmarshal([]byte(r.stdout), &answer); err != nil || r.code != exitDone {
		t.Fatalf("exit %d: %v\n%s%s", r.code, err, r.stdout, r.stderr)
	}
	if len(answer.Result.Peers) != 1 || answer.Result.Peers[0].PeerID != id || answer.Result.Peers[0].Rounds != 2 || answer.Kind != "commercial" {
		t.Errorf("%+v", answer)
	}
	data := t.TempDir()
	if r := canopy(t, "rules", "test", out, "--data", data, "--json"); !strings.Contains(r.stdout, `"classes":["commercial"],"labelled":1,"right":0`) {
		t.Errorf("the peer's own traits decide nothing, yet it is judged:\n%s%s", r.stdout, r.stderr)
	}
	if r := canopy(t, "rules", "test", out, "--data", data, "--labels", out, "--json"); !strings.Contains(r.stdout, `"classes":["commercial"],"labelled":1,"right":1`) {
		t.Errorf("the registry does not know the peer by its label:\n%s%s", r.stdout, r.stderr)
	}
	oneClearLine(t, canopy(t, args...), exitUsage, out, "already")
}

func TestLabelKeepsWhatCameAndSaysWhatFailed(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(s.Close)
	out := filepath.Join(t.TempDir(), "labelled.csv")
	_, address, _ := bitswapGateway(t)
	r := canopy(t, "label", "--operator", "Example Club", "--kind", "community", "--gateway", strings.Replace(s.URL, "http://", "http://alice:secret@", 1), "--contact", "test@example.org", "--local",
		"--connect", address, "--listen", "/ip4/127.0.0.1/tcp/0", "--rounds", "1", "--linger", "0s", "--out", out)
	if r.code != exitDegraded || !strings.Contains(r.stderr, "404") || !strings.Contains(r.stderr, "nobody came") {
		t.Errorf("exit %d: %s", r.code, r.stderr)
	}
	if raw, err := os.ReadFile(out); err != nil || !strings.Contains(string(raw), "peer_id") || !strings.Contains(string(raw), s.URL+" was asked") || strings.Contains(string(raw), "alice") {
		t.Errorf("%v: %s", err, raw)
	}
}

func TestLabelIsThoughtThrough(t *testing.T) {
	t.Parallel()
	base := []string{"label", "--listen", "/ip4/127.0.0.1/tcp/0", "--out", filepath.Join(t.TempDir(), "l.csv")}
	for name, c := range map[string]struct{ args, words []string }{
		"no service":  {[]string{"--operator", "pinata", "--contact", "x"}, []string{"--gateway"}},
		"two":         {[]string{"--operator", "pinata", "--contact", "x", "--by-hand", "--gateway", "http://127.0.0.1:1"}, []string{"one service"}},
		"no operator": {[]string{"--contact", "x", "--by-hand"}, []string{"--operator"}},
		"no contact":  {[]string{"--operator", "pinata", "--by-hand"}, []string{"--contact"}},
		"impolite":    {[]string{"--operator", "pinata", "--contact", "x", "--by-hand", "--pause", "1s"}, []string{"--pause", "minute"}},
		"stranger":    {[]string{"--operator", "nobody-knows", "--contact", "x", "--by-hand"}, []string{"nobody-knows", "--kind"}},
		"kind":        {[]string{"--operator", "pinata", "--kind", "community", "--contact", "x", "--by-hand"}, []string{"pinata", "commercial"}},
		"no URL":      {[]string{"--operator", "pinata", "--contact", "x", "--gateway", "gateway.example"}, []string{"http"}},
		"multiaddr":   {[]string{"--operator", "pinata", "--contact", "x", "--by-hand", "--connect", "nonsense"}, []string{"nonsense", "/p2p/"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			oneClearLine(t, canopy(t, append(base, c.args...)...), exitUsage, c.words...)
		})
	}
}

// TestLabelHonoursSystems: an AS that opted out can only be left out where it is
// known whose an address is.
func TestLabelHonoursSystems(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "labelled.csv")
	args := []string{"label", "--operator", "pinata", "--by-hand", "--contact", "test@example.org", "--local", "--out", out, "--opt-out", write(t, "optout.txt", "as64500\n")}
	oneClearLine(t, canopy(t, append(args, "--data", t.TempDir())...), exitUsage, "label", "--opt-out names an AS", "--data")
	table := filepath.Dir(write(t, "table.csv", "start,end,asn,organisation,country,hosting\n127.0.0.0,127.255.255.255,64500,Example,DE,hosting\n"))
	_, address, _ := bitswapGateway(t)
	r := canopy(t, append(args, "--data", table, "--connect", address, "--listen", "/ip4/127.0.0.1/tcp/0")...)
	if r.code == exitDone || !strings.Contains(r.stderr, "connect to") || !strings.Contains(r.stderr, "gater") {
		t.Errorf("a node of that AS: exit code %d, %s%s", r.code, r.stdout, r.stderr)
	}
}
