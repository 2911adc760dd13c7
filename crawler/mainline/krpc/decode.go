package krpc

import "errors"

// Errors of [Decode]. They mean that the packet as a whole is unreadable;
// what came before the damage is in the message all the same.
var (
	ErrTooLarge = errors.New("decode KRPC: packet is larger than a datagram")
	ErrNotDict  = errors.New("decode KRPC: packet is no bencoded dictionary")
	ErrSyntax   = errors.New("decode KRPC: broken bencode")
)

// Decode reads one packet into m, which it resets first. A field of the wrong
// type or length does not spoil the message: it is marked in m.Bad. The order
// of keys is not enforced, since clients differ.
func Decode(packet []byte, m *Message) error {
	*m = Message{}
	if len(packet) > MaxPacket {
		return ErrTooLarge
	}
	s := scanner{b: packet}
	if !s.byte('d') {
		return ErrNotDict
	}
	for !s.byte('e') {
		key, ok := s.str()
		if !ok || !m.top(&s, key) {
			return ErrSyntax
		}
	}
	if s.pos < len(packet) {
		m.mark(FieldTrailing, false)
	}
	return nil
}

// mark notes that field f was seen.
func (m *Message) mark(f Field, good bool) {
	m.Fields |= f
	if !good {
		m.Bad |= f
	}
}

// fresh tells whether f is seen for the first time.
func (m *Message) fresh(f Field) bool {
	if m.Fields&f == 0 {
		return true
	}
	m.mark(FieldDuplicate, false)
	return false
}

// top reads the value of one key of the outer dictionary. It reports false
// when the packet can't be followed any further.
func (m *Message) top(s *scanner, key []byte) bool {
	if len(key) == 1 {
		switch key[0] {
		case 't':
			return m.bytes(s, FieldTransaction, &m.TID)
		case 'y':
			return m.kind(s)
		case 'q':
			return m.method(s)
		case 'a', 'r':
			return m.body(s)
		case 'e':
			return m.fault(s)
		case 'v':
			return m.bytes(s, FieldVersion, &m.Version)
		}
	}
	switch string(key) {
	case "ip":
		return m.sized(s, FieldIP, &m.IP, 6, 18)
	case "ro":
		return m.flag(s, FieldReadOnly, &m.ReadOnly)
	}
	return s.skip(maxDepth)
}

// bytes reads a string.
func (m *Message) bytes(s *scanner, f Field, to *[]byte) bool {
	if !m.fresh(f) {
		return s.skip(maxDepth)
	}
	v, ok := s.str()
	m.mark(f, ok)
	if !ok {
		return s.skip(maxDepth)
	}
	*to = v
	return true
}

// sized reads a string that must have one of two lengths.
func (m *Message) sized(s *scanner, f Field, to *[]byte, a, b int) bool {
	if !m.fresh(f) {
		return s.skip(maxDepth)
	}
	v, ok := s.str()
	if !ok {
		m.mark(f, false)
		return s.skip(maxDepth)
	}
	good := len(v) == a || len(v) == b
	m.mark(f, good)
	if good {
		*to = v
	}
	return true
}

// list reads a string that consists of entries of the same size, and keeps the
// whole ones.
func (m *Message) list(s *scanner, f Field, to *[]byte, size int) bool {
	if !m.bytes(s, f, to) {
		return false
	}
	if over := len(*to) % size; over != 0 {
		m.mark(f, false)
		*to = (*to)[:len(*to)-over]
	}
	return true
}

// id reads 20 bytes.
func (m *Message) id(s *scanner, f Field, to *ID) bool {
	var v []byte
	if !m.sized(s, f, &v, IDLen, IDLen) {
		return false
	}
	if v != nil {
		*to = ID(v)
	}
	return true
}

// number reads an integer between 0 and limit.
func (m *Message) number(s *scanner, f Field, to *int64, limit int64) bool {
	if !m.fresh(f) {
		return s.skip(maxDepth)
	}
	n, fits, ok := s.integer()
	good := fits && n >= 0 && n <= limit
	m.mark(f, good)
	if !ok {
		return s.skip(maxDepth)
	}
	if good {
		*to = n
	}
	return true
}

// flag reads an integer that is true unless it is 0.
func (m *Message) flag(s *scanner, f Field, to *bool) bool {
	var n int64
	ok := m.number(s, f, &n, 1<<62)
	*to = *to || n != 0
	return ok
}

func (m *Message) kind(s *scanner) bool {
	var v []byte
	if !m.bytes(s, FieldKind, &v) {
		return false
	}
	if len(v) == 1 && (v[0] == 'q' || v[0] == 'r' || v[0] == 'e') {
		m.Kind = Kind(v[0])
	} else if v != nil {
		m.mark(FieldKind, false)
	}
	return true
}

func (m *Message) method(s *scanner) bool {
	if !m.bytes(s, FieldMethod, &m.MethodName) {
		return false
	}
	switch string(m.MethodName) {
	case "ping":
		m.Method = Ping
	case "find_node":
		m.Method = FindNode
	case "get_peers":
		m.Method = GetPeers
	case "announce_peer":
		m.Method = AnnouncePeer
	case "sample_infohashes":
		m.Method = SampleInfohashes
	}
	return true
}

// fault reads the body of an error: a list of code and text. Some clients
// send the text alone.
func (m *Message) fault(s *scanner) bool {
	if !m.fresh(FieldBody) {
		return s.skip(maxDepth)
	}
	start := s.pos
	if text, ok := s.str(); ok {
		m.mark(FieldBody, true)
		m.Text = text
		return true
	}
	ok := s.byte('l')
	if ok {
		m.Code, _, ok = s.integer()
	}
	if ok {
		m.Text, ok = s.str()
	}
	m.mark(FieldBody, ok)
	s.pos = start
	return s.skip(maxDepth)
}
