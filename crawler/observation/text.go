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
func Text(raw string) string { return text(raw, MaxText) }

// MaxAddress is the longest string, in bytes, that [Address] lets through.
const MaxAddress = 1024

// Address is [Text] for an address in a network's own notation, with more room:
// one that is cut leads nowhere. A multiaddr that can be dialled, with a host
// name of 253 bytes twice in it, takes some 550.
func Address(raw string) string { return text(raw, MaxAddress) }

func text(raw string, most int) string {
	if len(raw) <= most && plain(raw) {
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
		if b.Len()+len(piece) > most-len("…") {
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
