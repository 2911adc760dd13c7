package operator

import (
	"strings"
	"testing"
	"time"
)

func TestLabelsMakePeersKnown(t *testing.T) {
	labelled, err := ReadLabelled(strings.NewReader("# from an experiment\noperator,entry,seen,peer_id,address,agent,protocols\n" +
		"commercial,pinata,2026-11-01T10:00:00Z,12D3KooWFirst,192.0.2.1,kubo/0.30.0,/ipfs/bitswap/1.2.0 /ipfs/id/1.0.0\n" +
		"commercial,,,12D3KooWSecond,,,\n"))
	if err != nil {
		t.Fatal(err)
	}
	if l := labelled[0]; l.Entry != "pinata" || !l.Seen.Equal(time.Date(2026, 11, 1, 10, 0, 0, 0, time.UTC)) || len(l.Traits.Protocols) != 2 {
		t.Errorf("%+v", l)
	}
	rules, err := Default().WithLabels(append(labelled, labelled[0])) // seen twice
	if err != nil {
		t.Fatal(err)
	}
	v := rules.Judge(Traits{PeerID: "12D3KooWFirst", Hosting: "hosting"})
	if v.Operator != Commercial || v.Entry != "pinata" || v.Evidence[0].Name != "registry:pinata:peer_id" {
		t.Errorf("verdict %+v", v)
	}
	if v := rules.Judge(Traits{PeerID: "12D3KooWSecond", Hosting: "hosting"}); v.Entry != "" {
		t.Errorf("a label without an entry named %s", v.Entry)
	}
	if v := Default().Judge(Traits{PeerID: "12D3KooWFirst"}); len(v.Evidence) != 0 {
		t.Error("the rules that were labelled from have changed")
	}
	if !strings.HasPrefix(rules.Version(), Default().Version()+"+") {
		t.Errorf("version %s does not tell that peers are known by labels", rules.Version())
	}
}

func TestLabelsThatCannotBeBelieved(t *testing.T) {
	for name, labelled := range map[string][]Labelled{
		"nobody": {{Entry: "nobody", Traits: Traits{PeerID: "p"}}},
		"pinata": {{Entry: "filebase", Traits: Traits{PeerID: "p"}}, {Entry: "pinata", Traits: Traits{PeerID: "p"}}},
	} {
		if _, err := Default().WithLabels(labelled); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ReadLabelled(strings.NewReader("operator,seen\ncommunity,yesterday\n")); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("moment: %v", err)
	}
}
