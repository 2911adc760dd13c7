package reports

import (
	"cmp"
	"maps"
	"math"
	"slices"

	"canopy/analysis/concentration"
	"canopy/analysis/operator"
	"canopy/analysis/shares"
)

// peers is a group of reachable peers that are alike in all that a report
// tells apart.
type peers struct {
	shares.Group
	Hosting      string
	Operator     string // kind that the evidence decides for, unknown if it decides for none
	Leaning      string // likeliest kind, also of the undecided
	Name         string // of the operator, empty if it is not known
	Entry        string // of the registry, that Name comes from
	Marks        operator.Marks
	Organisation string
	Country      string
}

// agents is a group of reachable peers that announce one program.
type agents struct {
	shares.Group
	Agent  string
	Client string // its name without version, as analysis.Client gives it
}

func (p peers) weigh() float64  { return p.Weight }
func (a agents) weigh() float64 { return a.Weight }

// Classes in the order in which reports show them. Others follow by size.
var (
	hostingOrder  = []string{"residential", "mobile", "institutional", "hosting", "anonymiser", unknown}
	operatorKinds = []string{"community", "institutional", "commercial"}

	operatorClasses = append(slices.Clone(operatorKinds), unknown)
)

// unknown is the class of what nobody could tell.
const unknown = "unknown"

// Entries of tables and bars.
const (
	mostHolders = 10
	mostClients = 8
	mostAgents  = 15
)

// counted fills in what a network's peers say.
func (n *Network) counted(all []peers) error {
	groups := make([]shares.Group, len(all))
	for i, p := range all {
		groups[i] = p.Group
	}
	s, err := shares.NewSample("reachable peers", groups)
	if err != nil {
		return err
	}
	n.Peers, n.PerCrawl = s.Peers(), s.Mean()
	n.perUsed = make([]int, len(n.Used))
	for _, g := range groups {
		for t, peers := range g.Counts {
			n.perUsed[t] += peers
		}
	}
	nobody := s.Share(func(int) bool { return false })
	n.nobody = &nobody
	n.Hosting = ordered(s, all, func(p peers) string { return p.Hosting }, hostingOrder)
	n.Operator = judge(s, all, func(peers) bool { return true })
	undecided := s.Share(func(i int) bool { return all[i].Operator == unknown })
	n.Undecided = &undecided
	for _, h := range n.Hosting {
		on := func(p peers) bool { return p.Hosting == h.Class }
		n.Matrix = append(n.Matrix, Land{
			Hosting: h.Class, Share: h.Share, Operators: judge(s, all, on),
			Undecided: s.Share(func(i int) bool { return on(all[i]) && all[i].Operator == unknown }),
		})
		n.Trend = append(n.Trend, Trend{h.Class, s.Trend(func(i int) bool { return on(all[i]) })})
	}
	for _, kind := range append(slices.Clone(operatorKinds), unknown) {
		n.OperatorTrend = append(n.OperatorTrend, Trend{kind, s.Trend(func(i int) bool { return all[i].Operator == kind })})
	}
	n.Organisations = concentrate(s, all, "organisations", func(p peers) string { return p.Organisation })
	n.Operators = concentrate(s, all, "operators", func(p peers) string { return p.Name })
	n.Countries = concentrate(s, all, "countries", func(p peers) string { return p.Country })
	return nil
}

// countedAgents fills in what a network's peers announce.
func (n *Network) countedAgents(all []agents) error {
	groups := make([]shares.Group, len(all))
	for i, a := range all {
		groups[i] = a.Group
	}
	s, err := shares.NewSample("reachable peers", groups)
	if err != nil {
		return err
	}
	n.Clients, _ = largest(s, all, func(a agents) string { return a.Client }, mostClients)
	n.Agents, n.OtherAgents = largest(s, all, func(a agents) string { return a.Agent }, mostAgents)
	return nil
}

// judge is the share of each kind of operator among the peers that are in.
func judge(s *shares.Sample, all []peers, in func(peers) bool) []Judged {
	var list []Judged
	for _, kind := range operatorKinds {
		list = append(list, Judged{kind, s.Bounded(
			func(i int) bool { return in(all[i]) && all[i].Leaning == kind },
			func(i int) bool { return in(all[i]) && all[i].Operator == kind },
			func(i int) bool { return in(all[i]) && all[i].Operator == unknown },
		)})
	}
	return list
}

// ordered is the share of each class that some peer is in, in a given order.
func ordered(s *shares.Sample, all []peers, class func(peers) string, order []string) []Share {
	list := top(s, all, class, math.MaxInt)
	slices.SortStableFunc(list, func(a, b Share) int { return cmp.Compare(rank(order, a.Class), rank(order, b.Class)) })
	return list
}

// rank is the place of a class in an order, at the end if it has none.
func rank(order []string, class string) int {
	if i := slices.Index(order, class); i >= 0 {
		return i
	}
	return len(order)
}

// top is the share of each of the most classes with the largest shares.
func top[G interface{ weigh() float64 }](s *shares.Sample, all []G, class func(G) string, most int) []Share {
	weights := map[string]float64{}
	for _, p := range all {
		weights[class(p)] += p.weigh()
	}
	names := slices.SortedFunc(maps.Keys(weights), func(a, b string) int {
		return cmp.Or(cmp.Compare(weights[b], weights[a]), cmp.Compare(a, b))
	})
	var list []Share
	for _, name := range names[:min(most, len(names))] {
		list = append(list, Share{name, s.Share(func(i int) bool { return class(all[i]) == name })})
	}
	return list
}

// largest is the share of each of the largest classes, and of all others
// together, if there are any.
func largest[G interface{ weigh() float64 }](s *shares.Sample, all []G, class func(G) string, most int) (list []Share, rest *Share) {
	list = top(s, all, class, most+1)
	if len(list) <= most {
		return list, nil
	}
	list = list[:most]
	kept := map[string]bool{}
	for _, c := range list {
		kept[c.Class] = true
	}
	return list, &Share{"others", s.Share(func(i int) bool { return !kept[class(all[i])] })}
}

// concentrate measures how few hold the peers whose holder is known, or returns
// nil if none is.
func concentrate(s *shares.Sample, all []peers, unit string, holder func(peers) string) *Concentration {
	holds := func(i int) bool { return holder(all[i]) != "" }
	var holders []concentration.Holder
	distinct := 0
	for i, p := range all {
		if holds(i) {
			holders = append(holders, concentration.Holder{Name: holder(p), Weight: p.Weight})
			distinct += p.Peers
		}
	}
	c := &Concentration{Known: s.Share(holds), Trend: effectiveTrend(s, all, unit, holder)}
	var err error
	c.Result, err = concentration.Compute(unit, holders, concentration.Options{
		Peers: s.EffectivePeers() * c.Known.Value, N: distinct, Replicates: replicates(len(holders)), Seed: 1,
	})
	if err != nil { // nobody is known to hold anything
		return nil
	}
	for _, h := range c.Holders[:min(mostHolders, len(c.Holders))] {
		c.Largest = append(c.Largest, Share{h.Name, s.Share(func(i int) bool { return holder(all[i]) == h.Name })})
	}
	return c
}
