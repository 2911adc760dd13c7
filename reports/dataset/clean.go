package dataset

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// longest is how many bytes of a string from the network are published.
const longest = 256

// clean makes a string harmless in files and terminals: what is invalid UTF-8,
// steers a terminal or turns a line around becomes its code.
func clean(s string) string {
	if len(s) <= longest && (plain(s) || strings.IndexFunc(s, func(r rune) bool { return !harmless(r) }) < 0) {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		if b.Len() > longest {
			b.WriteString("…")
			break
		}
		switch _, size := utf8.DecodeRuneInString(s[i:]); {
		case r == utf8.RuneError && size <= 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case harmless(r):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, `\u{%04x}`, r)
		}
	}
	return b.String()
}

// plain says whether a string is printable ASCII, as most are.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func harmless(r rune) bool {
	if r >= ' ' && r <= '~' {
		return true
	}
	return r != utf8.RuneError && unicode.IsGraphic(r) && !unicode.Is(unicode.Z, r)
}
