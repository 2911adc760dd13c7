package reports

import (
	"fmt"
	"strings"

	"canopy/analysis/comparison"
	"canopy/analysis/shares"
)

// This file puts numbers into sentences: titles of figures and headlines.

func largestOf(list []Share) Share {
	best := list[0]
	for _, s := range list {
		if s.Share.Value > best.Share.Value {
			best = s
		}
	}
	return best
}

func (n *Network) landFinding() string {
	s := largestOf(n.Hosting)
	if s.Class == unknown {
		if s.Share.Value >= 1 {
			return "On whose land these peers stand is not known: no address facts matched"
		}
		return sentence(part(s.Share)) + " of the reachable peers stand on land that no address data names"
	}
	return sentence(part(s.Share)) + " of the reachable peers " + landPhrase(s.Class)
}

// community is the share run by communities.
func (n *Network) community() shares.Bounded {
	for _, o := range n.bounds() {
		if o.Class == "community" {
			return o.Bounded
		}
	}
	return shares.Bounded{}
}

func (n *Network) operatorFinding() string {
	c := n.community()
	least, most := percent(c.AtLeast), percent(c.AtMost)
	switch {
	case n.Undecided.Value >= 1:
		return "Who runs these peers can’t be told: the evidence decides for none of them"
	case c.AtMost.Value == 0:
		return "No reachable peer is run by a community"
	case c.AtLeast.Value == c.AtMost.Value:
		return "Communities run " + least + " of the reachable peers"
	case strings.HasPrefix(most, "<"):
		return "Communities run less than " + most[1:] + " of the reachable peers"
	case strings.HasPrefix(least, ">"):
		return "Communities run more than " + least[1:] + " of the reachable peers"
	case c.AtLeast.Value == 0 || strings.HasPrefix(least, "<"):
		return "Communities run at most " + most + " of the reachable peers"
	}
	return fmt.Sprintf("Communities run at least %s and at most %s of the reachable peers", least, most)
}

func (n *Network) organisationFinding() string {
	o := n.Organisations
	if len(o.Holders) == 1 {
		return fmt.Sprintf("All reachable peers whose organisation is known stand at %s", legible(o.Holders[0].Name))
	}
	half := o.Nakamoto[1]
	if len(half.Names) == 1 {
		return fmt.Sprintf("%s alone holds more than half of the reachable peers whose organisation is known", legible(half.Names[0]))
	}
	known := ""
	if o.Known.Value < 1 {
		known = " whose organisation is known"
	}
	return fmt.Sprintf("The %d largest of %s together hold more than half of the reachable peers%s", len(half.Names), plural(len(o.Holders), "organisation"), known)
}

// trendOf is the trend of a hosting class.
func (n *Network) trendOf(class string) Trend {
	for _, t := range n.Trend {
		if t.Class == class {
			return t
		}
	}
	return n.Trend[0]
}

// landTrendFinding is about the largest class of land.
func (n *Network) landTrendFinding() string {
	main := largestOf(n.Hosting).Class
	return trendFinding(n.trendOf(main), "peers "+landPlace(main))
}

// trendFinding compares the ends of a trend, as periods are compared: intervals
// may overlap and the change be clear. what names whose share it is.
func trendFinding(t Trend, what string) string {
	first, last := t.Shares[0], t.Shares[len(t.Shares)-1]
	switch change := comparison.Difference(last, first); {
	case change.Lower > 0:
		return fmt.Sprintf("The share of %s rose from %s to %s", what, percent(first), percent(last))
	case change.Upper < 0:
		return fmt.Sprintf("The share of %s fell from %s to %s", what, percent(first), percent(last))
	}
	return fmt.Sprintf("The share of %s did not change clearly from the first crawl to the last", what)
}

func (n *Network) clientFinding() string {
	s := largestOf(n.Clients)
	if s.Class == "" {
		return sentence(part(s.Share)) + " of the reachable peers do not say which program they run"
	}
	return fmt.Sprintf("%s is the most frequent client: %s of the reachable peers announce it", named(s.Class, ""), percent(s.Share))
}

func (n *Network) sessionFinding() string {
	return fmt.Sprintf("%s of %s answered in each of the %d crawls, %s in one only",
		count(n.Sessions.InAll), plural(n.Sessions.Peers, "peer"), n.Sessions.Crawls, count(n.Sessions.InOne))
}

func (n *Network) sessionCaption() string {
	return fmt.Sprintf("Unit: distinct peers by the number of crawls in which they answered. n\u00a0=\u00a0%s in %s, %s. A full count, so without an interval; "+
		"a peer that was not seen may have been up between crawls, or not been heard of.",
		plural(n.Sessions.Peers, "peer"), plural(n.Sessions.Crawls, "crawl"), dates(n.period()))
}

func (n *Network) outcomeFinding() string {
	if n.Answered == nil {
		return "No visit ended in an answer"
	}
	return sentence(part(*n.Answered)) + " of the peers that others named answered"
}

func (n *Network) outcomeCaption() string {
	visits, crawls := 0, 0
	for _, o := range n.Outcomes {
		visits, crawls = visits+o.Total(), len(o.Counts)
	}
	return fmt.Sprintf("Unit: share of discovered peers, mean of crawls; each was visited once in a crawl, with a second try after silence. n\u00a0=\u00a0%s in %s, %s. Interval: 95\u00a0%%, Wilson on the effective sample size.",
		plural(visits, "visit"), plural(crawls, "crawl"), dates(n.visited()))
}

// headline is the answer in one sentence, with its bound.
func (n *Network) headline() string {
	if n.Absent != "" {
		return n.Absent
	}
	return n.landFinding() + ". " + n.operatorFinding() + "."
}

// headlineDetail names the cell and the interval of a headline.
func (n *Network) headlineDetail() string {
	if n.Absent != "" {
		return ""
	}
	s := largestOf(n.Hosting)
	detail := fmt.Sprintf("Counted: %s. n\u00a0=\u00a0%s in %s. %s: %s, 95\u00a0%% interval.", Cell, plural(n.Peers, "distinct peer"), plural(len(n.Used), "crawl"),
		sentence(landLabel(s.Class)), percentInterval(s.Share))
	c := n.community()
	detail += fmt.Sprintf(" Community: between %s and %s"+nbsp+"%% with the intervals of the bound.", number(c.AtLeast.Lower, decimals(c.AtLeast)), number(c.AtMost.Upper, decimals(c.AtMost)))
	return detail
}
