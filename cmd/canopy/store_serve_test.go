package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"canopy/crawler/store/storetest"
)

type served struct {
	URL, Password string
	Write         bool
	Walls         []string
	pid           int
	stop          func() int // ends it with Ctrl-C and returns its exit code
}

// startServe runs canopy store serve in a process of its own.
func startServe(t *testing.T, store string, env []string, args ...string) served {
	t.Helper()
	return startServeWith(t, nil, store, env, args...)
}

// startServeWith gives it a standard input.
func startServeWith(t *testing.T, stdin io.Reader, store string, env []string, args ...string) served {
	t.Helper()
	cmd := command(context.Background(), append([]string{"store", "serve", "--json", "--listen=127.0.0.1:0", "--store", store}, args...)...)
	cmd.Env, cmd.Stdin, cmd.Stderr = append(cmd.Env, env...), stdin, os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var s served
	if err := json.NewDecoder(out).Decode(&s); err != nil {
		t.Fatalf("store serve announced nothing: %v", err)
	}
	s.pid = cmd.Process.Pid
	stopped := false
	s.stop = func() int {
		stopped = true
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
		return cmd.ProcessState.ExitCode()
	}
	t.Cleanup(func() {
		if !stopped {
			s.stop()
		}
	})
	return s
}

// withPassword is the URL with a user and a password in it.
func (s served) withPassword(password string) string {
	return strings.Replace(s.URL, "http://", "http://canopy:"+password+"@", 1)
}

// ask sends one query and returns the status and the text of the answer.
func (s served) ask(t *testing.T, password, query string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL, strings.NewReader(query))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-ClickHouse-Key", password)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, strings.TrimSpace(string(text))
}

func TestServeReads(t *testing.T) {
	t.Parallel()
	store := migratedRecord(t)
	s := startServe(t, store, nil)
	if len(s.Password) < 20 || s.Write {
		t.Errorf("announced %+v", s)
	}
	if status, text := s.ask(t, "", "SELECT count() FROM visits"); status != http.StatusForbidden || !strings.Contains(text, "516") {
		t.Errorf("without a password: %d %s", status, text)
	}
	if status, text := s.ask(t, s.Password, "SELECT count() FROM visits"); status != http.StatusOK || text != "0" {
		t.Errorf("%d %s", status, text)
	}
	for change, code := range map[string]string{
		"DROP TABLE visits_log": "Code: 164.", "INSERT INTO schema_migrations (version) SELECT 9": "Code: 164.",
		"SELECT * FROM file('" + filepath.Join(t.TempDir(), "file") + "', 'LineAsString')": "Code: 497.",
	} {
		if status, text := s.ask(t, s.Password, change); status != http.StatusForbidden || !strings.HasPrefix(text, code) {
			t.Errorf("%s: %d %s, want %s", change, status, text, code)
		}
	}
	r := canopy(t, "store", "sql", "--store", s.withPassword(s.Password)+"/canopy", "--format", "TSV", "SELECT count() FROM crawls")
	if r.code != exitDone || r.stdout != "0\n" {
		t.Errorf("canopy as its own client: %d %q %s", r.code, r.stdout, r.stderr)
	}
	if code := s.stop(); code != exitDone {
		t.Errorf("Ctrl-C ended it with %d", code)
	}
}

// migratedRecord is the URL of a record without rows.
func migratedRecord(t *testing.T) string {
	t.Helper()
	storetest.NeedEngine(t)
	store := "chdb:" + filepath.Join(t.TempDir(), "record")
	if r := canopy(t, "store", "migrate", "--store", store); r.code != exitDone {
		t.Fatal(r.stderr)
	}
	return store
}

