package observation

import (
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

func TestCrawlIDsSortByTimeAndRoundTrip(t *testing.T) {
	early := time.UnixMilli(1_700_000_000_123)
	a, b := NewCrawlID(early), NewCrawlID(early.Add(time.Millisecond))
	if a.String() >= b.String() {
		t.Errorf("%s does not sort before %s", a, b)
	}
	if a.String()[14] != '7' || !strings.ContainsRune("89ab", rune(a.String()[19])) {
		t.Errorf("%s is no version 7 UUID", a)
	}
	if back, err := ParseCrawlID(a.String()); err != nil || back != a {
		t.Errorf("%s came back as %s, %v", a, back, err)
	}
	for _, bad := range []string{"", "x", strings.Repeat("0", 32), strings.Repeat("g", 36), a.String() + "0"} {
		if _, err := ParseCrawlID(bad); err == nil || !strings.Contains(err.Error(), "want a UUID") {
			t.Errorf("%q is read as a crawl ID, with the error %v", bad, err)
		}
	}
}

func TestTextIsReadableAndHarmless(t *testing.T) {
	for raw, want := range map[string]string{
		"kubo/0.43.0/desktop": "kubo/0.43.0/desktop",
		"μTorrent 3.6 ✓":      "μTorrent 3.6 ✓",
		"\x1b[31mred":         `\u{001b}[31mred`,
		"a\x00b\n":            `a\u{0000}b\u{000a}`,
		"ab\xff\xfe":          `ab\xff\xfe`,
		"abc\u202Egnp.exe":    `abc\u{202e}gnp.exe`,
		"non\u00a0breaking":   `non\u{00a0}breaking`,
		"<b>&\"'</b>":         "<b>&\"'</b>", // the page escapes HTML, not we
	} {
		if got := Text(raw); got != want {
			t.Errorf("Text(%q) = %q, want %q", raw, got, want)
		}
	}
	if got := Text(strings.Repeat("x", 10_000)); len(got) > MaxText || !strings.HasSuffix(got, "…") {
		t.Errorf("10 kB became %d bytes: %q", len(got), got)
	}
}

func FuzzText(f *testing.F) {
	for _, seed := range []string{"", "kubo/0.43.0", "\x1b]0;x\a", "\xff\xfe\u202e", strings.Repeat("é", 300), "\ufffd\x80"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got := Text(raw)
		if len(got) > MaxText || !utf8.ValidString(got) {
			t.Fatalf("%d bytes, valid UTF-8: %v", len(got), utf8.ValidString(got))
		}
		for _, r := range got {
			if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
				t.Fatalf("%q holds %U", got, r)
			}
		}
		if Text(got) != got {
			t.Fatalf("%q changes when cleaned again", got)
		}
	})
}
