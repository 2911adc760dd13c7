package observation

import (
	"net/netip"
	"time"
)

// CheckKind says what a check asked.
type CheckKind string

// The kinds of checks.
const (
	CheckContent CheckKind = "content"     // is this found from a cold start?
	CheckEntry   CheckKind = "entry_point" // does this entry point answer?
	CheckStart   CheckKind = "start"       // does a start at these entry points lead into the network?
)

// Outcomes of checks of content and of starts. Those of entry points are
// outcomes of visits.
const (
	Found    Outcome = "found"     // somebody was named who has it
	NotFound Outcome = "not_found" // the nodes closest to it answered and named nobody
	Entered  Outcome = "entered"   // as many of the closest nodes as a bucket holds answered, half of them at least no entry points
	ShutOut  Outcome = "shut_out"  // fewer did
)

// Check is one answer to whether a network still serves newcomers: to find a
// piece of content, or to enter at all.
type Check struct {
	Network   string    `json:"network"`
	RunID     CrawlID   `json:"run_id"` // of the run that it belongs to
	Kind      CheckKind `json:"kind"`
	Subject   string    `json:"subject"` // info-hash, CID or entry point; of a start, which entry points it had
	Number    uint32    `json:"number"`  // from 0, of checks of the same subject in a run
	Name      string    `json:"name"`    // of the subject, for people
	Source    string    `json:"source"`  // where the list has it from
	Clients   []string  `json:"clients"` // that ship with the entry point
	Vantage   string    `json:"vantage"`
	Scope     string    `json:"scope"`
	Software  string    `json:"software"`
	CheckedAt time.Time `json:"checked_at"`
	Outcome   Outcome   `json:"outcome"`
	Detail    string    `json:"detail"` // passed through Text

	Entries []string       `json:"entries"` // entry points that it began at
	Address netip.AddrPort `json:"address"` // of an entry point, that answered, else last tried
	Agent   string         `json:"agent"`   // of an entry point
	RTT     time.Duration  `json:"rtt_ns"`  // of an entry point
	Named   uint32         `json:"named"`   // distinct peers that an entry point named in one answer

	Search
	Holders []Holders `json:"holders"` // who has the content, or the addresses of an entry point
}

// Search is what one lookup came to that began at entry points only.
type Search struct {
	Took     time.Duration `json:"took_ns"`
	First    time.Duration `json:"first_ns"` // until somebody was named who has it; zero: nobody was
	Queries  uint32        `json:"queries"`  // sent, resends included
	Hops     uint32        `json:"hops"`     // requests one after the other up to the first that named somebody, else to the closest node
	Answered uint32        `json:"answered"` // nodes that answered, entry points left out
	Closest  uint32        `json:"closest"`  // of the k closest, that answered
	K        uint32        `json:"k"`
	Namers   uint32        `json:"namers"`   // nodes that named somebody who has it
	Found    uint32        `json:"found"`    // distinct ones who have it
	Cut      bool          `json:"cut"`      // more were named than are believed, or than may be asked
	Seeds    float64       `json:"seeds"`    // estimated from Bloom filters (BEP 33)
	Leechers float64       `json:"leechers"` // the same
	Filters  uint32        `json:"filters"`  // nodes whose filters the estimates are made of; none: there are no estimates
	Full     uint32        `json:"full"`     // filters left out because they hold more than they can count
}

// Holders are peers that stand on the same land. Of people who share content
// nothing more is kept than how many; who announces to everybody that it
// provides content, and an entry point, is a row of its own.
type Holders struct {
	PeerID string `json:"peer_id,omitempty"`
	Agent  string `json:"agent,omitempty"`
	Facts  Facts  `json:"facts"`
	Count  uint32 `json:"count"`
}

// Holder is one who has a piece of content, as a lookup heard of it.
type Holder struct {
	PeerID  string     // empty where the network names addresses only
	Address netip.Addr // invalid if none is known that may be kept
}
