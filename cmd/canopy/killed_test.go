package main

import (
	"bufio"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"canopy/crawler"
	"canopy/crawler/store"
	"canopy/crawler/store/storetest"
)

// crawling is a crawl in a process of its own that has stored some visits.
type crawling struct {
	*exec.Cmd
	logs *bufio.Scanner
}

// startCrawl runs a slow crawl until it has visited some peers.
func startCrawl(t *testing.T, cmd *exec.Cmd) *crawling {
	t.Helper()
	logs, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c := &crawling{cmd, bufio.NewScanner(logs)}
	for said := ""; c.logs.Scan(); said += c.logs.Text() + "\n" {
		var at crawler.Progress
		if json.Unmarshal(c.logs.Bytes(), &at) == nil && at.Visited >= 20 {
			return c
		}
		if strings.HasPrefix(c.logs.Text(), "canopy:") {
			t.Fatal(said + c.logs.Text())
		}
	}
	t.Fatal("the crawl ended early")
	return nil
}

// wait returns the exit code.
func (c *crawling) wait() int {
	for c.logs.Scan() {
	}
	_ = c.Wait()
	return c.ProcessState.ExitCode()
}

// kill ends it as a power cut does.
func (c *crawling) kill(t *testing.T) {
	t.Helper()
	_ = c.Process.Signal(syscall.SIGKILL)
	if code := c.wait(); code != -1 {
		t.Fatalf("killed, it ended with exit code %d", code)
	}
}

// checkClosed looks at a crawl that was killed and closed.
func checkClosed(t *testing.T, url, vantage string) {
	t.Helper()
	var kept struct {
		State                        string
		Discovered, Reachable, Ended int
		Visits, Answered             int
		Notes                        string
	}
	of := "crawl_id IN (SELECT crawl_id FROM crawls WHERE vantage = '" + vantage + "')"
	query(t, url, `SELECT state, discovered, reachable, ended_at IS NOT NULL AS ended, arrayStringConcat(notes, ' ') AS notes,
		(SELECT count() FROM visits WHERE `+of+`) AS visits, (SELECT countIf(outcome = 'answered') FROM visits WHERE `+of+`) AS answered
		FROM crawls WHERE `+of, &kept)
	if kept.State != "cut_short" || kept.Ended != 1 || kept.Visits != kept.Discovered || kept.Reachable != kept.Answered ||
		!strings.Contains(kept.Notes, store.LeftRunning+" when its program ended") {
		t.Errorf("kept %+v", kept)
	}
}

// A crawl that is killed is told as what it is, and closed by the next command
// that writes.
func TestKilledCrawl(t *testing.T) {
	t.Parallel()
	storetest.NeedEngine(t)
	bootstrap, tables, _ := startTestnet(t, "mainline", "--nodes", "600")
	for name, next := range map[string][]string{
		"migrate": {"store", "migrate"},
		"crawl":   {"crawl", "mainline", "--local", "--bootstrap", bootstrap, "--vantage", "next", "--deadline", "1s"},
		"serve":   nil,
	} {
		t.Run(name, func(t *testing.T) {
			url := "chdb:" + filepath.Join(t.TempDir(), "record")
			startCrawl(t, command(t.Context(), "crawl", "mainline", "--local", "--bootstrap", bootstrap, "--store", url, "--data", tables,
				"--vantage", "killed", "--rate", "60", "--json")).kill(t)
			for _, args := range [][]string{{"store", "status"}, {"report", "--out", filepath.Join(t.TempDir(), "report")}} {
				r := canopy(t, append(args, "--store", url)...)
				if said := r.stdout + r.stderr; !strings.Contains(said, "left running") || !strings.Contains(said, "canopy store migrate") {
					t.Errorf("%v tells nothing of it: %s%s", args, r.stdout, r.stderr)
				}
			}
			if next == nil {
				startServe(t, url, nil, "--write").stop()
			} else if r := canopy(t, append(next, "--store", url)...); !strings.Contains(r.stderr, "left running") {
				t.Fatalf("%v: exit code %d: %s", next, r.code, r.stderr)
			}
			checkClosed(t, url, "killed")
			if r := canopy(t, "store", "status", "--store", url); strings.Contains(r.stdout, "left running") {
				t.Errorf("it is told still: %s", r.stdout)
			}
		})
	}
}

