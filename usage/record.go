package usage

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"slices"
	"strings"
)

// prefix is the prefix of all keys of this package.
const prefix = "s/"

// maxRead is the maximum size of an object that is read, in bytes.
const maxRead = 16 << 20

// format is the version of the form of all records. A record of another form counts as absent.
const format = 1

// header is what the first line of each object contains.
type header struct {
	Nonce  string `json:"nonce"` // makes each version unique
	Format int    `json:"format"`
	Sum    uint32 `json:"sum"` // checksum of the content after the first line
}

// headed is a type with an embedded header.
type headed interface{ head() *header }

func (h *header) head() *header { return h }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encode returns an object: the header as a line of JSON, and then the content.
func encode(h headed, content []byte) ([]byte, error) {
	*h.head() = header{Nonce: rand.Text(), Format: format, Sum: crc32.Checksum(content, castagnoli)}
	b, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	b = append(b, '\n')
	return append(b, content...), nil
}

// decode reads the header of an object and returns the content, which is nil if the object is damaged or
// foreign.
func decode(b []byte, h headed) []byte {
	line, content, found := bytes.Cut(b, []byte{'\n'})
	if !found || json.Unmarshal(line, h) != nil || h.head().Format != format ||
		h.head().Sum != crc32.Checksum(content, castagnoli) {
		return nil
	}
	return content
}

// decoder reads binary content. After an error, bad is set and all further results are zero.
type decoder struct {
	rest string
	bad  bool
}

// bytes returns the next n bytes. They share the memory of the content.
func (d *decoder) bytes(n uint64) string {
	if d.bad || n > uint64(len(d.rest)) {
		d.bad = true
		return ""
	}
	s := d.rest[:n]
	d.rest = d.rest[n:]
	return s
}

func (d *decoder) uint64() uint64 {
	s := d.bytes(8)
	if d.bad {
		return 0
	}
	return binary.BigEndian.Uint64([]byte(s))
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint([]byte(d.rest[:min(len(d.rest), binary.MaxVarintLen64)]))
	if n <= 0 {
		d.bad = true
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

// size returns a number that is at most the maximum of an int64.
func (d *decoder) size() int64 {
	v := d.uvarint()
	if v > 1<<62 {
		d.bad = true
		return 0
	}
	return int64(v)
}

// key returns a packed digest.
func (d *decoder) key() string {
	if d.rest == "" {
		d.bad = true
		return ""
	}
	switch d.rest[0] {
	case packedSHA256:
		return d.bytes(1 + 32)
	case packedSHA384:
		return d.bytes(1 + 48)
	case packedSHA512:
		return d.bytes(1 + 64)
	case packedOther:
		d.bytes(1)
		return "\x00" + d.bytes(d.uvarint())
	}
	d.bad = true
	return ""
}

// entries returns n entries, as appendEntry has written them.
func (d *decoder) entries(n int, blobs bool) []entry {
	const least = 1 + 8 + 1 // bytes of an entry
	if n < 0 || n > len(d.rest)/least {
		d.bad = true
		return nil
	}
	entries := make([]entry, n)
	for i := range entries {
		e := &entries[i]
		e.key, e.version = d.key(), d.uint64()
		e.size = d.size() - 1
		if blobs && e.visible() {
			if e.inline = d.size(); e.inline > e.size {
				d.bad = true
			}
			if e.size > e.inline {
				e.data = d.uint64()
			}
		}
		if d.bad {
			return nil
		}
	}
	return entries
}

// sorted sorts entries by their keys.
func sorted(entries []entry) []entry {
	byKey := func(a, b entry) int { return strings.Compare(a.key, b.key) }
	if !slices.IsSortedFunc(entries, byKey) {
		slices.SortStableFunc(entries, byKey)
	}
	return slices.CompactFunc(entries, func(a, b entry) bool { return cmp.Compare(a.key, b.key) == 0 })
}
