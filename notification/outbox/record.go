package outbox

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"github.com/registrykit/registry/notification"
	"github.com/registrykit/registry/storage/driver"
)

const (
	// maxEvent is the maximum size of one stored event, in bytes.
	maxEvent = 8 << 20
	// maxObject is the maximum size of an object that the outbox reads, in bytes.
	maxObject = maxEvent + 1<<20
	// maxText is the maximum length of an error in a record, in bytes.
	maxText = 500
)

var (
	// errCorrupt is returned for an object that cannot be decoded.
	errCorrupt = errors.New("outbox: corrupt object")
	// errConflict is returned for a write whose condition does not hold.
	errConflict = errors.New("outbox: another process has written the object")
)

// batchHeader is the first line of a batch. The events follow, one a line.
type batchHeader struct {
	Nonce string    `json:"nonce"`
	First int64     `json:"first"`           // number of events in the batches before
	Bytes int64     `json:"bytes,omitempty"` // size of the batches before
	Count int       `json:"count"`
	Time  time.Time `json:"time"`
	// Closed marks the object that closes the stream: it has no events, and no batch follows.
	Closed bool   `json:"closed,omitempty"`
	By     string `json:"by,omitempty"` // the process that wrote it
	Sum    uint32 `json:"sum"`          // CRC-32C of the lines of events
}

// batch is an object of a stream.
type batch struct {
	batchHeader
	seq    int64
	size   int64
	events []notification.Event
}

// end returns the number of the first event after the batch.
func (b *batch) end() int64 { return b.First + int64(b.Count) }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// encode returns a record: the header as a line of JSON, and then the content.
func encode(header any, content []byte) ([]byte, error) {
	b, err := json.Marshal(header)
	if err != nil {
		return nil, err
	}
	return append(append(b, '\n'), content...), nil
}

// decode reads the header of a record, and returns the content.
func decode(b []byte, header any) ([]byte, error) {
	line, content, ok := bytes.Cut(b, []byte{'\n'})
	if !ok {
		return nil, errCorrupt
	}
	if err := json.Unmarshal(line, header); err != nil {
		return nil, fmt.Errorf("%w: %w", errCorrupt, err)
	}
	return content, nil
}

// decodeBatch reads a batch.
//
// Errors: errCorrupt.
func decodeBatch(seq int64, b []byte) (*batch, error) {
	r := &batch{seq: seq, size: int64(len(b))}
	content, err := decode(b, &r.batchHeader)
	if err != nil {
		return nil, err
	}
	if crc32.Checksum(content, castagnoli) != r.Sum || r.First < 0 || r.Count < 0 || r.Bytes < 0 ||
		r.Count > len(content) || r.Closed && r.Count > 0 {
		return nil, errCorrupt
	}
	r.events = make([]notification.Event, 0, min(r.Count, maxBatchEvents)) // the sum does not cover the number
	d := json.NewDecoder(bytes.NewReader(content))
	for range r.Count {
		var e notification.Event
		if err := d.Decode(&e); err != nil {
			return nil, fmt.Errorf("%w: %w", errCorrupt, err)
		}
		r.events = append(r.events, e)
	}
	return r, nil
}

// cursor is the record of a cursor: the position of a sink in a stream, and the lease of the process
// that delivers the stream to the sink. The lease ends if the record does not change for a while.
type cursor struct {
	Nonce string `json:"nonce"`
	// Owner is the process that delivers. It is "" if any process may.
	Owner string `json:"owner,omitempty"`
	// Seq and Index are the batch and the event in it that the sink gets next. Number is the number
	// of events before it in the stream.
	Seq    int64 `json:"seq"`
	Index  int   `json:"index,omitempty"`
	Number int64 `json:"number"`
	// Done says that the stream is closed at Seq and that the sink has all of it.
	Done bool `json:"done,omitempty"`
	// Gap is what the sink must be told is missing before it gets the next event.
	Gap *notification.Gap `json:"gap,omitempty"`
	// Failing is since when the calls of the sink have failed, Refused since when the sink has
	// refused the next event. Attempts counts the calls with the next event.
	Failing  time.Time `json:"failing,omitzero"`
	Refused  time.Time `json:"refused,omitzero"`
	Attempts int       `json:"attempts,omitempty"`
	Error    string    `json:"error,omitempty"`
}

// decodeCursor reads a cursor.
//
// Errors: errCorrupt.
func decodeCursor(b []byte) (cursor, error) {
	var c cursor
	if _, err := decode(b, &c); err != nil {
		return cursor{}, err
	}
	if c.Seq < 0 || c.Index < 0 || c.Number < 0 {
		return cursor{}, errCorrupt
	}
	return c, nil
}

// letter is the record of a dead letter.
type letter struct {
	Nonce    string             `json:"nonce"`
	Time     time.Time          `json:"time"`
	Attempts int                `json:"attempts"`
	Error    string             `json:"error"`
	Event    notification.Event `json:"event"`
}

// disabled is the record of a sink whose receiver wants no more events.
type disabled struct {
	Nonce string    `json:"nonce"`
	Time  time.Time `json:"time"`
	Error string    `json:"error"`
}

func newNonce() string { return rand.Text() }

// text returns the text of an error for a record.
func text(err error) string {
	if err == nil {
		return ""
	}
	s := err.Error()
	return s[:min(len(s), maxText)]
}

// read returns an object.
//
// Errors: driver.ErrNotExist; errCorrupt if it is too large; other errors of the driver.
func (o *Outbox) read(ctx context.Context, key string) ([]byte, driver.Info, error) {
	r, info, err := o.driver.Open(ctx, key, nil)
	if err != nil {
		return nil, info, err
	}
	defer r.Close()
	if info.Size > maxObject {
		return nil, info, errCorrupt
	}
	b, err := io.ReadAll(io.LimitReader(r, maxObject))
	return b, info, err
}

// write stores an object on a condition: version is that of the object that it replaces, and ""
// means that there must be none. A write that turns out to have succeeded before is a success.
//
// Errors: errConflict, with the object that is there; other errors of the driver.
func (o *Outbox) write(ctx context.Context, key, version string, b []byte, durability driver.Durability) (
	info driver.Info, there []byte, err error) {
	info, err = o.driver.Put(ctx, key, bytes.NewReader(b), &driver.PutOptions{
		IfAbsent: version == "", IfVersion: version, Durability: durability, Size: int64(len(b)),
	})
	if !driver.IsConflict(err) {
		return info, nil, err
	}
	there, info, err = o.read(ctx, key)
	switch {
	case err == nil && bytes.Equal(there, b):
		return info, nil, nil
	case err == nil || errors.Is(err, errCorrupt):
		return info, there, errConflict
	case errors.Is(err, driver.ErrNotExist) && version != "":
		return driver.Info{}, nil, errConflict
	}
	return driver.Info{}, nil, err
}

// readBatch reads a batch of a stream.
//
// Errors: driver.ErrNotExist; errCorrupt; other errors of the driver.
func (o *Outbox) readBatch(ctx context.Context, stream string, seq int64) (*batch, error) {
	b, _, err := o.read(ctx, batchKey(stream, seq))
	if err != nil {
		return nil, err
	}
	return decodeBatch(seq, b)
}
