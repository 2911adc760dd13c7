package chdb

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// post sends one request over a connection of its own and returns what comes
// back.
func post(t *testing.T, ctx context.Context, to string, body io.Reader, header ...string) (status, code int, text string) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return 0, 0, err.Error()
	}
	defer res.Body.Close()
	all, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, 0, err.Error()
	}
	code, _ = strconv.Atoi(res.Header.Get("X-ClickHouse-Exception-Code"))
	return res.StatusCode, code, string(all)
}

// bomb is 8 MB that unpack to 8 GB.
func bomb(t *testing.T) []byte {
	t.Helper()
	var member bytes.Buffer
	w, err := gzip.NewWriterLevel(&member, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(bytes.Repeat([]byte{' '}, 64<<20)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return bytes.Repeat(member.Bytes(), 128) // a gzip file may have many parts
}

func TestRequestsAreBounded(t *testing.T) {
	for name, write := range map[string]bool{"Read": false, "Write": true} {
		t.Run(name, func(t *testing.T) { testRequestsAreBounded(t, write) })
	}
}

func testRequestsAreBounded(t *testing.T, write bool) {
	s := serve(t, ServeOptions{AllowWrites: write, Tables: []string{"visits"}})
	server := httptest.NewServer(s.handler)
	defer server.Close()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if status, code, text := post(t, t.Context(), server.URL, bytes.NewReader(bomb(t)), "Content-Encoding", "gzip"); status != 413 || code != 307 {
		t.Errorf("a gzip bomb: %d, %d: %s", status, code, text)
	}
	if runtime.ReadMemStats(&after); after.TotalAlloc-before.TotalAlloc > 200<<20 { // the bomb itself is most of it
		t.Errorf("a gzip bomb took %d MiB", (after.TotalAlloc-before.TotalAlloc)>>20)
	}
	long := "SELECT '" + strings.Repeat("x", 2<<20) + "'"
	if status, code, text := post(t, t.Context(), server.URL, strings.NewReader(long)); status != 413 || code != 307 {
		t.Errorf("a long query: %d, %d: %.200s", status, code, text)
	}
	s.handler.(*handler).patient = 200 * time.Millisecond
	r, w := io.Pipe()
	go func() { _, _ = io.WriteString(w, "SELECT 1") }() // and no end
	if status, code, text := post(t, t.Context(), server.URL, r); status != 408 || code != 209 {
		t.Errorf("a body without an end: %d, %d: %s", status, code, text)
	}
	w.Close()
	if status, _, text := post(t, t.Context(), server.URL, strings.NewReader("SELECT count() FROM visits")); status != 200 || text != "10\n" {
		t.Errorf("afterwards: %d %s", status, text)
	}
}

// TestAnswersAreBounded asks for more memory, time and bytes than there are,
// and for the answers of others in between.
func TestAnswersAreBounded(t *testing.T) {
	s := serve(t, ServeOptions{})
	for query, want := range map[string]int{
		"SELECT groupArray(repeat('x', 100000)) FROM numbers(1000000000)":                                       241,
		"SELECT repeat('x', 1000000) FROM numbers(20000)":                                                       241,
		"SELECT number FROM numbers(100000000)":                                                                 396,
		"SELECT 1 AS `" + strings.Repeat("x", 50_000) + "` FROM numbers(1000000) FORMAT JSONEachRow":            241,
		"SELECT sum(sipHash64(number)) FROM numbers(100000000000000)":                                           159,
		"SELECT arrayJoin(range(1000000)) AS a, b FROM (SELECT arrayJoin(range(1000000)) AS b) FORMAT Vertical": 241,
	} {
		parameters := ""
		if want == 159 {
			parameters = "max_execution_time=1"
		}
		status, code, text := s.send(t, parameters, query)
		if code != want || status != 500 {
			t.Errorf("%.70s: status %d, code %d, want %d: %.200s", query, status, code, want, text)
		}
	}
	if _, _, text := s.send(t, "max_execution_time=0&max_memory_usage=0&max_threads=1000", "SELECT getSetting('max_execution_time'), getSetting('max_memory_usage'), getSetting('max_threads')"); text != "60\t536870912\t2\n" {
		t.Errorf("limits that a client tries to lift: %q", text)
	}
}

// TestLongQueriesDoNotStopOthers runs more long queries than there are places.
func TestLongQueriesDoNotStopOthers(t *testing.T) {
	s := serve(t, ServeOptions{})
	server := httptest.NewServer(s.handler)
	defer server.Close()
	ctx, cancel := context.WithCancel(t.Context())
	var long sync.WaitGroup
	var overtaken sync.Map
	for i := range fastQueries + slowQueries + 4 {
		long.Go(func() {
			status, code, text := post(t, ctx, server.URL, strings.NewReader("SELECT sum(sipHash64(number)) FROM numbers(100000000000000)"))
			if status == 503 && code == 202 {
				overtaken.Store(i, text)
			} else if ctx.Err() == nil {
				t.Errorf("a long query: %d, %d: %s", status, code, text)
			}
		})
	}
	lanes := s.handler.(*handler).lanes
	waitFor(t, func() bool { return len(lanes.slow) == slowQueries && len(lanes.fast) == fastQueries })
	var took []time.Duration
	for range 3 {
		start := time.Now()
		status, _, text := post(t, t.Context(), server.URL, strings.NewReader("SELECT count() FROM visits"))
		took = append(took, time.Since(start))
		if status != 200 && status != 503 || status == 200 && text != "10\n" {
			t.Errorf("a short query among long ones: %d %s", status, text)
		}
	}
	t.Logf("short queries among long ones took %v", took)
	if slices.Min(took) > 2*time.Second {
		t.Errorf("short queries among long ones took %v", took)
	}
	cancel()
	long.Wait()
	count := 0
	overtaken.Range(func(any, any) bool { count++; return true })
	if count == 0 {
		t.Error("no long query gave way")
	}
	if _, _, text := s.send(t, "", "SELECT 1"); text != "1\n" {
		t.Errorf("afterwards: %q", text)
	}
}

// TestLanes has queries that never end by themselves.
func TestLanes(t *testing.T) {
	l := newLanes()
	ctx, cancel := context.WithCancel(t.Context())
	endless := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	ended := make(chan error, 100)
	for range fastQueries + slowQueries {
		go func() { ended <- l.run(ctx, endless) }()
	}
	waitFor(t, func() bool { return len(l.slow) == slowQueries && len(l.fast) == fastQueries })
	// All are overdue, those in the fast lane without a way out: they stay until they are wanted.
	if err := l.run(t.Context(), func(context.Context) error { return nil }); err != nil {
		t.Errorf("a short query: %v", err)
	}
	var refused *refusal
	if err := <-ended; !errors.As(err, &refused) || refused.status != http.StatusServiceUnavailable {
		t.Errorf("a query that gave way: %v", err)
	}
	if len(l.slow) != slowQueries || len(l.fast) > fastQueries {
		t.Errorf("lanes hold %d and %d", len(l.fast), len(l.slow))
	}
	cancel()
	for range fastQueries + slowQueries - 1 {
		if err := <-ended; !errors.Is(err, context.Canceled) && !errors.As(err, &refused) {
			t.Errorf("a query whose client left: %v", err)
		}
	}
	if len(l.slow)+len(l.fast)+len(l.waiting) != 0 {
		t.Errorf("places are still taken: %d, %d, %d", len(l.fast), len(l.slow), len(l.waiting))
	}
}

func TestLanesRefuseALongQueue(t *testing.T) {
	l := newLanes()
	for range waitingQueries {
		l.waiting <- struct{}{}
	}
	var refused *refusal
	if err := l.run(t.Context(), func(context.Context) error { return nil }); !errors.As(err, &refused) || refused.status != http.StatusServiceUnavailable || refused.Code != 202 {
		t.Errorf("a query too many: %v", err)
	}
}

// TestDoor wants each wrong password to wait longer than the one before, those
// from one address to wait for each other, and another address for none.
func TestDoor(t *testing.T) {
	d := newDoor("right")
	d.first = time.Millisecond
	knock := func(from, password string) error {
		req := httptest.NewRequest(http.MethodPost, "/", nil)
		req.RemoteAddr = net.JoinHostPort(from, "1")
		req.Header.Set("X-ClickHouse-Key", password)
		return d.knock(t.Context(), req)
	}
	var refused *refusal
	for i, want := range []time.Duration{time.Millisecond, 2 * time.Millisecond, 4 * time.Millisecond, 8 * time.Millisecond} {
		start := time.Now()
		if err := knock("192.0.2.1", fmt.Sprint("wrong", i)); !errors.As(err, &refused) || refused.Code != 516 {
			t.Errorf("a wrong password: %v", err)
		}
		if took := time.Since(start); took < want {
			t.Errorf("wrong password %d waited %s, want %s", i+1, took, want)
		}
	}
	if err := knock("192.0.2.1", "right"); err != nil {
		t.Errorf("the right password: %v", err)
	}
	if got := d.pauseAfter(d.from["192.0.2.1"]); got != 16*time.Millisecond {
		t.Errorf("the right password in between changed the pause to %s", got)
	}
	for range 30 {
		d.pauseAfter(d.from["192.0.2.1"])
	}
	if got := d.pauseAfter(d.from["192.0.2.1"]); got != longestPause {
		t.Errorf("the longest pause is %s", got)
	}
	<-d.from["192.0.2.1"].turn // one from there is being checked
	if err := knock("192.0.2.2", "right"); err != nil {
		t.Errorf("from another address: %v", err)
	}
	d.from["192.0.2.1"].users = mostWaiting
	if err := knock("192.0.2.1", "right"); !errors.As(err, &refused) || refused.status != http.StatusServiceUnavailable {
		t.Errorf("one too many from an address: %v", err)
	}
	if knock("2001:db8::1", "right") != nil || knock("2001:db8::2", "right") != nil || d.from["2001:db8::"] == nil || len(d.from) != 3 {
		t.Errorf("addresses of one IPv6 network are kept apart: %d", len(d.from))
	}
}

// TestPasswords sends the password in every way that clients have.
func TestPasswords(t *testing.T) {
	s := serve(t, ServeOptions{Password: "päss'word"})
	s.handler.(*handler).door.first = time.Microsecond
	server := httptest.NewServer(s.handler)
	defer server.Close()
	in := func(password string) map[string][]string {
		basic := &http.Request{Header: http.Header{}}
		basic.SetBasicAuth("any", password)
		return map[string][]string{
			"?password=" + url.QueryEscape(password): nil, "?": {"Authorization", basic.Header.Get("Authorization")},
			"?a=": {"X-ClickHouse-Key", password}, "?b=": {"Authorization", "Bearer " + password},
		}
	}
	for _, c := range []struct {
		password     string
		status, code int
	}{{"päss'word", 403, 497}, {"", 403, 516}, {"päss'worD", 403, 516}} {
		for query, header := range in(c.password) {
			if status, code, text := post(t, t.Context(), server.URL+"/"+query, strings.NewReader("SELECT file('x')"), header...); status != c.status || code != c.code && !strings.HasPrefix(query, "?a") && !strings.HasPrefix(query, "?b") {
				t.Errorf("%q in %s %v: %d, %d: %s", c.password, query, header, status, code, text)
			}
		}
	}
}
