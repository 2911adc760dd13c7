package observation

import "net/netip"

// MarkKind says how a marked node came to be known.
type MarkKind string

// The kinds of marks.
const (
	Planted   MarkKind = "planted"   // our own node, no part of the network
	Confirmed MarkKind = "confirmed" // a node of the network that answered on another path than the walk's
)

// Mark is a node that was known to be alive in a zone before the zone was
// walked. Whether the walk found it, its visits tell.
type Mark struct {
	Network  string         `json:"network"`
	CrawlID  CrawlID        `json:"crawl_id"`
	PeerID   string         `json:"peer_id"`
	Address  netip.AddrPort `json:"address"`
	Kind     MarkKind       `json:"kind"`
	Named    bool           `json:"named"`     // others named it before the walk began; one that was never named can't be found
	LookedUp bool           `json:"looked_up"` // lookups were aimed near it
	Lookup   bool           `json:"lookup"`    // and found it
}

// Lookup is one search for the nodes closest to a random key.
type Lookup struct {
	Network  string  `json:"network"`
	CrawlID  CrawlID `json:"crawl_id"`
	Number   uint32  `json:"number"`   // from 0 within the crawl
	Target   string  `json:"target"`   // as peer IDs are written
	K        uint8   `json:"k"`        // nodes that were looked for
	Found    uint8   `json:"found"`    // nodes that answered, k at most
	Distance float64 `json:"distance"` // of the last of them, as a share of the key space
	Queries  uint32  `json:"queries"`
}
