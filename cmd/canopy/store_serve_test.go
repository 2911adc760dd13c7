package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"canopy/crawler/store/storetest"
)

type served struct {
	URL, Password string
	Write         bool
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
	cmd := command(context.Background(), append([]string{"store", "serve", "--json", "--listen", "127.0.0.1:0", "--store", store}, args...)...)
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

func TestServeReadsWithoutPasswordOnLoopback(t *testing.T) {
	storetest.NeedEngine(t)
	store := "chdb:" + filepath.Join(t.TempDir(), "record")
	if r := canopy(t, "store", "migrate", "--store", store); r.code != exitDone {
		t.Fatal(r.stderr)
	}
	s := startServe(t, store, nil)
	if s.Password != "" || s.Write {
		t.Errorf("announced %+v", s)
	}
	if status, text := s.ask(t, "", "SELECT count() FROM visits"); status != http.StatusOK || text != "0" {
		t.Errorf("%d %s", status, text)
	}
	for change, code := range map[string]string{
		"DROP TABLE visits_log": "Code: 164.", "INSERT INTO schema_migrations (version) VALUES (9)": "Code: 164.",
		"SELECT * FROM file('" + filepath.Join(t.TempDir(), "file") + "', 'LineAsString')": "Code: 497.",
	} {
		if status, text := s.ask(t, "", change); status != http.StatusForbidden || !strings.HasPrefix(text, code) {
			t.Errorf("%s: %d %s, want %s", change, status, text, code)
		}
	}
	r := canopy(t, "store", "sql", "--store", s.URL+"/canopy", "--format", "TSV", "SELECT count() FROM crawls")
	if r.code != exitDone || r.stdout != "0\n" {
		t.Errorf("canopy as its own client: %d %q %s", r.code, r.stdout, r.stderr)
	}
	if code := s.stop(); code != exitDone {
		t.Errorf("Ctrl-C ended it with %d", code)
	}
}

func TestServeWritesWithPasswordOnly(t *testing.T) {
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
	through := strings.Replace(s.URL, "http://", "http://canopy:s3cret@", 1) + "/canopy"
	if r := canopy(t, "CANOPY_STORE="+through, "store", "migrate"); r.code != exitDone {
		t.Errorf("migrate through HTTP: %s", r.stderr)
	}
	if status, text := s.ask(t, "s3cret", "SELECT count() > 0 FROM schema_migrations"); status != http.StatusOK || text != "1" {
		t.Errorf("%d %s", status, text)
	}
	wrong := strings.Replace(s.URL, "http://", "http://canopy:oh-no@", 1) + "/canopy"
	r := canopy(t, "CANOPY_STORE="+wrong, "store", "status")
	oneClearLine(t, r, exitFailed, "Authentication failed")
	if strings.Contains(r.stderr, "oh-no") {
		t.Errorf("the error tells the password: %s", r.stderr)
	}
}

func TestServeNeedsAnEmbeddedStoreAndAFreeAddress(t *testing.T) {
	storetest.NeedEngine(t)
	s := startServe(t, "chdb:"+filepath.Join(t.TempDir(), "record"), nil, "--write")
	url := strings.Replace(s.URL, "http://", "http://canopy:"+s.Password+"@", 1)
	oneClearLine(t, canopy(t, "store", "serve", "--store", url, "--listen", "127.0.0.1:0"), exitFailed, "only an embedded store")
	taken := strings.TrimPrefix(s.URL, "http://")
	oneClearLine(t, canopy(t, "store", "serve", "--store", "chdb:"+t.TempDir()), exitUsage, "no record", "migrate")
	oneClearLine(t, canopy(t, "store", "serve", "--write", "--store", "chdb:"+t.TempDir(), "--listen", taken), exitFailed, "--listen", "in use")
}
