package operator

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"slices"

	"canopy/crawler/identifier"
)

// WithLabels returns rules whose registry knows the peers that are labelled
// with an entry, by their IDs. The version of the rules then ends in a plus and
// the beginning of a checksum of these. Labels without an entry or a peer ID
// are left out; an entry that the registry does not hold, and a peer under two
// entries, are errors.
func (r *Rules) WithLabels(labelled []Labelled) (*Rules, error) {
	owner := map[string]string{}
	out := *r
	out.registry = slices.Clone(r.registry)
	sum := sha256.New()
	for _, l := range labelled {
		id := identifier.Recorded(l.Traits.PeerID)
		if l.Entry == "" || id == "" || owner[id] == l.Entry {
			continue
		}
		if other := owner[id]; other != "" {
			return nil, fmt.Errorf("peer %q is labelled as one of %s and of %s", id, other, l.Entry)
		}
		i := slices.IndexFunc(out.registry, func(e Entry) bool { return e.ID == l.Entry })
		if i < 0 {
			return nil, fmt.Errorf("peer %q is labelled as one of %q, which the registry does not hold", id, l.Entry)
		}
		owner[id] = l.Entry
		ids := &out.registry[i].Signals.PeerIDs
		*ids = append(slices.Clone(*ids), id)
		_, _ = io.WriteString(sum, l.Entry+" "+id+"\n")
	}
	if len(owner) > 0 {
		out.version += "+" + hex.EncodeToString(sum.Sum(nil))[:8]
	}
	return &out, nil
}
