package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"canopy/analysis/operator"
	"canopy/crawler/address"
	"canopy/crawler/columns"
	"canopy/crawler/identifier"
	"canopy/crawler/observation"
)

// ruleFiles name a ruleset, a registry and labelled peers of the user's own.
type ruleFiles struct{ rules, registry, labels string }

func (f *ruleFiles) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.rules, "rules", "", "operator rules to judge by, a `FILE` in the form of analysis/operator/rules.yaml")
	cmd.Flags().StringVar(&f.registry, "registry", "", "operator registry to judge by, a `FILE` in the form of analysis/operator/registry.yaml")
	cmd.Flags().StringVar(&f.labels, "labels", "", "peers that canopy label found, a `FILE`: the registry then knows them by their IDs")
}

// load returns the rules that Canopy brings along, or the user's.
func (f ruleFiles) load() (*operator.Rules, error) {
	if f == (ruleFiles{}) {
		return operator.Default(), nil
	}
	rules, registry := operator.Files()
	for _, own := range []struct {
		path string
		into *[]byte
	}{{f.rules, &rules}, {f.registry, &registry}} {
		if own.path == "" {
			continue
		}
		text, err := os.ReadFile(own.path)
		if err != nil {
			return nil, readable("rules", own.path, err)
		}
		*own.into = text
	}
	r, err := operator.Load(rules, registry)
	if err != nil {
		return nil, usageError{err}
	}
	if f.labels == "" {
		return r, nil
	}
	labelled, err := readLabelled(f.labels)
	if err != nil {
		return nil, err
	}
	if r, err = r.WithLabels(labelled); err != nil {
		return nil, usagef("read labelled peers %s: %w", f.labels, err)
	}
	return r, nil
}

