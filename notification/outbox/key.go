package outbox

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// The keys of the outbox. docs/layout.md shows a record of each.
//
//	e/s/<stream>/<seq>       batch of events, or the marker that closes the stream
//	e/c/<stream>/<sink>      cursor: which events of the stream the sink has
//	e/d/<sink>/<event id>    dead letter
//	e/x/<sink>               the sink is disabled
const (
	streamPrefix   = "e/s/"
	cursorPrefix   = "e/c/"
	letterPrefix   = "e/d/"
	disabledPrefix = "e/x/"
)

// nobody is the name of the sink whose cursor a stream has if there are no sinks. Each stream has a
// cursor, so that other processes see whether its process lives.
const nobody = "~"

var (
	validSink   = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)
	validStream = regexp.MustCompile(`^[0-9a-f]{12}-[0-9a-f]{16}$`)
	validID     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._~-]{0,127}$`)
)

// newStreamID returns the name of a new stream. Names ascend with the time.
func newStreamID(now time.Time) string {
	var b [8]byte
	rand.Read(b[:])
	return fmt.Sprintf("%012x-%s", now.UnixMilli(), hex.EncodeToString(b[:]))
}

func batchKey(stream string, seq int64) string {
	return fmt.Sprintf("%s%s/%016x", streamPrefix, stream, seq)
}

func cursorKey(stream, sink string) string { return cursorPrefix + stream + "/" + sink }

// letterKey returns the key of the dead letter of an event. An ID of a host that is no component of
// a key is written in hexadecimal digits.
func letterKey(sink, id string) string {
	if !validID.MatchString(id) {
		id = "~" + hex.EncodeToString([]byte(id))[:min(2*len(id), 400)]
	}
	return letterPrefix + sink + "/" + id
}

// parseBatchKey returns the number of a batch.
func parseBatchKey(key string) (seq int64, ok bool) {
	stream, digits, ok := strings.Cut(strings.TrimPrefix(key, streamPrefix), "/")
	if !ok || !validStream.MatchString(stream) || len(digits) != 16 {
		return 0, false
	}
	seq, err := strconv.ParseInt(digits, 16, 64)
	return seq, err == nil && seq >= 0 && seq < math.MaxInt64 // another number follows
}

// parseCursorKey returns the stream and sink of a cursor.
func parseCursorKey(key string) (stream, sink string, ok bool) {
	stream, sink, ok = strings.Cut(strings.TrimPrefix(key, cursorPrefix), "/")
	return stream, sink, ok && validStream.MatchString(stream) && (sink == nobody || validSink.MatchString(sink))
}
