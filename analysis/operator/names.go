package operator

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"canopy/crawler/identifier"
)

// entryFile is an entry as a file has it.
type entryFile struct {
	Entry   `yaml:",inline"`
	Signals signalsFile `yaml:"signals"`
}

// signalsFile are signals as a file has them. Names are read as text, whatever
// their type: a number with a leading zero is octal in YAML, and would be
// another AS.
type signalsFile struct {
	Agents    []string `yaml:"agents"`
	ASN       []scalar `yaml:"asn"`
	Prefixes  []scalar `yaml:"prefixes"`
	PeerIDs   []scalar `yaml:"peer_ids"`
	Hosts     []string `yaml:"hosts"`
	Protocols []string `yaml:"protocols"`
	Versions  []string `yaml:"versions"`
}

// scalar is a plain or quoted value of YAML, whatever its type.
type scalar string

// UnmarshalYAML takes the text of a value.
func (s *scalar) UnmarshalYAML(text []byte) error {
	*s = scalar(strings.Trim(strings.TrimSpace(string(text)), `'"`))
	return nil
}

// entry gives the entry with its names in the form that the record keeps, also
// where its sources name them. It says where in the entry an error is.
func (in entryFile) entry() (e Entry, where string, err error) {
	e, f := in.Entry, in.Signals
	e.Signals = Signals{Agents: f.Agents, Hosts: f.Hosts, Protocols: f.Protocols, Versions: f.Versions}
	s := &e.Signals
	canonical := map[string]string{}
	for _, list := range []struct {
		key   string
		texts []scalar
		take  func(text string) (string, error)
	}{{"asn", f.ASN, s.takeAS}, {"prefixes", f.Prefixes, s.takePrefix}, {"peer_ids", f.PeerIDs, s.takePeer}} {
		for i, text := range list.texts {
			name, err := list.take(string(text))
			if err != nil {
				return e, fmt.Sprintf(".signals.%s[%d]", list.key, i), err
			}
			canonical[string(text)] = name
		}
	}
	for _, source := range e.Sources {
		for i, name := range source.For {
			source.For[i] = cmp.Or(canonical[name], name)
		}
	}
	return e, "", nil
}

func (s *Signals) takeAS(text string) (string, error) {
	asn, err := identifier.AS(text)
	if err == nil && asn == 0 {
		err = errors.New("AS 0 claims everybody that is not routed")
	}
	s.ASN = append(s.ASN, asn)
	return fmt.Sprint(asn), err
}

func (s *Signals) takePrefix(text string) (string, error) {
	prefix, err := identifier.Prefix(text)
	s.Prefixes = append(s.Prefixes, prefix)
	return prefix.String(), err
}

func (s *Signals) takePeer(text string) (string, error) {
	id, err := identifier.Peer(text)
	s.PeerIDs = append(s.PeerIDs, id)
	return id, err
}

// peerIDs are those that the registry knows.
func (r *Rules) peerIDs() map[string]bool {
	known := map[string]bool{}
	for _, e := range r.registry {
		for _, id := range e.Signals.PeerIDs {
			known[id] = true
		}
	}
	return known
}
