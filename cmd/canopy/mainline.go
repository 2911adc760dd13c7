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
	walker:     mainlineWalker,
	population: testmainline.Population(),
	demo:       testmainline.DefaultSize(),
	start: func(ctx context.Context, plan *testnet.Plan, logger *slog.Logger) (localNetwork, error) {
		return testmainline.Start(ctx, plan, testmainline.Options{Logger: logger})
	},
}

func mainlineWalker(o walkerOptions) (walkFunc, error) {
	bootstrap := o.crawl.bootstrap
	if len(bootstrap) == 0 {
		bootstrap = mainline.DefaultBootstrap()
	}
	walker, err := mainline.New(mainline.Config{
		Bootstrap: bootstrap, Bind: o.crawl.bind, ReadTables: o.crawl.edges,
		Allow: func(a netip.AddrPort) bool { return o.allow(a.Addr()) }, Pacer: o.pacer, Logger: o.logger,
	})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, sink crawler.Sink, opts crawler.Options) (observation.Crawl, error) {
		return crawler.Run(ctx, walker, sink, opts)
	}, nil
}
