package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

func TestGuardWeb(t *testing.T) {
	t.Parallel()
	tcp := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8123}
	ours, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		host, header, value string
		want                int
	}{
		{"127.0.0.1:8123", "", "", 200}, {"localhost:8123", "", "", 200}, {"[::1]:8123", "", "", 200}, {ours + ":8123", "", "", 200}, {"observer.example", "", "", 200},
		{"127.0.0.1:8123", "Sec-Fetch-Site", "none", 200},
		{"evil.example:8123", "", "", 403}, {"127.0.0.1.evil.example", "", "", 403}, {":8123", "", "", 200},
		{"127.0.0.1:8123", "Origin", "http://evil.example", 403}, {"127.0.0.1:8123", "Origin", "null", 403}, {"127.0.0.1:8123", "Origin", "", 403},
		{"127.0.0.1:8123", "Origin", "http://127.0.0.1:8123", 403},
		{"127.0.0.1:8123", "Sec-Fetch-Site", "cross-site", 403}, {"127.0.0.1:8123", "Sec-Fetch-Site", "same-site", 403}, {"127.0.0.1:8123", "Sec-Fetch-Site", "same-origin", 403},
		{"127.0.0.1:8123", "Sec-Fetch-Site", "", 403}, {"127.0.0.1:8123", "Upgrade", "websocket", 403},
	} {
		reached := false
		handler := guardWeb(tcp, "observer.example", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
		req := httptest.NewRequest(http.MethodGet, "http://127.0.0.1/", nil)
		req.Host = c.host
		if c.header != "" {
			req.Header[c.header] = []string{c.value}
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, req)
		if w.Code != c.want || reached != (c.want == 200) {
			t.Errorf("%+v: status %d, reached %t", c, w.Code, reached)
		}
		for name, value := range map[string]string{"X-Content-Type-Options": "nosniff", "Content-Type": "text/plain; charset=UTF-8"} {
			if got := w.Header().Get(name); got != value {
				t.Errorf("%+v: %s is %q", c, name, got)
			}
		}
		if !strings.HasPrefix(w.Header().Get("Content-Security-Policy"), "sandbox;") {
			t.Errorf("%+v: policy %q", c, w.Header().Get("Content-Security-Policy"))
		}
	}
}

// TestBrowser opens a page of another site in Chromium, which tries all that a
// page can against a served record whose password it knows.
func TestBrowser(t *testing.T) {
	t.Parallel()
	browser := findChromium(t)
	s := startServe(t, migratedRecord(t), nil, "--write")
	query := s.URL + "/?password=" + s.Password + "&query="
	insert := "INSERT INTO observers_log (vantage) SELECT 'from a page'"
	if status, text := s.ask(t, s.Password, insert+" WHERE 0"); status != http.StatusOK {
		t.Fatal(status, text) // a program may: the page is refused for being a page
	}
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<html><body><script>
var out = [], q = %q, insert = %q;
function said(what) { out.push(what) }
</script>
<script src="%sSELECT+'said(1)//'"></script>
<iframe name="frame" src="%sSELECT+1"></iframe>
<form id="form" method="post" enctype="text/plain" target="frame" action="%sSELECT+1"><input name="INSERT INTO observers_log (vantage) SELECT 'form'//" value="x"></form>
<script>
document.getElementById("form").submit();
Promise.allSettled([
  fetch(q + "SELECT+1").then(r => r.text()).then(said),
  fetch(q, {method: "POST", body: insert}).then(r => r.text()).then(said),
  fetch(q, {method: "POST", body: insert, mode: "no-cors"}).then(r => r.text()).then(t => { if (t) said(t) }),
  new Promise((done, failed) => { var s = new WebSocket(q.replace("http", "ws") + "SELECT+1"); s.onopen = () => { said("socket"); done() }; s.onerror = failed }),
  new Promise(done => { var i = new Image(); i.onload = () => { said("image"); done() }; i.onerror = done; i.src = q + "SELECT+1" }),
]).then(() => { document.title = "done:" + out.join(",") });
</script></body></html>`, query, insert, query, query, query)
	}))
	defer page.Close()
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(browser), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("disable-background-networking", true))...)
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx)
	defer cancel()
	ctx, cancel = context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Navigate(strings.Replace(page.URL, "127.0.0.1", "localhost", 1))); err != nil {
		t.Fatal(err)
	}
	title, err := chromedp.Run(ctx, chromedp.Poll[string](`document.title.startsWith("done:") && document.title`))
	if err != nil {
		t.Fatal(err)
	}
	led, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`setTimeout(() => { location = q + "SELECT+'<script>document.title=1</script>'" }); true`))
	if err != nil || !led {
		t.Fatal(led, err)
	}
	var navigated string
	for !strings.Contains(navigated, "Code:") && ctx.Err() == nil {
		navigated, _ = chromedp.Run(ctx, chromedp.OuterHTML("html")) // fails while the page changes
	}
	if title != "done:" {
		t.Errorf("the page got %q out", title)
	}
	if !strings.Contains(navigated, "requests of web pages are refused") {
		t.Errorf("the page led the browser to %q", navigated)
	}
	if status, text := s.ask(t, s.Password, "SELECT count() FROM observers_log"); status != http.StatusOK || text != "0" {
		t.Errorf("rows from the page: %d %s", status, text)
	}
}
