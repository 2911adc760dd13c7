package refresh

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"canopy/crawler/address"
	"canopy/crawler/observation"
)

func TestUnchangedFilesAreNotSentAgain(t *testing.T) {
	m, dir := newMirror(t), t.TempDir()
	sources := few(t, "google", "tor")
	run(t, dir, sources, options(m.URL))
	for _, r := range run(t, dir, sources, options(m.URL)) {
		if r.State != Unchanged || r.Version.Rows == 0 {
			t.Errorf("%+v", r)
		}
	}
	if m.whole["google/goog.json"] != 1 || m.whole["tor/torbulkexitlist"] != 1 {
		t.Errorf("sent %v", m.whole)
	}
	m.set("google/cloud.json", strings.NewReplacer("2026-06-15", "2026-06-20", "west4", "west9").Replace(samples["google/cloud.json"]))
	r := run(t, dir, sources, options(m.URL))
	if r[0].State != Updated || r[0].Version.Date.Day() != 20 || r[0].Version.Rows != 3 || r[1].State != Unchanged {
		t.Errorf("one of two files changed: %+v", r)
	}
}

func TestVersionsAnswerAsOfTheirDay(t *testing.T) {
	m, dir := newMirror(t), t.TempDir()
	sources := few(t, "aws")
	run(t, dir, sources, options(m.URL))
	m.set("aws/ip-ranges.json", strings.NewReplacer("192.0.2.0/25", "203.0.113.0/25", "2026-06-17", "2026-06-27").Replace(samples["aws/ip-ranges.json"]))
	run(t, dir, sources, options(m.URL))
	old, new := netip.MustParseAddr("192.0.2.9"), netip.MustParseAddr("203.0.113.9")
	day := func(d int) time.Time { return time.Date(2026, 6, d, 8, 0, 0, 0, time.UTC) }
	for asOf, want := range map[time.Time][2]observation.Hosting{
		{}:      {observation.HostingUnknown, observation.HostingHosting},
		day(30): {observation.HostingUnknown, observation.HostingHosting},
		day(26): {observation.HostingHosting, observation.HostingUnknown},
		day(1):  {observation.HostingHosting, observation.HostingUnknown},
	} {
		table := openTable(t, dir, asOf)
		if got := [2]observation.Hosting{table.Lookup(old).Hosting, table.Lookup(new).Hosting}; got != want {
			t.Errorf("as of %s: %v, want %v", asOf, got, want)
		}
		if warned := strings.Contains(strings.Join(table.Warnings(), " "), "no version is as old"); warned != asOf.Equal(day(1)) {
			t.Errorf("as of %s: warnings %q", asOf, table.Warnings())
		}
	}
}

func TestBrokenUpdatesKeepTheOldData(t *testing.T) {
	aws := samples["aws/ip-ranges.json"]
	for _, c := range []struct{ name, content, want string }{
		{"web page", "\n <!DOCTYPE html><title>Sign in</title>", "web page (HTML)"},
		{"empty", " \n", "is empty"},
		{"cut within", aws[:200], "cut short"},
		{"another form", `{"prefixes":"none"}`, "cannot unmarshal"},
		{"nothing in it", `{"prefixes":[]}`, "no range at all"},
		{"no address", strings.Replace(aws, "192.0.2.0/25", "192.0.2.0/33", 1), "192.0.2.0/33"},
		{"claims everybody", strings.Replace(aws, "192.0.2.0/25", "0.0.0.0/0", 1), "too much of the internet"},
		{"future", strings.NewReplacer("2026-06", "2027-06", "eu-west-1", "eu-west-2").Replace(aws), "lies in the future"},
		{"stale", strings.NewReplacer("2026-06", "2025-06", "eu-west-1", "eu-west-2").Replace(aws), "the mirror is stale"},
		{"shrunken", `{"createDate":"2026-06-18-00-00-00","prefixes":[{"ip_prefix":"192.0.2.0/25","service":"EC2"}]}`, "suspiciously small"},
		{"damaged packing", "\x1f\x8b\x08\x00broken", "unpack"},
	} {
		m, dir := newMirror(t), t.TempDir()
		sources := few(t, "aws")
		before := run(t, dir, sources, options(m.URL))[0]
		m.set("aws/ip-ranges.json", c.content)
		r := run(t, dir, sources, options(m.URL))[0]
		if r.State != Failed || !strings.Contains(r.Reason, c.want) || r.Version != before.Version {
			t.Errorf("%s: %+v, want failure %q", c.name, r, c.want)
		}
		if h := openTable(t, dir, time.Time{}).Lookup(netip.MustParseAddr("192.0.2.9")).Hosting; h != observation.HostingHosting {
			t.Errorf("%s: the old data are gone: %s", c.name, h)
		}
		if files, _ := filepath.Glob(filepath.Join(dir, address.VersionsName, "aws", "*")); len(files) != 1 {
			t.Errorf("%s: left behind %v", c.name, files)
		}
	}
}

