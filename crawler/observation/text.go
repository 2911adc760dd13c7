package observation

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxText is the longest string, in bytes, that [Text] lets through.
const MaxText = 256

// Text makes a string from the network safe to store, print and show: invalid
// UTF-8 becomes \xNN, and runes that steer a terminal or reorder a line
// (control, format and separator characters other than a plain space) become
// \u{NNNN}. What is longer than [MaxText] bytes is cut and ends in "…".
func Text(raw string) string {
	if len(raw) <= MaxText && plain(raw) {
		return raw
	}
	var b strings.Builder
	for len(raw) > 0 {
		r, size := utf8.DecodeRuneInString(raw)
		piece := raw[:size]
		switch {
		case r == utf8.RuneError && size <= 1:
			piece = fmt.Sprintf(`\x%02x`, raw[0])
		case !harmless(r):
			piece = fmt.Sprintf(`\u{%04x}`, r)
		}
		if b.Len()+len(piece) > MaxText-len("…") {
			b.WriteString("…")
			break
		}
		b.WriteString(piece)
		raw = raw[size:]
	}
	return b.String()
}

func plain(s string) bool {
	for _, r := range s {
		if r == utf8.RuneError || !harmless(r) {
			return false
		}
	}
	return true
}

func harmless(r rune) bool {
	return r == ' ' || unicode.IsGraphic(r) && !unicode.Is(unicode.Z, r)
}
