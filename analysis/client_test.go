package analysis

import "testing"

// agents are what real programs announce, with the name of each program.
var agents = map[string]string{
	"kubo/0.43.0/abcdef": "kubo", "kubo/0.39.0/2896aed": "kubo", "kubo/0.29.0/3f0947b/docker": "kubo", "kubo/0.44.0-dev/": "kubo", "kubo/0.18.1/675f8bd\\u{001b}[31m": "kubo",
	"go-ipfs/0.4.18/": "go-ipfs", "/go-ipfs/0.4.18/": "go-ipfs", "go-ipfs/0.4.18": "go-ipfs", "/go-ipfs/0.4.21-dev/789dab3": "go-ipfs", "go-ipfs//789dab3": "go-ipfs",
	"go-ipfs/789dab3a": "go-ipfs", "//go-ipfs//": "go-ipfs", " go-ipfs/0.13.1/ ": "go-ipfs", "dhtbooster/2": "dhtbooster",
	"github.com/libp2p/go-libp2p": "github.com/libp2p/go-libp2p", "github.com/some/prog": "github.com/some/prog", "github.com/other/prog": "github.com/other/prog",
	"github.com/some/prog@v1.2.3": "github.com/some/prog", "github.com/some/prog@": "github.com/some/prog", "github.com/some/prog@4f2a1b3c9-dirty": "github.com/some/prog",
	"github.com/some/prog@(devel)": "github.com/some/prog", "github.com/some/prog/v2@v2.0.1": "github.com/some/prog", "github.com/some/prog/cmd/peer@v0.0.0-2023": "github.com/some/prog/cmd/peer",
	"github.com/ipfs/kubo@v0.30.0/abc": "github.com/ipfs/kubo", "github.com/ipfs/kubo/0.30.0/abc": "github.com/ipfs/kubo", "github.com/0xPolygon/edge@v1.0.0": "github.com/0xPolygon/edge",
	"github.com/99designs/prog": "github.com/99designs/prog", "github.com/1-user/prog": "github.com/1-user/prog", "/github.com/some/prog/": "github.com/some/prog",
	"github.com/application-research/estuary": "github.com/application-research/estuary", "go.opentelemetry.io/otel@v1.2.3": "go.opentelemetry.io/otel", "example.org/prog": "example.org/prog",
	"js-libp2p/2.1.0 UserAgent=v20": "js-libp2p", "js-libp2p@2.1.0": "js-libp2p", "helia/5.4.2 js-libp2p/2.8.2": "helia", "node.js/18.1": "node.js",
	"hydra-booster/0.7.4": "hydra-booster", "storm": "storm", "rust-libp2p/0.44": "rust-libp2p", "ipfs-cluster/1.0.2+git4f2a1b3": "ipfs-cluster", "edgevpn": "edgevpn", "edgevpn/": "edgevpn",
	"lotus-1.23.0+mainnet+git.4f2a1b3": "lotus", "lotus/v1.23.0": "lotus", "Lighthouse/v2.0.1-fff01b2/x86_64-linux": "Lighthouse", "openbazaar-go:0.14.6": "openbazaar-go", "/openbazaar-go:0.14.6/": "openbazaar-go",
	"celestia-node/v0.13.1/fc4e4ae": "celestia-node", "celestia-node/celestia/full/v0.13.1/fc4e4ae": "celestia-node/celestia/full", "teku/teku/v21.11.0+62-g501ffa7/linux": "teku/teku",
	"libtorrent 2.0.11": "libtorrent", "qBittorrent 5.0.4": "qBittorrent", "µTorrent 46150": "µTorrent", "Transmission r14734": "Transmission", "rTorrent libtorrent 0.13.8": "rTorrent libtorrent",
	"jech/dht 0.27": "jech/dht", "anacrolix/torrent": "anacrolix/torrent", "aria2 1.37.0": "aria2", "uTorrent 3.6.0 beta": "uTorrent", "v=4c540208": "v=4c540208", "UT3600": "UT3600",
	"Some Client": "Some Client", "(fewer than 5 peers)": "(fewer than 5 peers)", "": "", " ": "", "/": "", "//": "", "\t\r\n": "", "@": "@", "1.2.3": "1.2.3", "/x": "x",
	"canopy/0.1 (+https://example.org/a@b)": "canopy", "v1/v2/v3": "v1",
}

func TestClient(t *testing.T) {
	for agent, want := range agents {
		if got := Client(agent); got != want {
			t.Errorf("%q: %q, want %q", agent, got, want)
		}
	}
}

// FuzzClient checks that a name is no longer than its agent, is the same when
// slashes stand around that, and is missing only where it says nothing.
func FuzzClient(f *testing.F) {
	for agent := range agents {
		f.Add(agent)
	}
	f.Fuzz(func(t *testing.T, agent string) {
		name := Client(agent)
		if len(name) > len(agent) || name != TrimAgent(name) || (name == "") != (TrimAgent(agent) == "") {
			t.Errorf("%q is of client %q", agent, name)
		}
		if again := Client("/" + agent + "/"); again != name {
			t.Errorf("%q is of client %q, and with slashes around it of %q", agent, name, again)
		}
	})
}
