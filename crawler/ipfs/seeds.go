package ipfs

import (
	"context"
	"fmt"
	"strings"
	"time"

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

// String writes the entry point with the peer ID in base58.
func (s seed) String() string { return s.addr.String() + "/p2p/" + s.peer.String() }

func parseSeed(text string) (seed, error) {
	m, err := multiaddr.NewMultiaddr(text)
	if err != nil {
		return seed{}, fmt.Errorf("parse bootstrap address %q: %w", text, err)
	}
	base, id := peer.SplitAddr(m)
	if id == "" {
		return seed{}, fmt.Errorf("parse bootstrap address %q: it must end in /p2p/ and a peer ID", text)
	}
	if len(base) == 0 {
		return seed{}, fmt.Errorf("parse bootstrap address %q: it names a peer and not where it is, as /ip4/ADDRESS/tcp/PORT does before /p2p/", text)
	}
	return seed{id, base, text}, nil
}

// Seeds visits the bootstrap peers and returns all of them once it is proven
// that one at least answers in the protocol that is walked. Otherwise the
// error says of each what was wrong.
func (w *Walker) Seeds(ctx context.Context) ([]Peer, error) {
	var peers []Peer
	var ours []string
	texts := make(map[Peer]string)
	w.aside = nil
	for _, s := range w.seeds {
		if s.peer == w.identity.self {
			ours = append(ours, s.text+": "+ownID)
			w.aside = append(w.aside, fmt.Sprintf("The entry point %s was set aside: %s.", observation.Text(s.text), ownID))
			continue
		}
		w.book.learn([]byte(s.peer), [][]byte{s.addr.Bytes()})
		if texts[s.peer] == "" {
			peers = append(peers, s.peer)
			texts[s.peer] = s.text
		}
	}
	if len(peers) == 0 {
		return nil, fmt.Errorf("find a bootstrap peer: none is a peer: %s", list(ours))
	}
	for round := 1; ; round++ {
		wrong, again, err := w.visitSeeds(ctx, peers, texts)
		if err != nil {
			return nil, fmt.Errorf("find a bootstrap peer: %w", err)
		}
		if wrong == nil {
			return peers, nil
		}
		if !again || round == seedRounds {
			return nil, fmt.Errorf("find a bootstrap peer: none of %d answered: %s", len(peers), list(append(wrong, ours...)))
		}
		select { // js-libp2p turns away who comes more than 5 times in a second
		case <-ctx.Done():
			return nil, fmt.Errorf("find a bootstrap peer: %w", context.Cause(ctx))
		case <-time.After(seedPause):
		}
	}
}

// Remember adds peers that answered not long ago to the seeds, so that a crawl
// can begin where every known entry point is gone. Each address ends in /p2p/
// and the peer's ID; what can't be read is passed over, since it was said by
// others.
func (w *Walker) Remember(addrs []string) {
	for _, text := range addrs {
		if s, err := parseSeed(text); err == nil {
			w.seeds = append(w.seeds, s)
		}
	}
}

const (
	seedRounds = 2
	seedPause  = 2 * time.Second
)

// visitSeeds visits the peers until one answers, and then returns nil. If none
// does it says what was wrong with each, and whether another try may help.
func (w *Walker) visitSeeds(ctx context.Context, peers []Peer, texts map[Peer]string) (wrong []string, again bool, err error) {
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
	for len(wrong) < len(peers) {
		select {
		case <-ctx.Done():
			return nil, false, context.Cause(ctx)
		case err := <-walked:
			if err != nil {
				return nil, false, err
			}
			walked = nil
		case batch := <-results:
			for _, r := range batch {
				if r.Visit.Outcome == observation.Answered {
					return nil, false, nil
				}
				wrong = append(wrong, reason(texts[r.Peer], r.Visit))
				again = again || r.Visit.Outcome.Retryable()
			}
		}
	}
	return wrong, again, nil
}

// list joins the first few reasons: remembered peers are many.
func list(reasons []string) string {
	const most = 8
	if len(reasons) <= most {
		return strings.Join(reasons, "; ")
	}
	return fmt.Sprintf("%s; and %d more", strings.Join(reasons[:most], "; "), len(reasons)-most)
}

// reason says in a few words why an entry point could not be used.
func reason(text string, v observation.Visit) string {
	why := strings.ReplaceAll(string(v.Outcome), "_", " ")
	if v.Detail != "" {
		why += " (" + v.Detail + ")"
	}
	return text + ": " + why
}
