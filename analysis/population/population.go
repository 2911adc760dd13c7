// Package population estimates how large a network is that is too large to be
// walked whole: from one zone of its key space and nodes in it that are known
// to be alive, from the distances that lookups find, and from two crawls of
// the same zone. It says whether the three agree.
//
// A zone is all keys that share a prefix; node IDs are taken to be uniform, so
// a zone of n bits holds a share of 2^-n of the nodes, but for chance.
package population

import (
	"fmt"
	"math"

	"canopy/analysis"
)

const level = 0.95

// Marks are nodes of a zone that were known to be alive before it was walked,
// and how many of them were found. Planted ones are our own and no part of the
// network; confirmed ones are part of it and answered by another path.
type Marks struct {
	Planted        int `json:"planted"`
	PlantedFound   int `json:"planted_found"`
	Confirmed      int `json:"confirmed"`
	ConfirmedFound int `json:"confirmed_found"`
}

// Total is the number of marked nodes, x.
func (m Marks) Total() int { return m.Planted + m.Confirmed }

// Found is how many of them were found, m.
func (m Marks) Found() int { return m.PlantedFound + m.ConfirmedFound }

// Distances are what lookups of random targets found: the XOR distance of the
// k-th closest node that answers, as a share of the key space.
type Distances struct {
	K       int     `json:"k"`
	Lookups int     `json:"lookups"` // that found k nodes
	Short   int     `json:"short"`   // that found fewer, and are left out
	Sum     float64 `json:"sum"`     // of the distances
	Marks   Marks   `json:"marks"`   // whether lookups aimed at marked nodes found them
}

// Pair is two walks of one zone.
type Pair struct {
	First  int `json:"first"`  // nodes that answered the first
	Second int `json:"second"` // the second
	Both   int `json:"both"`
}

// Evidence is all that the record holds of one zone. Nodes are distinct
// identities that answered; our own are left out.
type Evidence struct {
	Bits      int        `json:"bits"`  // length of the zone's prefix; 0 is the whole network
	Found     int        `json:"found"` // z: nodes found in the zone, confirmed ones included
	SetAside  int        `json:"set_aside"`
	Marks     Marks      `json:"marks"`
	Distances *Distances `json:"distances,omitempty"` // nil: no lookups
	Pair      *Pair      `json:"pair,omitempty"`      // nil: one crawl only
	Cells     []int      `json:"cells,omitempty"`     // nodes in each of the equal parts of the zone
}

// Answer is an estimate, or the reason why there is none.
type Answer struct {
	Estimate *analysis.Estimate `json:"estimate,omitempty"`
	Absent   string             `json:"absent,omitempty"`
}

func absent(format string, args ...any) Answer { return Answer{Absent: fmt.Sprintf(format, args...)} }

// Size is the answer to how large a network is, in three ways.
type Size struct {
	Evidence   Evidence  `json:"evidence"`
	Corrected  Answer    `json:"corrected"`             // the zone, corrected by marked nodes
	Distances  Answer    `json:"distances"`             // lookup distances
	Floor      Answer    `json:"floor"`                 // two crawls: a floor
	Naive      float64   `json:"naive"`                 // the zone times 2^n, uncorrected
	NaiveError *float64  `json:"naive_error,omitempty"` // of Naive, relative to Corrected
	Agreement  Agreement `json:"agreement"`
	Warnings   []string  `json:"warnings,omitempty"`
}

// Compute makes all that the evidence allows.
func Compute(e Evidence) Size {
	s := Size{
		Evidence: e, Corrected: Corrected(e.Bits, e.Found, e.Marks),
		Distances: absent("no lookups were made"), Floor: absent("the zone was walked once only"),
		Naive: math.Ldexp(float64(e.Found), e.Bits), Warnings: append(e.Marks.warnings(), crowded(e.Cells)...),
	}
	if e.Distances != nil {
		s.Distances = e.Distances.estimate()
	}
	if e.Pair != nil {
		s.Floor = Recaptured(e.Bits, *e.Pair)
	}
	if c := s.Corrected.Estimate; c != nil && c.Value > 0 {
		relative := s.Naive/c.Value - 1
		s.NaiveError = &relative
	}
	if e.SetAside > 0 {
		s.Warnings = append(s.Warnings, fmt.Sprintf("%d answers were set aside: one ID at several endpoints, or several IDs at one endpoint", e.SetAside))
	}
	s.Agreement = s.agree()
	return s
}

