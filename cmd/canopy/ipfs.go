package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/spf13/pflag"

	"canopy/crawler"
	"canopy/crawler/ipfs"
	"canopy/crawler/observation"
	"canopy/crawler/testnet"
	testipfs "canopy/crawler/testnet/ipfs"
)

var ipfsNetwork = network{
	name: "ipfs", title: "IPFS DHT", bootstrapForm: "multiaddrs that end in /p2p/PEER",
	example: `  canopy crawl ipfs --vantage my-university --edges
  canopy crawl ipfs --protocol /mynet/kad/1.0.0 --bootstrap /ip4/198.51.100.7/tcp/4001/p2p/12D3KooW...
  canopy crawl ipfs --local --bootstrap /ip4/127.0.0.1/tcp/4001/p2p/12D3KooW...`,
	flags: func(flags *pflag.FlagSet, o *crawlOptions) {
		flags.StringVar(&o.protocol, "protocol", ipfs.DefaultProtocol, "protocol `ID` of the DHT, for private networks")
	},
	walker:  ipfsWalker,
	checker: ipfsChecker,
	prober: func(o walkerOptions) (prober, error) {
		return ipfs.NewProber(ipfs.Config{
			Protocol: o.crawl.protocol, Allow: o.allow, Pacer: o.pacer, Agent: agent(o.crawl.contact), Logger: o.logger,
		})
	},
	population: testipfs.Population(),
	demo:       testipfs.DefaultSize(),
	start: func(ctx context.Context, plan *testnet.Plan, logger *slog.Logger) (localNetwork, error) {
		return testipfs.Start(ctx, plan, testipfs.Options{Logger: logger})
	},
}

func ipfsWalker(o walkerOptions) (walkFunc, error) {
	walker, err := ipfs.New(ipfs.Config{
		Bootstrap: o.crawl.bootstrap, Protocol: o.crawl.protocol, Allow: o.allow, Refuse: o.refuse, Pacer: o.pacer,
		Agent: agent(o.crawl.contact), Logger: o.logger,
	})
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, sink crawler.Sink, opts crawler.Options) (observation.Crawl, error) {
		if len(o.crawl.bootstrap) == 0 { // who names entry points means those
			walker.Remember(o.recent(ctx))
		}
		crawl, err := crawler.Run(ctx, walker, sink, opts)
		return crawl, errors.Join(err, walker.Close())
	}, nil
}

// agent is how the crawler names itself to peers.
func agent(contact string) string {
	if contact == "" {
		return software()
	}
	return software() + " (+" + contact + ")"
}