// TestServeOnSocket needs no password, for the system says who may open it. A
// socket that a killed server left behind is no obstacle, one in use is.
func TestServeOnSocket(t *testing.T) {
	t.Parallel()
	store := migratedRecord(t)
	dir, err := os.MkdirTemp("", "canopy-socket-") //nolint:usetesting // a test's own folder may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	dead, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	dead.(*net.UnixListener).SetUnlinkOnClose(false)
	dead.Close()
	s := startServe(t, store, nil, "--listen", "unix:"+path)
	if s.Password != "" || s.URL != "unix:"+path {
		t.Errorf("announced %+v", s)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("the socket is open to others: %v %v", info, err)
	}
	client := http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
	res, err := client.Post("http://localhost/", "text/plain", strings.NewReader("SELECT 7"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if text, _ := io.ReadAll(res.Body); string(text) != "7\n" {
		t.Errorf("answer %q", text)
	}
	oneClearLine(t, canopy(t, "store", "serve", "--store", store, "--listen", "unix:"+path), exitFailed, "another program listens", "--listen")
}

// TestServeHidesItsEnvironment looks at the serving process from outside.
func TestServeHidesItsEnvironment(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("processes are looked at in /proc")
	}
	s := startServe(t, migratedRecord(t), []string{servePassword + "=s3cret-of-ours", "AWS_SECRET_ACCESS_KEY=s3cret-of-others"})
	if status, text := s.ask(t, "s3cret-of-ours", "SELECT 1"); status != http.StatusOK {
		t.Fatal(status, text)
	}
	for _, file := range []string{"environ", "cmdline"} {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", s.pid, file))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "s3cret") {
			t.Errorf("%s of the serving process holds a secret: %q", file, text)
		}
	}
}

func TestServeWritesWithPasswordOnly(t *testing.T) {
	t.Parallel()
	storetest.NeedEngine(t)
	store := "chdb:" + filepath.Join(t.TempDir(), "record")
	generated := startServe(t, store, nil, "--write")
	if len(generated.Password) < 20 || !generated.Write {
		t.Fatalf("announced %+v", generated)
	}
	if status, text := generated.ask(t, "wrong", "SELECT 1"); status != http.StatusForbidden || !strings.Contains(text, "516") {
		t.Errorf("a wrong password: %d %s", status, text)
	}
	generated.stop()

	s := startServe(t, store, []string{servePassword + "=s3cret"}, "--write")
	if s.Password != "" {
		t.Error("a password that was given must not be printed")
	}
	through := s.withPassword("s3cret") + "/canopy"
	if r := canopy(t, "CANOPY_STORE="+through, "store", "migrate"); r.code != exitDone {
		t.Errorf("migrate through HTTP: %s", r.stderr)
	}
	if status, text := s.ask(t, "s3cret", "SELECT count() > 0 FROM schema_migrations"); status != http.StatusOK || text != "1" {
		t.Errorf("%d %s", status, text)
	}
	wrong := s.withPassword("oh-no") + "/canopy"
	r := canopy(t, "CANOPY_STORE="+wrong, "store", "status")
	oneClearLine(t, r, exitFailed, "Authentication failed")
	if strings.Contains(r.stderr, "oh-no") {
		t.Errorf("the error tells the password: %s", r.stderr)
	}
}

func TestServeNeedsAnEmbeddedStoreAndAFreeAddress(t *testing.T) {
	t.Parallel()
	storetest.NeedEngine(t)
	s := startServe(t, "chdb:"+filepath.Join(t.TempDir(), "record"), nil, "--write")
	url := s.withPassword(s.Password)
	oneClearLine(t, canopy(t, "store", "serve", "--store", url, "--listen", "127.0.0.1:0"), exitFailed, "only an embedded store")
	taken := strings.TrimPrefix(s.URL, "http://")
	oneClearLine(t, canopy(t, "store", "serve", "--store", "chdb:"+t.TempDir()), exitUsage, "no record", "migrate")
	oneClearLine(t, canopy(t, "store", "serve", "--write", "--store", "chdb:"+t.TempDir(), "--listen", taken), exitFailed, "--listen", "in use")
}

// TestServedRecordIsEnough makes report and dataset through HTTP, from a copy
// of the demo's record.
func TestServedRecordIsEnough(t *testing.T) {
	t.Parallel()
	made := demoFolder(t)
	record := filepath.Join(t.TempDir(), "record")
	if err := os.CopyFS(record, os.DirFS(filepath.Join(made, "record"))); err != nil {
		t.Fatal(err)
	}
	s := startServe(t, "chdb:"+record, nil)
	store := "CANOPY_STORE=" + s.withPassword(s.Password) + "/canopy"
	out := t.TempDir()
	if r := canopy(t, store, "report", "--data", filepath.Join(made, "data"), "--out", filepath.Join(out, "report")); r.code != exitDone {
		t.Errorf("report: %s", r.stderr)
	}
	if r := canopy(t, store, "export", "--out", filepath.Join(out, "dataset")); r.code != exitDone {
		t.Errorf("export: %s", r.stderr)
	}
	if r := canopy(t, store, "store", "status"); r.code != exitDone || !strings.Contains(r.stdout, "visits") {
		t.Errorf("status: %s %s", r.stdout, r.stderr)
	}
}
