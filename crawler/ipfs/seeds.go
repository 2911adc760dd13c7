package ipfs

import (
	"context"
	"fmt"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"canopy/crawler/observation"
)

// seed is one parsed entry point.
type seed struct {
	peer Peer
	addr multiaddr.Multiaddr
	text string
}

func parseSeed(text string) (seed, error) {
	m, err := multiaddr.NewMultiaddr(text)
	if err != nil {
		return seed{}, fmt.Errorf("parse bootstrap address %q: %w", text, err)
	}
	base, id := peer.SplitAddr(m)
	if id == "" {
		return seed{}, fmt.Errorf("parse bootstrap address %q: it must end in /p2p/ and a peer ID", text)
	}
	return seed{id, base, text}, nil
}

// Seeds visits the bootstrap peers and returns all of them once it is proven
// that one at least answers in the protocol that is walked. Otherwise the
// error says of each what was wrong.
func (w *Walker) Seeds(ctx context.Context) ([]Peer, error) {
	var peers []Peer
	texts := make(map[Peer]string)
	for _, s := range w.seeds {
		w.book.learn([]byte(s.peer), [][]byte{s.addr.Bytes()})
		if texts[s.peer] == "" {
			peers = append(peers, s.peer)
			texts[s.peer] = s.text
		}
	}
	visiting, stop := context.WithCancel(ctx)
	defer stop()
	targets := make(chan []Peer, 1)
	results := make(chan []observation.Result[Peer], len(peers))
	targets <- peers
	close(targets)
	walked := make(chan error, 1)
	walk := newWalk(w, results)
	walk.once = true
	go func() { walked <- walk.run(visiting, targets) }()
	var wrong []string
	for len(wrong) < len(peers) {
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("find a bootstrap peer: %w", context.Cause(ctx))
		case err := <-walked:
			if err != nil {
				return nil, fmt.Errorf("find a bootstrap peer: %w", err)
			}
			walked = nil
		case batch := <-results:
			for _, r := range batch {
				if r.Visit.Outcome == observation.Answered {
					return peers, nil
				}
				wrong = append(wrong, reason(texts[r.Peer], r.Visit))
			}
		}
	}
	return nil, fmt.Errorf("find a bootstrap peer: none of %d answered: %s", len(peers), strings.Join(wrong, "; "))
}

// reason says in a few words why an entry point could not be used.
func reason(text string, v observation.Visit) string {
	why := strings.ReplaceAll(string(v.Outcome), "_", " ")
	if v.Detail != "" {
		why += " (" + v.Detail + ")"
	}
	return text + ": " + why
}