// readLabelled reads a file of labelled peers.
func readLabelled(path string) ([]operator.Labelled, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, readable("labelled peers", path, err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	peers, err := operator.ReadLabelled(f)
	if err != nil {
		return nil, usagef("read labelled peers %s: %w", path, err)
	}
	return peers, nil
}

func newExplain(a *app) *cobra.Command {
	var files ruleFiles
	var asOf string
	cmd := &cobra.Command{
		Use: "explain PEER|ADDRESS", Short: "What is believed of a peer or an address, and the evidence", Args: cobra.ExactArgs(1),
		Long: `Print the facts of an address with the data set and day that each comes from, the
evidence for its hosting class, the evidence with its weights on who runs it, and what
would change the verdict. An address is looked up in the data sets alone. A peer is looked
up in the record, by its whole ID in any of its spellings; its facts are those of the day it was visited.`,
		Example: "  canopy explain 207.241.224.2\n  canopy explain 12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8 --store chdb:demo/record --json",
		RunE: func(cmd *cobra.Command, args []string) error {
			day := time.Time{}
			if asOf != "" {
				var err error
				if day, err = time.Parse(time.DateOnly, asOf); err != nil {
					return usagef("explain: --as-of %q: want a day such as 2026-03-01", asOf)
				}
			}
			return a.explain(cmd.Context(), args[0], files, day)
		},
	}
	files.register(cmd)
	cmd.Flags().StringVar(&asOf, "as-of", "", "`day` of which to take the data sets, such as 2026-03-01 (default: the newest)")
	return cmd
}

// explanation is all that is believed of one peer or address.
type explanation struct {
	Subject string             `json:"subject"`
	Peer    *operator.Sighting `json:"peer,omitempty"` // nil for an address alone
	Land    landExplanation    `json:"land"`           // what the data sets say of its address

	Rules     string            `json:"rules"` // version
	Threshold float64           `json:"threshold"`
	Verdict   operator.Verdict  `json:"verdict"`
	Entry     *operator.Entry   `json:"entry,omitempty"` // of the registry, whom the verdict names
	Marks     *operator.Marks   `json:"marks,omitempty"` // of that entry
	Changes   []operator.Change `json:"changes"`         // what would change the verdict
	Warnings  []string          `json:"warnings,omitempty"`
}

// landExplanation is what the data sets say of an address.
type landExplanation struct {
	Address  netip.Addr        `json:"address"`
	Facts    observation.Facts `json:"facts"`
	Evidence address.Evidence  `json:"evidence"`
	Matches  []address.Match   `json:"matches"`
}

func (a *app) explain(ctx context.Context, subject string, files ruleFiles, day time.Time) error {
	rules, err := files.load()
	if err != nil {
		return err
	}
	table, err := a.openDataOf(day)
	if err != nil {
		return err
	}
	var list []explanation
	if addr, ok := parseAddress(subject); ok {
		list = []explanation{explainAddress(rules, table, subject, addr)}
	} else if list, err = a.explainPeer(ctx, rules, table, subject); err != nil {
		return err
	}
	for i := range list {
		list[i].Warnings = table.Warnings()
		if a.json {
			err = a.printJSON(list[i])
		} else {
			err = a.printExplanation(&list[i])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// parseAddress reads an address, with or without a port.
func parseAddress(s string) (netip.Addr, bool) {
	if addr, err := identifier.Address(s); err == nil {
		return addr, true
	}
	if ap, err := netip.ParseAddrPort(s); err == nil {
		return ap.Addr().WithZone("").Unmap(), true
	}
	return netip.Addr{}, false
}

func explainAddress(rules *operator.Rules, table *address.Table, subject string, addr netip.Addr) explanation {
	land := explainLand(table, addr)
	f := land.Facts
	return conclude(rules, explanation{Subject: subject, Land: land}, operator.Traits{
		ASN: f.ASN, Organisation: f.Organisation, Country: f.Country, Hosting: string(f.Hosting), Prefix: f.Prefix, Address: addr,
	})
}

func explainLand(table *address.Table, addr netip.Addr) landExplanation {
	land := landExplanation{Address: addr}
	land.Facts, land.Evidence, land.Matches = table.Explain(addr)
	return land
}

// explainPeer explains a peer in every network whose record knows it.
func (a *app) explainPeer(ctx context.Context, rules *operator.Rules, table *address.Table, subject string) (list []explanation, err error) {
	peer, err := identifier.Peer(subject)
	if err != nil {
		return nil, usagef("explain: this is no address, and no peer of that ID can be in a record: %w", err)
	}
	record, err := a.readRecord(ctx)
	if err != nil {
		return nil, err
	}
	defer a.close("store", record.Close)
	sightings, err := operator.Sightings(ctx, record.DB(), peer)
	if err != nil {
		return nil, err
	}
	for i := range sightings {
		seen := &sightings[i]
		e := explanation{Subject: subject, Peer: seen, Land: explainLand(table, seen.Traits.Address)}
		list = append(list, conclude(rules, e, seen.Traits))
	}
	if len(list) == 0 {
		err = usagef("explain %s: no peer of that ID is in the record %s", peer, a.storeURL)
	}
	return list, err
}

// conclude judges by the traits.
func conclude(rules *operator.Rules, e explanation, t operator.Traits) explanation {
	e.Rules, e.Threshold = rules.Version(), rules.Threshold()
	e.Verdict, e.Changes = rules.Judge(t), rules.Changes(t)
	if entry, ok := rules.Entry(e.Verdict.Entry); ok {
		marks := rules.Marks(entry)
		e.Entry, e.Marks = &entry, &marks
	}
	return e
}

// printExplanation writes an explanation for people.
func (a *app) printExplanation(e *explanation) error {
	tw := columns.New(a.stdout, 0)
	if e.Peer != nil {
		printPeer(tw, e.Peer)
	}
	printLand(tw, e)
	if err := tw.Flush(); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	var out strings.Builder
	describeVerdict(&out, e)
	for _, w := range e.Warnings {
		fmt.Fprintln(&out, "warning:", w)
	}
	if _, err := fmt.Fprint(a.stdout, out.String()); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	return nil
}

// known is what is printed of a fact, also when nothing is known.
func known(s string) string {
	if s == "" {
		return "not known"
	}
	return s
}

func printPeer(w *columns.Writer, s *operator.Sighting) {
	t := s.Traits
	fmt.Fprintf(w, "peer\t%s\n", observation.Text(t.PeerID))
	fmt.Fprintf(w, "network\t%s: %s visits, %s answered, %s to %s\n", s.Network, count(s.Visits), count(s.Answered),
		s.First.UTC().Format("2006-01-02 15:04"), s.Last.UTC().Format("2006-01-02 15:04"))
	fmt.Fprintf(w, "endpoint\t%s\n", s.Endpoint)
	fmt.Fprintf(w, "agent\t%s\n", known(t.Agent))
	fmt.Fprintf(w, "beside it\t%s peers in its block, %s of its agent; %s of its agent in its AS, %s anywhere\n",
		count(t.Neighbourhood), count(t.Siblings), count(t.AgentHere), count(t.AgentAnywhere))
	if t.Together > 0 {
		fmt.Fprintf(w, "\t%s of these, itself included, answered in exactly the same crawls\n", count(t.Together))
	}
	if t.Ports > 1 {
		fmt.Fprintf(w, "\t%s of its agent in its block listen at one port that is not usual, or at ports in a row\n", count(t.Ports))
	}
	asn := "AS not known"
	if t.ASN != 0 {
		asn = fmt.Sprintf("AS%d", t.ASN)
	}
	fmt.Fprintf(w, "when visited\t%s, %s, %s, country %s, hosting %s", t.Prefix, asn, known(t.Organisation), known(t.Country), known(t.Hosting))
	if s.FactsSource != "" {
		fmt.Fprintf(w, " (%s of %s)", s.FactsSource, s.FactsDate.Format("2006-01-02"))
	}
	fmt.Fprintln(w)
}

func printLand(w *columns.Writer, e *explanation) {
	land := e.Land
	fmt.Fprintf(w, "address\t%s\n", land.Address)
	for _, m := range land.Matches {
		fmt.Fprintf(w, "%s\t%s", m.Source.Name, m.Facts.Prefix)
		if m.Facts.ASN != 0 {
			fmt.Fprintf(w, ", AS%d", m.Facts.ASN)
		}
		for _, part := range []string{m.Name, m.Facts.Country} {
			if part != "" {
				fmt.Fprintf(w, ", %s", part)
			}
		}
		fmt.Fprintf(w, " (of %s)\n", m.Source.Date.Format("2006-01-02"))
	}
	fmt.Fprintf(w, "organisation\t%s\n", known(land.Facts.Organisation))
	fmt.Fprintf(w, "country\t%s\n", known(land.Facts.Country))
	fmt.Fprintf(w, "hosting\t%s: %s\n", land.Evidence.Hosting, land.Evidence.Reason)
	if land.Evidence.Source != "" {
		fmt.Fprintf(w, "\tsource: %s\n", land.Evidence.Source)
	}
}

func describeVerdict(out *strings.Builder, e *explanation) {
	v := e.Verdict
	switch {
	case len(v.Evidence) == 0:
		fmt.Fprintf(out, "\nWho runs it: unknown, for there is no evidence (rules %s).\n", e.Rules)
	case v.Operator == operator.Unknown:
		fmt.Fprintf(out, "\nWho runs it: undecided. The likeliest is %s at %.3f, below the threshold %.2f of rules %s.\n", v.Leaning, v.Probability, e.Threshold, e.Rules)
	default:
		fmt.Fprintf(out, "\nWho runs it: %s", v.Operator)
		if v.Name != "" {
			fmt.Fprintf(out, ", namely %s", v.Name)
		}
		fmt.Fprintf(out, ", with probability %.3f (rules %s).\n", v.Probability, e.Rules)
	}
	for _, ev := range v.Evidence {
		fmt.Fprintf(out, "  %+.1f for %-13s %s: %s\n       source: %s\n", ev.LogOdds, ev.For, ev.Name, ev.Reason, ev.Source)
	}
	if e.Entry != nil {
		describeEntry(out, *e.Entry, *e.Marks)
	}
	if len(e.Changes) > 0 {
		fmt.Fprint(out, "The verdict would be another if\n")
	}
	for _, c := range e.Changes {
		fmt.Fprintf(out, "  %s: then %s (%.3f)\n", c.If, c.Operator, c.Probability)
	}
}

func describeEntry(out *strings.Builder, entry operator.Entry, marks operator.Marks) {
	fmt.Fprintf(out, "%s: %s", entry.Name, entry.Kind)
	for _, part := range []struct {
		text string
		ok   bool
	}{
		{fmt.Sprintf("founded %d", entry.Founded), entry.Founded > 0},
		{fmt.Sprintf("closed %d", entry.Closed), entry.Closed > 0},
		{"lives on " + entry.Funding, entry.Funding != ""},
		{"peer-to-peer is its core", marks.Core},
	} {
		if part.ok {
			fmt.Fprintf(out, "; %s", part.text)
		}
	}
	fmt.Fprintf(out, ". %s.\n", entry.Runs)
	for _, s := range entry.Sources {
		fmt.Fprintf(out, "  source for %s: %s\n", strings.ReplaceAll(strings.Join(s.For, ", "), "_", " "), s.URL)
	}
}
