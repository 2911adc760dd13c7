package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/libp2p/go-libp2p"
	dht "github.com/libp2p/go-libp2p-kad-dht"

	"canopy/crawler/mainline/krpc"
	"canopy/crawler/observation"
	"canopy/crawler/store/storetest"
)

// hostileStrings are what peers call themselves to harm whoever looks.
var hostileStrings = []string{
	`<script>document.title='pwned'</script>`,
	`"><img src=x onerror="document.title='pwned'">`,
	`<svg/onload=document.title='pwned'>`,
	`<a href="javascript:document.title='pwned'">x</a>`,
	`</style></title></textarea><iframe src="http://127.0.0.1:1/">`,
	`{{.}}${7*7}`,
	"\x1b]0;pwned\a\x1b[2J\x1b[31mred",
	`=HYPERLINK("http://127.0.0.1:1/","x")`, `@SUM(1+1)`, "+1+cmd|' /C calc'!A0",
	"\u202egnp.exe",
	"ab\xff\xfe\x00cd",
	strings.Repeat("A", 10_000),
	"line one\nline two\r\n\tthree",
	`'; DROP TABLE visits_log; --`,
}

// hostileMainline runs a node for every hostile string on loopback, each
// naming all the others, and returns a bootstrap address.
func hostileMainline(t *testing.T) string {
	t.Helper()
	type node struct {
		id   krpc.ID
		conn *net.UDPConn
	}
	var nodes []node
	var table []byte
	for i := range hostileStrings {
		conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 3, byte(i), 1)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		n := node{krpc.ID{byte(i * 16), 1, byte(i)}, conn}
		nodes = append(nodes, n)
		table = krpc.AppendNode(table, krpc.Node{ID: n.id, Addr: conn.LocalAddr().(*net.UDPAddr).AddrPort()})
	}
	for i, n := range nodes {
		go func() {
			answer := krpc.Answer{ID: n.id, Version: []byte(hostileStrings[i]), Nodes: table}
			in := make([]byte, 4096)
			for {
				size, from, err := n.conn.ReadFromUDPAddrPort(in)
				if err != nil {
					return
				}
				var query krpc.Message
				if krpc.Decode(in[:size], &query) == nil {
					_, _ = n.conn.WriteToUDPAddrPort(answer.Append(nil, query.TID), from)
				}
			}
		}()
	}
	return nodes[0].conn.LocalAddr().String()
}

// hostileIPFS runs a DHT server for every hostile string and returns the
// address of one that knows all others.
func hostileIPFS(t *testing.T) string {
	t.Helper()
	var servers []*dht.IpfsDHT
	for i, agent := range hostileStrings {
		h, err := libp2p.New(libp2p.ListenAddrStrings(fmt.Sprintf("/ip4/127.4.%d.1/tcp/0", i)), libp2p.UserAgent(agent), libp2p.DisableRelay(), libp2p.DisableMetrics())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { h.Close() })
		d, err := dht.New(h, dht.Mode(dht.ModeServer), dht.DisableAutoRefresh(), dht.AddressFilter(nil))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { d.Close() })
		servers = append(servers, d)
	}
	first := servers[0]
	for _, other := range servers[1:] {
		first.Host().Peerstore().AddAddrs(other.PeerID(), other.Host().Addrs(), time.Hour)
		if _, err := first.RoutingTable().TryAddPeer(other.PeerID(), true, false); err != nil {
			t.Fatal(err)
		}
	}
	return fmt.Sprintf("%s/p2p/%s", first.Host().Addrs()[0], first.PeerID())
}

func TestHostileStringsComeThroughHarmless(t *testing.T) {
	t.Parallel()
	storetest.NeedEngine(t)
	dir := t.TempDir()
	store := "chdb:" + filepath.Join(dir, "record")
	for name, bootstrap := range map[string]string{"mainline": hostileMainline(t), "ipfs": hostileIPFS(t)} {
		visits := filepath.Join(dir, name+".ndjson")
		r := canopy(t, "crawl", name, "--local", "--bootstrap", bootstrap, "--store", store, "--visits", visits, "--edges")
		if r.code != exitDone {
			t.Fatalf("crawl %s: exit code %d\n%s%s", name, r.code, r.stdout, r.stderr)
		}
		checkHarmless(t, "crawl "+name, r.stdout+r.stderr)
		if n := checkVisitLines(t, visits); n != len(hostileStrings) {
			t.Errorf("%s: %d visits with an agent, want %d", name, n, len(hostileStrings))
		}
	}
	r := canopy(t, "store", "sql", "--store", store, "SELECT network, agent, protocols, detail FROM visits")
	if r.code != exitDone || strings.Count(r.stdout, "\n") < 2*len(hostileStrings) {
		t.Fatalf("exit code %d, %d lines: %s", r.code, strings.Count(r.stdout, "\n"), r.stderr)
	}
	checkHarmless(t, "table of visits", r.stdout)
	if r := canopy(t, "report", "--store", store, "--out", filepath.Join(dir, "report")); r.code != exitDone {
		t.Fatalf("report: %s", r.stderr)
	}
	checkPage(t, filepath.Join(dir, "report", "index.html"))
}

// checkHarmless looks for what steers a terminal.
func checkHarmless(t *testing.T, what, text string) {
	t.Helper()
	if !utf8.ValidString(text) {
		t.Errorf("%s is not valid UTF-8", what)
	}
	for _, r := range text {
		if unicode.IsControl(r) && r != '\n' || unicode.Is(unicode.Cf, r) {
			t.Fatalf("%s holds %U: %.200q", what, r, text)
		}
	}
	for line := range strings.Lines(text) {
		if len(line) > 4*observation.MaxText {
			t.Errorf("%s has a line of %d bytes", what, len(line))
		}
	}
}

// checkVisitLines reads the visits back and counts those with an agent.
func checkVisitLines(t *testing.T, path string) (agents int) {
	t.Helper()
	lines := bufio.NewScanner(strings.NewReader(read(t, path)))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var v observation.Visit
		dec := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&v); err != nil {
			t.Fatalf("line %q: %v", lines.Text(), err)
		}
		checkHarmless(t, "visit line", lines.Text()+"\n"+v.Agent)
		if v.Outcome == observation.Answered && v.Agent != "" {
			agents++
		}
	}
	return agents
}

// findChromium names the browser, or skips the test at home where there is none.
func findChromium(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("no Chromium is installed")
		}
		t.Skip("no Chromium is installed: install the package chromium")
	}
	return path
}

// checkPage opens the report in a real browser and reads the page as it stands
// after every script had its chance: a string that came alive has renamed it.
func checkPage(t *testing.T, path string) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), findChromium(t), "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
		"--user-data-dir="+t.TempDir(), "--virtual-time-budget=2000", "--dump-dom", "file://"+path).Output()
	if err != nil {
		t.Fatal(err)
	}
	dom := string(out)
	for _, alive := range []string{"<title>pwned", "<iframe", `<img src="x"`, "<svg onload", "<script>document", `<a href="javascript`, "\u202e", "\x1b"} {
		if strings.Contains(dom, alive) {
			t.Errorf("the page holds %q: a peer's string came alive", alive)
		}
	}
	if !strings.Contains(dom, "&lt;script&gt;document.title") {
		t.Error("the hostile agents are not in the page at all, so the test proves nothing")
	}
}
