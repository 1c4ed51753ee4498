package object

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/registrykit/registry/internal/lru"
	"github.com/registrykit/registry/storage/driver"
)

// A Store keeps the records that it has read or written last, decoded, so that a read of a known
// record costs one conditional Open: a single lstat on a local file system, and a response without
// a body from an object store. Each read still asks the storage. So it sees every change that any
// process made before the read began, and every step of docs/gc.md that needs a fresh read gets
// one.
//
// A record is never changed once it is in the cache. Readers get a copy of the struct, which may
// share slices and bytes with other readers.

const (
	// maxRecords is the maximum size of the cached records, in bytes.
	maxRecords = 4 << 20
	// maxRecord is the size in bytes above which a record is not cached. A link with the content of
	// a small blob, of at most storage.InlineSize, is smaller.
	maxRecord = 20 << 10
	// recordOverhead is the memory of a decoded record beside its bytes, and of its place in the
	// cache, in bytes.
	recordOverhead = 700
)

// records is a cache of records by key. A nil *records is always empty.
type records struct {
	byKey *lru.Cache[string, *record]
}

// record is a version of a record in the cache.
type record struct {
	unless  driver.OpenOptions // the condition of the next read: the version
	modTime time.Time          // of the version
	encoded []byte             // a record that this process has written and not yet read, or nil
	decoded any                // *Link, *Manifest, *Entry or *Repository; nil if encoded is set
}

func newRecords() *records {
	return &records{byKey: lru.New[string, *record](maxRecords)}
}

// get returns the record at key, or nil if it is not in the cache.
func (c *records) get(key string) *record {
	if c == nil {
		return nil
	}
	r, _ := c.byKey.Get(key)
	return r
}

// add puts a record of size bytes into the cache, with the key, version and time of info. It does
// nothing if the record is too large, or if the driver has not reported its version and time.
func (c *records) add(info driver.Info, r *record, size int) {
	if c == nil || info.Version == "" || info.ModTime.IsZero() || size > maxRecord {
		return
	}
	r.unless.IfNotVersion, r.modTime = info.Version, info.ModTime
	c.byKey.Add(info.Key, r, size+len(info.Key)+recordOverhead)
}

// addWritten adds a record that a Put has written. b is the whole record, which must not change any
// more. Only the records that readRecord reads are added.
func (c *records) addWritten(key string, info driver.Info, header any, b []byte) {
	switch header.(type) {
	case *Link, *Manifest, *Entry, *Repository:
		info.Key = key
		c.add(info, &record{encoded: b}, len(b))
	}
}

// remove forgets the record at key.
func (c *records) remove(key string) {
	if c != nil {
		c.byKey.Remove(key)
	}
}

// readRecord returns the record at key as decode returns it, or the zero T if there is none. The
// caller may change the fields of the result, but not what they refer to.
//
// Errors: registry.ErrUnavailable, or any other error of the driver.
func readRecord[T any](ctx context.Context, s *Store, key string,
	decode func(b []byte, info driver.Info) *T) (*T, error) {
	var unless *driver.OpenOptions
	known := s.records.get(key)
	if known != nil {
		unless = &known.unless
	}
	body, info, err := s.Driver.Open(ctx, key, unless)
	var b []byte
	switch {
	case known != nil && errors.Is(err, driver.ErrNotModified):
		if known.decoded != nil {
			own := *known.decoded.(*T)
			return &own, nil
		}
		b, info = known.encoded, driver.Info{Version: known.unless.IfNotVersion, ModTime: known.modTime}
	case errors.Is(err, driver.ErrNotExist):
		s.records.remove(key)
		return new(T), nil
	case err != nil:
		return nil, RegistryError(err)
	default:
		if b, err = s.readBody(ctx, key, body, info.Size); err != nil {
			return nil, RegistryError(err)
		}
	}
	info.Key = key
	own := decode(b, info)
	kept := *own
	s.records.add(info, &record{decoded: &kept}, len(b))
	return own, nil
}

// readBody reads the object at key, of size bytes, from body, and closes body.
func (s *Store) readBody(ctx context.Context, key string, body io.ReadCloser, size int64) ([]byte, error) {
	b, err := s.readAll(ctx, body, size)
	if cerr := body.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, fmt.Errorf("storage: reading %s: %w", key, err)
	}
	return b, nil
}
