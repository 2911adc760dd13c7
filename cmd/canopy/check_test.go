package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"canopy/analysis/findability"
	"canopy/crawler/observation"
	"canopy/crawler/store/storetest"
	"canopy/crawler/testnet"
)

// Every entry of the list that Canopy brings along is one that its network can look up.
func TestTheListIsSound(t *testing.T) {
	t.Parallel()
	list, known := findability.Default(), 0
	for _, n := range networks {
		c, err := n.checker(walkerOptions{logger: slog.New(slog.DiscardHandler), crawl: crawlOptions{bind: []string{"127.0.0.1"}}, refuse: func(string) bool { return true }})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close() //nolint:errcheck // of no interest
		of := list.Of(n.name)
		if len(of.Content) < 5 || len(of.EntryPoints) < 5 {
			t.Errorf("%s: %d pieces of content, %d entry points", n.name, len(of.Content), len(of.EntryPoints))
		}
		for _, p := range of.Content {
			if id, err := c.ParseContent(p.ID); err != nil || id != p.ID || p.Source == "" {
				t.Errorf("%s: %q: %q, %v", n.name, p.Name, id, err)
			}
		}
		for _, e := range of.EntryPoints {
			if entry, err := c.ParseEntry(e.Address); err != nil || entry != e.Address || e.Source == "" || len(e.Clients) == 0 {
				t.Errorf("%s: %q: %q, %v", n.name, e.Address, entry, err)
			}
		}
		known += len(of.Content) + len(of.EntryPoints)
	}
	if all := len(list.Content) + len(list.EntryPoints); known != all {
		t.Errorf("%d of %d entries are of networks that are not known", all-known, all)
	}
}

func TestCheckMistakesAreNamed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		args  []string
		list  string
		words []string
	}{
		"no file":         {[]string{"--list", "nowhere.yaml"}, "", []string{"nowhere.yaml"}},
		"unknown key":     {nil, "content:\n  - name: x\n    nework: mainline\n", []string{"nework"}},
		"empty":           {nil, "", []string{"empty"}},
		"no hash":         {nil, "content:\n  - {name: x, network: mainline, id: abc}\n", []string{"x", "40 hexadecimal digits"}},
		"no CID":          {nil, "content:\n  - {name: x, network: ipfs, id: abc}\n", []string{"x", "CID"}},
		"twice":           {nil, "content:\n  - {name: x, network: ipfs, id: abc}\n  - {name: y, network: ipfs, id: abc}\n", []string{"twice"}},
		"no source":       {nil, "content:\n  - {name: x, network: ipfs, id: abc, source: ftp://x}\n", []string{"https"}},
		"unknown network": {nil, "content:\n  - {name: x, network: gnutella, id: abc}\n", []string{"gnutella", "mainline"}},
		"named network":   {[]string{"--network", "gnutella"}, "", []string{"gnutella"}},
		"bad entry point": {nil, "entry_points:\n  - {network: mainline, address: nowhere}\ncontent:\n  - {name: x, network: mainline, id: 0123456789abcdef0123456789abcdef01234567}\n", []string{"nowhere", "host:port"}},
		"hash twice": {nil, "content:\n  - {name: x, network: mainline, id: 0123456789abcdef0123456789abcdef01234567}\n  - {name: y, network: mainline, id: 0123456789ABCDEF0123456789ABCDEF01234567}\n",
			[]string{"\"y\" of mainline", "is the same as \"0123456789abcdef"}},
		"hash twice in base32": {nil, "content:\n  - {name: x, network: mainline, id: 0123456789abcdef0123456789abcdef01234567}\n  - {name: y, network: mainline, id: AERUKZ4JVPG66AJDIVTYTK6N54ASGRLH}\n",
			[]string{"\"AERUKZ4JVPG66AJDIVTYTK6N54ASGRLH\" is the same as"}},
		"CID twice": {nil, "content:\n  - {name: x, network: ipfs, id: bafybeiaysi4s6lnjev27ln5icwm6tueaw2vdykrtjkwiphwekaywqhcjze}\n  - {name: y, network: ipfs, id: BAFYBEIAYSI4S6LNJEV27LN5ICWM6TUEAW2VDYKRTJKWIPHWEKAYWQHCJZE}\n",
			[]string{"\"y\" of ipfs", "is the same as"}},
		"entry point twice": {nil, "entry_points:\n  - {network: mainline, address: \"router.example.org:6881\"}\n  - {network: mainline, address: \"Router.Example.org:06881\"}\ncontent:\n  - {name: x, network: mainline, id: 0123456789abcdef0123456789abcdef01234567}\n",
			[]string{"entry point 2 of mainline", "is the same as"}},
		"peer without an address": {nil, "entry_points:\n  - {network: ipfs, address: /p2p/QmX4zTUJa1vDXjw3mTxwXBdCd9gThbggaHFGhA1QpnKdK6}\ncontent:\n  - {name: x, network: ipfs, id: bafybeiaysi4s6lnjev27ln5icwm6tueaw2vdykrtjkwiphwekaywqhcjze}\n",
			[]string{"entry point 1 of ipfs", "not where it is"}},
		"peer ID cut short": {nil, "entry_points:\n  - {network: ipfs, address: /ip4/127.0.0.1/tcp/1/p2p/QmX4zTUJa1vDXjw3mTxwXBdCd9gThbggaHFGhA1QpnKdK}\ncontent:\n  - {name: x, network: ipfs, id: bafybeiaysi4s6lnjev27ln5icwm6tueaw2vdykrtjkwiphwekaywqhcjze}\n",
			[]string{"entry point 1 of ipfs", "QmX4zTUJa1vDXjw3mTxwXBdCd9gThbggaHFGhA1QpnKdK"}},
		"starts": {[]string{"--starts", "-1"}, "", []string{"--starts"}},
		"rate":   {[]string{"--rate", "0"}, "", []string{"--rate"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"check", "--local", "--store", "chdb:" + t.TempDir()}, test.args...)
			if len(test.args) == 0 {
				args = append(args, "--list", write(t, "list.yaml", test.list))
			}
			oneClearLine(t, canopy(t, args...), exitUsage, test.words...)
		})
	}
}

