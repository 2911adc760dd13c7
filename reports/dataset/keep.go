package dataset

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// keyFile is how a kept key is written.
type keyFile struct {
	Warning string    `json:"warning"`
	Key     string    `json:"key"`
	From    time.Time `json:"epoch_from,omitzero"`
	To      time.Time `json:"epoch_to,omitzero"`
	End     time.Time `json:"destroyed_after,omitzero"`
}

const keyWarning = "Whoever reads this can turn every pseudonym of the epoch back into an address. Guard it. Canopy destroys this file, not copies of it, in its first run after the epoch."

// grace is how long a kept key of a period that is over may be used: long enough
// to export the period once more.
const grace = 24 * time.Hour

// Keep writes the key to a new file that only its owner can read, and the file's
// name into a ledger, by which [DestroyKeys] finds it when its epoch is over:
// after the period, but not before a day has passed.
func (k *Key) Keep(path, ledger string, now time.Time) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("keep key: %w", err)
	}
	k.End = now.Add(grace).UTC().Truncate(time.Second)
	if k.To.After(k.End) {
		k.End = k.To
	}
	text, err := json.MarshalIndent(keyFile{keyWarning, hex.EncodeToString(k.secret[:]), k.From, k.To, k.End}, "", "  ")
	if err != nil {
		return err
	}
	if strings.ContainsAny(path, "\r\n") {
		return fmt.Errorf("keep key: %q: want a name of one line", path)
	}
	if err := remember(path, ledger); err != nil { // first: a key that nobody remembers would stay
		return fmt.Errorf("keep key: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("keep key: %w", err)
	}
	k.Kept = true
	_, err = f.Write(append(text, '\n'))
	return errors.Join(err, f.Sync(), f.Close())
}

// remember adds a name to the ledger.
func remember(path, ledger string) error {
	f, err := os.OpenFile(ledger, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(path + "\n")
	return errors.Join(err, f.Close())
}

// DestroyKeys overwrites and removes the kept keys of a ledger whose epoch is
// over, and returns their names. What is no key is left alone, and so is a
// ledger that is not there.
func DestroyKeys(ledger string, now time.Time) (destroyed []string, err error) {
	text, err := os.ReadFile(ledger)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("destroy keys: %w", err)
	}
	var rest []string
	var failed []error
	for path := range strings.Lines(string(text)) {
		path = strings.TrimRight(path, "\r\n")
		k, err := ReadKey(path)
		switch {
		case err != nil || slices.Contains(rest, path): // gone, or no key any more
		case !k.Over(now):
			rest = append(rest, path)
		default:
			if err := destroyFile(path); err != nil {
				failed, rest = append(failed, fmt.Errorf("destroy key %s, whose epoch is over: %w; remove it", path, err)), append(rest, path)
				continue
			}
			destroyed = append(destroyed, path)
		}
	}
	if len(rest) == 0 {
		return destroyed, errors.Join(append(failed, os.Remove(ledger))...)
	}
	return destroyed, errors.Join(append(failed, os.WriteFile(ledger, []byte(strings.Join(rest, "\n")+"\n"), 0o600))...)
}

// Over says whether the epoch of a kept key has ended.
func (k *Key) Over(now time.Time) bool { return !k.End.IsZero() && !now.Before(k.End) }

// destroyFile overwrites a file before it removes it, as far as that helps:
// what copies itself on writing, or a backup, keeps it.
func destroyFile(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, info.Size()))
	return errors.Join(err, f.Sync(), f.Close(), os.Remove(path))
}

// ReadKey reads a key that was kept.
func ReadKey(path string) (*Key, error) {
	text, err := readPaper(filepath.Split(path))
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	var in keyFile
	if err := json.Unmarshal(text, &in); err != nil {
		return nil, fmt.Errorf("read key %s: %w", path, err)
	}
	secret, err := hex.DecodeString(in.Key)
	if err != nil || len(secret) != keyBytes {
		return nil, fmt.Errorf("read key %s: want %d bytes in hexadecimal", path, keyBytes)
	}
	k := &Key{From: in.From, To: in.To, End: in.End, Kept: true}
	copy(k.secret[:], secret)
	return k, nil
}
