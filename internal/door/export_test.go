package door

// Fill takes all slots, as requests do that do not end, until free is called.
func (s *Server) Fill() (free func()) {
	for range atOnce {
		s.slots <- struct{}{}
	}
	return func() {
		for range atOnce {
			<-s.slots
		}
	}
}
