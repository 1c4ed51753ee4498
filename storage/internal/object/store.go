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
	"github.com/registrykit/registry/internal/objectkey"
	"github.com/registrykit/registry/internal/parallel"
	"github.com/registrykit/registry/storage/driver"
)

// Store reads and changes the objects of a registry in a driver, one object at a time. It knows the
// format of each record and the condition of each change, and no operation of a registry: package
// storage composes those. A Store is safe for concurrent use.
type Store struct {
	// Driver is the storage.
	Driver driver.Driver
	// Grace is how long unreferenced content is left alone, see storage.Options.Grace.
	Grace time.Duration
	// History is how long events are kept, see storage.Options.History. Zero means that no events
	// are written.
	History time.Duration
	// Written has keys of links, manifests, tags and repositories that this process has written,
	// and therefore expects to exist. It only saves requests: no decision depends on it.
	Written *lru.Cache[string, struct{}]

	local    bool                         // see driver.Local
	locks    *keyLocks                    // lets conflicting writers in this process take turns
	records  *records                     // links, manifests, tags and repositories; nil without a cache
	entries  *lru.Cache[string, *Entry]   // entries of referrers, by key; see ListedEntry
	children *lru.Cache[string, children] // what manifests name, by key; see ListedChildren
	large    *semaphore.Weighted          // bounds the bytes of large records, see largeMemory
	reserve  *reserve
}

// New returns a Store over d. It makes no request. For grace and history see Store.Grace and
// Store.History.
func New(d driver.Driver, grace, history time.Duration) *Store {
	l, ok := d.(driver.Local)
	return &Store{
		local:  ok && l.Local(),
		Driver: d, Grace: grace, History: history,
		Written:  lru.New[string, struct{}](maxWritten),
		locks:    &keyLocks{keys: map[string]*keyLock{}},
		records:  newRecords(),
		entries:  lru.New[string, *Entry](maxEntries),
		children: lru.New[string, children](maxChildren),
		large:    semaphore.NewWeighted(largeMemory),
		reserve:  &reserve{},
	}
}

const (
	// maxWritten is the maximum number of keys in Store.Written.
	maxWritten = 20_000
	// maxEntries is the maximum size of the cached entries of referrers, in bytes.
	maxEntries = 8 << 20
)

// WithReserve returns a Store for operations that free space. Its writes and deletes may use the
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

// WithoutCache returns a Store that reads the bytes of each record, and shares everything else with
// s. It is for passes over the whole storage, which would drive the records that clients read from
// the cache, and for those that look for damage.
func (s *Store) WithoutCache() *Store {
	over := *s
	over.records = nil
	return &over
}

// Repo returns one repository of the Store. It checks neither the name nor whether the repository
// exists.
func (s *Store) Repo(name string) Repo {
	return Repo{Store: s, Name: name, prefix: ContentPrefix + objectkey.Escape(name) + "/"}
}

// Repo is one repository of a Store. Its methods build the keys of the repository and change its
// records.
type Repo struct {
	*Store
	Name string

	prefix string // of all keys with the content of the repository
}

// Remove deletes an object that still has the given version; "" means any version. An object that
// is already gone is not an error.
//
// Errors: driver.ErrChanged if the object has another version. Some drivers also return it if a
// version is given and the object is gone.
func (s *Store) Remove(ctx context.Context, key, version string) error {
	err := s.Driver.Delete(ctx, key, version)
	if errors.Is(err, driver.ErrNotExist) {
		return nil
	}
	return err
}

// SyncAfter makes deletes of keys durable that ended with err. If err is not nil, SyncAfter does
// nothing and returns nil: the caller returns err.
func (s *Store) SyncAfter(ctx context.Context, err error, keys ...string) error {
	if err != nil {
		return nil
	}
	return RegistryError(s.Driver.Sync(ctx, keys...))
}

// RemoveIfUnchanged deletes an object that still has the version that was read. An object that has
// changed or is gone is not an error.
func (s *Store) RemoveIfUnchanged(ctx context.Context, key, version string) error {
	if err := s.Remove(ctx, key, version); !driver.IsConflict(err) {
		return RegistryError(err)
	}
	return nil
}

