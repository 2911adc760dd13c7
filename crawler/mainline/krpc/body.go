package krpc

// body reads the arguments of a query or the return values of a response.
func (m *Message) body(s *scanner) bool {
	if !m.fresh(FieldBody) {
		return s.skip(maxDepth)
	}
	ok := s.byte('d')
	m.mark(FieldBody, ok)
	if !ok {
		return s.skip(maxDepth)
	}
	for !s.byte('e') {
		key, ok := s.str()
		if !ok || !m.inner(s, key) {
			return false
		}
	}
	return true
}

// inner reads the value of one key of the body.
func (m *Message) inner(s *scanner, key []byte) bool {
	switch string(key) {
	case "id":
		return m.id(s, FieldID, &m.ID)
	case "nodes":
		return m.list(s, FieldNodes, (*[]byte)(&m.Nodes), Node4Len)
	case "nodes6":
		return m.list(s, FieldNodes6, (*[]byte)(&m.Nodes6), Node6Len)
	case "target":
		return m.id(s, FieldTarget, &m.Target)
	case "info_hash":
		return m.id(s, FieldInfoHash, &m.InfoHash)
	case "want":
		return m.want(s)
	case "token":
		return m.bytes(s, FieldToken, &m.Token)
	case "values":
		return m.values(s)
	case "samples":
		return m.list(s, FieldSamples, &m.Samples, IDLen)
	case "num":
		return m.number(s, FieldNum, &m.Num, 1<<62)
	case "interval":
		return m.number(s, FieldInterval, &m.Interval, 1<<62)
	case "port":
		var port int64
		ok := m.number(s, FieldPort, &port, 65535)
		m.Port |= uint16(port)
		return ok
	case "implied_port":
		return m.flag(s, FieldImpliedPort, &m.ImpliedPort)
	case "scrape":
		return m.flag(s, FieldScrape, &m.Scrape)
	case "BFsd":
		return m.sized(s, FieldSeeds, &m.Seeds, 256, 256)
	case "BFpe":
		return m.sized(s, FieldPeers, &m.Peers, 256, 256)
	}
	return s.skip(maxDepth)
}

// want reads the list of families; unknown ones are passed over, as BEP 32
// asks.
func (m *Message) want(s *scanner) bool {
	if !m.fresh(FieldWant) {
		return s.skip(maxDepth)
	}
	start := s.pos
	ok := s.byte('l')
	for ok && !s.byte('e') {
		var family []byte
		family, ok = s.str()
		switch string(family) {
		case "n4":
			m.Want |= WantNodes
		case "n6":
			m.Want |= WantNodes6
		}
	}
	m.mark(FieldWant, ok)
	s.pos = start
	return s.skip(maxDepth)
}

// values keeps the inside of the list and marks it bad if an item is no
// compact endpoint.
func (m *Message) values(s *scanner) bool {
	if !m.fresh(FieldValues) {
		return s.skip(maxDepth)
	}
	ok := s.byte('l')
	m.mark(FieldValues, ok)
	if !ok {
		return s.skip(maxDepth)
	}
	start := s.pos
	for !s.byte('e') {
		item, ok := s.str()
		if !ok && !s.skip(maxDepth) {
			return false
		}
		if len(item) != 6 && len(item) != 18 {
			m.mark(FieldValues, false)
		}
	}
	m.Values = s.b[start : s.pos-1]
	return true
}
