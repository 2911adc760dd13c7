package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"canopy/crawler/store/chdb"
	"canopy/crawler/store/storetest"
)

// beConfined makes the test binary run the statements in it, a JSON list, on an
// engine without an allow-list, in the folder that is its first argument,
// behind the second wall alone.
const beConfined = "CANOPY_TEST_CONFINED"

func runConfined() {
	h, l, err := takeOver()
	if err == nil && l == nil && os.Getenv("CANOPY_TEST_WALLS") != "" {
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err == nil {
			err = becomeConfined(h, l.(filer), os.Args[1], os.Args[1:])
		}
	}
	if err == nil {
		err = besideMain(func() error { return runOnEngine(append(h.Walls, h.Missing...)) })
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func runOnEngine(walls []string) error {
	engine, err := chdb.Open(os.Args[1])
	if err != nil {
		return err
	}
	var statements []string
	if err := json.Unmarshal([]byte(os.Getenv(beConfined)), &statements); err != nil {
		return err
	}
	answers := []string{strings.Join(walls, "; ")}
	for _, statement := range statements {
		req, _ := http.NewRequest(http.MethodPost, "http://embedded/?http_max_tries=1", strings.NewReader(statement))
		res, err := engine.RoundTrip(req)
		if err != nil {
			return err
		}
		text, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		answers = append(answers, string(text))
	}
	return errors.Join(json.NewEncoder(os.Stdout).Encode(answers), engine.Close())
}

// TestSecondWall gives an engine without an allow-list what the first wall
// would refuse. Without the second wall each succeeds, with it none.
func TestSecondWall(t *testing.T) {
	t.Parallel()
	storetest.NeedEngine(t)
	library, err := chdb.Find()
	if err != nil {
		t.Fatal(err)
	}
	for _, walls := range []bool{false, true} {
		outside := t.TempDir()
		secret := filepath.Join(outside, "secret")
		if err := os.WriteFile(secret, []byte("top secret"), 0o600); err != nil {
			t.Fatal(err)
		}
		var connected atomic.Int64
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				connected.Add(1)
				conn.Close()
			}
		}()
		statements, _ := json.Marshal([]string{
			"SELECT file('" + secret + "')",
			"SELECT 1 INTO OUTFILE '" + filepath.Join(outside, "written") + "'",
			"DESCRIBE TABLE url('http://" + l.Addr().String() + "/')",
			"CREATE TABLE IF NOT EXISTS default.t (n UInt8) ENGINE = MergeTree ORDER BY n",
			"INSERT INTO default.t SELECT 7",
			"SELECT n FROM default.t",
		})
		cmd := command(t.Context(), filepath.Join(t.TempDir()))
		cmd.Env = append(os.Environ(), chdb.EnvLibrary+"="+library, beConfined+"="+string(statements))
		if walls {
			cmd.Env = append(cmd.Env, "CANOPY_TEST_WALLS=1")
		}
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		l.Close()
		if err != nil {
			t.Fatal(err)
		}
		var answers []string
		if err := json.Unmarshal(out[strings.Index(string(out), "["):], &answers); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		t.Logf("walls: %s", answers[0])
		if strings.Contains(answers[0], "(Landlock: ") || strings.Contains(answers[0], "(seccomp: ") || strings.Contains(answers[0], "TCP (Landlock") {
			t.Skipf("this kernel lacks a wall: %s", answers[0])
		}
		_, err = os.Stat(filepath.Join(outside, "written"))
		read, written, reached := strings.Contains(answers[1], "top secret"), err == nil, connected.Load() > 0
		if read == walls || written == walls || reached == walls {
			t.Errorf("walls %t: read %t, written %t, connected %t; answers %q", walls, read, written, reached, answers)
		}
		if got := answers[len(answers)-1]; got != "7\n" {
			t.Errorf("walls %t: the engine no longer works in its own folder: %q", walls, got)
		}
	}
}