// localList writes a list with entry points of which one is silent, and content that nobody has.
func localList(t *testing.T, network, id string, entries []string, dead string) string {
	t.Helper()
	text := fmt.Sprintf("content:\n  - {name: \"<i>nobody</i> has this\", network: %s, id: %s}\nentry_points:\n", network, id)
	for _, e := range append(entries, dead) {
		text += fmt.Sprintf("  - {network: %s, address: %s, clients: [\"A\\e[31m client\"]}\n", network, e)
	}
	return write(t, "list.yaml", text)
}

// On both local networks: what nobody has is not found, one entry point of two is dead and starts without it work as well, and
// the answers stand in the record, in the output and in the report.
func TestCheckLocalNetworks(t *testing.T) {
	t.Parallel()
	storetest.NeedEngine(t)
	quiet, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer quiet.Close() //nolint:errcheck // of no interest
	for i, id := range []string{"0123456789abcdef0123456789abcdef01234567", "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq"} {
		n := networks[i]
		t.Run(n.name, func(t *testing.T) {
			local := startPlanned(t, n, testnet.Size{Nodes: []int{300, 40}[i], Horizon: time.Hour}, 5)
			alive, dead := local.Bootstrap()[0], []string{quiet.LocalAddr().String(), "/ip4/127.0.0.1/tcp/1/p2p/12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8"}[i]
			dir := t.TempDir()
			store := "chdb:" + filepath.Join(dir, "record")
			if r := canopy(t, "crawl", n.name, "--local", "--bootstrap", alive, "--store", store); r.code != 0 && r.code != exitDegraded {
				t.Fatalf("crawl: exit code %d: %s%s", r.code, r.stdout, r.stderr)
			}
			args := []string{"check", "--local", "--bind", "127.0.0.1", "--list", localList(t, n.name, id, []string{alive}, dead), "--store", store, "--starts", "1"}
			r := canopy(t, args...)
			if r.code != 0 {
				t.Fatalf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
			}
			for _, words := range []string{"not_found", alive, dead, "1 of 1", "0 of 1", "If these hosts vanish, can newcomers still enter?", "as a client starts that was here before, 1 of 1 starts"} {
				if !strings.Contains(r.stdout, words) {
					t.Errorf("the output does not say %q:\n%s", words, r.stdout)
				}
			}
			if strings.Contains(r.stdout, "\x1b") {
				t.Error("the output steers the terminal")
			}
			checkRecord(t, store, alive, dead)
			if n.name == "ipfs" { // the quicker one
				checkJSON(t, canopy(t, append(args, "--json")...))
			}
			checkReport(t, store, dir, dead)
		})
	}
}

// checkRecord looks for the outcomes in the record.
func checkRecord(t *testing.T, store, alive, dead string) {
	t.Helper()
	r := canopy(t, "store", "sql", "SELECT kind, subject, outcome, scope FROM checks", "--format", "JSONEachRow", "--store", store)
	outcomes := map[string]observation.Outcome{}
	for line := range strings.Lines(r.stdout) {
		var c observation.Check
		if err := json.Unmarshal([]byte(line), &c); err != nil || c.Scope != observation.ScopeLocal {
			t.Fatalf("%s: %v", line, err)
		}
		outcomes[string(c.Kind)+" "+c.Subject] = c.Outcome
	}
	for what, want := range map[string]observation.Outcome{
		"entry_point " + alive: observation.Answered, "start all": observation.Entered, "start only " + alive: observation.Entered, "start without " + dead: observation.Entered,
		"start without " + alive: observation.ShutOut, "start only " + dead: observation.ShutOut, "start remembered": observation.Entered,
	} {
		if outcomes[what] != want {
			t.Errorf("%s: %q, want %q; all: %v", what, outcomes[what], want, outcomes)
		}
	}
	if outcomes["entry_point "+dead] == observation.Answered || len(outcomes) != 9 {
		t.Errorf("%d checks: %v", len(outcomes), outcomes)
	}
}

