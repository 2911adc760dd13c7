package krpc

// maxDepth bounds the nesting of what is skipped. A KRPC message needs 3.
const maxDepth = 16

// scanner walks bencode (BEP 3). Its methods report false, without moving,
// when what stands at pos is not what was asked for.
type scanner struct {
	b   []byte
	pos int
}

// byte takes c if it stands at pos.
func (s *scanner) byte(c byte) bool {
	if s.pos < len(s.b) && s.b[s.pos] == c {
		s.pos++
		return true
	}
	return false
}

// str takes a string. Its length must be canonical: no leading zeros.
func (s *scanner) str() ([]byte, bool) {
	n, i := 0, s.pos
	for ; i < len(s.b); i++ {
		c := s.b[i] - '0'
		if c > 9 {
			break
		}
		n = n*10 + int(c)
		if n > MaxPacket || n == int(c) && i > s.pos {
			return nil, false
		}
	}
	if i == s.pos || i >= len(s.b) || s.b[i] != ':' || n > len(s.b)-i-1 {
		return nil, false
	}
	i++
	s.pos = i + n
	return s.b[i:s.pos:s.pos], true
}

// integer takes an integer. ok is false when it is not canonical; one that
// overflows int64 is taken, and fits is false.
func (s *scanner) integer() (n int64, fits, ok bool) {
	i := s.pos
	if i >= len(s.b) || s.b[i] != 'i' {
		return 0, false, false
	}
	i++
	negative := i < len(s.b) && s.b[i] == '-'
	if negative {
		i++
	}
	first := i
	fits = true
	for ; i < len(s.b) && s.b[i]-'0' <= 9; i++ {
		if i > first && s.b[first] == '0' {
			return 0, false, false
		}
		if n > (1<<63-1-9)/10 {
			fits = false
			continue
		}
		n = n*10 + int64(s.b[i]-'0')
	}
	if i == first || i >= len(s.b) || s.b[i] != 'e' || negative && s.b[first] == '0' {
		return 0, false, false
	}
	if negative {
		n = -n
	}
	s.pos = i + 1
	return n, fits, true
}

// skip takes one value of any type, nested at most depth deep.
func (s *scanner) skip(depth int) bool {
	start := s.pos
	if !s.skipValue(depth) {
		s.pos = start
		return false
	}
	return true
}

func (s *scanner) skipValue(depth int) bool {
	if s.pos >= len(s.b) {
		return false
	}
	switch c := s.b[s.pos]; c {
	case 'i':
		_, _, ok := s.integer()
		return ok
	case 'l', 'd':
		if depth == 0 {
			return false
		}
		s.pos++
		for !s.byte('e') {
			if c == 'd' {
				if _, ok := s.str(); !ok {
					return false
				}
			}
			if !s.skipValue(depth - 1) {
				return false
			}
		}
		return true
	}
	_, ok := s.str()
	return ok
}
