package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"canopy/crawler"
	"canopy/crawler/store"
	"canopy/crawler/store/storetest"
)

func TestObserveMistakesNameLineAndKey(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		yaml  string
		words []string
	}{
		"unknown key":             {"observe:\n  vantage: x\n  evry: 6h\n", []string{":3:", `"evry"`, "canopy observe"}},
		"unknown network":         {"observe:\n  gnutella:\n    every: 6h\n", []string{":2:", `"gnutella"`}},
		"key of another network":  {"observe:\n  vantage: x\n  mainline:\n    protocol: /x\n", []string{":4:", `"protocol"`, "mainline"}},
		"wrong type":              {"observe:\n  vantage: x\n  ipfs:\n    rate: fast\n", []string{":4:", "rate", "fast"}},
		"number without a unit":   {"observe:\n  ipfs:\n    every: 6\n", []string{":3:", "every", `"6"`, "90m"}},
		"negative interval":       {"observe:\n  vantage: x\n  mainline:\n    every: -6h\n", []string{":4:", "every", "-6h", "above zero"}},
		"negative jitter":         {"observe:\n  mainline:\n    jitter: -1s\n", []string{":3:", "jitter", "-1s"}},
		"interval of nothing":     {"observe:\n  watch-longest: 0s\n", []string{":2:", "watch-longest", "0s"}},
		"list for one":            {"observe:\n  vantage: [a, b]\n", []string{":2:", "vantage", "list"}},
		"value for a section":     {"observe:\n  mainline: 6h\n", []string{":2:", "name: value"}},
		"no vantage":              {"observe:\n  networks: [ipfs]\n", []string{"vantage"}},
		"network that is none":    {"observe:\n  vantage: x\n  networks: [gnutella]\n", []string{"gnutella", "mainline, ipfs"}},
		"jitter above interval":   {"observe:\n  vantage: x\n  ipfs:\n    every: 1h\n    jitter: 2h\n", []string{"ipfs", "1h", "2h", "jitter"}},
		"fixed beat":              {"observe:\n  vantage: x\n  watch-shortest: 10m\n", []string{"three times"}},
		"keep without a time":     {"observe:\n  vantage: x\n  keep: [visits]\n", []string{":3:", "keep", "visits", "8760h"}},
		"negative keep":           {"observe:\n  keep: visits=-1h\n", []string{":2:", "keep", "visits=-1h"}},
		"no share":                {"observe:\n  vantage: x\n  watch-share: 2\n", []string{"watch-share", "2"}},
		"no bootstrap of a mould": {"observe:\n  vantage: x\n  networks: [mainline]\n  mainline:\n    bootstrap: nonsense\n", []string{"nonsense", "host:port"}},
		"no opt-out list":         {"observe:\n  vantage: x\n  opt-out: no-such-list\n", []string{"no-such-list"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := write(t, "canopy.yaml", test.yaml)
			oneClearLine(t, canopy(t, "observe", "--config", path, "--store", "chdb:"+t.TempDir(), "--listen", ""), exitUsage, test.words...)
		})
	}
}

func TestObserveKeepsNoTableThatThereIsNot(t *testing.T) {
	t.Parallel()
	storetest.NeedEngine(t)
	r := canopy(t, "observe", "--vantage", "x", "--keep", "vists=720h", "--store", "chdb:"+t.TempDir(), "--listen", "")
	oneClearLine(t, r, exitUsage, "keep", `"vists"`, "visits")
}

func TestObserveSectionIsNoCommand(t *testing.T) {
	t.Parallel()
	oneClearLine(t, canopy(t, "observe", "ipfs"), exitUsage, "section", "--networks ipfs")
}

func TestObserveStatusWithoutObserver(t *testing.T) {
	t.Parallel()
	listen := freeAddress(t)
	oneClearLine(t, canopy(t, "observe", "--status", "--listen", listen), exitFailed, listen, "running")
}

// observed is a running canopy observe.
type observed struct {
	*exec.Cmd
	lines  chan string // of its log
	config string
	listen string
	store  string
}

// freeAddress returns an address on loopback where nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // it was only asked for its address
	return l.Addr().String()
}

// observeConfig writes a configuration that observes a test network in a hurry.
func observeConfig(t *testing.T, dir, network, bootstrap, section string) observed {
	t.Helper()
	o := observed{listen: freeAddress(t), store: "chdb:" + filepath.Join(dir, "record")}
	o.config = write(t, "canopy.yaml", fmt.Sprintf(`store: %s
log: info
observe:
  vantage: loopback
  listen: %s
  networks: %s
  watch-shortest: 300ms
  watch-longest: 1s
  watch-rate: 500
  report-every: 3s
  data-refresh: 0s
  keep: [edges=720h, probes=8760h]
  report-out: %s
  %s:
    local: true
    bootstrap: %q
%s`, o.store, o.listen, network, filepath.Join(dir, "reports"), network, bootstrap, section))
	return o
}

