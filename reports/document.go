package reports

import (
	"canopy/analysis/churn"
	"canopy/analysis/comparison"
	"canopy/analysis/concentration"
	size "canopy/analysis/population"
	"canopy/analysis/shares"
	"canopy/analysis/survival"
	"canopy/reports/figure"
	"canopy/reports/page"
)

// document makes the page. drawn holds the figures of each network.
func (r *Report) document(drawn []map[string]figure.Figure) page.Document {
	d := page.Document{
		Title: "Whose networks are these?", Generated: r.Generated, Software: legible(r.Software), Numbers: Numbers,
		Lead: "Who runs the peers that answer, and on whose land they stand. " + r.period() + ".",
	}
	if r.Synthetic {
		d.Banner = banner + "."
	}
	d.Sections = append(d.Sections, reading())
	for i := range r.Networks {
		n := &r.Networks[i]
		d.Headlines = append(d.Headlines, page.Headline{Subject: legible(n.Title), Sentence: n.headline(), Points: n.points(), Detail: n.headlineDetail(), Target: n.slug})
		d.Sections = append(d.Sections, n.section(drawn[i]))
	}
	d.Sections = append(d.Sections, blind(), r.methods(), r.sources())
	return d
}

// reading explains the words that the first minutes of reading need.
func reading() page.Section {
	return page.Section{ID: "reading", Heading: "How to read this page", Blocks: []page.Block{{Terms: []page.Term{
		{Name: "Peer", Meaning: "A program that takes part in a network, under an identity of its own. It is reachable if it answered when it was asked."},
		{Name: "Crawl", Meaning: "One walk through a network: every peer that another one names is asked whom it knows."},
		{Name: "Land", Meaning: "Whose network the address of a peer belongs to: home connections (residential), mobile networks, institutions, hosting (commercial land: cloud, VPS, colocation), or an anonymiser (VPN, Tor, proxy)."},
		{Name: "Who runs it", Meaning: "Communities are people who run peers for themselves and each other; institutions are universities, libraries and the like; commercial is what companies run. Where the evidence does not decide, a peer is undecided."},
		{Name: "Session", Meaning: "The time from a peer’s coming to its going."},
		{Name: "Lookup", Meaning: "How something is found without a central list: a program asks the peers that it knows for peers nearer to what it seeks, and goes on until it has met the nearest."},
		{Name: "At least, at most", Meaning: "What holds if none of the undecided peers are of a kind, and if all of them are. Nobody can tell from outside where between the two the truth lies."},
		{Name: "8" + nbsp + "% (7–10)", Meaning: "The estimate, and in brackets the interval that holds the true share in 95 of 100 measurements like this one. Where intervals overlap, a difference may be chance; where two figures are compared, the interval of their difference decides."},
	}}}}
}

// period says when the crawls of the report were made.
func (r *Report) period() string {
	first, last := r.Networks[0].Crawls[0].StartedAt, r.Networks[0].Crawls[0].StartedAt
	for _, n := range r.Networks {
		for _, c := range n.Crawls {
			if c.StartedAt.Before(first) {
				first = c.StartedAt
			}
			if c.StartedAt.After(last) {
				last = c.StartedAt
			}
		}
	}
	return "Measured " + dates(first, last)
}

// blind says what no crawl can see.
func blind() page.Section {
	return page.Section{ID: "unseen", Heading: "What can’t be seen", Blocks: []page.Block{{List: []string{
		"Peers that answer nobody from outside: behind home routers, firewalls or relays. They are in no share here.",
		"People: a peer is an identity, one person may run many, and many may share one.",
		"What is stored or asked for. Only who takes part is counted.",
		"Sessions that fit between two crawls, and whoever came and went unheard of.",
		"Land behind a VPN or a proxy: such a peer counts where its address is, as an anonymiser where that is known.",
		"Other places: all was seen from the vantage named with each crawl, and another one may be answered differently.",
	}}}}
}

