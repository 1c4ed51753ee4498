// Package strictjson reads JSON that all parsers understand in the same way.
//
// Parsers differ if a key occurs twice, or differs from the expected key in case only.
// encoding/json takes the last member, ignores case, and folds Unicode ("oſ" is "os"). Content that
// depends on this means one thing to a scanner and another to a runtime (CVE-2021-41190). A
// [Reader] refuses it.
package strictjson

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/registrykit/registry/reference"
)

// Reader reads one JSON value. Where a value is expected, the caller reads exactly one, by Object,
// Array, Text, Element, Integer, StringMap or Skip. After an error the Reader must not be used.
//
// [NewReader] checks the syntax once, so the methods need not expect an early end or a wrong
// delimiter.
type Reader struct {
	data []byte
	pos  int
	lax  bool
}

// NewReader returns a reader of content, which it does not copy.
//
// It returns an [Error] if content is not one JSON value in UTF-8, is nested more deeply than
// encoding/json accepts, or has a string with half of a surrogate pair.
func NewReader(content []byte) (*Reader, error) {
	if err := check(content); err != nil {
		return nil, err
	}
	if bytes.IndexByte(content, '\\') >= 0 && loneSurrogate(content) {
		return nil, Invalid("it is not valid JSON: half of a surrogate pair in a string")
	}
	return &Reader{data: content}, nil
}

// NewLaxReader is like [NewReader], for content that was checked by weaker rules when it was
// stored. It accepts duplicate unknown keys and half of a surrogate pair.
func NewLaxReader(content []byte) (*Reader, error) {
	if err := check(content); err != nil {
		return nil, err
	}
	return &Reader{data: content, lax: true}, nil
}

// Lax reports whether [NewLaxReader] made r.
func (r *Reader) Lax() bool { return r.lax }

// peek returns the first byte of the next token.
func (r *Reader) peek() byte {
	for {
		switch c := r.data[r.pos]; c {
		case ' ', '\t', '\r', '\n':
			r.pos++
		default:
			return c
		}
	}
}

// Null reads a null if it is the next value, and reports whether it was.
func (r *Reader) Null() bool {
	if r.peek() != 'n' {
		return false
	}
	r.pos += len("null")
	return true
}

// more moves to the next member or element of an object or array, and reports whether there is one.
// If there is none, it moves past end. first is true before the first one, which no comma precedes.
func (r *Reader) more(end byte, first bool) bool {
	c := r.peek()
	if c == end || !first { // end or a comma
		r.pos++
	}
	return c != end
}

// Object reads an object or null, and reports whether it was an object. For each member whose key
// is in known, it calls field to read the value. It skips the other members. known has at most 64
// keys.
//
// A key that occurs twice is an error, and so is a key that differs from a known one in case only.
func (r *Reader) Object(known []string, field func(key string) error) (bool, error) {
	if r.Null() {
		return false, nil
	}
	if r.peek() != '{' {
		return false, Invalid("it must be an object")
	}
	r.pos++
	var seen uint64
	var others map[string]bool
	for first := true; r.more('}', first); first = false {
		key := r.key()
		i := index(known, key)
		switch {
		case i >= 0 && seen&(1<<i) != 0, i < 0 && others[string(key)]:
			return false, Invalid("duplicate key %s", reference.Quote(string(key)))
		case i >= 0:
			seen |= 1 << i
			if err := field(known[i]); err != nil {
				return false, In(known[i], err)
			}
			continue
		}
		if err := checkCase(known, key); err != nil {
			return false, err
		}
		if !r.lax {
			if others == nil {
				others = make(map[string]bool)
			}
			others[string(key)] = true
		}
		r.Skip()
	}
	return true, nil
}

func index(known []string, key []byte) int {
	for i, k := range known {
		if k == string(key) {
			return i
		}
	}
	return -1
}

