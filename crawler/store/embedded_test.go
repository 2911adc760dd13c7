package store

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"canopy/crawler/store/chdb"
)

// hold is the other process: it opens the store in dir, writes some rows,
// says so, and waits to be killed.
func hold(dir string) {
	ctx := context.Background()
	s, err := Open(ctx, "chdb:"+dir, Options{})
	if err == nil {
		err = s.Migrate(ctx)
	}
	c := newCrawl("mainline")
	if err == nil {
		err = errors.Join(s.BeginCrawl(ctx, c), s.Visits(ctx, numbered(c, 0, 1000)), s.Flush(ctx))
	}
	if err != nil {
		fmt.Fprintln(os.Stdout, "failed:", err)
		os.Exit(1)
	}
	fmt.Fprintln(os.Stdout, "holding")
	select {}
}

// holder starts another process that has dir open.
func holder(t *testing.T, dir string, env ...string) (cmd *exec.Cmd, said string) {
	t.Helper()
	cmd = exec.Command(os.Args[0], "--store", "clickhouse://user:s3cret@host/db")
	cmd.Env = append(append(os.Environ(), "CANOPY_TEST_HOLD="+dir), env...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
	said, err = bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the other process ended: %v", err)
	}
	return cmd, said
}

// TestLock wants a clear no while another process has the folder, and what
// that process had stored once it was killed.
func TestLock(t *testing.T) {
	needEngine(t)
	dir := t.TempDir()
	other, said := holder(t, dir)
	if said != "holding\n" {
		t.Fatal(said)
	}
	_, err := Open(context.Background(), "chdb:"+dir, Options{})
	var locked *chdb.LockedError
	if !errors.As(err, &locked) {
		t.Fatalf("Open of a folder in use: %v", err)
	}
	if locked.Holder.PID != other.Process.Pid || !strings.Contains(err.Error(), fmt.Sprintf("process %d", other.Process.Pid)) ||
		!strings.Contains(err.Error(), filepath.Base(os.Args[0])) || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("the error does not name the holder, or tells a password: %v", err)
	}

	if err := other.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = other.Wait()
	s := migrated(t, "chdb:"+dir, Options{})
	wantRows(t, s, "SELECT count() FROM visits", "1000")
}

func TestLockIsReleased(t *testing.T) {
	needEngine(t)
	dir := t.TempDir()
	s, err := Open(context.Background(), "chdb:"+dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, said := holder(t, dir); said != "holding\n" {
		t.Error(said)
	}
}

func TestOneFolderPerProcess(t *testing.T) {
	needEngine(t)
	a := openAt(t, "chdb:"+dataDir+"?database="+newDatabase(), Options{})
	dir := t.TempDir()
	_, err := Open(context.Background(), "chdb:"+dir, Options{})
	if err == nil || !strings.Contains(err.Error(), dataDir) || !strings.Contains(err.Error(), dir) {
		t.Errorf("Open of a second folder: %v", err)
	}
	same := openAt(t, "chdb:"+dataDir+"/./?database="+newDatabase(), Options{})
	if a.engine == same.engine {
		t.Error("two stores share one Engine, so that closing one would close both")
	}
}

func TestMissingLibrary(t *testing.T) {
	_, said := holder(t, t.TempDir(), chdb.EnvLibrary+"=/nonexistent/libchdb.so")
	for _, want := range []string{"failed", "make engine", chdb.EnvLibrary, "/nonexistent/libchdb.so"} {
		if !strings.Contains(said, want) {
			t.Errorf("missing library is reported as %q, without %q", said, want)
		}
	}
}

// TestUnwritableFolder has a file where the folder should be, which stops
// root too.
func TestUnwritableFolder(t *testing.T) {
	needEngine(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "below")} {
		_, err := Open(context.Background(), "chdb:"+dir, Options{})
		if err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "choose a folder") {
			t.Errorf("Open of %s: %v", dir, err)
		}
	}
}

// TestHandler reaches a served store as a client would.
func TestHandler(t *testing.T) {
	ctx := context.Background()
	embedded := embeddedURL(t, newDatabase())
	c := newCrawl("mainline")
	store(t, migrated(t, embedded, Options{}), c, numbered(c, 0, 3), nil)
	served := openAt(t, embedded, Options{ReadOnly: true})
	handler, err := served.Handler(ctx, "s3cret")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	defer server.Close()
	at := func(user string) string {
		return strings.Replace(server.URL, "http://", "http://"+user+"@", 1) + "/" + served.target.database
	}

	if _, err := Open(ctx, at("me:wr0ng"), Options{}); err == nil || !strings.Contains(err.Error(), "Authentication failed") || strings.Contains(err.Error(), "wr0ng") {
		t.Errorf("a wrong password: %v", err)
	}
	s, err := Open(ctx, at("me:s3cret"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	wantRows(t, s, "SELECT count() FROM visits", "3")
	if err := s.Migrate(ctx); err == nil || !strings.Contains(err.Error(), "164") {
		t.Errorf("a store served read-only lets itself be migrated: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	for query, code := range map[string]int{
		"TRUNCATE TABLE visits_log": 164, "SELECT * FROM file('" + file + "', 'LineAsString', 'line String')": 497, "SET readonly = 0": 497,
		"SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')": 497, "INSERT INTO FUNCTION file('" + file + "', 'CSV') SELECT 1": 164,
		"SELECT 1 INTO OUTFILE '" + file + "'": 497,
	} {
		var out bytes.Buffer
		var refused *refusal
		if err := s.SQL(ctx, &out, query, ""); !errors.As(err, &refused) || refused.code != code {
			t.Errorf("a store served read-only is asked %s: %v, want code %d; it answers %s", query, err, code, out.String())
		}
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a reader has made a file: %v", err)
	}
	if _, err := s.Handler(ctx, ""); err == nil || !strings.Contains(err.Error(), "only an embedded store") {
		t.Errorf("a server's store lets itself be served: %v", err)
	}
}
