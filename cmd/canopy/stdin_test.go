package main

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"canopy/crawler/store/storetest"
)

// inShell runs a script in which "$canopy" is the program.
func inShell(t *testing.T, script, stdin string, args ...string) result {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", append([]string{"-c", script, "sh"}, args...)...)
	cmd.Env = append(os.Environ(), beCanopy+"=1", "canopy="+os.Args[0])
	var stdout, stderr strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	_ = cmd.Run()
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// What stands in standard input is not Canopy's: no command takes it from a
// shell that reads it, or stores it.
func TestStandardInputIsLeftAlone(t *testing.T) {
	t.Parallel()
	storetest.NeedEngine(t)
	store := "chdb:" + filepath.Join(t.TempDir(), "record")
	if r := inShell(t, `echo foo | "$canopy" store migrate --store "$1"`, "", store); r.code != exitDone || r.stderr != "" {
		t.Errorf("migrate with lines in its input: exit code %d: %s", r.code, r.stderr)
	}
	if r := canopy(t, "store", "sql", "--write", "--store", store, "CREATE TABLE lines (line String) ENGINE = MergeTree ORDER BY line"); r.code != exitDone {
		t.Fatal(r.stderr)
	}
	r := inShell(t, `while read line; do
		"$canopy" store sql --write --store "$1" "INSERT INTO lines VALUES ('$line')" || exit 1
		done`, "a\nb\nc\n", store)
	if r.code != exitDone {
		t.Errorf("exit code %d: %s", r.code, r.stderr)
	}
	got := canopy(t, "store", "sql", "--store", store, "--format", "TSV", "SELECT line FROM lines ORDER BY line").stdout
	if got != "a\nb\nc\n" {
		t.Errorf("the loop stored %q, want a, b and c", got)
	}
}

func TestServedInsertTakesNoRowsFromTheServer(t *testing.T) {
	t.Parallel()
	storetest.NeedEngine(t)
	store := "chdb:" + filepath.Join(t.TempDir(), "record")
	input, err := os.Open(write(t, "input", "(7, 'nobody sent this', '', 0)\n"))
	if err != nil {
		t.Fatal(err)
	}
	defer input.Close()
	s := startServeWith(t, input, store, []string{servePassword + "=s3cret"}, "--write")
	for _, query := range []string{"INSERT INTO schema_migrations VALUES", "INSERT INTO schema_migrations FORMAT Values"} {
		if status, text := s.ask(t, "s3cret", query); status == http.StatusOK {
			t.Errorf("%s without data: %d %s", query, status, text)
		}
	}
	if status, text := s.ask(t, "s3cret", "SELECT count() FROM schema_migrations WHERE name = 'nobody sent this'"); status != http.StatusOK || text != "0" {
		t.Errorf("rows that nobody sent: %d %s", status, text)
	}
}
