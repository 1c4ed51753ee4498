package strictjson

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// check returns an error unless content is one JSON value in UTF-8, nested no deeper than
// encoding/json accepts.
func check(content []byte) error {
	if !utf8.Valid(content) {
		return Invalid("it is not valid UTF-8")
	}
	if !json.Valid(content) {
		err := json.Unmarshal(content, &discard{}) // says where
		return &Error{Problem: "it is not valid JSON: " + err.Error(), Err: err}
	}
	return nil
}

// discard accepts any JSON value and stores nothing.
type discard struct{}

func (*discard) UnmarshalJSON([]byte) error { return nil }

// loneSurrogate reports whether a string in content has an escape for one half of a surrogate pair
// without the other. Some parsers replace such an escape, some keep it, and some refuse it. content
// must be valid JSON.
func loneSurrogate(content []byte) bool {
	for {
		i := bytes.IndexByte(content, '\\')
		if i < 0 {
			return false
		}
		unit, isUnit := codeUnit(content[i:])
		if !isUnit {
			content = content[i+2:]
			continue
		}
		content = content[i+6:]
		if !utf16.IsSurrogate(unit) {
			continue
		}
		second, isUnit := codeUnit(content)
		if !isUnit || utf16.DecodeRune(unit, second) == utf8.RuneError {
			return true
		}
		content = content[6:]
	}
}

// codeUnit returns the UTF-16 code unit of the escape at the start of valid JSON text, such as
// \u00e9.
func codeUnit(text []byte) (rune, bool) {
	if !bytes.HasPrefix(text, []byte(`\u`)) {
		return 0, false
	}
	n, err := strconv.ParseUint(string(text[2:6]), 16, 16)
	return rune(n), err == nil
}
