package bridge

// advise adds what to do, where that is known.
func (s stage) advise(found *diagnostic) {}
