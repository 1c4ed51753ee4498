package registry

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"
	"sync"
	"unicode/utf8"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// marshal is json.Marshal without the escapes that only HTML needs.
func marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// The functions below append JSON exactly as marshal encodes it. They take a fraction of its time,
// because they know the types. That matters for lists of thousands of elements and for errors that
// clients cause all the time, such as an unknown blob. A fuzz test compares them with marshal.

// appendError appends the body of an error response. ok is false, and nothing is appended, if the
// detail of the error is not one pair of strings.
func appendError(b []byte, e *Error) (_ []byte, ok bool) {
	detail, isMap := e.detail.(map[string]string)
	if isPair := isMap && len(detail) == 1; !isPair && e.detail != nil {
		return b, false
	}
	b = append(b, `{"errors":[{"code":`...)
	b = appendText(b, e.code)
	b = append(b, `,"message":`...)
	b = appendText(b, e.message)
	for key, value := range detail {
		b = append(b, `,"detail":{`...)
		b = appendText(b, key)
		b = append(b, ':')
		b = appendText(b, value)
		b = append(b, '}')
	}
	return append(b, `}]}`...), true
}

// maxScratch is the maximum size, in bytes, of a buffer that scratch keeps.
const maxScratch = 128 << 10

// scratch holds buffers in which lists are encoded. The zero scratch is ready to use.
type scratch struct{ pool sync.Pool } // of *[]byte

// get returns an empty buffer.
func (s *scratch) get() []byte {
	if b, ok := s.pool.Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return nil
}

// put takes back b, a buffer of get that nothing refers to any more.
func (s *scratch) put(b []byte) {
	if cap(b) <= maxScratch {
		s.pool.Put(&b)
	}
}

// appendDescriptor appends a descriptor. sorted is a buffer for the keys of its annotations.
func appendDescriptor(b []byte, d *ocispec.Descriptor, sorted *[]string) []byte {
	b = append(b, `{"mediaType":`...)
	b = appendText(b, d.MediaType)
	b = append(b, `,"digest":`...)
	b = appendText(b, string(d.Digest))
	b = append(b, `,"size":`...)
	b = strconv.AppendInt(b, d.Size, 10)
	if len(d.URLs) > 0 {
		b = append(b, `,"urls":`...)
		b = appendTexts(b, d.URLs)
	}
	if len(d.Annotations) > 0 {
		b = append(b, `,"annotations":`...)
		b = appendAnnotations(b, d.Annotations, sorted)
	}
	if len(d.Data) > 0 {
		b = append(b, `,"data":"`...)
		b = base64.StdEncoding.AppendEncode(b, d.Data)
		b = append(b, '"')
	}
	if d.Platform != nil {
		b = append(b, `,"platform":`...)
		b = appendPlatform(b, d.Platform)
	}
	if d.ArtifactType != "" {
		b = append(b, `,"artifactType":`...)
		b = appendText(b, d.ArtifactType)
	}
	return append(b, '}')
}

func appendAnnotations(b []byte, annotations map[string]string, sorted *[]string) []byte {
	keys := (*sorted)[:0]
	for k := range annotations {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	*sorted = keys
	next := byte('{')
	for _, k := range keys {
		b = append(b, next)
		b = appendText(b, k)
		b = append(b, ':')
		b = appendText(b, annotations[k])
		next = ','
	}
	return append(b, '}')
}

func appendPlatform(b []byte, p *ocispec.Platform) []byte {
	b = append(b, `{"architecture":`...)
	b = appendText(b, p.Architecture)
	b = append(b, `,"os":`...)
	b = appendText(b, p.OS)
	if p.OSVersion != "" {
		b = append(b, `,"os.version":`...)
		b = appendText(b, p.OSVersion)
	}
	if len(p.OSFeatures) > 0 {
		b = append(b, `,"os.features":`...)
		b = appendTexts(b, p.OSFeatures)
	}
	if p.Variant != "" {
		b = append(b, `,"variant":`...)
		b = appendText(b, p.Variant)
	}
	return append(b, '}')
}

// appendTexts appends an array of strings.
func appendTexts(b []byte, texts []string) []byte {
	b = append(b, '[')
	for i, s := range texts {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendText(b, s)
	}
	return append(b, ']')
}

// plain has the bytes that stand for themselves in a string.
var plain = func() (is [256]bool) {
	for c := byte(' '); c < utf8.RuneSelf; c++ {
		is[c] = c != '"' && c != '\\'
	}
	return is
}()

// appendText appends a string.
func appendText(b []byte, s string) []byte {
	b = append(b, '"')
	from := 0 // the text before it has been appended
	for i := 0; i < len(s); {
		if plain[s[i]] {
			i++
			continue
		}
		c, size := s[i], 1
		switch {
		case c >= utf8.RuneSelf:
			var r rune
			if r, size = utf8.DecodeRuneInString(s[i:]); !mustEscape(r, size) {
				i += size
				continue
			}
			b = append(b, s[from:i]...)
			b = append(b, `\u`...)
			b = append(b, hex(r>>12), hex(r>>8), hex(r>>4), hex(r))
		case c == '"' || c == '\\':
			b = append(b, s[from:i]...)
			b = append(b, '\\', c)
		default:
			b = append(b, s[from:i]...)
			b = appendControl(b, c)
		}
		i += size
		from = i
	}
	b = append(b, s[from:]...)
	return append(b, '"')
}

// mustEscape reports whether a rune, which the given number of bytes encode, is escaped: it stands
// for an invalid byte, or JavaScript takes it for the end of a line.
func mustEscape(r rune, size int) bool {
	return r == utf8.RuneError && size == 1 || r == '\u2028' || r == '\u2029'
}

// appendControl appends the escape of a control character.
func appendControl(b []byte, c byte) []byte {
	switch c {
	case '\b':
		return append(b, `\b`...)
	case '\f':
		return append(b, `\f`...)
	case '\n':
		return append(b, `\n`...)
	case '\r':
		return append(b, `\r`...)
	case '\t':
		return append(b, `\t`...)
	}
	b = append(b, `\u00`...)
	return append(b, hex(rune(c)>>4), hex(rune(c)))
}

// hex returns the hexadecimal digit of the last four bits of r.
func hex(r rune) byte { return "0123456789abcdef"[r&0xf] }
