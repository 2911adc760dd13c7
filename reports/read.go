package reports

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"

	"canopy/analysis"
	"canopy/analysis/churn"
	"canopy/analysis/operator"
	"canopy/analysis/reachability"
	"canopy/analysis/shares"
)

// read fills in what the record says of a network. What does not depend on
// one another is read at the same time.
func (n *Network) read(ctx context.Context, q analysis.Querier, rules *operator.Rules) error {
	absent := n.Absent != ""
	err := together(
		func() error { return n.readCrawls(ctx, q, rules) },
		func() error {
			if absent {
				return nil
			}
			return n.readCommunity(ctx, q, rules)
		})
	if err != nil || n.Absent != "" {
		return err
	}
	if n.Published, err = elsewhere(n); err != nil {
		return err
	}
	return n.readBefore(ctx, q, rules)
}

// readCrawls reads how crawls went, and what does not depend on who is counted.
func (n *Network) readCrawls(ctx context.Context, q analysis.Querier, rules *operator.Rules) error {
	visited := make([]string, len(n.Crawls))
	for i, c := range n.Crawls {
		visited[i] = c.ID
	}
	if err := n.readSize(ctx, q); err != nil {
		return err
	}
	if err := n.readFindability(ctx, q, rules); err != nil {
		return err
	}
	if whole := snapshots(n.Crawls); len(whole) > 0 {
		outcomes, err := reachability.Outcomes(ctx, q, n.Name, whole)
		if err != nil {
			return err
		}
		n.ended(outcomes)
	}
	var err error
	if n.Tables, err = reachability.TablesRead(ctx, q, n.Name, visited); err != nil {
		return err
	}
	n.Facts, err = reachability.FactSources(ctx, q, n.Name, visited)
	return err
}

// readCommunity reads who answered, and computes what is said of them.
func (n *Network) readCommunity(ctx context.Context, q analysis.Querier, rules *operator.Rules) error {
	counted, err := n.setAside(ctx, q)
	if err != nil || n.Absent != "" {
		return err
	}
	if err := n.readPeers(ctx, counted, rules); err != nil {
		return err
	}
	err = together(
		func() error {
			presences, err := churn.Presences(ctx, counted, n.Name, n.Used)
			if err != nil {
				return err
			}
			return n.cameAndWent(presences)
		},
		func() error { return n.readSurvival(ctx, counted, rules, n.window) },
	)
	if err != nil {
		return err
	}
	return n.readClearcut(ctx, q, rules)
}

// together does several things at once, and returns all that went wrong.
func together(tasks ...func() error) error {
	failed := make([]error, len(tasks))
	var wait sync.WaitGroup
	for i, task := range tasks {
		wait.Go(func() { failed[i] = task() })
	}
	wait.Wait()
	return errors.Join(failed...)
}

// readPeers reads and judges the peers that answered.
func (n *Network) readPeers(ctx context.Context, q analysis.Querier, rules *operator.Rules) error {
	verdict := map[uint64]uint8{}
	census, err := n.census(ctx, q, rules, func(v operator.Verdict, members []uint64) {
		if v.Operator != operator.Unknown {
			class := uint8(slices.Index(operatorClasses, string(v.Operator)))
			for _, peer := range members {
				verdict[peer] = class
			}
		}
	})
	if err != nil {
		return err
	}
	all := judged(census.Groups)
	err = together( // counting holds a number for each peer in every way of counting, so nothing else that is large is read meanwhile
		func() error { return n.readCounting(ctx, q, all, verdict) },
		func() error {
			if err := n.readJudged(census.Groups, all, rules); err != nil {
				return err
			}
			return n.readCapabilities(ctx, q)
		},
	)
	if err != nil {
		return err
	}
	debug.FreeOSMemory() // the engine beside us needs what counting took, sooner than the collector would return it
	return together(
		func() error { return n.readPrefixes(ctx, q, census.Totals) },
		func() error { return n.readAgents(ctx, q, census.Totals) },
	)
}

// readJudged computes what judged peers say.
func (n *Network) readJudged(census []operator.Group, all []peers, rules *operator.Rules) error {
	if err := n.counted(all); err != nil {
		return err
	}
	n.plain = map[string]string{}
	for _, g := range slices.Backward(census) { // that of the heaviest stays
		if g.ASN > 0 {
			n.plain[legible(g.Organisation)] = fmt.Sprintf("AS%d", g.ASN)
		}
	}
	n.Bounds = bounded(n.Operator, census)
	return n.register(all, rules)
}

// readAgents reads what peers call their programs.
func (n *Network) readAgents(ctx context.Context, q analysis.Querier, totals []int) error {
	announced, err := n.announced(ctx, q, totals)
	if err != nil {
		return err
	}
	programs := make([]agents, len(announced))
	for i, a := range announced {
		programs[i] = agents{shares.Group{Peers: a.Peers, Counts: a.Counts, Weight: a.Weight, Squares: a.Squares}, a.Name, analysis.Client(a.Name)}
	}
	return n.countedAgents(programs)
}

// judged are the groups of a census as a report tells them apart.
func judged(census []operator.Group) []peers {
	all := make([]peers, len(census))
	for i, g := range census {
		all[i] = peers{
			Group:   shares.Group{Peers: g.Peers, Counts: g.Counts, Weight: g.Weight, Squares: g.Squares},
			Hosting: orUnknown(g.Hosting), Operator: string(g.Verdict.Operator), Leaning: string(g.Verdict.Leaning), Name: g.Verdict.Name,
			Entry: g.Verdict.Entry, Marks: g.Marks, Organisation: g.Organisation, Country: g.Country,
		}
	}
	return all
}

func orUnknown(class string) string {
	if class == "" {
		return unknown
	}
	return class
}

// ended fills in how visits ended.
func (n *Network) ended(outcomes []reachability.Outcome) {
	counts := make([][]int, len(outcomes))
	for i, o := range outcomes {
		counts[i] = o.Counts
	}
	s, err := shares.NewSample("discovered peers", shares.Counted(counts))
	if err != nil { // nobody was visited, and the page says so
		return
	}
	answered := s.Share(func(i int) bool { return outcomes[i].Outcome == reachability.Answered })
	n.Answered = &answered
	for i, o := range outcomes {
		n.Outcomes = append(n.Outcomes, Outcome{o, s.Share(func(j int) bool { return j == i })})
	}
}

// cameAndWent fills in the sessions seen.
func (n *Network) cameAndWent(presences []churn.Presence) error {
	var crawls []churn.Crawl
	for _, c := range n.used() {
		crawls = append(crawls, churn.Crawl{Start: c.StartedAt, End: c.StartedAt.Add(c.Duration)})
	}
	r, err := churn.Compute(crawls, presences)
	if err != nil {
		return err
	}
	slices.SortStableFunc(r.Hosting, func(a, b churn.ByHosting) int {
		return cmp.Compare(rank(hostingOrder, a.Hosting), rank(hostingOrder, b.Hosting))
	})
	n.Sessions = &Sessions{
		Result:   r,
		AllShare: shares.Proportion(r.InAll, r.Peers, "share of peers that answered at least once", "peers"),
		OneShare: shares.Proportion(r.InOne, r.Peers, "share of peers that answered at least once", "peers"),
	}
	return nil
}
