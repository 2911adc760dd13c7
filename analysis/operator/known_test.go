package operator

import (
	"strings"
	"testing"
	"time"

	"canopy/crawler/identifier"
)

func TestLabelsMakePeersKnown(t *testing.T) {
	labelled, err := ReadLabelled(strings.NewReader("\xef\xbb\xbf# from an experiment\noperator,entry,seen,peer_id,address,agent,protocols\n" +
		"commercial,pinata,2026-11-01T10:00:00Z,bafzaajaiaejcak6ya3ex6dqav4nb7qzsr6twhkjgs4r4rw4pvrhzhl3r3mmg23uq,192.0.2.1,kubo/0.30.0,/ipfs/bitswap/1.2.0 /ipfs/id/1.0.0\n" +
		"commercial,,,QmX4zTUJa1vDXjw3mTxwXBdCd9gThbggaHFGhA1QpnKdK6,,,\n"))
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
	for _, id := range identifier.Spellings("12D3KooWCmWkjFhvwWE4WnFjpaiB1aCZfnLqKtHYb6HqH3JDuzxP") {
		v := rules.Judge(Traits{PeerID: id, Hosting: "hosting"})
		if v.Operator != Commercial || v.Entry != "pinata" || v.Evidence[0].Name != "registry:pinata:peer_id" {
			t.Errorf("%s: verdict %+v", id, v)
		}
	}
	if v := rules.Judge(Traits{PeerID: "QmX4zTUJa1vDXjw3mTxwXBdCd9gThbggaHFGhA1QpnKdK6", Hosting: "hosting"}); v.Entry != "" {
		t.Errorf("a label without an entry named %s", v.Entry)
	}
	if v := Default().Judge(Traits{PeerID: "12D3KooWCmWkjFhvwWE4WnFjpaiB1aCZfnLqKtHYb6HqH3JDuzxP"}); len(v.Evidence) != 0 {
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
	for field, value := range map[string]string{"peer_id": "12D3KooWCmWkjFhvwWE4WnFjpaiB1aCZfnLqKtHYb6HqH3JDuzx", "address": "192.0.2.1:4001"} {
		_, err := ReadLabelled(strings.NewReader("operator," + field + "\ncommunity,\ncommunity," + value + "\n"))
		if err == nil || !strings.Contains(err.Error(), "line 3: "+field+": ") || !strings.Contains(err.Error(), value) {
			t.Errorf("%s %s: %v", field, value, err)
		}
	}
	if _, err := ReadLabelled(strings.NewReader("operator,seen\ncommunity,yesterday\n")); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("moment: %v", err)
	}
}
