package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"canopy/analysis/findability"
	"canopy/crawler/columns"
	"canopy/crawler/observation"
)

// printChecks writes what a run found, for people.
func printChecks(out io.Writer, title string, r *findability.Result) error {
	fmt.Fprintf(out, "%s\n\n", title)
	if len(r.Content) > 0 {
		t := columns.New(out, 0)
		fmt.Fprintln(t, "content\toutcome\ttook\tfirst named\tqueries\thops\twho has it\tseeds + downloaders\tland\trun by")
		for _, c := range r.Content {
			fmt.Fprintln(t, strings.Join([]string{
				observation.Text(c.Name), c.Latest.Outcome, milliseconds(c.Latest.TookMS), milliseconds(c.Latest.FirstMS), count(c.Latest.Queries),
				count(c.Latest.Hops), floorOf(c.Latest.Found, c.Latest.Cut), swarm(c.Latest), parts(c.Land), parts(c.Operators),
			}, "\t"))
		}
		fmt.Fprintln(t)
		if err := t.Flush(); err != nil {
			return fmt.Errorf("write output: %w", err)
		}
	}
	t := columns.New(out, 0)
	fmt.Fprintln(t, "entry point\toutcome\trun by\tland\tround trip\tnames\talone\twithout it")
	for _, e := range r.Entries {
		fmt.Fprintln(t, strings.Join([]string{
			observation.Text(e.Address), e.Latest.Outcome, observation.Text(runBy(e.Runner)), sites(e.Land), milliseconds(e.Latest.RTTMS), count(e.Latest.Named),
			ofStarts(e.Alone), ofStarts(e.Without),
		}, "\t"))
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("write output: %w", err)
	}
	fmt.Fprintf(out, "\nIf these hosts vanish, can newcomers still enter?\n%s\n", r.Newcomers.Answer(observation.Text))
	for _, line := range append(r.Newcomers.Doubts(observation.Text), r.Warnings...) {
		fmt.Fprintln(out, " ", line)
	}
	fmt.Fprintln(out)
	return nil
}

func milliseconds(ms float64) string {
	if ms <= 0 {
		return "-"
	}
	return time.Duration(ms * float64(time.Millisecond)).Round(time.Millisecond).String()
}

func floorOf(n int, cut bool) string {
	if cut {
		return "at least " + count(n)
	}
	return count(n)
}

func swarm(l findability.Latest) string {
	if l.Seeds == nil || l.Leechers == nil {
		return "-"
	}
	return fmt.Sprintf("%.0f + %.0f", l.Seeds.Value, l.Leechers.Value)
}

// parts writes the largest few of what there is.
func parts(list []findability.Part) string {
	var words []string
	for i, p := range list {
		if i == 3 {
			words = append(words, "…")
			break
		}
		words = append(words, fmt.Sprintf("%s %s", observation.Text(p.Name), count(p.Count)))
	}
	if len(words) == 0 {
		return "-"
	}
	return strings.Join(words, ", ")
}

func runBy(r findability.Runner) string {
	switch {
	case r.Name == "":
		return "unknown"
	case r.Kind == "":
		return "on land of " + r.Name
	}
	return fmt.Sprintf("%s (%s)", r.Name, r.Kind)
}

func sites(list []findability.Site) string {
	var words []string
	for _, s := range list {
		place := strings.TrimSpace(strings.Join([]string{observation.Text(s.Organisation), observation.Text(s.Country)}, " "))
		if place == "" {
			place = s.Hosting
		}
		if len(words) == 0 || words[len(words)-1] != place {
			words = append(words, place)
		}
	}
	if len(words) == 0 {
		return "-"
	}
	return strings.Join(words, ", ")
}

func ofStarts(c findability.Checks) string {
	if c.Times == 0 {
		return "-"
	}
	return fmt.Sprintf("%d of %d", c.Yes, c.Times)
}
