package main

//lint:file-ignore fixedpath the paths in these texts are to be found and removed: nothing opens them

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"github.com/parquet-go/parquet-go"

	"canopy/crawler/store/storetest"
)

// marker names the observer in every place where a machine does: folders, user,
// host, contact.
const marker = "alice-secret-home"

// observersHome is a home whose every path holds the marker, with a
// configuration, address data, an opt-out list and a list of checks in it.
func observersHome(t *testing.T, entry string) (home string, env []string) {
	t.Helper()
	home = filepath.Join(t.TempDir(), marker+" of Alice")
	for name, content := range map[string]string{
		"canopy.yaml":   "store: chdb:" + filepath.Join(home, "record") + "\nspool: " + filepath.Join(home, "spool") + "\ndata: " + filepath.Join(home, "data") + "\n",
		"opt-out.txt":   "192.0.2.0/24\n",
		"list.yaml":     "content: []\nentry_points:\n  - address: " + entry + "\n    network: mainline\n    clients: [Example]\n  - address: 127.9.9.9:9\n    network: mainline\n",
		"data/mine.csv": "127.0.0.0,127.255.255.255,64500,Example Net\n0.0.0.0,255.255.255.255,64501,All\n",
		"data/plan.csv": "start,end,country\n127.3.0.0,127.3.255.255,EU\n",
	} {
		path := filepath.Join(home, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	w, err := mmdbwriter.New(mmdbwriter.Options{DatabaseType: "test", IncludeReservedNetworks: true})
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := net.ParseCIDR("127.0.0.0/8")
	if err := w.Insert(block, mmdbtype.Map{"country": mmdbtype.String("NL"), "asnum": mmdbtype.Uint32(64500)}); err != nil {
		t.Fatal(err)
	}
	var base bytes.Buffer
	if _, err := w.WriteTo(&base); err != nil {
		t.Fatal(err)
	}
	tmp := filepath.Join(home, "tmp")
	if err := errors.Join(os.Mkdir(tmp, 0o755), os.WriteFile(filepath.Join(home, "data", "base.mmdb"), base.Bytes(), 0o644)); err != nil {
		t.Fatal(err)
	}
	return home, []string{
		"HOME=" + home, "XDG_DATA_HOME=" + home, "XDG_CACHE_HOME=" + filepath.Join(home, "cache"), "TMPDIR=" + tmp, "CANOPY_DATA=" + filepath.Join(home, "data"),
		"USER=" + marker, "LOGNAME=" + marker, "HOSTNAME=" + marker, "PWD=" + home,
	}
}

// earlier are notes as earlier versions kept them.
const earlier = `INSERT INTO crawls_log SELECT * REPLACE(
	['/home/alice-secret-home/x y/mine.csv: it carries no date; the time of the file, 2026-10-01, is taken for it.',
	 'Nothing is known of addresses: /srv/my data/alice-secret-home/data holds no tables. Run make data.',
	 '/home/alice-secret-home/mine.csv: the range 0.0.0.0-255.255.255.255 claims every address of its family.',
	 'What was seen last could not be stored: write visits to /home/alice-secret-home/visits.ndjson: no space left on device',
	 'Cut short (walk mainline: dial tcp: lookup alice-secret-home on 192.168.7.7:53: no such host): 5 known peers were not visited.',
	 'spooled: clickhouse://alice-secret-home:password@db:9000/canopy is away'] AS notes,
	replaceOne(settings, '"walker":{', '"walker":{"visits":"/home/alice-secret-home/visits.ndjson",') AS settings) FROM crawls`

// TestNothingPublishedNamesTheObserver runs all that publishes in a home that
// names the observer, and looks for the name in every byte that is published.
func TestNothingPublishedNamesTheObserver(t *testing.T) {
	t.Parallel()
	storetest.NeedEngine(t)
	entry := hostileMainline(t)
	home, env := observersHome(t, entry)
	run := func(codes []int, args ...string) {
		t.Helper()
		cmd := command(t.Context(), append(args, "--config", filepath.Join(home, "canopy.yaml"))...)
		cmd.Env, cmd.Dir = append(cmd.Env, env...), home
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		if err := cmd.Run(); cmd.ProcessState == nil || !slices.Contains(codes, cmd.ProcessState.ExitCode()) {
			t.Fatalf("%v: %v\n%s", args, err, stderr.String())
		}
	}
	done, degraded := []int{exitDone}, []int{exitDone, exitDegraded}
	crawl := []string{"crawl", "mainline", "--local", "--bootstrap", entry, "--contact", "https://" + marker + ".example", "--opt-out", filepath.Join(home, "opt-out.txt"), "--edges"}
	run(done, append(crawl, "--visits", filepath.Join(home, "visits.ndjson"))...)
	if notes := sqlIn(t, home, env, "SELECT arrayJoin(notes) FROM crawls"); !strings.Contains(notes, "mine.csv: it carries no date") || !strings.Contains(notes, "base.mmdb: 1 of 1 networks without AS") {
		t.Errorf("the notes of the record prove nothing: %s", notes)
	} else if strings.Contains(notes, marker) {
		t.Errorf("the record names the observer: %s", notes)
	}
	run(done, "store", "sql", "--write", earlier)
	run(degraded, "check", "--local", "--list", filepath.Join(home, "list.yaml"), "--network", "mainline", "--starts", "0")
	published := []string{"reports", "dataset", "csv", "figures"}
	run(done, "report", "--out", filepath.Join(home, "reports", "2026-10-01T06:00"))
	run(done, "report", "--index", filepath.Join(home, "reports"))
	run(done, "export", "--out", filepath.Join(home, "dataset"), "--keep-key", filepath.Join(home, "key"))
	run(done, "export", "--out", filepath.Join(home, "csv"), "--format", "csv")
	run(done, "figures", filepath.Join(home, "dataset"), "--out", filepath.Join(home, "figures"))
	looked := map[string]int{}
	for _, folder := range published {
		err := filepath.WalkDir(filepath.Join(home, folder), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			looked[filepath.Ext(path)]++
			lookFor(t, path, marker, "/home/", "/srv/", "192.168.7.7")
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if page := read(t, filepath.Join(home, "reports", "2026-10-01T06:00", "index.html")); !strings.Contains(page, "the data folder holds no tables") || !strings.Contains(page, "mine.csv: it carries no date") {
		t.Error("the notes of earlier versions are not in the report, so that the test proves nothing of them")
	}
	for _, kind := range []string{".html", ".json", ".png", ".svg", ".csv", ".parquet", ".md", ".cff", ".sql"} {
		if looked[kind] == 0 {
			t.Errorf("nothing was published as %s: %v", kind, looked)
		}
	}
}

// sqlIn asks the record in a home.
func sqlIn(t *testing.T, home string, env []string, query string) string {
	t.Helper()
	cmd := command(t.Context(), "store", "sql", "--config", filepath.Join(home, "canopy.yaml"), query)
	cmd.Env = append(cmd.Env, env...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return string(out)
}

// lookFor looks for words in a file, and in what its format packs.
func lookFor(t *testing.T, path string, words ...string) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	switch filepath.Ext(path) {
	case ".parquet":
		text += unpackedParquet(t, path)
	case ".png":
		text += pngTexts(t, raw)
	}
	text = strings.ToLower(text + path[strings.Index(path, marker)+len(marker):])
	for _, word := range words {
		if i := strings.Index(text, word); i >= 0 {
			t.Errorf("%s holds %q: ...%q...", filepath.Base(path), word, text[max(0, i-60):min(len(text), i+60)])
		}
	}
}

// unpackedParquet is every value of a Parquet file, and its metadata.
func unpackedParquet(t *testing.T, path string) string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	table, err := parquet.OpenFile(f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, pair := range table.Metadata().KeyValueMetadata {
		out.WriteString(pair.Key + "=" + pair.Value + "\n")
	}
	for _, group := range table.RowGroups() {
		rows := group.Rows()
		defer rows.Close()
		for some := make([]parquet.Row, 64); ; {
			n, err := rows.ReadRows(some)
			for _, row := range some[:n] {
				for _, value := range row {
					out.WriteString(value.String() + "\n")
				}
			}
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return out.String()
}

// pngTexts is the text in the chunks of a PNG, packed or not.
func pngTexts(t *testing.T, raw []byte) string {
	t.Helper()
	var out strings.Builder
	for rest := raw[8:]; len(rest) >= 12; {
		size := binary.BigEndian.Uint32(rest)
		kind, data := string(rest[4:8]), rest[8:8+size]
		switch kind {
		case "tEXt", "iTXt", "eXIf":
			out.Write(data)
		case "zTXt", "iCCP":
			_, packed, _ := bytes.Cut(data, []byte{0, 0})
			if z, err := zlib.NewReader(bytes.NewReader(packed)); err == nil {
				text, _ := io.ReadAll(z)
				out.Write(text)
			}
		}
		rest = rest[12+size:]
	}
	return out.String()
}
