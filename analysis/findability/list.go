// Package findability tells whether a network still serves newcomers: whether
// content that stands for the commons is found from a cold start, and whether
// those who join depend on a few entry points and on whoever runs them.
package findability

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net/url"

	"github.com/goccy/go-yaml"
)

// List is what is checked.
type List struct {
	Content     []Content    `yaml:"content"`
	EntryPoints []EntryPoint `yaml:"entry_points"`
}

// Content is one piece of content that should be found.
type Content struct {
	Name    string `yaml:"name"`
	Network string `yaml:"network"`
	ID      string `yaml:"id"`     // info-hash or CID
	Source  string `yaml:"source"` // https address of who publishes it
	Note    string `yaml:"note"`
}

// EntryPoint is one that clients ship with.
type EntryPoint struct {
	Network string   `yaml:"network"`
	Address string   `yaml:"address"` // host:port, or a multiaddr
	Clients []string `yaml:"clients"`
	Source  string   `yaml:"source"` // https address of the file that says so
}

//go:embed commons.yaml
var commons []byte

// Default is the list that Canopy brings along.
func Default() List {
	l, err := ReadList(bytes.NewReader(commons))
	if err != nil {
		panic(err) // a test reads it
	}
	return l
}

// maxList bounds a list, in entries of each kind: every one costs lookups on
// strangers' machines.
const maxList = 1000

// maxListBytes bounds a list in bytes.
const maxListBytes = 1 << 20

// ReadList reads a list in the form of commons.yaml. Entry points may be left out:
// those of the list that Canopy brings along are then used. Unknown keys, and
// entries that are incomplete or stand twice, are errors. Whether addresses and
// IDs are any, their network knows.
func ReadList(r io.Reader) (List, error) {
	var l List
	raw, err := io.ReadAll(io.LimitReader(r, maxListBytes+1))
	if err != nil {
		return l, fmt.Errorf("read list: %w", err)
	}
	if len(raw) > maxListBytes {
		return l, fmt.Errorf("read list: it is longer than %d bytes", maxListBytes)
	}
	if err := yaml.NewDecoder(bytes.NewReader(raw), yaml.DisallowUnknownField()).Decode(&l); err != nil && !errors.Is(err, io.EOF) {
		return l, fmt.Errorf("read list: %s", yaml.FormatError(err, false, false))
	}
	if len(l.Content) > maxList || len(l.EntryPoints) > maxList {
		return l, fmt.Errorf("read list: %d pieces of content and %d entry points: want %d of each at most", len(l.Content), len(l.EntryPoints), maxList)
	}
	if len(l.Content)+len(l.EntryPoints) == 0 {
		return l, errors.New("read list: it is empty: want content or entry_points")
	}
	seen := map[[2]string]bool{}
	for i, c := range l.Content {
		if err := check(seen, c.Network, c.ID, c.Source); err != nil {
			return l, fmt.Errorf("read list: content %d %q: %w", i+1, c.Name, err)
		}
		if c.Name == "" {
			return l, fmt.Errorf("read list: content %d: it has no name", i+1)
		}
	}
	for i, e := range l.EntryPoints {
		if err := check(seen, e.Network, e.Address, e.Source); err != nil {
			return l, fmt.Errorf("read list: entry point %d %q: %w", i+1, e.Address, err)
		}
	}
	return l, nil
}

func check(seen map[[2]string]bool, network, id, source string) error {
	key := [2]string{network, id}
	switch u, err := url.Parse(source); {
	case network == "":
		return errors.New("it names no network")
	case id == "":
		return errors.New("it has no id or address")
	case seen[key]:
		return errors.New("it stands there twice")
	case source != "" && (err != nil || u.Scheme != "https" || u.Host == ""):
		return fmt.Errorf("source %q is no https address", source)
	}
	seen[key] = true
	return nil
}

// Of lists what concerns one network.
func (l List) Of(network string) List {
	var of List
	for _, c := range l.Content {
		if c.Network == network {
			of.Content = append(of.Content, c)
		}
	}
	for _, e := range l.EntryPoints {
		if e.Network == network {
			of.EntryPoints = append(of.EntryPoints, e)
		}
	}
	return of
}