// Read returns the content and the Info of an object that fits into memory.
//
// Errors: driver.ErrNotExist, and any other error of the driver.
func (s *Store) Read(ctx context.Context, key string) ([]byte, driver.Info, error) {
	r, info, err := s.Driver.Open(ctx, key, nil)
	if err != nil {
		return nil, info, err
	}
	b, err := s.readBody(ctx, key, r, info.Size)
	return b, info, err
}

// readLine returns the first line of an object with its "\n". If the object has no "\n", it returns
// all of the object.
func (s *Store) readLine(ctx context.Context, key string) (line []byte, info driver.Info, err error) {
	for _, length := range []int64{16 << 10, 0} { // most lines are short
		var r io.ReadCloser
		if r, info, err = s.Driver.Open(ctx, key, &driver.OpenOptions{Length: length}); err != nil {
			return nil, info, err
		}
		var part io.Reader = r
		if length > 0 {
			part = io.LimitReader(r, length) // the reader may return more
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

// readAll reads a record of a known size, in bytes.
func (s *Store) readAll(ctx context.Context, r io.Reader, size int64) ([]byte, error) {
	if size > largeRecord {
		done, err := s.acquireLarge(ctx, size)
		if err != nil {
			return nil, err
		}
		defer done()
	}
	b := make([]byte, size)
	_, err := io.ReadFull(r, b)
	return b, err
}

// acquireLarge waits until there is memory for a large record of size bytes. The caller calls done
// once it has read the record. In a request for a manifest, done does nothing: the memory stays
// reserved until the HTTP handler counts the manifest among those that it sends.
func (s *Store) acquireLarge(ctx context.Context, size int64) (done func(), err error) {
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

// Put writes a record if the object at key still has the given version; "" means that there must be
// no object. It returns the new version.
//
// Errors: driver.ErrExist or driver.ErrChanged if the condition does not hold, usually as a
// *Conflict with the object that is there instead. driver.ErrNoSpace and other errors of the driver
// are returned unchanged.
func (s *Store) Put(ctx context.Context, key, version string, header any, content []byte,
	durability driver.Durability) (string, error) {
	b, err := Encode(header, content)
	if err != nil {
		return "", err
	}
	info, err := s.Driver.Put(ctx, key, bytes.NewReader(b), &driver.PutOptions{
		IfAbsent: version == "", IfVersion: version, Durability: durability, Size: int64(len(b)),
	})
	if err == nil {
		s.records.addWritten(key, info, header, b)
		return info.Version, nil
	}
	if !driver.IsConflict(err) {
		return "", err
	}
	there, info, rerr := s.Read(ctx, key)
	switch {
	case rerr == nil && bytes.Equal(there, b):
		// The write has succeeded, its response was lost, and the request that repeated it was
		// refused because of the first. The nonce rules out another writer.
		return info.Version, nil
	case rerr == nil:
		return "", &Conflict{Err: err, Content: there, Info: info}
	case errors.Is(rerr, driver.ErrNotExist):
		return "", &Conflict{Err: err}
	}
	return "", err
}

// Overwrite writes a record whatever is at key. The record is not durable until Sync.
func (s *Store) Overwrite(ctx context.Context, key string, header any) (driver.Info, error) {
	b, err := Encode(header, nil)
	if err != nil {
		return driver.Info{}, err
	}
	opts := &driver.PutOptions{Durability: driver.Deferred, Size: int64(len(b))}
	info, err := s.Driver.Put(ctx, key, bytes.NewReader(b), opts)
	info.Key = key
	return info, err
}

// ReadOrCreate returns the object at key. If there is none, it creates the object with the result
// of content. Of several callers that create it at the same time, one succeeds, and the others
// return what that one has written.
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
	return nil, fmt.Errorf("storage: the object %q was created and deleted again repeatedly", key)
}

// Parallelism is the maximum number of requests that one operation makes at the same time.
const Parallelism = 16

// Each calls f with each of 0 to n-1, as parallel.Each does with Parallelism. On local storage it
// makes a few calls one after the other, see driver.Local. So f must not wait for the disk in more
// than one of these calls.
func (s *Store) Each(n int, f func(i int) error) error {
	if s.local && n <= Parallelism {
		return parallel.Each(1, n, f)
	}
	return parallel.Each(Parallelism, n, f)
}
