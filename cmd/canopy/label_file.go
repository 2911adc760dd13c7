package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"canopy/analysis/operator"
	"canopy/crawler/columns"
	"canopy/crawler/ipfs/plant"
	"canopy/crawler/observation"
)

// labelFile is the file of labelled peers. It is made before anybody is asked,
// so that an experiment is not made in vain.
type labelFile struct{ *os.File }

func newLabelFile(path string) (labelFile, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, os.ErrExist) {
		return labelFile{}, usagef("label: there is a file %s already; name another with --out", path)
	}
	if err != nil {
		return labelFile{}, usagef("label: write labelled peers: %w", err)
	}
	return labelFile{f}, nil
}

// discard removes the file, which holds nothing.
func (f labelFile) discard() { _ = errors.Join(f.Close(), os.Remove(f.Name())) }

// write fills the file, in the form that operator.ReadLabelled reads.
func (f labelFile) write(o labelOptions, kind operator.Operator, entry string, r *plant.Result) error {
	service := withoutUser(o.gateway + o.pinning)
	if o.byHand {
		service = "a client, by hand"
	}
	_, err := fmt.Fprintf(f, "# Peers of %s, labelled by experiment: %s was asked for planted content.\n# %s, contact %s\n", observation.Text(o.operator), observation.Text(service), software(), observation.Text(o.contact))
	for _, round := range r.Rounds {
		if err == nil {
			_, err = fmt.Fprintf(f, "# %s asked for %s\n", round.Asked.Format(time.RFC3339), round.CID)
		}
	}
	w := csv.NewWriter(f)
	rows := [][]string{{"operator", "entry", "seen", "peer_id", "address", "agent", "protocols"}}
	for _, p := range r.Peers {
		rows = append(rows, []string{string(kind), entry, p.First.Format(time.RFC3339), p.PeerID, p.Address, observation.Text(p.Agent), observation.Text(strings.Join(p.Protocols, " "))})
	}
	if err = errors.Join(err, w.WriteAll(rows), f.Close()); err != nil {
		return fmt.Errorf("write labelled peers: %w", err)
	}
	return nil
}

// withoutUser is the address of a service as it may be published: without the
// name and password of who asks, and without a query.
func withoutUser(service string) string {
	u, err := url.Parse(service)
	if err != nil {
		return "a service whose address can't be read"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// showRound tells people what is being asked for.
func (a *app) showRound(o labelOptions) func(plant.Round) {
	return func(r plant.Round) {
		if a.json {
			return
		}
		if o.byHand {
			fmt.Fprintf(a.stdout, "Have this fetched within %v: %s\n", o.run.Timeout, r.CID)
			return
		}
		fmt.Fprintf(a.stdout, "%s: asking for %s\n", r.Asked.Format(time.TimeOnly), r.CID)
	}
}

// printLabels tells who came. An experiment in which nobody came, or the
// service failed, is degraded.
func (a *app) printLabels(o labelOptions, kind operator.Operator, r *plant.Result) error {
	var flaws []string
	for i, round := range r.Rounds {
		if round.Failed != "" {
			flaws = append(flaws, fmt.Sprintf("question %d: %s", i+1, observation.Text(round.Failed)))
		}
	}
	if len(r.Peers) == 0 {
		flaws = append(flaws, "nobody came: is this machine reachable from where the service stands?")
	}
	if r.Missed > 0 {
		flaws = append(flaws, fmt.Sprintf("more peers came than --max-peers %d", o.host.MaxPeers))
	}
	if r.Stopped != "" && len(r.Rounds) < o.run.Rounds {
		flaws = append(flaws, fmt.Sprintf("%d of %d questions were asked, for %s", len(r.Rounds), o.run.Rounds, r.Stopped))
	}
	if a.json {
		if err := a.printJSON(map[string]any{"operator": o.operator, "kind": kind, "file": o.out, "result": r}); err != nil {
			return err
		}
	} else if err := a.printCame(o, kind, r); err != nil {
		return err
	}
	if len(flaws) > 0 {
		return degradedError{strings.Join(flaws, "; ")}
	}
	return nil
}

func (a *app) printCame(o labelOptions, kind operator.Operator, r *plant.Result) error {
	tw := columns.New(a.stdout, 0)
	for _, group := range []struct {
		title string
		peers []plant.Label
	}{{fmt.Sprintf("run by %s (%s)", observation.Text(o.operator), kind), r.Peers}, {"watching the DHT, not labelled", r.Watchers}} {
		if len(group.peers) == 0 {
			continue
		}
		fmt.Fprintf(tw, "%s:\n", group.title)
		for _, p := range group.peers {
			fmt.Fprintf(tw, "  %s\t%s\t%s\tin %d of %d rounds\n", p.PeerID, p.Address, observation.Text(p.Agent), min(p.Rounds, len(r.Rounds)), len(r.Rounds))
		}
	}
	if err := tw.Flush(); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	fmt.Fprintf(a.stdout, "%s labelled peers: %s\n", count(len(r.Peers)), o.out)
	return nil
}
