package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"canopy/crawler"
	"canopy/crawler/schedule"
)

// observeOptions are the settings of canopy observe.
type observeOptions struct {
	networks []string
	vantage  string
	contact  string
	optOut   string
	listen   string
	status   bool

	watch                     watchOptions
	reportEvery, reportWindow time.Duration
	reportOut                 string
	checkEvery                time.Duration
	checkList                 string
	dataRefresh               time.Duration
	dataFrom                  string
	retryAfter                time.Duration
	keep                      retention
	sections                  []*observeSection
}

// watchOptions bound the probes of each network.
type watchOptions struct {
	share             float64
	peers             int
	rate              float64
	shortest, longest time.Duration
	forget            time.Duration
}

// observeSection holds the settings of one network, which stand below its name
// in the configuration.
type observeSection struct {
	network
	crawl         crawlOptions
	every, jitter time.Duration
}

// addObserveFlags declares the settings that all networks share.
func addObserveFlags(flags *pflag.FlagSet, o *observeOptions) {
	var names []string
	for _, n := range networks {
		names = append(names, n.name)
	}
	flags.StringSliceVar(&o.networks, "networks", names, "`networks` to observe, separated by commas")
	flags.StringVar(&o.vantage, "vantage", "", "your `name` for the place that you look from, kept with every crawl")
	flags.StringVar(&o.contact, "contact", "", "`URL` or mail address where people reach you; kept with crawls, and told to peers where the protocol can")
	flags.StringVar(&o.optOut, "opt-out", "", "`file` with the addresses, prefixes, ASes and peers that are never contacted; read again before each crawl")
	flags.StringVar(&o.listen, "listen", "127.0.0.1:9464", "`address` for metrics, health and status; empty for none")
	flags.BoolVar(&o.status, "status", false, "say what the running observer is doing, and end")
	flags.Float64Var(&o.watch.share, "watch-share", 1, "`share` of all peers that is probed between crawls, chosen by hash of their identity")
	flags.IntVar(&o.watch.peers, "watch-peers", 20_000, "most `peers` of a network that are probed: the share is halved when there are more")
	rateFlag(flags, &o.watch.rate, new(bool), "watch-rate", 50, "probes per `second` of each network at most")
	timeFlag(flags, &o.watch.shortest, time.Nanosecond, "watch-shortest", time.Minute, "shortest `time` between two probes of a peer")
	timeFlag(flags, &o.watch.longest, time.Nanosecond, "watch-longest", 15*time.Minute, "longest `time` between two probes of a peer, at least three times the shortest")
	timeFlag(flags, &o.watch.forget, time.Nanosecond, "watch-forget", 24*time.Hour, "`time` after which a peer that is gone is probed no more")
	timeFlag(flags, &o.reportEvery, 0, "report-every", 24*time.Hour, "`time` between reports (0: none)")
	timeFlag(flags, &o.reportWindow, time.Nanosecond, "report-window", 30*24*time.Hour, "`time` that a report covers, up to its making")
	flags.StringVar(&o.reportOut, "report-out", "reports", "`folder` for reports: each in a folder of its own, the newest as latest")
	timeFlag(flags, &o.checkEvery, 0, "check-every", 0, "`time` between checks whether the commons is found and newcomers can enter (0: never)")
	flags.StringVar(&o.checkList, "check-list", "", "YAML `file` with what is checked, as of canopy check --list (default: the list that Canopy brings along)")
	timeFlag(flags, &o.dataRefresh, 0, "data-refresh", 30*24*time.Hour, "`time` between refreshes of address data (0: never)")
	flags.StringVar(&o.dataFrom, "data-from", "", "`URL or folder` of a mirror of address data (default: the publishers)")
	timeFlag(flags, &o.retryAfter, time.Nanosecond, "retry-after", 10*time.Minute, "`time` after which a crawl that failed is tried again, if its turn does not come sooner")
	flags.Var(&o.keep, "keep", "how long rows of a `table` are kept, as in visits=8760h,edges=720h; whole months are removed (default: everything is kept)")
}

