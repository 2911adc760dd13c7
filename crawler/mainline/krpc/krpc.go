// Package krpc is the wire codec of the Mainline DHT: KRPC messages in bencode
// (BEP 5), with IPv6 (BEP 32), scrapes (BEP 33), node IDs bound to addresses
// (BEP 42, the `ip` field), read-only nodes (BEP 43) and indexing (BEP 51).
//
// It has no sockets and no goroutines and does not allocate: encoders append
// to a slice, and [Decode] fills a [Message] whose byte slices are views into
// the packet, valid as long as the packet is.
package krpc

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
)

// MaxPacket is the largest packet, in bytes, that [Decode] looks at: what a
// UDP datagram can hold.
const MaxPacket = 65535

// Lengths, in bytes, of an ID and of compact forms.
const (
	IDLen    = 20
	Node4Len = IDLen + 4 + 2  // BEP 5: ID, IPv4 address, port
	Node6Len = IDLen + 16 + 2 // BEP 32: ID, IPv6 address, port
)

// ID is a node ID or an info-hash.
type ID [IDLen]byte

// ParseID reads 40 hexadecimal digits.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != 2*IDLen {
		return id, fmt.Errorf("parse ID %q: want %d hexadecimal digits", s, 2*IDLen)
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil {
		return id, fmt.Errorf("parse ID %q: %w", s, err)
	}
	return id, nil
}

// String writes the ID as 40 hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Kind is what a message is: its `y`.
type Kind byte

// The kinds of message. The zero Kind is a message whose `y` is missing or
// unknown.
const (
	Query    Kind = 'q'
	Response Kind = 'r'
	Error    Kind = 'e'
)

// Method is the `q` of a query.
type Method uint8

// The methods that are known by name. UnknownMethod is any other; see
// Message.MethodName.
const (
	UnknownMethod Method = iota
	Ping
	FindNode
	GetPeers
	AnnouncePeer
	SampleInfohashes
)

// String returns the name on the wire.
func (m Method) String() string {
	switch m {
	case Ping:
		return "ping"
	case FindNode:
		return "find_node"
	case GetPeers:
		return "get_peers"
	case AnnouncePeer:
		return "announce_peer"
	case SampleInfohashes:
		return "sample_infohashes"
	}
	return "unknown"
}

// Want is the set of address families asked for (BEP 32).
type Want uint8

// The families of Want.
const (
	WantNodes  Want = 1 << iota // n4
	WantNodes6                  // n6
)

// Error codes of BEP 5.
const (
	CodeGeneric       = 201
	CodeServer        = 202
	CodeProtocol      = 203
	CodeMethodUnknown = 204
)

// Field names one field of a message, and, as a set, several.
type Field uint32

// The fields that [Decode] knows.
const (
	FieldTransaction Field = 1 << iota
	FieldKind
	FieldMethod
	FieldBody // `a` of a query, `r` of a response, `e` of an error
	FieldVersion
	FieldIP
	FieldReadOnly
	FieldID
	FieldTarget
	FieldInfoHash
	FieldNodes
	FieldNodes6
	FieldToken
	FieldValues
	FieldSamples
	FieldNum
	FieldInterval
	FieldPort
	FieldImpliedPort
	FieldWant
	FieldScrape
	FieldSeeds     // BFsd, the Bloom filter of seeds (BEP 33)
	FieldPeers     // BFpe, the Bloom filter of downloaders (BEP 33)
	FieldTrailing  // bytes after the message
	FieldDuplicate // a key that came twice; the first one counts
	fieldEnd
)

var fieldNames = [...]string{
	"t", "y", "q", "body", "v", "ip", "ro", "id", "target", "info_hash", "nodes", "nodes6", "token", "values", "samples",
	"num", "interval", "port", "implied_port", "want", "scrape", "BFsd", "BFpe", "trailing bytes", "duplicate key",
}

