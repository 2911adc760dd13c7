package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"canopy/crawler/store/storetest"
)

// noReader is the end of a pipe that nobody reads.
func noReader(t *testing.T) *os.File {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	t.Cleanup(func() { w.Close() })
	return w
}

// fullDisk takes nothing.
func fullDisk(t *testing.T) *os.File {
	t.Helper()
	f, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// into runs canopy with its output in a file.
func into(t *testing.T, out *os.File, args ...string) result {
	t.Helper()
	cmd := command(t.Context(), args...)
	var stderr strings.Builder
	cmd.Stdout, cmd.Stderr = out, &stderr
	_ = cmd.Run()
	return result{cmd.ProcessState.ExitCode(), "", stderr.String()}
}

// Output that does not arrive is told: quietly to a shell where its reader has
// gone, in words otherwise.
func TestOutputIsLost(t *testing.T) {
	t.Parallel()
	storetest.NeedEngine(t)
	store := "chdb:" + filepath.Join(t.TempDir(), "record")
	if r := canopy(t, "store", "migrate", "--store", store); r.code != exitDone {
		t.Fatal(r.stderr)
	}
	for _, args := range [][]string{
		{"version"}, {"version", "--json"}, {"crawl", "mainline", "--help"}, {"data", "status"},
		{"store", "status", "--store", store}, {"store", "status", "--json", "--store", store},
		{"store", "migrate", "--store", store},
		{"store", "sql", "--store", store, "SELECT number FROM numbers(100000)"},
		{"store", "sql", "--store", store, "--format", "JSONEachRow", "SELECT number FROM numbers(100000)"},
		{"store", "serve", "--store", store, "--listen", "127.0.0.1:0"},
	} {
		if r := into(t, noReader(t), args...); r.code != exitPipe || strings.Contains(r.stderr, "canopy:") {
			t.Errorf("%v without a reader: exit code %d, %q", args, r.code, r.stderr)
		}
		oneClearLine(t, into(t, fullDisk(t), args...), exitFailed, "write output", "no space left on device")
	}
}

// What a crawl prints, and the file of its visits, may be lost; the record gets
// all of it.
func TestCrawlOutlivesItsOutput(t *testing.T) {
	t.Parallel()
	storetest.NeedEngine(t)
	bootstrap, _, _ := startTestnet(t, "mainline", "--nodes", "150")
	for name, test := range map[string]struct {
		out   *os.File
		args  []string
		code  int
		words string
	}{
		"no reader":           {noReader(t), nil, exitPipe, ""},
		"no reader, JSON":     {noReader(t), []string{"--json"}, exitPipe, ""},
		"full disk":           {fullDisk(t), nil, exitFailed, "canopy: write output: "},
		"no reader of visits": {noReader(t), []string{"--visits", "/dev/stdout"}, exitPipe, ""},
		"full disk of visits": {nil, []string{"--visits", "/dev/full"}, exitFailed, "canopy: write visits: "},
	} {
		t.Run(name, func(t *testing.T) {
			store := "chdb:" + filepath.Join(t.TempDir(), "record")
			r := into(t, test.out, append([]string{"crawl", "mainline", "--local", "--bootstrap", bootstrap, "--store", store}, test.args...)...)
			if r.code != test.code || !strings.Contains(r.stderr, test.words) || test.words == "" && strings.Contains(r.stderr, "canopy:") {
				t.Errorf("exit code %d, want %d: %s", r.code, test.code, r.stderr)
			}
			if kept := readCrawl(t, store); kept.State != "complete" || !kept.whole() {
				t.Errorf("kept %+v", kept)
			}
		})
	}
}

// Visits can be read from a pipe while they are made.
func TestVisitsIntoAPipe(t *testing.T) {
	t.Parallel()
	storetest.NeedEngine(t)
	bootstrap, _, _ := startTestnet(t, "mainline", "--nodes", "50")
	store := "chdb:" + filepath.Join(t.TempDir(), "record")
	r := canopy(t, "crawl", "mainline", "--local", "--bootstrap", bootstrap, "--store", store, "--visits", "/dev/stdout")
	lines := strings.Count("\n"+r.stdout, "\n{")
	if kept := readCrawl(t, store); r.code != exitDone || lines != kept.Visits || !kept.whole() {
		t.Errorf("exit code %d, %d lines, kept %+v: %s", r.code, lines, kept, r.stderr)
	}
}

func TestForemostError(t *testing.T) {
	t.Parallel()
	gone := outputError{"write output", syscall.EPIPE}
	work, flaw := errors.New("work"), degradedError{"flaw"}
	for _, test := range []struct{ err, want error }{
		{nil, nil}, {work, work}, {flaw, flaw}, {gone, gone},
		{fmt.Errorf("run query: %w", gone), gone},
		{errors.Join(gone, flaw), gone},
		{errors.Join(work, gone), work},
		{errors.Join(fmt.Errorf("a: %w", errors.Join(gone, work)), gone), work},
		{errors.Join(flaw, work), work},
	} {
		got := foremost(test.err)
		if (got == nil) != (test.want == nil) || got != nil && got.Error() != test.want.Error() && !errors.Is(got, test.want) {
			t.Errorf("foremost of %q is %v, want %v", test.err, got, test.want)
		}
	}
}

// What is read before each crawl must be there again.
func TestObserveReadsItsFilesAgain(t *testing.T) {
	t.Parallel()
	list := write(t, "opt-out", "192.0.2.0/24\n")
	nowhere := "chdb:" + filepath.Join(list, "record") // so that it crawls nothing should it go on
	for _, flag := range []string{"opt-out", "check-list"} {
		for _, path := range []string{"/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"} {
			cmd := command(t.Context(), "observe", "--vantage", "x", "--"+flag, path, "--listen", "", "--store", nowhere)
			file, err := os.Open(list)
			if err != nil {
				t.Fatal(err)
			}
			var stderr strings.Builder
			cmd.Stdin, cmd.Stderr = file, &stderr
			_ = cmd.Run()
			file.Close()
			oneClearLine(t, result{cmd.ProcessState.ExitCode(), "", stderr.String()}, exitUsage, flag, path, "again")
		}
	}
}

// A configuration that comes through a pipe holds for every section.
func TestConfigurationFromAPipe(t *testing.T) {
	t.Parallel()
	nowhere := "chdb:" + filepath.Join(write(t, "file", "no folder"), "record") // so that it crawls nothing should it go on
	cmd := command(t.Context(), "observe", "--config", "/dev/stdin", "--store", nowhere, "--listen", "")
	var stderr strings.Builder
	cmd.Stdin, cmd.Stderr = strings.NewReader("observe:\n  vantage: x\n  mainline:\n    every: 1h\n    jitter: 2h\n"), &stderr
	_ = cmd.Run()
	oneClearLine(t, result{cmd.ProcessState.ExitCode(), "", stderr.String()}, exitUsage, "mainline", "1h", "2h", "jitter")
}
