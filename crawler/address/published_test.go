package address

import (
	"encoding/csv"
	"net/netip"
	"os"
	"testing"

	"canopy/crawler/observation"
)

// TestHostingOfPublishedRanges holds the list of AS and the words against what
// clouds publish of themselves, which neither has seen. Addresses that no AS
// announces are left unknown; those that are decided must be right.
func TestHostingOfPublishedRanges(t *testing.T) {
	table := npmData(t)
	f, err := os.Open("testdata/clouds.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.Comment = '#'
	lines, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	verdicts := map[observation.Hosting]int{}
	dark, labelled := 0, 0
	for _, line := range lines[1:] {
		if line[1] != string(observation.HostingHosting) {
			continue
		}
		labelled++
		facts := table.Lookup(netip.MustParseAddr(line[0]))
		verdicts[facts.Hosting]++
		if facts.ASN == 0 {
			dark++
		}
	}
	unknown, right := verdicts[observation.HostingUnknown], verdicts[observation.HostingHosting]
	t.Logf("%d addresses of clouds: %v, of the unknown %d that no AS announces", labelled, verdicts, dark)
	if labelled != 2000 || right*1000 < (labelled-unknown)*970 || right*100 < (labelled-dark)*95 {
		t.Errorf("of %d addresses, %d of them announced, %d are known as hosting and %d are unknown", labelled, labelled-dark, right, unknown)
	}
}
