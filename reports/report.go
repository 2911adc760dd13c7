// Package reports decides which figures and tables make a report, and writes
// it: one HTML page, each figure as PNG and SVG, and figures.json with every
// number. It reads the record through the packages of analysis and judges
// nothing itself.
package reports

import (
	"time"

	"canopy/analysis"
	"canopy/analysis/churn"
	"canopy/analysis/concentration"
	"canopy/analysis/findability"
	"canopy/analysis/identity"
	"canopy/analysis/reachability"
	"canopy/analysis/shares"
)

// Cell names the cell of the counting matrix that headlines are in.
const Cell = "mean of snapshots, per reachable peer"

// Report is everything that a report says. It is also figures.json.
type Report struct {
	Generated    time.Time `json:"generated"`
	Software     string    `json:"software"`
	From         time.Time `json:"from,omitzero"` // of the period asked for, zero if open
	To           time.Time `json:"to,omitzero"`
	Cell         string    `json:"cell"`
	Rules        string    `json:"rules"`     // version of the rules that judge who runs a peer
	Synthetic    bool      `json:"synthetic"` // some of it was measured on a local network
	Networks     []Network `json:"networks"`
	Attributions []string  `json:"attributions"` // where the facts come from, one line each
	Warnings     []string  `json:"warnings"`
	Files        []string  `json:"files"` // that stand beside the page
}

// Network is what the period shows of one network within one scope.
type Network struct {
	Name   string `json:"name"`  // in the record
	Title  string `json:"title"` // for people
	window analysis.Window
	slug   string // in file names and links, unique in the report

	perUsed []int              // peers that count in each crawl that counts
	nobody  *analysis.Estimate // share of a class that nobody is in

	published bool              // read from a dataset
	plain     map[string]string // organisations by the number of their AS
	Identity  string            `json:"identity,omitempty"` // what makes one peer
	Scope     string            `json:"scope"`              // global, or local for a synthetic network

	Crawls []reachability.Crawl `json:"crawls"`           // all that have ended
	Used   []string             `json:"used"`             // IDs of those that the shares are made of
	Absent string               `json:"absent,omitempty"` // why there are no shares, empty if there are

	Peers         int                `json:"peers"`           // distinct reachable peers
	PerCrawl      float64            `json:"peers_per_crawl"` // mean reachable peers of a crawl
	Hosting       []Share            `json:"hosting"`
	Operator      []Judged           `json:"operator"`             // as far as the evidence decides
	Bounds        []Judged           `json:"operator_bound"`       // the same, with the error that the evidence is allowed
	Registered    []Registered       `json:"registered_operators"` // entries of the registry that run peers
	Venture       *analysis.Estimate `json:"venture,omitempty"`    // share run by companies that live on venture capital and whose core is peer-to-peer
	Undecided     *analysis.Estimate `json:"undecided,omitempty"`  // share of peers for which the evidence decides nothing
	Matrix        []Land             `json:"hosting_by_operator"`
	Trend         []Trend            `json:"hosting_by_crawl"`
	OperatorTrend []Trend            `json:"operator_by_crawl"` // as far as the evidence decides
	Operators     *Concentration     `json:"operators,omitempty"`
	Organisations *Concentration     `json:"organisations,omitempty"`
	Countries     *Concentration     `json:"countries,omitempty"`
	Prefixes      *Concentration     `json:"prefixes,omitempty"`
	Counting      *Counting          `json:"counting,omitempty"`
	Clients       []Share            `json:"clients"` // families, largest first
	Agents        []Share            `json:"agents"`  // as announced, largest first
	OtherAgents   *Share             `json:"other_agents,omitempty"`

	Answered    *analysis.Estimate    `json:"answered,omitempty"` // share of discovered peers that answered
	Outcomes    []Outcome             `json:"outcomes"`
	Tables      []reachability.Tables `json:"tables_read"`
	Facts       []reachability.Source `json:"fact_sources"`
	Sessions    *Sessions             `json:"sessions,omitempty"`
	Aside       *identity.Result      `json:"set_aside,omitempty"` // who is left out of the shares, and why
	Size        *Size                 `json:"size,omitempty"`
	Clearcut    *Clearcut             `json:"clearcut,omitempty"`
	Findability *findability.Result   `json:"findability,omitempty"` // from checks
	Survival    *Survival             `json:"survival,omitempty"`    // from probes

	Capabilities []Capability `json:"capabilities"`     // of those asked
	Before       *Before      `json:"before,omitempty"` // nil if the period has no beginning
	Published    []Published  `json:"published"`        // figures of others in the same unit
	Warnings     []string     `json:"warnings"`
}

// Share is the share of one class.
type Share struct {
	Class string            `json:"class"`
	Share analysis.Estimate `json:"share"`
}

// Judged is the share of one kind of operator: by the likeliest kind of each
// peer, with the bound from what the evidence decides.
type Judged struct {
	Class string `json:"class"`
	shares.Bounded
}

// Land is one hosting class and who runs the peers on it.
type Land struct {
	Hosting   string            `json:"hosting"`
	Share     analysis.Estimate `json:"share"`
	Operators []Judged          `json:"operators"` // shares of all peers, not of this class
	Undecided analysis.Estimate `json:"undecided"`
}

// Trend is the share of one class in each crawl used.
type Trend struct {
	Class  string              `json:"class"`
	Shares []analysis.Estimate `json:"shares"`
}

// Concentration is how few hold how much, and the largest of them. Shares of
// the largest are of all reachable peers; the indices are over those peers
// whose holder is known.
type Concentration struct {
	concentration.Result
	Known   analysis.Estimate   `json:"known"` // share of reachable peers whose holder is known
	Largest []Share             `json:"largest"`
	Trend   []analysis.Estimate `json:"effective_by_crawl,omitempty"` // effective number of holders in each crawl used
}

// Outcome is how many visits ended in one way.
type Outcome struct {
	reachability.Outcome
	Share analysis.Estimate `json:"share"`
}

// Sessions is what the crawls show of coming and going.
type Sessions struct {
	churn.Result
	AllShare analysis.Estimate `json:"share_in_all"`
	OneShare analysis.Estimate `json:"share_in_one"`
}
