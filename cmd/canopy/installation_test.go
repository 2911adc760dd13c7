package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"canopy/crawler/store/chdb"
	"canopy/crawler/store/storetest"
)

// installed copies the program to a folder of its own, and returns how to run
// it in a working folder with nothing in the environment that leads elsewhere.
func installed(t *testing.T, exe string) func(in string, args ...string) result {
	t.Helper()
	from, err := os.Open(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close() //nolint:errcheck // it was read
	if err := os.MkdirAll(filepath.Dir(exe), 0o755); err != nil {
		t.Fatal(err)
	}
	to, err := os.OpenFile(exe, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(to, from); errors.Join(err, to.Close()) != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	return func(in string, args ...string) result {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), exe, args...)
		cmd.Dir, cmd.Env = in, []string{beCanopy + "=1", "HOME=" + home, "PATH=" + os.Getenv("PATH")}
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		_ = cmd.Run()
		if cmd.ProcessState == nil {
			t.Fatalf("%v did not run", args)
		}
		return result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
	}
}

// engineIn puts the engine below dir as npm does, or what is none.
func engineIn(t *testing.T, dir string, real bool) {
	t.Helper()
	library, err := chdb.Find()
	if err != nil {
		t.Fatal(err)
	}
	place := filepath.Join(dir, ".engine", "node_modules", "@chdb", filepath.Base(filepath.Dir(library)), filepath.Base(library))
	if err := os.MkdirAll(filepath.Dir(place), 0o755); err != nil {
		t.Fatal(err)
	}
	if real {
		err = os.Symlink(library, place)
	} else {
		err = os.WriteFile(place, []byte("no library"), 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestNothingOfADownloadedFolderIsLoaded works in a folder, and below one, that
// brings an engine and address tables along.
func TestNothingOfADownloadedFolderIsLoaded(t *testing.T) {
	t.Parallel()
	storetest.NeedEngine(t)
	run := installed(t, filepath.Join(t.TempDir(), "bin", "canopy"))
	downloaded := t.TempDir()
	engineIn(t, downloaded, false)
	below := filepath.Join(downloaded, "dataset", "csv")
	for _, dir := range []string{filepath.Join(downloaded, ".data"), below} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	writeIn(t, filepath.Join(downloaded, ".data"), "asn.csv", "192.0.2.0,192.0.2.255,64500,Made Up\n")
	for _, in := range []string{downloaded, below} {
		oneClearLine(t, run(in, "store", "migrate", "--store", "chdb:"+t.TempDir()), exitFailed, "was not found beside this program", "make build engine", "CANOPY_CHDB_LIB")
		if r := run(in, "explain", "192.0.2.7"); r.code != exitDone || strings.Contains(r.stdout, "Made Up") || !strings.Contains(r.stdout, "No data set covers this address") {
			t.Errorf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
		}
	}
}

// TestWhatIsInstalledIsFound finds both beside the program, from anywhere, but
// not where others could have put them.
func TestWhatIsInstalledIsFound(t *testing.T) {
	t.Parallel()
	storetest.NeedEngine(t)
	for _, test := range []struct{ name, exe string }{{"beside", "canopy"}, {"next to bin", filepath.Join("bin", "canopy")}} {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			run := installed(t, filepath.Join(root, test.exe))
			engineIn(t, root, true)
			data := filepath.Join(root, ".data")
			if err := os.Mkdir(data, 0o755); err != nil {
				t.Fatal(err)
			}
			writeIn(t, data, "asn.csv", "192.0.2.0,192.0.2.255,64500,Example Net\n")
			if r := run(t.TempDir(), "store", "migrate", "--store", "chdb:"+t.TempDir()); r.code != exitDone {
				t.Errorf("exit code %d: %s", r.code, r.stderr)
			}
			if r := run(t.TempDir(), "explain", "192.0.2.7"); !strings.Contains(r.stdout, "Example Net") {
				t.Errorf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
			}
			for _, place := range []string{filepath.Join(root, ".engine"), data} {
				if err := os.Chmod(place, 0o777); err != nil { //nolint:gosec // that is the test
					t.Fatal(err)
				}
			}
			oneClearLine(t, run(t.TempDir(), "store", "migrate", "--store", "chdb:"+t.TempDir()), exitFailed, ".engine", "everyone may write", "chmod o-w")
			oneClearLine(t, run(t.TempDir(), "explain", "192.0.2.7"), exitFailed, ".data", "everyone may write", "chmod o-w", "--data")
			if os.Geteuid() != 0 {
				return
			}
			for _, place := range []string{filepath.Join(root, ".engine"), data} {
				if err := errors.Join(os.Chmod(place, 0o755), os.Chown(place, 12345, 12345)); err != nil {
					t.Fatal(err)
				}
			}
			oneClearLine(t, run(t.TempDir(), "store", "migrate", "--store", "chdb:"+t.TempDir()), exitFailed, ".engine", "belongs to user 12345")
			oneClearLine(t, run(t.TempDir(), "explain", "192.0.2.7"), exitFailed, ".data", "belongs to user 12345")
		})
	}
}