// On a server that many crawl into, the killed one is closed, and those that
// live are left alone: in a container of their own, stopped, or as usual.
func TestKilledCrawlOnAServer(t *testing.T) {
	t.Parallel()
	storetest.NeedEngine(t)
	bootstrap, tables, _ := startTestnet(t, "mainline", "--nodes", "600")
	server := startServe(t, "chdb:"+filepath.Join(t.TempDir(), "record"), []string{servePassword + "=s3cret"}, "--write")
	url := strings.Replace(server.URL, "http://", "http://canopy:s3cret@", 1) + "/canopy"
	crawl := func(vantage string) *exec.Cmd {
		return command(t.Context(), "crawl", "mainline", "--local", "--bootstrap", bootstrap, "--store", url,
			"--spool", filepath.Join(t.TempDir(), "spool"), "--data", tables, "--vantage", vantage, "--rate", "60", "--json")
	}
	living := map[string]*crawling{"living": startCrawl(t, crawl("living")), "stopped": startCrawl(t, crawl("stopped"))}
	if exec.Command("unshare", "--pid", "--fork", "--mount-proc", "true").Run() == nil {
		inside := crawl("container")
		cmd := exec.CommandContext(t.Context(), "unshare", append([]string{"--pid", "--fork", "--mount-proc", "--kill-child"}, inside.Args...)...)
		cmd.Env = inside.Env
		living["container"] = startCrawl(t, cmd)
	} else {
		t.Log("no crawl in a container: that needs unshare and its rights")
	}
	_ = living["stopped"].Process.Signal(syscall.SIGSTOP)
	startCrawl(t, crawl("killed")).kill(t)

	r := canopy(t, "store", "status", "--store", url)
	for vantage, c := range living {
		pid := strconv.Itoa(c.Process.Pid)
		if vantage == "container" {
			pid = "1"
		}
		if line := lineWith(r.stdout, "from "+vantage+","); !strings.Contains(line, "process "+pid+" on ") || !strings.Contains(line, "under way") {
			t.Errorf("the status says of %s: %q\n%s", vantage, line, r.stderr)
		}
	}
	if line := lineWith(r.stdout, "from killed,"); !strings.Contains(line, "left running when its program ended") {
		t.Errorf("the status says of killed: %q\n%s", line, r.stderr)
	}
	if r := canopy(t, "store", "migrate", "--store", url); r.code != exitDone || strings.Count(r.stderr, "left running") != 1 {
		t.Fatalf("exit code %d: %s", r.code, r.stderr)
	}
	checkClosed(t, url, "killed")
	_ = living["stopped"].Process.Signal(syscall.SIGCONT)
	for vantage, c := range living {
		if code := c.wait(); code != exitDone {
			t.Errorf("%s ended with exit code %d", vantage, code)
		}
	}
	var kept struct{ Complete, Running int }
	query(t, url, "SELECT countIf(state = 'complete') AS complete, countIf(state = 'running') AS running FROM crawls", &kept)
	if kept.Complete != len(living) || kept.Running != 0 {
		t.Errorf("kept %+v, want %d complete", kept, len(living))
	}
}

func lineWith(text, words string) string {
	for line := range strings.Lines(text) {
		if strings.Contains(line, words) {
			return line
		}
	}
	return ""
}

// An import that was killed is no crawl that was cut short: it is read again.
func TestKilledImportIsReadAgain(t *testing.T) {
	t.Parallel()
	storetest.NeedEngine(t)
	dir := nebulaFolder(t)
	url := "chdb:" + filepath.Join(t.TempDir(), "record")
	if r := canopy(t, "import", "nebula", dir, "--store", url); r.code != exitDegraded { // one line of it is bad
		t.Fatal(r.code, r.stderr)
	}
	// As the record stands when the program is killed before the end.
	begun := `INSERT INTO crawls_log SELECT * REPLACE ('running' AS state, NULL AS ended_at, arrayFilter(n -> 0, notes) AS notes) FROM crawls`
	if r := canopy(t, "store", "sql", "--write", "--store", url, begun); r.code != exitDone {
		t.Fatal(r.stderr)
	}
	if r := canopy(t, "store", "migrate", "--store", url); r.code != exitDone || !strings.Contains(r.stderr, "left running") {
		t.Fatal(r.code, r.stderr)
	}
	if r := canopy(t, "import", "nebula", dir, "--store", url); r.code != exitDegraded || strings.Contains(r.stdout, "already") {
		t.Errorf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
	}
	if r := canopy(t, "import", "nebula", dir, "--store", url); r.code != exitDone || !strings.Contains(r.stdout, "already") {
		t.Errorf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
	}
	var kept struct{ Running, Short, Crawls int }
	query(t, url, "SELECT countIf(state = 'running') AS running, countIf(state = 'cut_short') AS short, count() AS crawls FROM crawls", &kept)
	if kept.Running != 0 || kept.Short != 0 || kept.Crawls != 1 {
		t.Errorf("kept %+v", kept)
	}
}
