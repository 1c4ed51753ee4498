package driver

import "strings"

// MaxKeyLength is the maximum length of a key, in bytes. The keys of the registry are shorter,
// even in a repository whose name has 255 characters.
const MaxKeyLength = 900

// ValidKey reports whether key is valid. A [Driver] must accept every valid key, except beside
// another key as [Driver] says, and must refuse every other one with ErrKey. A valid key has at
// most MaxKeyLength bytes and consists of components separated by single slashes. A component
// consists of ASCII letters, digits and the characters - . _ ~ and is neither "." nor "..".
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
