package store

import (
	"strings"
	"testing"
)

// Names in scripts of wide characters leave the columns after them in line.
func TestTableOfWideNames(t *testing.T) {
	var out strings.Builder
	if err := writeTabSeparated(&out, strings.NewReader("organisation\tpeers\n日本電信\t7\nExample\t12\n")); err != nil {
		t.Fatal(err)
	}
	if want := "organisation  peers\n日本電信      7\nExample       12\n"; out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}
