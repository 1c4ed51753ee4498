package disk

import (
	"strings"

	"github.com/registrykit/registry/storage/driver"
)

// A key becomes a path in two steps. Each step keeps the byte order of keys, so walking sorted
// directories yields sorted keys.
//
//  1. Case: an upper-case letter becomes caseMark and the lower-case letter, so that names differ
//     even where the file system ignores case. caseMark sorts between the digits and "_", as
//     upper-case letters do.
//  2. Length: a component of maxPart bytes or more is cut. Its first maxPart bytes and partMark name
//     a directory. The rest, which may be empty, is a name in that directory that begins with
//     partMark, and is cut again if it is still too long.
//
// The result of the first step is called an encoded key. The result of the second step is called a
// path; it is relative to objects/.
const (
	caseMark = '^'
	partMark = '+'
	maxPart  = 199
)

// encode returns the encoded key. It accepts any string, and for every valid key k and any string
// s, k > s if and only if encode(k) > encode(s): bytes that are no part of a valid key and sort
// among the upper-case letters' neighbours are put where they belong.
func encode(s string) string {
	n := 0
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= '^' {
			n++
		}
	}
	if n == 0 {
		return s
	}
	b := make([]byte, 0, len(s)+n)
	for i := range len(s) {
		switch c := s[i]; {
		case 'A' <= c && c <= 'Z':
			b = append(b, caseMark, c+'a'-'A')
		case 'Z' < c && c <= '^':
			b = append(b, caseMark, 0xff)
		default:
			b = append(b, c)
		}
	}
	return string(b)
}

// decode is the inverse of encode for valid keys; ok is false if no valid key is encoded like this.
func decode(enc string) (key string, ok bool) {
	i := strings.IndexByte(enc, caseMark)
	if i < 0 {
		return enc, driver.ValidKey(enc) && !hasUpper(enc)
	}
	b := append(make([]byte, 0, len(enc)), enc[:i]...)
	for ; i < len(enc); i++ {
		c := enc[i]
		if c == caseMark {
			i++
			if i == len(enc) || enc[i] < 'a' || enc[i] > 'z' {
				return "", false
			}
			b = append(b, enc[i]-'a'+'A')
			continue
		}
		if 'A' <= c && c <= 'Z' {
			return "", false
		}
		b = append(b, c)
	}
	key = string(b)
	return key, driver.ValidKey(key)
}

func hasUpper(s string) bool {
	for i := range len(s) {
		if 'A' <= s[i] && s[i] <= 'Z' {
			return true
		}
	}
	return false
}

// split returns the path of an encoded key.
func split(enc string) string {
	if len(enc) < maxPart {
		return enc
	}
	var b strings.Builder
	for i, name := range strings.Split(enc, "/") {
		if i > 0 {
			b.WriteByte('/')
		}
		for len(name) >= maxPart {
			b.WriteString(name[:maxPart])
			b.WriteByte(partMark)
			b.WriteByte('/')
			name = string(partMark) + name[maxPart:]
		}
		b.WriteString(name)
	}
	return b.String()
}

// keyPath returns the path of a valid key.
func keyPath(key string) string { return split(encode(key)) }

// parent returns the path of the directory that path is in; that of objects/ itself is "".
func parent(path string) string {
	return path[:max(strings.LastIndexByte(path, '/'), 0)]
}

// base returns the last component of a path.
func base(path string) string { return path[strings.LastIndexByte(path, '/')+1:] }

// An entry is the name of a file or directory as lists sort it: that of a directory ends in "/",
// unless it is one that holds the remainders of cut components, which ends in partMark as it does
// on disk. Sorted like this, entries are in the order of the keys below them.

// entry returns the entry for a name in a directory, which is one of remainders or not; ok is false
// for names that are not of our making.
func entry(name string, isDir, remainders bool) (e string, ok bool) {
	rest := name
	if remainders != (name[0] == partMark) {
		return "", false
	}
	if remainders {
		rest = name[1:]
	}
	cut := isDir && isCut(name)
	if cut {
		rest = rest[:len(rest)-1]
	} else if len(name) >= maxPart {
		return "", false
	}
	for i := range len(rest) {
		switch c := rest[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '.', c == '_', c == '~', c == caseMark:
		default:
			return "", false
		}
	}
	if isDir && !cut {
		return name + "/", true
	}
	return name, true
}

// isCut reports whether a directory's name or entry says that it holds remainders.
func isCut(name string) bool { return len(name) == maxPart+1 && name[maxPart] == partMark }

// isDirectory reports whether an entry is a directory.
func isDirectory(e string) bool { return e[len(e)-1] == '/' || isCut(e) }

// fileName returns the name on disk of an entry.
func fileName(e string) string { return strings.TrimSuffix(e, "/") }

// dirEntry returns the entry in its parent of the directory at path.
func dirEntry(path string) string {
	if name := base(path); isCut(name) {
		return name
	} else {
		return name + "/"
	}
}

// piece returns what an entry contributes to encoded keys, given whether it is in a directory of
// remainders.
func piece(e string, remainders bool) string {
	end := len(e)
	if isCut(e) {
		end--
	}
	if remainders {
		return e[1:end]
	}
	return e[:end]
}
