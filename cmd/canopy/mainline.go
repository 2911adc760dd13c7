package main

import (
	"context"
	"log/slog"
	"net/netip"

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
  canopy crawl mainline --local --bootstrap 127.0.0.1:21000`,
	flags: func(flags *pflag.FlagSet, o *crawlOptions) {
		flags.StringSliceVar(&o.bind, "bind", nil, "local `addresses` to send from, separated by commas (default: any, IPv4 and IPv6)")
	},
	crawl:      crawlMainline,
	population: testmainline.Population(),
	demo:       testmainline.DefaultSize(),
	start: func(ctx context.Context, plan *testnet.Plan, logger *slog.Logger) (localNetwork, error) {
		return testmainline.Start(ctx, plan, testmainline.Options{Logger: logger})
	},
}

func crawlMainline(ctx context.Context, w walk, sink crawler.Sink, o crawler.Options) (observation.Crawl, error) {
	walker, err := mainline.New(mainline.Config{
		Bootstrap: w.options.bootstrap, Bind: w.options.bind, ReadTables: w.options.edges,
		Allow: func(a netip.AddrPort) bool { return w.allow(a.Addr()) }, Pacer: w.pacer, Logger: w.logger,
	})
	if err != nil {
		return observation.Crawl{}, usageError{err}
	}
	return crawler.Run(ctx, walker, sink, o)
}
