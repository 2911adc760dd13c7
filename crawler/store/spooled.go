package store

// SpooledBytes is how much of the disk rows take that wait for the store.
func (s *Store) SpooledBytes() int64 {
	if s.spool == nil {
		return 0
	}
	s.spool.mu.Lock()
	defer s.spool.mu.Unlock()
	return s.spool.bytes
}