// CorrectedMethod says in one sentence how [Corrected] computes.
const CorrectedMethod = "planted-node correction (Wang & Kangasharju, P2P 2013): N = 2^n (u/p + c), u nodes found in the zone beside the c of " +
	"the network that were confirmed beforehand, p = m/x the share that the walk found of x nodes, planted or confirmed, known to be alive there, with 1/p as (x+1)/(m+1), " +
	"which is unbiased (Chapman 1951); interval: the Wilson interval of p and the exact interval of the " +
	"count combined on the log scale (MOVER, Zou & Donner 2008)"

// Corrected estimates the number of nodes from found ones in a zone of the
// given bits and marks in it. Planted marks are not among found, those
// confirmed that were found are.
func Corrected(bits, found int, m Marks) Answer {
	x, hit := m.Total(), m.Found()
	switch {
	case bits < 0 || bits > 160 || found < 0 || m.Planted < 0 || m.Confirmed < 0 || m.PlantedFound < 0 || m.ConfirmedFound < 0 ||
		m.PlantedFound > m.Planted || m.ConfirmedFound > m.Confirmed || m.ConfirmedFound > found:
		return absent("the counts contradict each other: %d found in %d bits, marks %+v", found, bits, m)
	case x == 0:
		return absent("no node in the zone was known to be alive beforehand, so what the walk missed is unknown")
	case hit == 0:
		return absent("the walk found none of %d nodes known to be alive in the zone", x)
	case found-m.ConfirmedFound == 0:
		return absent("the walk found nobody in the zone who was not known before: the zone is too small")
	}
	e := marked(bits, found-m.ConfirmedFound, m.Confirmed, x, hit)
	e.N, e.NUnit, e.Method = found, fmt.Sprintf("nodes found in a zone of %d bits, %d of %d marked nodes", bits, hit, x), CorrectedMethod
	return Answer{Estimate: &e}
}

// RecapturedMethod says in one sentence how [Recaptured] computes.
const RecapturedMethod = "capture and recapture by two crawls, Chapman's (n1+1)(n2+1)/(m+1)-1 times 2^n; a floor where some nodes are harder to find than others, " +
	"since both crawls miss those; nodes that left between the crawls raise it; interval as for the planted-node correction, with the first crawl as marks"

// Recaptured estimates the number of nodes from two walks of one zone.
func Recaptured(bits int, p Pair) Answer {
	switch {
	case bits < 0 || bits > 160 || p.Both < 0 || p.Both > p.First || p.Both > p.Second:
		return absent("the counts contradict each other: %+v in %d bits", p, bits)
	case p.First == 0 || p.Second == 0:
		return absent("one of the two crawls found nobody in the zone")
	case p.Both == 0:
		return absent("the two crawls found no node in common")
	}
	e := marked(bits, p.Second-p.Both, p.First, p.First, p.Both)
	e.N, e.NUnit, e.Method = p.First+p.Second-p.Both, "nodes found by two crawls of the zone", RecapturedMethod
	return Answer{Estimate: &e}
}

// DistancesMethod says in one sentence how lookup distances are used.
const DistancesMethod = "lookup distances: n = (N k - 1) / sum of r_k over N lookups of random targets, r_k the XOR distance of the k-th closest node that answers " +
	"as a share of the key space, divided by the share p of marked nodes that lookups aimed near them find; exact chi-squared interval, combined with the Wilson " +
	"interval of p on the log scale"

// estimate makes the number of nodes from distances.
func (d *Distances) estimate() Answer {
	n, x, hit := float64(d.Lookups)*float64(d.K), d.Marks.Total(), d.Marks.Found()
	switch {
	case d.K < 1 || d.Lookups < 1 || n < 2:
		return absent("no lookup found as many nodes as it should")
	case !(d.Sum > 0) || d.Sum > float64(d.Lookups) || hit > x || hit < 0:
		return absent("the distances of the lookups contradict each other")
	case 2*hit < x: // then they miss together what is near a target, and no share of misses corrects that
		return absent("lookups found %d of %d nodes known to be alive: most end beside their targets, and their distances tell nothing", hit, x)
	}
	f := factor{n / d.Sum, quantile(n, (1-level)/2) / d.Sum, quantile(n, (1+level)/2) / d.Sum}
	value := (n - 1) / d.Sum
	if x > 0 {
		f = product(f, missed(x, hit))
		value *= unbiased(x, hit)
	}
	e := f.around(value)
	e.N, e.NUnit, e.Method = d.Lookups, fmt.Sprintf("lookups of the %d closest nodes, %d of %d marked nodes found by lookups", d.K, hit, x), DistancesMethod
	if x == 0 {
		e.Warnings = append(e.Warnings, "not corrected for nodes that lookups miss, since none was known beforehand: a floor")
	}
	if d.Short > 0 {
		e.Warnings = append(e.Warnings, fmt.Sprintf("%d lookups found fewer than %d nodes and are left out", d.Short, d.K))
	}
	return Answer{Estimate: &e}
}
