package operator

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"canopy/crawler/identifier"
)

// label is the fields of one labelled line, named as ReadLabelled says.
type label struct {
	Operator      Operator `json:"operator"`
	Entry         string   `json:"entry"`
	Seen          string   `json:"seen"`
	TrueHosting   string   `json:"true_hosting"`
	PeerID        string   `json:"peer_id"`
	Agent         string   `json:"agent"`
	Protocols     []string `json:"protocols"`
	Address       string   `json:"address"`
	ASN           uint32   `json:"asn"`
	Organisation  string   `json:"organisation"`
	Country       string   `json:"country"`
	Hosting       string   `json:"hosting"`
	Siblings      int      `json:"siblings"`
	Neighbourhood int      `json:"neighbourhood"`
	Together      int      `json:"together"`
	AgentHere     int      `json:"agent_here"`
	AgentAnywhere int      `json:"agent_anywhere"`
}

// maxLine bounds one labelled line, in bytes.
const maxLine = 1 << 20

// ReadLabelled reads labelled peers: JSON lines, or CSV whose header names the
// same fields. operator (who really runs it) or true_hosting (on whose land it
// really stands) is the label, and entry, the ID of the registry entry that runs
// it, may say more; seen is when that was found out (RFC 3339); peer_id, agent, protocols (in CSV apart by
// spaces), address, asn, organisation, country, hosting, siblings,
// neighbourhood, together, agent_here and agent_anywhere are what is known of the peer
// and may be absent. Errors name the line.
func ReadLabelled(r io.Reader) ([]Labelled, error) {
	in := bufio.NewReaderSize(r, 1<<16)
	if head, _ := in.Peek(3); bytes.Equal(head, []byte("\xef\xbb\xbf")) { // a byte order mark
		_, _ = in.Discard(3)
	}
	head, _ := in.Peek(64)
	read := readLabelledCSV
	switch trimmed := bytes.TrimSpace(head); {
	case len(trimmed) == 0:
		return nil, errors.New("the file is empty")
	case trimmed[0] == '{':
		read = readLabelledJSON
	case trimmed[0] == '<':
		return nil, errors.New("line 1: this is a web page (HTML), not a table")
	}
	out, err := read(in)
	if err == nil && len(out) == 0 {
		err = errors.New("no line holds a label")
	}
	return out, err
}

func readLabelledJSON(r io.Reader) (out []Labelled, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxLine)
	n := 0
	for lines.Scan() {
		n++
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		var l label
		dec := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&l); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		peer, err := l.labelled()
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		out = append(out, peer)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", n+1, err)
	}
	return out, nil
}

func readLabelledCSV(r io.Reader) (out []Labelled, err error) {
	c := csv.NewReader(r)
	c.Comment, c.ReuseRecord = '#', true
	var header []string
	for {
		fields, err := c.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err // names the line
		}
		line, _ := c.FieldPos(0)
		if header == nil {
			header = slices.Clone(fields)
			continue
		}
		l, err := csvLabel(header, fields)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		peer, err := l.labelled()
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		out = append(out, peer)
	}
}

// csvLabel makes a label of the fields that the header names.
func csvLabel(header, fields []string) (l label, err error) {
	text := map[string]*string{
		"operator": (*string)(&l.Operator), "entry": &l.Entry, "seen": &l.Seen, "true_hosting": &l.TrueHosting, "peer_id": &l.PeerID, "agent": &l.Agent, "address": &l.Address,
		"organisation": &l.Organisation, "country": &l.Country, "hosting": &l.Hosting,
	}
	numbers := map[string]any{
		"asn": &l.ASN, "siblings": &l.Siblings, "neighbourhood": &l.Neighbourhood, "together": &l.Together, "agent_here": &l.AgentHere, "agent_anywhere": &l.AgentAnywhere,
	}
	for i, name := range header {
		value := strings.TrimSpace(fields[i])
		switch {
		case name == "protocols":
			l.Protocols = strings.Fields(value)
		case text[name] != nil:
			*text[name] = value
		case numbers[name] == nil:
			return l, fmt.Errorf("the header names column %q, which is unknown", name)
		case value != "":
			if err := json.Unmarshal([]byte(value), numbers[name]); err != nil {
				return l, fmt.Errorf("%s: %q is no number that fits", name, value)
			}
		}
	}
	return l, nil
}

// labelled checks a line.
func (l label) labelled() (Labelled, error) {
	out := Labelled{Operator: l.Operator, Hosting: l.TrueHosting, Entry: l.Entry, Traits: Traits{
		Agent: l.Agent, Protocols: l.Protocols, ASN: l.ASN, Organisation: l.Organisation, Country: l.Country, Hosting: l.Hosting,
		Siblings: l.Siblings, Neighbourhood: l.Neighbourhood, Together: l.Together, AgentHere: l.AgentHere, AgentAnywhere: l.AgentAnywhere,
	}}
	switch {
	case l.Operator == "" && l.TrueHosting == "":
		return out, errors.New("it has no label: want operator or true_hosting")
	case l.Operator != "" && !slices.Contains(decided[:], l.Operator):
		return out, fmt.Errorf("operator is %q; want one of %v", l.Operator, decided)
	case min(l.Siblings, l.Neighbourhood, l.Together, l.AgentHere, l.AgentAnywhere) < 0:
		return out, errors.New("a number is negative")
	}
	if l.Seen != "" {
		var err error
		if out.Seen, err = time.Parse(time.RFC3339, l.Seen); err != nil {
			return out, fmt.Errorf("seen: %q is no moment such as 2026-10-01T06:00:00Z", l.Seen)
		}
	}
	return out, l.names(&out.Traits)
}

// names reads the peer ID and the address, if there are any, in the form that the
// record keeps.
func (l label) names(t *Traits) (err error) {
	if l.PeerID != "" {
		if t.PeerID, err = identifier.Peer(l.PeerID); err != nil {
			return fmt.Errorf("peer_id: %w", err)
		}
	}
	if l.Address != "" {
		if t.Address, err = identifier.Address(l.Address); err != nil {
			return fmt.Errorf("address: %w", err)
		}
	}
	return nil
}
