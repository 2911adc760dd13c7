package mainline

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"time"

	"canopy/crawler/mainline/krpc"
	"canopy/crawler/observation"
)

// visit is one slot: a peer that is being visited, or room for one.
type visit struct {
	peer       Peer
	addr       netip.AddrPort
	plan       plan
	heard      heard
	asked      bool   // a query is under way
	waiting    bool   // the next query, or the same again, waits for its turn
	generation uint16 // of the query under way, or of the last one
	sends      uint8  // of this query
	prev, next int32  // visits with a query under way, in the order of sending

	sentAt    time.Duration // since the walk began
	visitedAt time.Time     // zero until something was sent
	fastest   time.Duration // shortest round trip of a query sent once
	queries   uint32
	answers   uint32
	refused   uint32 // neighbours that may not be contacted
	bad       krpc.Field
	readOnly  bool
	ipv6      bool // it named IPv6 nodes
	garbled   bool // it sent what can't be read
	signs     signs
	version   [maxVersion]byte
	versionN  uint8

	lateFrom netip.AddrPort // the last peer in this slot that stayed silent
	lateGen  uint16
	lateSent time.Duration // when it was asked, 0 if twice
}

// begin takes p into the slot.
func (v *visit) begin(p Peer, m mode, random func() krpc.ID) {
	v.heard.reset()
	plan := v.plan
	plan.begin(m, p.ID, random)
	*v = visit{
		peer: p, addr: p.Addr(), plan: plan, heard: v.heard, generation: v.generation,
		prev: none, next: none, lateFrom: v.lateFrom, lateGen: v.lateGen, lateSent: v.lateSent,
	}
}

// note keeps what a reply says beside its nodes.
func (v *visit) note(m *krpc.Message) {
	v.answers++
	v.bad |= m.Bad
	v.readOnly = v.readOnly || m.ReadOnly
	if len(m.Version) > 0 {
		v.versionN = uint8(copy(v.version[:], m.Version))
	}
	v.plan.roomy = roomy(m.Version)
}

// notContacted is the result of a peer that no query may be sent to.
func notContacted(p Peer, why string) observation.Result[Peer] {
	return observation.Result[Peer]{Peer: p, Visit: observation.Visit{
		VisitedAt: time.Now(), PeerID: p.ID.String(), Address: p.Addr(), Outcome: observation.NoAddress, Detail: why,
	}}
}

// result describes the visit as it ended. Once a peer has answered, what goes
// wrong later makes the answer partial and nothing else.
func (v *visit) result(outcome observation.Outcome, detail string, names *names) observation.Result[Peer] {
	partial := v.plan.cut || v.heard.full || v.bad&(krpc.FieldNodes|krpc.FieldNodes6) != 0
	if v.answers > 0 && outcome != observation.Answered {
		detail = fmt.Sprintf("after %d answers: %s %s", v.answers, outcome, detail)
		outcome, partial = observation.Answered, true
	}
	if v.visitedAt.IsZero() {
		v.visitedAt = time.Now()
	}
	r := observation.Result[Peer]{
		Peer:       v.peer,
		Neighbours: v.heard.take(),
		Visit: observation.Visit{
			VisitedAt: v.visitedAt, PeerID: v.peer.ID.String(), Address: v.addr, Outcome: outcome, RTT: v.fastest,
			Neighbours: uint32(len(v.heard.peers)), Partial: partial && outcome == observation.Answered, Queries: v.queries,
		},
	}
	if v.answers > 0 || v.versionN > 0 {
		r.Visit.Agent, r.Visit.Protocols = v.describe(names)
	}
	r.Visit.Detail = v.detail(detail)
	return r
}

// detail adds to text what else a reader must know.
func (v *visit) detail(text string) string {
	add := func(s string) {
		if text != "" {
			text += "; "
		}
		text += s
	}
	if v.bad != 0 {
		add("malformed " + v.bad.String())
	}
	if v.refused > 0 {
		add(fmt.Sprintf("%d mentions of addresses that may not be contacted", v.refused))
	}
	if v.heard.full {
		add(fmt.Sprintf("named more than %d nodes", maxHeard))
	}
	if text == "" {
		return ""
	}
	return observation.Text(text)
}

// describe names the client and what it speaks.
func (v *visit) describe(names *names) (agent string, protocols []string) {
	agent, raw := names.of(v.version[:v.versionN])
	protocols = make([]string, 1, 5)
	protocols[0] = "krpc"
	if raw != "" {
		protocols = append(protocols, raw)
	}
	switch bep42(&v.peer.ID, v.addr.Addr()) {
	case "valid":
		protocols = append(protocols, "bep42=valid")
	case "invalid":
		protocols = append(protocols, "bep42=invalid")
	default:
		protocols = append(protocols, "bep42=exempt")
	}
	if v.readOnly {
		protocols = append(protocols, "ro")
	}
	if v.ipv6 {
		protocols = append(protocols, "ipv6")
	}
	return agent, v.signs.describe(protocols)
}

// names remembers how versions read, since millions of nodes share a few.
type names struct {
	known map[[maxVersion + 1]byte][2]string
}

// maxNames bounds the memory that invented versions can take.
const maxNames = 4096

// of returns the agent and the raw `v` in hexadecimal.
func (n *names) of(v []byte) (agentName, raw string) {
	if len(v) == 0 {
		return "", ""
	}
	var key [maxVersion + 1]byte
	key[maxVersion] = byte(copy(key[:], v))
	if pair, ok := n.known[key]; ok {
		return pair[0], pair[1]
	}
	pair := [2]string{agent(v), "v=" + hex.EncodeToString(v)}
	if n.known == nil {
		n.known = map[[maxVersion + 1]byte][2]string{}
	}
	if len(n.known) < maxNames {
		n.known[key] = pair
	}
	return pair[0], pair[1]
}
