package archive

// Frame ends frames after so many events, so that a test's log has several.
func (w *Writer) Frame(events uint64) { w.full = events }
