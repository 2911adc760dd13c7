package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"canopy/crawler"
	"canopy/crawler/store/storetest"
)

// crawlUntil runs a crawl, calls then once it has visited some peers, and
// returns how it ended and what it logged.
func crawlUntil(t *testing.T, cmd *exec.Cmd, then func(*os.Process)) (*os.ProcessState, string) {
	t.Helper()
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var said strings.Builder
	var at crawler.Progress
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		said.WriteString(lines.Text() + "\n")
		before := at.Visited
		if json.Unmarshal(lines.Bytes(), &at) == nil && before < 20 && at.Visited >= 20 {
			then(cmd.Process)
		}
	}
	_ = cmd.Wait()
	return cmd.ProcessState, said.String()
}

// keptCrawl is what the record holds of its only crawl.
type keptCrawl struct {
	State                                   string
	Discovered, Reachable, Visits, Answered int
	Notes                                   string
}

func readCrawl(t *testing.T, store string) (c keptCrawl) {
	t.Helper()
	query(t, store, `SELECT state, discovered, reachable, (SELECT count() FROM visits) AS visits,
		(SELECT countIf(outcome = 'answered') FROM visits) AS answered, arrayStringConcat(notes, ' ') AS notes FROM crawls`, &c)
	return c
}

// whole says whether every visit that the crawl tells of is in the record.
func (c keptCrawl) whole() bool {
	return c.Visits > 0 && c.Reachable == c.Answered && (c.State != "complete" || c.Visits == c.Discovered)
}

func send(signals ...os.Signal) func(*os.Process) {
	return func(p *os.Process) {
		for _, s := range signals {
			_ = p.Signal(s)
		}
	}
}

// Every signal that asks for an end cuts a crawl short, with all of it stored;
// every other is no reason to end.
func TestSignals(t *testing.T) {
	t.Parallel()
	storetest.NeedEngine(t)
	bootstrap, _, _ := startTestnet(t, "mainline", "--nodes", "150")
	for name, test := range map[string]struct {
		nohup bool
		send  func(*os.Process)
		code  int
		state string
		notes string
	}{
		"hangup":             {false, send(syscall.SIGHUP), exitDegraded, "cut_short", "the terminal was closed"},
		"hangup, twice":      {false, send(syscall.SIGHUP, syscall.SIGHUP, syscall.SIGHUP), exitDegraded, "cut_short", "the terminal was closed"},
		"terminated":         {false, send(syscall.SIGTERM), exitDegraded, "cut_short", "stopped by the user"},
		"quit":               {false, send(syscall.SIGQUIT), exitDegraded, "cut_short", "stopped by the user"},
		"processor time":     {false, send(syscall.SIGXCPU), exitDegraded, "cut_short", "processor time"},
		"hangup under nohup": {true, send(syscall.SIGHUP), exitDone, "complete", ""},
		"no end":             {false, send(syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGALRM, syscall.SIGPIPE, syscall.SIGVTALRM, syscall.SIGXFSZ), exitDone, "complete", ""},
	} {
		t.Run(name, func(t *testing.T) {
			store := "chdb:" + filepath.Join(t.TempDir(), "record")
			args := []string{"crawl", "mainline", "--local", "--bootstrap", bootstrap, "--store", store, "--rate", "60", "--json"}
			cmd := command(t.Context(), args...)
			if test.nohup {
				env := cmd.Env
				cmd = exec.CommandContext(t.Context(), "sh", append([]string{"-c", `trap '' HUP; exec "$0" "$@"`}, cmd.Args...)...)
				cmd.Env = env
			}
			state, said := crawlUntil(t, cmd, test.send)
			if state.ExitCode() != test.code {
				t.Fatalf("%s, want exit code %d:\n%s", state, test.code, said)
			}
			if kept := readCrawl(t, store); kept.State != test.state || !kept.whole() || !strings.Contains(kept.Notes, test.notes) {
				t.Errorf("kept %+v", kept)
			}
		})
	}
}

