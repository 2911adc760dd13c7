package mainline

import (
	"encoding/hex"
	"fmt"
	"strconv"

	"canopy/crawler/observation"
)

// client is how one DHT implementation says in `v` who it is: two letters and
// two bytes of version (BEP 5).
type client struct {
	name    string
	version func(a, b byte) string
	roomy   bool // its first buckets hold 128, 64, 32 and 16 nodes
}

// clients maps the first two bytes of `v` to implementations. Applications
// share an implementation: qBittorrent and Deluge are libtorrent.
var clients = map[[2]byte]client{
	{'L', 'T'}: {"libtorrent", libtorrentVersion, true}, // arvidn/libtorrent src/kademlia/dht_tracker.cpp, send_packet
	{'l', 't'}: {"rTorrent", rakshasaVersion, false},    // rakshasa/libtorrent configure.ac, PEER_VERSION: rTorrent's library
	{'U', 'T'}: {"µTorrent", build, false},              // bittorrent/libbtdht: two letters of the client and its build number
	{'B', 'T'}: {"BitTorrent", build, false},            // the same code base under its other name
	{'T', 'R'}: {"Transmission", revision, true},        // until 2010 the Subversion revision; since then tr-dht.cc says nothing
	{'J', 'C'}: {"jech/dht", dotted, true},              // jech/dht dht-example.c
	{'A', '2'}: {"aria2", dhtVersion, false},            // aria2/aria2 src/DHTMessageFactoryImpl.cc and DHTConstants.h
	{'M', 'P'}: {"MooPolice", dotted, false},            // libtorrent docs/dht_extensions
	{'G', 'R'}: {"GetRight", dotted, false},             // libtorrent docs/dht_extensions
	{'C', 'Y'}: {"Canopy", dotted, false},               // Config.Version
}

// libtorrentVersion reads major and minor<<4|tiny. Before 1.0 the last byte
// was the minor version.
func libtorrentVersion(a, b byte) string {
	if a == 0 {
		return fmt.Sprintf("0.%d", b)
	}
	return fmt.Sprintf("%d.%d.%d", a, b>>4, b&15)
}

// rakshasaVersion reads the library's version: 0.13.8 is 0x0D 0x80.
func rakshasaVersion(a, b byte) string { return fmt.Sprintf("libtorrent 0.%d.%d", a, b>>4) }

func number(a, b byte) int { return int(a)<<8 | int(b) }

func build(a, b byte) string { return strconv.Itoa(number(a, b)) }

func revision(a, b byte) string { return "r" + build(a, b) }

// dhtVersion reads aria2's count of changes to its DHT code.
func dhtVersion(a, b byte) string { return "DHT " + build(a, b) }

func dotted(a, b byte) string { return fmt.Sprintf("%d.%d", a, b) }

// roomy tells whether the client's first buckets may hold more than a reply
// does: known to be so, or the client does not say what it is, as today's
// Transmission.
func roomy(v []byte) bool { return len(v) < 2 || clients[[2]byte(v)].roomy }

// agent names the client that `v` stands for, in a form that is safe to show:
// name and version when it is known, else the bytes if they can be printed,
// else hexadecimal.
func agent(v []byte) string {
	if len(v) == 4 {
		if c, ok := clients[[2]byte(v)]; ok {
			return c.name + " " + c.version(v[2], v[3])
		}
	}
	for _, c := range v {
		if c < ' ' || c > '~' {
			return observation.Text("v=" + hex.EncodeToString(v[:min(len(v), maxVersion)]))
		}
	}
	return observation.Text(string(v))
}

// maxVersion is how much of `v` is looked at, in bytes.
const maxVersion = 20
