package jwks

// FromDocument returns the keys of a JWKS as if it came from a URL.
func FromDocument(content []byte) (*Set, error) { return parsed(parseSet(content)) }

// FromFile returns the keys in the content of a file.
func FromFile(content []byte) (*Set, error) {
	list, err := parseFile(content)
	if err != nil {
		return nil, err
	}
	return parsed(newKeys(list), nil)
}

func parsed(k *keys, err error) (*Set, error) {
	if err != nil {
		return nil, err
	}
	s, err := newSet(nil)
	if err != nil {
		return nil, err
	}
	s.current = k
	return s, nil
}