// start runs the observer.
func (o *observed) start(t *testing.T, args ...string) {
	t.Helper()
	o.Cmd = command(t.Context(), append([]string{"observe", "--config", o.config}, args...)...)
	stderr, err := o.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Start(); err != nil {
		t.Fatal(err)
	}
	o.lines = make(chan string, 10_000)
	go func() {
		defer close(o.lines)
		for s := bufio.NewScanner(stderr); s.Scan(); {
			o.lines <- s.Text()
		}
	}()
}

// await reads the log until a line says what is wanted.
func (o *observed) await(t *testing.T, wanted func(line string) bool) {
	t.Helper()
	var said []string
	for line := range o.lines {
		if said = append(said, line); wanted(line) {
			return
		}
	}
	t.Fatalf("the observer ended early:\n%s", strings.Join(said, "\n"))
}

func says(words string) func(string) bool {
	return func(line string) bool { return strings.Contains(line, words) }
}

// stop sends a signal and returns the exit code and what was logged since.
func (o *observed) stop(signal os.Signal) (code int, said []string) {
	_ = o.Process.Signal(signal)
	for line := range o.lines {
		said = append(said, line)
	}
	_ = o.Wait()
	return o.ProcessState.ExitCode(), said
}

func query(t *testing.T, store, sql string, to any) {
	t.Helper()
	r := canopy(t, "store", "sql", "--store", store, "--format", "JSONEachRow", sql+" SETTINGS output_format_json_quote_64bit_integers = 0")
	if err := json.Unmarshal([]byte(r.stdout), to); err != nil {
		t.Fatalf("%v: %s %s", err, r.stdout, r.stderr)
	}
}

func TestObserve(t *testing.T) {
	t.Parallel() // most of it is waiting
	storetest.NeedEngine(t)
	for network, crawls := range map[string]int{"mainline": 3, "ipfs": 1} {
		t.Run(network, func(t *testing.T) {
			bootstrap, tables, _ := startTestnet(t, network, "--nodes", "120")
			dir := t.TempDir()
			o := observeConfig(t, dir, network, bootstrap, "    every: 2s\n    jitter: 500ms\n")
			o.start(t, "--data", tables)
			for range crawls {
				o.await(t, says("crawl ended"))
			}
			second := canopy(t, "observe", "--config", o.config, "--listen", "", "--log", "warn")
			oneClearLine(t, second, exitFailed, "in use", "observe")
			checkStatus(t, &o, network)
			o.await(t, says("report written"))
			if code, said := o.stop(os.Interrupt); code != exitDone {
				t.Fatalf("Ctrl-C: exit code %d:\n%s", code, strings.Join(said, "\n"))
			}

			// Again, without a crawl of its own: the watched peers come from the record.
			if err := os.WriteFile(o.config, []byte(strings.Replace(read(t, o.config), "every: 2s", "every: 1h", 1)), 0o644); err != nil {
				t.Fatal(err)
			}
			o.start(t, "--data", tables)
			o.await(t, says("watched peers restored"))
			o.await(t, says("observing"))
			var status observeStatus
			r := canopy(t, "observe", "--status", "--config", o.config, "--json", "--log", "warn")
			if err := json.Unmarshal([]byte(r.stdout), &status); err != nil || len(status.Networks) != 1 || status.Networks[0].Watch.Up < 20 {
				t.Errorf("after the restart: %+v, %v, %s", status, err, r.stderr)
			}
			o.await(t, says("report written"))
			if code, said := o.stop(syscall.SIGTERM); code != exitDone {
				t.Fatalf("SIGTERM: exit code %d:\n%s", code, strings.Join(said, "\n"))
			}
			var kept struct{ Complete, Running, Probed, Departed, Open, Again int }
			query(t, o.store, `SELECT countIf(state = 'complete') AS complete, countIf(state = 'running') AS running,
				(SELECT count() FROM probes WHERE outcome = 'answered') AS probed,
				(SELECT countIf(reason = 'departed') FROM sessions) AS departed, (SELECT countIf(reason = 'open') FROM sessions) AS open,
				(SELECT count() - uniqExact(peer_id, address, port) FROM sessions) AS again FROM crawls`, &kept)
			if kept.Complete < crawls || kept.Running != 0 || kept.Probed < 100 || kept.Open < 20 || kept.Departed != 0 || kept.Again != 0 {
				t.Errorf("kept %+v", kept)
			}
			if _, err := os.Stat(filepath.Join(dir, "reports", latestReport, "index.html")); err != nil {
				t.Error(err)
			}
		})
	}
}

