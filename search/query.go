package search

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Field is a part of a repository, tag, image or account that a word of a query is found in.
type Field string

// The fields. A word FIELD:VALUE of a query is looked for in one field, except for the first two.
const (
	FieldName        Field = "name"
	FieldDescription Field = "description"
	FieldRepository  Field = "repository"
	FieldTag         Field = "tag"
	FieldDigest      Field = "digest"
	FieldType        Field = "type"
	FieldPlatform    Field = "platform"
	FieldLabel       Field = "label"
)

// fields are the fields that a query can name.
var fields = []Field{FieldRepository, FieldTag, FieldDigest, FieldType, FieldPlatform, FieldLabel}

// minDigest is the minimum number of hexadecimal characters of a word without an algorithm that is also
// looked for in digests. Shorter ones are often words.
const minDigest = 6

// word is a word of a query.
type word struct {
	field Field  // "" for all
	text  string // in lower case
	glob  []string
	// digest are the first bytes of a digest in the form of packed, and half is a further character, or
	// 0. ok is set if the word can be the beginning of a digest.
	digest string
	half   byte
	ok     bool
}

// parse returns the words of a query.
//
// Errors: ErrQuery.
func parse(query string) ([]word, error) {
	if len(query) > MaxQuery {
		return nil, fmt.Errorf("%w: it is longer than %d bytes", ErrQuery, MaxQuery)
	}
	var words []word
	for _, text := range strings.Fields(strings.ToLower(query)) {
		w := word{text: text}
		if name, value, ok := strings.Cut(text, ":"); ok && slices.Contains(fields, Field(name)) {
			if w.field, w.text = Field(name), value; value == "" {
				return nil, fmt.Errorf("%w: nothing follows the colon of %s", ErrQuery, name)
			}
		}
		if strings.Contains(w.text, "*") {
			w.glob = strings.Split(w.text, "*")
		} else {
			w.parseDigest()
		}
		words = append(words, w)
	}
	if len(words) == 0 {
		return nil, fmt.Errorf("%w: it has no word", ErrQuery)
	}
	return words[:min(len(words), maxWords)], nil
}

// parseDigest sets what the word means as the beginning of a digest.
func (w *word) parseDigest() {
	encoded, sha256 := strings.CutPrefix(w.text, "sha256:")
	if !sha256 && strings.Contains(encoded, ":") {
		w.digest, w.ok = w.text, true // of another algorithm, whose digests are kept as text
		return
	}
	if strings.Trim(encoded, "0123456789abcdef") != "" || len(encoded) > 64 ||
		!sha256 && w.field != FieldDigest && len(encoded) < minDigest {
		return
	}
	if len(encoded)%2 == 1 {
		w.half = encoded[len(encoded)-1]
		encoded = encoded[:len(encoded)-1]
	}
	raw, err := hex.DecodeString(encoded)
	w.digest, w.ok = string(raw), err == nil
}

// inDigest reports whether a digest begins with the word.
func (w *word) inDigest(d packed) bool {
	if !w.in(FieldDigest) || !w.ok || !strings.HasPrefix(string(d), w.digest) {
		return false
	}
	if w.half == 0 {
		return true
	}
	const digits = "0123456789abcdef"
	return len(d) > len(w.digest) && digits[d[len(w.digest)]>>4] == w.half
}

// in reports whether the word is looked for in a field.
func (w *word) in(f Field) bool { return w.field == "" || w.field == f }

// The ranks of a word in a name or text.
const (
	equals = iota
	begins
	beginsWord
	contains
	noMatch
)

// rank returns the rank of the word in a text in lower case. A word with "*" matches the whole text.
func (w *word) rank(text string) int {
	if w.glob != nil {
		if matches(w.glob, text) {
			return begins
		}
		return noMatch
	}
	switch i := strings.Index(text, w.text); {
	case i < 0:
		return noMatch
	case text == w.text:
		return equals
	case i == 0:
		return begins
	}
	for from := 0; ; from++ {
		i := strings.Index(text[from:], w.text)
		if i < 0 {
			return contains
		}
		if from += i; from == 0 || !isWord(text[from-1]) {
			return beginsWord
		}
	}
}

// line returns the beginning and the end of the first line of a text that the word matches.
func (w *word) line(text string) (from, to int, ok bool) {
	if w.glob == nil {
		i := strings.Index(text, w.text)
		if i < 0 {
			return 0, 0, false
		}
		from = strings.LastIndexByte(text[:i], '\n') + 1
		return from, from + strings.IndexByte(text[from:]+"\n", '\n'), true
	}
	for line := range strings.Lines(text) {
		to = from + len(line)
		if end := strings.TrimSuffix(line, "\n"); matches(w.glob, end) {
			return from, from + len(end), true
		}
		from = to
	}
	return 0, 0, false
}

// matches reports whether a text consists of the parts in their order, with any text between them.
func matches(parts []string, text string) bool {
	first, last := parts[0], parts[len(parts)-1]
	if len(text) < len(first)+len(last) || !strings.HasPrefix(text, first) || !strings.HasSuffix(text, last) {
		return false
	}
	text = text[len(first) : len(text)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(text, part)
		if i < 0 {
			return false
		}
		text = text[i+len(part):]
	}
	return true
}

// isWord reports whether a byte is part of a word. Bytes of characters that are not ASCII are.
func isWord(b byte) bool {
	return b >= 'a' && b <= 'z' || b >= '0' && b <= '9' || b >= 0x80
}
