package driver

import (
	"context"
	"io"
	"iter"
)

// Driver stores objects under keys. This page is the whole contract; drivertest.TestDriver checks
// it. "The registry" below is the package storage, which is the caller of a Driver.
//
// # Keys
//
// A key satisfies [ValidKey]. Keys are compared byte by byte, so "A" and "a" are different keys
// even if the file system below ignores case. The registry never uses both a key K and a key K +
// "/" + anything, so a Driver may reject the second key of such a pair with ErrKey.
//
// # Objects and versions
//
// An object is written as a whole. Readers see the object before a Put or the object after it, and
// never a part of it. A Put leaves the old state if it fails, if its body fails, if its context
// ends or if the process is killed.
//
// Every successful Put gives the object a version that the key never had before, even if the bytes
// are the same. A version is an opaque string of at most 200 bytes without "\n". It does not change
// when a process restarts. A Driver may use a hash of the content as the version, although the same
// bytes then get the same version: the registry never writes the same content twice to a key that
// it changes on a condition.
//
// # Consistency
//
// All operations on a key are linearizable, from any number of goroutines and processes. Once a Put
// or Delete has returned, every Open, Stat and List that starts later shows its effect. The Driver
// checks a condition (IfAbsent, IfVersion) and makes the change in one atomic step.
//
// # Durability
//
// An object stored with [Durable], the default, survives a loss of power once Put has returned. See
// [Durability] for the weaker promises, and Sync, which makes them strong later.
//
// # Concurrency
//
// A Driver is safe for concurrent use. It holds no lock while it reads the body of a Put, nor while
// a reader that Open returned is open: either can take as long as a client likes. It starts no
// goroutine that outlives a call. It honours the context of every call.
//
// Every options argument may be nil, which means the zero value.
type Driver interface {
	// Open returns a reader of the object, or of the part that opts selects, and the Info of the
	// whole object. Bytes and Info belong to the same version, even if a Put replaces the object
	// while it is read. The caller closes the reader.
	//
	// The reader may be an *os.File, or have one, so that the kernel can send it. The file then
	// stands at Offset and may go on after Length: the caller reads no further than Length.
	//
	// Errors: ErrNotExist; ErrNotModified, together with an Info that has at least Key and Version;
	// ErrKey.
	Open(ctx context.Context, key string, opts *OpenOptions) (io.ReadCloser, Info, error)

	// Stat returns the Info of the object.
	//
	// Errors: ErrNotExist, ErrKey.
	Stat(ctx context.Context, key string) (Info, error)

	// Put reads body to its end, stores the bytes at key and returns the Info of the new object. It
	// replaces an object that is there, unless opts forbids that. A nil body is an empty object.
	//
	// A Driver allocates memory for bytes that body has yielded, and never for what
	// PutOptions.Size promises, because that number comes from a client.
	//
	// Errors: ErrExist; ErrChanged, also when the object is missing; ErrNoSpace; ErrKey; the error
	// of body, as it is or wrapped. If the object could not be made durable, or if the connection
	// was lost, the new object may be there in spite of the error.
	Put(ctx context.Context, key string, body io.Reader, opts *PutOptions) (Info, error)

	// Delete removes the object, if it still has the version ifVersion. An empty ifVersion means
	// any version. A removal survives a kill of the process once Delete has returned, and a loss of
	// power once Sync of the key has returned.
	//
	// Errors: ErrNotExist, ErrChanged, ErrKey. If ifVersion is given and there is no object, a
	// Driver may return either ErrNotExist or ErrChanged. If ifVersion is empty and there is no
	// object, it may return nil when the storage does not report that.
	Delete(ctx context.Context, key, ifVersion string) error

	// List yields the objects whose keys begin with prefix, in ascending byte order of the whole
	// keys. The prefix satisfies [ValidPrefix]. An object that exists during the whole iteration is
	// yielded exactly once, any other object at most once. The consumer may call every method of
	// the Driver between two elements.
	//
	// Errors: an error is the last element. ErrKey is yielded if the prefix is invalid.
	List(ctx context.Context, prefix string, opts *ListOptions) iter.Seq2[Info, error]

	// MaxObjectSize returns the maximum size of an object, in bytes: at least MinObjectSize, or 0
	// if the Driver knows no limit. The result never changes. A Put of a larger body fails and
	// leaves the old state. The registry divides a larger blob among several objects. A Driver that
	// wraps another one returns the limit of that one.
	MaxObjectSize() int64

	// Sync makes the present state of all the keys survive a loss of power. The state of a key is
	// its object or its absence, whichever call and whichever process produced it. Sync of a state
	// that is known to be durable is free.
	//
	// Errors: ErrKey. After any other error, the caller cannot rely on a later Sync of the same
	// keys: some systems report a lost write only once. The caller puts the objects again instead.
	Sync(ctx context.Context, keys ...string) error
}

// MinObjectSize is the smallest maximum object size that a [Driver] may have, in bytes. The
// registry divides only blobs among several objects, so a manifest that is larger than
// [Driver.MaxObjectSize] is rejected.
const MinObjectSize = 64 << 10
