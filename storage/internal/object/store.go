package object

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/registrykit/registry/internal/handover"
	"github.com/registrykit/registry/internal/lru"
	"github.com/registrykit/registry/storage/driver"
)

// Store reads and changes the objects of a registry in a driver, one at a time. It knows how each
// record looks and on which condition each may change; it knows no operation of a registry. It is safe
// for concurrent use.
type Store struct {
	// Driver is the storage.
	Driver driver.Driver
	// Grace is how long unreferenced content is left alone, see storage.Options.Grace.
	Grace time.Duration
	// History is how long events are kept, see storage.Options.History. Zero means none are written.
	History time.Duration
	// Written has the keys of links, manifests, tags and repositories that this process has written,
	// and therefore expects to be there. Nothing is decided by it.
	Written *lru.Cache[string, struct{}]
	// Locks lets conflicting writers in this process take turns.
	locks *keyLocks

	entries *lru.Cache[string, *Entry] // entries of referrers, by key; see ListedEntry
	large   *semaphore.Weighted        // bounds the bytes of large records, see largeMemory
	reserve *reserve
}

// New returns a Store over d.
func New(d driver.Driver, grace, history time.Duration) *Store {
	return &Store{
		Driver: d, Grace: grace, History: history,
		Written: lru.New[string, struct{}](maxWritten),
		locks:   &keyLocks{keys: map[string]*keyLock{}},
		entries: lru.New[string, *Entry](maxEntries),
		large:   semaphore.NewWeighted(largeMemory),
		reserve: &reserve{},
	}
}

const (
	// maxWritten is the maximum number of keys in Store.Written.
	maxWritten = 20_000
	// maxEntries is the maximum size of the remembered entries of referrers, in bytes.
	maxEntries = 8 << 20
)

// WithReserve returns a Store for operations that free space: its writes and deletes may use the
// reserve when the storage is full. It shares everything else with s.
func (s *Store) WithReserve() *Store {
	return s.WithDriver(reserveDriver{s.Driver, s.reserve})
}

// WithDriver returns a Store over d that shares everything else with s.
func (s *Store) WithDriver(d driver.Driver) *Store {
	over := *s
	over.Driver = d
	return &over
}

// Repo returns one repository of the Store. It does not check the name, nor whether the repository
// exists.
func (s *Store) Repo(name string) Repo { return Repo{Store: s, Name: name} }

// Repo is one repository of a Store.
type Repo struct {
	*Store
	Name string
}

// remove deletes an object that may be gone already.
//
// Errors: ErrChanged if it has not the version given.
func (s *Store) Remove(ctx context.Context, key, version string) error {
	err := s.Driver.Delete(ctx, key, version)
	if errors.Is(err, driver.ErrNotExist) {
		return nil
	}
	return err
}

// sync makes deletes durable, unless they have failed with err.
func (s *Store) Sync(ctx context.Context, err error, keys ...string) error {
	if err != nil {
		return nil
	}
	return RegistryError(s.Driver.Sync(ctx, keys...))
}

// removeSeen removes an object if it still has the version that was seen.
func (s *Store) RemoveIfUnchanged(ctx context.Context, key, version string) error {
	if err := s.Remove(ctx, key, version); !IsConflict(err) {
		return RegistryError(err)
	}
	return nil
}

// read returns a small object whole.
func (s *Store) Read(ctx context.Context, key string) ([]byte, driver.Info, error) {
	r, info, err := s.Driver.Open(ctx, key, nil)
	if err != nil {
		return nil, info, err
	}
	b, err := s.readAll(ctx, r, info.Size)
	if cerr := r.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return nil, info, fmt.Errorf("storage: reading %s: %w", key, err)
	}
	return b, info, nil
}

