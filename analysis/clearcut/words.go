package clearcut

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// nearest lists the few of some names that are most like a name which none of
// them is: those that hold it, or that it holds, then those with the fewest
// edits.
func nearest(name string, names []string) []string {
	const most = 3
	wanted := strings.ToLower(name)
	distance := func(s string) int {
		s = strings.ToLower(s)
		if strings.Contains(s, wanted) || strings.Contains(wanted, s) {
			return 0
		}
		return edits(wanted, s)
	}
	names = slices.Clone(names)
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Or(cmp.Compare(distance(a), distance(b)), cmp.Compare(a, b)) })
	return names[:min(most, len(names))]
}

// edits is Levenshtein's distance in bytes.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
