// Package ipfs runs a planned IPFS DHT on loopback: real hosts of go-libp2p
// and go-libp2p-kad-dht, all in this process. Linux only, since elsewhere most
// of 127.0.0.0/8 is no loopback address.
package ipfs

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	kbucket "github.com/libp2p/go-libp2p-kbucket"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"canopy/crawler/testnet"
)

// Ports of a running plan, counted from its first one. Every host listens at
// the first, on its own address; refused dead nodes would stand there too.
const (
	hostPort = iota
	silentPort
	ports
)

// bucketSize is K of the IPFS DHT.
const bucketSize = 20

// DefaultSize is what the demo shows.
func DefaultSize() testnet.Size {
	return testnet.Size{Nodes: 220, Dead: 0.2, Horizon: 24 * time.Hour}
}

// Population describes the participants: many of them stand in clouds, run by
// companies and by hobbyists.
func Population() testnet.Population {
	return testnet.Population{
		Network: "ipfs", K: bucketSize, Port: 24000, Slots: ports, Slot: slot, Identity: identity,
		AllReal: true, Personas: personas(),
	}
}

// named is a client whose name is recorded as it is sent.
func named(agent string, weight float64) testnet.Agent {
	return testnet.Agent{Wire: agent, Read: agent, Weight: weight}
}

func personas() []testnet.Persona {
	home := []testnet.Agent{named("kubo/0.42.0/desktop", 50), named("kubo/0.43.0/", 25), named("js-libp2p/3.0.2 UserAgent=v22.14.0", 15), named("kubo/0.39.0/desktop", 10)}
	phone := []testnet.Agent{named("kubo/0.40.1/", 60), named("js-libp2p/2.10.0 UserAgent=v22.14.0", 40)}
	server := []testnet.Agent{named("kubo/0.43.0/", 40), named("kubo/0.42.0/docker", 30), named("kubo/0.37.0/", 20), named("rust-libp2p/0.46.1", 10)}
	fleet := []testnet.Agent{named("example-pinning/1.4.2", 1)}
	second := []testnet.Agent{named("kubo/0.41.0/example-gateway", 1)}

	evenings := testnet.Churn{Online: 2 * time.Hour, Offline: 50 * time.Minute}
	shortly := testnet.Churn{Online: 15 * time.Minute, Offline: 25 * time.Minute}
	months := testnet.Churn{}
	arriving := testnet.Churn{Arrival: 0.4}
	const community, company = testnet.Community, testnet.Commercial
	return []testnet.Persona{
		{Name: "university", Land: testnet.CampusCH, Operator: testnet.Institutional, Share: 5, Agents: server, Churn: months},
		{Name: "hobbyist-server", Land: testnet.ServersNL, Operator: community, Share: 12, Agents: server, Churn: months},
		{Name: "hobbyist-cloud", Land: testnet.CloudUS, Operator: community, Share: 6, Agents: server, Churn: months},
		{Name: "company-fleet", Land: testnet.CloudUSTwo, Operator: company, Share: 22, Agents: fleet, Churn: months, Dense: 16},
		{Name: "second-fleet", Land: testnet.CloudSG, Operator: company, Share: 8, Agents: second, Churn: arriving, Dense: 10},
		{Name: "exit", Land: testnet.ExitsSE, Operator: community, Share: 4, Agents: home, Churn: evenings},
		{Name: "home-de", Land: testnet.HomeDE, Operator: community, Share: 10, Agents: home, Churn: evenings},
		{Name: "home-fr", Land: testnet.HomeFR, Operator: community, Share: 7, Agents: home, Churn: evenings},
		{Name: "home-br", Land: testnet.HomeBR, Operator: community, Share: 6, Agents: home, Churn: evenings},
		{Name: "home-in", Land: testnet.HomeIN, Operator: community, Share: 5, Agents: home, Churn: evenings},
		{Name: "home-us", Land: testnet.HomeUS, Operator: community, Share: 11, Agents: home, Churn: evenings},
		{Name: "mobile-id", Land: testnet.MobileID, Operator: community, Share: 4, Agents: phone, Churn: shortly},
	}
}

func slot(n testnet.Node) int {
	if n.Life == testnet.Silent {
		return silentPort
	}
	return hostPort
}

// identity derives an Ed25519 key and from it the peer ID; keys of the DHT are
// SHA-256 of the ID.
func identity(seed uint64, number int) (testnet.Key, string) {
	private, err := privateKey(seed, number)
	if err != nil {
		panic(fmt.Sprintf("make Ed25519 key: %v", err)) // the key has the right length by construction
	}
	id, err := peer.IDFromPrivateKey(private)
	if err != nil {
		panic(fmt.Sprintf("make peer ID: %v", err))
	}
	return testnet.Key(kbucket.ConvertPeerID(id)), id.String()
}

func privateKey(seed uint64, number int) (crypto.PrivKey, error) {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], seed)
	binary.BigEndian.PutUint64(b[8:], uint64(number))
	sum := sha256.Sum256(b[:])
	return crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(sum[:]))
}
