package main

import (
	"cmp"
	"context"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"canopy/analysis/operator"
	"canopy/crawler/ipfs"
	"canopy/crawler/ipfs/plant"
)

// labelOptions are the settings of one experiment.
type labelOptions struct {
	operator, kind   string
	gateway, pinning string
	byHand           bool
	contact, optOut  string
	out              string
	limit            time.Duration
	local            bool
	host             plant.Config
	run              plant.Options
	files            ruleFiles
}

// leastPause is the time between two questions to one service that is owed to
// services of others.
const leastPause = time.Minute

func newLabel(a *app) *cobra.Command {
	var o labelOptions
	cmd := &cobra.Command{
		Use: "label", Short: "Learn whose peers are whose: plant content, have one service fetch it, record who comes", Args: cobra.NoArgs,
		Long: `Plant a block of random bytes, whose CID nobody can know, ask one IPFS gateway or pinning
service for it, and record the peers that come to fetch it: these are run by the service.
Beside it a second block is announced that nobody is asked for; who comes for that one
watches the DHT, and is told apart.

The labelled peers are written to --out, for "canopy rules test FILE", and for --labels
FILE where rules judge. With --by-hand Canopy prints the CID and waits while you have it
fetched by any client.

Ask only a service that offers to fetch for anyone, or your own: you name it with
--operator, and yourself with --contact, which peers and service are told. Questions to
the same service lie a minute apart at least. Peers and addresses on the --opt-out list
are neither contacted nor recorded. Canopy must be reachable from the internet at --listen;
BitTorrent Mainline has no such experiment here. See docs/attribution.md. Ctrl-C keeps
what came.`,
		Example: `  canopy label --operator pinata --gateway https://gateway.example --contact https://example.org/canopy --out pinata.csv
  CANOPY_LABEL_TOKEN=... canopy label --operator pinata --pinning https://api.example/psa --contact me@example.org --out pinata.csv
  canopy label --operator my-club --kind community --gateway http://127.0.0.1:8080 --local --contact me@example.org \
    --connect /ip4/127.0.0.1/tcp/4001/p2p/12D3KooW... --out club.csv
  canopy rules test pinata.csv`,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.label(cmd.Context(), o) },
	}
	o.register(cmd)
	return cmd
}

func (o *labelOptions) register(cmd *cobra.Command) {
	flags, run := cmd.Flags(), plant.DefaultOptions()
	flags.StringVar(&o.operator, "operator", "", "who runs the service: an `ENTRY` of the registry by its ID, or with --kind any name")
	flags.StringVar(&o.kind, "kind", "", "community, commercial or institutional, of an operator that the registry does not hold")
	flags.StringVar(&o.gateway, "gateway", "", "`URL` of an HTTP gateway to ask for /ipfs/CID")
	flags.StringVar(&o.pinning, "pinning", "", "`URL` of a pinning service's API to ask; its token is read from CANOPY_LABEL_TOKEN")
	flags.BoolVar(&o.byHand, "by-hand", false, "ask nobody: print each CID and wait --timeout while you have it fetched")
	flags.StringVar(&o.contact, "contact", "", "`URL` or mail address where people reach you; told to peers and to the service")
	flags.StringVar(&o.optOut, "opt-out", "", "`file` with the addresses, prefixes, ASes and peers that are left out")
	flags.StringVar(&o.out, "out", "labelled.csv", "`FILE` for the labelled peers; it must not be there yet")
	flags.DurationVar(&o.limit, "limit", time.Hour, "time for the whole experiment")
	flags.BoolVar(&o.local, "local", false, "allow loopback and private addresses, and no pause between questions")
	flags.StringSliceVar(&o.host.Connect, "connect", nil, "`multiaddrs` of the service's own nodes to stay connected to; then no DHT is needed")
	flags.StringSliceVar(&o.host.Bootstrap, "bootstrap", nil, "`multiaddrs` by which to join the DHT (default: those of IPFS, unless --connect is given)")
	flags.StringVar(&o.host.Protocol, "protocol", ipfs.DefaultProtocol, "protocol `ID` of the DHT")
	flags.StringSliceVar(&o.host.Listen, "listen", nil, "`multiaddrs` to listen at (default: TCP and QUIC at port 4001)")
	flags.StringSliceVar(&o.host.Announce, "announce", nil, "`multiaddrs` at which others reach this machine (default: those it listens at)")
	flags.IntVar(&o.host.MaxPeers, "max-peers", 10_000, "most peers to record")
	flags.IntVar(&o.run.Rounds, "rounds", run.Rounds, "how often to ask, each time for fresh content")
	flags.DurationVar(&o.run.Pause, "pause", run.Pause, "time between two questions")
	flags.DurationVar(&o.run.Timeout, "timeout", run.Timeout, "time for one question")
	flags.DurationVar(&o.run.Linger, "linger", run.Linger, "how long to wait for late visitors after it")
	flags.IntVar(&o.run.Enough, "enough", 0, "ask no more once so many peers of the service came (default: no bound)")
	o.files.register(cmd)
}

