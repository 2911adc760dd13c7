// Package mainline runs a planned Mainline DHT on loopback: many light nodes
// that share a few sockets, beside real nodes of anacrolix/dht. Linux only,
// since elsewhere most of 127.0.0.0/8 is no loopback address.
package mainline

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"

	"canopy/crawler/mainline/krpc"
	"canopy/crawler/testnet"
)

// Ports of a running plan, counted from its first one.
const (
	lightPorts  = 16 // shared by light and by silent dead nodes; each has a buffer of its own
	realPort    = lightPorts
	refusedPort = lightPorts + 1 // nobody listens
	ports       = lightPorts + 2
)

// DefaultSize is what the demo shows.
func DefaultSize() testnet.Size {
	return testnet.Size{Nodes: 3000, Real: 24, Dead: 0.25, Horizon: 24 * time.Hour}
}

// Population describes the participants: mostly community nodes at home, some
// on rented servers, and two companies that crawl or serve the network from
// clouds.
func Population() testnet.Population {
	return testnet.Population{
		Network: "mainline", K: 8, Port: 21000, Slots: ports, Slot: slot, Identity: identity,
		RealAgent: &testnet.Agent{}, // anacrolix/dht says nothing of itself
		Personas:  personas(),
	}
}

// Agents as clients send them in "v" (BEP 5): two letters and two bytes of
// version in the client's own form, or nothing, as today's Transmission and
// many others.
var (
	libtorrent2 = testnet.Agent{Wire: "LT\x02\x0b", Read: "libtorrent 2.0.11"}
	libtorrent1 = testnet.Agent{Wire: "LT\x01\x2e", Read: "libtorrent 1.2.14"}
	libtorrent0 = testnet.Agent{Wire: "LT\x01\x1d", Read: "libtorrent 1.1.13"}
	utorrent    = testnet.Agent{Wire: "UT\xb4\x2f", Read: "µTorrent 46127"}
	aria2       = testnet.Agent{Wire: "A2\x00\x03", Read: "aria2 DHT 3"}
	rtorrent    = testnet.Agent{Wire: "lt\x0d\x80", Read: "rTorrent libtorrent 0.13.8"}
	invented    = testnet.Agent{Wire: "EX14", Read: "EX14"}
	nameless    = testnet.Agent{}
)

func agents(mix ...testnet.Agent) []testnet.Agent { return mix }

func weighed(a testnet.Agent, weight float64) testnet.Agent {
	a.Weight = weight
	return a
}

func personas() []testnet.Persona {
	home := agents(weighed(libtorrent2, 45), weighed(libtorrent1, 15), weighed(utorrent, 25), weighed(nameless, 15))
	phone := agents(weighed(libtorrent1, 70), weighed(nameless, 30))
	server := agents(weighed(libtorrent2, 30), weighed(nameless, 30), weighed(rtorrent, 25), weighed(aria2, 15))
	fleet := agents(weighed(libtorrent0, 1))
	second := agents(weighed(invented, 1))

	evenings := testnet.Churn{Online: 90 * time.Minute, Offline: 50 * time.Minute}
	shortly := testnet.Churn{Online: 12 * time.Minute, Offline: 25 * time.Minute}
	months := testnet.Churn{}
	arriving := testnet.Churn{Arrival: 0.4}
	const community, company = testnet.Community, testnet.Commercial
	return []testnet.Persona{
		{Name: "university", Land: testnet.CampusCH, Operator: testnet.Institutional, Share: 3, Agents: server, Churn: months},
		{Name: "hobbyist-server", Land: testnet.ServersNL, Operator: community, Share: 7, Agents: server, Churn: months},
		{Name: "hobbyist-cloud", Land: testnet.CloudUS, Operator: community, Share: 3, Agents: server, Churn: months},
		{Name: "company-fleet", Land: testnet.CloudUSTwo, Operator: company, Share: 8, Agents: fleet, Churn: months, Dense: 80},
		{Name: "second-fleet", Land: testnet.CloudSG, Operator: company, Share: 4, Agents: second, Churn: arriving, Dense: 60},
		{Name: "exit", Land: testnet.ExitsSE, Operator: community, Share: 4, Agents: home, Churn: evenings},
		{Name: "home-de", Land: testnet.HomeDE, Operator: community, Share: 11, Agents: home, Churn: evenings},
		{Name: "home-fr", Land: testnet.HomeFR, Operator: community, Share: 10, Agents: home, Churn: evenings},
		{Name: "home-br", Land: testnet.HomeBR, Operator: community, Share: 13, Agents: home, Churn: evenings},
		{Name: "home-in", Land: testnet.HomeIN, Operator: community, Share: 12, Agents: home, Churn: evenings},
		{Name: "home-us", Land: testnet.HomeUS, Operator: community, Share: 9, Agents: home, Churn: evenings},
		{Name: "home-jp", Land: testnet.HomeJP, Operator: community, Share: 5, Agents: home, Churn: evenings},
		{Name: "mobile-id", Land: testnet.MobileID, Operator: community, Share: 6, Agents: phone, Churn: shortly},
		{Name: "mobile-br", Land: testnet.MobileBR, Operator: community, Share: 5, Agents: phone, Churn: shortly},
	}
}

func slot(n testnet.Node) int {
	switch {
	case n.Life == testnet.Refused:
		return refusedPort
	case n.Real:
		return realPort
	}
	return n.Number % lightPorts
}

// identity draws a node ID.
func identity(seed uint64, number int) (testnet.Key, string) {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], seed)
	binary.BigEndian.PutUint64(b[8:], uint64(number))
	sum := sha256.Sum256(b[:])
	var key testnet.Key
	copy(key[:krpc.IDLen], sum[:])
	return key, hex.EncodeToString(key[:krpc.IDLen])
}

func nodeID(k testnet.Key) krpc.ID { return krpc.ID(k[:krpc.IDLen]) }
