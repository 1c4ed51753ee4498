package driver

import "strings"

// MaxKeyLength is the number of bytes a key has at most. The longest key of the layout, that of the
// type of a referrer in a repository with a name of 255 characters, is shorter.
const MaxKeyLength = 900

// ValidKey reports whether key is one that every [Driver] must accept: at most MaxKeyLength bytes,
// components separated by single slashes, each of ASCII letters, digits and the characters - . _ ~
// and none of them "." or "..".
func ValidKey(key string) bool {
	if key == "" || len(key) > MaxKeyLength {
		return false
	}
	start := 0
	for i := 0; i <= len(key); i++ {
		if i < len(key) && key[i] != '/' {
			if !keyByte(key[i]) {
				return false
			}
			continue
		}
		if c := key[start:i]; c == "" || c == "." || c == ".." {
			return false
		}
		start = i + 1
	}
	return true
}

// ValidPrefix reports whether prefix is one that [Driver.List] must accept: "", or a valid key
// followed by "/".
func ValidPrefix(prefix string) bool {
	key, ok := strings.CutSuffix(prefix, "/")
	return prefix == "" || ok && ValidKey(key)
}

func keyByte(c byte) bool {
	return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' ||
		c == '-' || c == '.' || c == '_' || c == '~'
}
