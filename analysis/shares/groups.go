package shares

// ByGroups counts the cells that groups of reachable peers tell: per peer, and
// per AS organisation. class is a group's place in classes, organisation whose
// land it stands on, empty if it is not known.
func ByGroups(groups []Group, classes []string, class func(group int) int, organisation func(group int) string) ([]Cell, error) {
	s, err := NewSample("reachable peers", groups)
	if err != nil {
		return nil, err
	}
	n := s.Peers()
	mean := Cell{Over: Mean, Per: "peer", Of: Reachable, Units: n}
	union := Cell{Over: Union, Per: "peer", Of: Reachable, Units: n}
	for c, name := range classes {
		peers := 0
		for i, g := range groups {
			if class(i) == c {
				peers += g.Peers
			}
		}
		mean.Classes = append(mean.Classes, ClassShare{name, s.Share(func(i int) bool { return class(i) == c })})
		union.Classes = append(union.Classes, ClassShare{name, Proportion(peers, n, "share of reachable peers, "+Union, "reachable peers in "+crawls(len(s.totals)))})
	}
	t := tally{unit: "AS organisation", classes: classes, crawls: len(s.totals), counts: map[mark]int{}}
	for _, marks := range organisations(groups, class, organisation) {
		for _, m := range marks {
			t.counts[m]++
		}
		t.sample = append(t.sample, marks)
	}
	return append([]Cell{mean, union}, t.cells()...), nil
}

// organisations returns the marks of each organisation.
func organisations(groups []Group, class func(int) int, organisation func(int) string) map[string][]mark {
	type moment struct {
		organisation string
		crawl        int
	}
	classes := map[moment]int{}
	for i, g := range groups {
		name := organisation(i)
		if name == "" {
			continue
		}
		for t, n := range append([]int{g.Peers}, g.Counts...) {
			if n == 0 {
				continue
			}
			at := moment{name, t}
			if have, ok := classes[at]; ok && have != class(i) {
				classes[at] = mixed
			} else {
				classes[at] = class(i)
			}
		}
	}
	marks := map[string][]mark{}
	for at, c := range classes {
		marks[at.organisation] = append(marks[at.organisation], mark{true, at.crawl, c})
	}
	return marks
}
