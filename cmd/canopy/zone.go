package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"canopy/crawler"
	"canopy/crawler/mainline"
	"canopy/crawler/observation"
)

// zoneOptions are those of a crawl of a part of the key space.
type zoneOptions struct {
	zone                    string
	plant, confirm, lookups int
}

// beside are how much is done with a zone unless flags say otherwise.
var beside = zoneOptions{plant: 50, confirm: 50, lookups: 100}

func zoneFlags(flags *pflag.FlagSet, o *zoneOptions) {
	flags.StringVar(&o.zone, "zone", "", "walk only IDs with this prefix, to tell how large the network is: `BITS/PREFIX` with the prefix in hexadecimal or as bits, or BITS for a place at random")
	flags.IntVar(&o.plant, "plant", beside.plant, "with --zone: `nodes` of our own that are announced in the zone before it is walked")
	flags.IntVar(&o.confirm, "confirm", beside.confirm, "with --zone: `nodes` of the network that are confirmed alive by lookups before the walk")
	flags.IntVar(&o.lookups, "lookups", beside.lookups, "with --zone: `lookups` of random keys after the walk")
}

// sizeKeeper is what keeps the rows that tell how large a network is.
type sizeKeeper interface {
	Marks(context.Context, []observation.Mark) error
	Lookups(context.Context, []observation.Lookup) error
}

// zoneWalker walks a zone of Mainline with marked nodes in it, then looks up
// random keys.
func zoneWalker(cfg mainline.Config, o zoneOptions, local bool) (walkFunc, error) {
	if o.zone == "" {
		return nil, fmt.Errorf("crawl mainline: --plant, --confirm and --lookups need a --zone, such as --zone 12")
	}
	if o.plant < 0 || o.confirm < 0 || o.lookups < 0 || o.plant > 1000 || o.confirm > 10_000 || o.lookups > 100_000 {
		return nil, fmt.Errorf("crawl mainline: --plant takes 0 to 1,000, --confirm 0 to 10,000, --lookups 0 to 100,000")
	}
	if local {
		cfg.MinTimeout = 200 * time.Millisecond // lookups wait for dead nodes one after the other
	}
	var err error
	if cfg.Zone, err = mainline.ParseZone(o.zone); err != nil {
		return nil, err
	}
	var stages stages
	sizer, err := mainline.NewSizer(cfg, mainline.SizerOptions{
		Plant: orNone(o.plant), Confirm: orNone(o.confirm), Lookups: orNone(o.lookups), Progress: stages.show,
	})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, sink crawler.Sink, opts crawler.Options) (observation.Crawl, error) {
		defer sizer.Close()
		stages.began, stages.to = time.Now(), opts.Progress
		note, err := sizer.Mark(ctx)
		if err != nil {
			return observation.Crawl{}, err
		}
		opts.Zone, opts.Notes = cfg.Zone.String(), append(opts.Notes, note)
		crawl, err := crawler.Run(ctx, sizer.Walker(), sink, opts)
		if err != nil || crawl.State == observation.CutShort {
			return crawl, err
		}
		return crawl, measure(ctx, sizer, keeper(sink), crawl.ID)
	}, nil
}

// stages shows, once a second, what is done beside a walk.
type stages struct {
	to          func(crawler.Progress) // nil: nobody
	began, last time.Time
}

func (s *stages) show(p mainline.SizerProgress) {
	if now := time.Now(); s.to != nil && (now.Sub(s.last) >= time.Second || p.Done == p.Total) {
		s.last = now
		s.to(crawler.Progress{Network: mainline.Network().Name, Elapsed: now.Sub(s.began), Stage: fmt.Sprintf("%s: %d of %d", p.Stage, p.Done, p.Total)})
	}
}

// orNone turns 0 into what a Sizer takes for none.
func orNone(n int) int {
	if n == 0 {
		return -1
	}
	return n
}

// keeper finds the record behind a sink that writes elsewhere, too.
func keeper(sink crawler.Sink) sizeKeeper {
	if file, ok := sink.(*visitsFile); ok {
		sink = file.Sink
	}
	k, _ := sink.(sizeKeeper)
	return k
}

// measure keeps what lookups and marked nodes tell. What was measured is kept
// also when the user stops it.
func measure(ctx context.Context, sizer *mainline.Sizer, keep sizeKeeper, crawl observation.CrawlID) error {
	if keep == nil {
		return fmt.Errorf("measure size: this sink keeps no lookups")
	}
	lookups, marks, err := sizer.Measure(ctx)
	if err != nil {
		return err
	}
	for i := range lookups {
		lookups[i].CrawlID = crawl
	}
	for i := range marks {
		marks[i].CrawlID = crawl
	}
	ctx = context.WithoutCancel(ctx)
	if err := keep.Marks(ctx, marks); err != nil {
		return err
	}
	return keep.Lookups(ctx, lookups)
}