// String lists the names of the fields, separated by commas.
func (f Field) String() string {
	var s string
	for i, name := range fieldNames {
		if f&(1<<i) == 0 {
			continue
		}
		if s != "" {
			s += ", "
		}
		s += name
	}
	return s
}

// Message is one decoded message. Which fields it had is in Fields; a field
// that had the wrong type, length or value is in Bad, and what could be read
// of it is kept. Slices are views into the packet.
type Message struct {
	Kind     Kind
	Fields   Field
	Bad      Field
	ReadOnly bool   // BEP 43
	TID      []byte // transaction, chosen by the one who asks
	Version  []byte // `v`: client and version, four bytes by custom
	IP       []byte // `ip`: address and port of the receiver as the sender sees it (BEP 42); see Endpoint

	Method      Method // of a query
	MethodName  []byte
	Want        Want
	Scrape      bool
	ImpliedPort bool
	Port        uint16

	ID       ID // of the sender
	Target   ID
	InfoHash ID

	Nodes    Nodes
	Nodes6   Nodes6
	Token    []byte
	Values   Values
	Samples  []byte // whole info-hashes (BEP 51)
	Num      int64  // info-hashes the node holds (BEP 51)
	Interval int64  // seconds until other samples may be asked for (BEP 51)
	Seeds    []byte // BFsd (BEP 33), 256 bytes
	Peers    []byte // BFpe (BEP 33), 256 bytes

	Code int64  // of an error
	Text []byte // of an error
}

// Has tells whether all of the fields were there and good.
func (m *Message) Has(f Field) bool { return m.Fields&^m.Bad&f == f }

// Goal returns what a query is about: `target`, or `info_hash` where a client
// asks with that.
func (m *Message) Goal() (ID, bool) {
	if m.Has(FieldTarget) {
		return m.Target, true
	}
	return m.InfoHash, m.Has(FieldInfoHash)
}

// Endpoint reads 6 or 18 bytes, address and port, the form of `ip` and of the
// items of `values`. An IPv4 address mapped into IPv6 is unmapped.
func Endpoint(compact []byte) (netip.AddrPort, bool) {
	switch len(compact) {
	case 6:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(compact)), binary.BigEndian.Uint16(compact[4:])), true
	case 18:
		return netip.AddrPortFrom(netip.AddrFrom16([16]byte(compact)).Unmap(), binary.BigEndian.Uint16(compact[16:])), true
	}
	return netip.AddrPort{}, false
}

// Node is one entry of a routing table.
type Node struct {
	ID   ID
	Addr netip.AddrPort
}

// Nodes is a list of compact IPv4 nodes, whole entries only.
type Nodes []byte

// Len returns the number of entries.
func (n Nodes) Len() int { return len(n) / Node4Len }

// At returns entry i.
func (n Nodes) At(i int) Node {
	b := n[i*Node4Len : (i+1)*Node4Len]
	addr, _ := Endpoint(b[IDLen:])
	return Node{ID(b[:IDLen]), addr}
}

// Nodes6 is a list of compact IPv6 nodes, whole entries only.
type Nodes6 []byte

// Len returns the number of entries.
func (n Nodes6) Len() int { return len(n) / Node6Len }

// At returns entry i. An IPv4 address mapped into IPv6, as anacrolix/dht
// sends, is unmapped.
func (n Nodes6) At(i int) Node {
	b := n[i*Node6Len : (i+1)*Node6Len]
	addr, _ := Endpoint(b[IDLen:])
	return Node{ID(b[:IDLen]), addr}
}

// Values is the `values` of a reply to get_peers: bencoded strings.
type Values []byte

// Next takes the first endpoint off the list, passing over what is none. ok is
// false at the end.
func (v *Values) Next() (addr netip.AddrPort, ok bool) {
	s := scanner{b: *v}
	for s.pos < len(s.b) && !ok {
		item, good := s.str()
		if !good {
			if !s.skip(maxDepth) {
				s.pos = len(s.b)
			}
			continue
		}
		addr, ok = Endpoint(item)
	}
	*v = s.b[s.pos:]
	return addr, ok
}
