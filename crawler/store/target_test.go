package store

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	chproto "github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2/lib/proto"
)

func TestParseURL(t *testing.T) {
	for raw, want := range map[string]string{
		"chdb:canopy-data":                             "chdb:canopy-data canopy-data canopy []",
		"chdb:/a b/c?database=other":                   "chdb:/a b/c /a b/c other [embedded]",
		"clickhouse://u:s3cret@host":                   "clickhouse://host:9000  canopy [host:9000]",
		"clickhouse://u:s3cret@host:1/db":              "clickhouse://host:1  db [host:1]",
		"clickhouse://u:s3cret@host/db?secure=true":    "clickhouse://host:9440  db [host:9440]",
		"clickhouse://a:1,b/db":                        "clickhouse://a:1,b:9000  db [a:1 b:9000]",
		"http://u:s3cret@[::1]/":                       "http://[::1]:8123  canopy [[::1]:8123]",
		"https://u:s3cret@host/db":                     "https://host:8443  db [host:8443]",
		"https://u:s3cret@host:1/db?skip_verify=false": "https://host:1  db [host:1]",
	} {
		got, err := parseURL(raw)
		if err != nil {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		want = strings.Replace(want, "canopy []", "canopy [embedded]", 1)
		if text := fmt.Sprintf("%s %s %s %s", got.name, got.dir, got.database, got.options.Addr); text != want {
			t.Errorf("%s: got %q, want %q", raw, text, want)
		}
	}
}

// TestErrorsHideThePassword goes through everything that can be wrong with a
// server's URL.
func TestErrorsHideThePassword(t *testing.T) {
	refusing := freeAddress(t)
	for _, url := range []string{
		"", "nonsense", "mysql://u:s3cret@host/db", "chdb:", "chdb:x?password=s3cret",
		"clickhouse://u:s3cret%zz@host/db", "clickhouse://u:s3cret/x@host:port/db", "clickhouse://u:s3cret@/db",
		"clickhouse://u:s3cret@host:99999999/db", "http://u:s3cret@host/bad-name", "http://u:s3cret@host/db?secure=true",
		"clickhouse://u:s3cret@host/db?dial_timeout=x", "clickhouse://u:s3cret@" + refusing + "/db", "http://u:s3cret@" + refusing + "/db",
		"https://u:s3cret@" + refusing + "/db", "http://host/db?password=s3cret&dial_timeout=x",
	} {
		_, err := Open(context.Background(), url, Options{})
		if err == nil {
			t.Errorf("Open(%q) succeeds", url)
		} else if strings.Contains(err.Error(), "s3cret") {
			t.Errorf("Open(%q) tells the password: %v", url, err)
		}
	}
}

func TestOldServerOverHTTP(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "18.16.1") }))
	defer server.Close()
	_, err := Open(context.Background(), server.URL+"/db", Options{})
	if !errors.Is(err, ErrOldServer) || !strings.Contains(err.Error(), "23.8") || !strings.Contains(err.Error(), "18.16.1") {
		t.Errorf("Open of an old server: %v", err)
	}
}

// TestNativeGreetings meets an old server, a server that refuses, and ports
// where something else answers.
func TestNativeGreetings(t *testing.T) {
	hello := func(major, minor uint64) []byte {
		var b chproto.Buffer
		b.PutByte(proto.ServerHello)
		b.PutString("ClickHouse")
		for _, n := range []uint64{major, minor, 54412} {
			b.PutUVarInt(n)
		}
		return b.Buf
	}
	var refusal chproto.Buffer
	refusal.PutByte(proto.ServerException)
	refusal.PutInt32(516)
	for _, text := range []string{"DB::Exception", "DB::Exception: default: Authentication failed", "stack"} {
		refusal.PutString(text)
	}
	refusal.PutBool(false)
	for _, test := range []struct {
		name   string
		answer []byte
		want   string
	}{
		{"old", hello(18, 16), "this is 18.16"},
		{"just too old", hello(23, 7), "this is 23.7"},
		{"refused", refusal.Buf, "Authentication failed"},
		{"HTTP", []byte("HTTP/1.1 400 Bad Request\r\n\r\n"), "not ClickHouse's native port"},
		{"silent", nil, "native port"},
		{"cut short", hello(18, 16)[:5], "EOF"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := Open(context.Background(), "clickhouse://u:s3cret@"+answering(t, test.answer)+"/db", Options{})
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("Open: %v, want %q", err, test.want)
			}
		})
	}
}

// answering returns an address where every connection gets answer and is
// closed.
func answering(t *testing.T, answer []byte) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 4096)) // the client's greeting
			_, _ = conn.Write(answer)
			conn.Close()
		}
	}()
	return l.Addr().String()
}

func TestCheckVersion(t *testing.T) {
	for version, ok := range map[string]bool{
		"23.8.1.1": true, "26.7.2.1": true, "24.1": true, "23.7.9.9": false, "1.1.54390": false, "18.16": false, "": false, "x.y": false,
	} {
		if err := checkVersion(version); (err == nil) != ok {
			t.Errorf("checkVersion(%q): %v", version, err)
		}
	}
}

func FuzzUnescape(f *testing.F) {
	for _, s := range []string{"", `\N`, `\`, `\\n`, "a\tb\n\\", "\x00\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got := unescape(escaper.Replace(s)); got != s {
			t.Errorf("unescape(escape(%q)) = %q", s, got)
		}
	})
}
