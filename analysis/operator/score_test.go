package operator

import (
	"math"
	"strings"
	"testing"
)

func TestConfusion(t *testing.T) {
	c := NewConfusion("a", "b", "unknown")
	for _, x := range []struct {
		truth, verdict string
		n              int
	}{{"a", "a", 6}, {"a", "b", 1}, {"a", "unknown", 3}, {"b", "b", 8}, {"b", "a", 2}, {"b", "what", 1}} {
		if err := c.Add(x.truth, x.verdict, x.n); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Add("what", "a", 1); err == nil || !strings.Contains(err.Error(), `"what" is no class`) {
		t.Errorf("a truth that is no class: %v", err)
	}
	s := c.Score("a")
	if s.Labelled != 10 || s.Right != 6 || s.Wrong != 2 || s.Unknown != 3 || s.Precision != 0.75 || s.Recall != 0.6 || math.Abs(s.Decided-6.0/7) > 1e-12 {
		t.Errorf("%+v", s)
	}
	if both := c.Score("a", "b"); both.Right != 17 || both.Wrong != 0 || both.Unknown != 4 || both.Labelled != 21 {
		t.Errorf("%+v", both)
	}
	if c.Total() != 21 {
		t.Errorf("total %d", c.Total())
	}
}

func TestCalibrationError(t *testing.T) {
	c := NewCalibration()
	some := []Evidence{{Name: "x"}}
	c.Add(Community, Verdict{Leaning: Community, Probability: 0.8, Evidence: some}, 6)
	c.Add(Commercial, Verdict{Leaning: Community, Probability: 0.8, Evidence: some}, 4)
	c.Add(Commercial, Verdict{Leaning: Commercial, Probability: 0.999, Evidence: some}, 10)
	c.Add(Commercial, Verdict{Leaning: Unknown}, 5) // says nothing, so it can't be wrong
	if c.Peers != 20 || math.Abs(c.Error-(0.5*0.2+0.5*0.001)) > 1e-9 {
		t.Errorf("%d peers, error %v", c.Peers, c.Error)
	}
}

func TestReadLabelled(t *testing.T) {
	for name, text := range map[string]string{
		"csv":  "# of 2026\noperator,address,protocols,siblings,asn\ncommunity,::ffff:192.0.2.1,/a /b,3,4294967295\n",
		"json": `{"operator":"community","address":"192.0.2.1","protocols":["/a","/b"],"siblings":3,"asn":4294967295}` + "\n\n",
	} {
		got, err := ReadLabelled(strings.NewReader(text))
		if err != nil || len(got) != 1 {
			t.Fatalf("%s: %v, %v", name, got, err)
		}
		if l := got[0]; l.Operator != Community || l.Traits.Address.String() != "192.0.2.1" || l.Traits.Siblings != 3 || l.Traits.ASN != 1<<32-1 || len(l.Traits.Protocols) != 2 {
			t.Errorf("%s: %+v", name, l)
		}
	}
	for text, want := range map[string]string{
		"": "empty", "<html>": "HTML", "operator\n": "no line", "operator\nunknown\n": "line 2", "operator,asn\ncommunity,-1\n": "asn", "operator,asn\ncommunity,4294967296\n": "asn",
		"operator,siblings\ncommunity,-1\n": "negative", "{\"operator\":\"community\"}\n{\"colour\":1}\n": "line 2", "operator,address\ncommunity,192.0.2.300\n": "line 2",
		"{" + strings.Repeat(" ", maxLine) + "\n": "line 1",
	} {
		if _, err := ReadLabelled(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.40q: got %v, want %q", text, err, want)
		}
	}
}

func FuzzReadLabelled(f *testing.F) {
	f.Add("operator,address\ncommunity,192.0.2.1\n")
	f.Add(`{"operator":"commercial","siblings":7}`)
	f.Add("true_hosting,protocols\nhosting,\"/a /b\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		peers, err := ReadLabelled(strings.NewReader(text))
		if (err == nil) != (len(peers) > 0) {
			t.Fatalf("%d peers, %v", len(peers), err)
		}
		for _, p := range peers {
			if p.Operator == "" && p.Hosting == "" {
				t.Fatalf("without label: %+v", p)
			}
			Default().Judge(p.Traits)
		}
	})
}