// checkStatus asks a running observer in every way there is.
func checkStatus(t *testing.T, o *observed, network string) {
	t.Helper()
	r := canopy(t, "observe", "--status", "--config", o.config, "--log", "warn")
	for _, words := range []string{"vantage loopback", "last crawl", "complete", "next crawl", "peers watched", "rows written", "spool", "disk", "KiB"} {
		if !strings.Contains(r.stdout, words) {
			t.Errorf("the status does not say %q:\n%s%s", words, r.stdout, r.stderr)
		}
	}
	metrics := get(t, "http://"+o.listen+"/metrics", http.StatusOK)
	for _, name := range []string{
		"canopy_crawls_total{network=\"" + network + "\",state=\"complete\"}", "canopy_watched_peers{", "canopy_rows_written_total{table=\"visits\"}",
		"canopy_probes_total{", "canopy_spool_bytes 0", "canopy_healthy 1",
	} {
		if !strings.Contains(metrics, name) {
			t.Errorf("no metric %s in\n%s", name, metrics)
		}
	}
	for _, path := range []string{"/metrics", "/health", "/status"} {
		for header, value := range map[string]string{"Host": "evil.example", "Origin": "http://evil.example", "Sec-Fetch-Site": "cross-site"} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+o.listen+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if req.Header.Set(header, value); header == "Host" {
				req.Host = value
			}
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != http.StatusForbidden {
				t.Errorf("%s with %s %s: status %d", path, header, value, res.StatusCode)
			}
		}
	}
	if health := get(t, "http://"+o.listen+"/health", http.StatusOK); !strings.Contains(health, `"healthy":true`) {
		t.Errorf("health: %s", health)
	}
}

func get(t *testing.T, url string, code int) string {
	t.Helper()
	res, err := http.Get(url) //nolint:noctx // of a test
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // only read
	var b strings.Builder
	if _, err := bufio.NewReader(res.Body).WriteTo(&b); err != nil || res.StatusCode != code {
		t.Fatalf("%s: %s, %v\n%s", url, res.Status, err, &b)
	}
	return b.String()
}

// An observer that is killed in the middle of a crawl leaves it running; the
// next one closes it, and does not crawl before its time.
func TestObserveClosesAbandonedCrawls(t *testing.T) {
	t.Parallel()
	storetest.NeedEngine(t)
	bootstrap, tables, _ := startTestnet(t, "mainline", "--nodes", "600")
	o := observeConfig(t, t.TempDir(), "mainline", bootstrap, "    every: 1h\n    rate: 60\n")
	o.start(t, "--data", tables, "--json")
	o.await(t, func(line string) bool {
		var p crawler.Progress
		return json.Unmarshal([]byte(line), &p) == nil && p.Visited >= 20
	})
	if code, _ := o.stop(syscall.SIGKILL); code == exitDone {
		t.Fatal("killed, and yet it ended well")
	}
	o.start(t, "--data", tables)
	o.await(t, says("left running"))
	o.await(t, says("observing"))
	if code, said := o.stop(os.Interrupt); code != exitDone {
		t.Fatalf("exit code %d:\n%s", code, strings.Join(said, "\n"))
	}
	var kept struct {
		Crawls, CutShort, Visits, Discovered int
		Notes                                string
	}
	query(t, o.store, `SELECT count() AS crawls, countIf(state = 'cut_short') AS cutshort, sum(discovered) AS discovered,
		(SELECT count() FROM visits) AS visits, arrayStringConcat(any(notes), ' ') AS notes FROM crawls`, &kept)
	if kept.Crawls != 1 || kept.CutShort != 1 || kept.Visits != kept.Discovered || !strings.Contains(kept.Notes, store.LeftRunning) {
		t.Errorf("kept %+v", kept)
	}
}

// A crawl that fails is told, tried again soon, and no reason to stop.
func TestObserveGoesOnAfterAFailure(t *testing.T) {
	t.Parallel()
	storetest.NeedEngine(t)
	o := observeConfig(t, t.TempDir(), "mainline", "127.0.0.1:9", "    every: 1h\n")
	o.start(t, "--retry-after", "5m")
	o.await(t, says("crawl failed"))
	var status observeStatus
	r := canopy(t, "observe", "--status", "--config", o.config, "--json", "--log", "warn")
	if err := json.Unmarshal([]byte(r.stdout), &status); err != nil || r.code != exitDegraded {
		t.Fatal(err, r.code, r.stderr)
	}
	if c := status.Networks[0].Crawl; c.Next == nil || time.Until(*c.Next) > 5*time.Minute || c.Crawls["failed"] != 1 {
		t.Errorf("after the failure: %+v", c)
	}
	if health := get(t, "http://"+o.listen+"/health", http.StatusServiceUnavailable); !strings.Contains(health, "The last crawl of mainline failed") {
		t.Errorf("health: %s", health)
	}
	if code, said := o.stop(os.Interrupt); code != exitDone {
		t.Fatalf("exit code %d:\n%s", code, strings.Join(said, "\n"))
	}
}
