package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"canopy/crawler/identifier"
	"canopy/crawler/observation"
	"canopy/crawler/store/storetest"
	"canopy/crawler/testnet"
)

// crawlVisits crawls a local network and returns each peer's visit.
func crawlVisits(t *testing.T, network, bootstrap, store string, args ...string) map[string]observation.Visit {
	t.Helper()
	file := filepath.Join(t.TempDir(), "visits.ndjson")
	r := canopy(t, append([]string{"crawl", network, "--local", "--bootstrap", bootstrap, "--visits", file, "--store", store}, args...)...)
	if r.code != exitDone {
		t.Fatalf("crawl %s %q: exit code %d: %s%s", network, args, r.code, r.stdout, r.stderr)
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	visits := map[string]observation.Visit{}
	for line := range strings.Lines(string(raw)) {
		var v observation.Visit
		if err := json.Unmarshal([]byte(line), &v); err != nil {
			t.Fatal(err)
		}
		visits[v.PeerID] = v
	}
	return visits
}

// wishes writes peers that answered, each in another of the spellings in which its
// owner may write it, as an opt-out list of a Windows editor.
func wishes(visits map[string]observation.Visit, bootstrap string) (list string, theirs []string) {
	var lines []string
	take := func(id, line string) {
		theirs, lines = append(theirs, id), append(lines, line+" # leave us alone")
	}
	n := 0
	for _, id := range slices.Sorted(func(yield func(string) bool) {
		for id, v := range visits {
			if v.Outcome == observation.Answered && !strings.HasSuffix(bootstrap, id) && v.Address.String() != bootstrap && !yield(id) {
				return
			}
		}
	}) {
		forms := identifier.Spellings(id)
		if len(forms) > 2 {
			forms = append(forms, "/p2p/"+id, "/ipfs/"+forms[1], "/ip4/192.0.2.7/tcp/4001/p2p/"+forms[3])
		}
		addr := visits[id].Address.Addr()
		forms = append(forms, fmt.Sprintf("::ffff:%s", addr), fmt.Sprintf("::ffff:%s/128", addr))
		if n == len(forms) {
			break
		}
		take(id, forms[n])
		n++
	}
	return "\ufeff" + strings.Join(lines, "\r\n") + "\r\n", theirs
}

// TestOptOutIsHonoured crawls both local networks with wishes in every spelling: who
// made one is not contacted, all others are found as before. What decodes to nothing is
// refused before anything is sent, and explain knows a peer by each of its names.
func TestOptOutIsHonoured(t *testing.T) {
	t.Parallel()
	storetest.NeedEngine(t)
	for i, n := range networks {
		t.Run(n.name, func(t *testing.T) {
			local := startPlanned(t, n, testnet.Size{Nodes: []int{120, 40}[i], Horizon: time.Hour}, 7)
			bootstrap, store := local.Bootstrap()[0], "chdb:"+filepath.Join(t.TempDir(), "record")
			before := crawlVisits(t, n.name, bootstrap, store)
			list, theirs := wishes(before, bootstrap)
			if least := []int{4, 13}[i]; len(theirs) != least {
				t.Fatalf("%d wishes, want %d:\n%s", len(theirs), least, list)
			}
			after := crawlVisits(t, n.name, bootstrap, "chdb:"+filepath.Join(t.TempDir(), "record"), "--opt-out", write(t, "optout.txt", list))
			answered := 0
			for id, v := range after {
				switch {
				case slices.Contains(theirs, id) && (v.Outcome != observation.NoAddress || v.Address.IsValid() || v.Agent != ""):
					t.Errorf("%s opted out, and was contacted: %+v\n%s", id, v, list)
				case v.Outcome == observation.Answered:
					answered++
				}
			}
			if want := countAnswered(before) - len(theirs); answered < want {
				t.Errorf("%d peers answered, want %d: the list keeps others from being contacted", answered, want)
			}
			short := write(t, "short.txt", "# wishes\n"+theirs[0][:len(theirs[0])-1]+"\n")
			oneClearLine(t, canopy(t, "crawl", n.name, "--local", "--bootstrap", bootstrap, "--opt-out", short), exitUsage, short, "line 2", "is no peer ID")
			for _, name := range identifier.Spellings(theirs[0]) {
				if r := canopy(t, "explain", name, "--store", store); r.code != exitDone || !strings.Contains(r.stdout, theirs[0]) {
					t.Errorf("explain %s: exit code %d: %s%s", name, r.code, r.stdout, r.stderr)
				}
			}
		})
	}
}

func countAnswered(visits map[string]observation.Visit) (n int) {
	for _, v := range visits {
		if v.Outcome == observation.Answered {
			n++
		}
	}
	return n
}