// What comes while the program ends: a second Ctrl-C ends it at once, the wish of
// before again does not.
func TestSignalsWhileEnding(t *testing.T) {
	t.Parallel()
	storetest.NeedEngine(t)
	for name, test := range map[string]struct {
		first syscall.Signal
		then  []os.Signal
		end   syscall.Signal // 0: it ends by itself
	}{
		"second Ctrl-C":          {syscall.SIGINT, []os.Signal{syscall.SIGINT}, syscall.SIGINT},
		"Ctrl-C after SIGTERM":   {syscall.SIGTERM, []os.Signal{syscall.SIGINT}, syscall.SIGINT},
		"second SIGTERM, SIGHUP": {syscall.SIGTERM, []os.Signal{syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT}, 0},
		"second SIGHUP, SIGTERM": {syscall.SIGHUP, []os.Signal{syscall.SIGHUP, syscall.SIGTERM}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			cmd, request := busyServer(t)
			_ = cmd.Process.Signal(test.first)
			for { // until it listens no more
				conn, err := net.Dial("tcp", request.RemoteAddr().String())
				if err != nil {
					break
				}
				conn.Close()
			}
			send(test.then...)(cmd.Process)
			if test.end == 0 {
				request.Close()
			}
			_ = cmd.Wait()
			status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
			if !ok || test.end == 0 && status != 0 || test.end != 0 && (!status.Signaled() || status.Signal() != test.end) {
				t.Errorf("it ended with %s", cmd.ProcessState)
			}
		})
	}
}

// busyServer serves a store to a request whose body never ends, which keeps the
// server from ending at once.
func busyServer(t *testing.T) (*exec.Cmd, net.Conn) {
	t.Helper()
	cmd := command(t.Context(), "store", "serve", "--write", "--json", "--listen", "127.0.0.1:0",
		"--store", "chdb:"+filepath.Join(t.TempDir(), "record"))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var at served
	if err := json.NewDecoder(out).Decode(&at); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(at.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	request := "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-ClickHouse-Key: " + at.Password + "\r\nExpect: 100-continue\r\nContent-Length: 100\r\n\r\n"
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, "100") {
		t.Fatal(line, err) // it is read from now on
	}
	return cmd, conn
}

// A reader of logs that goes away ends nothing.
func TestReaderOfLogsGoesAway(t *testing.T) {
	t.Parallel()
	storetest.NeedEngine(t)
	bootstrap, _, _ := startTestnet(t, "mainline", "--nodes", "150")
	t.Run("crawl", func(t *testing.T) {
		store := "chdb:" + filepath.Join(t.TempDir(), "record")
		cmd := command(t.Context(), "crawl", "mainline", "--local", "--bootstrap", bootstrap, "--store", store, "--rate", "60", "--json")
		logs, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		bufio.NewScanner(logs).Scan()
		logs.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("the crawl ended with %v", err)
		}
		if kept := readCrawl(t, store); kept.State != "complete" || !kept.whole() {
			t.Errorf("kept %+v", kept)
		}
	})
	t.Run("observe", func(t *testing.T) {
		o := observeConfig(t, t.TempDir(), "mainline", bootstrap, "    every: 2s\n    jitter: 0s\n")
		cmd := command(t.Context(), "observe", "--config", o.config)
		logs, err := cmd.StderrPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		bufio.NewScanner(logs).Scan()
		logs.Close()
		for crawls := uint64(0); crawls < 2; { // each logs several lines
			var status observeStatus
			r := canopy(t, "observe", "--status", "--config", o.config, "--json", "--log", "warn")
			if json.Unmarshal([]byte(r.stdout), &status) == nil && len(status.Networks) == 1 {
				crawls = status.Networks[0].Crawl.Crawls["complete"]
			} else if t.Context().Err() != nil || syscall.Kill(cmd.Process.Pid, 0) != nil {
				t.Fatalf("no observer answers: %s", r.stderr)
			}
		}
		_ = cmd.Process.Signal(os.Interrupt)
		if err := cmd.Wait(); err != nil {
			t.Errorf("the observer ended with %v", err)
		}
	})
}
