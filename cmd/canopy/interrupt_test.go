package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"canopy/crawler"
	"canopy/crawler/address"
	"canopy/crawler/store/storetest"
	"canopy/crawler/testnet"
)

// startPlanned runs a planned network in this process until the test ends.
func startPlanned(t *testing.T, n network, size testnet.Size, seed uint64) localNetwork {
	t.Helper()
	plan, err := testnet.New(n.population, size, seed)
	if err != nil {
		t.Fatal(err)
	}
	local, err := n.start(t.Context(), plan, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = local.Close() })
	return local
}

// startTestnet runs a local network in a process of its own, and returns a
// bootstrap address, the folder of its address table, and its truth.
func startTestnet(t *testing.T, network string, args ...string) (bootstrap, tables, truth string) {
	t.Helper()
	tables = t.TempDir()
	truth = filepath.Join(t.TempDir(), "truth.json")
	cmd := command(context.Background(), append([]string{"testnet", network, "--json", "--truth", truth, "--table", filepath.Join(tables, "synthetic.csv")}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the test network did not end well: %v", err)
		}
	})
	var ready struct{ Bootstrap []string }
	if err := json.NewDecoder(out).Decode(&ready); err != nil || len(ready.Bootstrap) == 0 {
		t.Fatalf("the test network announced %v: %v", ready, err)
	}
	go io.Copy(io.Discard, out) //nolint:errcheck // until it ends
	return ready.Bootstrap[0], tables, truth
}

func TestCtrlCKeepsWhatWasSeen(t *testing.T) {
	t.Parallel()
	storetest.NeedEngine(t)
	bootstrap, tables, _ := startTestnet(t, "mainline", "--nodes", "600")
	store := "chdb:" + filepath.Join(t.TempDir(), "record")
	visits := filepath.Join(t.TempDir(), "visits.ndjson")
	cmd := command(t.Context(), "crawl", "mainline", "--local", "--bootstrap", bootstrap, "--store", store, "--data", tables,
		"--rate", "60", "--visits", visits, "--json")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var last crawler.Progress
	var said []string
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		said = append(said, lines.Text())
		before := last.Visited
		if json.Unmarshal(lines.Bytes(), &last) == nil && before < 20 && last.Visited >= 20 {
			_ = cmd.Process.Signal(os.Interrupt)
		}
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitDegraded || !strings.Contains(strings.Join(said, " "), "stopped by the user") {
		t.Fatalf("exit code %d, want %d; stderr: %s", code, exitDegraded, strings.Join(said, "\n"))
	}
	r := canopy(t, "store", "sql", "--store", store, "--format", "JSONEachRow", `SELECT state, reachable, ended_at IS NOT NULL AS ended,
		(SELECT count() FROM visits) AS visits, (SELECT countIf(outcome = 'answered') FROM visits) AS answered, arrayStringConcat(notes, ' ') AS notes
		FROM crawls SETTINGS output_format_json_quote_64bit_integers = 0`)
	var kept struct {
		State                              string
		Reachable, Ended, Visits, Answered int
		Notes                              string
	}
	if err := json.Unmarshal([]byte(r.stdout), &kept); err != nil {
		t.Fatalf("%v: %s %s", err, r.stdout, r.stderr)
	}
	if kept.State != "cut_short" || kept.Ended != 1 || kept.Visits < last.Visited || kept.Answered != kept.Reachable || kept.Reachable < last.Answered {
		t.Errorf("kept %+v, last progress %+v", kept, last)
	}
	if kept.Visits >= last.Discovered || !strings.Contains(kept.Notes, "were not visited") {
		t.Errorf("kept %d of %d, notes: %s", kept.Visits, last.Discovered, kept.Notes)
	}
	if lines := strings.Count(read(t, visits), "\n"); lines != kept.Visits {
		t.Errorf("%d lines in the file, %d visits in the store", lines, kept.Visits)
	}
}

