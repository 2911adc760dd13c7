package ipfs

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"canopy/crawler/observation"
)

// Checker asks what a newcomer asks: whether an entry point answers, whether it
// leads into the network, and who provides the content of a CID. It remembers
// nobody: every search begins at the entry points it is given.
type Checker struct {
	w     *Walker
	start sync.Once
	ctx   context.Context
	stop  context.CancelFunc
}

// NewChecker checks cfg and makes a checker with a fresh identity. It contacts
// nobody; of Bootstrap it takes no notice.
func NewChecker(cfg Config) (*Checker, error) {
	cfg.Bootstrap = DefaultBootstrap() // which New wants to see, and nobody asks
	w, err := New(cfg)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	return &Checker{w: w, ctx: ctx, stop: stop}, nil
}

// Close frees the sockets.
func (c *Checker) Close() error {
	c.stop()
	return c.w.Close()
}

// Network describes the DHT that is asked.
func (c *Checker) Network() observation.Network { return c.w.Network() }

// ParseEntry reads an entry point, a multiaddr that ends in /p2p/ and a peer
// ID, and writes it as libp2p does, with the ID in base58.
func (c *Checker) ParseEntry(text string) (string, error) {
	s, err := parseSeed(text)
	if err != nil {
		return "", err
	}
	return s.String(), nil
}

// ParseContent reads a CID in any base, and writes one of version 0 in base58,
// any other in base32.
func (c *Checker) ParseContent(id string) (string, error) {
	parsed, err := readCID(id)
	if err != nil {
		return "", err
	}
	return parsed.String(), nil
}

// maxRecordKey is how long a key servers of the DHT accept, in bytes.
const maxRecordKey = 80

// recordKey is what provider records of a CID are kept under: its multihash,
// whatever the codec.
func recordKey(id string) ([]byte, error) {
	parsed, err := readCID(id)
	if err != nil {
		return nil, err
	}
	return parsed.Hash(), nil
}

// readCID reads the CID of content that the DHT can hold a record of.
func readCID(id string) (cid.Cid, error) {
	parsed, err := cid.Decode(id)
	if err != nil {
		return cid.Undef, fmt.Errorf("read CID %q: %w", observation.Text(id), err)
	}
	if len(parsed.Hash()) > maxRecordKey {
		return cid.Undef, fmt.Errorf("read CID %q: a hash of %d bytes is too long for the DHT", observation.Text(id), len(parsed.Hash()))
	}
	return parsed, nil
}

// randomKey is the key of content that nobody has.
func randomKey() ([]byte, error) {
	digest := make([]byte, 32)
	_, _ = rand.Read(digest) // never fails since Go 1.24
	key, err := multihash.Encode(digest, multihash.SHA2_256)
	if err != nil {
		return nil, fmt.Errorf("make random key: %w", err)
	}
	return key, nil
}

// watch measures how busy this machine is, from the first question on.
func (c *Checker) watch() { c.start.Do(func() { go c.w.load.watch(c.ctx) }) }

// fresh is a walker with the same sockets that knows nobody.
func (c *Checker) fresh() *Walker {
	c.watch()
	w := *c.w
	w.book = newBook(w.mayDial)
	return &w
}

// Knock asks an entry point for peers near a random key. An error means that
// trouble of this machine hides whether it is there, or that ctx ended.
func (c *Checker) Knock(ctx context.Context, entry string) (observation.Check, []observation.Holder, error) {
	check := observation.Check{CheckedAt: time.Now()}
	s, err := parseSeed(entry)
	if err != nil {
		return check, nil, err
	}
	key, err := randomKey()
	if err != nil {
		return check, nil, err
	}
	g := newGathering(c.fresh(), key)
	v, said, err := g.ask(ctx, s.peer, s.addr)
	visit := &v.result.Visit
	check.Outcome, check.Detail, check.Address, check.Agent, check.RTT = visit.Outcome, visit.Detail, visit.Address, visit.Agent, visit.RTT
	check.Queries, check.Named, check.Took = visit.Queries, uint32(len(said.closer)), time.Since(check.CheckedAt)
	holder := observation.Holder{PeerID: s.peer.String(), Address: visit.Address.Addr()}
	return check, []observation.Holder{holder}, err
}

// Start enters at the given entry points and looks up a random key.
func (c *Checker) Start(ctx context.Context, entries []string) (observation.Search, error) {
	key, err := randomKey()
	if err != nil {
		return observation.Search{}, err
	}
	s, _, err := c.search(ctx, entries, key)
	return s, err
}

// Find enters at the given entry points and looks for who provides the content
// of a CID. What was found before an error, or before ctx ended, is returned
// with the error.
func (c *Checker) Find(ctx context.Context, entries []string, id string) (observation.Search, []observation.Holder, error) {
	key, err := recordKey(id)
	if err != nil {
		return observation.Search{}, nil, err
	}
	return c.search(ctx, entries, key)
}

func (c *Checker) search(ctx context.Context, entries []string, key []byte) (observation.Search, []observation.Holder, error) {
	g := newGathering(c.fresh(), key)
	for _, entry := range entries {
		s, err := parseSeed(entry)
		if err != nil {
			return g.sum(), nil, err
		}
		g.w.book.learn([]byte(s.peer), [][]byte{s.addr.Bytes()})
		g.entries[s.peer] = true
		g.add(s.peer, 0)
	}
	err := g.run(ctx)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return g.sum(), g.holders(), err
}
