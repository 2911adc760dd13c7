package operator

import (
	"fmt"
	"slices"
	"time"
)

// Labelled is a peer or address of which the truth is known.
type Labelled struct {
	Operator Operator  // who really runs it; empty if the label does not say
	Hosting  string    // on whose land it really stands; empty if the label does not say
	Entry    string    // ID of the registry entry that really runs it; empty if the label does not say
	Seen     time.Time // when that was found out; zero if the label does not say
	Traits   Traits    // what Canopy would know of it
}

// Confusion counts labels against verdicts.
type Confusion struct {
	Classes []string `json:"classes"` // of rows and columns; the last column is unknown
	Counts  [][]int  `json:"counts"`  // [truth][verdict]
}

// NewConfusion makes an empty matrix; verdicts outside of classes count as the
// last of them.
func NewConfusion(classes ...string) *Confusion {
	c := &Confusion{Classes: classes, Counts: make([][]int, len(classes))}
	for i := range c.Counts {
		c.Counts[i] = make([]int, len(classes))
	}
	return c
}

// Add counts n labelled ones; a truth outside of the classes is an error.
func (c *Confusion) Add(truth, verdict string, n int) error {
	row, column := slices.Index(c.Classes, truth), slices.Index(c.Classes, verdict)
	if row < 0 {
		return fmt.Errorf("%q is no class; known are %v", truth, c.Classes)
	}
	if column < 0 {
		column = len(c.Classes) - 1
	}
	c.Counts[row][column] += n
	return nil
}

// Total is how many have been counted.
func (c *Confusion) Total() (n int) {
	for _, row := range c.Counts {
		for _, k := range row {
			n += k
		}
	}
	return n
}

// ClassScore says how well one or several classes are told from the rest.
type ClassScore struct {
	Classes   []string `json:"classes"`
	Labelled  int      `json:"labelled"`
	Right     int      `json:"right"`     // labelled and judged so
	Wrong     int      `json:"wrong"`     // judged so, labelled otherwise
	Unknown   int      `json:"unknown"`   // labelled so, left unknown
	Precision float64  `json:"precision"` // right among those judged so; 0 without any
	Recall    float64  `json:"recall"`    // right among all labelled so, the unknown included
	Decided   float64  `json:"decided"`   // right among those labelled so that were decided
}

// Score takes the given classes for one and scores it.
func (c *Confusion) Score(classes ...string) ClassScore {
	s := ClassScore{Classes: classes}
	last := len(c.Classes) - 1
	for i, row := range c.Counts {
		labelled := slices.Contains(classes, c.Classes[i])
		for j, n := range row {
			judged := slices.Contains(classes, c.Classes[j])
			switch {
			case labelled && judged:
				s.Right += n
			case judged:
				s.Wrong += n
			case labelled && j == last:
				s.Unknown += n
			}
			if labelled {
				s.Labelled += n
			}
		}
	}
	s.Precision = ratio(s.Right, s.Right+s.Wrong)
	s.Recall = ratio(s.Right, s.Labelled)
	s.Decided = ratio(s.Right, s.Labelled-s.Unknown)
	return s
}

func ratio(a, b int) float64 {
	if b == 0 {
		return 0
	}
	return float64(a) / float64(b)
}

// Bin is the peers whose leading probability lies in [Lower, Upper).
type Bin struct {
	Lower  float64 `json:"lower"`
	Upper  float64 `json:"upper"`
	Peers  int     `json:"peers"`
	Stated float64 `json:"stated"` // mean probability that was stated
	True   float64 `json:"true"`   // share in which the leaning was right
}

// Calibration is a reliability diagram of stated probabilities.
type Calibration struct {
	Bins  []Bin   `json:"bins"`
	Peers int     `json:"peers"` // with any evidence
	Error float64 `json:"error"` // expected calibration error: mean of |stated - true| over peers

	stated, right []float64
}

// bins is how many bins the diagram has between 1/3, the least probability
// that the likeliest of three kinds can have, and 1.
const bins = 10

// NewCalibration makes an empty diagram.
func NewCalibration() *Calibration {
	c := &Calibration{Bins: make([]Bin, bins), stated: make([]float64, bins), right: make([]float64, bins)}
	for i := range c.Bins {
		c.Bins[i].Lower, c.Bins[i].Upper = edge(i), edge(i+1)
	}
	return c
}

func edge(i int) float64 { return 1.0/3 + 2.0/3*float64(i)/bins }

// Add counts n peers with the same verdict. A verdict without evidence states
// no probability and is not counted.
func (c *Calibration) Add(truth Operator, v Verdict, n int) {
	if len(v.Evidence) == 0 || n == 0 {
		return
	}
	i := 0
	for i < bins-1 && v.Probability >= c.Bins[i].Upper {
		i++
	}
	c.Peers += n
	c.Bins[i].Peers += n
	c.stated[i] += float64(n) * v.Probability
	if v.Leaning == truth {
		c.right[i] += float64(n)
	}
	c.Error = 0
	for i := range c.Bins {
		if b := &c.Bins[i]; b.Peers > 0 {
			b.Stated, b.True = c.stated[i]/float64(b.Peers), c.right[i]/float64(b.Peers)
			c.Error += abs(c.stated[i]-c.right[i]) / float64(c.Peers)
		}
	}
}

func abs(x float64) float64 { return max(x, -x) }
