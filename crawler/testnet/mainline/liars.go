package mainline

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"

	"canopy/crawler/mainline/krpc"
)

// Lie is how a node deceives about who it is.
type Lie string

// The lies that liars tell.
const (
	Cloned   Lie = "cloned"   // one ID at many endpoints
	Stacked  Lie = "stacked"  // many IDs at one endpoint
	Packed   Lie = "packed"   // more IDs in one /24 than it has addresses
	Crowded  Lie = "crowded"  // IDs crowded around a key
	Stranger Lie = "stranger" // answers as somebody else each time
)

// Liar is one identity that is no sign of one peer.
type Liar struct {
	Lie  Lie
	ID   krpc.ID
	Addr netip.AddrPort
}

// Liars are hostile nodes beside a planned network. They name each other only.
type Liars struct {
	All []Liar // the truth

	conn *net.UDPConn
	at   map[netip.Addr][]int // indices into All
	next int
	wait sync.WaitGroup
}

// How many tell each lie.
const (
	clones      = 40
	stack       = 60
	packWidth   = 100 // endpoints
	packDepth   = 3   // IDs at each of them
	crowd       = 20
	crowdedBits = 40 // that they share with the key
	strangers   = 30
)

// StartLiars brings up one of each kind of fraud at a free port, on loopback
// addresses that no plan uses. The same seed gives the same IDs. ctx bounds the
// start.
func StartLiars(ctx context.Context, seed uint64) (*Liars, error) {
	conn, err := listen(ctx, 0)
	if err != nil {
		return nil, fmt.Errorf("start liars: %w", err)
	}
	l := &Liars{conn: conn, at: map[netip.Addr][]int{}}
	l.plan(conn.LocalAddr().(*net.UDPAddr).AddrPort().Port(), rand.New(rand.NewPCG(seed, seed)))
	l.wait.Go(l.run)
	return l, nil
}

// Close stops them.
func (l *Liars) Close() error {
	err := l.conn.Close()
	l.wait.Wait()
	return err
}

// Bootstrap is an entry point among them, as IP and port.
func (l *Liars) Bootstrap() string { return l.All[0].Addr.String() }

func (l *Liars) plan(port uint16, rng *rand.Rand) {
	add := func(lie Lie, id krpc.ID, second, third, last int) {
		a := netip.AddrFrom4([4]byte{127, byte(second), byte(third), byte(last)})
		l.at[a] = append(l.at[a], len(l.All))
		l.All = append(l.All, Liar{lie, id, netip.AddrPortFrom(a, port)})
	}
	clone, key := drawn(rng), drawn(rng)
	for i := range clones {
		add(Cloned, clone, 224, i, 1)
	}
	for range stack {
		add(Stacked, drawn(rng), 225, 0, 1)
	}
	for i := range packWidth * packDepth {
		add(Packed, drawn(rng), 226, 0, 1+i/packDepth)
	}
	for i := range crowd {
		id := drawn(rng)
		copy(id[:crowdedBits/8], key[:])
		add(Crowded, id, 227, i, 1)
	}
	for i := range strangers {
		add(Stranger, drawn(rng), 228, i, 1)
	}
}

func drawn(rng *rand.Rand) (id krpc.ID) {
	for i := 0; i < len(id); i += 4 {
		binary.BigEndian.PutUint32(id[i:], rng.Uint32())
	}
	return id
}

func (l *Liars) run() {
	var message krpc.Message
	packet, oob, sender := make([]byte, 2048), make([]byte, oobSize), newOrigin()
	for {
		n, oobn, _, from, err := l.conn.ReadMsgUDPAddrPort(packet, oob)
		if err != nil {
			return // closed; an unconnected socket has no other errors
		}
		to, ok := destination(oob[:oobn])
		if !ok || !from.Addr().Unmap().IsLoopback() || krpc.Decode(packet[:n], &message) != nil || message.Kind != krpc.Query {
			continue
		}
		who, ok := l.speaker(to, &message)
		if !ok {
			continue
		}
		a := krpc.Answer{ID: who.ID, IP: from, Nodes: l.others()}
		if who.Lie == Stranger {
			a.ID = drawn(rand.New(rand.NewPCG(rand.Uint64(), 0)))
		}
		_, _, _ = l.conn.WriteMsgUDPAddrPort(a.Append(nil, message.TID), sender.from(to), from) // a lost packet is asked for again
	}
}

// speaker is who answers at an address: of several the one whose ID has most
// bits in common with what is asked for, since askers ask for IDs like its own.
func (l *Liars) speaker(at netip.Addr, m *krpc.Message) (who Liar, ok bool) {
	goal, _ := m.Goal()
	least := 8*krpc.IDLen + 1
	for _, i := range l.at[at] {
		differ := 0
		for j, b := range l.All[i].ID {
			differ += bits.OnesCount8(b ^ goal[j])
		}
		if differ < least {
			who, least, ok = l.All[i], differ, true
		}
	}
	return who, ok
}

// others are the next few liars, so that in the end all are named.
func (l *Liars) others() (nodes []byte) {
	for range 8 {
		liar := l.All[l.next%len(l.All)]
		l.next++
		nodes = krpc.AppendNode(nodes, krpc.Node{ID: liar.ID, Addr: liar.Addr})
	}
	return nodes
}