// methods says how each number is made.
func (r *Report) methods() page.Section {
	return page.Section{ID: "methods", Heading: "Methods", Blocks: []page.Block{{Terms: []page.Term{
		{Name: "What is counted", Meaning: "Shares are in the cell “" + Cell + "” where their caption names no other unit: each whole crawl is a snapshot, the share is taken within it, and the mean over crawls is published. " +
			"Other ways to count give other numbers from the same crawls, so figures compare only within one cell. Crawls that were cut short are left out, because they hold whoever was met first; degraded ones are in, and marked."},
		{Name: "Shares", Meaning: sentence(shares.Method) + ". The share is p = mean over crawls t of (count in class / N of t). A peer weighs a = sum of 1/N over the crawls that reached it; " +
			"variance over peers = sum of ((y − p) a)² / T², with y = 1 for a peer of the class and T crawls; variance between crawls = sample variance of the crawls’ shares / T. " +
			"The effective sample size is p(1 − p) over the sum of both; at 0 or 1 it is the mean number of peers of a crawl."},
		{Name: "Who runs it", Meaning: "Each peer is judged by a sum of log-odds of named evidence, from rules of version “" + legible(r.Rules) + "”; “canopy explain” shows them for a peer. " +
			"Bound by " + shares.BoundMethod + ": lower = decided for the kind / all, upper = (decided + undecided) / all. In the published bound each verdict is also allowed twice its stated chance of error. “Likeliest” counts each undecided peer with its likeliest kind and is no more than that."},
		{Name: "On whose land", Meaning: "Hosting class, AS organisation and country of the address that answered, by the data sets named below, frozen when the peer was visited."},
		{Name: "Concentration", Meaning: "HHI = sum of squared shares; effective numbers 1/HHI and exp(entropy); Nakamoto set = the fewest holders that together exceed a threshold. Intervals: " + concentration.Method + ". In each crawl: " + concentration.TrendMethod + "."},
		{Name: "How large it is", Meaning: "In three ways, each with its interval. By " + size.CorrectedMethod + ". By " + size.DistancesMethod + ". By " + size.RecapturedMethod + ". Agreement: " + size.AgreementMethod + "."},
		{Name: "Sessions seen", Meaning: sentence(churn.Method) + ". All of it is interval-censored; no survival curve is fitted to crawls."},
		{Name: "How long peers stay", Meaning: "From probes. " + survival.KaplanMeier + ". " + survival.Turnbull + ". " + sentence(survival.CreateBased) + "."},
		{Name: "Change since the period before", Meaning: sentence(comparison.Method) + ". Compared are periods of equal length, of the same cell and vantage, with two whole crawls each and none degraded, both judged by the rules of today. The number of reachable peers of a crawl has Student’s t interval over crawls, as if these did not depend on one another."},
		{Name: "Ways to count", Meaning: sentence(shares.MatrixMethod) + "."},
	}}}}
}

// sources names the data sets and where to get the numbers.
func (r *Report) sources() page.Section {
	s := page.Section{ID: "sources", Heading: "Data sources"}
	for _, w := range r.Warnings {
		s.Blocks = append(s.Blocks, page.Block{Notice: harmless(w, longestSentence)})
	}
	if len(r.Attributions) > 0 {
		lines := make([]string, len(r.Attributions))
		for i, a := range r.Attributions {
			lines[i] = harmless(a, longestSentence)
		}
		return page.Section{ID: s.ID, Heading: s.Heading, Blocks: append(s.Blocks, page.Block{List: lines})}
	}
	switch {
	case r.placed():
		s.Blocks = append(s.Blocks, page.Block{Text: "Which data sets placed the addresses, and of which date, stands with each network under “How it was measured”. Their terms of use are not known here, as they are not installed."})
	case len(s.Blocks) == 0:
		s.Blocks = append(s.Blocks, page.Block{Text: "No address data was used: land, organisations and countries are unknown."})
	}
	return s
}

// placed says whether a data set knew any address.
func (r *Report) placed() bool {
	for _, n := range r.Networks {
		for _, f := range n.Facts {
			if f.Name != "" {
				return true
			}
		}
	}
	return false
}
