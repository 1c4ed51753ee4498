package outbox

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"maps"
	"slices"
)

const (
	// maxPositions is the number of streams in the cursor of a reader from which on it forgets those
	// that it has read to their end, however young they are.
	maxPositions = 256
	// maxCursor is the maximum length of the cursor of a reader, in bytes.
	maxCursor = 64 << 10
)

// position is where a reader is in a stream.
type position struct {
	seq    int64
	index  int
	number int64 // of the next event in the stream
}

// positions is where a reader is in all streams. A stream that is not in it, and whose name is not
// greater than floor, was read.
type positions struct {
	floor string
	at    map[string]position
}

// String returns the cursor of a reader: base64 of a version, the floor, and the streams.
func (p positions) String() string {
	b := []byte{1}
	b = appendStream(b, p.floor)
	for _, id := range slices.Sorted(maps.Keys(p.at)) {
		at := p.at[id]
		b = appendStream(b, id)
		b = binary.AppendUvarint(b, uint64(at.seq))
		b = binary.AppendUvarint(b, uint64(at.index))
		b = binary.AppendUvarint(b, uint64(at.number))
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// noStream stands for the floor before all streams.
const noStream = "000000000000-0000000000000000"

func appendStream(b []byte, id string) []byte {
	if id == "" {
		id = noStream
	}
	raw, _ := hex.DecodeString(id[:12] + id[13:])
	return append(b, raw...)
}

func cutStream(b []byte) (id string, rest []byte, ok bool) {
	if len(b) < 14 {
		return "", nil, false
	}
	x := hex.EncodeToString(b[:14])
	return x[:12] + "-" + x[12:], b[14:], true
}

// parsePositions reads the cursor of a reader; "" is the start of the log.
//
// Errors: ErrCursor.
func parsePositions(s string) (positions, error) {
	p := positions{floor: noStream, at: map[string]position{}}
	if s == "" {
		return p, nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) == 0 || b[0] != 1 || len(s) > maxCursor {
		return p, ErrCursor
	}
	var ok bool
	if p.floor, b, ok = cutStream(b[1:]); !ok {
		return p, ErrCursor
	}
	for last := ""; len(b) > 0; {
		var id string
		if id, b, ok = cutStream(b); !ok || id <= last {
			return p, ErrCursor
		}
		last = id
		var n [3]int64
		for i := range n {
			v, size := binary.Uvarint(b)
			if size <= 0 || v > 1<<48 {
				return p, ErrCursor
			}
			n[i], b = int64(v), b[size:]
		}
		p.at[id] = position{n[0], int(n[1]), n[2]}
	}
	return p, nil
}
