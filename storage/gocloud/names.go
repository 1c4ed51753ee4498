package gocloud

import (
	"strings"

	"github.com/registrykit/registry/storage/driver"
)

// objectName returns the name of the object at key, without the prefix of the driver, on every
// bucket but fileblob. The drivers of gocloud.dev escape "../" as "..__0x2f__", and lists unescape
// such names even if they were never escaped. So a name contains neither ".." nor "__": after a
// dot, "-" becomes "," and "." becomes "-"; after an underscore, "_" becomes "^". The result for a
// byte depends only on the byte before it and keeps the order of bytes, so names have the order of
// keys.
//
// Stores on a file system allow components of at most 255 bytes. So a component of maxComponent
// bytes or more is cut there, and the rest, which may be empty, becomes a component that begins
// with cutLetter.
func objectName(key string) string {
	key = cutComponents(key)
	if !strings.Contains(key, "..") && !strings.Contains(key, "__") && !strings.Contains(key, ".-") {
		return key
	}
	b := []byte(key)
	for i := 1; i < len(key); i++ {
		switch {
		case key[i-1] == '.' && key[i] == '-':
			b[i] = ','
		case key[i-1] == '.' && key[i] == '.':
			b[i] = '-'
		case key[i-1] == '_' && key[i] == '_':
			b[i] = '^'
		}
	}
	return string(b)
}

// objectKey is the inverse of objectName; ok is false if no valid key has the name.
func objectKey(name string) (key string, ok bool) {
	b := []byte(name)
	for i := 1; i < len(b); i++ {
		switch {
		case b[i-1] == '.' && b[i] == ',':
			b[i] = '-'
		case b[i-1] == '.' && b[i] == '-':
			b[i] = '.'
		case b[i-1] == '_' && b[i] == '^':
			b[i] = '_'
		}
	}
	key = joinComponents(string(b))
	return key, driver.ValidKey(key) && objectName(key) == name
}

const (
	maxComponent = 200
	cutLetter    = 'x'
)

func cutComponents(key string) string {
	if len(key) < maxComponent {
		return key
	}
	var b strings.Builder
	n := 0 // bytes of the component so far
	for i := range len(key) {
		if key[i] == '/' {
			n = 0
		} else {
			n++
		}
		b.WriteByte(key[i])
		if n == maxComponent {
			b.WriteString("/" + string(cutLetter))
			n = 1
		}
	}
	return b.String()
}

// joinComponents is the inverse of cutComponents.
func joinComponents(name string) string {
	if len(name) < maxComponent {
		return name
	}
	var b strings.Builder
	n := 0
	for i := 0; i < len(name); i++ {
		switch {
		case n == maxComponent && strings.HasPrefix(name[i:], "/"+string(cutLetter)):
			i++
			n = 1
			continue
		case name[i] == '/':
			n = 0
		default:
			n++
		}
		b.WriteByte(name[i])
	}
	return b.String()
}

// On fileblob, each byte of a key becomes one or two bytes of a file name. Walking sorted
// directories yields sorted keys, because the name of a directory ends in a byte that sorts like
// "/" among the bytes of a name.
//
// A component of maxPart bytes or more is cut. Its first maxPart bytes name a directory. The rest,
// which may be empty, is a name in that directory that begins with partMark, and is cut again if it
// is still too long. fileblob appends up to 21 bytes to a name.
const (
	slashMark = '-'
	cutMark   = "--"
	caseMark  = '^'
	partMark  = '+'
	maxPart   = 199
)

// fileName returns the name of the object at key on fileblob, without the prefix of the driver.
func fileName(key string) string {
	var b strings.Builder
	for i, c := range strings.Split(key, "/") {
		if i > 0 {
			b.WriteString(string(slashMark) + "/")
		}
		writeComponent(&b, c)
	}
	return b.String()
}

// directoryName returns the name of the directory of the keys that begin with prefix and a slash.
func directoryName(prefix string) string { return fileName(prefix) + string(slashMark) }

func writeComponent(b *strings.Builder, component string) {
	enc := make([]byte, 0, len(component)+8)
	for i := range len(component) {
		switch c := component[i]; {
		case c == '-':
			enc = append(enc, '+')
		case c == '.':
			enc = append(enc, ',')
		case 'A' <= c && c <= 'Z':
			enc = append(enc, caseMark, c+'a'-'A')
		default:
			enc = append(enc, c)
		}
	}
	for len(enc) >= maxPart {
		b.Write(enc[:maxPart])
		b.WriteString(cutMark + "/")
		enc = append([]byte{partMark}, enc[maxPart:]...)
	}
	b.Write(enc)
}

// kind is the kind of a name in a directory.
type kind int

const (
	notOurs   kind = iota // not written by this package
	object                // an object
	directory             // of the keys that go on with a slash
	remainder             // of the rest of cut components
)

// keyPart returns the part of keys that a name in a directory stands for. within is the name of the
// directory if it holds the rests of cut components, otherwise "".
func keyPart(name string, isDir bool, within string) (part string, k kind) {
	rest, k, most := name, object, maxPart-1
	if isDir {
		if rest, k = strings.TrimSuffix(name, string(slashMark)), directory; rest == name {
			return "", notOurs
		}
		if cut, ok := strings.CutSuffix(name, cutMark); ok {
			rest, k, most = cut, remainder, maxPart
		}
	}
	if len(rest) > most || k == remainder && len(rest) < most || rest == "" {
		return "", notOurs
	}
	upper := false // the next letter
	if within != "" {
		if rest[0] != partMark {
			return "", notOurs
		}
		rest, upper = rest[1:], within[maxPart-1] == caseMark
	}
	b := make([]byte, 0, len(rest)+1)
	for i := range len(rest) {
		c := rest[i]
		if upper {
			if c < 'a' || c > 'z' {
				return "", notOurs
			}
			b, upper = append(b, c-'a'+'A'), false
			continue
		}
		switch {
		case c == '+':
			b = append(b, '-')
		case c == ',':
			b = append(b, '.')
		case c == caseMark:
			upper = true
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '_', c == '~':
			b = append(b, c)
		default:
			return "", notOurs
		}
	}
	if upper && k != remainder { // its letter is in the remainder
		return "", notOurs
	}
	if k == directory {
		b = append(b, '/')
	}
	return string(b), k
}
