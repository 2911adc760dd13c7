package krpc

import (
	"encoding/binary"
	"net/netip"
	"strconv"
)

// Ask is what every query says beside its method and goal.
type Ask struct {
	ID       ID     // of the sender
	Version  []byte // `v`, left out when empty
	ReadOnly bool   // BEP 43
	Want     Want   // families asked for; left out when zero (BEP 32)
}

// AppendPing appends a ping.
func (a *Ask) AppendPing(b, tid []byte) []byte {
	return a.finish(append(a.begin(b), 'e'), tid, "ping")
}

// AppendFindNode appends a find_node. It says its target twice, as `target`
// (BEP 5) and as `info_hash`, which anacrolix/dht answers from.
func (a *Ask) AppendFindNode(b, tid []byte, target *ID) []byte {
	b = a.begin(b)
	b = append(b, "9:info_hash20:"...)
	b = append(b, target[:]...)
	b = append(b, "6:target20:"...)
	b = append(b, target[:]...)
	return a.finish(append(a.want(b), 'e'), tid, "find_node")
}

// AppendGetPeers appends a get_peers; scrape asks for the Bloom filters of
// BEP 33.
func (a *Ask) AppendGetPeers(b, tid []byte, infoHash *ID, scrape bool) []byte {
	b = a.begin(b)
	b = append(b, "9:info_hash20:"...)
	b = append(b, infoHash[:]...)
	if scrape {
		b = append(b, "6:scrapei1e"...)
	}
	return a.finish(append(a.want(b), 'e'), tid, "get_peers")
}

// AppendSampleInfohashes appends a sample_infohashes (BEP 51).
func (a *Ask) AppendSampleInfohashes(b, tid []byte, target *ID) []byte {
	b = a.begin(b)
	b = append(b, "6:target20:"...)
	b = append(b, target[:]...)
	return a.finish(append(a.want(b), 'e'), tid, "sample_infohashes")
}

func (a *Ask) begin(b []byte) []byte {
	b = append(b, "d1:ad2:id20:"...)
	return append(b, a.ID[:]...)
}

func (a *Ask) want(b []byte) []byte {
	switch a.Want {
	case WantNodes:
		return append(b, "4:wantl2:n4e"...)
	case WantNodes6:
		return append(b, "4:wantl2:n6e"...)
	case WantNodes | WantNodes6:
		return append(b, "4:wantl2:n42:n6e"...)
	}
	return b
}

func (a *Ask) finish(b, tid []byte, method string) []byte {
	b = append(b, "1:q"...)
	b = strconv.AppendInt(b, int64(len(method)), 10)
	b = append(b, ':')
	b = append(b, method...)
	if a.ReadOnly {
		b = append(b, "2:roi1e"...)
	}
	return appendTail(b, tid, a.Version, Query)
}

// Answer is a response. What is nil or zero is left out, ID excepted.
type Answer struct {
	ID       ID             // of the sender
	Version  []byte         // `v`
	IP       netip.AddrPort // `ip`: the one who asked, as the sender sees it (BEP 42)
	ReadOnly bool
	Nodes    []byte // compact, made with AppendNode; not nil but empty is sent as an empty string
	Nodes6   []byte
	Token    []byte
	Values   []netip.AddrPort
	Samples  []byte // whole info-hashes (BEP 51); not nil but empty is sent, together with Num and Interval
	Num      int64
	Interval int64
	Seeds    []byte // BFsd (BEP 33)
	Peers    []byte // BFpe (BEP 33)
}

// Append appends the response to the query tid.
func (a *Answer) Append(b, tid []byte) []byte {
	b = append(b, 'd')
	if a.IP.IsValid() {
		b = append(b, "2:ip"...)
		b = appendEndpoint(b, a.IP)
	}
	b = append(b, "1:rd"...)
	b = appendString(b, "4:BFpe", a.Peers)
	b = appendString(b, "4:BFsd", a.Seeds)
	b = append(b, "2:id20:"...)
	b = append(b, a.ID[:]...)
	if a.Samples != nil {
		b = appendInt(b, "8:interval", a.Interval)
	}
	b = appendString(b, "5:nodes", a.Nodes)
	b = appendString(b, "6:nodes6", a.Nodes6)
	if a.Samples != nil {
		b = appendInt(b, "3:num", a.Num)
	}
	b = appendString(b, "7:samples", a.Samples)
	b = appendString(b, "5:token", a.Token)
	if a.Values != nil {
		b = append(b, "6:valuesl"...)
		for _, v := range a.Values {
			b = appendEndpoint(b, v)
		}
		b = append(b, 'e')
	}
	b = append(b, 'e')
	if a.ReadOnly {
		b = append(b, "2:roi1e"...)
	}
	return appendTail(b, tid, a.Version, Response)
}

// AppendError appends an error that answers the query tid.
func AppendError(b, tid, version []byte, code int, text string) []byte {
	b = append(b, "d1:eli"...)
	b = strconv.AppendInt(b, int64(code), 10)
	b = append(b, 'e')
	b = strconv.AppendInt(b, int64(len(text)), 10)
	b = append(b, ':')
	b = append(b, text...)
	b = append(b, 'e')
	return appendTail(b, tid, version, Error)
}

// AppendNode appends a compact node: 26 bytes for an IPv4 address, an IPv4
// address mapped into IPv6 included, 38 for IPv6.
func AppendNode(b []byte, n Node) []byte {
	return appendAddrPort(append(b, n.ID[:]...), n.Addr)
}

// AppendNode6 appends 38 bytes whatever the address: IPv4 is mapped into IPv6.
func AppendNode6(b []byte, n Node) []byte {
	b = append(b, n.ID[:]...)
	addr := n.Addr.Addr().As16()
	b = append(b, addr[:]...)
	return binary.BigEndian.AppendUint16(b, n.Addr.Port())
}

func appendAddrPort(b []byte, a netip.AddrPort) []byte {
	if addr := a.Addr().Unmap(); addr.Is4() {
		v4 := addr.As4()
		b = append(b, v4[:]...)
	} else {
		v6 := addr.As16()
		b = append(b, v6[:]...)
	}
	return binary.BigEndian.AppendUint16(b, a.Port())
}

func appendEndpoint(b []byte, a netip.AddrPort) []byte {
	if a.Addr().Unmap().Is4() {
		b = append(b, "6:"...)
	} else {
		b = append(b, "18:"...)
	}
	return appendAddrPort(b, a)
}

// appendString appends key and value, or nothing when the value is nil.
func appendString(b []byte, key string, value []byte) []byte {
	if value == nil {
		return b
	}
	b = append(b, key...)
	b = strconv.AppendInt(b, int64(len(value)), 10)
	b = append(b, ':')
	return append(b, value...)
}

func appendInt(b []byte, key string, n int64) []byte {
	b = append(b, key...)
	b = append(b, 'i')
	b = strconv.AppendInt(b, n, 10)
	return append(b, 'e')
}

// appendTail appends what follows the body in every message.
func appendTail(b, tid, version []byte, kind Kind) []byte {
	b = append(b, "1:t"...)
	b = strconv.AppendInt(b, int64(len(tid)), 10)
	b = append(b, ':')
	b = append(b, tid...)
	if len(version) > 0 {
		b = appendString(b, "1:v", version)
	}
	b = append(b, "1:y1:"...)
	return append(b, byte(kind), 'e')
}
