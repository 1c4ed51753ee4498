package notification

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"sync"
	"time"
)

// ids makes the IDs of this process. It only makes them unique and ascending.
var ids idSource

// NewID returns a new ID for an [Event]: a UUID of version 7, RFC 9562, section 5.7. Of two IDs of
// one process, the later one is greater as a string. The registry calls it for each event; a host
// calls it for events of its own.
func NewID() string { return ids.next(time.Now()) }

// idSource makes UUIDs of version 7 that ascend. The 12 bits after the milliseconds hold the
// fraction of the millisecond, by method 3 of RFC 9562, section 6.2.
type idSource struct {
	mu   sync.Mutex
	last int64 // milliseconds << 12 | fraction, of the last ID
}

func (s *idSource) next(now time.Time) string {
	tick := now.UnixMilli()<<12 | int64(now.Nanosecond()%1_000_000)<<12/1_000_000
	s.mu.Lock()
	tick = max(tick, s.last+1)
	s.last = tick
	s.mu.Unlock()

	var b [16]byte
	binary.BigEndian.PutUint64(b[:], uint64(tick>>12)<<16|0x7000|uint64(tick&0xfff))
	rand.Read(b[8:])
	b[8] = b[8]&0x3f | 0x80
	var text [36]byte
	hex.Encode(text[:], b[:4])
	hex.Encode(text[9:], b[4:6])
	hex.Encode(text[14:], b[6:8])
	hex.Encode(text[19:], b[8:10])
	hex.Encode(text[24:], b[10:])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:])
}