func TestDeadlineMarksTheCrawl(t *testing.T) {
	t.Parallel()
	storetest.NeedEngine(t)
	bootstrap, tables, _ := startTestnet(t, "mainline", "--nodes", "600")
	store := "chdb:" + filepath.Join(t.TempDir(), "record")
	r := canopy(t, "crawl", "mainline", "--local", "--bootstrap", bootstrap, "--store", store, "--data", tables, "--rate", "60", "--deadline", "3s")
	if r.code != exitDegraded || !strings.Contains(r.stderr, "deadline of 3s") || !strings.Contains(r.stdout, "cut_short") {
		t.Errorf("exit code %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	report := canopy(t, "report", "--store", store, "--out", filepath.Join(t.TempDir(), "report"))
	if report.code != exitFailed && report.code != exitDone {
		t.Errorf("report on a crawl that was cut short: exit code %d: %s", report.code, report.stderr)
	}
}

func TestNoEntryPoint(t *testing.T) {
	t.Parallel()
	storetest.NeedEngine(t)
	for network, bootstrap := range map[string]string{
		"mainline": "127.0.0.1:9", "ipfs": "/ip4/127.0.0.1/tcp/9/p2p/12D3KooWKnDdG3iXw9eTFijk3EWSunZcFi54Zka4wmtqtt6rPxc8",
	} {
		r := canopy(t, "crawl", network, "--local", "--bootstrap", bootstrap, "--store", "chdb:"+t.TempDir())
		oneClearLine(t, r, exitFailed, "127.0.0.1", "refused")
	}
}

// Without --local, special addresses are not contacted, not even as bootstrap.
func TestLocalAddressesNeedLocal(t *testing.T) {
	t.Parallel()
	storetest.NeedEngine(t)
	bootstrap, _, _ := startTestnet(t, "mainline", "--nodes", "50")
	r := canopy(t, "crawl", "mainline", "--bootstrap", bootstrap, "--store", "chdb:"+t.TempDir())
	oneClearLine(t, r, exitFailed, bootstrap, "--local")
}

func TestWrongProtocolIsNamed(t *testing.T) {
	t.Parallel()
	storetest.NeedEngine(t)
	bootstrap, _, _ := startTestnet(t, "ipfs", "--nodes", "20")
	r := canopy(t, "crawl", "ipfs", "--local", "--bootstrap", bootstrap, "--protocol", "/mynet/kad/1.0.0", "--store", "chdb:"+t.TempDir())
	oneClearLine(t, r, exitFailed, "/ipfs/kad/1.0.0", "/mynet/kad/1.0.0")
}

func TestTruncatedAddressTable(t *testing.T) {
	t.Parallel()
	storetest.NeedEngine(t)
	for _, table := range map[string]string{
		"truncated": "1.0.0.0,1.0.0.255,13335,Cloudflare\n1.0.4.0,1.0.7",
		"HTML":      "<!DOCTYPE html>\n<html><body>404 Not Found</body></html>\n",
		"reversed":  "1.0.0.255,1.0.0.0,13335,Cloudflare\n",
	} {
		path := write(t, "asn.csv", table)
		r := canopy(t, "data", "status", "--data", filepath.Dir(path))
		oneClearLine(t, r, exitFailed, "asn.csv")
	}
	table, err := address.Open(t.TempDir(), address.Options{})
	if err != nil || !table.Empty() || len(table.Warnings()) == 0 {
		t.Errorf("no data at all must be a table that warns: %v, %v", err, table.Warnings())
	}
}

func TestUnwritableStore(t *testing.T) {
	t.Parallel()
	storetest.NeedEngine(t)
	file := write(t, "file", "not a folder")
	oneClearLine(t, canopy(t, "crawl", "mainline", "--local", "--bootstrap", "127.0.0.1:9", "--store", "chdb:"+filepath.Join(file, "record")), exitFailed, "--store", file)
}

func TestStoreInUseNamesTheHolder(t *testing.T) {
	t.Parallel()
	storetest.NeedEngine(t)
	bootstrap, _, _ := startTestnet(t, "mainline", "--nodes", "600")
	store := "chdb:" + filepath.Join(t.TempDir(), "record")
	cmd := command(t.Context(), "crawl", "mainline", "--local", "--bootstrap", bootstrap, "--store", store, "--rate", "60", "--json")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(stderr)
	lines.Scan() // the first progress: it holds the store
	r := canopy(t, "store", "status", "--store", store)
	oneClearLine(t, r, exitFailed, "in use", "crawl mainline")
	_ = cmd.Process.Signal(os.Interrupt)
	for lines.Scan() {
	}
	_ = cmd.Wait()
}

// A record of a newer program is refused by every command, and left as it is.
func TestNewerSchemaIsLeftAlone(t *testing.T) {
	t.Parallel()
	storetest.NeedEngine(t)
	store := "chdb:" + filepath.Join(t.TempDir(), "record")
	for _, args := range [][]string{
		{"store", "migrate", "--store", store},
		{"store", "sql", "--write", "--store", store, "INSERT INTO schema_migrations (version, name, checksum) VALUES (900, 'future', 'x')"},
	} {
		if r := canopy(t, args...); r.code != exitDone {
			t.Fatalf("%v: %s", args, r.stderr)
		}
	}
	for _, args := range [][]string{
		{"store", "status"}, {"store", "migrate"}, {"report"}, {"crawl", "mainline", "--local", "--bootstrap", "127.0.0.1:9"},
	} {
		oneClearLine(t, canopy(t, append(args, "--store", store)...), exitFailed, "newer schema", "upgrade canopy")
	}
}
