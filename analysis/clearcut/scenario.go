package clearcut

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// Scenario is a removal as a document that others can run again: which crawl,
// who leaves, how much is simulated. As YAML its keys are those of the JSON.
type Scenario struct {
	Name        string  `yaml:"name" json:"name,omitempty"` // what happens, such as "this company shuts down"
	Network     string  `yaml:"network" json:"network"`     // may be empty if the record holds one only
	Crawl       string  `yaml:"crawl" json:"crawl"`         // ID; empty: the latest whole one with tables
	Remove      Removal `yaml:"remove" json:"remove"`
	Lookups     int     `yaml:"lookups" json:"lookups"`         // of each removal; 0: 2000
	Repetitions int     `yaml:"repetitions" json:"repetitions"` // random sets; 0: 5
	Seed        uint64  `yaml:"seed" json:"seed"`
}

// Removal says who leaves. The lists add up; they leave all at once. Largest
// and Random stand for themselves.
type Removal struct {
	Operators     []string `yaml:"operators" json:"operators,omitempty"` // names of who runs peers, or a kind: community, commercial, institutional
	Organisations []string `yaml:"organisations" json:"organisations,omitempty"`
	Countries     []string `yaml:"countries" json:"countries,omitempty"` // ISO 3166-1 alpha-2
	Hosting       []string `yaml:"hosting" json:"hosting,omitempty"`     // hosting classes
	Largest       int      `yaml:"largest" json:"largest,omitempty"`     // the largest holders, one after the other
	By            string   `yaml:"by" json:"by,omitempty"`               // of which kind Largest are: operator (default), organisation, country, hosting
	Random        float64  `yaml:"random" json:"random,omitempty"`       // share of the living peers, drawn at random
}

const (
	maxScenario = 1 << 20 // bytes
	maxLookups  = 10_000_000
	maxSets     = 10_000
)

// ReadScenario reads a scenario file. Unknown keys and wrong values are errors
// that name the line.
func ReadScenario(r io.Reader) (Scenario, error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxScenario+1))
	if err != nil {
		return Scenario{}, fmt.Errorf("read scenario: %w", err)
	}
	if len(raw) > maxScenario {
		return Scenario{}, fmt.Errorf("read scenario: it is longer than %d bytes", maxScenario)
	}
	var s Scenario
	if err := yaml.NewDecoder(bytes.NewReader(raw), yaml.Strict()).Decode(&s); err != nil && !errors.Is(err, io.EOF) {
		return Scenario{}, fmt.Errorf("read scenario: %s", located(err))
	}
	if err := s.Check(); err != nil {
		return Scenario{}, fmt.Errorf("read scenario: %w", err)
	}
	return s, nil
}

// located is an error of YAML on one line: "line 3, column 1: ...".
func located(err error) string {
	var syntax yaml.Error
	if !errors.As(err, &syntax) || syntax.GetToken() == nil || syntax.GetToken().Position == nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		return first
	}
	at := syntax.GetToken().Position
	return fmt.Sprintf("line %d, column %d: %s", at.Line, at.Column, strings.ReplaceAll(syntax.GetMessage(), "\n", " "))
}

// Check says what is wrong with a scenario.
func (s Scenario) Check() error {
	r := s.Remove
	listed := len(r.Operators)+len(r.Organisations)+len(r.Countries)+len(r.Hosting) > 0
	ways := 0
	for _, given := range []bool{listed, r.Largest != 0, r.Random != 0} {
		if given {
			ways++
		}
	}
	switch {
	case ways == 0:
		return errors.New("it removes nobody: name operators, organisations, countries or hosting classes, or give largest or random")
	case ways > 1:
		return errors.New("names, largest and random exclude each other: write a scenario for each")
	case r.Largest < 0:
		return fmt.Errorf("largest %d: want 1 or more", r.Largest)
	case !(r.Random >= 0 && r.Random < 1):
		return fmt.Errorf("random %g: want a share between 0 and 1", r.Random)
	case r.By != "" && r.Largest == 0:
		return errors.New("by goes with largest only")
	case r.By != "" && !slices.Contains(Kinds(), r.By):
		return fmt.Errorf("by %q: want one of %s", r.By, strings.Join(Kinds(), ", "))
	case s.Lookups < 0 || s.Lookups > maxLookups:
		return fmt.Errorf("lookups %d: want 1 to %d", s.Lookups, maxLookups)
	case s.Repetitions < 0 || s.Repetitions > maxSets:
		return fmt.Errorf("repetitions %d: want 1 to %d", s.Repetitions, maxSets)
	}
	return nil
}
