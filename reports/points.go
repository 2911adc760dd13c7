package reports

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"canopy/reports/page"
)

// points are the findings of a network in one sentence each, for those who read
// no further, and last what was not measured.
func (n *Network) points() []page.Point {
	var list []page.Point
	var missing []string
	add := func(section, subject, sentence string) {
		if sentence == "" {
			missing = append(missing, lower(subject))
			return
		}
		list = append(list, page.Point{Subject: subject, Sentence: ended(sentence), Target: n.slug + "-" + section})
	}
	if n.Absent == "" {
		add("trend", "Over time", n.trendPoint())
		add("before", "Since the period before", n.beforePoint())
		add("organisations", "The largest", n.largestPoint())
	}
	add("survival", "How long peers stay", n.survivalPoint())
	add("size", "How large it is", n.sizePoint())
	add("clearcut", "If the largest left", n.clearcutPoint())
	add("findability", "Newcomers and content", n.findabilityPoint())
	if len(missing) > 0 {
		list = append(list, page.Point{Subject: "Not in this report", Sentence: sentence(strings.Join(missing, "; ")) + "."})
	}
	return list
}

func (n *Network) trendPoint() string {
	if len(n.Used) < 2 {
		return ""
	}
	return n.landTrendFinding()
}

func (n *Network) beforePoint() string {
	b := n.Before
	if b == nil || b.Absent != "" {
		return ""
	}
	clear := slices.DeleteFunc(slices.Clone(b.Changes), func(c Change) bool { return !c.clear() })
	rank := func(c Change) int { // land and numbers say more by themselves than one end of a bound
		switch {
		case slices.ContainsFunc(n.Hosting, func(s Share) bool { return c.What == peersOn(s.Class) }):
			return 0
		case !c.Share:
			return 1
		}
		return 2
	}
	slices.SortStableFunc(clear, func(a, b Change) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(math.Abs(b.Difference.Value), math.Abs(a.Difference.Value)))
	})
	var changed []string
	for _, c := range clear {
		changed = append(changed, lower(c.What)+", by "+c.by())
	}
	if len(changed) == 0 {
		return fmt.Sprintf("None of %s changed clearly", plural(len(b.Changes), "figure"))
	}
	return "Clearly changed: " + strings.Join(changed[:min(3, len(changed))], "; ") + more(len(changed)-3)
}

// lower begins with a small letter.
func lower(s string) string {
	r, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToLower(r)) + s[size:]
}

func more(n int) string {
	if n <= 0 {
		return ""
	}
	return fmt.Sprintf("; %d more", n)
}

func (n *Network) largestPoint() string {
	if n.Organisations == nil {
		return ""
	}
	return n.organisationFinding()
}

func (n *Network) survivalPoint() string {
	if n.Survival == nil || n.Survival.main() == nil {
		return ""
	}
	return n.Survival.finding()
}

func (n *Network) sizePoint() string {
	if n.Size == nil || n.Size.Result == nil {
		return ""
	}
	return n.Size.finding()
}

func (n *Network) clearcutPoint() string {
	if n.Clearcut.main() == nil {
		return ""
	}
	return n.clearcutFinding()
}

func (n *Network) findabilityPoint() string {
	r := n.Findability
	if r == nil {
		return ""
	}
	answer := r.Newcomers.Answer(legible)
	if len(r.Content) > 0 {
		answer += " " + foundWords(r)
	}
	return answer
}
