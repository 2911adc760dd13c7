// Package observation holds what a crawl saw: crawls, visits, probes and
// edges, as plain values. It imports the standard library only, so that every
// part of Canopy can share it without sharing anything else.
//
// A peer that fails to answer is a result and has an [Outcome]; a Go error
// always means that Canopy itself could not measure.
package observation

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// Network describes one Kademlia network. It is the only place where the rest
// of Canopy learns how networks differ; nothing outside a walker may ask which
// network it is looking at.
type Network struct {
	Name     string `json:"name"`     // column value, such as "mainline"
	Title    string `json:"title"`    // for people, such as "BitTorrent Mainline DHT"
	K        int    `json:"k"`        // bucket size: nodes that an answer names at most
	Alpha    int    `json:"alpha"`    // parallel requests of one lookup
	IDBits   int    `json:"id_bits"`  // width of a key
	Distance string `json:"distance"` // metric, "xor"
	Identity string `json:"identity"` // what makes one peer, such as "node ID and endpoint"

	KeyDerivation string `json:"key_derivation"` // how Visit.PeerID gives a key: "hex", or "sha256-base58", the hash of the bytes it stands for
}

// CrawlID names one crawl. It is a UUID version 7 (RFC 9562), so that IDs sort
// by start time.
type CrawlID [16]byte

// NewCrawlID returns a fresh ID for a crawl that starts at t.
func NewCrawlID(t time.Time) CrawlID {
	var id CrawlID
	_, _ = rand.Read(id[:]) // never fails since Go 1.24
	ms := uint64(t.UnixMilli())
	binary.BigEndian.PutUint16(id[0:], uint16(ms>>32))
	binary.BigEndian.PutUint32(id[2:], uint32(ms))
	id[6] = id[6]&0x0f | 0x70
	id[8] = id[8]&0x3f | 0x80
	return id
}

// ParseCrawlID reads the form that [CrawlID.String] writes.
func ParseCrawlID(s string) (CrawlID, error) {
	var id CrawlID
	raw, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	if err != nil || len(raw) != len(id) || len(s) != 36 {
		return id, fmt.Errorf("parse crawl ID %q: want a UUID", s)
	}
	copy(id[:], raw)
	return id, nil
}

// String writes the ID as a UUID.
func (id CrawlID) String() string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[0:4], id[4:6], id[6:8], id[8:10], id[10:])
}