func TestShrinkIsTakenWhenAskedFor(t *testing.T) {
	m, dir := newMirror(t), t.TempDir()
	run(t, dir, few(t, "aws"), options(m.URL))
	m.set("aws/ip-ranges.json", `{"createDate":"2026-06-18-00-00-00","prefixes":[{"ip_prefix":"192.0.2.0/25","service":"EC2"}]}`)
	o := options(m.URL)
	o.Shrink = true
	if r := run(t, dir, few(t, "aws"), o)[0]; r.State != Updated || r.Version.Rows != 1 {
		t.Errorf("%+v", r)
	}
}

func TestTroubleOnTheWay(t *testing.T) {
	m, dir := newMirror(t), t.TempDir()
	m.cut = "tor/torbulkexitlist"
	r := run(t, dir, few(t, "tor", "aws", "npm"), options(m.URL))
	if r[0].State != Failed || !strings.Contains(r[0].Reason, "broke off") || r[1].State != Updated || r[2].State != Absent {
		t.Errorf("%+v", r)
	}
	small, _ := Named("aws")
	if r := run(t, t.TempDir(), small, options(m.URL))[0]; r.State != Failed || !strings.Contains(r.Reason, "at least 1000") {
		t.Errorf("a first version that is far too small: %+v", r)
	}
	always := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) }))
	defer always.Close()
	if r := run(t, t.TempDir(), few(t, "aws"), options(always.URL))[0]; r.State != Failed {
		t.Errorf("nothing changed, says a server that never sent anything: %+v", r)
	}
}

func TestFolderAsMirror(t *testing.T) {
	from, dir := t.TempDir(), t.TempDir()
	stamp := time.Date(2026, 5, 4, 0, 0, 0, 0, time.UTC)
	for _, name := range []string{"cloudflare/ips-v4", "cloudflare/ips-v6"} {
		path := filepath.Join(from, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(samples[name]), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, stamp, stamp); err != nil {
			t.Fatal(err)
		}
	}
	r := run(t, dir, few(t, "cloudflare", "fastly"), options(from))
	if r[0].State != Updated || !r[0].Version.Date.Equal(stamp) || r[0].Version.DateFrom != "last modified" || r[1].State != Absent {
		t.Errorf("%+v", r)
	}
	if r := run(t, dir, few(t, "cloudflare"), options(from)); r[0].State != Unchanged {
		t.Errorf("%+v", r)
	}
}

func TestChangedFilesAreNoticed(t *testing.T) {
	m, dir := newMirror(t), t.TempDir()
	r := run(t, dir, few(t, "tor"), options(m.URL))[0]
	path := filepath.Join(dir, address.VersionsName, r.Version.File)
	if err := os.WriteFile(path, []byte("start,end,hosting\n192.0.2.0,192.0.2.255,residential\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := address.Open(dir, address.Options{}); err == nil || !strings.Contains(err.Error(), "checksum") || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
}

func TestStale(t *testing.T) {
	m, dir := newMirror(t), t.TempDir()
	for want, when := range map[bool]time.Time{false: today.Add(29 * 24 * time.Hour), true: today.Add(31 * 24 * time.Hour)} {
		run(t, dir, few(t, "tor"), options(m.URL))
		if got, err := Stale(dir, 30*24*time.Hour, when); err != nil || got != want {
			t.Errorf("%s: %v, %v", when, got, err)
		}
	}
	if got, err := Stale(t.TempDir(), time.Hour, today); err != nil || !got {
		t.Errorf("an empty folder is not stale: %v", err)
	}
}