// readLine returns the first line of an object with its "\n", or all of an object that has none.
func (s *Store) readLine(ctx context.Context, key string) (line []byte, info driver.Info, err error) {
	for _, length := range []int64{16 << 10, 0} { // most lines are short
		var r io.ReadCloser
		if r, info, err = s.Driver.Open(ctx, key, &driver.OpenOptions{Length: length}); err != nil {
			return nil, info, err
		}
		var part io.Reader = r
		if length > 0 {
			part = io.LimitReader(r, length) // the reader may go on
		}
		line, err = bufio.NewReader(part).ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			err = nil
		}
		if cerr := r.Close(); err == nil {
			err = cerr
		}
		if err != nil {
			return nil, info, fmt.Errorf("storage: reading %s: %w", key, err)
		}
		if bytes.HasSuffix(line, []byte{'\n'}) || info.Size <= length {
			break
		}
	}
	return line, info, nil
}

const (
	// largeRecord is the size in bytes above which a record counts towards largeMemory.
	largeRecord = 64 << 10
	// largeMemory is the maximum size, in bytes, of the large records that are in memory at a time.
	// Reads beyond it wait, so that many requests for large manifests at once cannot exhaust the
	// memory.
	largeMemory = 64 << 20
)

// readAll reads a record of a known size.
func (s *Store) readAll(ctx context.Context, r io.Reader, size int64) ([]byte, error) {
	if size > largeRecord {
		done, err := s.reserveLarge(ctx, size)
		if err != nil {
			return nil, err
		}
		defer done()
	}
	b := make([]byte, size)
	_, err := io.ReadFull(r, b)
	return b, err
}

// reserveLarge waits until there is memory for a large record. The caller calls done once it has
// read the record. In a request for a manifest, done does nothing, and the memory stays reserved
// until the HTTP handler counts the manifest among those that it sends.
func (s *Store) reserveLarge(ctx context.Context, size int64) (done func(), err error) {
	n := min(size, largeMemory)
	claim := handover.FromContext(ctx)
	claim.Release()
	if err := s.large.Acquire(ctx, n); err != nil {
		return nil, err
	}
	release := func() { s.large.Release(n) }
	if claim.Keep(release) {
		return func() {}, nil
	}
	return release, nil
}

// put writes a record on the condition that the object still has the version given; "" means that
// there is none. It returns the new version.
//
// Errors: ErrExist or ErrChanged if it has not; usually an *overtaken.
func (s *Store) Put(ctx context.Context, key, version string, header any, content []byte,
	durability driver.Durability) (string, error) {
	b, err := Encode(header, content)
	if err != nil {
		return "", err
	}
	info, err := s.Driver.Put(ctx, key, bytes.NewReader(b), &driver.PutOptions{
		IfAbsent: version == "", IfVersion: version, Durability: durability, Size: int64(len(b)),
	})
	if !IsConflict(err) {
		return info.Version, err
	}
	there, info, rerr := s.Read(ctx, key)
	switch {
	case rerr == nil && bytes.Equal(there, b):
		// A request that was done, lost its answer and was sent again has been refused because of
		// itself. The nonce tells.
		return info.Version, nil
	case rerr == nil:
		return "", &Conflict{Err: err, Content: there, Info: info}
	case errors.Is(rerr, driver.ErrNotExist):
		return "", &Conflict{Err: err}
	}
	return "", err
}

// putAlways writes a record whatever is there.
func (s *Store) Overwrite(ctx context.Context, key string, header any) (driver.Info, error) {
	b, err := Encode(header, nil)
	if err != nil {
		return driver.Info{}, err
	}
	info, err := s.Driver.Put(ctx, key, bytes.NewReader(b), &driver.PutOptions{Durability: driver.Deferred, Size: int64(len(b))})
	info.Key = key
	return info, err
}

// readOrCreate returns an object that whoever comes first creates.
func (s *Store) ReadOrCreate(ctx context.Context, key string, content func() ([]byte, error)) ([]byte, error) {
	for range 3 {
		b, _, err := s.Read(ctx, key)
		if !errors.Is(err, driver.ErrNotExist) {
			return b, err
		}
		if b, err = content(); err != nil {
			return nil, err
		}
		_, err = s.Driver.Put(ctx, key, bytes.NewReader(b), &driver.PutOptions{IfAbsent: true, Size: int64(len(b))})
		if !errors.Is(err, driver.ErrExist) {
			return b, err
		}
	}
	return nil, fmt.Errorf("storage: the object %q comes and goes", key)
}

// parallelism is how many requests of one operation are made at once.
const Parallelism = 16
