package main

import (
	"context"
	"log/slog"
	"net/netip"
	"os"
	"runtime/debug"

	"github.com/spf13/pflag"

	"canopy/crawler"
	"canopy/crawler/mainline"
	"canopy/crawler/observation"
	"canopy/crawler/testnet"
	testmainline "canopy/crawler/testnet/mainline"
)

var mainlineNetwork = network{
	name: "mainline", title: "BitTorrent Mainline DHT", bootstrapForm: "host:port",
	example: `  canopy crawl mainline --vantage my-university --deadline 2h
  canopy crawl mainline --edges --rate 2000 --visits visits.ndjson
  canopy crawl mainline --zone 12 --lookups 200
  canopy crawl mainline --local --bootstrap 127.0.0.1:21000`,
	flags: func(flags *pflag.FlagSet, o *crawlOptions) {
		flags.StringSliceVar(&o.bind, "bind", nil, "local `addresses` to send from, separated by commas (default: any, IPv4 and IPv6)")
		flags.Float64Var(&o.sampled, "capabilities", 0.01, "`share` of answering peers, 0 to 1, that are also asked for extensions: BEP 51, BEP 33, IPv6 nodes")
		zoneFlags(flags, &o.zoneOptions)
	},
	walker:  mainlineWalker,
	checker: mainlineChecker,
	prober: func(o walkerOptions) (prober, error) {
		return mainline.NewProber(mainline.Config{
			Bind: o.crawl.bind, Allow: func(a netip.AddrPort) bool { return o.allow(a.Addr()) }, Pacer: o.pacer, Logger: o.logger,
		})
	},
	population: testmainline.Population(),
	demo:       testmainline.DefaultSize(),
	start: func(ctx context.Context, plan *testnet.Plan, logger *slog.Logger) (localNetwork, error) {
		return testmainline.Start(ctx, plan, testmainline.Options{Logger: logger, Guests: true})
	},
}

func mainlineWalker(o walkerOptions) (walkFunc, error) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50) // the visited set holds no pointers, so collecting often costs little
	}
	bootstrap := o.crawl.bootstrap
	if len(bootstrap) == 0 {
		bootstrap = mainline.DefaultBootstrap()
	}
	cfg := mainline.Config{
		Bootstrap: bootstrap, Bind: o.crawl.bind, ReadTables: o.crawl.edges, Capabilities: o.crawl.sampled,
		Allow: func(a netip.AddrPort) bool { return o.allow(a.Addr()) }, Refuse: o.refuse, Pacer: o.pacer, Logger: o.logger,
	}
	if zone := o.crawl.zoneOptions; zone != beside && zone != (zoneOptions{}) {
		return zoneWalker(cfg, zone, o.crawl.local)
	}
	walker, err := mainline.New(cfg)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, sink crawler.Sink, opts crawler.Options) (observation.Crawl, error) {
		return crawler.Run(ctx, walker, sink, opts)
	}, nil
}
