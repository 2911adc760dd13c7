package crawler

import (
	"net/netip"
	"time"

	"canopy/crawler/observation"
)

// heldVisit is a first visit that waits for the second pass. A third of a large
// network may be silent, so what silence looks like is kept small: a whole
// Visit takes four times as much.
type heldVisit struct {
	peerID  string
	address netip.AddrPort
	at      int64 // Unix nanoseconds
	queries uint32
	more    *observation.Visit // the whole visit, where there is more to it than silence
}

func hold(v observation.Visit) heldVisit {
	h := heldVisit{peerID: v.PeerID, address: v.Address, at: v.VisitedAt.UnixNano(), queries: v.Queries}
	if v.Outcome != observation.Timeout || v.Detail != "" || v.Agent+v.Transport != "" || len(v.Addresses)+len(v.Protocols)+len(v.Relays) > 0 {
		h.more = &v
	}
	return h
}

func (h heldVisit) outcome() observation.Outcome {
	if h.more != nil {
		return h.more.Outcome
	}
	return observation.Timeout
}

func (h heldVisit) visit() observation.Visit {
	if h.more != nil {
		return *h.more
	}
	return observation.Visit{
		PeerID: h.peerID, Address: h.address, VisitedAt: time.Unix(0, h.at), Queries: h.queries, Outcome: observation.Timeout,
	}
}
