package mainline

import (
	"math/rand/v2"

	"canopy/crawler/mainline/krpc"
)

// stage is what a visit is at.
type stage uint8

const (
	walking  stage = iota // reads the table, or as much of it as the mode wants
	indexing              // then asks for a sample of info-hashes (BEP 51), and for nodes of both families (BEP 32)
	scraping              // then for the Bloom filters of one of these (BEP 33)
)

// signs are what a sampled peer turned out to be capable of. What it holds is
// nobody's business: of its info-hashes and filters no more is kept than that
// there were some.
type signs struct {
	stage       stage
	indexed     bool    // it answered sample_infohashes
	scraped     bool    // it answered with Bloom filters
	scrapeAsked bool    // who names no info-hash can't be asked
	sample      krpc.ID // one that it holds
}

// chosen tells whether a peer whose table was read is asked for what else it
// can do, and prepares that.
func (l *loop) chosen(v *visit) bool {
	if l.mode == modeSeed || l.cfg.Capabilities <= 0 || rand.Float64() >= l.cfg.Capabilities {
		return false
	}
	v.signs.stage = indexing
	return true
}

// inquire appends the question of the stage.
func (l *loop) inquire(b, tid []byte, v *visit) []byte {
	ask := l.query
	ask.Want = krpc.WantNodes | krpc.WantNodes6
	if v.signs.stage == scraping {
		return ask.AppendGetPeers(b, tid, &v.signs.sample, true)
	}
	return ask.AppendSampleInfohashes(b, tid, &v.peer.ID)
}

// learn takes in the answer to a question of inquire.
func (l *loop) learn(i int32, m *krpc.Message) {
	v := &l.visits[i]
	s := &v.signs
	if m.Kind == krpc.Response && m.Has(krpc.FieldID) && m.ID == v.peer.ID {
		v.ipv6 = v.ipv6 || m.Nodes6.Len() > 0
		switch {
		case s.stage == scraping:
			s.scraped = m.Has(krpc.FieldSeeds) && m.Has(krpc.FieldPeers)
		case m.Has(krpc.FieldSamples):
			s.indexed = true
		}
	}
	if s.stage == indexing && s.indexed && len(m.Samples) >= krpc.IDLen {
		s.stage, s.scrapeAsked, s.sample = scraping, true, krpc.ID(m.Samples[:krpc.IDLen])
		v.sends = 0
		l.send(i)
		return
	}
	l.finish(i, "", "")
}

// describe adds to protocols what was asked and what was found, so that the
// share of capable peers can be told from the sampled ones.
func (s *signs) describe(protocols []string) []string {
	if s.stage == walking {
		return protocols
	}
	protocols = append(protocols, "asked=bep51")
	if s.indexed {
		protocols = append(protocols, "bep51")
	}
	if s.scrapeAsked {
		protocols = append(protocols, "asked=bep33")
	}
	if s.scraped {
		protocols = append(protocols, "bep33")
	}
	return protocols
}
