package mirror

// PseudonymOf returns the name of a mirror in Via headers.
func PseudonymOf(m *Mirror) string { return m.opts.Pseudonym }