// checkCase returns an error if key differs from one of known in case only. It folds case like
// encoding/json.
func checkCase(known []string, key []byte) error {
	for _, k := range known {
		if strings.EqualFold(k, string(key)) {
			return Invalid("the key %s differs from %s in case", reference.Quote(string(key)), reference.Quote(k))
		}
	}
	return nil
}

// key reads the key of a member and its colon.
func (r *Reader) key() []byte {
	r.peek()
	key := r.unquote()
	r.peek()
	r.pos++
	return key
}

// Array reads an array, and calls element to read each element. A null counts as an empty array,
// because Go encodes an empty slice as null.
func (r *Reader) Array(element func() error) error {
	if r.Null() {
		return nil
	}
	if r.peek() != '[' {
		return Invalid("it must be an array")
	}
	r.pos++
	for i := 0; r.more(']', i == 0); i++ {
		if err := element(); err != nil {
			return In(fmt.Sprintf("[%d]", i), err)
		}
	}
	return nil
}

// StringMap reads an object whose values are strings, or null. It returns nil for an object without
// members.
func (r *Reader) StringMap() (map[string]string, error) {
	if r.Null() {
		return nil, nil
	}
	if r.peek() != '{' {
		return nil, Invalid("it must be an object")
	}
	r.pos++
	var m map[string]string
	for first := true; r.more('}', first); first = false {
		key := string(r.key())
		if _, ok := m[key]; ok {
			return nil, Invalid("duplicate key %s", reference.Quote(key))
		}
		if r.peek() != '"' {
			return nil, Invalid("the value of %s must be a string", reference.Quote(key))
		}
		if m == nil {
			m = make(map[string]string)
		}
		m[key] = string(r.unquote())
	}
	return m, nil
}

// Text reads a string. A null counts as "".
func (r *Reader) Text() (string, error) {
	switch {
	case r.Null():
		return "", nil
	case r.peek() != '"':
		return "", Invalid("it must be a string")
	}
	return string(r.unquote()), nil
}

// Element reads a string and refuses null. To some parsers, a null in an array of strings is "".
func (r *Reader) Element() (string, error) {
	if r.peek() != '"' {
		return "", Invalid("it must be a string")
	}
	return string(r.unquote()), nil
}

// Integer reads an integer. It refuses a fraction or an exponent, as clients do.
func (r *Reader) Integer() (int64, error) {
	if c := r.peek(); c != '-' && (c < '0' || '9' < c) {
		return 0, Invalid("it must be a number")
	}
	text := string(r.Skip())
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, Invalid("%s is not an integer of 64 bits", reference.Quote(text))
	}
	return n, nil
}

// Skip skips one value and returns its text, which must not be modified.
func (r *Reader) Skip() []byte {
	c := r.peek()
	start := r.pos
	switch c {
	case '"':
		r.skipString()
	case '{', '[':
		r.skipNested()
	default:
		for r.pos < len(r.data) && strings.IndexByte(",]} \t\r\n", r.data[r.pos]) < 0 {
			r.pos++
		}
	}
	return r.data[start:r.pos]
}

func (r *Reader) skipNested() {
	for depth := 0; ; {
		switch r.data[r.pos] {
		case '"':
			r.skipString()
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		if r.pos++; depth == 0 {
			return
		}
	}
}

// skipString skips a string and reports whether it has escapes.
func (r *Reader) skipString() (escapes bool) {
	for r.pos++; r.data[r.pos] != '"'; r.pos++ {
		if r.data[r.pos] == '\\' {
			escapes = true
			r.pos++
		}
	}
	r.pos++
	return escapes
}

// unquote reads a string and returns its value, which must not be modified.
func (r *Reader) unquote() []byte {
	start := r.pos
	if !r.skipString() {
		return r.data[start+1 : r.pos-1]
	}
	var s string
	_ = json.Unmarshal(r.data[start:r.pos], &s) // it is valid
	return []byte(s)
}
