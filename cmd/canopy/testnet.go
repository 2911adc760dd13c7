package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"canopy/crawler/testnet"
)

// testnetOptions describe one local network.
type testnetOptions struct {
	nodes int
	real  int
	dead  float64
	seed  uint64
	port  uint16
	truth string
	table string
	speed float64
}

func newTestnet(a *app) *cobra.Command {
	var commands []*cobra.Command
	for _, n := range networks {
		commands = append(commands, newTestnetNetwork(a, n))
	}
	return group("testnet", "A local network with a planned population", `Run a network on loopback whose truth is known. Bootstrap addresses are printed, the truth
is written as JSON, the address table as CSV, and the network stays up until Ctrl-C. With
--speed its nodes come and go as planned, that many times faster than the clock.`, commands...)
}

func newTestnetNetwork(a *app, n network) *cobra.Command {
	var o testnetOptions
	cmd := &cobra.Command{
		Use: n.name, Short: "A local " + n.title, Args: cobra.NoArgs,
		Example: fmt.Sprintf("  canopy testnet %[1]s --nodes 500 --truth truth.json --table tables/synthetic.csv\n  canopy crawl %[1]s --local --data tables --bootstrap ADDRESS", n.name),
		RunE:    func(cmd *cobra.Command, _ []string) error { return a.runTestnet(cmd.Context(), n, o) },
	}
	flags := cmd.Flags()
	flags.IntVar(&o.nodes, "nodes", n.demo.Nodes, "planned `nodes`")
	flags.IntVar(&o.real, "real", n.demo.Real, "`nodes` of these that run an independent implementation, where not all do")
	flags.Float64Var(&o.dead, "dead", n.demo.Dead, "`share` of table entries that nobody answers")
	flags.Uint64Var(&o.seed, "seed", 1, "`seed` of the plan")
	flags.Uint16Var(&o.port, "port", 0, "first `port` (0: the network's own)")
	flags.StringVar(&o.truth, "truth", "", "write the truth to `FILE` as JSON")
	flags.StringVar(&o.table, "table", "", "write the synthetic address table to `FILE` as CSV")
	flags.Float64Var(&o.speed, "speed", 0, "planned seconds that pass in one `second` (0: nobody comes or goes)")
	return cmd
}

func (a *app) runTestnet(ctx context.Context, n network, o testnetOptions) error {
	size := testnet.Size{Nodes: o.nodes, Real: o.real, Dead: o.dead, Horizon: demoHorizon, Port: o.port}
	plan, err := testnet.New(n.population, size, o.seed)
	if err != nil {
		return usagef("testnet %s: %w", n.name, err)
	}
	running, err := n.start(ctx, plan, a.logger)
	if err != nil {
		return fmt.Errorf("start %s test network: %w", n.name, err)
	}
	defer a.close("test network", running.Close)
	if err := running.Advance(ctx, 0); err != nil {
		return fmt.Errorf("start %s test network: %w", n.name, err)
	}
	if o.truth != "" {
		if err := writeJSON(o.truth, running.Truth()); err != nil {
			return err
		}
	}
	if o.table != "" {
		if err := writeTable(o.table, running.Plan()); err != nil {
			return err
		}
	}
	if err := a.announce(n, running, len(running.Plan().AliveAt(0))); err != nil {
		return err
	}
	return advanceUntilDone(ctx, running, o.speed)
}

func (a *app) announce(n network, running localNetwork, up int) error {
	if a.json {
		return a.printJSON(map[string]any{"network": n.name, "bootstrap": running.Bootstrap(), "up": up, "synthetic": true})
	}
	fmt.Fprintf(a.stdout, "%s, synthetic, on loopback: %s nodes are up. Bootstrap addresses:\n", n.title, count(up))
	for _, b := range running.Bootstrap() {
		fmt.Fprintln(a.stdout, b)
	}
	fmt.Fprintln(a.stdout, "Ctrl-C stops it.")
	return nil
}

// advanceUntilDone lets the plan pass until the user stops it.
func advanceUntilDone(ctx context.Context, running localNetwork, speed float64) error {
	if speed <= 0 {
		<-ctx.Done()
		return nil
	}
	start, ticker := time.Now(), time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-ticker.C:
			at := time.Duration(speed * float64(now.Sub(start)))
			if err := running.Advance(ctx, at); err != nil && ctx.Err() == nil {
				return fmt.Errorf("advance test network: %w", err)
			}
		}
	}
}

// startLocals plans and starts every network of the demo at its beginning.
// Those that did start are returned also with an error, to be closed.
func (a *app) startLocals(ctx context.Context, o demoOptions) (locals []*localCrawl, err error) {
	for _, n := range networks {
		size := n.demo
		size.Horizon = demoHorizon
		size.Nodes = int(float64(size.Nodes) * o.scale)
		plan, err := testnet.New(n.population, size, o.seed)
		if err != nil {
			return locals, usagef("demo: plan %s: %w", n.name, err)
		}
		running, err := n.start(ctx, plan, a.logger)
		if err != nil {
			return locals, fmt.Errorf("start %s test network: %w", n.name, err)
		}
		locals = append(locals, &localCrawl{network: n, running: running})
		fmt.Fprintf(a.stdout, "%s: %s planned nodes, %s up at first.\n", n.title, count(len(plan.Nodes)), count(len(plan.AliveAt(0))))
	}
	return locals, nil
}

// writeTruth leaves the truth of every network, and the address table that
// they share, in the demo's folder.
func writeTruth(dir string, locals []*localCrawl) error {
	var plans []*testnet.Plan
	for _, l := range locals {
		plans = append(plans, l.running.Plan())
		if err := writeJSON(filepath.Join(dir, "truth-"+l.name+".json"), l.running.Truth()); err != nil {
			return err
		}
	}
	return writeTable(filepath.Join(dir, "data", "synthetic.csv"), plans...)
}

func writeTable(path string, plans ...*testnet.Plan) error {
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write address table: %w", err)
	}
	if err := errors.Join(testnet.WriteAddressTable(f, plans...), f.Close()); err != nil {
		return fmt.Errorf("write address table: %w", err)
	}
	return nil
}

func writeJSON(path string, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err == nil {
		err = os.WriteFile(path, append(text, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