// newObserveSection declares the settings of one network. The command exists
// for its settings only.
func newObserveSection(n network) (*cobra.Command, *observeSection) {
	s := &observeSection{network: n, crawl: crawlOptions{paceOptions: paceOptions{pace: crawler.DefaultPace()}}}
	cmd := &cobra.Command{
		Use: n.name, Hidden: true, Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return usagef("observe %s: this is a section of the configuration; to observe one network: canopy observe --networks %s", n.name, n.name)
		},
	}
	flags := cmd.Flags()
	timeFlag(flags, &s.every, time.Nanosecond, "every", 6*time.Hour, "`time` from the start of one crawl to the next")
	timeFlag(flags, &s.jitter, 0, "jitter", 10*time.Minute, "`time` by which a start is put off at random, at most")
	walkFlags(flags, n, &s.crawl)
	return cmd, s
}

// configureSection fills in the settings of a section as if its command ran;
// the settings of all commands stay as they were given to the one that runs.
func (a *app) configureSection(section *cobra.Command) error {
	if err := section.ParseFlags(nil); err != nil {
		return fmt.Errorf("read settings of %s: %w", section.Name(), err)
	}
	return a.configure(section)
}

// check refuses what cannot be meant, and keeps the sections of the networks
// that were asked for.
func (o *observeOptions) check() error {
	if o.vantage == "" {
		return usagef("observe: name the place that you look from: vantage in the configuration, or --vantage")
	}
	for _, name := range o.networks {
		if !slices.ContainsFunc(o.sections, func(s *observeSection) bool { return s.name == name }) {
			return usagef("observe: no network %q; there are %s", name, sectionNames(o.sections))
		}
	}
	o.sections = slices.DeleteFunc(o.sections, func(s *observeSection) bool { return !slices.Contains(o.networks, s.name) })
	if len(o.sections) == 0 {
		return usagef("observe: networks names none")
	}
	for flag, path := range map[string]string{"opt-out": o.optOut, "check-list": o.checkList} {
		if err := staysReadable(flag, path); err != nil {
			return err
		}
	}
	if err := o.watch.check(); err != nil {
		return err
	}
	for _, s := range o.sections {
		if err := (&schedule.Timetable{Every: s.every, Jitter: s.jitter}).Check(); err != nil {
			return usagef("observe %s: every %s, jitter %s: %w", s.name, s.every, s.jitter, err)
		}
		if err := s.crawl.checkPace("observe "+s.name, ""); err != nil {
			return err
		}
		s.crawl.vantage, s.crawl.contact, s.crawl.optOut = o.vantage, o.contact, o.optOut
	}
	return nil
}

// staysReadable refuses what can be read only once: a wish not to be contacted
// would be forgotten after the first crawl. What is not there is for its reader
// to tell.
func staysReadable(flag, path string) error {
	absolute, err := filepath.Abs(path)
	if path == "" || err != nil {
		return nil //nolint:nilerr // the reader of the file tells
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().IsRegular() && !strings.HasPrefix(absolute, "/dev/") && !strings.HasPrefix(absolute, "/proc/") {
		return nil //nolint:nilerr // the same
	}
	return usagef("observe: %s %s is read again and again: name a file that stays, no pipe and not standard input", flag, path)
}

func (w watchOptions) check() error {
	switch {
	case w.longest < 3*w.shortest:
		return usagef("observe: watch-longest %s must be at least three times watch-shortest %s, for waits to be random", w.longest, w.shortest)
	case !(w.share > 0 && w.share <= 1):
		return usagef("observe: watch-share %g must be above 0 and at most 1", w.share)
	case w.peers < 1:
		return usagef("observe: watch-peers must be above 0")
	}
	return nil
}

func sectionNames(sections []*observeSection) string {
	var names []string
	for _, s := range sections {
		names = append(names, s.name)
	}
	return strings.Join(names, ", ")
}

// limitedTime is a flag for a duration that may not be too short.
type limitedTime struct {
	to    *time.Duration
	least time.Duration
}

func timeFlag(flags *pflag.FlagSet, to *time.Duration, least time.Duration, name string, value time.Duration, usage string) {
	*to = value
	flags.Var(&limitedTime{to, least}, name, usage)
}

func (t *limitedTime) Set(text string) error {
	d, err := time.ParseDuration(text)
	if err == nil && d < t.least {
		err = fmt.Errorf("want a %s", t.Type())
	}
	if err == nil {
		*t.to = d
	}
	return err
}

func (t *limitedTime) String() string {
	if t.to == nil {
		return "0s"
	}
	return t.to.String()
}

func (t *limitedTime) Type() string {
	if t.least > 0 {
		return "time above zero, such as 90m"
	}
	return "time of zero or more, such as 90m"
}