// checkJSON reads what a run prints for machines.
func checkJSON(t *testing.T, r result) {
	t.Helper()
	kinds := map[observation.CheckKind]int{}
	for line := range strings.Lines(r.stdout) {
		var c observation.Check
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		kinds[c.Kind]++
	}
	if kinds[observation.CheckEntry] != 2 || kinds[observation.CheckStart] != 6 || kinds[observation.CheckContent] != 1 {
		t.Errorf("%v: %s", kinds, r.stderr)
	}
}

// checkReport looks for the answers in the report.
func checkReport(t *testing.T, store, dir, dead string) {
	t.Helper()
	if r := canopy(t, "report", "--store", store, "--out", dir); r.code != 0 {
		t.Fatalf("exit code %d: %s", r.code, r.stderr)
	}
	page, err := os.ReadFile(filepath.Join(dir, "index.html"))
	if err != nil {
		t.Fatal(err)
	}
	for _, words := range []string{"If these hosts vanish, can newcomers still enter?", "&lt;i&gt;nobody&lt;/i&gt; has this", strings.ReplaceAll(dead, "+", "&#43;")} {
		if !strings.Contains(string(page), words) {
			t.Errorf("the report does not say %q", words)
		}
	}
	if strings.Contains(string(page), "<i>nobody") || strings.Contains(string(page), "\x1b") {
		t.Error("the report holds what the list says as it is")
	}
}

// Ctrl-C ends a run of checks cleanly, and what was answered until then is kept.
func TestCheckCutShortKeepsWhatItFound(t *testing.T) {
	t.Parallel()
	storetest.NeedEngine(t)
	quiet, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer quiet.Close() //nolint:errcheck // of no interest
	list := localList(t, "mainline", "0123456789abcdef0123456789abcdef01234567", nil, quiet.LocalAddr().String())
	store := "chdb:" + filepath.Join(t.TempDir(), "record")
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	cmd := command(ctx, "check", "--local", "--bind", "127.0.0.1", "--list", list, "--store", store, "--starts", "1000", "--json")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewScanner(out)
	if !answers.Scan() {
		t.Fatal("no check was made")
	}
	interrupt()
	printed := 1
	for answers.Scan() {
		printed++
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitDegraded {
		t.Errorf("exit code %d, want %d", code, exitDegraded)
	}
	r := canopy(t, "store", "sql", "SELECT count() FROM checks", "--format", "TSV", "--store", store)
	if kept := strings.TrimSpace(r.stdout); kept != strconv.Itoa(printed) || printed > 100 {
		t.Errorf("%s checks are kept, %d were printed: %s", kept, printed, r.stderr)
	}
}

// TestListsAreKeptInOneForm reads entry points and IDs in other spellings than the
// record has: each has one history there.
func TestListsAreKeptInOneForm(t *testing.T) {
	t.Parallel()
	for i, list := range []string{
		"entry_points:\n  - {network: mainline, address: \"[::ffff:127.0.0.1]:06881\"}\ncontent:\n  - {name: x, network: mainline, id: AERUKZ4JVPG66AJDIVTYTK6N54ASGRLH}\n",
		"entry_points:\n  - {network: ipfs, address: /ip4/127.0.0.1/tcp/4001/ipfs/k51qzi5uqu5dh9xfmynw5q9n619fostvy6tu736bxnplmrcanj9boobiqxa1e8}\n" +
			"content:\n  - {name: x, network: ipfs, id: BAFYBEIAYSI4S6LNJEV27LN5ICWM6TUEAW2VDYKRTJKWIPHWEKAYWQHCJZE}\n",
	} {
		a := &app{logger: slog.New(slog.DiscardHandler)}
		o := checkOptions{list: write(t, "list.yaml", list)}
		o.local, o.bind, o.protocol = true, []string{"127.0.0.1"}, "/ipfs/kad/1.0.0"
		runs, _, err := a.readChecks(o)
		if err != nil || len(runs) != 1 {
			t.Fatalf("%d runs, %v", len(runs), err)
		}
		a.closeChecks(runs)
		want := [][2]string{
			{"127.0.0.1:6881", "0123456789abcdef0123456789abcdef01234567"},
			{"/ip4/127.0.0.1/tcp/4001/p2p/12D3KooWCmWkjFhvwWE4WnFjpaiB1aCZfnLqKtHYb6HqH3JDuzxP", "bafybeiaysi4s6lnjev27ln5icwm6tueaw2vdykrtjkwiphwekaywqhcjze"},
		}[i]
		if got := [2]string{runs[0].list.EntryPoints[0].Address, runs[0].list.Content[0].ID}; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
