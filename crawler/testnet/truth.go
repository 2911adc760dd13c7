package testnet

import (
	"cmp"
	"slices"
	"time"

	"canopy/crawler/observation"
)

// Truth is what a perfect observer of a network would know, as JSON.
type Truth struct {
	Network   string        `json:"network"`
	Synthetic bool          `json:"synthetic"` // always true
	Seed      uint64        `json:"seed"`
	Horizon   time.Duration `json:"horizon_ns"`
	DeadShare float64       `json:"dead_share"`
	Bootstrap []string      `json:"bootstrap"` // in the network's own notation
	Nodes     []NodeTruth   `json:"nodes"`
}

// NodeTruth is the truth about one node.
type NodeTruth struct {
	Number       int                 `json:"number"`
	PeerID       string              `json:"peer_id"` // as the record has it
	Address      string              `json:"address"` // IP and port
	Agent        string              `json:"agent"`   // as an observer should read it
	Persona      string              `json:"persona"`
	Hosting      observation.Hosting `json:"hosting"`
	Operator     Operator            `json:"operator"`
	ASN          uint32              `json:"asn"`
	Organisation string              `json:"organisation"`
	Country      string              `json:"country"`
	Real         bool                `json:"real"` // an independent implementation of the protocol
	Dead         bool                `json:"dead"` // never up, though tables may name it
	Sessions     []Session           `json:"sessions"`
}

// Truth states the whole truth of the plan. The bootstrap addresses are those
// of the network that runs it.
func (p *Plan) Truth(bootstrap []string) Truth {
	t := Truth{
		Network: p.Network, Synthetic: true, Seed: p.Seed, Horizon: p.Size.Horizon,
		DeadShare: p.Size.Dead, Bootstrap: bootstrap, Nodes: make([]NodeTruth, len(p.Nodes)),
	}
	for i := range p.Nodes {
		n := &p.Nodes[i]
		per := n.Persona
		t.Nodes[i] = NodeTruth{
			Number: i, PeerID: n.ID, Address: n.Address.String(), Agent: n.Agent.Read,
			Persona: per.Name, Hosting: per.Land.Hosting, Operator: per.Operator,
			ASN: per.Land.ASN, Organisation: per.Land.Organisation, Country: per.Land.Country,
			Real: n.Real, Dead: n.Life != Living, Sessions: n.Sessions,
		}
	}
	return t
}

// Cell is one field of the matrix of hosting and operator.
type Cell struct {
	Hosting  observation.Hosting `json:"hosting"`
	Operator Operator            `json:"operator"`
	Nodes    int                 `json:"nodes"`
	Share    float64             `json:"share"` // of the nodes counted
}

// SharesAt is the share of each combination of hosting and operator among the
// nodes that are up at t, by hosting and operator; empty cells are left out.
func (p *Plan) SharesAt(t time.Duration) []Cell {
	counts := map[Cell]int{}
	total := 0
	for i := range p.Nodes {
		if n := &p.Nodes[i]; n.UpAt(t) {
			counts[Cell{Hosting: n.Persona.Land.Hosting, Operator: n.Persona.Operator}]++
			total++
		}
	}
	var cells []Cell
	for c, n := range counts {
		c.Nodes, c.Share = n, float64(n)/float64(total)
		cells = append(cells, c)
	}
	slices.SortFunc(cells, func(a, b Cell) int {
		return cmp.Or(cmp.Compare(a.Hosting, b.Hosting), cmp.Compare(a.Operator, b.Operator))
	})
	return cells
}
