package address

import (
	"bufio"
	"hash/fnv"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"

	"canopy/analysis/operator"
	"canopy/crawler/observation"
)

// labelled is one line of testdata/labelled.csv.
type labelled struct {
	class, about string
	addr         netip.Addr
}

func readLabelled(t *testing.T) (out []labelled) {
	t.Helper()
	f, err := os.Open("testdata/labelled.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	about := ""
	for lines := bufio.NewScanner(f); lines.Scan(); {
		class, addr, ok := strings.Cut(lines.Text(), ",")
		switch {
		case strings.HasPrefix(class, "#"):
			about = lines.Text()
		case ok && addr != "address":
			out = append(out, labelled{class, about, netip.MustParseAddr(addr)})
		}
	}
	return out
}

func confusion() *operator.Confusion {
	var names []string
	for _, h := range observation.HostingClasses() {
		names = append(names, string(h))
	}
	return operator.NewConfusion(names...)
}

func show(t *testing.T, title string, c *operator.Confusion) {
	t.Helper()
	t.Logf("%s, %d networks; truth \\ verdict: %v", title, c.Total(), c.Classes)
	for i, row := range c.Counts {
		t.Logf("  %-13s %6d", c.Classes[i], row)
	}
	for _, classes := range [][]string{{"hosting"}, {"residential", "mobile"}, {"institutional"}} {
		s := c.Score(classes...)
		t.Logf("  %v: precision %.4f, recall %.4f, right if decided %.4f, unknown %.4f, n %d", classes, s.Precision, s.Recall, s.Decided, float64(s.Unknown)/float64(max(1, s.Labelled)), s.Labelled)
	}
}

// tuned says whether an AS is in the half of the labelled set that was looked at
// while the list and the words were made; the other half is the result. AS are
// split whole, so that no row of one half tells about the other.
func tuned(asn uint32) bool {
	h := fnv.New32a()
	_, _ = h.Write([]byte(strconv.FormatUint(uint64(asn), 10)))
	return h.Sum32()%2 == 0
}

// TestLabelledSet holds the AS list and the words against what others say of
// access networks in 60 countries, of clouds and of small hosters: with all in
// place, which is what make data gives, and with the lines on exactly these AS
// withheld, so that words alone decide. What counts is the half that was not
// looked at.
func TestLabelledSet(t *testing.T) {
	table, rules := npmData(t), classesOf(t)
	withheld := &classes{known: map[uint32]Evidence{}, words: rules.words, loose: rules.loose}
	before, all, held, clouds := confusion(), confusion(), confusion(), confusion()
	add := func(c *operator.Confusion, truth string, verdict observation.Hosting) {
		if err := c.Add(truth, string(verdict), 1); err != nil {
			t.Fatal(err)
		}
	}
	for _, l := range readLabelled(t) {
		facts, _, matches := table.Explain(l.addr)
		if tuned(facts.ASN) {
			add(before, l.class, facts.Hosting)
			continue
		}
		add(all, l.class, facts.Hosting)
		if !strings.HasPrefix(l.about, "# tag vpsh") {
			add(clouds, l.class, facts.Hosting)
		}
		name := ""
		if len(matches) > 0 {
			name = matches[0].Name
		}
		add(held, l.class, withheld.judge(facts.ASN, name).Hosting)
	}
	show(t, "the half that was looked at", before)
	show(t, "result", all)
	show(t, "result without hosters that publish no ranges", clouds)
	show(t, "result by words alone", held)
	if n := before.Total() + all.Total(); n < 20_000 {
		t.Errorf("%d networks are labelled", n)
	}
	for _, c := range []struct {
		what              string
		s                 operator.ClassScore
		precision, recall float64
	}{
		{"hosting that is published", clouds.Score("hosting"), 0.97, 0.97},
		{"hosting", all.Score("hosting"), 0.97, 0.97},
		{"residential or mobile", all.Score("residential", "mobile"), 0.95, 0.95},
		{"residential or mobile by words alone", held.Score("residential", "mobile"), 0.95, 0.6},
	} {
		if c.s.Precision < c.precision || c.s.Recall < c.recall || c.s.Decided < 0.95 {
			t.Errorf("%s: %+v, want precision %.2f and recall %.2f", c.what, c.s, c.precision, c.recall)
		}
	}
}
