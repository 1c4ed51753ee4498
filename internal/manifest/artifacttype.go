package manifest

import (
	"bytes"
	"encoding/json"
)

// ArtifactType returns the artifact type that [Parse] finds in a manifest that it accepts. For
// other content, the result is any text. It is for pulls, which must not cost a parse: it checks
// nothing, allocates only the result, and reads no further than it must. For most images that is
// the config.
func ArtifactType(content []byte) string {
	escaped := bytes.IndexByte(content, '\\') >= 0                  // a key may be spelled with escapes
	own := escaped || bytes.Contains(content, []byte(`ifactType"`)) // quotes and "a" are too frequent
	if !own && !bytes.Contains(content, []byte(`onfig"`)) {
		return ""
	}
	s := &scanner{data: content}
	ofConfig := ""
	for s.member('{') {
		switch key := s.text(); {
		case string(key) == "artifactType":
			if text := s.text(); len(text) > 0 {
				return string(text)
			}
		case string(key) == "config":
			if ofConfig = s.mediaType(); !own {
				return ofConfig
			}
		default:
			s.skip()
		}
	}
	return ofConfig
}

// scanner reads JSON that is most probably valid. For any other input, its results mean nothing,
// and it stops at the end of the input at the latest.
type scanner struct {
	data []byte
	pos  int
}

// next returns the first byte of the next token, or 0 at the end.
func (s *scanner) next() byte {
	for ; s.pos < len(s.data); s.pos++ {
		switch c := s.data[s.pos]; c {
		case ' ', '\t', '\r', '\n', ',', ':':
		default:
			return c
		}
	}
	return 0
}

// member moves to the key of the next member of an object, of which open may be next, and reports
// whether there is one. Otherwise it moves past the object.
func (s *scanner) member(open byte) bool {
	c := s.next()
	if c == open {
		s.pos++
		c = s.next()
	}
	if c == '}' {
		s.pos++
	}
	return c == '"'
}

// mediaType reads a descriptor, and returns its media type.
func (s *scanner) mediaType() (found string) {
	if s.next() != '{' {
		s.skip()
		return ""
	}
	for s.member('{') {
		if string(s.text()) == "mediaType" {
			found = string(s.text())
		} else {
			s.skip()
		}
	}
	return found
}

// text reads a value. It returns what a string says, and nil for any other value.
func (s *scanner) text() []byte {
	if s.next() != '"' {
		s.skip()
		return nil
	}
	start := s.pos
	if escapes := s.skipString(); !escapes {
		return s.data[start+1 : max(start+1, s.pos-1)]
	}
	var text string
	_ = json.Unmarshal(s.data[start:s.pos], &text) // "" if it is not valid
	return []byte(text)
}

// skip skips a value.
func (s *scanner) skip() {
	depth := 0
	for {
		switch s.next() {
		case 0:
			return
		case '"':
			s.skipString()
		case '{', '[':
			s.pos++
			depth++
		case '}', ']':
			s.pos++
			depth--
		default: // a number or a word
			for s.pos < len(s.data) && bytes.IndexByte([]byte(",]} \t\r\n"), s.data[s.pos]) < 0 {
				s.pos++
			}
		}
		if depth <= 0 {
			return
		}
	}
}

// skipString skips a string, and reports whether it has escapes.
func (s *scanner) skipString() (escapes bool) {
	for s.pos++; s.pos < len(s.data) && s.data[s.pos] != '"'; s.pos++ {
		if s.data[s.pos] == '\\' {
			escapes = true
			s.pos++
		}
	}
	s.pos = min(s.pos+1, len(s.data))
	return escapes
}
