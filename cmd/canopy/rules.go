package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"canopy/analysis/operator"
	"canopy/crawler/address"
	"canopy/crawler/columns"
	"canopy/crawler/observation"
)

func newRules(a *app) *cobra.Command {
	var files ruleFiles
	test := &cobra.Command{
		Use: "test FILE", Short: "Score the rules against labelled peers", Args: cobra.ExactArgs(1),
		Long: `Read peers whose truth is known, judge them, and print how often the verdict is right.

FILE is CSV with a header, or JSON lines. The label is in operator (community, commercial,
institutional), in true_hosting (residential, mobile, institutional, hosting, anonymiser),
or both. What is known of the peer is in peer_id, agent, protocols, address, asn,
organisation, country, hosting, siblings, neighbourhood, together, agent_here and
agent_anywhere, all of which may be absent. Where an address is given and hosting is not, the address data
sets are asked for its facts; true_hosting is scored against what they say.`,
		Example: "  canopy rules test labelled.csv\n  canopy rules test labelled.ndjson --rules my-rules.yaml --json",
		RunE:    func(_ *cobra.Command, args []string) error { return a.testRules(args[0], files) },
	}
	files.register(test)
	return group("rules", "The rules that tell who runs a peer", "The rules and the registry are YAML with a reason and a source for each line; see docs/attribution.md.", test)
}

// ruleScore is how the rules fare on labelled peers.
type ruleScore struct {
	Rules       string                `json:"rules"`
	Peers       int                   `json:"peers"`
	Operator    *operator.Confusion   `json:"operator,omitempty"`
	Operators   []operator.ClassScore `json:"operators,omitempty"`
	Calibration *operator.Calibration `json:"calibration,omitempty"`
	Hosting     *operator.Confusion   `json:"hosting,omitempty"`
	Lands       []operator.ClassScore `json:"lands,omitempty"`
}

func (a *app) testRules(path string, files ruleFiles) error {
	rules, err := files.load()
	if err != nil {
		return err
	}
	peers, err := readLabelled(path)
	if err != nil {
		return err
	}
	table, err := a.openData()
	if err != nil {
		return err
	}
	score, err := scoreRules(rules, table, peers)
	if err != nil {
		return usagef("score labelled peers %s: %w", path, err)
	}
	if a.json {
		return a.printJSON(score)
	}
	return a.printScore(score)
}

// scoreRules judges labelled peers.
func scoreRules(rules *operator.Rules, table *address.Table, peers []operator.Labelled) (*ruleScore, error) {
	var kinds, lands []string
	for _, k := range operator.Operators() {
		kinds = append(kinds, string(k))
	}
	for _, h := range observation.HostingClasses() {
		lands = append(lands, string(h))
	}
	s := &ruleScore{
		Rules: rules.Version(), Peers: len(peers),
		Operator: operator.NewConfusion(kinds...), Hosting: operator.NewConfusion(lands...), Calibration: operator.NewCalibration(),
	}
	for _, p := range peers {
		t := p.Traits
		if t.Hosting == "" && t.Address.IsValid() {
			f := table.Lookup(t.Address)
			t.Hosting, t.Prefix, t.ASN, t.Organisation, t.Country = string(f.Hosting), f.Prefix, f.ASN, f.Organisation, f.Country
		}
		if p.Hosting != "" {
			if err := s.Hosting.Add(p.Hosting, t.Hosting, 1); err != nil {
				return nil, fmt.Errorf("true_hosting: %w", err)
			}
		}
		if p.Operator != "" {
			v := rules.Judge(t)
			if err := s.Operator.Add(string(p.Operator), string(v.Operator), 1); err != nil {
				return nil, fmt.Errorf("operator: %w", err)
			}
			s.Calibration.Add(p.Operator, v, 1)
		}
	}
	s.finish()
	return s, nil
}

// finish scores each class, and drops what no label spoke of.
func (s *ruleScore) finish() {
	if s.Operator.Total() == 0 {
		s.Operator, s.Calibration = nil, nil
	} else {
		for _, k := range s.Operator.Classes[:len(s.Operator.Classes)-1] {
			s.Operators = append(s.Operators, s.Operator.Score(k))
		}
	}
	if s.Hosting.Total() == 0 {
		s.Hosting = nil
		return
	}
	for _, h := range s.Hosting.Classes[:len(s.Hosting.Classes)-1] {
		s.Lands = append(s.Lands, s.Hosting.Score(h))
	}
	s.Lands = append(s.Lands, s.Hosting.Score(string(observation.HostingResidential), string(observation.HostingMobile)))
}

func (a *app) printScore(s *ruleScore) error {
	fmt.Fprintf(a.stdout, "%s labelled peers, rules %s\n", count(s.Peers), s.Rules)
	tw := columns.New(a.stdout, tabwriter.AlignRight)
	if s.Operator != nil {
		printConfusion(tw, "who runs it", s.Operator, s.Operators)
		fmt.Fprintf(tw, "\t\t\t\t\nprobability\tpeers\tstated\tright\t\n")
		for _, b := range s.Calibration.Bins {
			if b.Peers > 0 {
				fmt.Fprintf(tw, "%.2f to %.2f\t%s\t%.3f\t%.3f\t\n", b.Lower, b.Upper, count(b.Peers), b.Stated, b.True)
			}
		}
		fmt.Fprintf(tw, "calibration error\t%s\t%.3f\t\t\n", count(s.Calibration.Peers), s.Calibration.Error)
	}
	if s.Hosting != nil {
		printConfusion(tw, "on whose land", s.Hosting, s.Lands)
	}
	if err := tw.Flush(); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}

// printConfusion writes a matrix, truth down and verdict across.
func printConfusion(w *columns.Writer, title string, c *operator.Confusion, scores []operator.ClassScore) {
	fmt.Fprintf(w, "\t\t\n%s: truth \\ verdict\t", title)
	for _, class := range c.Classes {
		fmt.Fprintf(w, "%s\t", class)
	}
	fmt.Fprintln(w)
	for i, row := range c.Counts[:len(c.Counts)-1] {
		fmt.Fprintf(w, "%s\t", c.Classes[i])
		for _, n := range row {
			fmt.Fprintf(w, "%s\t", count(n))
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "\t\t\n\tlabelled\tprecision\trecall\tright if decided\tleft unknown\t\n")
	for _, s := range scores {
		if s.Labelled == 0 && s.Wrong == 0 {
			continue
		}
		name := s.Classes[0]
		for _, more := range s.Classes[1:] {
			name += " or " + more
		}
		fmt.Fprintf(w, "%s\t%s\t%.4f\t%.4f\t%.4f\t%.4f\t\n", name, count(s.Labelled), s.Precision, s.Recall, s.Decided, float64(s.Unknown)/float64(max(1, s.Labelled)))
	}
}
