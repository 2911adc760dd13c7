package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "canopy/crawler/testnet/checkout" // where the engine is
)

// The commands are tested as users run them: the test binary becomes canopy
// when this variable is set.
const beCanopy = "CANOPY_TEST_RUN_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(beCanopy) != "" {
		main()
	}
	if os.Getenv(beConfined) != "" {
		runConfined()
	}
	data, err := smallData()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_ = os.Setenv("CANOPY_DATA", data)
	code := m.Run()
	for _, dir := range []string{data, demo.dir} {
		if dir != "" {
			_ = os.RemoveAll(dir)
		}
	}
	os.Exit(code)
}

// smallData makes a folder of address tables that knows nothing of use: to load
// the tables of the whole Internet takes each run seconds. Tests of what is
// known of addresses bring their own.
func smallData() (dir string, err error) {
	if dir, err = os.MkdirTemp("", "canopy-data-*"); err != nil {
		return "", err
	}
	return dir, os.WriteFile(filepath.Join(dir, "asn.csv"), []byte("203.0.113.0,203.0.113.255,64500,Example\n"), 0o600)
}

// result is what one run of the program left behind.
type result struct {
	code           int
	stdout, stderr string
}

// command prepares a run of canopy in its own process.
func command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), beCanopy+"=1")
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 30 * time.Second
	return cmd
}

// canopy runs the program to its end, with more variables such as "A=b"
// before the first argument that holds no "=" sign.
func canopy(t *testing.T, args ...string) result {
	t.Helper()
	var env []string
	for len(args) > 0 && strings.HasPrefix(args[0], "CANOPY_") {
		env, args = append(env, args[0]), args[1:]
	}
	cmd := command(t.Context(), args...)
	cmd.Env = append(cmd.Env, env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if cmd.ProcessState == nil {
		t.Fatalf("run canopy: %v", err)
	}
	return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// oneClearLine checks that an error is one line of the program's own, without
// a stack, that holds every word wanted.
func oneClearLine(t *testing.T, r result, code int, words ...string) {
	t.Helper()
	line := strings.TrimSpace(r.stderr)
	if r.code != code {
		t.Errorf("exit code %d, want %d; stderr: %s", r.code, code, line)
	}
	if strings.Count(line, "\n") > 0 || !strings.HasPrefix(line, "canopy: ") {
		t.Errorf("want one line that begins with \"canopy: \", got:\n%s", line)
	}
	for _, w := range words {
		if !strings.Contains(line, w) {
			t.Errorf("the error does not say %q: %s", w, line)
		}
	}
}
