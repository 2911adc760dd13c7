package operator

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"canopy/crawler/testnet"
	"canopy/crawler/testnet/ipfs"
	"canopy/crawler/testnet/mainline"
)

// varied is a population with other shares of the personas, and with those who
// stand where one would not look for them: companies on household lines (2 to 6
// in a hundred of the peers there), companies with a lone server on rented land
// (30 to 60 in a hundred), and students on the land of universities (5 to 20).
func varied(pop testnet.Population, rng *rand.Rand) testnet.Population {
	var out []testnet.Persona
	among := func(p testnet.Persona, name string, operator testnet.Operator, lower, upper float64) testnet.Persona {
		part := lower + (upper-lower)*rng.Float64()
		p.Name, p.Operator = name+p.Name, operator
		p.Share *= part / (1 - part)
		return p
	}
	for _, p := range pop.Personas {
		p.Share *= 0.7 + 0.6*rng.Float64()
		out = append(out, p)
		switch {
		case p.Land.Hosting == "residential":
			out = append(out, among(p, "company-", testnet.Commercial, 0.02, 0.06))
		case p.Land.Hosting == "institutional":
			out = append(out, among(p, "student-", testnet.Community, 0.05, 0.20))
		case p.Land.Hosting == "hosting" && p.Operator == testnet.Community:
			lone := among(p, "company-", testnet.Commercial, 0.30, 0.60)
			lone.Agents = slices.Clone(lone.Agents)
			for i, a := range lone.Agents {
				if matchAny([]string{"libtorrent*", "rtorrent*", "aria2*"}, a.Read) {
					lone.Agents[i].Weight /= 10 // companies rarely run what people run
				}
			}
			out = append(out, lone)
		}
	}
	pop.Personas = out
	return pop
}

// crowd counts who stands beside whom among nodes, as the record would.
func crowd(nodes []testnet.Node) []Labelled {
	block := func(n testnet.Node) netip.Prefix { p, _ := n.Address.Addr().Prefix(24); return p }
	type key struct {
		agent string
		where any
	}
	count := map[key]int{}
	for _, n := range nodes {
		for _, k := range []key{{n.Agent.Read, block(n)}, {"*", block(n)}, {n.Agent.Read, n.Persona.Land.ASN}, {n.Agent.Read, nil}} {
			count[k]++
		}
	}
	out := make([]Labelled, len(nodes))
	for i, n := range nodes {
		l, agent := n.Persona.Land, n.Agent.Read
		out[i] = Labelled{Operator: Operator(n.Persona.Operator), Traits: Traits{
			PeerID: n.ID, Agent: agent, ASN: l.ASN, Organisation: l.Organisation, Country: l.Country, Hosting: string(l.Hosting), Address: n.Address.Addr(),
			Siblings: count[key{agent, block(n)}], Neighbourhood: count[key{"*", block(n)}],
			AgentHere: count[key{agent, l.ASN}], AgentAnywhere: count[key{agent, nil}],
		}}
	}
	return out
}

// TestProbabilitiesAreCalibrated judges many planned networks, with hobbyists
// on rented servers and companies on household lines, and compares what is
// stated with what is true.
func TestProbabilitiesAreCalibrated(t *testing.T) {
	for name, c := range map[string]struct {
		population func() testnet.Population
		nodes      int
	}{"mainline": {mainline.Population, 3000}, "ipfs": {ipfs.Population, 600}} {
		t.Run(name, func(t *testing.T) {
			all, plans, outside := NewCalibration(), 12, 0
			for seed := range uint64(plans) {
				rng := rand.New(rand.NewPCG(seed, 7))
				plan, err := testnet.New(varied(c.population(), rng), testnet.Size{Nodes: c.nodes, Horizon: 24 * time.Hour}, seed)
				if err != nil {
					t.Fatal(err)
				}
				one := NewCalibration()
				peers := crowd(plan.AliveAt(12 * time.Hour))
				really := map[Operator]float64{}
				var groups []Group
				for _, p := range peers {
					v := Default().Judge(p.Traits)
					all.Add(p.Operator, v, 1)
					one.Add(p.Operator, v, 1)
					really[p.Operator] += 1 / float64(len(peers))
					groups = append(groups, Group{Verdict: v, Weight: 1})
				}
				for _, k := range decided {
					if lower, upper := Bound(groups, k); really[k] < lower || really[k] > upper {
						outside++
						t.Errorf("plan %d: %s: really %.3f, bound %.3f to %.3f", seed, k, really[k], lower, upper)
					}
				}
				if one.Error >= 0.1 {
					t.Errorf("plan %d: calibration error %.3f", seed, one.Error)
				}
			}
			t.Log(reliability(all))
			if all.Error >= 0.05 {
				t.Errorf("calibration error %.3f over all plans", all.Error)
			}
			t.Logf("%d plans, %d judged peers: calibration error %.3f, %d shares outside of their bound", plans, all.Peers, all.Error, outside)
		})
	}
}

func reliability(c *Calibration) (out string) {
	for _, b := range slices.Backward(c.Bins) {
		if b.Peers > 0 {
			out += fmt.Sprintf("\n%.2f to %.2f: %6d peers, stated %.3f, right %.3f", b.Lower, b.Upper, b.Peers, b.Stated, b.True)
		}
	}
	return out
}
