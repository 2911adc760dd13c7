package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"canopy/crawler/store"
	"canopy/crawler/store/storetest"
	"canopy/reports/dataset"
)

// nebulaFolder writes a crawl of Nebula with peers of two programs.
func nebulaFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	var visits, tables bytes.Buffer
	var named []string
	for i := range 60 {
		id := "12D3KooWLmuM1iCsqAC14QNYrKwD9hZcsQwSisNRi7jBRCUQya" + string(rune('A'+i/10)) + string(rune('a'+i%10))
		named = append(named, id)
		line := map[string]any{
			"PeerID": id, "Maddrs": []string{fmt.Sprintf("/ip4/45.77.%d.7/tcp/4001", i+1)}, "Protocols": []string{"/ipfs/kad/1.0.0"}, "AgentVersion": "kubo/0.18.1",
			"ConnectDuration": "80ms", "CrawlDuration": "1s", "VisitStartedAt": "2023-05-01T12:00:01Z", "VisitEndedAt": "2023-05-01T12:00:03Z",
		}
		if i%4 == 3 {
			line["AgentVersion"], line["ConnectErrorStr"], line["Protocols"] = "", "io_timeout", nil
		}
		if i%10 == 0 {
			line["AgentVersion"] = "=cmd|' /C calc'!A0"
		}
		text, err := json.Marshal(line)
		if err != nil {
			t.Fatal(err)
		}
		visits.Write(append(text, '\n'))
		if i%4 != 3 {
			text, _ := json.Marshal(map[string]any{"PeerID": id, "NeighborIDs": named, "ErrorBits": "0000000000000000"})
			tables.Write(append(text, '\n'))
		}
	}
	for name, text := range map[string]string{
		"_crawl.json":       `{"state":"succeeded","started_at":"2023-05-01T12:00:00Z","finished_at":"2023-05-01T12:08:00Z","remaining_peers":0,"version":"2.1.0"}`,
		"_visits.ndjson":    visits.String() + "no JSON\n",
		"_neighbors.ndjson": tables.String(),
	} {
		if err := os.WriteFile(filepath.Join(dir, "2023-05-01T12:00"+name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestDataset goes the way of old data: Nebula's files, the record, a report, a
// dataset in both formats, and the figures that are made from it alone.
func TestDataset(t *testing.T) {
	storetest.NeedEngine(t)
	nebula, work := nebulaFolder(t), t.TempDir()
	t.Chdir(work)
	const record = "--store=chdb:record"
	r := canopy(t, "import", "nebula", nebula, record)
	if r.code != exitDegraded || !strings.Contains(r.stdout, "60 visits, 45 answered, 45 routing tables, 1 lines left out") || !strings.Contains(r.stderr, "_visits.ndjson, line 61") {
		t.Fatalf("import: code %d, %s%s", r.code, r.stdout, r.stderr)
	}
	if r := canopy(t, "import", "nebula", nebula, record); r.code != exitDone || !strings.Contains(r.stdout, "in the record already") {
		t.Errorf("a second import: code %d, %s%s", r.code, r.stdout, r.stderr)
	}
	if r := canopy(t, "store", "sql", record, "--format", "TSV", "SELECT count(), uniqExact(peer_id) FROM visits"); r.stdout != "60\t60\n" {
		t.Errorf("the record holds %q", r.stdout)
	}
	if r := canopy(t, "report", record, "--out", "report"); r.code != exitDone {
		t.Fatalf("report: %s", r.stderr)
	}
	for _, format := range []string{"parquet", "csv"} {
		if r := canopy(t, "export", record, "--period", "2023-05", "--format", format, "--out", format); r.code != exitDone || !strings.Contains(r.stdout, "Dataset: "+format) {
			t.Fatalf("export: code %d, %s%s", r.code, r.stdout, r.stderr)
		}
		if r := canopy(t, "figures", format, "--out", format+"-figures", record); r.code != exitDone {
			t.Fatalf("figures: %s", r.stderr)
		}
		sameShares(t, "report", format+"-figures")
	}
	text, err := os.ReadFile("csv/visits.csv")
	if err != nil || !strings.Contains(string(text), "'=cmd|") || strings.Contains(string(text), ",=cmd|") || strings.Contains(string(text), "45.77.1.7") || strings.Contains(string(text), "12D3Koo") {
		t.Errorf("the table of visits holds what it must not (%v)", err)
	}
	oneClearLine(t, canopy(t, "figures", t.TempDir()), exitFailed, "no dataset")
	if err := os.Remove("csv/visits.csv"); err != nil {
		t.Fatal(err)
	}
	oneClearLine(t, canopy(t, "figures", "csv"), exitFailed, "missing: visits.csv")
	if err := os.Remove(filepath.Join(nebula, "2023-05-01T12:00_visits.ndjson")); err != nil {
		t.Fatal(err)
	}
	oneClearLine(t, canopy(t, "import", "nebula", nebula, record), exitFailed, "missing", "2023-05-01T12:00_visits.ndjson")
}

// sameShares compares the shares of two reports on one network, of whose
// classes none is too small to be published.
func sameShares(t *testing.T, want, have string) {
	t.Helper()
	type figures struct {
		Networks []struct {
			Peers             int
			Hosting, Operator json.RawMessage
			Outcomes, Clients json.RawMessage
			Answered          json.RawMessage
		}
	}
	read := func(dir string) (f figures) {
		text, err := os.ReadFile(filepath.Join(dir, "figures.json"))
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(text, &f); err != nil || len(f.Networks) != 1 {
			t.Fatalf("%s holds %d networks: %v", dir, len(f.Networks), err)
		}
		return f
	}
	a, b := read(want).Networks[0], read(have).Networks[0]
	if a.Peers != 45 || a.Peers != b.Peers {
		t.Errorf("%s counts %d peers, %s %d", want, a.Peers, have, b.Peers)
	}
	for name, pair := range map[string][2]json.RawMessage{"hosting": {a.Hosting, b.Hosting}, "operator": {a.Operator, b.Operator}, "outcomes": {a.Outcomes, b.Outcomes}, "clients": {a.Clients, b.Clients}, "answered": {a.Answered, b.Answered}} {
		if !bytes.Equal(pair[0], pair[1]) {
			t.Errorf("%s: %s says %s, %s says %s", name, want, pair[0], have, pair[1])
		}
	}
}

// TestExportFlags checks what a user can get wrong, and what warns.
func TestExportFlags(t *testing.T) {
	for _, args := range [][]string{
		{"--format", "xml"}, {"--period", "October"}, {"--period", "2026-10", "--from", "2026-10-01"}, {"--own", "here"}, {"--raw", "--keep-key", "key.json"},
		{"--from", "2026-10-02", "--to", "2026-10-01"}, {"--out", ""},
	} {
		oneClearLine(t, canopy(t, append([]string{"export", "--store=chdb:" + t.TempDir()}, args...)...), exitUsage)
	}
	storetest.NeedEngine(t)
	nebula := nebulaFolder(t)
	t.Chdir(t.TempDir())
	const record = "--store=chdb:record"
	if r := canopy(t, "import", "nebula", nebula, record); r.code != exitDegraded {
		t.Fatal(r.stderr)
	}
	first := canopy(t, "export", record, "--period", "2023", "--keep-key", "key.json", "--no-clearcut", "--out", "first")
	if first.code != exitDone || !strings.Contains(first.stderr, "whoever reads it") {
		t.Errorf("a kept key: code %d, %s", first.code, first.stderr)
	}
	oneClearLine(t, canopy(t, "export", record, "--period", "2023", "--out", "first"), exitUsage, "--force")
	oneClearLine(t, canopy(t, "export", record, "--period", "2022", "--keep-key", "key.json", "--out", "second"), exitUsage, "another epoch")
	if !strings.Contains(first.stderr, "destroys it") {
		t.Errorf("nobody says when the key is destroyed: %s", first.stderr)
	}
	endEpoch(t, "key.json")
	r := canopy(t, "export", record, "--period", "2023", "--keep-key", "key.json", "--no-clearcut", "--out", "second")
	if _, err := os.Stat("key.json"); r.code != exitUsage || !strings.Contains(r.stderr, "key.json is over: it was destroyed") || !strings.Contains(r.stderr, "would not share its pseudonyms") || !os.IsNotExist(err) {
		t.Errorf("the epoch is over: code %d, %s; the key: %v", r.code, r.stderr, err)
	}
	if left, _ := filepath.Glob("*.keys"); len(left) > 0 {
		t.Errorf("the names of destroyed keys are left: %v", left)
	}
	if r := canopy(t, "export", record, "--period", "2022", "--out", "none"); r.code != exitFailed || !strings.Contains(r.stderr, "no finished crawl") {
		t.Errorf("an empty period: code %d, %s", r.code, r.stderr)
	}
	if raw := canopy(t, "export", record, "--raw", "--no-clearcut", "--out", "raw"); raw.code != exitDone || !strings.Contains(raw.stderr, "in the clear") {
		t.Errorf("raw: code %d, %s", raw.code, raw.stderr)
	}
	if names, _ := filepath.Glob(".*"); len(names) > 0 {
		t.Errorf("something half is left: %v", names)
	}
}

// endEpoch lets the epoch of a kept key end.
func endEpoch(t *testing.T, path string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var key map[string]any
	if err := json.Unmarshal(text, &key); err != nil || key["destroyed_after"] == nil {
		t.Fatalf("%s: %v", text, err)
	}
	key["destroyed_after"] = "2024-01-01T00:00:00Z"
	if text, err = json.Marshal(key); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestObserverDestroysKeys starts an observer's watch over kept keys when the
// epoch of one is over.
func TestObserverDestroysKeys(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var out bytes.Buffer
	a := &app{stderr: &out, storeURL: "chdb:" + filepath.Join(dir, "record") + "?database=default", logger: slog.New(slog.DiscardHandler)}
	path := filepath.Join(dir, "key.json")
	if err := dataset.NewKey().Keep(path, filepath.Join(dir, "record.keys"), time.Now()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // after the first look
	look := func() error {
		if err := (&observer{app: a}).keys(ctx); err != nil {
			t.Fatal(err)
		}
		_, err := os.Stat(path)
		return err
	}
	if err := look(); err != nil || out.Len() > 0 {
		t.Errorf("a key is destroyed before its epoch ends: %v, %s", err, out.String())
	}
	endEpoch(t, path)
	if err := look(); !os.IsNotExist(err) || !strings.Contains(out.String(), path+" is over: it was destroyed") {
		t.Errorf("a key whose epoch is over: %v, %q", err, out.String())
	}
}

// TestStream reads every type, and both empty and large answers.
func TestStream(t *testing.T) {
	t.Parallel()
	s := storetest.Open(t, "chdb:"+t.TempDir()+"?database=default", store.Options{Spool: store.NoSpool})
	rows, sum := 0, uint64(0)
	query := `SELECT toString(number), toLowCardinality(toString(number % 3)), toUInt8(1), toUInt16(1), toUInt32(1), number, toInt64(-1), toFloat32(1), toFloat64(1), toIPv6('::1'), [toUInt32(1), toUInt32(2)] FROM numbers(200000)`
	err := s.Stream(t.Context(), query, func(columns []any) error {
		for _, n := range columns[5].([]uint64) {
			sum += n
		}
		rows += len(columns[10].([][]uint32))
		return nil
	})
	if err != nil || rows != 200_000 || sum != 200_000*199_999/2 {
		t.Errorf("%d rows of sum %d are streamed: %v", rows, sum, err)
	}
	if err := s.Stream(t.Context(), "SELECT 1 WHERE 0", func([]any) error { t.Error("an empty answer has a block"); return nil }); err != nil {
		t.Error(err)
	}
	if err := s.Stream(t.Context(), "SELECT nosuch", func([]any) error { return nil }); err == nil || !strings.Contains(err.Error(), "UNKNOWN_IDENTIFIER") {
		t.Errorf("a wrong query: %v", err)
	}
	if err := s.Stream(t.Context(), "SELECT now()", func([]any) error { return nil }); err == nil || !strings.Contains(err.Error(), "cast DateTime to a type that can be streamed") {
		t.Errorf("a type that can't be streamed: %v", err)
	}
}
