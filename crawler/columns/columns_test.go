package columns

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"text/tabwriter"
)

func table(t *testing.T, flags uint, rows ...string) string {
	t.Helper()
	var out strings.Builder
	w := New(&out, flags)
	for _, row := range rows {
		if _, err := fmt.Fprintln(w, row); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// Columns begin in the same cell of the terminal, whatever the script.
func TestColumnsOfEveryScript(t *testing.T) {
	rows := []string{"name\tshare", "日本語\t1", "e\u0301te\u0301\t2", "🐝 Hive\t3", "ที่\t4", "\U000f0000\U000ffffd\t5", "Телеком\t6"}
	want := "name     share\n日本語   1\ne\u0301te\u0301      2\n🐝 Hive  3\nที่        4\n\U000f0000\U000ffffd       5\nТелеком  6\n"
	if got := table(t, 0, rows...); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got, want := table(t, tabwriter.AlignRight, "日本\t1\t", "a\t22\t"), "  日本   1\n     a  22\n"; got != want {
		t.Errorf("to the right: got\n%s\nwant\n%s", got, want)
	}
}

// broken is a writer that fails.
type broken struct{}

var errBroken = errors.New("no space left")

func (broken) Write([]byte) (int, error) { return 0, errBroken }

func TestFailureIsReported(t *testing.T) {
	w := New(broken{}, 0)
	if _, err := io.WriteString(w, "日本\tx\n"); err != nil {
		t.Fatal(err)
	}
	if err := w.Flush(); !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
}

// No text is lost or changed but for the spaces that align it.
func FuzzTextStays(f *testing.F) {
	for _, s := range []string{"日本語\tx\n", "\u0301\u0301a\n", "\U000f0000\U000ffffc\U000ffffd", "a\tb\tc\n\n", "\v\f\xff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		clean := func(s string) string {
			return strings.NewReplacer(" ", "", "\t", "", "\v", "", "\f", "", "\n", "").Replace(strings.ToValidUTF8(s, "\ufffd"))
		}
		s = strings.ToValidUTF8(s, "\ufffd")
		if got := table(t, 0, s); clean(got) != clean(s) {
			t.Errorf("%q becomes %q", s, got)
		}
	})
}
