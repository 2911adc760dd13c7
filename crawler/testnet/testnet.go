// Package testnet plans synthetic peer-to-peer networks whose truth is known:
// who stands on whose land, run by whom, and when each node is up. A [Plan] is
// a pure function of a [Population], a [Size] and a seed. The packages below
// it run a plan on loopback with nodes that speak the real protocol.
//
// Everything about such a network is invented: organisations, AS numbers (of
// the ranges reserved for documentation and private use) and loopback
// addresses. Figures drawn from it must be labelled synthetic.
package testnet

import (
	"net/netip"
	"time"

	"canopy/crawler/observation"
)

// Operator says who truly runs a node.
type Operator string

// The kinds of operators.
const (
	Community     Operator = "community"
	Commercial    Operator = "commercial"
	Institutional Operator = "institutional"
	Unknown       Operator = "unknown"
)

// Land is a piece of loopback address space and the facts that the synthetic
// address table states about it.
type Land struct {
	Prefix       netip.Prefix // in 127.0.0.0/8, /24 or shorter
	ASN          uint32       // reserved for documentation or private use (RFC 5398, RFC 6996)
	Organisation string       // obviously invented
	Country      string       // ISO 3166-1 alpha-2
	Hosting      observation.Hosting
}

// Agent is a client program as it names itself.
type Agent struct {
	Wire   string  // as sent: the bytes of "v" in Mainline, the agent version in IPFS
	Read   string  // as an observer should record it
	Weight float64 // relative share within its persona
}

// Churn says how long the nodes of a persona stay and are away. The zero
// value is a persona that is always up.
type Churn struct {
	// Online and Offline are the medians of Weibull distributed lengths; an
	// Online of zero means that a node which came stays.
	Online, Offline time.Duration
	// Arrival is the share of the plan's horizon after which the whole persona
	// arrives together; zero if it was there before.
	Arrival float64
}

// Persona is a kind of participant.
type Persona struct {
	Name     string
	Land     Land
	Operator Operator
	Share    float64 // of the planned nodes, relative to the other personas
	Agents   []Agent
	Churn    Churn
	// Dense is the number of neighbouring addresses used in each /24. Zero
	// spreads the nodes: each /24 gets a second one only when all have one.
	Dense int
}

// Key is a place in the key space, most significant bit first; networks with
// shorter keys leave the rest zero.
type Key [32]byte

// Population describes the participants of one network and what a plan needs
// to know of it.
type Population struct {
	Network  string // name in the record, such as "mainline"
	K        int    // entries of a full bucket
	Personas []Persona
	Port     uint16 // first port unless Size says otherwise
	Slots    int    // consecutive ports that a running plan takes
	// Slot says at which of those ports a node stands.
	Slot    func(Node) int
	AllReal bool // every living node is run by an independent implementation
	// RealAgent is how nodes of an independent implementation name themselves
	// where that can't be chosen; nil leaves them their persona's agents.
	RealAgent *Agent
	// Identity derives the identity of a node from seed and number: its place
	// in the key space and its peer ID as the record has it.
	Identity func(seed uint64, number int) (Key, string)
}

// Size says how large a plan is.
type Size struct {
	Nodes   int           // nodes that are up at some time
	Real    int           // of these, run by an independent implementation; ignored where all are
	Dead    float64       // share of table entries that nobody answers, and of never living nodes among all planned; in [0, 0.9]
	Horizon time.Duration // virtual time that is planned
	Port    uint16        // first port, zero for the population's own
}

// Life says whether a planned node ever lives, and if not how it is silent.
type Life uint8

// The lives of a node.
const (
	Living  Life = iota
	Refused      // never up: nobody listens at its port
	Silent       // never up: its packets go unanswered
)

// Session is a period in which a node is up, from Start to just before End,
// counted from the plan's start. Start is negative when the node was up before
// the plan begins, and End lies beyond the horizon when it stays longer.
type Session struct {
	Start time.Duration `json:"start_ns"`
	End   time.Duration `json:"end_ns"`
}

// Node is one planned node.
type Node struct {
	Number   int // index in Plan.Nodes
	Persona  *Persona
	Key      Key
	ID       string // peer ID as the record has it
	Address  netip.AddrPort
	Agent    Agent
	Sessions []Session // ascending, never touching; empty unless Living
	Life     Life
	Real     bool // run by an independent implementation
}

// UpAt says whether the node is planned to be up at t.
func (n *Node) UpAt(t time.Duration) bool {
	for _, s := range n.Sessions {
		if s.Start <= t && t < s.End {
			return true
		}
	}
	return false
}