// check refuses an experiment that is not thought through.
func (o *labelOptions) check() error {
	services := 0
	for _, given := range []bool{o.gateway != "", o.pinning != "", o.byHand} {
		if given {
			services++
		}
	}
	switch {
	case services != 1:
		return usagef("label: name the one service to ask: --gateway URL, --pinning URL or --by-hand")
	case o.operator == "":
		return usagef("label: --operator is missing: who runs the service?")
	case o.contact == "":
		return usagef("label: --contact is missing: peers and the service are told who asks, and how to be left out")
	case o.run.Rounds < 1 || o.host.MaxPeers < 1 || o.limit <= 0 || o.run.Timeout <= 0 || o.run.Pause < 0 || o.run.Linger < 0 || o.run.Enough < 0:
		return usagef("label: --rounds, --max-peers, --limit and --timeout must be positive, the others not negative")
	case o.run.Pause < leastPause && !o.local:
		return usagef("label: --pause is %v; want a minute at least between questions to a service of others", o.run.Pause)
	}
	for _, service := range []string{o.gateway, o.pinning} {
		if service != "" && !strings.HasPrefix(service, "http://") && !strings.HasPrefix(service, "https://") {
			return usagef("label: %q is no http(s) address", service)
		}
	}
	return nil
}

// whose returns the kind of the operator, and the ID of its registry entry if
// it has one.
func (o *labelOptions) whose(rules *operator.Rules) (kind operator.Operator, entry string, err error) {
	if e, ok := rules.Entry(o.operator); ok {
		if o.kind != "" && o.kind != string(e.Operator()) {
			return "", "", usagef("label: the registry has %s as %s, not %s", e.ID, e.Operator(), o.kind)
		}
		return e.Operator(), e.ID, nil
	}
	switch kind := operator.Operator(o.kind); kind {
	case operator.Community, operator.Commercial, operator.Institutional:
		return kind, "", nil
	case "":
		return "", "", usagef("label: the registry holds no entry %q; say with --kind what it is, or add it to a registry of your own (--registry)", o.operator)
	}
	return "", "", usagef("label: --kind %q: want community, commercial or institutional", o.kind)
}

func (a *app) label(ctx context.Context, o labelOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	rules, err := o.files.load()
	if err != nil {
		return err
	}
	kind, entry, err := o.whose(rules)
	if err != nil {
		return err
	}
	policy, err := a.informedPolicy(crawlOptions{local: o.local, optOut: o.optOut}, "label")
	if err != nil {
		return err
	}
	out, err := newLabelFile(o.out)
	if err != nil {
		return err
	}
	if len(o.host.Bootstrap)+len(o.host.Connect) == 0 {
		o.host.Bootstrap = ipfs.DefaultBootstrap()
	}
	o.host.Allow = func(addr netip.Addr) bool { return policy.Allow(addr) }
	o.host.Refuse, o.host.Agent, o.host.Logger = policy.OptOut.HasPeer, agent(o.contact), a.logger
	result, err := a.experiment(ctx, o)
	if result == nil {
		out.discard()
		return err
	}
	dropOptedOut(result, policy.Allow)
	if err := out.write(o, kind, entry, result); err != nil {
		return err
	}
	return a.printLabels(o, kind, result)
}

// experiment plants and asks, within its time.
func (a *app) experiment(ctx context.Context, o labelOptions) (_ *plant.Result, err error) {
	host, err := plant.New(o.host)
	if err != nil {
		return nil, usageError{err}
	}
	defer a.close("planted content", host.Close)
	ctx, cancel := context.WithTimeout(ctx, o.limit)
	defer cancel()
	if err := host.Join(ctx); err != nil {
		return nil, err
	}
	o.run.Began = a.showRound(o)
	return plant.Run(ctx, host, o.asker(), o.run)
}

func (o *labelOptions) asker() plant.Asker {
	client, name := &http.Client{Timeout: o.run.Timeout}, agent(o.contact)
	switch {
	case o.gateway != "":
		return plant.Gateway{URL: o.gateway, Agent: name, Client: client}
	case o.pinning != "":
		return plant.Pinning{URL: o.pinning, Token: os.Getenv("CANOPY_LABEL_TOKEN"), Agent: name, Client: client, Poll: cmp.Or(min(o.run.Timeout/6, 10*time.Second), time.Second)}
	}
	return plant.ByHand{}
}

// dropOptedOut leaves out whom the rules of contact leave out.
func dropOptedOut(r *plant.Result, allow func(netip.Addr) bool) {
	for _, list := range []*[]plant.Label{&r.Peers, &r.Watchers} {
		kept := []plant.Label{}
		for _, l := range *list {
			if addr, err := netip.ParseAddr(l.Address); err != nil || allow(addr) {
				kept = append(kept, l)
			}
		}
		*list = kept
	}
}
