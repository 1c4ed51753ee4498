package manifest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/registrykit/registry/reference"
)

// checkJSON tells whether content is one JSON value in UTF-8, and nothing more. It bounds the depth of nesting, too.
func checkJSON(content []byte) error {
	if !utf8.Valid(content) {
		return invalid("it is not valid UTF-8")
	}
	if err := json.Unmarshal(content, &discard{}); err != nil {
		return &Error{Problem: "it is not valid JSON: " + err.Error(), Err: err}
	}
	return nil
}

// discard takes any JSON value and keeps nothing of it.
type discard struct{}

func (*discard) UnmarshalJSON([]byte) error { return nil }

// reader walks over JSON that checkJSON accepts. It goes by tokens and not by struct tags, as encoding/json overlooks
// duplicate keys and the case of keys.
type reader struct {
	dec  *json.Decoder
	skip json.RawMessage // what was passed over last, kept for its memory
}

func newReader(content []byte) *reader {
	dec := json.NewDecoder(bytes.NewReader(content))
	dec.UseNumber()
	return &reader{dec: dec}
}

// token returns the next token; nil is the JSON null.
func (r *reader) token() (json.Token, error) {
	tok, err := r.dec.Token()
	if err != nil {
		return nil, &Error{Problem: "it is not valid JSON: " + err.Error(), Err: err}
	}
	return tok, nil
}

// open reads the first token of an object or array, or null, and tells whether it was not null.
func (r *reader) open(delim json.Delim) (bool, error) {
	tok, err := r.token()
	if err != nil || tok == nil {
		return false, err
	}
	if tok == delim {
		return true, nil
	}
	if delim == '[' {
		return false, invalid("it must be an array")
	}
	return false, invalid("it must be an object")
}

// object reads an object, or null, and tells whether it was not null. It calls field for each member whose key is among
// known, to read the value, and passes over the others. It is an error if a known key occurs twice, or another key is
// equal to a known one but for case.
func (r *reader) object(known []string, field func(key string) error) (bool, error) {
	if present, err := r.open('{'); !present {
		return false, err
	}
	var seen uint64
	for r.dec.More() {
		key, err := r.key()
		if err != nil {
			return false, err
		}
		i := slices.Index(known, key)
		if i < 0 {
			if err := checkCase(known, key); err != nil {
				return false, err
			}
			if _, err := r.any(); err != nil {
				return false, err
			}
			continue
		}
		if seen&(1<<i) != 0 {
			return false, invalid("duplicate key %s", reference.Quote(key))
		}
		seen |= 1 << i
		if err := field(key); err != nil {
			return false, in(key, err)
		}
	}
	_, err := r.token()
	return true, err
}

// checkCase returns an error if key is one of known but for case. The folding is that of encoding/json.
func checkCase(known []string, key string) error {
	for _, k := range known {
		if strings.EqualFold(k, key) {
			return invalid("the key %s differs from %s in case", reference.Quote(key), reference.Quote(k))
		}
	}
	return nil
}

func (r *reader) key() (string, error) {
	tok, err := r.token()
	if err != nil {
		return "", err
	}
	key, ok := tok.(string)
	if !ok {
		return "", invalid("a key must be a string")
	}
	return key, nil
}

// array reads an array, or null, which counts as an empty one: that is how Go writes an empty slice. It calls element to
// read each element.
func (r *reader) array(element func() error) error {
	if present, err := r.open('['); !present {
		return err
	}
	for i := 0; r.dec.More(); i++ {
		if err := element(); err != nil {
			return in(fmt.Sprintf("[%d]", i), err)
		}
	}
	_, err := r.token()
	return err
}

// text reads a string; null counts as the empty one.
func (r *reader) text() (string, error) {
	tok, err := r.token()
	if err != nil || tok == nil {
		return "", err
	}
	s, ok := tok.(string)
	if !ok {
		return "", invalid("it must be a string")
	}
	return s, nil
}

// integer reads an integer. One that is written with a fraction or an exponent is refused, as clients do.
func (r *reader) integer() (int64, error) {
	tok, err := r.token()
	if err != nil {
		return 0, err
	}
	n, ok := tok.(json.Number)
	if !ok {
		return 0, invalid("it must be a number")
	}
	i, err := strconv.ParseInt(n.String(), 10, 64)
	if err != nil {
		return 0, invalid("%s is not an integer of 64 bits", reference.Quote(n.String()))
	}
	return i, nil
}

// strings reads an object of strings, or null.
func (r *reader) strings() (map[string]string, error) {
	if present, err := r.open('{'); !present {
		return nil, err
	}
	var m map[string]string
	for r.dec.More() {
		key, err := r.key()
		if err != nil {
			return nil, err
		}
		if _, ok := m[key]; ok {
			return nil, invalid("duplicate key %s", reference.Quote(key))
		}
		tok, err := r.token()
		if err != nil {
			return nil, err
		}
		value, ok := tok.(string)
		if !ok {
			return nil, invalid("the value of %s must be a string", reference.Quote(key))
		}
		if m == nil {
			m = make(map[string]string)
		}
		m[key] = value
	}
	_, err := r.token()
	return m, err
}

// any passes over one value and returns its text, which is valid up to the next call.
func (r *reader) any() (json.RawMessage, error) {
	if err := r.dec.Decode(&r.skip); err != nil {
		return nil, &Error{Problem: "it is not valid JSON: " + err.Error(), Err: err}
	}
	return r.skip, nil
}

// typed passes over one value that must be null or begin with the byte first: '"' for a string, '{' or '['.
func (r *reader) typed(first byte, name string) error {
	raw, err := r.any()
	if err != nil {
		return err
	}
	if raw[0] != first && string(raw) != "null" {
		return invalid("it must be %s", name)
	}
	return nil
}
