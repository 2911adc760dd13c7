package chdb

import (
	"context"
	"io"
	"os"
	osexec "os/exec" // exec is the helper of these tests
	"runtime"
	"strings"
	"testing"
)

// TestMain lets this binary be a process of its own with the engine in it.
func TestMain(m *testing.M) {
	if dir := os.Getenv("CANOPY_TEST_INSERT"); dir != "" {
		insertNothing(dir)
		return
	}
	if dir := os.Getenv("CANOPY_TEST_STATE"); dir != "" {
		printState(dir)
		return
	}
	os.Exit(m.Run())
}

// reading are statements that have no rows of their own and look for some.
var reading = []string{
	"INSERT INTO t VALUES",
	"INSERT INTO t FORMAT CSV",
	"INSERT INTO t FORMAT TSV\n",
	"INSERT INTO t SELECT * FROM input('s String') FORMAT CSV",
	"INSERT INTO t FROM INFILE '/dev/stdin' FORMAT CSV",
	"INSERT INTO t SELECT * FROM file('stdin', 'CSV', 's String')",
	"INSERT INTO t SELECT * FROM file('-', 'CSV', 's String')",
	"INSERT INTO t SELECT * FROM file('/dev/fd/0', 'CSV', 's String')",
	"INSERT INTO t SELECT * FROM file('/proc/self/fd/0', 'CSV', 's String')",
}

// insertNothing runs statements that find rows nowhere, and prints what is in
// the table then.
func insertNothing(dir string) {
	engine, err := Open(dir)
	if err != nil {
		panic(err)
	}
	defer engine.Close()
	ask(engine, "CREATE TABLE t (s String) ENGINE = MergeTree ORDER BY s")
	if text := ask(engine, "INSERT INTO t VALUES ('sent')"); text != "" { // both kinds of rows at once are what the engine refuses
		panic(text)
	}
	for _, query := range reading {
		ask(engine, query)
	}
	_, _ = os.Stdout.WriteString(ask(engine, "SELECT arrayStringConcat(groupArray(s), ',') FROM t"))
}

func ask(e *Engine, query string) string {
	a, err := e.shared.run(context.Background(), request{query: query, format: "TSV"})
	if err != nil {
		return err.Error()
	}
	defer a.free()
	return string(a.bytes())
}

// TestNothingReadsStandardInput gives a process a standard input with rows in
// it: none reaches a table, and all is there for others that share it.
func TestNothingReadsStandardInput(t *testing.T) {
	needLibrary(t)
	const lines = "\"foreign\"\n\"rows\"\n"
	file, err := os.CreateTemp(t.TempDir(), "stdin")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.WriteString(lines); err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if _, err := w.WriteString(lines); err != nil {
		t.Fatal(err)
	}
	w.Close()
	for name, stdin := range map[string]*os.File{"file": file, "pipe": r} {
		if name == "file" {
			if _, err := stdin.Seek(0, io.SeekStart); err != nil {
				t.Fatal(err)
			}
		}
		cmd := osexec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), "CANOPY_TEST_INSERT="+t.TempDir())
		cmd.Stdin, cmd.Stderr = stdin, os.Stderr
		out, err := cmd.Output()
		if err != nil || string(out) != "sent\n" {
			t.Errorf("%s: the table holds %q, %v", name, out, err)
		}
		left, err := io.ReadAll(stdin)
		if err != nil || string(left) != lines {
			t.Errorf("%s: %q is left of standard input, %v", name, left, err)
		}
	}
}

// TestTheProcessStaysAsItIs compares what any library can change of a process,
// and of the thread that loads it, whose signal mask children inherit.
func TestTheProcessStaysAsItIs(t *testing.T) {
	needLibrary(t)
	cmd := osexec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "CANOPY_TEST_STATE="+t.TempDir())
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	before, after, ok := strings.Cut(string(out), "with the engine\n")
	if err != nil || !ok || before != after || !strings.Contains(before, "SigBlk") {
		t.Errorf("%v; before:\n%s\nwith the engine:\n%s", err, before, after)
	}
}

// printState prints the state of this process before and after it has opened
// the engine.
func printState(dir string) {
	runtime.LockOSThread()
	_, _ = os.Stdout.WriteString(state())
	engine, err := Open(dir)
	if err != nil {
		panic(err)
	}
	defer engine.Close()
	if text := ask(engine, "SELECT 1"); text != "1\n" {
		panic(text)
	}
	_, _ = os.Stdout.WriteString("with the engine\n" + state())
}

func state() string {
	dir, err := os.Getwd()
	if err != nil {
		panic(err)
	}
	status, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		panic(err)
	}
	said := dir + "\n"
	for line := range strings.Lines(string(status)) {
		switch name, _, _ := strings.Cut(line, ":"); name {
		case "Name", "Umask", "SigBlk", "SigIgn", "Cpus_allowed_list":
			said += line
		case "SigCgt": // without the real-time signals: the engine has one for stack traces of its threads
			said += name + line[len(line)-9:]
		}
	}
	return said
}
