package dataset

import (
	"bufio"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestKeyOfEpoch checks that exports share pseudonyms only through a kept key.
func TestKeyOfEpoch(t *testing.T) {
	s := openStore(t)
	fill(t, s, "alpha", 1, 300)
	dir := t.TempDir()
	path, ledger := filepath.Join(dir, "key.json"), filepath.Join(dir, "record.keys")
	key := NewKey()
	must(t, key.Keep(path, ledger, day))
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key is readable to others: %v, %v", info.Mode(), err)
	}
	if err := key.Keep(path, ledger, day); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a key that is there is written over: %v", err)
	}
	peers := func(o Options) (list []string) {
		o.Format = CSV
		dir := filepath.Join(t.TempDir(), "dataset")
		_, err := Export(t.Context(), readFrom(s), dir, o)
		must(t, err)
		f, err := os.Open(filepath.Join(dir, "visits.csv"))
		must(t, err)
		defer f.Close() //nolint:errcheck // it was read only
		for lines := bufio.NewScanner(f); lines.Scan(); {
			list = append(list, strings.Split(lines.Text(), ",")[3])
		}
		return list
	}
	kept, err := ReadKey(path)
	must(t, err)
	first, again, other := peers(Options{Key: key}), peers(Options{Key: kept}), peers(Options{})
	if !slices.Equal(first, again) || len(first) != 301 {
		t.Error("exports with one key have different pseudonyms")
	}
	for i := range other[1:] {
		if other[i+1] == first[i+1] {
			t.Fatal("exports without a kept key share a pseudonym")
		}
	}
}

// TestKeysAreDestroyed lets epochs end: of a period that is over, a day after the
// key was made, else with the period.
func TestKeysAreDestroyed(t *testing.T) {
	dir := t.TempDir()
	ledger := filepath.Join(dir, "record.keys")
	at := func(name string) string { return filepath.Join(dir, name) }
	for name, to := range map[string]time.Time{"past": day.AddDate(0, -1, 0), "running": day.AddDate(0, 1, 0), "open": {}} {
		k := NewKey()
		k.To = to
		must(t, k.Keep(at(name), ledger, day))
		if text, err := os.ReadFile(at(name)); err != nil || !strings.Contains(string(text), hex.EncodeToString(k.secret[:])) {
			t.Fatalf("%s is not kept: %v", name, err)
		}
	}
	text, err := os.ReadFile(ledger)
	must(t, err)
	must(t, os.WriteFile(at("thesis.tex"), []byte("years"), 0o600))
	must(t, os.WriteFile(ledger, append(text, at("thesis.tex")+"\n"+at("gone")+"\n"...), 0o600))
	for _, step := range []struct {
		now  time.Time
		want []string
	}{
		{day.Add(time.Hour), nil}, {day.Add(25 * time.Hour), []string{"open", "past"}}, {day.Add(26 * time.Hour), nil}, {day.AddDate(0, 1, 0), []string{"running"}}, {day.AddDate(9, 0, 0), nil},
	} {
		destroyed, err := DestroyKeys(ledger, step.now)
		must(t, err)
		for i, path := range destroyed {
			if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("%s is said to be destroyed, and is there: %v", path, err)
			}
			destroyed[i] = filepath.Base(path)
		}
		if slices.Sort(destroyed); !slices.Equal(destroyed, step.want) {
			t.Errorf("at %v %v are destroyed, want %v", step.now, destroyed, step.want)
		}
	}
	if left := names(t, dir); !slices.Equal(left, []string{"thesis.tex"}) {
		t.Errorf("what is left: %v", left)
	}
}
