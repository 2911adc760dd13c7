package clearcut

import (
	"context"
	"errors"
	"fmt"
)

// Step is one removal, with what went before it.
type Step struct {
	Leaves []string `json:"leaves"`           // who leaves at this step; empty: peers drawn at random
	Cut    Cut      `json:"cut"`              // all that left until now
	Random *Cut     `json:"random,omitempty"` // as many peers drawn at random instead
}

// Result is what stands after a scenario.
type Result struct {
	Scenario Scenario `json:"scenario"` // complete: runs again as it is
	Crawl    Crawl    `json:"crawl"`
	Peers    int      `json:"peers"`    // in the graph
	Living   int      `json:"living"`   // of these, those that answered
	Edges    int      `json:"edges"`    // table entries
	Dead     float64  `json:"dead"`     // share of table entries that nobody answered
	Before   Cut      `json:"before"`   // nobody leaves
	Steps    []Step   `json:"steps"`    // each with all that left before it
	Warnings []string `json:"warnings"` // what a reader must know, one sentence each
}

// Run measures what stands before a scenario and after it.
func (g *Graph) Run(ctx context.Context, s Scenario) (Result, error) {
	if err := s.Check(); err != nil {
		return Result{}, fmt.Errorf("run scenario: %w", err)
	}
	opt := Options{Lookups: s.Lookups, Repetitions: s.Repetitions, Seed: s.Seed}.withDefaults()
	s.Lookups, s.Repetitions = opt.Lookups, opt.Repetitions
	res := Result{Scenario: s, Peers: len(g.peers), Living: len(g.up), Edges: g.Edges(), Dead: g.dead()}
	var err error
	if res.Before, err = g.Cut(ctx, make([]bool, len(g.peers)), opt); err != nil {
		return res, fmt.Errorf("run scenario: %w", err)
	}
	switch {
	case s.Remove.Largest > 0:
		err = g.fell(ctx, &res, opt)
	case s.Remove.Random > 0:
		err = g.scatter(ctx, &res, opt)
	default:
		err = g.leave(ctx, &res, opt)
	}
	if err != nil {
		return res, fmt.Errorf("run scenario: %w", err)
	}
	return res, nil
}

// leave removes the names that the scenario lists, all at once.
func (g *Graph) leave(ctx context.Context, res *Result, opt Options) error {
	removed, names, err := g.mark(res.Scenario.Remove)
	if err != nil {
		return err
	}
	return g.step(ctx, res, names, removed, opt)
}

// scatter removes peers at random.
func (g *Graph) scatter(ctx context.Context, res *Result, opt Options) error {
	number := int(res.Scenario.Remove.Random*float64(len(g.up)) + 0.5)
	c, err := g.RandomCut(ctx, number, opt)
	if err == nil {
		res.Steps = append(res.Steps, Step{Cut: c})
	}
	return err
}

// fell removes the largest holders one after the other, until too few peers
// are left.
func (g *Graph) fell(ctx context.Context, res *Result, opt Options) error {
	if res.Scenario.Remove.By == "" {
		res.Scenario.Remove.By = ByOperator
	}
	by := res.Scenario.Remove.By
	holders := g.Holders(by)
	if len(holders) == 0 {
		return fmt.Errorf("no living peer of the crawl has a known %s", by)
	}
	if most := res.Scenario.Remove.Largest; most > len(holders) {
		res.Warnings = append(res.Warnings, fmt.Sprintf("The crawl knows %s by %s only, not %d.", plural(len(holders), "holder"), by, most))
	} else {
		holders = holders[:most]
	}
	removed := make([]bool, len(g.peers))
	for _, h := range holders {
		for _, i := range g.up {
			removed[i] = removed[i] || g.peers[i].holder(by) == h.Name
		}
		err := g.step(ctx, res, []string{h.Name}, removed, opt)
		if errors.Is(err, ErrTooFew) && len(res.Steps) > 0 {
			res.Warnings = append(res.Warnings, fmt.Sprintf("With %s gone too, fewer than two peers are left, and nothing can be looked up.", h.Name))
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// step adds one removal, and as many peers at random.
func (g *Graph) step(ctx context.Context, res *Result, names []string, removed []bool, opt Options) error {
	c, err := g.Cut(ctx, removed, opt)
	if err != nil {
		return err
	}
	random, err := g.RandomCut(ctx, c.Removed, opt)
	if err != nil {
		return err
	}
	res.Steps = append(res.Steps, Step{Leaves: names, Cut: c, Random: &random})
	return nil
}

// dead is the share of table entries of living peers that did not answer.
func (g *Graph) dead() float64 {
	all, dead := 0, 0
	for _, peer := range g.up {
		for _, entry := range g.tables.of(peer) {
			all++
			if !g.peers[entry].Up {
				dead++
			}
		}
	}
	return float64(dead) / float64(max(1, all))
}
