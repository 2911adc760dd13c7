package shares

import (
	"strings"
	"testing"

	"canopy/analysis/operator"
)

// group is n peers of one crawl of ten.
func group(n int, v operator.Verdict, marks operator.Marks) operator.Group {
	return operator.Group{Verdict: v, Marks: marks, Peers: n, Counts: []int{n}, Weight: float64(n) / 10, Squares: float64(n) / 100}
}

// By hand: 5 peers community at 0.9, 3 commercial at 0.8, 2 of which nothing is
// known. Expected community: 0.5*0.9 + 0.3*0.1 + 0.2/3; without trust in the
// reasons the interval is wide, with much of it narrow.
func TestOperatorsByHand(t *testing.T) {
	reason := []operator.Evidence{{Name: "a"}}
	groups := []operator.Group{
		group(5, operator.Verdict{Operator: operator.Community, Leaning: operator.Community, Probability: 0.9, Evidence: reason}, operator.Marks{}),
		group(3, operator.Verdict{Operator: operator.Commercial, Leaning: operator.Commercial, Probability: 0.8}, operator.Marks{}),
		group(2, operator.Verdict{Operator: operator.Unknown, Leaning: operator.Unknown}, operator.Marks{}),
	}
	none, err := Operators(groups, 0)
	if err != nil {
		t.Fatal(err)
	}
	much, err := Operators(groups, 1000)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "community", none[0].Share.Value, 0.45+0.03+0.2/3, 1e-12)
	sum := 0.0
	for i, o := range none {
		sum += o.Share.Value
		wide, narrow := o.Share, much[i].Share
		if wide.Upper-wide.Lower <= narrow.Upper-narrow.Lower || narrow.Lower > narrow.Value || narrow.Upper < narrow.Value {
			t.Errorf("%s: %v to %v without trust, %v to %v with", o.Kind, wide.Lower, wide.Upper, narrow.Lower, narrow.Upper)
		}
		if lower, upper := operator.Bound(groups, o.Kind); o.AtLeast != lower || o.AtMost != upper {
			t.Errorf("%s: bound %v to %v", o.Kind, o.AtLeast, o.AtMost)
		}
	}
	near(t, "all kinds", sum, 1, 1e-12)
	if _, err := Operators(nil, 20); err == nil || !strings.Contains(err.Error(), "no reachable peers") {
		t.Errorf("a network without peers: %v", err)
	}
}

// The share of venture-backed companies is what is named; who is not named may
// be one, who is named and is none may not.
func TestMarkedShare(t *testing.T) {
	venture := operator.Marks{Company: true, Core: true, Venture: true}
	company := func(entry string) operator.Verdict {
		return operator.Verdict{Operator: operator.Commercial, Leaning: operator.Commercial, Probability: 1, Entry: entry}
	}
	groups := []operator.Group{
		group(3, company("startup"), venture),
		group(2, company("old-house"), operator.Marks{Company: true}),
		group(1, company(""), operator.Marks{}),
		group(4, operator.Verdict{Operator: operator.Community, Leaning: operator.Community, Probability: 1}, operator.Marks{}),
	}
	m, err := Marked(groups, 20, func(m operator.Marks) bool { return m.Company && m.Core && m.Venture })
	if err != nil {
		t.Fatal(err)
	}
	near(t, "share", m.Share.Value, 0.3, 1e-12)
	near(t, "at least", m.AtLeast, 0.3, 1e-12)
	near(t, "at most", m.AtMost, 0.4, 1e-12)
	if m.Share.Lower > 0.3 || m.Share.Upper < 0.3 || m.Share.Lower == m.Share.Upper {
		t.Errorf("interval %v to %v", m.Share.Lower, m.Share.Upper)
	}
	if groups[2].Verdict.Operator != operator.Commercial {
		t.Error("the caller's groups were changed")
	}
}