// MarshalText writes the ID as a UUID.
func (id CrawlID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText reads a UUID.
func (id *CrawlID) UnmarshalText(b []byte) (err error) {
	*id, err = ParseCrawlID(string(b))
	return err
}

// State is how far a crawl came.
type State string

// The states of a crawl.
const (
	Running  State = "running"
	Complete State = "complete"  // the frontier was exhausted
	CutShort State = "cut_short" // stopped by a deadline or by the user
	Degraded State = "degraded"  // exhausted, but with trouble of our own; see Notes
)

// Scopes of a crawl: the address space that was walked.
const (
	ScopeGlobal = "global" // globally routable addresses only
	ScopeLocal  = "local"  // a local network: synthetic, never a public figure
)

// Crawl is one walk of one network, meant as one snapshot.
type Crawl struct {
	ID         CrawlID   `json:"crawl_id"`
	Network    string    `json:"network"`
	Vantage    string    `json:"vantage"` // the steward's name for where we look from
	Scope      string    `json:"scope"`
	Zone       string    `json:"zone,omitempty"` // BITS/PREFIX of the key space that was walked, empty: all of it
	StartedAt  time.Time `json:"started_at"`
	EndedAt    time.Time `json:"ended_at"` // zero while running
	State      State     `json:"state"`
	Discovered uint64    `json:"discovered"` // peers named by somebody
	Reachable  uint64    `json:"reachable"`  // peers that answered with the identity asked for
	Queries    uint64    `json:"queries"`
	Software   string    `json:"software"` // program and version
	Settings   string    `json:"settings"` // JSON: network description, limits, retry policy
	Notes      []string  `json:"notes"`    // what a reader must know, one sentence each
}

// Visit is one attempt to talk to one peer, retries included.
type Visit struct {
	Network    string         `json:"network"`
	CrawlID    CrawlID        `json:"crawl_id"`
	Number     uint32         `json:"number"` // crawl-local number of the peer; edges refer to it
	VisitedAt  time.Time      `json:"visited_at"`
	PeerID     string         `json:"peer_id"`             // hex in Mainline, base58 in IPFS
	Address    netip.AddrPort `json:"address,omitzero"`    // that answered, else last tried; zero if none usable
	Transport  string         `json:"transport,omitempty"` // over which Address was contacted, where a network has several
	Addresses  []string       `json:"addresses,omitempty"` // all that are known, in the network's own notation
	Relays     []string       `json:"relays,omitempty"`    // peer IDs of the relays that it can be reached through
	Outcome    Outcome        `json:"outcome"`
	Detail     string         `json:"detail,omitempty"` // free text beside Outcome, already passed through Text
	Agent      string         `json:"agent,omitempty"`  // passed through Text
	Protocols  []string       `json:"protocols,omitempty"`
	RTT        time.Duration  `json:"rtt_ns"`                 // zero when nothing was measured
	Handshake  time.Duration  `json:"handshake_ns,omitempty"` // from dialling to a secured connection with the identity asked for; zero: none stood
	Neighbours uint32         `json:"neighbours"`             // distinct peers it named
	Partial    bool           `json:"partial"`                // it answered, but not its whole table was read
	Queries    uint32         `json:"queries"`                // requests sent to it, resends included
	Facts      Facts          `json:"facts"`                  // frozen at visit time
}

// Result is what a walker hands back for one target.
type Result[P comparable] struct {
	Peer       P
	Visit      Visit // Network, CrawlID, Number and Facts are filled in by the engine
	Neighbours []P   // distinct peers it named, itself excluded
}

// Edge is the routing table of one peer as far as it was read.
type Edge struct {
	CrawlID    CrawlID
	Network    string
	Peer       uint32   // Visit.Number of the peer asked
	Neighbours []uint32 // Visit.Number of the peers named, ascending
	Partial    bool     // some of the table could not be read
}

// Probe is one question to a known peer between crawls: is it still there?
type Probe struct {
	Network   string
	Vantage   string // the steward's name for where we look from
	PeerID    string
	Address   netip.AddrPort
	ProbedAt  time.Time
	Outcome   Outcome
	RTT       time.Duration
	ControlOK bool // our own network was proven to work in this round
}

// Hosting says on whose land an address stands.
type Hosting string

// The hosting classes.
const (
	HostingUnknown       Hosting = "unknown"
	HostingResidential   Hosting = "residential"
	HostingMobile        Hosting = "mobile"
	HostingHosting       Hosting = "hosting" // cloud, VPS, colocation
	HostingInstitutional Hosting = "institutional"
	HostingAnonymiser    Hosting = "anonymiser" // VPN, Tor, proxy
)

// HostingClasses lists every class in the order in which reports show them.
func HostingClasses() []Hosting {
	return []Hosting{HostingResidential, HostingMobile, HostingInstitutional, HostingHosting, HostingAnonymiser, HostingUnknown}
}

// Facts is what is known of an address on the day it was visited. The zero
// value means that nothing is known: absence is a value.
type Facts struct {
	Prefix       netip.Prefix `json:"prefix,omitzero"`
	ASN          uint32       `json:"asn,omitempty"`
	Organisation string       `json:"organisation,omitempty"`
	Country      string       `json:"country,omitempty"` // ISO 3166-1 alpha-2, empty if unknown
	Hosting      Hosting      `json:"hosting"`           // empty counts as unknown
	Source       string       `json:"source,omitempty"`  // name of the data set, empty if none matched
	Date         time.Time    `json:"date,omitzero"`     // date of the data set, zero if none
}
