package dataset

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
)

// TestNamesAreNoMarkdown: a network, vantage or data set may be called anything,
// and makes no link, element or cell of a table in the papers.
func TestNamesAreNoMarkdown(t *testing.T) {
	const hostile = "[x](javascript:alert(1))![y](//host)<script>|cell`code`"
	p := paper{Title: hostile, Creator: hostile, Networks: hostile, Vantages: hostile, Rules: hostile, Software: hostile, Period: hostile, Attributions: []string{hostile}}
	alive := regexp.MustCompile("(^|[^\\\\])(\\[x|\\]\\(|!\\[|<script|\\|cell|`code)")
	for _, name := range []string{"README.md", "DATASHEET.md"} {
		var out bytes.Buffer
		if err := papers.ExecuteTemplate(&out, name, p); err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(out.String(), "javascript"); n < 4 {
			t.Errorf("%s: the name occurs %d times only, which proves nothing", name, n)
		}
		if found := alive.FindString(out.String()); found != "" {
			t.Errorf("%s: %q is taken for markup", name, found)
		}
	}
}
