package chdb

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFind(t *testing.T) {
	root := t.TempDir()
	below := filepath.Join(root, "a", "b")
	installed := filepath.Join(root, ".engine", "node_modules", "@chdb", npmPackage(), "libchdb.so")
	for _, dir := range []string{below, filepath.Dir(installed)} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(installed, []byte("not a library"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Setenv(EnvLibrary, "")
	t.Chdir(below)
	if path, err := Find(); path == installed || err != nil && !errors.Is(err, ErrNoLibrary) {
		t.Errorf("Find below a folder that somebody else may have made: %q, %v", path, err)
	}
	t.Setenv(EnvLibrary, installed)
	t.Chdir(t.TempDir())
	if path, err := Find(); err != nil || path != installed {
		t.Errorf("Find with %s: %q, %v", EnvLibrary, path, err)
	}
	t.Setenv(EnvLibrary, filepath.Dir(installed))
	if _, err := Find(); !errors.Is(err, ErrNoLibrary) {
		t.Errorf("Find with %s naming a folder: %v", EnvLibrary, err)
	}
}

func TestFindSaysWhatToDo(t *testing.T) {
	t.Setenv(EnvLibrary, "")
	t.Chdir(t.TempDir())
	path, err := Find()
	if err == nil {
		t.Skipf("this machine has %s in a place that is always searched", path)
	}
	if !errors.Is(err, ErrNoLibrary) || !strings.Contains(err.Error(), "make build engine") || !strings.Contains(err.Error(), EnvLibrary) {
		t.Errorf("Find: %v", err)
	}
}

func TestSplitInsert(t *testing.T) {
	for query, want := range map[string]string{
		"INSERT INTO t (a, b) FORMAT Native":                  "INSERT INTO t (a, b) |Native|true",
		" insert\ninto t format CSV ;\n":                      " insert\ninto t |CSV|true",
		"INSERT INTO t VALUES (1)":                            "||false",
		"INSERT INTO t SETTINGS async_insert=1 FORMAT Native": "INSERT INTO t SETTINGS async_insert=1 |Native|true",
		"SELECT 1 FORMAT Native":                              "||false",
	} {
		statement, format, ok := splitInsert(query)
		got := statement + "|" + format + "|" + map[bool]string{true: "true", false: "false"}[ok]
		if got != want {
			t.Errorf("%q: got %q, want %q", query, got, want)
		}
	}
}

// FuzzParseRequest reads what a client of a served store may send: whatever it
// is, no setting and no name may break out of the statement it is put into.
func FuzzParseRequest(f *testing.F) {
	f.Add("query=SELECT+1&database=x&readonly=0", "SELECT 2", "")
	f.Add("max_threads=1%27&param_a=b", "", "gzip")
	f.Add("a`b=1", "x", "identity")
	f.Fuzz(func(t *testing.T, query, body, encoding string) {
		req, err := http.NewRequest(http.MethodPost, "http://embedded/", bytes.NewBufferString(body))
		if err != nil {
			t.Fatal(err)
		}
		req.URL.RawQuery = query
		req.Header.Set("Content-Encoding", encoding)
		r, _, err := parseRequest(req)
		if err != nil {
			return
		}
		for name := range r.settings {
			if strings.ContainsAny(name, "`\\'\" ,=") {
				t.Errorf("setting %q breaks its statement", name)
			}
		}
		for _, s := range []string{r.database, r.settings["x"]} {
			inner := strings.TrimSuffix(strings.TrimPrefix(quote(s), "'"), "'")
			if strings.Contains(strings.ReplaceAll(strings.ReplaceAll(inner, `\\`, ""), `\'`, ""), "'") {
				t.Errorf("%q breaks its literal: %s", s, quote(s))
			}
		}
	})
}
