package plant

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Asker asks one service for content.
type Asker interface {
	// Ask has the service fetch a CID; from is where it can be had. What it
	// returns is what the service handed out, nil where it hands out nothing.
	Ask(ctx context.Context, cid string, from []string) ([]byte, error)
}

// Options tunes [Run]; see [DefaultOptions].
type Options struct {
	Rounds  int           // each with fresh content
	Pause   time.Duration // between the questions of two rounds
	Timeout time.Duration // for one question
	Linger  time.Duration // how long late visitors are waited for after it
	Enough  int           // peers of the service after which no further round begins; 0: no bound
	Began   func(Round)   // is told of each round before the question; may be nil
}

// DefaultOptions asks three times, a minute and more apart.
func DefaultOptions() Options {
	return Options{Rounds: 3, Pause: 70 * time.Second, Timeout: time.Minute, Linger: 10 * time.Second}
}

// Round is one question.
type Round struct {
	CID     string    `json:"cid"`
	Control string    `json:"control"` // announced beside it, and nobody was asked for it
	Asked   time.Time `json:"asked"`
	Seconds float64   `json:"seconds"`          // until the service answered
	Failed  string    `json:"failed,omitempty"` // why it did not hand out the content
}

// Label is one peer that came.
type Label struct {
	PeerID    string    `json:"peer_id"`
	Address   string    `json:"address,omitempty"` // without port; empty if it came through a relay
	Port      uint16    `json:"port,omitempty"`
	Agent     string    `json:"agent"`
	Protocols []string  `json:"protocols"`
	Rounds    int       `json:"rounds"` // in which it came
	First     time.Time `json:"first"`
}

// Result is who came.
type Result struct {
	Rounds   []Round `json:"rounds"`
	Peers    []Label `json:"peers"`             // of the service
	Watchers []Label `json:"watchers"`          // came for what nobody was asked for, or before anybody was
	Missed   int     `json:"missed,omitempty"`  // requests of peers beyond the bound
	Stopped  string  `json:"stopped,omitempty"` // why there are fewer rounds than were wanted
}

// Run has a service asked for fresh content, round after round, and returns
// who came. When ctx ends it returns what came until then. A service that
// refuses is a [Round] that failed; an error means that the experiment could
// not be made.
func Run(ctx context.Context, h *Host, ask Asker, o Options) (*Result, error) {
	r := &Result{}
	for i := range o.Rounds {
		if i > 0 && !wait(ctx, o.Pause) {
			break
		}
		round, err := h.round(ctx, ask, o)
		if err != nil && ctx.Err() == nil {
			return nil, err
		}
		if round.CID != "" {
			r.Rounds = append(r.Rounds, round)
		}
		if ctx.Err() != nil {
			break
		}
		if h.sort(r); o.Enough > 0 && len(r.Peers) >= o.Enough {
			r.Stopped = fmt.Sprintf("%d peers came", len(r.Peers))
			break
		}
	}
	if err := ctx.Err(); err != nil {
		r.Stopped = "it was stopped"
		if errors.Is(err, context.DeadlineExceeded) {
			r.Stopped = "the time was over"
		}
	}
	h.sort(r)
	return r, nil
}

// round plants, asks and lingers.
func (h *Host) round(ctx context.Context, ask Asker, o Options) (Round, error) {
	control, err := h.Plant(ctx)
	if err != nil {
		return Round{}, err
	}
	block, err := h.Plant(ctx)
	if err != nil {
		return Round{}, err
	}
	round := Round{CID: block.CID, Control: control.CID, Asked: time.Now().UTC()}
	if o.Began != nil {
		o.Began(round)
	}
	asking, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	got, err := ask.Ask(asking, block.CID, h.Addresses())
	round.Seconds = time.Since(round.Asked).Seconds()
	switch {
	case err != nil:
		round.Failed = err.Error()
	case got != nil && !slices.Equal(got, block.Data):
		round.Failed = "what it handed out is not the content of this CID"
	}
	wait(ctx, o.Linger)
	return round, nil
}

// wait says whether the time passed before ctx ended.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// sort tells the service's peers from watchers.
func (h *Host) sort(r *Result) {
	asked := map[string]time.Time{}
	for _, round := range r.Rounds {
		asked[round.CID] = round.Asked
	}
	visits, missed := h.Visits()
	slices.SortFunc(visits, func(a, b Visit) int { return a.First.Compare(b.First) })
	labels, watches := map[string]*Label{}, map[string]bool{}
	for _, v := range visits {
		l := labels[v.PeerID]
		if l == nil {
			l = &Label{PeerID: v.PeerID, Agent: v.Agent, Protocols: v.Protocols, First: v.First}
			labels[v.PeerID] = l
		}
		if v.Address != (netip.AddrPort{}) {
			l.Address, l.Port = v.Address.Addr().String(), v.Address.Port()
		}
		at, target := asked[v.CID]
		if l.Rounds++; !target || v.First.Before(at) {
			watches[v.PeerID] = true
		}
	}
	r.Peers, r.Watchers, r.Missed = []Label{}, []Label{}, missed
	for id, l := range labels {
		if watches[id] {
			r.Watchers = append(r.Watchers, *l)
		} else {
			r.Peers = append(r.Peers, *l)
		}
	}
	for _, list := range [][]Label{r.Peers, r.Watchers} {
		slices.SortFunc(list, func(a, b Label) int { return cmp.Or(b.Rounds-a.Rounds, cmp.Compare(a.PeerID, b.PeerID)) })
	}
}
